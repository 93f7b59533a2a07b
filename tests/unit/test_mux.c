/* The life of streams over two joined muxes: open, data, end, reset, either way. */
#include "unit/mux_pair.h"

static uint64_t longer(const struct pair *p)
{
	return p->a.bytes_out > p->b.bytes_out ? p->a.bytes_out : p->b.bytes_out;
}

static uint64_t finish(struct pair *p)
{
	uint64_t n = longer(p);
	ck_assert_int_eq(p->a.rc, 0);
	ck_assert_int_eq(p->b.rc, 0);
	pair_fini(p);
	return n;
}

/* A pair with one stream open, known to both. */
static struct end_stream *one(struct pair *p, const struct pair_way *way, struct end_stream **far)
{
	int rc;
	pair_init(p, way, NULL, NULL);
	pair_run(p);
	ck_assert_uint_eq(p->a.events[MUX_READY], 1);
	ck_assert_uint_eq(p->b.events[MUX_READY], 1);
	struct end_stream *st = end_open(&p->a, &rc);
	ck_assert_int_eq(rc, 0);
	pair_run(p);
	*far = end_find(&p->b, st->id);
	ck_assert_ptr_nonnull(*far);
	return st;
}

static uint64_t echo(const struct pair_way *way)
{
	struct pair p;
	struct end_stream *far, *st = one(&p, way, &far);
	end_give(st, 100, false);
	pair_run(&p);
	ck_assert_uint_eq(far->got, 100);
	end_give(far, 50, true);
	pair_run(&p);
	ck_assert_uint_eq(st->got, 50);
	ck_assert(st->got_end && !far->got_end);
	ck_assert_uint_eq(mux_count(p.a.mux), 1);
	end_give(st, 20, true); /* half-closed: this direction goes on */
	pair_run(&p);
	ck_assert_uint_eq(far->got, 120);
	ck_assert(far->got_end);
	ck_assert_uint_eq(mux_count(p.a.mux), 0);
	ck_assert_uint_eq(mux_count(p.b.mux), 0);
	end_close(st, WIRE_ABORTED);
	end_close(far, WIRE_ABORTED);
	pair_run(&p);
	ck_assert_uint_eq(p.a.frames[WIRE_RESET] + p.b.frames[WIRE_RESET], 0);
	return finish(&p);
}

START_TEST(data_and_ends_both_ways)
{
	pair_every_way(echo);
}
END_TEST

static uint64_t from_acceptor(const struct pair_way *way)
{
	struct pair p;
	int rc;
	pair_init(&p, way, NULL, NULL);
	pair_run(&p);
	struct end_stream *st = end_open(&p.b, &rc);
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(st->id, 2);
	end_give(st, 10, true);
	pair_run(&p);
	struct end_stream *far = end_find(&p.a, 2);
	ck_assert_uint_eq(far->got, 10);
	ck_assert(far->got_end);
	return finish(&p);
}

START_TEST(either_side_opens)
{
	pair_every_way(from_acceptor);
}
END_TEST

/* OPEN, the first data and the end leave together: no round trip before the first byte. */
START_TEST(first_byte_waits_for_nothing)
{
	struct pair p;
	int rc;
	pair_init(&p, NULL, NULL, NULL);
	pair_run(&p);
	struct end_stream *st = end_open(&p.a, &rc);
	end_give(st, 5, true);
	end_flush(&p.a, SIZE_MAX);
	ck_assert_uint_eq(p.a.frames[WIRE_OPEN], 1);
	ck_assert_uint_eq(p.a.frames[WIRE_DATA], 1);
	ck_assert_uint_eq(p.a.last[0].flags, WIRE_FIN);
	pair_run(&p);
	finish(&p);
}
END_TEST

static uint64_t fin_both(const struct pair_way *way)
{
	struct pair p;
	struct end_stream *far, *st = one(&p, way, &far);
	end_give(st, 3, true);
	end_give(far, 4, true);
	end_flush(&p.a, SIZE_MAX);
	end_flush(&p.b, SIZE_MAX); /* the two cross */
	pair_run(&p);
	ck_assert(st->got_end && far->got_end);
	ck_assert_uint_eq(mux_count(p.a.mux), 0);
	ck_assert_uint_eq(mux_count(p.b.mux), 0);
	end_close(st, WIRE_ABORTED);
	pair_run(&p);
	return finish(&p);
}

START_TEST(case_4_fin_both_ways_at_once)
{
	pair_every_way(fin_both);
}
END_TEST

