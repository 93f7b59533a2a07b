/*
 * Case 42: whatever pieces the kernel moves, the result is the same.
 *
 * The nodes' system calls are wrapped by the linker (-Wl,--wrap): they move fewer bytes
 * than they could, are interrupted, or say EAGAIN.  As a real short read would mean that
 * the socket is empty, each lie is followed by a new edge, as if more had come just then.
 */
#include "base/log.h"
#include "unit/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS_MAX = 1024 };

static struct {
	size_t most;         /* bytes a call moves at most; 0: as it is */
	bool random;         /* from 1 to `most` */
	unsigned interrupts; /* percent of calls */
	unsigned refuses;    /* percent of calls that say EAGAIN */
	uint64_t seed;
	unsigned lies, calls;
} fault;

/* What is in an epoll set, to raise its edge anew. */
static struct {
	int epfd;
	struct epoll_event ev;
} watched[FDS_MAX];

int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
ssize_t __real_recv(int fd, void *p, size_t n, int flags);
ssize_t __real_send(int fd, const void *p, size_t n, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_splice(int in, off_t *oi, int out, off_t *oo, size_t n, unsigned flags);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
ssize_t __wrap_recv(int fd, void *p, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *p, size_t n, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_splice(int in, off_t *oi, int out, off_t *oo, size_t n, unsigned flags);

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	ck_assert_int_lt(fd, FDS_MAX);
	int rc = __real_epoll_ctl(epfd, op, fd, ev);
	if (rc == 0 && op != EPOLL_CTL_DEL) {
		watched[fd].epfd = epfd;
		watched[fd].ev = *ev;
	}
	return rc;
}

static void raise_edge(int fd)
{
	int saved = errno;
	fault.lies++;
	(void)__real_epoll_ctl(watched[fd].epfd, EPOLL_CTL_MOD, fd, &watched[fd].ev);
	errno = saved;
}

/* Whether the call fails, with errno. */
static bool fails(int fd)
{
	fault.calls++;
	if (unit_below(&fault.seed, 100) < fault.interrupts) {
		errno = EINTR;
		return true;
	}
	if (unit_below(&fault.seed, 100) < fault.refuses) {
		raise_edge(fd);
		errno = EAGAIN;
		return true;
	}
	return false;
}

static size_t cut(size_t n)
{
	size_t most = fault.most;
	if (most == 0)
		return n;
	if (fault.random)
		most = 1 + (size_t)unit_below(&fault.seed, most);
	return n < most ? n : most;
}

ssize_t __wrap_recv(int fd, void *p, size_t n, int flags)
{
	if (fails(fd))
		return -1;
	size_t some = cut(n);
	ssize_t got = __real_recv(fd, p, some, flags);
	if (some < n && got == (ssize_t)some)
		raise_edge(fd);
	return got;
}

ssize_t __wrap_send(int fd, const void *p, size_t n, int flags)
{
	return fails(fd) ? -1 : __real_send(fd, p, cut(n), flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (fails(fd))
		return -1;
	return __real_send(fd, msg->msg_iov[0].iov_base, cut(msg->msg_iov[0].iov_len), flags);
}

ssize_t __wrap_splice(int in, off_t *oi, int out, off_t *oo, size_t n, unsigned flags)
{
	/* One of both is a socket of the loop's. */
	int fd = watched[in].epfd != 0 ? in : out;
	return fails(fd) ? -1 : __real_splice(in, oi, out, oo, cut(n), flags);
}

/* --- two nodes, or four ---------------------------------------------------------------------- */

static struct rig r;
static int segment_port[2], backend_port[2], listener[2], port;

static void setup(void)
{
	log_set_level(LOG_WARNING);
	memset(watched, 0, sizeof watched);
	memset(&fault, 0, sizeof fault);
	rig_init(&r);
	port = rig_port(&r);
	for (int i = 0; i < 2; i++) {
		segment_port[i] = rig_port(&r);
		backend_port[i] = rig_port(&r);
		listener[i] = rig_listen(backend_port[i]);
		rig_start(&r, CONF_SEGMENT,
			"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
			segment_port[i], backend_port[i]);
	}
}

static void start_controller(int n, const char *more)
{
	char second[100] = "";
	if (n == 2)
		(void)snprintf(
			second, sizeof second, "server=tcp://127.0.0.1:%d\n", segment_port[1]);
	rig_start(&r, CONF_CONTROLLER,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n%s%s", port,
		segment_port[0], second, more);
	RIG_UNTIL(&r,
		r.nodes[0].bus.n_transports == 1 && (n == 1 || r.nodes[1].bus.n_transports == 1));
	/* The nodes know of each other. */
	uint64_t still = clock_now() + 50 * CLOCK_MS;
	RIG_UNTIL(&r, clock_now() > still);
}

static void teardown(void)
{
	RIG_UNTIL(&r,
		r.nodes[0].bus.n_sessions + r.nodes[1].bus.n_sessions + r.nodes[2].bus.n_sessions ==
			0);
	memset(&fault, 0, sizeof fault);
	close(listener[0]);
	close(listener[1]);
	rig_fini(&r);
}

static unsigned char pattern(uint64_t i)
{
	return (unsigned char)(i * 31 ^ i >> 8 ^ i >> 16);
}

/* One direction of a connection between two scripted sockets. */
struct flow {
	int from, to;
	uint64_t total, sent, got;
	bool shut, ended;
};

static void move(struct flow *f)
{
	static unsigned char buf[65536];
	if (f->sent < f->total) {
		size_t n =
			f->total - f->sent < sizeof buf ? (size_t)(f->total - f->sent) : sizeof buf;
		for (size_t i = 0; i < n; i++)
			buf[i] = pattern(f->sent + i);
		ssize_t w = write(f->from, buf, n);
		ck_assert(w >= 0 || errno == EAGAIN);
		f->sent += w > 0 ? (uint64_t)w : 0;
	} else if (!f->shut) {
		f->shut = shutdown(f->from, SHUT_WR) == 0;
	}
	ssize_t k = f->ended ? -1 : rig_read(f->to, buf, sizeof buf);
	if (k < 0) {
		ck_assert(f->ended || errno == EAGAIN);
		return;
	}
	for (ssize_t i = 0; i < k; i++) {
		if (buf[i] != pattern(f->got + (uint64_t)i))
			ck_abort_msg("byte %ju is wrong", (uintmax_t)f->got + (uintmax_t)i);
	}
	f->got += (uint64_t)k;
	ck_assert_uint_le(f->got, f->total);
	if (k == 0) {
		ck_assert_uint_eq(f->got, f->total);
		f->ended = true;
	}
}

static void both_ways(uint64_t up, uint64_t down)
{
	int c = rig_connect(port), b = rig_accept(&r, listener[0]);
	struct flow f = {.from = c, .to = b, .total = up}, g = {.from = b, .to = c, .total = down};
	RIG_UNTIL(&r, (move(&f), move(&g), f.ended && g.ended));
	close(c);
	close(b);
}

START_TEST(case42_one_byte_at_a_time)
{
	fault.most = 1;
	start_controller(1, "");
	both_ways(3000, 3000);
	both_ways(1, 0);
	both_ways(0, 1);
	both_ways(0, 0);
	ck_assert_uint_gt(fault.lies, 3000);
}
END_TEST

START_TEST(case42_one_byte_at_a_time_to_two)
{
	fault.most = 1;
	start_controller(2, "mode=full duplex\n");
	int c = rig_connect(port);
	int b[2] = {rig_accept(&r, listener[0]), rig_accept(&r, listener[1])};
	rig_send_pattern(&r, c, 0, 2000);
	shutdown(c, SHUT_WR);
	for (int i = 0; i < 2; i++) {
		rig_expect_pattern(&r, b[i], 0, 2000);
		rig_expect_end(&r, b[i]);
	}
	rig_send_pattern(&r, b[0], 0, 1000);
	rig_expect_pattern(&r, c, 0, 1000);
	rig_send_pattern(&r, b[1], 1000, 1000);
	rig_expect_pattern(&r, c, 1000, 1000);
	close(b[0]);
	close(b[1]);
	rig_expect_end(&r, c);
	close(c);
}
END_TEST

START_TEST(case42_interrupted_and_refused)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		fault.seed = seed;
		fault.most = seed % 4 == 0 ? 1 << 20 : 20000;
		fault.random = true;
		fault.interrupts = 20;
		fault.refuses = 20;
		if (seed == 1)
			start_controller(1, "");
		both_ways(2 << 20, 1 << 20);
	}
	ck_assert_uint_gt(fault.lies, 100);
}
END_TEST

