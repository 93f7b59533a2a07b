/* Credit, turns and payload over two joined muxes: nobody stops another. */
#include "unit/mux_pair.h"

static struct pair p;

static struct end_stream *open_one(struct end_stream **far)
{
	int rc;
	struct end_stream *st = end_open(&p.a, &rc);
	ck_assert_int_eq(rc, 0);
	pair_run(&p);
	*far = end_find(&p.b, st->id);
	return st;
}

static void begin(const struct pair_way *way)
{
	pair_init(&p, way, NULL, NULL);
	pair_run(&p);
}

static void finish(void)
{
	ck_assert_int_eq(p.a.rc, 0);
	ck_assert_int_eq(p.b.rc, 0);
	pair_fini(&p);
}

static uint64_t upload(const struct pair_way *way)
{
	struct end_stream *far;
	begin(way);
	struct end_stream *st = open_one(&far);
	end_give(st, 20000, true);
	pair_run(&p);
	ck_assert_uint_eq(far->got, 20000);
	ck_assert(far->got_end);
	uint64_t n = p.a.bytes_out;
	finish();
	return n;
}

START_TEST(more_than_a_window)
{
	pair_every_way(upload);
}
END_TEST

enum { MANY = 1024, SHARE = 20000 };

/*
 * Opens MANY streams, of which the readers of the first `stopped` read nothing, and sends
 * SHARE bytes on each.  Every other stream gets all of it.  Bytes that it took.
 */
static uint64_t crowd(size_t stopped)
{
	struct mux_options a = pair_options(MUX_DIALLED), b = pair_options(MUX_ACCEPTED);
	a.max_streams = b.max_streams = MANY;
	pair_init(&p, NULL, &a, &b);
	pair_run(&p);
	struct end_stream *st[MANY], *far[MANY];
	for (size_t i = 0; i < MANY; i++) {
		st[i] = open_one(&far[i]);
		far[i]->stalled = i < stopped;
	}
	for (size_t i = 0; i < MANY; i++)
		end_give(st[i], SHARE, true);
	pair_run(&p);
	for (size_t i = 0; i < MANY; i++) {
		ck_assert_uint_eq(far[i]->got, i < stopped ? a.window : SHARE);
		ck_assert(far[i]->got_end == (i >= stopped));
	}
	uint64_t n = p.a.bytes_out;
	for (size_t i = 0; i < stopped; i++) {
		far[i]->stalled = false;
		end_read(far[i], far[i]->unread);
	}
	pair_run(&p);
	for (size_t i = 0; i < MANY; i++)
		ck_assert_uint_eq(far[i]->got, SHARE);
	finish();
	return n;
}

START_TEST(case_12_one_reader_stopped_1023_active)
{
	/* Their throughput: bytes delivered for each byte that the transport carries. */
	uint64_t alone = crowd(0), beside = crowd(1);
	double share = (double)(MANY - 1) * SHARE / (double)beside;
	ck_assert(share >= 0.95 * ((double)MANY * SHARE / (double)alone));
}
END_TEST

START_TEST(case_13_1023_readers_stopped_one_active)
{
	(void)crowd(MANY - 1);
}
END_TEST

START_TEST(slow_reader_stops_its_stream_only)
{
	struct end_stream *slow, *quick;
	begin(NULL);
	struct end_stream *st = open_one(&slow), *other = open_one(&quick);
	slow->stalled = true;
	end_give(st, 100000, true);
	end_give(other, 100000, true);
	pair_run(&p);
	ck_assert_uint_eq(slow->got, 4096); /* the window, to the last byte */
	ck_assert_uint_eq(mux_held(slow->s), 4096);
	ck_assert(mux_is_blocked(st->s));
	ck_assert_uint_eq(quick->got, 100000);
	ck_assert(!mux_has_output(p.a.mux));
	end_read(slow, 2047);
	pair_run(&p);
	ck_assert(mux_is_blocked(st->s)); /* not worth a frame yet */
	end_read(slow, 1);
	pair_run(&p);
	ck_assert_uint_gt(slow->got, 4096);
	while (!slow->got_end) {
		end_read(slow, slow->unread);
		pair_run(&p);
		ck_assert_uint_le(mux_held(slow->s), 16384);
	}
	ck_assert_uint_eq(slow->got, 100000);
	ck_assert_uint_le(p.b.unread_max, 4096 + 16384); /* of the two together */
	finish();
}
END_TEST

static uint64_t both_blocked(const struct pair_way *way)
{
	struct end_stream *far;
	begin(way);
	struct end_stream *st = open_one(&far);
	st->stalled = far->stalled = true;
	end_give(st, 9000, true);
	end_give(far, 9000, true);
	pair_run(&p);
	ck_assert(mux_is_blocked(st->s) && mux_is_blocked(far->s));
	for (int i = 0; i < 100 && !(st->got_end && far->got_end); i++) {
		end_read(st, st->unread);
		end_read(far, far->unread);
		pair_run(&p);
	}
	ck_assert_uint_eq(st->got + far->got, 18000);
	ck_assert(st->got_end && far->got_end);
	uint64_t n = p.a.bytes_out;
	finish();
	return n;
}