START_TEST(case_5_fin_with_the_last_data)
{
	struct pair p;
	struct end_stream *far, *st = one(&p, NULL, &far);
	end_give(st, 1000, true);
	pair_run(&p);
	ck_assert_uint_eq(p.a.frames[WIRE_DATA], 1);
	ck_assert_uint_eq(p.a.last[0].flags & WIRE_FIN, WIRE_FIN);
	ck_assert_uint_eq(far->got, 1000);
	ck_assert(far->got_end);
	finish(&p);
}
END_TEST

START_TEST(case_9_session_without_a_byte)
{
	struct pair p;
	struct end_stream *far, *st = one(&p, NULL, &far);
	end_give(st, 0, true);
	pair_run(&p);
	ck_assert(far->got_end);
	ck_assert_uint_eq(far->got, 0);
	end_give(far, 0, true);
	pair_run(&p);
	ck_assert(st->got_end && !st->got_reset);
	ck_assert_uint_eq(mux_count(p.a.mux), 0);
	finish(&p);
}
END_TEST

START_TEST(half_close_lasts)
{
	struct pair p;
	struct end_stream *far, *st = one(&p, NULL, &far);
	end_give(st, 10, true);
	pair_run(&p);
	for (int i = 0; i < 100; i++) {
		pair_wait(&p, 3600 * CLOCK_SEC);
		end_give(far, 100000, false);
		pair_run(&p);
	}
	ck_assert_uint_eq(st->got, 100 * 100000);
	end_give(far, 0, true);
	pair_run(&p);
	ck_assert(st->got_end);
	ck_assert_uint_eq(mux_count(p.b.mux), 0);
	finish(&p);
}
END_TEST

static uint64_t reset_by(const struct pair_way *way, bool opener)
{
	struct pair p;
	struct end_stream *far, *st = one(&p, way, &far);
	struct end *from = opener ? &p.a : &p.b, *to = opener ? &p.b : &p.a;
	struct end_stream *x = opener ? st : far, *y = opener ? far : st;
	end_give(x, 30, false);
	pair_run(&p);
	end_close(x, WIRE_SLOW);
	pair_run(&p);
	ck_assert_uint_eq(y->got, 30);
	ck_assert(y->got_reset && !y->got_end);
	ck_assert_uint_eq(y->code, WIRE_SLOW);
	ck_assert_uint_eq(from->frames[WIRE_RESET], 1);
	ck_assert_uint_eq(to->frames[WIRE_RESET], 1);
	ck_assert_uint_eq(mux_count(p.a.mux), 0);
	ck_assert_uint_eq(mux_count(p.b.mux), 0);
	end_close(y, WIRE_ABORTED); /* after the fact: says nothing more */
	pair_run(&p);
	ck_assert_uint_eq(to->frames[WIRE_RESET], 1);
	return finish(&p);
}

static uint64_t reset_by_opener(const struct pair_way *way)
{
	return reset_by(way, true);
}

static uint64_t reset_by_acceptor(const struct pair_way *way)
{
	return reset_by(way, false);
}

START_TEST(reset_is_answered_once)
{
	pair_every_way(reset_by_opener);
	pair_every_way(reset_by_acceptor);
}
END_TEST

static uint64_t reset_crosses_data(const struct pair_way *way)
{
	struct pair p;
	struct end_stream *far, *st = one(&p, way, &far);
	end_give(st, 40, false);
	end_give(far, 200, false);
	end_flush(&p.a, SIZE_MAX);
	end_flush(&p.b, SIZE_MAX);
	end_close(st, WIRE_ABORTED);
	end_give(far, 300, true);
	end_flush(&p.a, SIZE_MAX);
	end_flush(&p.b, SIZE_MAX);
	pair_run(&p);
	ck_assert_uint_eq(far->got, 40); /* what came before it is delivered */
	ck_assert(far->got_reset);
	ck_assert_uint_eq(st->got, 0); /* what came after it is thrown away */
	ck_assert_uint_eq(mux_count(p.a.mux), 0);
	ck_assert_uint_eq(mux_count(p.b.mux), 0);
	ck_assert_uint_eq(p.b.frames[WIRE_RESET], 0); /* it had sent FIN already */
	return finish(&p);
}

START_TEST(case_7_reset_crosses_data)
{
	pair_every_way(reset_crosses_data);
}
END_TEST

