/*
 * Files that are written together: all of them, or none, wherever it fails.
 */
#include "crypto/secretfile.h"
#include "unit/unit.h"

#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/cloudbus-test.XXXXXX", one[64], two[64], why[WHY_MAX];

/* --- calls that fail ------------------------------------------------------------------------- */

static unsigned calls, fails; /* which of the calls fails, from 1; 0: none */
static bool no_exchange;      /* the file system has not heard of it */

int __real_renameat2(int olddir, const char *from, int newdir, const char *to, unsigned flags);
int __real_fsync(int fd);
int __real_mkostemp(char *template, int flags);
int __wrap_renameat2(int olddir, const char *from, int newdir, const char *to, unsigned flags);
int __wrap_fsync(int fd);
int __wrap_mkostemp(char *template, int flags);

static bool fails_now(void)
{
	if (++calls != fails)
		return false;
	errno = EIO;
	return true;
}

int __wrap_renameat2(int olddir, const char *from, int newdir, const char *to, unsigned flags)
{
	if (fails_now())
		return -1;
	if (no_exchange) {
		errno = EINVAL;
		return -1;
	}
	return __real_renameat2(olddir, from, newdir, to, flags);
}

int __wrap_fsync(int fd)
{
	return fails_now() ? -1 : __real_fsync(fd);
}

int __wrap_mkostemp(char *template, int flags)
{
	return fails_now() ? -1 : __real_mkostemp(template, flags);
}

/* --- the folder ------------------------------------------------------------------------------ */

static void setup(void)
{
	ck_assert_int_ge(sodium_init(), 0);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(one, sizeof one, "%s/one", dir);
	snprintf(two, sizeof two, "%s/two", dir);
	calls = fails = 0;
	no_exchange = false;
}

static unsigned entries(bool remove_them)
{
	unsigned n = 0;
	DIR *d = opendir(dir);
	ck_assert_ptr_nonnull(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		n++;
		if (remove_them && unlinkat(dirfd(d), e->d_name, 0) != 0)
			ck_assert_int_eq(unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR), 0);
	}
	ck_assert_int_eq(closedir(d), 0);
	return n;
}

static void teardown(void)
{
	(void)entries(true);
	ck_assert_int_eq(rmdir(dir), 0);
}

/* "" where it is not there. */
static const char *content(const char *path)
{
	static char text[64];
	const struct secretfile_rules rules = {SECRETFILE_SECRET, 60, 0};
	struct secretfile f;
	text[0] = '\0';
	if (secretfile_read(&f, path, &rules, why) == 0)
		strcpy(text, f.text);
	secretfile_wipe(&f);
	return text;
}

static int write_both(const char *text, enum secretfile_replace replace)
{
	const struct secretfile_new files[] = {
		{one, text, strlen(text), replace}, {two, text, strlen(text), replace}};
	return secretfile_write(files, 2, why);
}

/* Neither has changed, there is nothing beside them, and the error names one of them. */
static void check_as_before(const char *before, int rc)
{
	ck_assert_int_eq(rc, ERR_SYS);
	ck_assert_str_eq(content(one), before);
	ck_assert_str_eq(content(two), before);
	ck_assert_uint_eq(entries(false), before[0] != '\0' ? 2 : 0);
}

/* Returns how many calls there are when none fails. */
static unsigned fail_each(const char *before, enum secretfile_replace replace)
{
	int rc = -1;
	for (fails = 1; rc != 0; fails++) {
		ck_assert_uint_lt(fails, 50);
		calls = 0;
		rc = write_both("after", replace);
		if (rc != 0) {
			ck_assert(strstr(why, one) == why || strstr(why, two) == why);
			check_as_before(before, rc);
		}
	}
	ck_assert_str_eq(content(one), "after");
	ck_assert_str_eq(content(two), "after");
	ck_assert_uint_eq(entries(false), 2);
	return calls;
}

/* --- tests ----------------------------------------------------------------------------------- */

START_TEST(all_are_new_or_none_is_there)
{
	/* of each: a name, its fsync, its rename, its folder's fsync */
	ck_assert_uint_eq(fail_each("", SECRETFILE_NEW), 8);
}
END_TEST

START_TEST(all_are_replaced_or_none)
{
	ck_assert_int_eq(write_both("before", SECRETFILE_NEW), 0);
	ck_assert_uint_eq(fail_each("before", SECRETFILE_REPLACE), 8);
}
END_TEST

START_TEST(what_is_in_the_way_of_one_saves_the_other)
{
	const struct secretfile_new first = {one, "before", 6, SECRETFILE_NEW};
	ck_assert_int_eq(secretfile_write(&first, 1, why), 0);
	ck_assert_int_eq(mkdir(two, 0700), 0);
	ck_assert_int_eq(write_both("after", SECRETFILE_REPLACE), ERR_SYS);
	ck_assert_ptr_nonnull(strstr(why, "/two: cannot write: Is a directory"));
	ck_assert_str_eq(content(one), "before");
	ck_assert_int_eq(unlink(one), 0);
	ck_assert_int_eq(write_both("after", SECRETFILE_NEW), ERR_CLOSED);
	ck_assert_uint_eq(entries(false), 1);
}
END_TEST

START_TEST(a_file_system_that_cannot_exchange_will_do)
{
	no_exchange = true;
	ck_assert_int_eq(write_both("before", SECRETFILE_NEW), 0);
	ck_assert_int_eq(write_both("more", SECRETFILE_NEW), ERR_CLOSED);
	ck_assert_str_eq(content(two), "before");
	ck_assert_int_eq(write_both("after", SECRETFILE_REPLACE), 0);
	ck_assert_str_eq(content(one), "after");
	ck_assert_str_eq(content(two), "after");
	ck_assert_uint_eq(entries(false), 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("secretfile");
	TCase *tc = tcase_create("together");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, all_are_new_or_none_is_there);
	tcase_add_test(tc, all_are_replaced_or_none);
	tcase_add_test(tc, what_is_in_the_way_of_one_saves_the_other);
	tcase_add_test(tc, a_file_system_that_cannot_exchange_will_do);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
