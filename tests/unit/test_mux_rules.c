/* What a peer may say and when: the second stage's table, walked in full, and budgets. */
#include "session/budget.h"
#include "session/stream.h"
#include "unit/mux_pair.h"

#include <stdlib.h>

enum { ID = 1 };

static struct end e;
static uint64_t now;

static void greeted(void)
{
	solo_init(&e, &now, NULL);
	solo_hello(&e, 100, 4096);
	ck_assert_uint_eq(e.events[MUX_READY], 1);
	solo_drain(&e);
}

/* Drives the end until its stream ID (the peer's) stands in the phase. */
static uint32_t reach(enum stream_phase phase)
{
	int rc;
	greeted();
	switch (phase) {
	case STREAM_PHASE_NEW:
		return ID;
	case STREAM_PHASE_NEVER:
		return 2; /* ours, not opened */
	case STREAM_PHASE_GONE:
		solo_open(&e, ID, 4096);
		solo_data(&e, ID, 5, WIRE_FIN);
		end_give(end_find(&e, ID), 5, true);
		break;
	case STREAM_PHASE_OPEN:
		ck_assert_ptr_nonnull(end_open(&e, &rc));
		solo_drain(&e);
		return 2; /* ours, this time */
	case STREAM_PHASE_ENDED:
		solo_open(&e, ID, 4096);
		solo_data(&e, ID, 5, WIRE_FIN);
		break;
	case STREAM_PHASE_ABORTED:
		solo_open(&e, ID, 4096);
		solo_reset(&e, ID, WIRE_ABORTED);
		return ID; /* the answer has not left */
	case STREAM_PHASE_REFUSED:
		solo_open(&e, ID, 4096);
		end_close(end_find(&e, ID), WIRE_REFUSED);
		break;
	default:
		ck_abort();
	}
	solo_drain(&e);
	return ID;
}

static void say(unsigned type, uint32_t id)
{
	switch (type) {
	case WIRE_OPEN:
		solo_open(&e, id, 4096);
		break;
	case WIRE_DATA:
		solo_data(&e, id, 3, 0);
		break;
	case WIRE_RESET:
		solo_reset(&e, id, WIRE_ABORTED);
		break;
	default:
		solo_credit(&e, id, 8192);
	}
}

START_TEST(every_frame_in_every_phase)
{
	/* FATAL, TAKE or DROP, by OPEN, DATA, RESET, CREDIT. */
	static const char *const want[STREAM_PHASES] = {
		[STREAM_PHASE_NEW] = "TFFF",
		[STREAM_PHASE_NEVER] = "FFFF",
		[STREAM_PHASE_GONE] = "FFDD",
		[STREAM_PHASE_OPEN] = "FTTT",
		[STREAM_PHASE_ENDED] = "FFTT",
		[STREAM_PHASE_ABORTED] = "FFFF",
		[STREAM_PHASE_REFUSED] = "FTTT",
	};
	static const unsigned types[] = {WIRE_OPEN, WIRE_DATA, WIRE_RESET, WIRE_CREDIT};
	for (int phase = 0; phase < STREAM_PHASES; phase++) {
		for (int i = 0; i < 4; i++) {
			enum stream_verdict v = stream_check((enum stream_phase)phase, types[i]);
			ck_assert_int_eq("FTD"[v], want[phase][i]);
			uint32_t id = reach((enum stream_phase)phase);
			solo_failed(&e, 0, 0);
			unsigned events =
				e.events[MUX_DATA] + e.events[MUX_RESET] + e.events[MUX_OPEN];
			say(types[i], id);
			if (want[phase][i] == 'F') {
				solo_failed(&e, ERR_PROTOCOL, WIRE_PROTOCOL);
			} else {
				solo_failed(&e, 0, 0);
				solo_drain(&e);
			}
			if (want[phase][i] != 'T' || phase == STREAM_PHASE_REFUSED)
				ck_assert_uint_eq(events, e.events[MUX_DATA] + e.events[MUX_RESET] +
								  e.events[MUX_OPEN]);
			solo_fini(&e);
		}
	}
}
END_TEST

