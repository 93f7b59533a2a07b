/* LIMITS, PING and deadlines over two joined muxes, and alone. */
#include "unit/mux_pair.h"

static struct pair p;

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

/* What a stream that nobody reads may carry. */
static uint64_t window_of(struct end_stream *st, struct end *far)
{
	end_give(st, 100000, false);
	pair_run(&p);
	return end_find(far, st->id)->got;
}

/* The initial window falls and rises, for both directions of both sides' streams. */
static uint64_t lowered(const struct pair_way *way)
{
	pair_init(&p, way, NULL, NULL);
	p.a.stalls = p.b.stalls = true;
	pair_run(&p);
	struct end_stream *before = opened(&p.a);
	end_flush(&p.a, SIZE_MAX); /* under the old window */
	mux_set_window(p.b.mux, 1024, true);
	pair_run(&p);
	ck_assert_uint_eq(p.b.frames[WIRE_LIMITS], 1);
	ck_assert_uint_eq(p.a.frames[WIRE_LIMITS], 1);
	ck_assert_uint_eq(window_of(before, &p.b), 4096);
	ck_assert_uint_eq(window_of(opened(&p.a), &p.b), 1024);
	ck_assert_uint_eq(window_of(opened(&p.b), &p.a), 4096);
	struct end_stream *st = opened(&p.b);
	pair_run(&p);
	ck_assert_uint_eq(window_of(end_find(&p.a, st->id), &p.b), 1024);
	mux_set_window(p.b.mux, 4096, true);
	pair_run(&p);
	ck_assert_uint_eq(window_of(opened(&p.a), &p.b), 4096);
	ck_assert_uint_eq(p.b.frames[WIRE_LIMITS], 2);
	return finish();
}

START_TEST(initial_window_falls_and_rises)
{
	pair_every_way(lowered);
}
END_TEST

/*
 * Streams opened while LIMITS comes in: made before, leaving after its answer.  Their
 * credit is the one in force when they leave.
 */
static uint64_t crossing(const struct pair_way *way, uint32_t from, uint32_t to)
{
	struct mux_options o = pair_options(MUX_ACCEPTED);
	o.window = from;
	o.window_ceiling = 8192;
	pair_init(&p, way, NULL, &o);
	p.b.stalls = true;
	pair_run(&p);
	mux_set_window(p.b.mux, to, false);
	end_flush(&p.b, SIZE_MAX);
	struct end_stream *sent = opened(&p.a);
	end_flush(&p.a, SIZE_MAX);
	struct end_stream *made = opened(&p.a);
	end_give(made, 100000, false);
	end_feed(&p.a, p.b.out, p.b.out_len);
	p.b.out_len = 0;
	ck_assert_uint_eq(window_of(made, &p.b), to);
	ck_assert_uint_eq(window_of(sent, &p.b), from);
	return finish();
}

static uint64_t crossing_down(const struct pair_way *way)
{
	return crossing(way, 4096, 1024);
}

static uint64_t crossing_up(const struct pair_way *way)
{
	return crossing(way, 1024, 8192);
}

START_TEST(opens_that_cross_limits)
{
	pair_every_way(crossing_down);
	pair_every_way(crossing_up);
}
END_TEST

/* One LIMITS is under way at a time; the last wish wins. */
START_TEST(limits_follow_the_last_wish)
{
	pair_init(&p, NULL, NULL, NULL);
	p.b.stalls = true;
	pair_run(&p);
	mux_set_window(p.b.mux, 2048, true);
	mux_set_window(p.b.mux, 4096, true); /* as before: nothing to say */
	ck_assert(!mux_has_output(p.b.mux));
	mux_set_window(p.b.mux, 2048, true);
	end_flush(&p.b, SIZE_MAX);
	mux_set_window(p.b.mux, 3000, true);
	mux_set_window(p.b.mux, 1500, true);
	ck_assert(!mux_has_output(p.b.mux)); /* until the answer is in */
	pair_run(&p);
	ck_assert_uint_eq(p.b.frames[WIRE_LIMITS], 2);
	ck_assert_uint_eq(window_of(opened(&p.a), &p.b), 1500);
	finish();
}
END_TEST

START_TEST(windows_are_brought_within_bounds)
{
	static const uint32_t odd[] = {0, 1, 1023, (1u << 30) + 1, UINT32_MAX};
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		struct mux_options o = pair_options(MUX_ACCEPTED);
		o.window = odd[i];
		o.window_ceiling = odd[4 - i];
		pair_init(&p, NULL, NULL, &o);
		pair_run(&p);
		mux_set_window(p.b.mux, 5000, true);
		pair_run(&p);
		mux_set_window(p.b.mux, odd[i], true);
		opened(&p.b);
		pair_run(&p);
		finish();
	}
}
END_TEST

