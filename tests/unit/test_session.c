/* A session through two whole nodes: its ends, in every combination. */
#include "bus/transport.h"
#include "net/sock.h"
#include "unit/rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig r;
static struct rig_node *segment, *controller;
static int segment_port, backend_port, port, listener;

static void start_segment(const char *more)
{
	segment = rig_start(&r, CONF_SEGMENT,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n%s", segment_port,
		backend_port, more);
}

static void start_controller(const char *more)
{
	controller = rig_start(&r, CONF_CONTROLLER,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n%s", port, segment_port,
		more);
}

static void await_link(void)
{
	RIG_UNTIL(&r, segment->bus.n_transports == 1 && controller->bus.n_transports == 1);
}

static void setup_bare(void)
{
	rig_init(&r);
	segment_port = rig_port(&r);
	backend_port = rig_port(&r);
	port = rig_port(&r);
	listener = rig_listen(backend_port);
}

static void setup(void)
{
	setup_bare();
	start_segment("");
	start_controller("");
	await_link();
}

static bool quiet(void)
{
	return segment->bus.n_sessions == 0 && controller->bus.n_sessions == 0;
}

/* Every session is gone by itself, and has given back what it held. */
static void teardown(void)
{
	RIG_UNTIL(&r, quiet());
	ck_assert_uint_eq(segment->bus.quota.held, 0);
	ck_assert_uint_eq(controller->bus.quota.held, 0);
	close(listener);
	rig_fini(&r);
}

static void teardown_bare(void)
{
	close(listener);
	rig_fini(&r);
}

static void connect_pair(int *client, int *backend)
{
	*client = rig_connect(port);
	*backend = rig_accept(&r, listener);
}

static void exchange(int client, int backend)
{
	rig_send(&r, client, "ping", 4);
	rig_expect(&r, backend, "ping", 4);
	rig_send(&r, backend, "pong", 4);
	rig_expect(&r, client, "pong", 4);
}

START_TEST(bytes_pass_both_ways)
{
	int c, b;
	connect_pair(&c, &b);
	exchange(c, b);
	close(c);
	rig_expect_end(&r, b);
	close(b);
}
END_TEST

START_TEST(case1_client_ends_and_backend_goes_on)
{
	int c, b;
	connect_pair(&c, &b);
	rig_send(&r, c, "request", 7);
	shutdown(c, SHUT_WR);
	rig_expect(&r, b, "request", 7);
	rig_expect_end(&r, b);
	for (int i = 0; i < 16; i++) {
		rig_send_pattern(&r, b, (uint64_t)i << 16, 65536);
		rig_expect_pattern(&r, c, (uint64_t)i << 16, 65536);
	}
	close(b);
	rig_expect_end(&r, c);
	close(c);
}
END_TEST

START_TEST(backend_ends_and_client_goes_on)
{
	int c, b;
	connect_pair(&c, &b);
	rig_send(&r, b, "banner", 6);
	shutdown(b, SHUT_WR);
	rig_expect(&r, c, "banner", 6);
	rig_expect_end(&r, c);
	for (int i = 0; i < 4; i++) {
		rig_send_pattern(&r, c, (uint64_t)i << 16, 65536);
		rig_expect_pattern(&r, b, (uint64_t)i << 16, 65536);
	}
	close(c);
	rig_expect_end(&r, b);
	close(b);
}
END_TEST

START_TEST(case2_client_resets)
{
	int c, b;
	connect_pair(&c, &b);
	exchange(c, b);
	rig_abort(c);
	rig_expect_reset(&r, b);
	close(b);
}
END_TEST

START_TEST(case3_backend_resets)
{
	int c, b;
	connect_pair(&c, &b);
	exchange(c, b);
	rig_send_pattern(&r, b, 0, 100000);
	RIG_UNTIL(&r, sock_queued_out(b) == 0 && segment->bus.quota.held == 0);
	/* All of it reaches the client's socket before the reset does. */
	rig_expect_pattern(&r, c, 0, 60000);
	rig_abort(b);
	rig_expect_pattern(&r, c, 60000, 40000);
	rig_expect_reset(&r, c);
	close(c);
}
END_TEST

