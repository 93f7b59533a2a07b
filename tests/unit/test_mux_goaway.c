/* The orderly end of a transport, and the end of ids. */
#include "unit/mux_pair.h"

#include <string.h>

static struct pair p;

static void begin(const struct pair_way *way)
{
	pair_init(&p, way, NULL, NULL);
	pair_run(&p);
}

static uint64_t finish(void)
{
	uint64_t n = p.a.bytes_out > p.b.bytes_out ? p.a.bytes_out : p.b.bytes_out;
	ck_assert_int_eq(p.a.rc, 0);
	ck_assert_int_eq(p.b.rc, 0);
	pair_fini(&p);
	return n;
}

static struct end_stream *opened(struct end *e)
{
	int rc;
	struct end_stream *st = end_open(e, &rc);
	ck_assert_int_eq(rc, 0);
	return st;
}

/* What is open finishes, nothing new begins, from either side. */
static uint64_t case_26(const struct pair_way *way)
{
	int rc;
	begin(way);
	struct end_stream *st = opened(&p.a);
	pair_run(&p);
	struct end_stream *far = end_find(&p.b, st->id);
	end_give(st, 300, false);
	mux_goaway(p.b.mux, WIRE_OK, p.now);
	mux_goaway(p.b.mux, WIRE_ABORTED, p.now); /* once is enough */
	ck_assert_ptr_null(end_open(&p.b, &rc));
	ck_assert_int_eq(rc, ERR_CLOSED);
	pair_run(&p);
	ck_assert_uint_eq(p.a.events[MUX_GOAWAY], 1);
	ck_assert_uint_eq(p.a.code, WIRE_OK);
	ck_assert(mux_is_going(p.a.mux) && mux_is_going(p.b.mux));
	ck_assert(!mux_can_open(p.a.mux));
	ck_assert_ptr_null(end_open(&p.a, &rc));
	ck_assert_int_eq(rc, ERR_CLOSED);
	ck_assert_uint_eq(p.b.frames[WIRE_GOAWAY], 2); /* two steps, no time having passed */
	ck_assert_uint_eq(p.a.frames[WIRE_GOAWAY], 1); /* the answer to the second */
	ck_assert(!mux_is_finished(p.a.mux) && !mux_is_finished(p.b.mux));
	end_give(st, 10000, true);
	end_give(far, 20, true);
	pair_run(&p);
	ck_assert_uint_eq(far->got, 10300);
	ck_assert(far->got_end && st->got_end);
	ck_assert(mux_is_finished(p.a.mux) && mux_is_finished(p.b.mux));
	return finish();
}

START_TEST(case_26_goaway_mid_stream)
{
	pair_every_way(case_26);
}
END_TEST

static uint64_t both_at_once(const struct pair_way *way)
{
	begin(way);
	mux_goaway(p.a.mux, WIRE_OK, p.now);
	mux_goaway(p.b.mux, WIRE_OK, p.now);
	end_flush(&p.a, SIZE_MAX);
	end_flush(&p.b, SIZE_MAX);
	pair_run(&p);
	ck_assert(mux_is_finished(p.a.mux) && mux_is_finished(p.b.mux));
	return finish();
}

START_TEST(both_go_at_once)
{
	pair_every_way(both_at_once);
}
END_TEST

/* A stream opened before the announcement was heard is accepted by the last id. */
static uint64_t crossing_open(const struct pair_way *way)
{
	begin(way);
	struct end_stream *st = opened(&p.a);
	end_flush(&p.a, SIZE_MAX);
	struct end_stream *unsent = opened(&p.a); /* its OPEN waits while the GOAWAY comes in */
	mux_goaway(p.b.mux, WIRE_OK, p.now);
	end_flush(&p.b, SIZE_MAX);
	pair_run(&p);
	ck_assert_uint_eq(p.b.events[MUX_OPEN], 2);
	ck_assert(!st->got_reset && !unsent->got_reset);
	ck_assert_uint_eq(mux_count(p.b.mux), 2);
	return finish();
}

START_TEST(streams_on_their_way_are_accepted)
{
	pair_every_way(crossing_open);
}
END_TEST

/*
 * OPENs held up until the second step was taken without them: told as reset, once,
 * and answered by the RESET that the other side sends.
 */
