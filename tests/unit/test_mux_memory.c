/* Every allocation failing in turn, and what a transport costs. */
#include "unit/mux_pair.h"

enum { STREAMS = 40 };

/* Sessions of all kinds, as long as both ends live. */
static void live(struct pair *p)
{
	int rc;
	pair_run(p);
	for (int i = 0; i < STREAMS && p->a.rc == 0 && p->b.rc == 0; i++) {
		struct end_stream *st = end_open(i & 1 ? &p->b : &p->a, &rc);
		if (st == NULL) {
			ck_assert_int_eq(rc, ERR_NOMEM);
			continue;
		}
		end_give(st, (uint64_t)i * 300, i % 3 == 0);
		if (i % 5 == 4)
			end_close(st, WIRE_ABORTED);
		if (i % 4 == 0)
			pair_run(p);
	}
	if (p->a.rc == 0 && p->b.rc == 0) {
		mux_goaway(p->a.mux, WIRE_OK, p->now);
		pair_run(p);
	}
}

/* Either it goes on as if nothing was, or the transport fails cleanly, or an open is refused. */
static void judge(const struct pair *p, const struct end *e)
{
	uint32_t code;
	ck_assert_msg(e->broken == NULL, "%s", e->broken);
	if (e->rc == 0 || e->mux == NULL)
		return;
	ck_assert_int_eq(e->rc, ERR_NOMEM);
	ck_assert_ptr_nonnull(mux_failure(e->mux, &code));
	ck_assert_uint_eq(code, WIRE_INTERNAL);
	ck_assert(e == &p->a || e == &p->b);
}

static bool fail_at(size_t nth, int sticky, bool a)
{
	static struct pair p;
	struct unit_mem mem = {.fail_at = nth, .sticky = sticky};
	p = (struct pair){.now = CLOCK_SEC};
	end_init(&p.a, MUX_DIALLED, NULL, &p.now, a ? &mem : NULL);
	end_init(&p.b, MUX_ACCEPTED, NULL, &p.now, a ? NULL : &mem);
	ck_assert_int_eq(p.a.mux == NULL, a && nth == 1);
	if (p.a.mux != NULL && p.b.mux != NULL)
		live(&p);
	judge(&p, &p.a);
	judge(&p, &p.b);
	bool failed = a ? p.a.mem.failed : p.b.mem.failed;
	ck_assert_uint_eq(end_fini(&p.a), 0);
	ck_assert_uint_eq(end_fini(&p.b), 0);
	return failed;
}

START_TEST(case_39_every_allocation_fails_in_turn)
{
	for (int way = 0; way < 4; way++) {
		size_t n = 1;
		while (fail_at(n, way & 1, way & 2))
			n++;
		ck_assert_uint_ge(n, STREAMS / 2); /* there was something to fail */
	}
}
END_TEST

/* What was refused for want of memory works once there is some. */
START_TEST(open_again_after_a_refusal)
{
	struct pair p;
	int rc;
	pair_init(&p, NULL, NULL, NULL);
	pair_run(&p);
	for (size_t nth = 1; nth <= 3; nth++) {
		p.a.mem.fail_at = p.a.mem.calls + nth;
		struct end_stream *st = end_open(&p.a, &rc);
		ck_assert_int_eq(rc, nth <= 2 || st == NULL ? ERR_NOMEM : 0);
		p.a.mem.fail_at = 0;
		st = end_open(&p.a, &rc);
		ck_assert_int_eq(rc, 0);
		end_give(st, 10, true);
		pair_run(&p);
		ck_assert_uint_eq(end_find(&p.b, st->id)->got, 10);
	}
	pair_fini(&p);
}
END_TEST

/* Payload of any length is held nowhere in the mux. */
START_TEST(payload_costs_nothing)
{
	struct pair p;
	int rc;
	pair_init(&p, NULL, NULL, NULL);
	pair_run(&p);
	struct end_stream *st = end_open(&p.a, &rc);
	pair_run(&p);
	size_t calls = p.a.mem.calls + p.b.mem.calls;
	for (int i = 0; i < 100; i++) {
		end_give(st, 50000, i == 99);
		pair_run(&p);
	}
	ck_assert_uint_eq(end_find(&p.b, st->id)->got, 5000000);
	ck_assert_uint_eq(p.a.mem.calls + p.b.mem.calls, calls);
	pair_fini(&p);
}
END_TEST

/* Sessions come and go for ever in the memory of a few. */
START_TEST(streams_are_given_back)
{
	static struct pair p;
	pair_init(&p, NULL, NULL, NULL);
	pair_run(&p);
	size_t before = p.a.mem.live + p.b.mem.live, most = 0;
	for (int i = 0; i < 3000; i++) {
		int rc;
		struct end_stream *st = end_open(&p.a, &rc);
		ck_assert_int_eq(rc, 0);
		end_give(st, 3, true);
		pair_run(&p);
		struct end_stream *far = end_find(&p.b, st->id);
		if (i % 3 == 0)
			end_close(far, WIRE_ABORTED);
		else
			end_give(far, 3, true);
		pair_run(&p);
		end_close(st, WIRE_ABORTED);
		end_close(far, WIRE_ABORTED);
		pair_run(&p);
		size_t held = p.a.mem.live + p.b.mem.live;
		most = held > most ? held : most;
	}
	ck_assert_uint_le(most, before + 2); /* the two tables */
	ck_assert_uint_eq(mux_count(p.a.mux), 0);
	pair_fini(&p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mux_memory");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, case_39_every_allocation_fails_in_turn);
	tcase_add_test(t, open_again_after_a_refusal);
	tcase_add_test(t, payload_costs_nothing);
	tcase_add_test(t, streams_are_given_back);
	suite_add_tcase(s, t);
	return unit_main(s);
}