START_TEST(case2_client_resets_after_its_end)
{
	int c, b;
	connect_pair(&c, &b);
	exchange(c, b);
	shutdown(c, SHUT_WR);
	rig_expect_end(&r, b);
	rig_abort(c);
	/* After the end was read only a write tells. */
	char buf[4096] = {0};
	RIG_UNTIL(&r, write(b, buf, sizeof buf) < 0 && errno != EAGAIN);
	ck_assert(errno == ECONNRESET || errno == EPIPE);
	close(b);
}
END_TEST

START_TEST(case4_both_end_at_once)
{
	int c, b;
	connect_pair(&c, &b);
	exchange(c, b);
	shutdown(c, SHUT_WR);
	shutdown(b, SHUT_WR);
	rig_expect_end(&r, c);
	rig_expect_end(&r, b);
	close(c);
	close(b);
}
END_TEST

START_TEST(case5_the_end_is_right_behind_the_bytes)
{
	int c, b;
	connect_pair(&c, &b);
	rig_send(&r, c, "last", 4);
	shutdown(c, SHUT_WR);
	rig_send(&r, b, "words", 5);
	shutdown(b, SHUT_WR);
	rig_expect(&r, b, "last", 4);
	rig_expect_end(&r, b);
	rig_expect(&r, c, "words", 5);
	rig_expect_end(&r, c);
	close(c);
	close(b);
}
END_TEST

START_TEST(case7_what_came_before_a_reset_is_delivered)
{
	int c, b;
	connect_pair(&c, &b);
	/* The client reads nothing: much is held on its side when the reset comes. */
	rig_send_pattern(&r, b, 0, 150000);
	RIG_UNTIL(&r, sock_queued_out(b) == 0);
	for (int i = 0; i < 20; i++)
		rig_turn(&r);
	rig_abort(b);
	RIG_UNTIL(&r, segment->bus.n_sessions == 0);
	rig_expect_pattern(&r, c, 0, 150000);
	rig_expect_reset(&r, c);
	close(c);
}
END_TEST