START_TEST(case_14_both_sides_blocked)
{
	pair_every_way(both_blocked);
}
END_TEST

START_TEST(case_21_blocked_stream_reset)
{
	struct end_stream *far;
	begin(NULL);
	struct end_stream *st = open_one(&far);
	far->stalled = true;
	end_give(st, 100000, false);
	pair_run(&p);
	ck_assert(mux_is_blocked(st->s));
	end_close(st, WIRE_ABORTED);
	pair_run(&p);
	ck_assert(far->got_reset);
	end_close(far, WIRE_ABORTED);
	pair_run(&p);
	ck_assert_uint_eq(mux_count(p.a.mux) + mux_count(p.b.mux), 0);
	ck_assert(!mux_has_output(p.a.mux) && !mux_has_output(p.b.mux));
	ck_assert_uint_eq(mux_waiting(p.a.mux), 0);
	mux_goaway(p.a.mux, WIRE_OK, p.now);
	pair_run(&p);
	ck_assert(mux_is_finished(p.a.mux) && mux_is_finished(p.b.mux));
	finish();
}
END_TEST

/* A source that has reached its end in the very byte that uses up the window. */
START_TEST(end_at_the_edge_of_the_window)
{
	for (uint64_t n = 4094; n <= 4098; n++) {
		struct end_stream *far;
		begin(NULL);
		struct end_stream *st = open_one(&far);
		end_give(st, n, false);
		pair_run(&p);
		end_give(st, 0, true);
		pair_run(&p);
		ck_assert(far->got_end);
		ck_assert_uint_eq(far->got, n);
		finish();
	}
}
END_TEST

START_TEST(case_16_overrun_by_one_byte)
{
	struct end e;
	uint64_t now;
	for (uint32_t over = 0; over < 2; over++) {
		solo_init(&e, &now, NULL);
		e.stalls = true;
		solo_hello(&e, 10, 4096);
		solo_open(&e, 1, 4096);
		solo_data(&e, 1, 4000, 0);
		solo_data(&e, 1, 96 + over, 0);
		solo_failed(&e, over ? ERR_PROTOCOL : 0, WIRE_PROTOCOL);
		ck_assert_uint_eq(e.unread_max, over ? 4000 : 4096); /* refused at the header */
		solo_fini(&e);
	}
}
END_TEST

/* What is thrown away counts too: a stream that was reset is no way around the credit. */
START_TEST(overrun_of_a_refused_stream)
{
	struct end e;
	uint64_t now;
	solo_init(&e, &now, NULL);
	solo_hello(&e, 10, 4096);
	solo_open(&e, 1, 4096);
	end_close(end_find(&e, 1), WIRE_REFUSED);
	solo_data(&e, 1, 4096, 0);
	solo_failed(&e, 0, 0);
	solo_drain(&e);
	solo_data(&e, 1, 1, 0);
	solo_failed(&e, ERR_PROTOCOL, WIRE_PROTOCOL);
	solo_fini(&e);
}
END_TEST

START_TEST(case_17_credit_back_or_out_of_bounds)
{
	static const uint64_t bad[] = {
		0, 4095, UINT64_C(1) << 31, UINT64_C(1) << 62, (UINT64_C(1) << 62) + 1, UINT64_MAX};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct end e;
		uint64_t now;
		solo_init(&e, &now, NULL);
		solo_hello(&e, 10, 4096);
		solo_open(&e, 1, 4096);
		solo_credit(&e, 1, bad[i]);
		solo_failed(&e, ERR_PROTOCOL, WIRE_PROTOCOL);
		solo_fini(&e);
	}
}
END_TEST

/* A window grows while the reader keeps up, to the ceiling, and not against the limit. */
START_TEST(windows_grow)
{
	for (int may = 0; may < 2; may++) {
		struct end_stream *far;
		begin(NULL);
		mux_set_window(p.b.mux, 4096, may);
		struct end_stream *st = open_one(&far);
		end_give(st, 1000000, false);
		pair_run(&p);
		ck_assert_uint_eq(far->got, 1000000);
		far->stalled = true;
		end_give(st, 1000000, false);
		pair_run(&p);
		uint64_t window = far->got - 1000000;
		if (may)
			ck_assert(window > 8192 && window <= 16384);
		else
			ck_assert(window > 2048 && window <= 4096);
		finish();
	}
}
END_TEST

