/* Closed standard descriptors: what is opened next is none of them. */
#include "base/standard.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a process of its own, with those in the mask closed.  Its exit status: 0, all is well. */
static int child(unsigned closed)
{
	for (int fd = 0; fd <= 2; fd++)
		if (closed & 1u << fd)
			(void)close(fd);
	if (standard_hold() != 0)
		return 10;
	if (open("/dev/null", O_RDWR) <= 2)
		return 11;
	for (int fd = 0; fd <= 2; fd++) {
		char c = 'x';
		ssize_t n = fd == 0 ? read(fd, &c, 1) : write(fd, &c, 0);
		bool failed = n < 0 && errno == EBADF;
		if (failed != ((closed & 1u << fd) != 0))
			return 12 + fd;
	}
	return 0;
}

START_TEST(what_is_closed_stays_useless)
{
	int status = -1;
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY);
		if (null < 0 || dup2(null, STDIN_FILENO) < 0)
			_exit(20);
		(void)close(null);
		_exit(child((unsigned)_i));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("standard");
	TCase *tc = tcase_create("standard");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, what_is_closed_stays_useless, 0, 8);
	suite_add_tcase(suite, tc);
	return unit_main(suite);
}
