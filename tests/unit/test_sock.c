#include "net/sock.h"

#include "base/clock.h"
#include "base/err.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE = 60000 }; /* milliseconds until a test gives up */

static void ip(struct addr *a, const char *text, uint16_t port)
{
	ck_assert_int_eq(addr_from_literal(a, text, strlen(text), port), 0);
}

static void listen_tcp(struct sock_listener *l, const char *text)
{
	struct addr a;
	ip(&a, text, 0);
	ck_assert_int_eq(sock_listen(l, &a, 16), 0);
	ck_assert_uint_ne(addr_port(&l->addr), 0);
}

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	ck_assert_int_eq(poll(&p, 1, PATIENCE), 1);
}

static int accept_one(int listener)
{
	int fd = -1;
	wait_for(listener, POLLIN);
	ck_assert_int_eq(sock_accept(listener, &fd, NULL), SOCK_ACCEPTED);
	return fd;
}

static int connect_to(const struct addr *a)
{
	int fd, rc = sock_connect(a, &fd);
	if (rc == ERR_AGAIN) {
		wait_for(fd, POLLOUT);
		rc = sock_connected(fd);
	}
	ck_assert_int_eq(rc, 0);
	return fd;
}

/* A connected TCP pair: [0] connected, [1] accepted. */
static void tcp_pair(int fd[2])
{
	struct sock_listener l;
	listen_tcp(&l, "127.0.0.1");
	fd[0] = connect_to(&l.addr);
	fd[1] = accept_one(l.fd);
	close(l.fd);
}

static int get_int(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof v;
	ck_assert_int_eq(getsockopt(fd, level, name, &v, &len), 0);
	return v;
}