START_TEST(limits_out_of_bounds)
{
	static const uint32_t bad[] = {0, 1023, (1u << 30) + 1, UINT32_MAX};
	for (size_t i = 0; i < 5; i++) {
		struct end e;
		uint64_t now;
		solo_init(&e, &now, NULL);
		solo_hello(&e, 10, 4096);
		if (i < 4)
			solo_limits(&e, 5, bad[i], false);
		else
			solo_limits(&e, 5, 4096, true); /* an answer to nothing */
		solo_failed(&e, ERR_PROTOCOL, WIRE_PROTOCOL);
		solo_fini(&e);
	}
}
END_TEST

START_TEST(peer_allows_fewer_streams)
{
	struct mux_options o = pair_options(MUX_DIALLED);
	struct end e;
	uint64_t now;
	int rc;
	solo_init(&e, &now, &o);
	solo_hello(&e, 3, 4096);
	opened(&e);
	opened(&e);
	solo_limits(&e, 1, 4096, false);
	ck_assert_ptr_null(end_open(&e, &rc));
	ck_assert_int_eq(rc, ERR_LIMIT);
	solo_drain(&e);
	ck_assert_uint_eq(e.frames[WIRE_LIMITS], 1);
	solo_limits(&e, 3, 4096, false);
	opened(&e);
	ck_assert(!mux_can_open(e.mux));
	solo_fini(&e);
}
END_TEST

START_TEST(id_counts_until_both_directions_are_closed)
{
	struct mux_options o = pair_options(MUX_ACCEPTED);
	int rc;
	o.max_streams = 1;
	pair_init(&p, NULL, NULL, &o);
	pair_run(&p);
	struct end_stream *st = opened(&p.a);
	pair_run(&p);
	struct end_stream *far = end_find(&p.b, st->id);
	end_give(st, 1, true);
	pair_run(&p);
	ck_assert_ptr_null(end_open(&p.a, &rc));
	ck_assert_int_eq(rc, ERR_LIMIT);
	end_give(far, 1, true);
	end_flush(&p.b, SIZE_MAX);
	ck_assert_uint_eq(mux_count(p.b.mux), 0); /* closed there, and not given back */
	ck_assert(!mux_can_open(p.a.mux));
	pair_run(&p);
	ck_assert(mux_can_open(p.a.mux));
	opened(&p.a);
	pair_run(&p);
	finish();
}
END_TEST

/* --- time ----------------------------------------------------------------------------- */

START_TEST(quiet_pair_lives)
{
	pair_init(&p, NULL, NULL, NULL);
	pair_run(&p);
	pair_wait(&p, 3600 * CLOCK_SEC);
	/* Each is asked three times per time-out at most, and answers. */
	ck_assert_uint_ge(p.a.frames[WIRE_PING], 100);
	ck_assert_uint_le(p.a.frames[WIRE_PING] + p.b.frames[WIRE_PING], 4 * 3600 / 10 + 10);
	finish();
}
END_TEST

START_TEST(case_23_black_hole_with_a_full_send_queue)
{
	pair_init(&p, NULL, NULL, NULL);
	pair_run(&p);
	struct end_stream *st = opened(&p.a);
	end_give(st, 1000, false);
	p.cut = true;
	pair_wait(&p, 30 * CLOCK_SEC - 1);
	ck_assert_int_eq(p.a.rc, 0);
	pair_wait(&p, 1);
	ck_assert_int_eq(p.a.rc, ERR_TIMEOUT);
	ck_assert_int_eq(p.b.rc, ERR_TIMEOUT);
	solo_failed(&p.a, ERR_TIMEOUT, WIRE_TIMED_OUT);
	pair_fini(&p);
}
END_TEST

START_TEST(case_24_busy_peer_with_a_late_pong)
{
	struct end e;
	uint64_t now;
	solo_init(&e, &now, NULL);
	solo_hello(&e, 10, 4096);
	solo_open(&e, 1, 4096);
	for (int i = 0; i < 100; i++) { /* a byte now and then, and never a PONG */
		now += 29 * CLOCK_SEC;
		end_tick(&e);
		solo_data(&e, 1, 1, 0);
		solo_drain(&e);
		solo_failed(&e, 0, 0);
	}
	ck_assert_uint_eq(e.frames[WIRE_PING], 1); /* one is enough until it is answered */
	now += 30 * CLOCK_SEC;
	end_tick(&e);
	solo_failed(&e, ERR_TIMEOUT, WIRE_TIMED_OUT);
	solo_fini(&e);
}
END_TEST

START_TEST(payload_taken_from_the_socket_is_a_sign_of_life)
{
	struct end e;
	uint64_t now;
	uint8_t h[WIRE_HEADER];
	struct wire_header data = {4000, WIRE_DATA, 0, 1};
	solo_init(&e, &now, NULL);
	solo_hello(&e, 10, 4096);
	solo_open(&e, 1, 4096);
	wire_put_header(h, &data);
	end_feed(&e, h, sizeof h);
	for (int i = 0; i < 100; i++) {
		now += 29 * CLOCK_SEC;
		ck_assert(!mux_took(e.mux, 1, now));
		end_tick(&e);
		solo_failed(&e, 0, 0);
	}
	solo_fini(&e);
}
END_TEST