START_TEST(case42_interrupted_and_refused_to_two)
{
	enum { TOTAL = 8 << 20 };
	start_controller(2, "mode=full duplex\n");
	for (uint64_t seed = 1; seed <= 8; seed++) {
		int c = rig_connect(port);
		int b[2] = {rig_accept(&r, listener[0]), rig_accept(&r, listener[1])};
		struct flow f = {.from = c, .to = b[0], .total = TOTAL};
		/* What is sent once comes twice. */
		struct flow g = {
			.from = -1, .to = b[1], .total = TOTAL, .sent = TOTAL, .shut = true};
		fault.seed = seed;
		fault.most = 1 << 20;
		fault.random = true;
		fault.interrupts = 10;
		fault.refuses = 10;
		RIG_UNTIL(&r, (move(&f), move(&g), f.ended && g.ended));
		close(c);
		close(b[0]);
		close(b[1]);
	}
}
END_TEST

START_TEST(case42_a_reset_after_pieces)
{
	fault.most = 7;
	start_controller(1, "");
	int c = rig_connect(port), b = rig_accept(&r, listener[0]);
	rig_send_pattern(&r, b, 0, 5000);
	rig_expect_pattern(&r, c, 0, 5000);
	rig_abort(b);
	rig_expect_reset(&r, c);
	close(c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("session bytes");
	TCase *tc = tcase_create("bytes");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, case42_one_byte_at_a_time);
	tcase_add_test(tc, case42_one_byte_at_a_time_to_two);
	tcase_add_test(tc, case42_interrupted_and_refused);
	tcase_add_test(tc, case42_interrupted_and_refused_to_two);
	tcase_add_test(tc, case42_a_reset_after_pieces);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