/* A guess at an id whose OPEN is still here: not even the end of the stream may lean on it. */
START_TEST(frames_before_our_open_has_left)
{
	static const unsigned types[] = {WIRE_OPEN, WIRE_DATA, WIRE_RESET, WIRE_CREDIT};
	for (int i = 0; i < 4; i++) {
		int rc;
		uint32_t n;
		greeted();
		struct end_stream *st = end_open(&e, &rc);
		say(types[i], st->id);
		solo_failed(&e, ERR_PROTOCOL, WIRE_PROTOCOL);
		end_close(st, WIRE_ABORTED);
		ck_assert_ptr_null(mux_pending(e.mux, &n));
		ck_assert_uint_eq(n, 0);
		solo_fini(&e);
	}
}
END_TEST

START_TEST(case_6_data_after_fin)
{
	greeted();
	solo_open(&e, ID, 4096);
	solo_data(&e, ID, 1, WIRE_FIN);
	solo_data(&e, ID, 0, WIRE_FIN);
	solo_failed(&e, ERR_PROTOCOL, WIRE_PROTOCOL);
	solo_fini(&e);
}
END_TEST

START_TEST(case_8_reset_of_what_never_was)
{
	static const uint32_t never[] = {1, 2, 77, 78, 0x7fffffff, 0x80000001, UINT32_MAX};
	for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
		greeted();
		solo_reset(&e, never[i], WIRE_ABORTED);
		solo_failed(&e, ERR_PROTOCOL, WIRE_PROTOCOL);
		solo_fini(&e);
	}
}
END_TEST

START_TEST(ids)
{
	static const struct {
		uint32_t id;
		bool ok;
	} next[] = {{3, true}, {5, true}, {0x7fffffff, true}, {1, false}, {2, false}, {4, false},
		{0x80000001, false}, {UINT32_MAX, false}};
	for (size_t i = 0; i < sizeof next / sizeof next[0]; i++) {
		greeted();
		solo_open(&e, 1, 4096);
		solo_failed(&e, 0, 0);
		solo_open(&e, next[i].id, 4096);
		solo_failed(&e, next[i].ok ? 0 : ERR_PROTOCOL, WIRE_PROTOCOL);
		solo_fini(&e);
	}
}
END_TEST