static void check_options(int fd)
{
	struct linger linger = {0};
	socklen_t len = sizeof linger;
	ck_assert_int_ne(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_ne(get_int(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_ne(get_int(fd, SOL_SOCKET, SO_OOBINLINE), 0);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len), 0);
	ck_assert_int_ne(linger.l_onoff, 0);
	ck_assert_int_eq(linger.l_linger, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
}

START_TEST(accepted_and_connected_sockets_have_all_options)
{
	static const char *const hosts[] = {"127.0.0.1", "::1"};
	for (size_t i = 0; i < (unit_has_ipv6() ? 2 : 1); i++) {
		struct sock_listener l;
		listen_tcp(&l, hosts[i]);
		int a = connect_to(&l.addr), b = accept_one(l.fd);
		check_options(l.fd);
		check_options(a);
		check_options(b);
		close(a);
		close(b);
		close(l.fd);
	}
}
END_TEST

static const char *congestion(int fd)
{
	static char name[16];
	socklen_t len = sizeof name;
	memset(name, 0, sizeof name);
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
	return name;
}

START_TEST(nothing_is_paced_on_loopback_and_elsewhere_the_system_decides)
{
	static const char *const hosts[] = {"127.0.0.1", "127.255.0.9", "::1"};
	struct sock_listener l;
	struct addr any;
	char system[16];
	for (size_t i = 0; i < (unit_has_ipv6() ? 3 : 2); i++) {
		listen_tcp(&l, hosts[i]);
		int a = connect_to(&l.addr), b = accept_one(l.fd);
		ck_assert_str_eq(congestion(l.fd), "reno");
		ck_assert_str_eq(congestion(a), "reno");
		ck_assert_str_eq(congestion(b), "reno");
		close(a);
		close(b);
		close(l.fd);
	}
	int fresh = socket(AF_INET, SOCK_STREAM, 0);
	memcpy(system, congestion(fresh), sizeof system);
	ip(&any, "0.0.0.0", 0);
	ck_assert_int_eq(sock_listen(&l, &any, 4), 0);
	ck_assert_str_eq(congestion(l.fd), system);
	close(fresh);
	close(l.fd);
}
END_TEST

START_TEST(wildcards_of_both_families_share_a_port)
{
	struct sock_listener v6, v4;
	struct addr a;
	int rc;
	if (!unit_has_ipv6())
		return;
	/* The port is free for IPv6; another program may have it for IPv4. */
	for (int tries = 0;; tries++) {
		ck_assert_int_lt(tries, 100);
		ip(&a, "::", 0);
		ck_assert_int_eq(sock_listen(&v6, &a, 4), 0);
		ip(&a, "0.0.0.0", addr_port(&v6.addr));
		rc = sock_listen(&v4, &a, 4);
		if (rc == 0)
			break;
		ck_assert_int_eq(errno, EADDRINUSE);
		close(v6.fd);
	}
	close(v6.fd);
	close(v4.fd);
}
END_TEST

START_TEST(a_port_in_use_is_refused)
{
	struct sock_listener l, other;
	listen_tcp(&l, "127.0.0.1");
	ck_assert_int_eq(sock_listen(&other, &l.addr, 4), ERR_SYS);
	ck_assert_int_eq(errno, EADDRINUSE);
	close(l.fd);
}
END_TEST

START_TEST(a_port_can_be_bound_again_while_old_connections_linger)
{
	struct sock_listener l, again;
	listen_tcp(&l, "127.0.0.1");
	int a = connect_to(&l.addr), b = accept_one(l.fd);
	close(l.fd);
	ck_assert_int_eq(sock_linger_off(b), 0);
	close(b); /* our side closes first, so its port goes into FIN_WAIT, then TIME_WAIT */
	ck_assert_int_eq(sock_listen(&again, &l.addr, 4), 0);
	close(again.fd);
	close(a);
}
END_TEST

/* --- connecting ------------------------------------------------------------------------ */

START_TEST(a_refused_connection_says_so)
{
	struct addr a;
	int fd, bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* It never listens, and nobody else is given the port. */
	ip(&a, "127.0.0.1", 0);
	ck_assert_int_eq(bind(bound, &a.sa, a.len), 0);
	ck_assert_int_eq(sock_local_name(bound, &a), 0);
	ck_assert_int_eq(sock_connect(&a, &fd), ERR_AGAIN);
	wait_for(fd, POLLOUT);
	ck_assert_int_eq(sock_connected(fd), ERR_SYS);
	ck_assert_int_eq(errno, ECONNREFUSED);
	close(fd);
	close(bound);
}
END_TEST

START_TEST(a_socket_that_met_itself_is_refused)
{
	struct addr a;
	ip(&a, "127.0.0.1", 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, &a.sa, a.len), 0);
	ck_assert_int_eq(sock_local_name(fd, &a), 0);
	if (connect(fd, &a.sa, a.len) != 0)
		ck_assert_int_eq(errno, EINPROGRESS);
	wait_for(fd, POLLOUT);
	ck_assert_int_eq(sock_connected(fd), ERR_SYS);
	ck_assert_int_eq(errno, ECONNREFUSED);
	close(fd);
}
END_TEST

START_TEST(an_unfinished_connection_is_not_decided)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(sock_connected(fd), ERR_AGAIN);
	close(fd);
	ck_assert_int_eq(sock_connected(fd), ERR_SYS);
	ck_assert_int_eq(errno, EBADF);
}
END_TEST

START_TEST(names_of_both_ends)
{
	struct addr local, peer;
	int fd[2];
	tcp_pair(fd);
	ck_assert_int_eq(sock_local_name(fd[0], &local), 0);
	ck_assert_int_eq(sock_peer_name(fd[1], &peer), 0);
	ck_assert(addr_equal(&local, &peer));
	close(fd[0]);
	close(fd[1]);
	ck_assert_int_eq(sock_peer_name(fd[1], &peer), ERR_SYS);
}
END_TEST

START_TEST(case_36_no_descriptor_left_for_a_connection)
{
	struct rlimit saved, none;
	struct addr a;
	int fd;
	ip(&a, "127.0.0.1", 9);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &saved), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = saved.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	int rc = sock_connect(&a, &fd), error = errno;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &saved), 0);
	ck_assert_int_eq(rc, ERR_SYS);
	ck_assert_int_eq(error, EMFILE);
}
END_TEST

/* --- accepting ------------------------------------------------------------------------- */

