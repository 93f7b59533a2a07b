/* Which files are still there for a process that has confined itself. */
#include "daemon/confine.h"

#include "base/err.h"
#include "unit/child.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char top[] = "/tmp/cloudbus-confine.XXXXXX";

/* A path below the temporary folder; of the last four calls. */
static const char *at(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", top, name);
	return path;
}

static void make_file(const char *name)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || close(fd) != 0)
		abort(); /* main() calls it too, where there is no test to fail */
}

static struct sockaddr_un address(const char *name)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	snprintf(un.sun_path, sizeof un.sun_path, "%s", at(name));
	return un;
}

static bool can_open(const char *name, int flags)
{
	int fd = open(at(name), flags | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool can_bind(const char *name)
{
	struct sockaddr_un un = address(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = bind(fd, (struct sockaddr *)&un, sizeof un) == 0;
	close(fd);
	return yes;
}

static bool can_connect(const char *name)
{
	struct sockaddr_un un = address(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = connect(fd, (struct sockaddr *)&un, sizeof un) == 0;
	close(fd);
	return yes;
}

/* "readable" and "sockets", the latter by way of a symbolic link, are allowed. */
static void confine(void)
{
	struct confine c;
	CHILD_EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHILD_EXPECT(confine_init(&c) == 0);
	CHILD_EXPECT(confine_allow(&c, at("readable"), CONFINE_READ) == 0);
	CHILD_EXPECT(confine_allow(&c, at("link"), CONFINE_BIND | CONFINE_REMOVE) == 0);
	CHILD_EXPECT(confine_allow(&c, at("none"), CONFINE_READ) == ERR_SYS && errno == ENOENT);
	CHILD_EXPECT(confine_allow(&c, at("readable/file"), CONFINE_READ) == ERR_SYS &&
		     errno == ENOTDIR);
	CHILD_EXPECT(confine_enter(&c) == 0);
	confine_fini(&c);
}

#define REFUSED(action) CHILD_EXPECT(!(action) && errno == EACCES)

static int try_files(const void *ctx)
{
	(void)ctx;
	CHILD_EXPECT(can_open("other/file", O_RDWR)); /* before */
	int open_before = open(at("other/file"), O_RDONLY | O_CLOEXEC);
	confine();
	char byte;
	CHILD_EXPECT(read(open_before, &byte, 1) == 0);
	CHILD_EXPECT(can_open("readable/file", O_RDONLY));
	CHILD_EXPECT(can_open("readable/below/file", O_RDONLY));
	REFUSED(can_open("readable/file", O_WRONLY));
	REFUSED(can_open("readable/file", O_RDONLY | O_TRUNC));
	REFUSED(can_open("readable/new", O_RDONLY | O_CREAT));
	REFUSED(unlink(at("readable/file")) == 0);
	REFUSED(mkdir(at("readable/folder"), 0700) == 0);
	REFUSED(can_open("other/file", O_RDONLY));
	REFUSED(can_open("other/file", O_WRONLY));
	REFUSED(can_open("readable/../other/file", O_RDONLY));
	REFUSED(can_open("readable/escape", O_RDONLY));
	REFUSED(can_open("sockets/file", O_RDONLY));
	REFUSED(open("/proc/self/status", O_RDONLY | O_CLOEXEC) >= 0);
	return 0;
}

START_TEST(only_folders_that_were_named_can_be_read)
{
	ck_assert_int_eq(child_run(try_files, NULL), 0);
}
END_TEST

static int try_sockets(const void *ctx)
{
	(void)ctx;
	confine();
	CHILD_EXPECT(can_bind("sockets/new"));
	CHILD_EXPECT(unlink(at("sockets/new")) == 0);
	CHILD_EXPECT(can_open("sockets", O_RDONLY | O_DIRECTORY)); /* to lock it */
	REFUSED(can_bind("readable/new"));
	REFUSED(can_bind("other/new"));
	REFUSED(unlink(at("other/socket")) == 0);
	CHILD_EXPECT(can_connect("other/socket")); /* servers are where they are */
	return 0;
}

START_TEST(sockets_are_made_and_removed_only_where_that_was_said)
{
	struct sockaddr_un un = address("other/socket");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	ck_assert_int_eq(child_run(try_sockets, NULL), 0);
	close(fd);
	unlink(at("other/socket"));
}
END_TEST

/* As editors save it: another file, under the same name. */
static int replace(const void *ctx)
{
	int wait = *(const int *)ctx;
	char byte;
	confine();
	CHILD_EXPECT(read(wait, &byte, 1) == 1);
	CHILD_EXPECT(can_open("readable/file", O_RDONLY));
	return 0;
}

START_TEST(a_file_that_was_replaced_can_be_read)
{
	int fd[2];
	ck_assert_int_eq(pipe(fd), 0);
	make_file("readable/file.new");
	pid_t editor = fork();
	ck_assert_int_ge(editor, 0);
	if (editor == 0)
		_exit(rename(at("readable/file.new"), at("readable/file")) != 0 ||
			write(fd[1], "x", 1) != 1);
	ck_assert_int_eq(child_run(replace, &fd[0]), 0);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

static void make_tree(void)
{
	static const char *const folders[] = {"readable", "readable/below", "other", "sockets"};
	if (mkdtemp(top) == NULL)
		abort();
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		if (mkdir(at(folders[i]), 0700) != 0)
			abort();
		char name[64];
		snprintf(name, sizeof name, "%s/file", folders[i]);
		make_file(name);
	}
	if (symlink("../other/file", at("readable/escape")) != 0 ||
		symlink("sockets", at("link")) != 0)
		abort();
}

static void remove_tree(void)
{
	static const char *const names[] = {"readable/below/file", "readable/below",
		"readable/file", "readable/escape", "readable", "other/file", "other",
		"sockets/file", "sockets/new", "sockets", "link", ""};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		(void)remove(at(names[i]));
}

static int is_there(const void *ctx)
{
	struct confine c;
	(void)ctx;
	int rc = confine_init(&c);
	return rc == 0 ? 0 : rc == ERR_NOTFOUND ? 1 : 2;
}

int main(void)
{
	if (child_run(is_there, NULL) == 1)
		return child_skip("this kernel, or this build, has no Landlock");
	make_tree();
	Suite *s = suite_create("confine");
	TCase *t = tcase_create("files");
	tcase_add_test(t, only_folders_that_were_named_can_be_read);
	tcase_add_test(t, sockets_are_made_and_removed_only_where_that_was_said);
	tcase_add_test(t, a_file_that_was_replaced_can_be_read);
	suite_add_tcase(s, t);
	int status = unit_main(s);
	remove_tree();
	return status;
}
