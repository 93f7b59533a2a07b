/* One client, several segments: the latch, and the fates of the members. */
#include "net/sock.h"
#include "unit/rig.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { N = 3 };

static struct rig r;
static struct rig_node *segment[N], *controller;
static int segment_port[N], backend_port[N], listener[N], port;

static void start_segment(int i)
{
	segment[i] = rig_start(&r, CONF_SEGMENT,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n", segment_port[i],
		backend_port[i]);
}

static void start_controller(const char *more)
{
	controller = rig_start(&r, CONF_CONTROLLER,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		"server=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n%s",
		port, segment_port[0], segment_port[1], segment_port[2], more);
	RIG_UNTIL(&r, controller->bus.n_transports == N && segment[0]->bus.n_transports == 1 &&
			      segment[1]->bus.n_transports == 1 &&
			      segment[2]->bus.n_transports == 1);
}

static void setup(void)
{
	rig_init(&r);
	port = rig_port(&r);
	for (int i = 0; i < N; i++) {
		segment_port[i] = rig_port(&r);
		backend_port[i] = rig_port(&r);
		listener[i] = rig_listen(backend_port[i]);
		start_segment(i);
	}
}

static bool is_quiet(void)
{
	for (int i = 0; i < r.n_nodes; i++) {
		if (r.nodes[i].bus.n_sessions > 0 || r.nodes[i].bus.quota.held > 0)
			return false;
	}
	return true;
}

static void teardown(void)
{
	RIG_UNTIL(&r, is_quiet());
	for (int i = 0; i < N; i++)
		close(listener[i]);
	rig_fini(&r);
}

static int connect_all(int b[N])
{
	int c = rig_connect(port);
	for (int i = 0; i < N; i++)
		b[i] = rig_accept(&r, listener[i]);
	return c;
}

static void close_all(const int b[N])
{
	for (int i = 0; i < N; i++)
		close(b[i]);
}

static void stays_silent(int fd)
{
	char c;
	for (int i = 0; i < 10; i++) {
		rig_turn(&r);
		ck_assert(rig_read(fd, &c, 1) < 0 && errno == EAGAIN);
	}
}

/* --- half duplex ---------------------------------------------------------------------------- */

START_TEST(the_first_answer_latches)
{
	int b[N];
	start_controller("");
	int c = connect_all(b);
	rig_send(&r, c, "who", 3);
	for (int i = 0; i < N; i++)
		rig_expect(&r, b[i], "who", 3);
	rig_send(&r, b[1], "me", 2);
	rig_expect(&r, c, "me", 2);
	rig_expect_reset(&r, b[0]);
	rig_expect_reset(&r, b[2]);
	/* One-to-one and full duplex from here on. */
	rig_send_pattern(&r, c, 0, 300000);
	rig_expect_pattern(&r, b[1], 0, 300000);
	rig_send_pattern(&r, b[1], 0, 300000);
	rig_expect_pattern(&r, c, 0, 300000);
	close(c);
	rig_expect_end(&r, b[1]);
	close_all(b);
}
END_TEST

START_TEST(case54_a_member_dies_before_the_latch)
{
	int b[N];
	start_controller("");
	int c = connect_all(b);
	rig_send(&r, c, "who", 3);
	for (int i = 0; i < N; i++)
		rig_expect(&r, b[i], "who", 3);
	rig_abort(b[0]);
	RIG_UNTIL(&r, segment[0]->bus.n_sessions == 0);
	stays_silent(c);
	rig_stop(segment[1]); /* with its transport, this time */
	stays_silent(c);
	rig_send(&r, b[2], "me", 2);
	rig_expect(&r, c, "me", 2);
	rig_send(&r, c, "on", 2);
	rig_expect(&r, b[2], "on", 2);
	close(c);
	rig_expect_end(&r, b[2]);
	close(b[1]);
	close(b[2]);
}
END_TEST

START_TEST(case54_the_last_member_dies)
{
	int b[N];
	start_controller("");
	int c = connect_all(b);
	rig_send(&r, c, "who", 3);
	for (int i = 0; i < N; i++) {
		rig_expect(&r, b[i], "who", 3);
		rig_abort(b[i]);
	}
	rig_expect_reset(&r, c);
	close(c);
}
END_TEST