START_TEST(an_empty_queue_says_so_and_the_peer_is_named)
{
	struct sock_listener l;
	struct addr peer, local;
	int fd;
	listen_tcp(&l, "127.0.0.1");
	ck_assert_int_eq(sock_accept(l.fd, &fd, NULL), SOCK_EMPTY);
	int a = connect_to(&l.addr);
	wait_for(l.fd, POLLIN);
	ck_assert_int_eq(sock_accept(l.fd, &fd, &peer), SOCK_ACCEPTED);
	ck_assert_int_eq(sock_local_name(a, &local), 0);
	ck_assert(addr_equal(&peer, &local));
	close(a);
	close(fd);
	close(l.fd);
	ck_assert_int_eq(sock_accept(l.fd, &fd, NULL), SOCK_BROKEN);
}
END_TEST

/* It accepts first and looks at the limit then, which no kernel does. */
static bool under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");
	return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

START_TEST(case_35_without_descriptors_the_queue_is_unchanged)
{
	struct rlimit saved, none;
	struct sock_listener l;
	int fd;
	listen_tcp(&l, "127.0.0.1");
	int a = connect_to(&l.addr);
	wait_for(l.fd, POLLIN);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &saved), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = saved.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	enum sock_accepted got = sock_accept(l.fd, &fd, NULL);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &saved), 0);
	ck_assert_int_eq(got, SOCK_NO_ROOM);
	if (!under_valgrind())
		close(accept_one(l.fd));
	close(a);
	close(l.fd);
}
END_TEST

