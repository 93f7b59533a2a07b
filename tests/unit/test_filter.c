/* What the filter of system calls kills, and what it must not stand in the way of. */
#include "daemon/filter.h"

#include "base/err.h"
#include "unit/child.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/cloudbus-filter.XXXXXX";
static char inside[sizeof folder + 8];

/* --- what is killed ------------------------------------------------------------------------ */

static void do_execve(void)
{
	char *const argv[] = {(char *)(uintptr_t) "true", NULL};
	execve("/bin/true", argv, argv + 1);
}

static void do_fork(void)
{
	if (fork() == 0)
		_exit(0);
}

static void do_ptrace(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void do_open_to_write(void)
{
	open("/dev/null", O_WRONLY);
}

static void do_open_to_read_and_write(void)
{
	open("/dev/null", O_RDWR);
}

static void do_create(void)
{
	open(inside, O_RDONLY | O_CREAT, 0600);
}

static void do_truncate(void)
{
	open("/dev/null", O_RDONLY | O_TRUNC);
}

static void do_code(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void do_mprotect_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static void do_raw_socket(void)
{
	socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static void do_packet_socket(void)
{
	socket(AF_PACKET, SOCK_DGRAM, 0);
}

static void do_netlink_socket(void)
{
	socket(AF_NETLINK, SOCK_DGRAM, 0);
}

static void do_kill(void)
{
	kill(getppid(), 0);
}

static void do_tgkill_of_others(void)
{
	syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static void do_setuid(void)
{
	syscall(SYS_setuid, 0);
}

static void do_prctl(void)
{
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void do_setrlimit(void)
{
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
}

static void do_rename(void)
{
	rename("/tmp/no-such-file", "/tmp/no-such-file-either");
}

static void do_chmod(void)
{
	chmod("/tmp/no-such-file", 0777);
}

static void do_mount(void)
{
	mount("none", "/tmp/no-such-folder", "tmpfs", 0, NULL);
}

static void do_type_into_the_terminal(void)
{
	char c = 'x';
	ioctl(0, TIOCSTI, &c);
}

static void do_signal_owner(void)
{
	fcntl(0, F_SETOWN, getpid());
}

static void do_perf(void)
{
	struct perf_event_attr attr = {.size = sizeof attr};
	syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static void do_uring(void)
{
	syscall(SYS_io_uring_setup, 1, NULL);
}

static void do_no_call_at_all(void)
{
	syscall(4095);
}

static const struct {
	const char *name;
	void (*act)(void);
} killed[] = {
	{"execve", do_execve},
	{"fork", do_fork},
	{"ptrace", do_ptrace},
	{"open to write", do_open_to_write},
	{"open to read and write", do_open_to_read_and_write},
	{"create", do_create},
	{"truncate", do_truncate},
	{"mmap of code", do_code},
	{"mprotect to code", do_mprotect_code},
	{"raw socket", do_raw_socket},
	{"packet socket", do_packet_socket},
	{"netlink socket", do_netlink_socket},
	{"kill", do_kill},
	{"tgkill of others", do_tgkill_of_others},
	{"setuid", do_setuid},
	{"prctl", do_prctl},
	{"setrlimit", do_setrlimit},
	{"rename", do_rename},
	{"chmod", do_chmod},
	{"mount", do_mount},
	{"TIOCSTI", do_type_into_the_terminal},
	{"F_SETOWN", do_signal_owner},
	{"perf", do_perf},
	{"io_uring", do_uring},
	{"no such call", do_no_call_at_all},
};

static int act_freely(const void *ctx)
{
	void (*const *act)(void) = ctx;
	(*act)();
	return 0;
}

static int act_filtered(const void *ctx)
{
	CHILD_EXPECT(filter_install() == 0);
	return act_freely(ctx);
}

START_TEST(what_the_program_does_not_do_kills_it)
{
	/* Without the filter it does not: the filter is what is tested. */
	ck_assert_msg(child_run(act_freely, &killed[_i].act) == 0, "%s, unfiltered: failed",
		killed[_i].name);
	(void)unlink(inside);
	int status = child_run(act_filtered, &killed[_i].act);
	ck_assert_msg(status == -SIGSYS, "%s: ended with %d, not SIGSYS", killed[_i].name, status);
}
END_TEST

/* --- what goes on -------------------------------------------------------------------------- */

static int keep_keys(const void *ctx)
{
	(void)ctx;
	CHILD_EXPECT(filter_install() == 0);
	unsigned char *key = sodium_malloc(32); /* maps, protects, locks */
	CHILD_EXPECT(key != NULL);
	randombytes_buf(key, 32);
	CHILD_EXPECT(sodium_mprotect_readonly(key) == 0);
	CHILD_EXPECT(sodium_mprotect_noaccess(key) == 0);
	sodium_free(key);
	unsigned char here[64];
	(void)sodium_mlock(here, sizeof here);
	(void)sodium_munlock(here, sizeof here);
	return 0;
}

static int use_sockets(const void *ctx)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct stat st;
	char byte = 'x';
	int fd[2], copy[2];
	(void)ctx;
	strcpy(un.sun_path, inside);
	CHILD_EXPECT(filter_install() == 0);
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CHILD_EXPECT(bind(l, (struct sockaddr *)&un, sizeof un) == 0 && listen(l, 1) == 0);
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHILD_EXPECT(dir >= 0 && flock(dir, LOCK_EX | LOCK_NB) == 0);
	int c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHILD_EXPECT(connect(c, (struct sockaddr *)&un, sizeof un) == 0);
	int s = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	CHILD_EXPECT(s >= 0 && send(c, &byte, 1, MSG_NOSIGNAL) == 1);
	CHILD_EXPECT(pipe2(fd, O_NONBLOCK | O_CLOEXEC) == 0);
	CHILD_EXPECT(fcntl(fd[1], F_SETPIPE_SZ, 65536) > 0 && fcntl(fd[1], F_GETPIPE_SZ) > 0);
	CHILD_EXPECT(splice(s, NULL, fd[1], NULL, 1, SPLICE_F_NONBLOCK) == 1);
	CHILD_EXPECT(pipe2(copy, O_NONBLOCK | O_CLOEXEC) == 0);
	CHILD_EXPECT(tee(fd[0], copy[1], 1, SPLICE_F_NONBLOCK) == 1);
	CHILD_EXPECT(read(fd[0], &byte, 1) == 1 && shutdown(c, SHUT_WR) == 0);
	CHILD_EXPECT(lstat(inside, &st) == 0 && S_ISSOCK(st.st_mode) && unlink(inside) == 0);
	CHILD_EXPECT(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0 || errno == EAFNOSUPPORT);
	int loop = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	CHILD_EXPECT(loop >= 0 && epoll_ctl(loop, EPOLL_CTL_ADD, c, &event) == 0);
	CHILD_EXPECT(epoll_wait(loop, &event, 1, 0) >= 0);
	return 0;
}

static int use_the_library(const void *ctx)
{
	char name[IF_NAMESIZE], line[256];
	struct rlimit limit;
	struct timespec ts, blink = {.tv_nsec = 1};
	(void)ctx;
	CHILD_EXPECT(filter_install() == 0);
	FILE *f = fopen("/etc/passwd", "re");
	CHILD_EXPECT(f != NULL && fgets(line, sizeof line, f) != NULL && fclose(f) == 0);
	for (size_t n = 1; n < (size_t)64 << 20; n *= 4) {
		void *p = malloc(n), *q = realloc(p, n * 3);
		CHILD_EXPECT(q != NULL);
		free(q);
	}
	CHILD_EXPECT(if_indextoname(1, name) == name || errno == ENXIO);
	CHILD_EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	/* as in a machine whose vDSO has no clock */
	CHILD_EXPECT(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts) == 0);
	CHILD_EXPECT(gethostname(line, sizeof line) == 0 && nanosleep(&blink, NULL) == 0);
	CHILD_EXPECT(sysconf(_SC_PHYS_PAGES) > 0);
	fprintf(stderr, "%s", "");
	exit(7); /* runs what was registered for the end */
}

static int give_up(const void *ctx)
{
	(void)ctx;
	CHILD_EXPECT(filter_install() == 0);
	abort();
}

START_TEST(what_it_does_goes_on)
{
	ck_assert_int_eq(child_run(keep_keys, NULL), 0);
	ck_assert_int_eq(child_run(use_sockets, NULL), 0);
	ck_assert_int_eq(child_run(use_the_library, NULL), 7);
	ck_assert_int_eq(child_run(give_up, NULL), -SIGABRT);
}
END_TEST

static int is_there(const void *ctx)
{
	(void)ctx;
	int rc = filter_install();
	return rc == 0 ? 0 : rc != ERR_NOTFOUND ? 3 : errno == 0 ? 1 : 2;
}

int main(void)
{
	if (CHILD_SANITIZED)
		return child_skip("built with sanitizers, whose calls it does not know");
	int there = child_run(is_there, NULL);
	if (there == 1)
		return child_skip("built without libseccomp");
	if (there == 2)
		return child_skip("this kernel has no seccomp filter");
	if (mkdtemp(folder) == NULL || sodium_init() < 0)
		return EXIT_FAILURE;
	snprintf(inside, sizeof inside, "%s/socket", folder);
	Suite *s = suite_create("filter");
	TCase *t = tcase_create("calls");
	tcase_add_loop_test(t, what_the_program_does_not_do_kills_it, 0,
		(int)(sizeof killed / sizeof killed[0]));
	tcase_add_test(t, what_it_does_goes_on);
	suite_add_tcase(s, t);
	int status = unit_main(s);
	(void)unlink(inside);
	(void)rmdir(folder);
	return status;
}
