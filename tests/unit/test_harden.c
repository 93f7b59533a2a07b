/* All that the process denies itself, from a configuration. */
#include "daemon/harden.h"

#include "base/log.h"
#include "daemon/confine.h"
#include "daemon/filter.h"
#include "unit/child.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif

static char top[] = "/tmp/cloudbus-harden.XXXXXX";
static char file[64], link_to_file[64], elsewhere[64], key[64], sock[64], other_sock[64];
static struct conf *conf;

static void ignore(void *ctx, const char *message)
{
	(void)ctx;
	fprintf(stderr, "%s\n", message);
}

static void configure(const char *hardening)
{
	char text[512];
	snprintf(text, sizeof text,
		"[Cloudbus]\nhardening=%s\nidentity=../keys/node.key\n"
		"[a]\nbind=tcp://127.0.0.1:1\nserver=unix://%s\n"
		"[b]\nbind=unix://%s\nserver=tcp://127.0.0.1:2\n"
		"[c]\nbind=unix://@abstract\nserver=tcp://127.0.0.1:2\n"
		"[d]\nbind=unix:///no/such/folder/s\nserver=tcp://127.0.0.1:2\n",
		hardening, other_sock, sock);
	struct conf_source src = {.file = file, .text = text, .n = strlen(text)};
	ck_assert_int_eq(conf_parse(&conf, CONF_CONTROLLER, &src, mem_system(), ignore, NULL), 0);
}

static bool can_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool can_bind(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = bind(fd, (struct sockaddr *)&un, sizeof un) == 0;
	close(fd);
	return yes;
}

/* --- each part, seen from inside ----------------------------------------------------------- */

static int reach_files(const void *ctx)
{
	CHILD_EXPECT(harden_process(conf, ctx) == 0);
	CHILD_EXPECT(can_read(file) && can_read(link_to_file));
	CHILD_EXPECT(can_read(key) && can_read("/etc/hosts"));
	CHILD_EXPECT(!can_read("/etc/resolv.conf") == (errno == ENOENT));
	CHILD_EXPECT(!can_read("/proc/self/status") && errno == EACCES);
	CHILD_EXPECT(!can_read(elsewhere) && errno == EACCES);
	CHILD_EXPECT(can_bind(sock) && unlink(sock) == 0);
	CHILD_EXPECT(can_bind(other_sock) && unlink(other_sock) != 0 && errno == EACCES);
	return 0;
}

START_TEST(files_that_the_configuration_names_are_reached_and_no_others)
{
	configure("on");
	ck_assert_int_eq(child_run(reach_files, file), 0);
	ck_assert_int_eq(unlink(other_sock), 0);
	ck_assert_int_eq(child_run(reach_files, link_to_file), 0);
	conf_free(conf);
}
END_TEST

static int call_prctl(const void *ctx)
{
	(void)ctx;
	CHILD_EXPECT(harden_process(conf, file) == 0);
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 1;
}

START_TEST(a_call_that_the_program_does_not_make_kills_it)
{
	configure("on");
	ck_assert_int_eq(child_run(call_prctl, NULL), -SIGSYS);
	conf_free(conf);
}
END_TEST

static int stay_free(const void *ctx)
{
	(void)ctx;
	CHILD_EXPECT(harden_process(conf, file) == 0);
	(void)unlink(other_sock);
	CHILD_EXPECT(can_read("/proc/self/status") && can_bind(other_sock));
	CHILD_EXPECT(unlink(other_sock) == 0);
	CHILD_EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	CHILD_EXPECT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
	return 0;
}

START_TEST(it_can_be_turned_off)
{
	configure("off");
	ck_assert_int_eq(child_run(stay_free, NULL), 0);
	conf_free(conf);
}
END_TEST

/* --- where there is none ------------------------------------------------------------------- */