START_TEST(case_38_errors_of_accept_are_told_apart)
{
	static const int retry[] = {ECONNABORTED, EINTR, EPROTO, ENETDOWN, EHOSTUNREACH, EPERM};
	static const int no_room[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
	static const int broken[] = {EBADF, EINVAL, ENOTSOCK};
	for (size_t i = 0; i < sizeof retry / sizeof *retry; i++)
		ck_assert_int_eq(sock_accept_failure(retry[i]), SOCK_RETRY);
	for (size_t i = 0; i < sizeof no_room / sizeof *no_room; i++)
		ck_assert_int_eq(sock_accept_failure(no_room[i]), SOCK_NO_ROOM);
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
		ck_assert_int_eq(sock_accept_failure(broken[i]), SOCK_BROKEN);
	ck_assert_int_eq(sock_accept_failure(EAGAIN), SOCK_EMPTY);
}
END_TEST

/* --- Unix paths ------------------------------------------------------------------------ */

static char dir[64], path[96];

static void make_dir(void)
{
	strcpy(dir, "/tmp/cb-test-sock-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/s", dir);
}

static void remove_dir(void)
{
	(void)unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void unix_addr(struct addr *a)
{
	ck_assert_int_eq(addr_from_unix(a, path, strlen(path), false), 0);
}

START_TEST(case_52_a_stale_socket_file_is_replaced)
{
	struct sock_listener l;
	struct addr a;
	unix_addr(&a);
	ck_assert_int_eq(sock_listen(&l, &a, 4), 0);
	ck_assert_uint_ne(l.ino, 0);
	close(l.fd); /* as a crash would leave it */
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_int_eq(sock_listen(&l, &a, 4), 0);
	int c = connect_to(&a), s = accept_one(l.fd);
	close(c);
	close(s);
	sock_unlink(&l);
	close(l.fd);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(case_52_a_live_socket_is_refused_and_left_alone)
{
	struct sock_listener l, other;
	struct addr a;
	unix_addr(&a);
	ck_assert_int_eq(sock_listen(&l, &a, 4), 0);
	ck_assert_int_eq(sock_listen(&other, &a, 4), ERR_SYS);
	ck_assert_int_eq(errno, EADDRINUSE);
	int c = connect_to(&a);
	close(c);
	sock_unlink(&l);
	close(l.fd);
}
END_TEST

START_TEST(case_52_a_live_socket_with_a_full_queue_is_refused_too)
{
	struct sock_listener l, other;
	struct addr a;
	int fd[8], n = 0;
	unix_addr(&a);
	ck_assert_int_eq(sock_listen(&l, &a, 0), 0);
	while (sock_connect(&a, &fd[n]) == 0)
		ck_assert_int_lt(++n, 8);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(sock_listen(&other, &a, 4), ERR_SYS);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert_int_eq(access(path, F_OK), 0);
	while (n > 0)
		close(fd[--n]);
	sock_unlink(&l);
	close(l.fd);
}
END_TEST

START_TEST(case_52_what_is_no_socket_is_never_removed)
{
	struct sock_listener l;
	struct addr a;
	struct stat st;
	unix_addr(&a);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	ck_assert_int_eq(sock_listen(&l, &a, 4), ERR_SYS);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("/nowhere", path), 0);
	ck_assert_int_eq(sock_listen(&l, &a, 4), ERR_SYS);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
}
END_TEST

START_TEST(only_our_own_socket_file_is_unlinked)
{
	struct sock_listener mine, other;
	struct addr a;
	unix_addr(&a);
	ck_assert_int_eq(sock_listen(&mine, &a, 4), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(sock_listen(&other, &a, 4), 0);
	sock_unlink(&mine);
	ck_assert_int_eq(access(path, F_OK), 0);
	sock_unlink(&other);
	ck_assert_int_ne(access(path, F_OK), 0);
	close(mine.fd);
	close(other.fd);
}
END_TEST

START_TEST(a_missing_directory_is_an_error)
{
	struct sock_listener l;
	struct addr a;
	ck_assert_int_eq(addr_from_unix(&a, "/nowhere/at/all", 15, false), 0);
	ck_assert_int_eq(sock_listen(&l, &a, 4), ERR_SYS);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(abstract_names_listen_and_connect)
{
	struct sock_listener l, other;
	struct addr a;
	char name[64];
	snprintf(name, sizeof name, "cb-test-sock-%d", (int)getpid());
	ck_assert_int_eq(addr_from_unix(&a, name, strlen(name), true), 0);
	ck_assert_int_eq(sock_listen(&l, &a, 4), 0);
	ck_assert_uint_eq(l.ino, 0);
	ck_assert_int_eq(sock_listen(&other, &a, 4), ERR_SYS);
	ck_assert_int_eq(errno, EADDRINUSE);
	int c = connect_to(&a), s = accept_one(l.fd);
	sock_unlink(&l);
	close(c);
	close(s);
	close(l.fd);
}
END_TEST

/* --- what the kernel tells ------------------------------------------------------------- */

START_TEST(close_aborts_until_linger_is_off)
{
	char byte;
	int fd[2];
	tcp_pair(fd);
	close(fd[0]);
	wait_for(fd[1], POLLIN);
	ck_assert_int_eq(sock_error(fd[1]), ECONNRESET);
	ck_assert_int_eq(sock_error(fd[1]), 0);
	close(fd[1]);
	tcp_pair(fd);
	ck_assert_int_eq(sock_linger_off(fd[0]), 0);
	close(fd[0]);
	wait_for(fd[1], POLLIN);
	ck_assert_int_eq(recv(fd[1], &byte, 1, 0), 0);
	ck_assert_int_eq(sock_error(fd[1]), 0);
	close(fd[1]);
}
END_TEST

START_TEST(an_urgent_byte_stays_in_line)
{
	char got[4] = {0};
	int fd[2];
	tcp_pair(fd);
	ck_assert_int_eq(send(fd[0], "a", 1, 0), 1);
	ck_assert_int_eq(send(fd[0], "b", 1, MSG_OOB), 1);
	ck_assert_int_eq(send(fd[0], "c", 1, 0), 1);
	for (int n = 0; n < 3;) {
		wait_for(fd[1], POLLIN);
		ssize_t r = recv(fd[1], got + n, (size_t)(3 - n), 0);
		ck_assert_int_gt(r, 0);
		n += (int)r;
	}
	ck_assert_str_eq(got, "abc");
	close(fd[0]);
	close(fd[1]);
}
END_TEST

static size_t fill(int fd)
{
	static const char chunk[65536];
	size_t total = 0;
	for (ssize_t n; (n = send(fd, chunk, sizeof chunk, 0)) > 0;)
		total += (size_t)n;
	ck_assert_int_eq(errno, EAGAIN);
	return total;
}

static void drain(int from, int to, size_t total)
{
	static char chunk[65536];
	while (total > 0) {
		wait_for(to, POLLIN);
		ssize_t n = recv(to, chunk, sizeof chunk, 0);
		ck_assert_int_gt(n, 0);
		total -= (size_t)n;
	}
	uint64_t until = clock_now() + PATIENCE * CLOCK_MS;
	while (sock_queued_out(from) != 0)
		ck_assert_uint_lt(clock_now(), until);
}

START_TEST(queued_out_counts_down_to_nothing)
{
	int fd[2];
	tcp_pair(fd);
	ck_assert_int_eq(sock_queued_out(fd[0]), 0);
	size_t total = fill(fd[0]);
	ck_assert_int_gt(sock_queued_out(fd[0]), 0);
	drain(fd[0], fd[1], total);
	close(fd[0]);
	close(fd[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	ck_assert_int_eq(sock_queued_out(fd[0]), 0);
	total = fill(fd[0]);
	ck_assert_int_gt(sock_queued_out(fd[0]), 0);
	drain(fd[0], fd[1], total);
	close(fd[0]);
	close(fd[1]);
	ck_assert_int_eq(sock_queued_out(fd[0]), -1);
}
END_TEST

START_TEST(path_and_low_water_mark)
{
	struct sock_path p;
	int fd[2];
	tcp_pair(fd);
	drain(fd[0], fd[1], fill(fd[0]));
	ck_assert_int_eq(sock_path(fd[0], &p), 0);
	ck_assert_uint_gt(p.rtt, 0);
	ck_assert_uint_le(p.min_rtt, p.rtt);
	ck_assert_uint_gt(p.delivery_rate, 0);
	ck_assert_uint_eq(p.notsent, 0);
	ck_assert_int_eq(sock_notsent_lowat(fd[0], 16384), 0);
	ck_assert_int_eq(get_int(fd[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT), 16384);
	ck_assert_int_eq(sock_notsent_lowat(fd[0], 0), 0);
	close(fd[0]);
	close(fd[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	ck_assert_int_eq(sock_path(fd[0], &p), ERR_SYS);
	ck_assert_int_eq(sock_notsent_lowat(fd[0], 1), ERR_SYS);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sock");
	TCase *t = tcase_create("tcp");
	tcase_add_test(t, accepted_and_connected_sockets_have_all_options);
	tcase_add_test(t, nothing_is_paced_on_loopback_and_elsewhere_the_system_decides);
	tcase_add_test(t, wildcards_of_both_families_share_a_port);
	tcase_add_test(t, a_port_in_use_is_refused);
	tcase_add_test(t, a_port_can_be_bound_again_while_old_connections_linger);
	tcase_add_test(t, a_refused_connection_says_so);
	tcase_add_test(t, a_socket_that_met_itself_is_refused);
	tcase_add_test(t, an_unfinished_connection_is_not_decided);
	tcase_add_test(t, names_of_both_ends);
	tcase_add_test(t, case_36_no_descriptor_left_for_a_connection);
	tcase_add_test(t, an_empty_queue_says_so_and_the_peer_is_named);
	tcase_add_test(t, case_35_without_descriptors_the_queue_is_unchanged);
	tcase_add_test(t, case_38_errors_of_accept_are_told_apart);
	tcase_add_test(t, close_aborts_until_linger_is_off);
	tcase_add_test(t, an_urgent_byte_stays_in_line);
	tcase_add_test(t, queued_out_counts_down_to_nothing);
	tcase_add_test(t, path_and_low_water_mark);
	suite_add_tcase(s, t);
	t = tcase_create("unix");
	tcase_add_checked_fixture(t, make_dir, remove_dir);
	tcase_add_test(t, case_52_a_stale_socket_file_is_replaced);
	tcase_add_test(t, case_52_a_live_socket_is_refused_and_left_alone);
	tcase_add_test(t, case_52_a_live_socket_with_a_full_queue_is_refused_too);
	tcase_add_test(t, case_52_what_is_no_socket_is_never_removed);
	tcase_add_test(t, only_our_own_socket_file_is_unlinked);
	tcase_add_test(t, a_missing_directory_is_an_error);
	tcase_add_test(t, abstract_names_listen_and_connect);
	suite_add_tcase(s, t);
	return unit_main(s);
}