START_TEST(hello_in_time_or_never)
{
	struct end e;
	uint64_t now;
	for (int dribble = 0; dribble < 2; dribble++) {
		solo_init(&e, &now, NULL);
		solo_drain(&e);
		uint64_t start = now;
		for (; now < start + MUX_HELLO_TIMEOUT; now += CLOCK_SEC / 2) {
			ck_assert_uint_le(mux_deadline(e.mux), start + MUX_HELLO_TIMEOUT);
			if (dribble) /* bytes of a header are no HELLO */
				end_feed(&e,
					(const uint8_t *)"\0\0\x28\x08\0\0\0\0CLOUDB" +
						(now - start) / (CLOCK_SEC / 2),
					1);
			end_tick(&e);
			solo_failed(&e, 0, 0);
		}
		end_tick(&e);
		solo_failed(&e, ERR_TIMEOUT, WIRE_TIMED_OUT);
		solo_fini(&e);
	}
}
END_TEST

/* With any time-outs, the next deadline after a tick is later, unless there is output. */
START_TEST(no_busy_loop)
{
	uint64_t r = 11;
	for (int i = 0; i < 200; i++) {
		struct mux_options o = pair_options(MUX_DIALLED);
		o.link_timeout = 3 + unit_below(&r, 5 * CLOCK_SEC);
		o.hello_timeout = 1 + unit_below(&r, 3 * CLOCK_SEC);
		pair_init(&p, NULL, &o, NULL);
		if (i & 1)
			pair_run(&p);
		if (i & 2)
			mux_goaway(p.a.mux, WIRE_OK, p.now);
		for (int k = 0; k < 100 && p.a.rc == 0; k++) {
			p.now = mux_deadline(p.a.mux);
			end_tick(&p.a); /* notes a deadline that does not move on */
			if (i & 4)
				end_flush(&p.a, SIZE_MAX);
		}
		ck_assert_int_eq(p.a.rc, ERR_TIMEOUT);
		p.a.rc = 0;
		pair_fini(&p);
	}
}
END_TEST

START_TEST(endless_time_outs)
{
	struct mux_options o = pair_options(MUX_DIALLED);
	o.link_timeout = o.hello_timeout = UINT64_MAX;
	pair_init(&p, NULL, &o, NULL);
	ck_assert_uint_gt(mux_deadline(p.a.mux), p.now + 365 * 86400 * CLOCK_SEC);
	end_tick(&p.a);
	pair_run(&p);
	ck_assert_uint_gt(mux_deadline(p.a.mux), p.now + 365 * 86400 * CLOCK_SEC);
	finish();
}
END_TEST

START_TEST(round_trip_is_measured)
{
	struct end e;
	uint64_t now;
	solo_init(&e, &now, NULL);
	solo_hello(&e, 10, 4096);
	ck_assert_uint_eq(mux_rtt(e.mux), 0);
	end_flush(&e, SIZE_MAX);
	uint64_t opaque = wire_get_ping(e.out + e.out_len - 8);
	now += 7000;
	solo_ping(&e, opaque, true);
	ck_assert_uint_eq(mux_rtt(e.mux), 7000);
	mux_probe(e.mux, now);
	mux_probe(e.mux, now); /* not again within a second */
	solo_drain(&e);
	ck_assert_uint_eq(e.frames[WIRE_PING], 2);
	now += 9000;
	solo_ping(&e, opaque + 1, true);
	ck_assert_uint_eq(mux_rtt(e.mux), 7000);
	mux_probe(e.mux, now);
	ck_assert(!mux_has_output(e.mux));
	solo_fini(&e);
}
END_TEST

/* Who grants credit measures the round trip by which windows grow, once a second. */
START_TEST(traffic_measures_the_round_trip)
{
	pair_init(&p, NULL, NULL, NULL);
	pair_run(&p);
	struct end_stream *st = opened(&p.a);
	for (unsigned i = 1; i <= 5; i++) {
		p.now += CLOCK_SEC;
		end_give(st, 20000, false);
		pair_run(&p);
		ck_assert_uint_eq(p.b.frames[WIRE_PING], 2 + i); /* the first, a PONG, and these */
	}
	finish();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mux_limits");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, initial_window_falls_and_rises);
	tcase_add_test(t, opens_that_cross_limits);
	tcase_add_test(t, limits_follow_the_last_wish);
	tcase_add_test(t, windows_are_brought_within_bounds);
	tcase_add_test(t, limits_out_of_bounds);
	tcase_add_test(t, peer_allows_fewer_streams);
	tcase_add_test(t, id_counts_until_both_directions_are_closed);
	tcase_add_test(t, quiet_pair_lives);
	tcase_add_test(t, case_23_black_hole_with_a_full_send_queue);
	tcase_add_test(t, case_24_busy_peer_with_a_late_pong);
	tcase_add_test(t, payload_taken_from_the_socket_is_a_sign_of_life);
	tcase_add_test(t, hello_in_time_or_never);
	tcase_add_test(t, no_busy_loop);
	tcase_add_test(t, endless_time_outs);
	tcase_add_test(t, round_trip_is_measured);
	tcase_add_test(t, traffic_measures_the_round_trip);
	suite_add_tcase(s, t);
	return unit_main(s);
}