START_TEST(hello_comes_first_and_once)
{
	for (int i = 0; i < 10; i++) {
		solo_init(&e, &now, NULL);
		switch (i) {
		case 0:
			solo_open(&e, 1, 4096);
			break;
		case 1:
			solo_data(&e, 1, 1, 0);
			break;
		case 2:
			solo_ping(&e, 1, false);
			break;
		case 3:
			solo_goaway(&e, WIRE_GOAWAY_OPEN, 0);
			break;
		case 4:
			solo_limits(&e, 1, 4096, false);
			break;
		case 5:
			solo_ignorable(&e, 0);
			break;
		case 6:
			solo_announce(&e, 1);
			break;
		case 7:
			solo_token(&e, 1);
			break;
		case 8:
			end_feed(&e, (const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18);
			break;
		default:
			solo_hello(&e, 1, 4096);
			solo_hello(&e, 1, 4096);
		}
		solo_failed(&e, ERR_PROTOCOL, WIRE_PROTOCOL);
		solo_fini(&e);
	}
}
END_TEST

/* A controller that dialled a controller, a segment that dialled a segment. */
START_TEST(two_of_the_same_role)
{
	for (int i = 0; i < 2; i++) {
		uint8_t buf[MUX_CONTROL_ROOM];
		uint32_t code;
		struct mux_options o = pair_options(i == 0 ? MUX_DIALLED : MUX_ACCEPTED);
		struct wire_hello v = {.version = WIRE_VERSION,
			.role = (uint8_t)o.role,
			.max_streams = 1,
			.window = 4096};
		solo_init(&e, &now, &o);
		solo_drain(&e);
		end_feed(&e, buf, wire_put_hello(buf, &v));
		solo_failed(&e, ERR_PROTOCOL, WIRE_SAME_ROLE);
		ck_assert_str_eq(mux_failure(e.mux, &code),
			i == 0 ? "the peer is a controller too" : "the peer is a segment too");
		struct wire_goaway bye;
		ck_assert_uint_eq(mux_last_words(e.mux, code, buf), 16); /* the peer is told why */
		wire_get_goaway(&bye, buf + WIRE_HEADER);
		ck_assert_uint_eq(bye.code, WIRE_SAME_ROLE);
		solo_fini(&e);
	}
}
END_TEST

/* After a failure every call says the same, and there is no deadline to spin on. */
START_TEST(failure_stays)
{
	greeted();
	solo_reset(&e, 9, 0);
	int rc = e.rc;
	e.rc = 0;
	solo_ping(&e, 1, false);
	ck_assert_int_eq(e.rc, rc);
	ck_assert_int_eq(mux_tick(e.mux, now + 3600 * CLOCK_SEC), rc);
	ck_assert_uint_eq(mux_deadline(e.mux), CLOCK_NEVER);
	ck_assert(!mux_can_open(e.mux));
	uint8_t words[MUX_CONTROL_ROOM];
	struct wire_goaway v;
	ck_assert_uint_eq(mux_last_words(e.mux, WIRE_PROTOCOL, words), 16);
	wire_get_goaway(&v, words + WIRE_HEADER);
	ck_assert_uint_eq(v.code, WIRE_PROTOCOL);
	solo_fini(&e);
	solo_init(&e, &now, NULL);
	solo_ping(&e, 1, false);
	ck_assert_uint_eq(mux_last_words(e.mux, WIRE_PROTOCOL, words), 0); /* nothing before HELLO */
	solo_fini(&e);
}
END_TEST

START_TEST(a_stream_too_many)
{
	greeted();
	for (uint32_t i = 0; i < 64; i++)
		solo_open(&e, 1 + 2 * i, 4096);
	solo_failed(&e, 0, 0);
	ck_assert_uint_eq(mux_count(e.mux), 64);
	solo_open(&e, 129, 4096);
	solo_failed(&e, ERR_LIMIT, WIRE_FLOOD);
	solo_fini(&e);
}
END_TEST

/* Closed in one direction only, a stream counts still. */
START_TEST(half_closed_streams_count)
{
	greeted();
	for (uint32_t i = 0; i < 64; i++) {
		solo_open(&e, 1 + 2 * i, 4096);
		solo_data(&e, 1 + 2 * i, 0, WIRE_FIN);
		end_close(end_find(&e, 1 + 2 * i), WIRE_OK);
	}
	ck_assert_uint_eq(mux_count(e.mux), 64);
	solo_drain(&e); /* our RESETs leave: that is the other direction */
	ck_assert_uint_eq(mux_count(e.mux), 0);
	solo_open(&e, 129, 4096);
	solo_failed(&e, 0, 0);
	solo_fini(&e);
}
END_TEST

/* Says one thing until the end fails; how often it was said. */
static uint32_t until_failure(void (*one)(uint32_t i), uint32_t most)
{
	uint32_t i = 0;
	greeted();
	solo_open(&e, ID, 4096);
	while (e.rc == 0 && i < most)
		one(i++);
	return i;
}

static void one_ping(uint32_t i)
{
	solo_ping(&e, i, false);
}

static void one_pong(uint32_t i)
{
	solo_ping(&e, i + 1000, true);
}

static void one_limits(uint32_t i)
{
	(void)i;
	solo_limits(&e, 100, 4096, false);
}

static void one_announce(uint32_t i)
{
	solo_announce(&e, i);
}

static void one_token(uint32_t i)
{
	solo_token(&e, 1 + i % 5);
}

static void one_goaway(uint32_t i)
{
	(void)i;
	solo_goaway(&e, WIRE_GOAWAY_OPEN, 0);
}

static void one_ignorable(uint32_t i)
{
	solo_ignorable(&e, i & 1);
}

static void one_byte_of_credit(uint32_t i)
{
	solo_credit(&e, ID, 4097 + i);
}

static void same_credit(uint32_t i)
{
	(void)i;
	solo_credit(&e, ID, 4096);
}

static void open_and_reset(uint32_t i)
{
	solo_open(&e, 3 + 2 * i, 4096);
	solo_reset(&e, 3 + 2 * i, WIRE_ABORTED);
	solo_drain(&e);
}

static void frame_on_a_closed_stream(uint32_t i)
{
	if (i == 0) {
		solo_open(&e, 3, 4096);
		solo_data(&e, 3, 0, WIRE_FIN);
		end_give(end_find(&e, 3), 0, true);
		solo_drain(&e);
	}
	solo_reset(&e, 3, WIRE_ABORTED);
}

START_TEST(floods_cost_the_peer_its_transport)
{
	static void (*const flood[])(uint32_t i) = {one_ping, one_pong, one_limits, one_goaway,
		one_announce, one_ignorable, one_byte_of_credit, same_credit, open_and_reset,
		frame_on_a_closed_stream};
	for (size_t i = 0; i < sizeof flood / sizeof flood[0]; i++) {
		uint32_t n = until_failure(flood[i], 20000);
		solo_failed(&e, ERR_LIMIT, WIRE_FLOOD);
		ck_assert_uint_ge(n, BUDGET_POINTS);
		ck_assert_uint_le(n, BUDGET_POINTS + BUDGET_LATE + 2);
		solo_fini(&e);
	}
	ck_assert_uint_eq(until_failure(one_token, 20000), BUDGET_POINTS / BUDGET_TOKEN_PRICE + 1);
	solo_failed(&e, ERR_LIMIT, WIRE_FLOOD);
	solo_fini(&e);
}
END_TEST

START_TEST(case_19_pings_without_reading_cost_no_memory)
{
	greeted();
	size_t live = e.mem.live, calls = e.mem.calls;
	for (uint32_t i = 0; i < BUDGET_POINTS; i++)
		solo_ping(&e, i, false);
	solo_failed(&e, 0, 0);
	ck_assert_uint_eq(e.mem.live, live);
	ck_assert_uint_eq(e.mem.calls, calls);
	end_flush(&e, SIZE_MAX);
	ck_assert_uint_eq(e.out_len, 16); /* one PONG, to the last */
	ck_assert_uint_eq(wire_get_ping(e.out + WIRE_HEADER), BUDGET_POINTS - 1);
	solo_fini(&e);
}
END_TEST

START_TEST(case_28_rapid_reset)
{
	uint32_t n = until_failure(open_and_reset, 10000);
	ck_assert_uint_lt(n, 10000);
	ck_assert_uint_le(mux_count(e.mux), 2);
	solo_failed(&e, ERR_LIMIT, WIRE_FLOOD);
	solo_fini(&e);
}
END_TEST

/* A backend is down: every session is refused, and the peer has to answer each RESET. */
START_TEST(refusals_cost_the_peer_nothing)
{
	greeted();
	e.refuses = true;
	for (uint32_t i = 0; i < 3 * BUDGET_POINTS; i++) {
		solo_open(&e, 1 + 2 * i, 4096);
		solo_credit(&e, 1 + 2 * i, 8192); /* it had not heard yet */
		solo_drain(&e);
		solo_credit(&e, 1 + 2 * i, 16384);
		solo_reset(&e, 1 + 2 * i, WIRE_REFUSED);
	}
	solo_failed(&e, 0, 0);
	ck_assert_uint_eq(mux_count(e.mux), 0);
	solo_fini(&e);
}
END_TEST

/* CREDIT and RESET that crossed our FIN: an honest peer's, whatever the number of sessions. */
START_TEST(late_frames_of_honest_peers_are_free)
{
	greeted();
	for (uint32_t i = 0; i < 3 * BUDGET_POINTS; i++) {
		uint32_t id = 1 + 2 * i;
		solo_open(&e, id, 4096);
		solo_data(&e, id, 0, WIRE_FIN);
		end_give(end_find(&e, id), 600, true);
		solo_drain(&e);
		end_close(end_find(&e, id), WIRE_OK);
		struct end_stream *st = end_find(&e, id);
		list_remove(&st->node);
		list_init(&st->node);
		solo_credit(&e, id, 5000);
		solo_reset(&e, id, WIRE_ABORTED);
		free(st);
	}
	solo_failed(&e, 0, 0);
	solo_fini(&e);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mux_rules");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, every_frame_in_every_phase);
	tcase_add_test(t, frames_before_our_open_has_left);
	tcase_add_test(t, case_6_data_after_fin);
	tcase_add_test(t, case_8_reset_of_what_never_was);
	tcase_add_test(t, ids);
	tcase_add_test(t, hello_comes_first_and_once);
	tcase_add_test(t, two_of_the_same_role);
	tcase_add_test(t, failure_stays);
	tcase_add_test(t, a_stream_too_many);
	tcase_add_test(t, half_closed_streams_count);
	tcase_add_test(t, floods_cost_the_peer_its_transport);
	tcase_add_test(t, case_19_pings_without_reading_cost_no_memory);
	tcase_add_test(t, case_28_rapid_reset);
	tcase_add_test(t, refusals_cost_the_peer_nothing);
	tcase_add_test(t, late_frames_of_honest_peers_are_free);
	suite_add_tcase(s, t);
	return unit_main(s);
}
