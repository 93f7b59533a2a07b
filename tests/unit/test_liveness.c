/* Who is dead, when PINGs are made, and the round trip they measure. */
#include "base/clock.h"
#include "base/err.h"
#include "session/liveness.h"
#include "unit/unit.h"

#define TIMEOUT (30 * CLOCK_SEC)
#define YEAR (365 * 86400 * CLOCK_SEC)

static struct liveness fresh(uint64_t now)
{
	struct liveness l;
	liveness_init(&l, TIMEOUT, now);
	return l;
}

/* A PING goes out at `now`, its answer is in `rtt` later. */
static void measure(struct liveness *l, uint64_t *now, uint64_t rtt)
{
	uint64_t opaque;
	ck_assert(liveness_ask(l, *now));
	ck_assert(liveness_take(l, *now, &opaque));
	*now += rtt;
	ck_assert(liveness_answer(l, opaque, *now));
}

START_TEST(case_23_dead_by_lack_of_bytes)
{
	struct liveness l = fresh(CLOCK_SEC);
	uint64_t opaque, now = CLOCK_SEC + TIMEOUT / 3;
	ck_assert_uint_eq(liveness_deadline(&l), now);
	ck_assert_int_eq(liveness_tick(&l, now), 0); /* a PING is made, which never leaves */
	ck_assert(l.unsent);
	ck_assert_uint_eq(liveness_deadline(&l), CLOCK_SEC + TIMEOUT);
	ck_assert_int_eq(liveness_tick(&l, CLOCK_SEC + TIMEOUT - 1), 0);
	ck_assert_int_eq(liveness_tick(&l, CLOCK_SEC + TIMEOUT), ERR_TIMEOUT);
	ck_assert(liveness_take(&l, now, &opaque));
	ck_assert(!liveness_take(&l, now, &opaque)); /* once */
}
END_TEST

START_TEST(case_24_late_pong_does_not_kill)
{
	struct liveness l = fresh(0);
	uint64_t opaque, now = 0;
	ck_assert(liveness_ask(&l, 0));
	ck_assert(liveness_take(&l, 0, &opaque));
	for (int i = 0; i < 1000; i++) { /* bytes, but never the PONG */
		now += TIMEOUT - 1;
		ck_assert_int_eq(liveness_tick(&l, now), 0);
		liveness_heard(&l, now);
	}
	ck_assert(liveness_answer(&l, opaque, now));
	ck_assert(!liveness_answer(&l, opaque, now));
}
END_TEST

/* Bytes of which nobody knows whose they are keep it alive for so long, and not a year. */
START_TEST(case_24_parts_of_a_record_count_for_a_while)
{
	struct liveness l = fresh(0);
	uint64_t now = 0, step = TIMEOUT / 2;
	while (now + step < LIVENESS_TRUST * TIMEOUT) {
		now += step;
		ck_assert_int_eq(liveness_tick(&l, now), 0);
		liveness_stirs(&l, now);
	}
	uint64_t last = now;
	while (now < last + TIMEOUT) {
		ck_assert_int_eq(liveness_tick(&l, now), 0);
		now += step;
		liveness_stirs(&l, now);
	}
	ck_assert_int_eq(liveness_tick(&l, now), ERR_TIMEOUT);
	/* One that is known begins it anew. */
	l = fresh(0);
	for (now = 0; now < 100 * TIMEOUT; now += step) {
		ck_assert_int_eq(liveness_tick(&l, now), 0);
		liveness_stirs(&l, now);
		if (now % (8 * TIMEOUT) == 0)
			liveness_heard(&l, now);
	}
}
END_TEST