START_TEST(case55_two_first_answers_in_one_turn)
{
	start_controller("");
	for (int round = 0; round < 10; round++) {
		int b[N], winner = -1;
		char got[5];
		int c = connect_all(b);
		/* All are in the sockets before the loop turns. */
		for (int i = 0; i < N; i++) {
			char mine[5] = {'0' + (char)i, 'a', 'b', 'c', 'd'};
			ck_assert_int_eq(write(b[i], mine, 5), 5);
		}
		RIG_UNTIL(&r, rig_read(c, got, 1) == 1);
		winner = got[0] - '0';
		ck_assert(winner >= 0 && winner < N);
		rig_expect(&r, c, "abcd", 4);
		stays_silent(c);
		for (int i = 0; i < N; i++) {
			if (i != winner)
				rig_expect_reset(&r, b[i]);
		}
		shutdown(b[winner], SHUT_WR);
		rig_expect_end(&r, c);
		close(c);
		rig_expect_end(&r, b[winner]);
		close_all(b);
	}
}
END_TEST

START_TEST(case56_latch_while_the_client_is_half_closed)
{
	int b[N];
	start_controller("");
	int c = connect_all(b);
	rig_send_pattern(&r, c, 0, 100000);
	shutdown(c, SHUT_WR);
	for (int i = 0; i < N; i++) {
		rig_expect_pattern(&r, b[i], 0, 100000);
		rig_expect_end(&r, b[i]);
	}
	rig_send(&r, b[2], "me", 2);
	rig_expect(&r, c, "me", 2);
	close(b[2]);
	rig_expect_end(&r, c);
	close(c);
	/* Both losers have had the end; that the latch reset them only a write can tell. */
	for (int i = 0; i < 2; i++) {
		RIG_UNTIL(&r, write(b[i], "x", 1) < 0 && errno != EAGAIN);
		close(b[i]);
	}
}
END_TEST

START_TEST(case56_the_end_reaches_the_winner_after_the_latch)
{
	int b[N];
	start_controller("");
	int c = connect_all(b);
	/* Answered at once, before the client has sent or ended anything. */
	rig_send(&r, b[0], "hello", 5);
	rig_expect(&r, c, "hello", 5);
	rig_send(&r, c, "bye", 3);
	shutdown(c, SHUT_WR);
	rig_expect(&r, b[0], "bye", 3);
	rig_expect_end(&r, b[0]);
	close(b[0]);
	rig_expect_end(&r, c);
	close(c);
	close(b[1]);
	close(b[2]);
}
END_TEST

START_TEST(case57_client_gone_before_any_answer)
{
	int b[N];
	start_controller("");
	int c = connect_all(b);
	rig_send(&r, c, "who", 3);
	for (int i = 0; i < N; i++)
		rig_expect(&r, b[i], "who", 3);
	rig_abort(c);
	for (int i = 0; i < N; i++)
		rig_expect_reset(&r, b[i]);
	close_all(b);
}
END_TEST

START_TEST(all_end_without_data)
{
	int b[N];
	start_controller("");
	int c = connect_all(b);
	shutdown(c, SHUT_WR);
	for (int i = 0; i < N; i++) {
		rig_expect_end(&r, b[i]);
		stays_silent(c);
		close(b[i]);
	}
	rig_expect_end(&r, c);
	close(c);
}
END_TEST

START_TEST(an_end_without_data_is_no_answer)
{
	int b[N];
	start_controller("");
	int c = connect_all(b);
	shutdown(b[0], SHUT_WR);
	shutdown(b[1], SHUT_WR);
	stays_silent(c);
	rig_send(&r, c, "who", 3);
	for (int i = 0; i < N; i++)
		rig_expect(&r, b[i], "who", 3);
	rig_send(&r, b[2], "me", 2);
	rig_expect(&r, c, "me", 2);
	close(b[2]);
	rig_expect_end(&r, c);
	close(c);
	close(b[0]);
	close(b[1]);
}
END_TEST

START_TEST(case58_nobody_joins_later)
{
	int b[N];
	start_controller("");
	rig_stop(segment[2]);
	RIG_UNTIL(&r, controller->bus.n_transports == N - 1);
	int c = rig_connect(port);
	b[0] = rig_accept(&r, listener[0]);
	b[1] = rig_accept(&r, listener[1]);
	start_segment(2);
	RIG_UNTIL(&r, segment[2]->bus.n_transports == 1 && controller->bus.n_transports == N);
	rig_send(&r, c, "who", 3);
	rig_expect(&r, b[0], "who", 3);
	rig_expect(&r, b[1], "who", 3);
	ck_assert_uint_eq(segment[2]->bus.n_sessions, 0);
	close(c);
	rig_expect_end(&r, b[0]);
	close(b[0]);
	close(b[1]);
}
END_TEST