/* FIN first, then RESET to give up the other half too. */
static uint64_t reset_after_fin(const struct pair_way *way)
{
	struct pair p;
	struct end_stream *far, *st = one(&p, way, &far);
	end_give(st, 10, true);
	pair_run(&p);
	ck_assert(far->got_end);
	end_close(st, WIRE_IDLE);
	pair_run(&p);
	ck_assert(far->got_reset);
	ck_assert_uint_eq(far->code, WIRE_IDLE);
	ck_assert_uint_eq(p.a.frames[WIRE_RESET], 1);
	ck_assert_uint_eq(p.b.frames[WIRE_RESET], 1);
	ck_assert_uint_eq(mux_count(p.a.mux), 0);
	ck_assert_uint_eq(mux_count(p.b.mux), 0);
	return finish(&p);
}

START_TEST(reset_after_fin_ends_the_other_half)
{
	pair_every_way(reset_after_fin);
}
END_TEST

/* FIN was sent, RESET waits, and the peer's own end comes first: there is nothing left to say. */
START_TEST(reset_that_waits_is_dropped_at_the_peers_end)
{
	for (int with_reset = 0; with_reset < 2; with_reset++) {
		struct pair p;
		struct end_stream *far, *st = one(&p, NULL, &far);
		end_give(st, 1, true);
		pair_run(&p);
		if (with_reset)
			end_close(far, WIRE_ABORTED);
		else
			end_give(far, 1, true);
		end_flush(&p.b, SIZE_MAX);
		end_close(st, WIRE_ABORTED);
		end_feed(&p.a, p.b.out, p.b.out_len);
		p.b.out_len = 0;
		ck_assert_uint_eq(mux_count(p.a.mux), 0);
		ck_assert(!mux_has_output(p.a.mux));
		pair_run(&p);
		ck_assert_uint_eq(p.a.frames[WIRE_RESET], 0);
		finish(&p);
	}
}
END_TEST

static uint64_t resets_cross(const struct pair_way *way)
{
	struct pair p;
	struct end_stream *far, *st = one(&p, way, &far);
	end_close(st, WIRE_ABORTED);
	end_close(far, WIRE_ABORTED);
	end_flush(&p.a, SIZE_MAX);
	end_flush(&p.b, SIZE_MAX);
	pair_run(&p);
	ck_assert_uint_eq(p.a.frames[WIRE_RESET], 1);
	ck_assert_uint_eq(p.b.frames[WIRE_RESET], 1);
	ck_assert_uint_eq(mux_count(p.a.mux), 0);
	ck_assert_uint_eq(mux_count(p.b.mux), 0);
	return finish(&p);
}

START_TEST(resets_that_cross)
{
	pair_every_way(resets_cross);
}
END_TEST

/* The peer need not know of a stream that ended before its OPEN left. */
START_TEST(close_before_open_left)
{
	struct pair p;
	int rc;
	pair_init(&p, NULL, NULL, NULL);
	pair_run(&p);
	struct end_stream *st = end_open(&p.a, &rc);
	end_give(st, 5, true);
	end_close(st, WIRE_ABORTED);
	ck_assert(!mux_has_output(p.a.mux));
	pair_run(&p);
	ck_assert_uint_eq(p.b.events[MUX_OPEN], 0);
	st = end_open(&p.a, &rc); /* ids that were skipped harm nothing */
	ck_assert_uint_eq(st->id, 3);
	pair_run(&p);
	ck_assert_uint_eq(p.b.events[MUX_OPEN], 1);
	finish(&p);
}
END_TEST

/* A DATA frame is half in when its reader goes: the rest is thrown away. */
START_TEST(close_in_the_middle_of_a_frame)
{
	for (size_t half = WIRE_HEADER; half < WIRE_HEADER + 50; half++) {
		struct pair p;
		uint32_t n;
		struct end_stream *far, *st = one(&p, NULL, &far);
		end_give(st, 50, true);
		end_flush(&p.a, SIZE_MAX);
		end_feed(&p.b, p.a.out, half);
		ck_assert_ptr_eq(mux_pending(p.b.mux, &n), far->s);
		ck_assert_uint_eq(n, WIRE_HEADER + 50 - half);
		end_close(far, WIRE_ABORTED);
		ck_assert_ptr_null(mux_pending(p.b.mux, &n));
		if (half & 1)
			end_flush(&p.b, SIZE_MAX);
		end_feed(&p.b, p.a.out + half, p.a.out_len - half);
		p.a.out_len = 0;
		pair_run(&p);
		ck_assert_uint_eq(mux_count(p.a.mux), 0);
		ck_assert_uint_eq(mux_count(p.b.mux), 0);
		finish(&p);
	}
}
END_TEST

