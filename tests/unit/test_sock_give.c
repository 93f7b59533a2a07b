/* A Unix socket's file goes to another user: that file, and nothing that took its place. */
#include "base/err.h"
#include "net/sock.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OTHER_UID = 65533, OTHER_GID = 65532, FOLDER_GID = 65531 };

static char dir[64], path[96], aside[96];
static struct sock_listener l;
static struct sock_owner other; /* who is not root gives to itself: nothing else is allowed */

static void setup(void)
{
	struct addr a;
	bool root = geteuid() == 0;
	other = (struct sock_owner){
		.uid = root ? OTHER_UID : geteuid(), .gid = root ? OTHER_GID : getegid()};
	strcpy(dir, "/tmp/cb-test-give-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/s", dir);
	snprintf(aside, sizeof aside, "%s/aside", dir);
	ck_assert_int_eq(addr_from_unix(&a, path, strlen(path), false), 0);
	ck_assert_int_eq(sock_listen(&l, &a, 4), 0);
}

static void teardown(void)
{
	close(l.fd);
	(void)unlink(path);
	(void)unlink(aside);
	ck_assert_int_eq(rmdir(dir), 0);
}

static struct stat look(const char *file)
{
	struct stat st;
	ck_assert_int_eq(lstat(file, &st), 0);
	return st;
}

START_TEST(the_file_is_the_others_with_its_mode)
{
	mode_t mode = look(path).st_mode;
	ck_assert_int_eq(sock_give(&l, &other), 0);
	struct stat st = look(path);
	ck_assert_uint_eq(st.st_uid, other.uid);
	ck_assert_uint_eq(st.st_gid, other.gid);
	ck_assert_uint_eq(st.st_mode, mode);
	ck_assert_int_eq(sock_unlink(&l), 0);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* Whatever stands there instead is refused, and keeps its owner. */
static void expect_refused(const char *file)
{
	struct stat before = look(file);
	ck_assert_int_eq(sock_give(&l, &other), ERR_SYS);
	ck_assert_int_eq(errno, ESTALE);
	struct stat after = look(file);
	ck_assert_uint_eq(before.st_uid, after.st_uid);
	ck_assert_uint_eq(before.st_gid, after.st_gid);
}

START_TEST(a_file_in_its_place_is_left_alone)
{
	ck_assert_int_eq(unlink(path), 0);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	expect_refused(path);
}
END_TEST

START_TEST(a_link_in_its_place_is_not_followed)
{
	close(open(aside, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink(aside, path), 0);
	expect_refused(aside);
	expect_refused(path);
}
END_TEST

START_TEST(another_socket_in_its_place_is_left_alone)
{
	struct sock_listener stranger;
	struct addr a;
	ck_assert_int_eq(addr_from_unix(&a, aside, strlen(aside), false), 0);
	ck_assert_int_eq(sock_listen(&stranger, &a, 4), 0);
	ck_assert_int_eq(rename(aside, path), 0);
	expect_refused(path);
	close(stranger.fd);
}
END_TEST

/* Its identity was looked at by name too: what has another name is not what was just made. */
START_TEST(a_socket_with_a_second_name_is_left_alone)
{
	ck_assert_int_eq(link(path, aside), 0);
	expect_refused(path);
}
END_TEST

START_TEST(a_file_that_is_gone_is_an_error_and_none_is_none)
{
	struct sock_listener plain = {.fd = -1};
	ck_assert_int_eq(sock_give(&plain, &other), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(sock_give(&l, &other), ERR_SYS);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(a_group_from_the_folder_stays)
{
	if (geteuid() != 0)
		return; /* nobody else has a group to spare */
	ck_assert_int_eq(chown(dir, (uid_t)-1, FOLDER_GID), 0);
	ck_assert_int_eq(chmod(dir, 02755), 0);
	struct addr a = l.addr;
	close(l.fd);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(sock_listen(&l, &a, 4), 0);
	ck_assert_int_eq(sock_give(&l, &other), 0);
	ck_assert_uint_eq(look(path).st_uid, other.uid);
	ck_assert_uint_eq(look(path).st_gid, FOLDER_GID);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sock_give");
	TCase *t = tcase_create("give");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_file_is_the_others_with_its_mode);
	tcase_add_test(t, a_file_in_its_place_is_left_alone);
	tcase_add_test(t, a_link_in_its_place_is_not_followed);
	tcase_add_test(t, another_socket_in_its_place_is_left_alone);
	tcase_add_test(t, a_socket_with_a_second_name_is_left_alone);
	tcase_add_test(t, a_file_that_is_gone_is_an_error_and_none_is_none);
	tcase_add_test(t, a_group_from_the_folder_stays);
	suite_add_tcase(s, t);
	return unit_main(s);
}