/* --- full duplex ---------------------------------------------------------------------------- */

START_TEST(full_duplex_merges)
{
	int b[N];
	char got[3 * N];
	int count[N] = {0};
	start_controller("mode=full duplex\n");
	int c = connect_all(b);
	rig_send_pattern(&r, c, 0, 200000);
	for (int i = 0; i < N; i++)
		rig_expect_pattern(&r, b[i], 0, 200000);
	for (int i = 0; i < N; i++)
		rig_send(&r, b[i], (char[]){'0' + (char)i, '0' + (char)i, '0' + (char)i}, 3);
	size_t n = 0;
	RIG_UNTIL(&r, ({
		ssize_t k = rig_read(c, got + n, sizeof got - n);
		n += k > 0 ? (size_t)k : 0;
		n == sizeof got;
	}));
	for (size_t i = 0; i < n; i++)
		count[got[i] - '0']++;
	for (int i = 0; i < N; i++)
		ck_assert_int_eq(count[i], 3);
	close(b[0]);
	close(b[1]);
	stays_silent(c);
	rig_send(&r, b[2], "last", 4);
	rig_expect(&r, c, "last", 4);
	shutdown(c, SHUT_WR);
	rig_expect_end(&r, b[2]);
	close(b[2]);
	rig_expect_end(&r, c);
	close(c);
}
END_TEST

START_TEST(full_duplex_a_lost_member_shows_at_the_end)
{
	int b[N];
	start_controller("mode=full duplex\n");
	int c = connect_all(b);
	rig_send(&r, b[0], "before", 6);
	rig_expect(&r, c, "before", 6);
	rig_abort(b[0]);
	RIG_UNTIL(&r, segment[0]->bus.n_sessions == 0);
	stays_silent(c);
	rig_send(&r, c, "on", 2);
	rig_expect(&r, b[1], "on", 2);
	rig_expect(&r, b[2], "on", 2);
	rig_send(&r, b[2], "end", 3);
	shutdown(c, SHUT_WR);
	rig_expect_end(&r, b[1]);
	rig_expect_end(&r, b[2]);
	close(b[1]);
	close(b[2]);
	rig_expect(&r, c, "end", 3);
	rig_expect_reset(&r, c);
	close(c);
}
END_TEST

START_TEST(full_duplex_bytes_of_a_lost_member_are_delivered)
{
	int b[N];
	start_controller("mode=full duplex\n");
	int c = connect_all(b);
	rig_send_pattern(&r, b[0], 0, 150000);
	RIG_UNTIL(&r, sock_queued_out(b[0]) == 0);
	for (int i = 0; i < 20; i++)
		rig_turn(&r);
	rig_abort(b[0]);
	RIG_UNTIL(&r, segment[0]->bus.n_sessions == 0);
	rig_expect_pattern(&r, c, 0, 150000);
	rig_abort(c);
	rig_expect_reset(&r, b[1]);
	close(b[1]);
	close(b[2]);
}
END_TEST

/* --- the slow ------------------------------------------------------------------------------- */

/* Fills all that is on the way to the backend that does not read. */
static uint64_t send_until_stuck(int c, const int read_from[], int n)
{
	uint64_t sent = 0, still = clock_now() + 200 * CLOCK_MS;
	char buf[65536] = {0};
	RIG_UNTIL(&r, ({
		ssize_t k = send(c, buf, sizeof buf, MSG_NOSIGNAL);
		if (k > 0) {
			sent += (uint64_t)k;
			still = clock_now() + 200 * CLOCK_MS;
		}
		for (int i = 0; i < n; i++)
			(void)rig_read(read_from[i], buf, sizeof buf);
		/* Bytes for all members are held once. */
		ck_assert_uint_le(controller->bus.quota.held, PIPES_SIZE);
		clock_now() > still;
	}));
	return sent;
}