START_TEST(a_reset_waits_a_second_at_most_for_a_client_that_does_not_read)
{
	int c, b, small = 4096;
	connect_pair(&c, &b);
	ck_assert_int_eq(setsockopt(c, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
	char buf[65536] = {0};
	/* More than all buffers on the way: bytes are held for the client. */
	RIG_UNTIL(&r, write(b, buf, sizeof buf) < 0 && controller->bus.quota.held > 0);
	rig_abort(b);
	uint64_t begin = clock_now();
	RIG_UNTIL(&r, quiet());
	ck_assert_uint_lt(clock_now() - begin, 5 * CLOCK_SEC);
	close(c);
}
END_TEST

START_TEST(case9_a_session_without_a_byte)
{
	int c, b;
	connect_pair(&c, &b);
	close(c);
	rig_expect_end(&r, b);
	close(b);
	connect_pair(&c, &b);
	close(b);
	rig_expect_end(&r, c);
	close(c);
}
END_TEST

START_TEST(case11_the_tail_arrives_after_the_close)
{
	int c, b;
	connect_pair(&c, &b);
	/* The client has sent all and ended; the backend's answer is queued when both ended. */
	shutdown(c, SHUT_WR);
	rig_expect_end(&r, b);
	rig_send_pattern(&r, b, 0, 200000);
	close(b);
	RIG_UNTIL(&r, segment->bus.n_sessions == 0);
	for (int i = 0; i < 20; i++)
		rig_turn(&r);
	rig_expect_pattern(&r, c, 0, 200000);
	rig_expect_end(&r, c);
	close(c);
}
END_TEST

START_TEST(case21_a_blocked_session_that_is_reset_leaves_nothing)
{
	int c, b;
	connect_pair(&c, &b);
	char buf[65536] = {0};
	/* Until everything on the way is full: stream credit too. */
	uint64_t still = clock_now() + 300 * CLOCK_MS;
	RIG_UNTIL(&r, write(c, buf, sizeof buf) > 0 ? (still = clock_now() + 300 * CLOCK_MS, false)
						    : clock_now() > still);
	ck_assert_uint_gt(segment->bus.quota.held, 0);
	rig_abort(c);
	RIG_UNTIL(&r, quiet());
	ck_assert_uint_eq(segment->bus.quota.held, 0);
	close(b);
	/* The transport goes on, and can still be ended in order. */
	connect_pair(&c, &b);
	exchange(c, b);
	close(c);
	close(b);
	RIG_UNTIL(&r, quiet());
	rig_drain(controller);
	RIG_UNTIL(&r, controller->drained);
	RIG_UNTIL(&r, segment->bus.n_transports == 0);
}
END_TEST

START_TEST(case59_a_request_with_the_end_right_behind_it)
{
	for (int i = 0; i < 50; i++) {
		int c = rig_connect(port), b;
		rig_send(&r, c, "hello", 5);
		shutdown(c, SHUT_WR);
		b = rig_accept(&r, listener);
		rig_expect(&r, b, "hello", 5);
		rig_expect_end(&r, b);
		rig_send_pattern(&r, b, 0, 10000);
		close(b);
		rig_expect_pattern(&r, c, 0, 10000);
		rig_expect_end(&r, c);
		close(c);
	}
}
END_TEST

START_TEST(urgent_bytes_hold_nothing_up)
{
	int c, b;
	connect_pair(&c, &b);
	exchange(c, b);
	/* A read stops short at the mark though more is there. */
	ck_assert_int_eq(send(c, "abc", 3, 0), 3);
	ck_assert_int_eq(send(c, "U", 1, MSG_OOB), 1);
	ck_assert_int_eq(send(c, "def", 3, 0), 3);
	rig_expect(&r, b, "abcUdef", 7);
	close(c);
	rig_expect_end(&r, b);
	close(b);
}
END_TEST

START_TEST(a_refused_backend_resets_the_client)
{
	close(listener);
	int c = rig_connect(port);
	rig_expect_reset(&r, c);
	close(c);
	listener = rig_listen(backend_port);
}
END_TEST

START_TEST(a_killed_segment_resets_the_client)
{
	int c, b;
	connect_pair(&c, &b);
	exchange(c, b);
	rig_stop(segment);
	rig_expect_reset(&r, c);
	rig_expect_reset(&r, b);
	close(c);
	close(b);
}
END_TEST

START_TEST(a_segment_that_comes_back_serves)
{
	int c, b;
	rig_stop(segment);
	RIG_UNTIL(&r, controller->bus.n_transports == 0);
	c = rig_connect(port);
	RIG_UNTIL(&r, controller->bus.n_sessions == 1);
	start_segment("");
	b = rig_accept(&r, listener);
	exchange(c, b);
	close(c);
	rig_expect_end(&r, b);
	close(b);
}
END_TEST

/* --- sessions that wait for a link -------------------------------------------------------- */

START_TEST(waiting_is_over_after_connect_timeout)
{
	start_controller("connect_timeout=200ms\n");
	int c = rig_connect(port);
	uint64_t begin = clock_now();
	rig_expect_reset(&r, c);
	ck_assert_uint_ge(clock_now() - begin, 150 * CLOCK_MS);
	ck_assert_uint_eq(controller->bus.n_sessions, 0);
	close(c);
}
END_TEST

START_TEST(case2_a_client_that_resets_while_it_waits)
{
	start_controller("");
	int c = rig_connect(port);
	RIG_UNTIL(&r, controller->bus.n_sessions == 1);
	rig_abort(c);
	RIG_UNTIL(&r, controller->bus.n_sessions == 0);
}
END_TEST

START_TEST(a_client_that_ends_while_it_waits_is_served)
{
	start_controller("");
	int c = rig_connect(port);
	rig_send(&r, c, "early", 5);
	shutdown(c, SHUT_WR);
	RIG_UNTIL(&r, controller->bus.n_sessions == 1);
	start_segment("");
	int b = rig_accept(&r, listener);
	rig_expect(&r, b, "early", 5);
	rig_expect_end(&r, b);
	rig_send(&r, b, "late", 4);
	close(b);
	rig_expect(&r, c, "late", 4);
	rig_expect_end(&r, c);
	close(c);
}
END_TEST

/* In the turn in which the only link was lost, before its owner is told at the turn's end. */
START_TEST(a_client_that_comes_as_the_link_is_lost_waits_for_the_next_one)
{
	start_segment("");
	start_controller("");
	await_link();
	int c, b;
	connect_pair(&c, &b); /* the link is up */
	close(c);
	close(b);
	RIG_UNTIL(&r, quiet());
	struct list *node = list_first(&controller->bus.transports);
	ck_assert_ptr_nonnull(node);
	c = rig_connect(port);
	ending_now(container_of(node, struct transport, node), STATS_CLOSED_LOST, "by a test");
	b = rig_accept(&r, listener);
	exchange(c, b);
	close(c);
	close(b);
	RIG_UNTIL(&r, quiet());
}
END_TEST

START_TEST(a_client_that_resets_before_the_backend_is_there)
{
	/* A backend whose queue is full answers nothing. */
	close(listener);
	listener = rig_listen(backend_port);
	ck_assert_int_eq(listen(listener, 0), 0);
	int full = rig_connect(backend_port);
	start_segment("");
	start_controller("");
	await_link();
	int c = rig_connect(port);
	rig_send(&r, c, "lost", 4);
	RIG_UNTIL(&r, segment->bus.n_sessions == 1 && segment->bus.quota.held == 4);
	rig_abort(c);
	RIG_UNTIL(&r, quiet());
	ck_assert_uint_eq(segment->bus.quota.held, 0);
	close(full);
}
END_TEST

START_TEST(max_sessions_is_kept_on_both_sides)
{
	start_segment("max_sessions=2\n");
	start_controller("max_sessions=3\n");
	await_link();
	int c[4], b[2];
	for (int i = 0; i < 2; i++)
		connect_pair(&c[i], &b[i]);
	c[2] = rig_connect(port); /* the segment's refusal */
	rig_expect_reset(&r, c[2]);
	close(c[2]);
	exchange(c[0], b[0]);
	close(c[1]);
	rig_expect_end(&r, b[1]);
	close(b[1]);
	RIG_UNTIL(&r, segment->bus.n_sessions == 1);
	connect_pair(&c[1], &b[1]);
	exchange(c[1], b[1]);
	for (int i = 0; i < 2; i++) {
		close(c[i]);
		close(b[i]);
	}
	RIG_UNTIL(&r, quiet());
}
END_TEST

START_TEST(case10_half_closed_and_silent_ends_by_idle_timeout_alone)
{
	start_segment("");
	start_controller("idle_timeout=300ms\n");
	await_link();
	int c, b;
	connect_pair(&c, &b);
	shutdown(c, SHUT_WR);
	rig_expect_end(&r, b);
	/* A byte now and then keeps it. */
	for (int i = 0; i < 3; i++) {
		uint64_t at = clock_now() + 150 * CLOCK_MS;
		RIG_UNTIL(&r, clock_now() > at);
		rig_send(&r, b, "x", 1);
		rig_expect(&r, c, "x", 1);
	}
	uint64_t begin = clock_now();
	rig_expect_reset(&r, c);
	ck_assert_uint_ge(clock_now() - begin, 250 * CLOCK_MS);
	RIG_UNTIL(&r, quiet());
	close(c);
	close(b);
}
END_TEST

/* --- memory ------------------------------------------------------------------------------- */

START_TEST(past_the_limit_who_holds_most_is_reset)
{
	/* Windows of 256K each, 1M for all: six that do not read are too many. */
	segment = rig_start(&r, CONF_SEGMENT,
		"[Cloudbus]\nmemory=1M\nmax_window=16M\n"
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
		segment_port, backend_port);
	start_controller("");
	await_link();
	enum { N = 12 };
	int c[N], b[N];
	char buf[65536] = {0};
	for (int i = 0; i < N; i++) {
		connect_pair(&c[i], &b[i]);
		ck_assert_int_eq(setsockopt(b[i], SOL_SOCKET, SO_RCVBUF, &(int){4096}, 4), 0);
	}
	RIG_UNTIL(&r, ({
		for (int i = 0; i < N; i++)
			(void)!send(c[i], buf, sizeof buf, MSG_NOSIGNAL);
		ck_assert_uint_le(segment->bus.quota.held, (1 << 20) + BUS_READ);
		segment->bus.n_sessions < N;
	}));
	for (int i = 0; i < N; i++) {
		rig_abort(c[i]);
		close(b[i]);
	}
	RIG_UNTIL(&r, quiet());
	ck_assert_uint_eq(segment->bus.quota.held, 0);
	ck_assert_uint_eq(segment->bus.quota.pressure, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session");
	TCase *tc = tcase_create("pair");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, bytes_pass_both_ways);
	tcase_add_test(tc, case1_client_ends_and_backend_goes_on);
	tcase_add_test(tc, backend_ends_and_client_goes_on);
	tcase_add_test(tc, case2_client_resets);
	tcase_add_test(tc, case2_client_resets_after_its_end);
	tcase_add_test(tc, case3_backend_resets);
	tcase_add_test(tc, case4_both_end_at_once);
	tcase_add_test(tc, case5_the_end_is_right_behind_the_bytes);
	tcase_add_test(tc, case7_what_came_before_a_reset_is_delivered);
	tcase_add_test(tc, a_reset_waits_a_second_at_most_for_a_client_that_does_not_read);
	tcase_add_test(tc, case9_a_session_without_a_byte);
	tcase_add_test(tc, case11_the_tail_arrives_after_the_close);
	tcase_add_test(tc, case21_a_blocked_session_that_is_reset_leaves_nothing);
	tcase_add_test(tc, case59_a_request_with_the_end_right_behind_it);
	tcase_add_test(tc, urgent_bytes_hold_nothing_up);
	tcase_add_test(tc, a_refused_backend_resets_the_client);
	tcase_add_test(tc, a_segment_that_comes_back_serves);
	suite_add_tcase(s, tc);
	tc = tcase_create("alone");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup_bare, teardown_bare);
	tcase_add_test(tc, waiting_is_over_after_connect_timeout);
	tcase_add_test(tc, case2_a_client_that_resets_while_it_waits);
	tcase_add_test(tc, a_client_that_ends_while_it_waits_is_served);
	tcase_add_test(tc, a_client_that_comes_as_the_link_is_lost_waits_for_the_next_one);
	tcase_add_test(tc, a_client_that_resets_before_the_backend_is_there);
	tcase_add_test(tc, max_sessions_is_kept_on_both_sides);
	tcase_add_test(tc, case10_half_closed_and_silent_ends_by_idle_timeout_alone);
	tcase_add_test(tc, past_the_limit_who_holds_most_is_reset);
	suite_add_tcase(s, tc);
	tc = tcase_create("killed");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown_bare);
	tcase_add_test(tc, a_killed_segment_resets_the_client);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return unit_main(suite());
}
