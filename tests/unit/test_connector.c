#include "net/connector.h"

#include "base/err.h"
#include "net/sock.h"
#include "unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE (10 * CLOCK_SEC)

static struct unit_mem m;
static struct loop *loop;
static int fds_before;

static int count_fds(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void setup(void)
{
	fds_before = count_fds();
	unit_mem_init(&m);
	loop = loop_new(&m.mem);
	ck_assert_ptr_nonnull(loop);
}

static void teardown(void)
{
	loop_free(loop);
	ck_assert_uint_eq(m.live, 0);
	ck_assert_int_eq(count_fds(), fds_before);
}

static void ip(struct addr *a, const char *text, uint16_t port)
{
	ck_assert_int_eq(addr_from_literal(a, text, strlen(text), port), 0);
}

/* Of the other family, where there is one. */
static const char *other_loopback(void)
{
	return unit_has_ipv6() ? "::1" : "127.0.0.2";
}

static int listen_on(struct addr *a, const char *text, int backlog)
{
	struct sock_listener l;
	ip(a, text, 0);
	ck_assert_int_eq(sock_listen(&l, a, backlog), 0);
	*a = l.addr;
	return l.fd;
}

/* An address that refuses: bound, so that nobody gets it, and not listening. */
static int refuse_on(struct addr *a, const char *text)
{
	ip(a, text, 0);
	int fd = socket(addr_family(a), SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, &a->sa, a->len), 0);
	ck_assert_int_eq(sock_local_name(fd, a), 0);
	return fd;
}

/* An address that does not answer: a listener whose queue is full drops SYNs. */
struct hole {
	int fd[2];
	int n;
	struct addr addr;
};