/* A small message beside a bulk stream: behind one frame of it at most. */
START_TEST(small_ones_go_first)
{
	struct end_stream *far_bulk, *far;
	begin(NULL);
	struct end_stream *bulk = open_one(&far_bulk), *st = open_one(&far);
	p.now += CLOCK_SEC;
	end_give(bulk, 4096, false);
	end_give(st, 1, false);
	for (int i = 0; i < 2; i++) {
		uint32_t grant;
		uint8_t h[WIRE_HEADER];
		struct mux_stream *s = mux_next(p.a.mux, &grant);
		ck_assert_ptr_nonnull(s);
		if (s == st->s)
			break;
		ck_assert_int_eq(i, 0);
		ck_assert_uint_le(grant, 1024);
		ck_assert_uint_eq(mux_commit(s, grant, MUX_MORE, p.now, h), WIRE_HEADER);
	}
	finish();
}
END_TEST

START_TEST(frames_are_capped_by_the_rate)
{
	static const struct {
		uint64_t rate;
		uint32_t most;
	} caps[] = {{1, 1400}, {700000, 1400}, {1000000, 2000}, {UINT64_MAX, 4096}, {0, 4096}};
	for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) {
		struct end_stream *far;
		uint32_t grant;
		uint8_t h[WIRE_HEADER];
		begin(NULL);
		struct end_stream *st = open_one(&far);
		mux_set_rate(p.a.mux, caps[i].rate);
		end_give(st, 100000, false);
		ck_assert_ptr_eq(mux_next(p.a.mux, &grant), st->s);
		ck_assert_uint_eq(grant, caps[i].most);
		ck_assert_uint_eq(
			mux_commit(st->s, 0, MUX_DRY, p.now, h), 0); /* nothing after all */
		ck_assert(!mux_has_output(p.a.mux));
		finish();
	}
}
END_TEST

START_TEST(control_goes_before_data)
{
	struct end_stream *far;
	uint32_t grant;
	begin(NULL);
	struct end_stream *st = open_one(&far);
	end_give(st, 10, false);
	mux_goaway(p.a.mux, WIRE_OK, p.now);
	ck_assert_ptr_null(mux_next(p.a.mux, &grant));
	uint8_t buf[2 * MUX_CONTROL_ROOM];
	ck_assert_uint_eq(mux_control(p.a.mux, buf, MUX_CONTROL_ROOM - 1, p.now), 0);
	ck_assert_uint_gt(mux_control(p.a.mux, buf, sizeof buf, p.now), 0);
	ck_assert_ptr_eq(mux_next(p.a.mux, &grant), st->s);
	finish();
}
END_TEST

/* Many streams, many bytes, all at once, in all ways: all of it, in order, once. */
static uint64_t many(const struct pair_way *way)
{
	int rc;
	begin(way);
	for (uint64_t i = 0; i < 30; i++) {
		struct end *e = i % 3 == 0 ? &p.b : &p.a;
		struct end_stream *st = end_open(e, &rc);
		ck_assert_int_eq(rc, 0);
		end_give(st, i * i * 7, true);
	}
	pair_run(&p);
	list_each (n, &p.b.streams) {
		struct end_stream *st = container_of(n, struct end_stream, node);
		if (!st->ours)
			end_give(st, 3000, true);
	}
	pair_run(&p);
	ck_assert_uint_eq(p.a.events[MUX_OPEN], 10);
	ck_assert_uint_eq(p.b.events[MUX_OPEN], 20);
	list_each (n, &p.a.streams) {
		struct end_stream *st = container_of(n, struct end_stream, node);
		struct end_stream *far = end_find(&p.b, st->id);
		ck_assert_uint_eq(st->got, far->sent);
		ck_assert_uint_eq(far->got, st->sent);
		ck_assert_uint_eq(st->got_end, far->sent_end);
	}
	finish();
	return 0;
}

START_TEST(many_streams)
{
	pair_every_way(many);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mux_flow");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, case_12_one_reader_stopped_1023_active);
	tcase_add_test(t, case_13_1023_readers_stopped_one_active);
	tcase_add_test(t, more_than_a_window);
	tcase_add_test(t, slow_reader_stops_its_stream_only);
	tcase_add_test(t, case_14_both_sides_blocked);
	tcase_add_test(t, case_21_blocked_stream_reset);
	tcase_add_test(t, end_at_the_edge_of_the_window);
	tcase_add_test(t, case_16_overrun_by_one_byte);
	tcase_add_test(t, overrun_of_a_refused_stream);
	tcase_add_test(t, case_17_credit_back_or_out_of_bounds);
	tcase_add_test(t, windows_grow);
	tcase_add_test(t, small_ones_go_first);
	tcase_add_test(t, frames_are_capped_by_the_rate);
	tcase_add_test(t, control_goes_before_data);
	tcase_add_test(t, many_streams);
	suite_add_tcase(s, t);
	return unit_main(s);
}