static uint64_t left_out(const struct pair_way *way, bool close_early)
{
	begin(way);
	struct end_stream *kept = opened(&p.a);
	pair_run(&p);
	struct end_stream *st = opened(&p.a), *quiet = opened(&p.a);
	end_give(st, 100, true);
	end_flush(&p.a, SIZE_MAX);
	size_t held = p.a.out_len; /* under way for longer than anybody waits */
	p.a.out_len = 0;
	mux_goaway(p.b.mux, WIRE_OK, p.now);
	end_flush(&p.b, SIZE_MAX);
	p.now += 2 * CLOCK_SEC;
	end_tick(&p.b); /* the announcement counts as heard */
	end_flush(&p.b, SIZE_MAX);
	p.a.out_len = held;
	if (close_early)
		end_close(quiet, WIRE_ABORTED);
	pair_run(&p);
	ck_assert(st->got_reset && !st->got_end);
	ck_assert_uint_eq(st->code, WIRE_DRAINING);
	ck_assert(quiet->got_reset != close_early);
	ck_assert(!kept->got_reset);
	ck_assert_uint_eq(p.b.events[MUX_OPEN], 1);
	ck_assert_uint_eq(mux_count(p.a.mux), 1);
	ck_assert_uint_eq(mux_count(p.b.mux), 1);
	end_close(st, WIRE_ABORTED);
	end_give(kept, 1, true);
	end_give(end_find(&p.b, kept->id), 1, true);
	pair_run(&p);
	ck_assert(mux_is_finished(p.a.mux) && mux_is_finished(p.b.mux));
	return finish();
}

static uint64_t left_out_plain(const struct pair_way *way)
{
	return left_out(way, false);
}

static uint64_t left_out_closed(const struct pair_way *way)
{
	return left_out(way, true);
}

START_TEST(streams_left_out_by_the_last_id)
{
	pair_every_way(left_out_plain);
	pair_every_way(left_out_closed);
}
END_TEST

/* The driver closes a stream between the GOAWAY and being told that it is left out. */
START_TEST(left_out_and_closed_before_it_is_told)
{
	for (int sent = 0; sent < 2; sent++) {
		struct mux_options o = pair_options(MUX_DIALLED);
		struct end e;
		uint64_t now;
		uint8_t buf[MUX_CONTROL_ROOM];
		struct mux_event ev;
		solo_init(&e, &now, &o);
		solo_hello(&e, 10, 4096);
		solo_drain(&e);
		struct end_stream *st = opened(&e), *other = opened(&e);
		if (sent)
			solo_drain(&e);
		struct wire_goaway v = {0, WIRE_OK};
		const uint8_t *at = buf;
		size_t n = wire_put_goaway(buf, &v);
		ck_assert_int_eq(mux_receive(e.mux, &at, &n, now, &ev), 0);
		ck_assert_int_eq(ev.type, MUX_GOAWAY);
		end_close(st, WIRE_ABORTED);
		void *user;
		ck_assert_ptr_eq(mux_any(e.mux, &user), other->s);
		end_feed(&e, NULL, 0);
		ck_assert(other->got_reset && !st->got_reset);
		solo_drain(&e);
		ck_assert_uint_eq(e.frames[WIRE_RESET], sent ? 2 : 0);
		if (sent) {
			solo_data(&e, 1, 5, 0); /* the peer had not heard: thrown away */
			solo_data(&e, 3, 5, WIRE_FIN);
			solo_reset(&e, 1, WIRE_DRAINING);
		}
		ck_assert_uint_eq(e.events[MUX_DATA], 0);
		ck_assert_uint_eq(mux_count(e.mux), 0);
		solo_failed(&e, 0, 0);
		solo_fini(&e);
	}
}
END_TEST

/* Told, then reset by the peer while our own RESET has not left: neither fatal nor told twice. */
START_TEST(left_out_then_reset)
{
	struct mux_options o = pair_options(MUX_DIALLED);
	struct end e;
	uint64_t now;
	solo_init(&e, &now, &o);
	solo_hello(&e, 10, 4096);
	struct end_stream *st = opened(&e);
	solo_drain(&e);
	solo_goaway(&e, 0, WIRE_OK);
	solo_reset(&e, 1, WIRE_DRAINING);
	solo_failed(&e, 0, 0);
	ck_assert_uint_eq(e.events[MUX_RESET], 1);
	solo_drain(&e);
	ck_assert_uint_eq(mux_count(e.mux), 0);
	end_close(st, WIRE_OK);
	solo_fini(&e);
}
END_TEST