/* The end that comes by mux_took() leaves no CREDIT behind for a stream that has ended. */
START_TEST(took_the_end)
{
	struct pair p;
	struct end_stream *far, *st = one(&p, NULL, &far);
	end_give(st, 4096, true);
	end_flush(&p.a, SIZE_MAX);
	uint32_t n;
	end_feed(&p.b, p.a.out, p.a.out_len - 4096);
	ck_assert_ptr_eq(mux_pending(p.b.mux, &n), far->s);
	ck_assert_uint_eq(n, 4096);
	ck_assert(!mux_took(p.b.mux, n - 1, p.now));
	mux_consumed(far->s, n - 1, p.now);
	ck_assert(mux_has_output(p.b.mux));
	ck_assert(mux_took(p.b.mux, 1, p.now));
	mux_consumed(far->s, 1, p.now);
	far->got += n;
	far->got_end = true;
	p.a.out_len = 0;
	ck_assert_ptr_null(mux_pending(p.b.mux, &n));
	ck_assert_uint_eq(n, 0);
	pair_run(&p);
	ck_assert_uint_eq(p.b.frames[WIRE_CREDIT], 0);
	finish(&p);
}
END_TEST

/* Credit for a stream that is given up is not worth a frame. */
START_TEST(close_drops_the_credit_that_waits)
{
	struct pair p;
	struct end_stream *far, *st = one(&p, NULL, &far);
	end_give(st, 4096, false);
	end_flush(&p.a, SIZE_MAX);
	end_feed(&p.b, p.a.out, p.a.out_len);
	p.a.out_len = 0;
	end_close(far, WIRE_ABORTED);
	pair_run(&p);
	ck_assert_uint_eq(p.b.frames[WIRE_CREDIT], 0);
	ck_assert_uint_eq(p.b.frames[WIRE_RESET], 1);
	ck_assert(st->got_reset);
	finish(&p);
}
END_TEST

START_TEST(bytes_held_are_counted)
{
	struct pair p;
	struct end_stream *far, *st = one(&p, NULL, &far);
	far->stalled = true;
	end_give(st, 1000, false);
	pair_run(&p);
	ck_assert_uint_eq(mux_held(far->s), 1000);
	end_read(far, 300);
	ck_assert_uint_eq(mux_held(far->s), 700);
	void *user;
	ck_assert_ptr_eq(mux_any(p.b.mux, &user), far->s);
	ck_assert_ptr_eq(user, far);
	finish(&p);
}
END_TEST

START_TEST(free_takes_all_along)
{
	/* Streams in every state: fresh, open, half-closed, reset, given back. */
	struct pair p;
	int rc;
	pair_init(&p, NULL, NULL, NULL);
	pair_run(&p);
	struct end_stream *st[6];
	for (int i = 0; i < 5; i++) {
		st[i] = end_open(&p.a, &rc);
		ck_assert_int_eq(rc, 0);
	}
	pair_run(&p);
	end_give(st[1], 1, true);
	end_close(end_find(&p.b, st[2]->id), WIRE_ABORTED);
	pair_run(&p);
	end_close(st[3], WIRE_ABORTED);
	end_close(st[4], WIRE_ABORTED);
	end_flush(&p.a, SIZE_MAX);
	end_open(&p.a, &rc);
	finish(&p);
	mux_free(NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mux");
	TCase *t = tcase_create("streams");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, data_and_ends_both_ways);
	tcase_add_test(t, either_side_opens);
	tcase_add_test(t, first_byte_waits_for_nothing);
	tcase_add_test(t, case_4_fin_both_ways_at_once);
	tcase_add_test(t, case_5_fin_with_the_last_data);
	tcase_add_test(t, case_9_session_without_a_byte);
	tcase_add_test(t, half_close_lasts);
	tcase_add_test(t, reset_is_answered_once);
	tcase_add_test(t, case_7_reset_crosses_data);
	tcase_add_test(t, reset_after_fin_ends_the_other_half);
	tcase_add_test(t, reset_that_waits_is_dropped_at_the_peers_end);
	tcase_add_test(t, resets_that_cross);
	tcase_add_test(t, close_before_open_left);
	tcase_add_test(t, close_in_the_middle_of_a_frame);
	tcase_add_test(t, took_the_end);
	tcase_add_test(t, close_drops_the_credit_that_waits);
	tcase_add_test(t, bytes_held_are_counted);
	tcase_add_test(t, free_takes_all_along);
	suite_add_tcase(s, t);
	return unit_main(s);
}