/* As an old kernel answers, or a container that knows nothing newer: to both, so. */
static void take_away(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_create_ruleset, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
	CHILD_EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHILD_EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static int go_without(const void *ctx)
{
	take_away(*(const int *)ctx);
	CHILD_EXPECT(harden_process(conf, file) == 0);
	CHILD_EXPECT(can_read(elsewhere));
	CHILD_EXPECT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	return 0;
}

START_TEST(what_is_not_there_is_said_and_left_out)
{
	static const int errors[] = {ENOSYS, EPERM};
	char line[2][128], text[1024];
	int log = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_ge(log, 0);
	configure("on");
	log_set_fd(log);
	ck_assert_int_eq(child_run(go_without, &errors[_i]), 0);
	log_set_fd(STDERR_FILENO);
	ssize_t n = pread(log, text, sizeof text - 1, 0);
	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	snprintf(line[0], sizeof line[0],
		"notice: access to files is not restricted: no Landlock here: %s\n",
		strerror(errors[_i]));
	snprintf(line[1], sizeof line[1],
		"notice: system calls are not restricted: no seccomp here: %s\n",
		strerror(errors[_i]));
	for (int i = 0; i < 2; i++)
		ck_assert_msg(strstr(text, line[i]) != NULL, "no \"%s\" in:\n%s", line[i], text);
	close(log);
	conf_free(conf);
}
END_TEST

/* --- the rest, seen from outside ----------------------------------------------------------- */

/* Whether a file of /proc/PID has the line, which blanks may follow. */
static bool has_line(pid_t pid, const char *name, const char *line)
{
	char path[64], text[256];
	bool found = false;
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	FILE *f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	while (!found && fgets(text, sizeof text, f) != NULL) {
		size_t n = strlen(line);
		found = strncmp(text, line, n) == 0 && strchr(" \n", text[n]) != NULL;
	}
	fclose(f);
	return found;
}

static _Noreturn void harden_and_wait(int said, int ask)
{
	char byte = 'x';
	/* Files of /proc are root's own where a process is not dumpable: seen of another's. */
	CHILD_EXPECT(getuid() != 0 || setresuid(65534, 65534, 65534) == 0);
	CHILD_EXPECT(harden_process(conf, file) == 0);
	CHILD_EXPECT(write(said, &byte, 1) == 1);
	_exit(read(ask, &byte, 1) == 1 ? 0 : 1);
}

START_TEST(the_kernel_confirms_it)
{
	int said[2], ask[2], status;
	char byte, path[64];
	struct stat st;
	configure("on");
	ck_assert_int_eq(pipe(said), 0);
	ck_assert_int_eq(pipe(ask), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		harden_and_wait(said[1], ask[0]);
	close(said[1]); /* so that a child that dies is not waited for */
	ck_assert_int_eq(read(said[0], &byte, 1), 1);
	ck_assert(has_line(pid, "status", "NoNewPrivs:\t1"));
	ck_assert(has_line(pid, "status", "Seccomp:\t2"));
	ck_assert(has_line(pid, "limits", "Max core file size        0                    0"));
	snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_uid, 0); /* not dumpable */
	ck_assert_int_eq(write(ask[1], "x", 1), 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(said[0]);
	close(ask[0]);
	close(ask[1]);
	conf_free(conf);
}
END_TEST

/* --- where it can be tested ---------------------------------------------------------------- */

static int has_landlock(const void *ctx)
{
	struct confine c;
	(void)ctx;
	return confine_init(&c) == 0;
}

static int has_filter(const void *ctx)
{
	(void)ctx;
	return filter_install() == 0;
}

static void make_files(void)
{
	if (mkdtemp(top) == NULL || chmod(top, 0755) != 0)
		abort();
	char folder[64];
	static const char *const folders[] = {"conf", "link", "keys", "sock", "other"};
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		snprintf(folder, sizeof folder, "%s/%s", top, folders[i]);
		if (mkdir(folder, 0755) != 0)
			abort();
	}
	snprintf(file, sizeof file, "%s/conf/x.ini", top);
	snprintf(link_to_file, sizeof link_to_file, "%s/link/x.ini", top);
	snprintf(key, sizeof key, "%s/keys/node.key", top);
	snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", top);
	snprintf(sock, sizeof sock, "%s/sock/s", top);
	snprintf(other_sock, sizeof other_sock, "%s/other/s", top);
	const char *const files[] = {file, key, elsewhere};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		int fd = open(files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0 || close(fd) != 0)
			abort();
	}
	if (symlink(file, link_to_file) != 0)
		abort();
}

static void remove_files(void)
{
	static const char *const names[] = {"conf/x.ini", "link/x.ini", "keys/node.key", "sock/s",
		"other/s", "conf", "link", "keys", "sock", "other", "elsewhere", ""};
	char path[64];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", top, names[i]);
		(void)remove(path);
	}
}

int main(void)
{
	if (CHILD_SANITIZED)
		return child_skip("built with sanitizers: nothing is hardened");
	if (child_run(has_landlock, NULL) != 1)
		return child_skip("this kernel, or this build, has no Landlock");
	if (child_run(has_filter, NULL) != 1)
		return child_skip("this kernel, or this build, has no seccomp filter");
	make_files();
	Suite *s = suite_create("harden");
	TCase *t = tcase_create("process");
	tcase_add_test(t, files_that_the_configuration_names_are_reached_and_no_others);
	tcase_add_test(t, a_call_that_the_program_does_not_make_kills_it);
	tcase_add_test(t, it_can_be_turned_off);
	tcase_add_loop_test(t, what_is_not_there_is_said_and_left_out, 0, 2);
	tcase_add_test(t, the_kernel_confirms_it);
	suite_add_tcase(s, t);
	int status = unit_main(s);
	remove_files();
	return status;
}