static void case53(const char *mode)
{
	int b[N];
	char buf[65536] = {0};
	rig_stop(controller);
	controller = rig_start(&r, CONF_CONTROLLER,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		"server=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\nmember_timeout=1s\n%s",
		port, segment_port[0], segment_port[1], segment_port[2], mode);
	RIG_UNTIL(&r, controller->bus.n_transports == N);
	int c = connect_all(b);
	uint64_t sent = send_until_stuck(c, b, 2);
	uint64_t begin = clock_now();
	/* b[2] never reads.  The others go on once it is dropped, and not before. */
	RIG_UNTIL(&r, ({
		for (int i = 0; i < 2; i++)
			(void)rig_read(b[i], buf, sizeof buf);
		segment[2]->bus.n_sessions == 0;
	}));
	ck_assert_uint_lt(clock_now() - begin, 5 * CLOCK_SEC);
	uint64_t target = sent + (4 << 20);
	RIG_UNTIL(&r, ({
		ssize_t k = send(c, buf, sizeof buf, MSG_NOSIGNAL);
		sent += k > 0 ? (uint64_t)k : 0;
		for (int i = 0; i < 2; i++)
			(void)rig_read(b[i], buf, sizeof buf);
		sent > target;
	}));
	ck_assert_uint_eq(segment[0]->bus.n_sessions, 1);
	ck_assert_uint_eq(segment[1]->bus.n_sessions, 1);
	rig_abort(c);
	RIG_UNTIL(&r, is_quiet());
	close_all(b);
}

START_TEST(case53_one_member_slow)
{
	start_controller("");
	case53("");
	case53("mode=full duplex\n");
}
END_TEST

START_TEST(case53_idle_is_not_slow)
{
	int b[N];
	start_controller("member_timeout=1s\n");
	int c = connect_all(b);
	rig_send(&r, c, "who", 3);
	uint64_t end = clock_now() + 2500 * CLOCK_MS;
	RIG_UNTIL(&r, clock_now() > end);
	for (int i = 0; i < N; i++)
		rig_expect(&r, b[i], "who", 3);
	rig_send(&r, c, "again", 5);
	for (int i = 0; i < N; i++)
		rig_expect(&r, b[i], "again", 5);
	close(c);
	for (int i = 0; i < N; i++)
		rig_expect_end(&r, b[i]);
	close_all(b);
}
END_TEST

START_TEST(case53_what_is_held_for_slow_members_counts_against_the_memory)
{
	enum { CLIENTS = PIPES_MAX }; /* a third of them get pipes at most */
	int b[CLIENTS][N], c[CLIENTS];
	char buf[65536] = {0};
	controller = rig_start(&r, CONF_CONTROLLER,
		"[Cloudbus]\nmemory=1M\n[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		"server=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
		port, segment_port[0], segment_port[1], segment_port[2]);
	RIG_UNTIL(&r, controller->bus.n_transports == N);
	for (int i = 0; i < CLIENTS; i++)
		c[i] = connect_all(b[i]);
	/* Nobody reads: pipes and rings fill, until a session has to go. */
	RIG_UNTIL(&r, ({
		for (int i = 0; i < CLIENTS; i++)
			(void)!send(c[i], buf, sizeof buf, MSG_NOSIGNAL);
		ck_assert_uint_le(controller->bus.quota.held, 1 << 20);
		controller->bus.n_sessions < CLIENTS;
	}));
	for (int i = 0; i < CLIENTS; i++) {
		rig_abort(c[i]);
		close_all(b[i]);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fanout");
	TCase *tc = tcase_create("fanout");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_first_answer_latches);
	tcase_add_test(tc, case54_a_member_dies_before_the_latch);
	tcase_add_test(tc, case54_the_last_member_dies);
	tcase_add_test(tc, case55_two_first_answers_in_one_turn);
	tcase_add_test(tc, case56_latch_while_the_client_is_half_closed);
	tcase_add_test(tc, case56_the_end_reaches_the_winner_after_the_latch);
	tcase_add_test(tc, case57_client_gone_before_any_answer);
	tcase_add_test(tc, all_end_without_data);
	tcase_add_test(tc, an_end_without_data_is_no_answer);
	tcase_add_test(tc, case58_nobody_joins_later);
	tcase_add_test(tc, full_duplex_merges);
	tcase_add_test(tc, full_duplex_a_lost_member_shows_at_the_end);
	tcase_add_test(tc, full_duplex_bytes_of_a_lost_member_are_delivered);
	tcase_add_test(tc, case53_one_member_slow);
	tcase_add_test(tc, case53_idle_is_not_slow);
	tcase_add_test(tc, case53_what_is_held_for_slow_members_counts_against_the_memory);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