/* Told, and its driver is slow to notice: it sends nothing more, and resets it once. */
START_TEST(left_out_and_used_on)
{
	for (int drained = 0; drained < 2; drained++) {
		struct mux_options o = pair_options(MUX_DIALLED);
		struct end e;
		uint64_t now;
		solo_init(&e, &now, &o);
		solo_hello(&e, 10, 4096);
		struct end_stream *st = opened(&e);
		end_give(st, 10000, false);
		solo_drain(&e);
		unsigned sent = e.frames[WIRE_DATA];
		solo_goaway(&e, 0, WIRE_OK);
		ck_assert(st->got_reset);
		if (drained)
			solo_drain(&e);
		solo_credit(&e, 1, 8192);
		mux_ready(st->s, now);
		solo_drain(&e);
		end_close(st, WIRE_ABORTED);
		solo_drain(&e);
		ck_assert_uint_eq(e.frames[WIRE_DATA], sent);
		ck_assert_uint_eq(e.frames[WIRE_RESET], 1);
		ck_assert_uint_eq(mux_count(e.mux), 1);
		solo_reset(&e, 1, WIRE_DRAINING);
		ck_assert_uint_eq(mux_count(e.mux), 0);
		solo_failed(&e, 0, 0);
		solo_fini(&e);
	}
}
END_TEST

/* The mux is freed between the GOAWAY and the telling, one stream having closed meanwhile. */
START_TEST(left_out_and_never_told)
{
	struct mux_options o = pair_options(MUX_DIALLED);
	struct end e;
	uint64_t now;
	uint8_t buf[MUX_CONTROL_ROOM];
	struct mux_event ev;
	solo_init(&e, &now, &o);
	solo_hello(&e, 10, 4096);
	struct end_stream *st = opened(&e);
	opened(&e);
	solo_drain(&e);
	solo_data(&e, 1, 5, WIRE_FIN);
	struct wire_goaway v = {0, WIRE_OK};
	const uint8_t *at = buf;
	size_t n = wire_put_goaway(buf, &v);
	ck_assert_int_eq(mux_receive(e.mux, &at, &n, now, &ev), 0);
	end_give(st, 1, true);
	solo_drain(&e);
	ck_assert_uint_eq(mux_count(e.mux), 1);
	solo_fini(&e);
}
END_TEST

/* A PONG and a GOAWAY say that no OPEN is under way: those that wait go before them. */
START_TEST(opens_leave_first)
{
	struct mux_options o = pair_options(MUX_DIALLED);
	struct end e;
	uint64_t now;
	solo_init(&e, &now, &o);
	solo_hello(&e, 10, 4096);
	solo_drain(&e);
	opened(&e);
	solo_ping(&e, 1, false);
	mux_goaway(e.mux, WIRE_OK, now);
	solo_limits(&e, 10, 2048, false);
	solo_drain(&e);
	ck_assert_uint_eq(e.last[3].type, WIRE_LIMITS); /* but after the answer to this */
	ck_assert_uint_eq(e.last[2].type, WIRE_OPEN);
	ck_assert_uint_eq(e.last[1].type, WIRE_PING);
	ck_assert_uint_eq(e.last[0].type, WIRE_GOAWAY);
	solo_fini(&e);
}
END_TEST

START_TEST(goaway_out_of_bounds)
{
	struct end e;
	uint64_t now;
	for (int i = 0; i < 3; i++) {
		struct mux_options o = pair_options(MUX_DIALLED);
		solo_init(&e, &now, &o);
		solo_hello(&e, 10, 4096);
		opened(&e);
		solo_drain(&e);
		if (i == 0)
			solo_goaway(&e, 3, WIRE_OK); /* never opened */
		else
			solo_goaway(&e, 1, WIRE_OK);
		if (i == 2)
			solo_goaway(&e, 1, WIRE_OK);
		solo_failed(&e, i == 1 ? 0 : ERR_PROTOCOL, WIRE_PROTOCOL);
		ck_assert_uint_eq(e.events[MUX_RESET], 0); /* 1 was accepted */
		solo_fini(&e);
	}
}
END_TEST

/* A dialling side with one stream open, and nothing left to send. */
static void one_stream(struct end *e, uint64_t *now)
{
	struct mux_options o = pair_options(MUX_DIALLED);
	solo_init(e, now, &o);
	solo_hello(e, 10, 4096);
	opened(e);
	solo_drain(e);
}