/* Those that a listener has not accepted yet are as many as it lets wait, and one. */
static bool is_full(int listener)
{
	struct tcp_info info;
	socklen_t n = sizeof info;
	ck_assert_int_eq(getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
	return info.tcpi_unacked > info.tcpi_sacked;
}

static void hole_open(struct hole *h, const char *text)
{
	h->fd[0] = listen_on(&h->addr, text, 0);
	ck_assert(!is_full(h->fd[0]));
	ck_assert_int_eq(sock_connect(&h->addr, &h->fd[1]), ERR_AGAIN);
	h->n = 2;
	for (uint64_t until = clock_now() + PATIENCE; !is_full(h->fd[0]);)
		ck_assert_uint_lt(clock_now(), until);
}

static void hole_close(struct hole *h)
{
	while (h->n > 0)
		close(h->fd[--h->n]);
}

/* --- one connector and what became of it ----------------------------------------------- */

struct probe {
	struct connector c;
	struct connector_result result;
	unsigned calls;
	uint64_t began, took;
};

static void on_done(struct connector *c, const struct connector_result *result)
{
	struct probe *p = container_of(c, struct probe, c);
	ck_assert(!connector_busy(c));
	p->calls++;
	p->result = *result;
	p->took = clock_now() - p->began;
}

static int start_for(struct probe *p, const struct addr *addrs, size_t n, uint64_t timeout)
{
	struct connector_options opt = {.addrs = addrs, .n = n, .timeout = timeout, .mem = &m.mem};
	*p = (struct probe){.calls = 0};
	ck_assert_int_eq(loop_turn(loop, clock_now()), 0); /* loop_now() is now */
	p->began = clock_now();
	return connector_start(&p->c, loop, &opt, on_done);
}

static void run(struct probe *p, const struct addr *addrs, size_t n, uint64_t timeout)
{
	uint64_t until = clock_now() + PATIENCE;
	ck_assert_int_eq(start_for(p, addrs, n, timeout), 0);
	ck_assert_uint_eq(p->calls, 0);
	ck_assert(connector_busy(&p->c));
	while (p->calls == 0) {
		ck_assert_uint_lt(clock_now(), until);
		ck_assert_int_eq(loop_turn(loop, until), 0);
	}
	ck_assert_int_eq(loop_turn(loop, clock_now()), 0);
	ck_assert_uint_eq(p->calls, 1);
}

START_TEST(connects_to_the_one_that_listens)
{
	const char *const hosts[] = {"127.0.0.1", other_loopback()};
	for (size_t i = 0; i < 2; i++) {
		struct addr a, peer;
		struct probe p;
		int l = listen_on(&a, hosts[i], 4);
		run(&p, &a, 1, PATIENCE);
		ck_assert_int_eq(p.result.err, 0);
		ck_assert_uint_eq(p.result.index, 0);
		ck_assert_uint_eq(p.result.failed | p.result.unanswered, 0);
		ck_assert_int_eq(sock_peer_name(p.result.fd, &peer), 0);
		ck_assert(addr_equal(&peer, &a));
		close(p.result.fd);
		close(l);
	}
}
END_TEST

START_TEST(a_refusal_moves_on_at_once)
{
	struct addr a[3];
	struct probe p;
	int r0 = refuse_on(&a[0], other_loopback()), r1 = refuse_on(&a[1], "127.0.0.1");
	int l = listen_on(&a[2], "127.0.0.1", 4);
	run(&p, a, 3, PATIENCE);
	ck_assert_int_eq(p.result.err, 0);
	ck_assert_uint_eq(p.result.index, 2);
	ck_assert_uint_eq(p.result.failed, 3);
	ck_assert_int_eq(p.result.sys, ECONNREFUSED);
	ck_assert_uint_lt(p.took, CONNECTOR_STAGGER);
	close(p.result.fd);
	close(l);
	close(r0);
	close(r1);
}
END_TEST

START_TEST(all_refuse)
{
	struct addr a[2];
	struct probe p;
	int r0 = refuse_on(&a[0], other_loopback()), r1 = refuse_on(&a[1], "127.0.0.1");
	run(&p, a, 2, PATIENCE);
	ck_assert_int_eq(p.result.err, ERR_SYS);
	ck_assert_int_eq(p.result.sys, ECONNREFUSED);
	ck_assert_int_eq(p.result.fd, -1);
	ck_assert_uint_eq(p.result.failed, 3);
	close(r0);
	close(r1);
}
END_TEST

START_TEST(case_44_black_holed_aaaa_beside_a_good_a)
{
	struct hole h;
	struct addr a[2];
	struct probe p;
	hole_open(&h, other_loopback());
	a[0] = h.addr;
	int l = listen_on(&a[1], "127.0.0.1", 16);
	run(&p, a, 2, PATIENCE);
	ck_assert_int_eq(p.result.err, 0);
	ck_assert_uint_eq(p.result.index, 1);
	ck_assert_uint_eq(p.result.failed, 0);
	ck_assert_uint_eq(p.result.unanswered, 1);
	ck_assert_uint_ge(p.took, CONNECTOR_STAGGER);
	close(p.result.fd);
	ck_assert_uint_lt(p.took, 300 * CLOCK_MS);
	close(l);
	hole_close(&h);
}
END_TEST

START_TEST(a_failure_after_a_black_hole_moves_on_at_once)
{
	struct hole h;
	struct addr a[3];
	struct probe p;
	hole_open(&h, "127.0.0.1");
	a[0] = h.addr;
	int r = refuse_on(&a[1], "127.0.0.1"), l = listen_on(&a[2], "127.0.0.1", 4);
	run(&p, a, 3, PATIENCE);
	ck_assert_int_eq(p.result.err, 0);
	ck_assert_uint_eq(p.result.index, 2);
	ck_assert_uint_eq(p.result.failed, 2);
	ck_assert_uint_eq(p.result.unanswered, 1);
	ck_assert_uint_lt(p.took, 2 * CONNECTOR_STAGGER);
	close(p.result.fd);
	close(l);
	close(r);
	hole_close(&h);
}
END_TEST

START_TEST(time_is_up_with_an_address_unanswered)
{
	struct hole h;
	struct addr a[2];
	struct probe p;
	hole_open(&h, "127.0.0.1");
	a[0] = h.addr;
	int r = refuse_on(&a[1], "127.0.0.1");
	run(&p, a, 2, 300 * CLOCK_MS);
	ck_assert_int_eq(p.result.err, ERR_TIMEOUT);
	ck_assert_int_eq(p.result.sys, ECONNREFUSED);
	ck_assert_uint_eq(p.result.failed, 2);
	ck_assert_uint_eq(p.result.unanswered, 1);
	ck_assert_uint_ge(p.took, 300 * CLOCK_MS);
	close(r);
	hole_close(&h);
}
END_TEST

/* --- lacks of our own ------------------------------------------------------------------ */

START_TEST(case_36_emfile_is_reported_and_nobody_is_blamed)
{
	struct rlimit saved, none;
	struct addr a[2];
	struct probe p;
	int l = listen_on(&a[0], "127.0.0.1", 4);
	a[1] = a[0];
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &saved), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = saved.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	int rc = start_for(&p, a, 2, PATIENCE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &saved), 0);
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(p.calls, 0);
	ck_assert_int_eq(loop_turn(loop, CLOCK_NEVER), 0);
	ck_assert_uint_eq(p.calls, 1);
	ck_assert_int_eq(p.result.err, ERR_SYS);
	ck_assert_int_eq(p.result.sys, EMFILE);
	ck_assert_uint_eq(p.result.failed | p.result.unanswered, 0);
	close(l);
}
END_TEST