/* A tick at the deadline moves the deadline, always. */
START_TEST(deadlines_advance)
{
	uint64_t r = 5;
	for (int round = 0; round < 300; round++) {
		struct liveness l;
		uint64_t now = 1, opaque;
		liveness_init(&l, 3 + unit_below(&r, 1000), now);
		for (int i = 0; i < 100; i++) {
			uint64_t at = liveness_deadline(&l);
			ck_assert_uint_gt(at, now);
			now = unit_below(&r, 2) == 0 ? at : now + unit_below(&r, at - now + 1);
			if (unit_below(&r, 3) == 0)
				liveness_heard(&l, now);
			if (liveness_tick(&l, now) != 0)
				break;
			if (unit_below(&r, 2) == 0 && liveness_take(&l, now, &opaque) &&
				unit_below(&r, 2) == 0) {
				liveness_heard(&l, now);
				liveness_answer(&l, opaque, now);
			}
			if (liveness_deadline(&l) <= now)
				ck_assert(l.unsent || liveness_tick(&l, now) != 0);
			if (liveness_deadline(&l) <= now)
				break;
		}
	}
}
END_TEST

START_TEST(endless_timeout_does_not_wrap)
{
	struct liveness l;
	liveness_init(&l, UINT64_MAX, CLOCK_SEC);
	ck_assert_uint_gt(liveness_deadline(&l), 1000 * YEAR);
	ck_assert_int_eq(liveness_tick(&l, 100 * YEAR), 0);
	ck_assert(!l.unsent);
}
END_TEST

START_TEST(only_the_answer_answers)
{
	struct liveness l = fresh(0);
	uint64_t opaque;
	ck_assert(!liveness_answer(&l, 0, 1)); /* nothing was asked */
	ck_assert(liveness_ask(&l, 0));
	ck_assert(!liveness_ask(&l, 0));
	ck_assert(!liveness_answer(&l, l.opaque, 1)); /* guessed before it left */
	ck_assert_uint_eq(liveness_ping_after(&l), l.opaque);
	ck_assert(liveness_take(&l, 5, &opaque));
	ck_assert_uint_eq(liveness_ping_after(&l), opaque + 1);
	ck_assert(!liveness_answer(&l, opaque + 1, 6));
	ck_assert(liveness_answer(&l, opaque, 6));
	ck_assert_uint_eq(liveness_rtt(&l), 1); /* from its leaving, not its making */
}
END_TEST

START_TEST(least_round_trip_counts)
{
	struct liveness l = fresh(0);
	uint64_t now = 0;
	ck_assert_uint_eq(liveness_rtt(&l), 0);
	measure(&l, &now, 5000);
	ck_assert_uint_eq(liveness_rtt(&l), 5000);
	measure(&l, &now, 900000); /* our own queue */
	ck_assert_uint_eq(liveness_rtt(&l), 5000);
	measure(&l, &now, 0); /* faster than the clock: known, all the same */
	ck_assert_uint_eq(liveness_rtt(&l), 1);
}
END_TEST

START_TEST(old_round_trips_are_forgotten)
{
	struct liveness l = fresh(0);
	uint64_t now = 0;
	measure(&l, &now, 100);
	now = 61 * CLOCK_SEC;
	measure(&l, &now, 70000);
	ck_assert_uint_eq(liveness_rtt(&l), 100); /* of the period before */
	now = 122 * CLOCK_SEC;
	measure(&l, &now, 80000);
	ck_assert_uint_eq(liveness_rtt(&l), 70000);
	now += 3600 * CLOCK_SEC; /* nobody asked for an hour: the path may be another one */
	measure(&l, &now, 90000);
	ck_assert_uint_eq(liveness_rtt(&l), 90000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("liveness");
	TCase *t = tcase_create("all");
	tcase_add_test(t, case_23_dead_by_lack_of_bytes);
	tcase_add_test(t, case_24_late_pong_does_not_kill);
	tcase_add_test(t, case_24_parts_of_a_record_count_for_a_while);
	tcase_add_test(t, deadlines_advance);
	tcase_add_test(t, endless_timeout_does_not_wrap);
	tcase_add_test(t, only_the_answer_answers);
	tcase_add_test(t, least_round_trip_counts);
	tcase_add_test(t, old_round_trips_are_forgotten);
	suite_add_tcase(s, t);
	return unit_main(s);
}