/* A side that fails says why, whatever GOAWAY it has sent before: that is what is told. */
START_TEST(a_peer_that_fails_after_its_last_goaway)
{
	static const uint32_t codes[] = {WIRE_TIMED_OUT, WIRE_FLOOD, WIRE_INTERNAL, WIRE_PROTOCOL,
		WIRE_SAME_ROLE, WIRE_EXPIRED, WIRE_REVOKED, WIRE_OK, WIRE_REPLACED, 0xffff};
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		struct end e;
		uint64_t now;
		uint32_t code;
		one_stream(&e, &now);
		solo_goaway(&e, 1, WIRE_OK);
		ck_assert_int_eq(e.rc, 0);
		solo_goaway(&e, 1, codes[i]);
		ck_assert_int_ne(e.rc, 0);
		const char *why = mux_failure(e.mux, &code);
		bool known = i < 7;
		uint8_t words[MUX_CONTROL_ROOM];
		ck_assert_uint_eq(code, known ? codes[i] : (uint32_t)WIRE_PROTOCOL);
		ck_assert_int_eq(strncmp(why, "the peer ended it: ", 19) == 0, known);
		ck_assert_uint_eq(mux_last_words(e.mux, code, words), known ? 0 : 16);
		solo_fini(&e);
	}
}
END_TEST

/* So it is where nothing was announced, or not more than that, if no orderly end has the code. */
START_TEST(a_peer_that_fails_before_its_last_goaway)
{
	static const struct {
		uint32_t code;
		const char *why;
	} codes[] = {{WIRE_REVOKED, "is revoked"}, {WIRE_PROTOCOL, "a rule"},
		{WIRE_FLOOD, "too many"}, {WIRE_TIMED_OUT, "in time"}, {WIRE_SAME_ROLE, "role"}};
	for (size_t i = 0; i < 2 * sizeof codes / sizeof *codes; i++) {
		bool announced = i & 1;
		struct end e;
		uint64_t now;
		uint32_t code;
		one_stream(&e, &now);
		if (announced)
			solo_goaway(&e, WIRE_GOAWAY_OPEN, WIRE_OK);
		ck_assert_int_eq(e.rc, 0);
		solo_goaway(&e, 1, codes[i / 2].code);
		ck_assert_int_ne(e.rc, 0);
		ck_assert_ptr_nonnull(strstr(mux_failure(e.mux, &code), codes[i / 2].why));
		ck_assert_uint_eq(code, codes[i / 2].code);
		solo_fini(&e);
	}
}
END_TEST

/* The driver hears of a code that is another than before, unless it says nothing. */
START_TEST(a_reason_that_changes_is_told)
{
	static const struct {
		uint32_t last, code;
		unsigned events; /* so far */
		bool ends;       /* why it is lost, if it is */
	} steps[] = {{WIRE_GOAWAY_OPEN, WIRE_OK, 1, false},
		{WIRE_GOAWAY_OPEN, WIRE_EXPIRED, 2, false},
		{WIRE_GOAWAY_OPEN, WIRE_EXPIRED, 2, false}, {WIRE_GOAWAY_OPEN, WIRE_OK, 2, false},
		{1, WIRE_INTERNAL, 3, true}};
	struct end e;
	uint64_t now;
	uint32_t code;
	struct mux_options o = pair_options(MUX_DIALLED);
	solo_init(&e, &now, &o);
	solo_hello(&e, 10, 4096);
	opened(&e);
	solo_drain(&e);
	ck_assert_ptr_null(mux_peer_reason(e.mux, &code));
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		solo_goaway(&e, steps[i].last, steps[i].code);
		ck_assert_int_eq(e.rc, 0);
		ck_assert_uint_eq(e.events[MUX_GOAWAY], steps[i].events);
		if (steps[i].code != WIRE_OK)
			ck_assert_uint_eq(e.code, steps[i].code);
		ck_assert_int_eq(mux_peer_reason(e.mux, &code) != NULL, steps[i].ends);
		ck_assert_uint_eq(code, steps[i].code);
	}
	solo_fini(&e);
}
END_TEST

/* Output is stuck, deadlines come and go: no spin, and the second step waits for the first. */
START_TEST(case_27_goaway_with_a_full_buffer)
{
	struct end e;
	uint64_t now;
	solo_init(&e, &now, NULL);
	solo_hello(&e, 10, 4096);
	solo_drain(&e);
	mux_goaway(e.mux, WIRE_OK, now);
	for (int i = 0; i < 100; i++) { /* nothing can be written, bytes still come in */
		uint64_t at = mux_deadline(e.mux);
		ck_assert_uint_gt(at, now);
		now = at - 1;
		solo_ping(&e, 1, false);
		end_tick(&e);
		solo_failed(&e, 0, 0);
	}
	solo_drain(&e);
	ck_assert_uint_eq(e.frames[WIRE_GOAWAY], 1);
	uint64_t left = now;
	while (e.frames[WIRE_GOAWAY] < 2) {
		now = mux_deadline(e.mux);
		ck_assert_uint_le(now, left + 2 * CLOCK_SEC);
		end_tick(&e);
		solo_drain(&e);
	}
	ck_assert_uint_eq(now, left + CLOCK_SEC);
	solo_fini(&e);
}
END_TEST