/* In a network of its own with one ephemeral port; exits 0 when all is as it should be. */
static int use_up_ports(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	struct addr a;
	loop_free(loop); /* its epoll set is shared with the parent */
	loop = loop_new(&m.mem);
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd;
	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &ifr) != 0)
		return 77;
	int l = listen_on(&a, "127.0.0.1", 4);
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "w");
	if (f == NULL || fputs("50000 50000", f) < 0 || fclose(f) != 0)
		return 77;
	if (sock_connect(&a, &fd) != ERR_AGAIN)
		return 1;
	struct probe p;
	run(&p, &a, 1, PATIENCE);
	close(l);
	return p.result.err == ERR_SYS && p.result.sys == EADDRNOTAVAIL && p.result.failed == 0 &&
			       p.result.no_port == 1
		       ? 0
		       : 2;
}

START_TEST(case_37_eaddrnotavail_is_reported)
{
	int status;
	fflush(NULL);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
			_exit(77);
		_exit(use_up_ports());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		fprintf(stderr, "case 37 skipped: no network namespace to be had\n");
	else
		ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* --- Unix ------------------------------------------------------------------------------ */

static void abstract(struct addr *a, const char *what)
{
	char name[64];
	int n = snprintf(name, sizeof name, "cb-test-connector-%s-%d", what, (int)getpid());
	ck_assert_int_eq(addr_from_unix(a, name, (size_t)n, true), 0);
}

START_TEST(unix_addresses_connect_and_refuse)
{
	struct sock_listener l;
	struct addr a;
	struct probe p;
	abstract(&a, "plain");
	run(&p, &a, 1, PATIENCE);
	ck_assert_int_eq(p.result.err, ERR_SYS);
	ck_assert_int_eq(p.result.sys, ECONNREFUSED);
	ck_assert_uint_eq(p.result.failed, 1);
	ck_assert_int_eq(sock_listen(&l, &a, 4), 0);
	run(&p, &a, 1, PATIENCE);
	ck_assert_int_eq(p.result.err, 0);
	close(p.result.fd);
	close(l.fd);
}
END_TEST

struct full {
	struct sock_listener l;
	int fd[8], n;
};

static void fill_queue(struct full *f, const struct addr *a)
{
	f->n = 0;
	ck_assert_int_eq(sock_listen(&f->l, a, 0), 0);
	while (sock_connect(a, &f->fd[f->n]) == 0)
		ck_assert_int_lt(++f->n, 8);
	ck_assert_int_eq(errno, EAGAIN);
}

static void full_close(struct full *f)
{
	while (f->n > 0)
		close(f->fd[--f->n]);
	close(f->l.fd);
}

static void make_room(struct timer *timer);

static struct {
	struct timer timer;
	int listener, taken;
} relief = {.timer.fire = make_room};

static void make_room(struct timer *timer)
{
	(void)timer;
	ck_assert_int_eq(sock_accept(relief.listener, &relief.taken, NULL), SOCK_ACCEPTED);
}

START_TEST(a_full_unix_queue_is_waited_for)
{
	struct full f;
	struct addr a;
	struct probe p;
	abstract(&a, "full");
	fill_queue(&f, &a);
	relief.listener = f.l.fd;
	ck_assert_int_eq(loop_timer_set(loop, &relief.timer, clock_now() + 30 * CLOCK_MS), 0);
	run(&p, &a, 1, PATIENCE);
	ck_assert_int_eq(p.result.err, 0);
	ck_assert_uint_ge(p.took, 20 * CLOCK_MS);
	close(p.result.fd);
	close(relief.taken);
	full_close(&f);
}
END_TEST

START_TEST(a_full_unix_queue_times_out_without_spinning)
{
	struct full f;
	struct addr a;
	struct probe p;
	unsigned turns = 0;
	abstract(&a, "stuck");
	fill_queue(&f, &a);
	ck_assert_int_eq(start_for(&p, &a, 1, 200 * CLOCK_MS), 0);
	for (; p.calls == 0; turns++)
		ck_assert_int_eq(loop_turn(loop, CLOCK_NEVER), 0);
	ck_assert_int_eq(p.result.err, ERR_TIMEOUT);
	ck_assert_uint_eq(p.result.unanswered, 1);
	ck_assert_uint_lt(turns, 20);
	full_close(&f);
}
END_TEST

/* --- life and death -------------------------------------------------------------------- */

START_TEST(cancel_closes_everything_and_calls_nobody)
{
	struct hole h;
	struct addr a[2];
	struct probe p;
	int open = 0;
	hole_open(&h, "127.0.0.1");
	a[0] = h.addr;
	int l = listen_on(&a[1], "127.0.0.1", 4);
	int before = count_fds();
	/* In every turn from the start to the moment before it would be done. */
	for (unsigned turns = 0; turns < 3; turns++) {
		ck_assert_int_eq(start_for(&p, a, 2, PATIENCE), 0);
		for (unsigned i = 0; i < turns; i++)
			ck_assert_int_eq(loop_turn(loop, clock_now() + 260 * CLOCK_MS), 0);
		if (p.calls > 0) {
			close(p.result.fd);
			break;
		}
		open += count_fds() > before;
		connector_cancel(&p.c);
		connector_cancel(&p.c);
		ck_assert(!connector_busy(&p.c));
		ck_assert_int_eq(count_fds(), before);
		ck_assert_int_eq(loop_turn(loop, clock_now()), 0);
		ck_assert_uint_eq(p.calls, 0);
	}
	ck_assert_int_gt(open, 0);
	close(l);
	hole_close(&h);
}
END_TEST

START_TEST(cancel_between_success_and_done_closes_the_socket)
{
	struct sock_listener l;
	struct addr a;
	struct probe p;
	abstract(&a, "won");
	ck_assert_int_eq(sock_listen(&l, &a, 4), 0);
	int before = count_fds();
	ck_assert_int_eq(start_for(&p, &a, 1, PATIENCE), 0); /* connected on the spot */
	ck_assert_int_eq(count_fds(), before + 1);
	connector_cancel(&p.c);
	ck_assert_int_eq(count_fds(), before);
	ck_assert_int_eq(loop_turn(loop, clock_now()), 0);
	ck_assert_uint_eq(p.calls, 0);
	close(l.fd);
}
END_TEST

static unsigned freed;

static void free_in_done(struct connector *c, const struct connector_result *result)
{
	ck_assert_int_eq(result->err, 0);
	close(result->fd);
	mem_free(&m.mem, c);
	freed++;
}

START_TEST(memory_may_be_freed_inside_done)
{
	struct addr a[2];
	int l = listen_on(&a[0], "127.0.0.1", 4);
	a[1] = a[0];
	struct connector *c = mem_zalloc(&m.mem, sizeof *c);
	/* Both attempts can complete in the same turn. */
	struct connector_options opt = {
		.addrs = a, .n = 2, .timeout = PATIENCE, .stagger = 1, .mem = &m.mem};
	freed = 0;
	ck_assert_int_eq(connector_start(c, loop, &opt, free_in_done), 0);
	while (freed == 0)
		ck_assert_int_eq(loop_turn(loop, CLOCK_NEVER), 0);
	close(l);
}
END_TEST

START_TEST(the_addresses_are_copied)
{
	struct addr a;
	struct probe p;
	int l = listen_on(&a, "127.0.0.1", 4);
	ck_assert_int_eq(start_for(&p, &a, 1, PATIENCE), 0);
	memset(&a, 0xff, sizeof a);
	while (p.calls == 0)
		ck_assert_int_eq(loop_turn(loop, CLOCK_NEVER), 0);
	ck_assert_int_eq(p.result.err, 0);
	close(p.result.fd);
	close(l);
}
END_TEST

START_TEST(the_number_of_addresses_has_bounds)
{
	static struct addr a[CONNECTOR_ADDRS_MAX + 1];
	struct probe p;
	int r = refuse_on(&a[0], "127.0.0.1");
	for (size_t i = 1; i <= CONNECTOR_ADDRS_MAX; i++)
		a[i] = a[0];
	ck_assert_int_eq(start_for(&p, a, 0, PATIENCE), ERR_INVALID);
	ck_assert_int_eq(start_for(&p, a, CONNECTOR_ADDRS_MAX + 1, PATIENCE), ERR_INVALID);
	ck_assert(!connector_busy(&p.c));
	connector_cancel(&p.c);
	run(&p, a, CONNECTOR_ADDRS_MAX, PATIENCE);
	ck_assert_int_eq(p.result.err, ERR_SYS);
	ck_assert_uint_eq(p.result.failed, UINT64_MAX);
	close(r);
}
END_TEST

START_TEST(case_39_every_allocation_fails_in_turn)
{
	struct full f;
	struct addr a[2];
	abstract(&a[0], "nomem");
	fill_queue(&f, &a[0]);
	int l = listen_on(&a[1], "127.0.0.1", 64);
	for (size_t at = 1;; at++) {
		struct unit_mem mm;
		struct probe p = {.calls = 0};
		struct connector_options opt = {
			.addrs = a, .n = 2, .timeout = PATIENCE, .stagger = 1, .mem = &mm.mem};
		unit_mem_init(&mm);
		struct loop *ll = loop_new(&mm.mem);
		mm.fail_at = mm.calls + at;
		int rc = connector_start(&p.c, ll, &opt, on_done);
		while (rc == 0 && p.calls == 0)
			ck_assert_int_eq(loop_turn(ll, CLOCK_NEVER), 0);
		if (rc != 0) {
			ck_assert_int_eq(rc, ERR_NOMEM);
			ck_assert(!connector_busy(&p.c));
		} else {
			ck_assert_int_eq(p.result.err, 0);
			close(p.result.fd);
		}
		loop_free(ll);
		ck_assert_uint_eq(mm.live, 0);
		if (!mm.failed)
			break;
	}
	close(l);
	full_close(&f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("connector");
	TCase *t = tcase_create("connector");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, connects_to_the_one_that_listens);
	tcase_add_test(t, a_refusal_moves_on_at_once);
	tcase_add_test(t, all_refuse);
	tcase_add_test(t, case_44_black_holed_aaaa_beside_a_good_a);
	tcase_add_test(t, a_failure_after_a_black_hole_moves_on_at_once);
	tcase_add_test(t, time_is_up_with_an_address_unanswered);
	tcase_add_test(t, case_36_emfile_is_reported_and_nobody_is_blamed);
	tcase_add_test(t, case_37_eaddrnotavail_is_reported);
	tcase_add_test(t, unix_addresses_connect_and_refuse);
	tcase_add_test(t, a_full_unix_queue_is_waited_for);
	tcase_add_test(t, a_full_unix_queue_times_out_without_spinning);
	tcase_add_test(t, cancel_closes_everything_and_calls_nobody);
	tcase_add_test(t, cancel_between_success_and_done_closes_the_socket);
	tcase_add_test(t, memory_may_be_freed_inside_done);
	tcase_add_test(t, the_addresses_are_copied);
	tcase_add_test(t, the_number_of_addresses_has_bounds);
	tcase_add_test(t, case_39_every_allocation_fails_in_turn);
	suite_add_tcase(s, t);
	return unit_main(s);
}