/* The PING under way when GOAWAY is made proves nothing; another is sent at once. */
START_TEST(old_pong_proves_nothing)
{
	struct end e;
	uint64_t now;
	solo_init(&e, &now, NULL);
	solo_hello(&e, 10, 4096);
	end_flush(&e, SIZE_MAX);
	ck_assert_uint_eq(e.frames[WIRE_PING], 1);
	uint64_t opaque = wire_get_ping(e.out + e.out_len - 8);
	e.out_len = 0;
	for (int late = 0; late < 2; late++) {
		if (late)
			solo_ping(&e, opaque, true); /* between the making and the leaving */
		mux_goaway(e.mux, WIRE_OK, now);
		if (late)
			solo_drain(&e);
	}
	ck_assert_uint_eq(e.frames[WIRE_GOAWAY], 1);
	ck_assert_uint_eq(e.frames[WIRE_PING], 2); /* no waiting for the keepalive */
	solo_ping(&e, opaque + 1, true);
	solo_drain(&e);
	ck_assert_uint_eq(e.frames[WIRE_GOAWAY], 2);
	solo_fini(&e);
}
END_TEST

START_TEST(ids_run_out)
{
	struct mux_options o = pair_options(MUX_DIALLED);
	int rc;
	o.last_id = 6;
	pair_init(&p, NULL, &o, NULL);
	pair_run(&p);
	ck_assert(!mux_is_worn(p.a.mux));
	opened(&p.a);
	opened(&p.a);
	ck_assert(mux_is_worn(p.a.mux));
	opened(&p.a);
	ck_assert(!mux_can_open(p.a.mux));
	ck_assert_ptr_null(end_open(&p.a, &rc));
	ck_assert_int_eq(rc, ERR_CLOSED);
	pair_run(&p);
	ck_assert_uint_eq(p.b.events[MUX_OPEN], 3);
	finish();
}
END_TEST

/* Whoever dials has to replace the transport, also where the other side uses the ids up. */
START_TEST(the_peers_ids_run_out)
{
	struct end e;
	uint64_t now;
	solo_init(&e, &now, NULL);
	solo_hello(&e, 100, 4096);
	solo_open(&e, WIRE_STREAM_MAX - (1 << 16), 4096);
	ck_assert(!mux_is_worn(e.mux));
	solo_open(&e, WIRE_STREAM_MAX - (1 << 16) + 2, 4096);
	ck_assert(mux_is_worn(e.mux));
	solo_fini(&e);
}
END_TEST

START_TEST(open_is_refused_for_the_right_reason)
{
	int rc;
	pair_init(&p, NULL, NULL, NULL);
	ck_assert_ptr_null(end_open(&p.a, &rc));
	ck_assert_int_eq(rc, ERR_CLOSED); /* before HELLO */
	pair_run(&p);
	for (int i = 0; i < 64; i++)
		opened(&p.a);
	ck_assert_ptr_null(end_open(&p.a, &rc));
	ck_assert_int_eq(rc, ERR_LIMIT);
	mux_goaway(p.a.mux, WIRE_OK, p.now);
	ck_assert_ptr_null(end_open(&p.a, &rc));
	ck_assert_int_eq(rc, ERR_CLOSED);
	pair_run(&p);
	finish();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mux_goaway");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, case_26_goaway_mid_stream);
	tcase_add_test(t, both_go_at_once);
	tcase_add_test(t, streams_on_their_way_are_accepted);
	tcase_add_test(t, streams_left_out_by_the_last_id);
	tcase_add_test(t, left_out_and_closed_before_it_is_told);
	tcase_add_test(t, left_out_then_reset);
	tcase_add_test(t, left_out_and_used_on);
	tcase_add_test(t, left_out_and_never_told);
	tcase_add_test(t, opens_leave_first);
	tcase_add_test(t, goaway_out_of_bounds);
	tcase_add_test(t, a_peer_that_fails_after_its_last_goaway);
	tcase_add_test(t, a_peer_that_fails_before_its_last_goaway);
	tcase_add_test(t, a_reason_that_changes_is_told);
	tcase_add_test(t, case_27_goaway_with_a_full_buffer);
	tcase_add_test(t, old_pong_proves_nothing);
	tcase_add_test(t, ids_run_out);
	tcase_add_test(t, the_peers_ids_run_out);
	tcase_add_test(t, open_is_refused_for_the_right_reason);
	suite_add_tcase(s, t);
	return unit_main(s);
}
