/* Whose turn it is. */
#include "base/clock.h"
#include "session/sched.h"
#include "unit/unit.h"

enum { QUANTUM = 1000, ITEMS = 8 };

static struct sched s;
static struct sched_item item[ITEMS];
static uint64_t sent[ITEMS];

static void start(void)
{
	sched_init(&s, QUANTUM);
	for (int i = 0; i < ITEMS; i++) {
		sched_item_init(&item[i]);
		sent[i] = 0;
	}
}

/* One turn of who is next, sending at most `most`; who it was. */
static int turn(uint32_t most)
{
	uint32_t grant;
	struct sched_item *it = sched_next(&s, &grant);
	ck_assert_ptr_nonnull(it);
	ck_assert_uint_gt(grant, 0);
	uint32_t n = grant < most ? grant : most;
	sched_charge(&s, it, n);
	sent[it - item] += n;
	return (int)(it - item);
}

START_TEST(nobody)
{
	uint32_t grant;
	start();
	ck_assert_ptr_null(sched_next(&s, &grant));
	sched_remove(&s, &item[0], 5);
	sched_add(&s, &item[0], 5);
	sched_add(&s, &item[0], 5);
	ck_assert_uint_eq(s.waiting, 1);
	sched_remove(&s, &item[0], 5);
	ck_assert_uint_eq(s.waiting, 0);
	ck_assert_ptr_null(sched_next(&s, &grant));
}
END_TEST

START_TEST(lone_one_gets_all)
{
	uint32_t grant;
	start();
	sched_add(&s, &item[0], 1);
	for (int i = 0; i < 100; i++) {
		ck_assert_ptr_eq(sched_next(&s, &grant), &item[0]);
		ck_assert_uint_eq(grant, UINT32_MAX);
		sched_charge(&s, &item[0], 1 << 20);
	}
}
END_TEST

/* Whatever the sizes of their frames, all get the same. */
START_TEST(fair_in_bytes)
{
	static const uint32_t most[ITEMS] = {UINT32_MAX, 1, 9, 100, 500, 999, 1000, 1001};
	start();
	for (int i = 0; i < ITEMS; i++)
		sched_add(&s, &item[i], 1);
	for (int i = 0; i < 200000; i++) {
		uint32_t grant;
		struct sched_item *it = sched_next(&s, &grant);
		uint32_t n = grant < most[it - item] ? grant : most[it - item];
		sched_charge(&s, it, n + 8);
		sent[it - item] += n + 8;
	}
	for (int i = 1; i < ITEMS; i++) {
		uint64_t more = sent[i] > sent[0] ? sent[i] - sent[0] : sent[0] - sent[i];
		ck_assert_uint_le(more, 3 * QUANTUM);
	}
}
END_TEST

START_TEST(who_was_quiet_goes_first)
{
	start();
	for (int i = 0; i < 4; i++)
		sched_add(&s, &item[i], 1);
	for (int i = 0; i < 20; i++)
		turn(UINT32_MAX); /* bulk, all of them */
	sched_add(&s, &item[7], 2);
	ck_assert_int_eq(turn(100), 7);
	ck_assert_int_eq(turn(100), 7); /* until its quantum is used up */
	turn(UINT32_MAX);
	for (int i = 0; i < 3; i++) /* the fourth has just had its turn */
		ck_assert_int_ne(turn(UINT32_MAX), 7);
}
END_TEST

/* Leaving for a moment does not make a new one of an old one. */
/* Long messages with pauses between them: quiet for long enough, and all the same no sparse item.
 */
START_TEST(who_sent_much_last_time_comes_after_who_sent_little)
{
	uint64_t now = CLOCK_SEC;
	start();
	sched_set_quantum(&s, 256 << 10);
	sched_add(&s, &item[0], now);
	sched_charge(&s, &item[0], SCHED_SPARSE + 1);
	sched_remove(&s, &item[0], now);
	sched_add(&s, &item[1], now);
	sched_charge(&s, &item[1], SCHED_SPARSE);
	sched_remove(&s, &item[1], now);
	now += CLOCK_SEC;
	sched_add(&s, &item[0], now);
	sched_add(&s, &item[1], now);
	ck_assert_int_eq(turn(100), 1);
	sched_remove(&s, &item[1], now);
	ck_assert_int_eq(turn(100), 0);
	sched_remove(&s, &item[0], now); /* it sent little this time */
	now += CLOCK_SEC;
	sched_add(&s, &item[0], now);
	sched_add(&s, &item[1], now);
	ck_assert_int_eq(turn(100), 0);
}
END_TEST

/* However much it is, it is not taken for little. */
START_TEST(what_was_sent_is_counted_without_wrapping)
{
	uint64_t now = CLOCK_SEC;
	start();
	sched_set_quantum(&s, 1 << 20);
	sched_add(&s, &item[0], now);
	sched_charge(&s, &item[0], UINT16_MAX);
	sched_charge(&s, &item[0], UINT64_C(1) << 16);
	sched_charge(&s, &item[0], 1);
	sched_remove(&s, &item[0], now);
	now += CLOCK_SEC;
	sched_add(&s, &item[0], now);
	sched_add(&s, &item[1], now);
	ck_assert_int_eq(turn(1), 1);
}
END_TEST

START_TEST(debt_stays_for_a_moment)
{
	start();
	sched_add(&s, &item[0], 1000);
	sched_add(&s, &item[1], 1000);
	turn(UINT32_MAX);
	sched_charge(&s, &item[0], 500);
	int32_t debt = item[0].deficit;
	sched_remove(&s, &item[0], 1000);
	sched_add(&s, &item[0], 1000 + CLOCK_MS - 1);
	ck_assert_int_eq(item[0].deficit, debt);
	sched_remove(&s, &item[0], 2000);
	sched_add(&s, &item[0], 2000 + CLOCK_MS);
	ck_assert_int_eq(item[0].deficit, QUANTUM);
}
END_TEST

START_TEST(debt_is_capped)
{
	start();
	sched_add(&s, &item[0], 1);
	for (int i = 0; i < 10000; i++)
		sched_charge(&s, &item[0], UINT64_C(1) << 40);
	ck_assert_int_eq(item[0].deficit, -QUANTUM);
	sched_add(&s, &item[1], 1); /* others come: it is behind by one turn, not by a day */
	turn(UINT32_MAX);
	int seen = 0;
	for (int i = 0; i < 4; i++)
		seen += turn(UINT32_MAX) == 0;
	ck_assert_int_ge(seen, 1);
}
END_TEST

/* So many that ask for little that it is all there is: who asks for much still gets some. */
START_TEST(many_sparse_ones_do_not_starve_the_bulk)
{
	start();
	uint64_t now = 1;
	sched_add(&s, &item[0], now);
	turn(2 * QUANTUM);
	for (int i = 0; i < 10000; i++) {
		/* Each of the others sends less than a quantum and is quiet for long enough. */
		for (int k = 1; k < ITEMS; k++)
			sched_add(&s, &item[k], now);
		now += 100;
		int who = turn(900);
		if (who != 0)
			sched_remove(
				&s, &item[who], now - 2 * CLOCK_MS < now ? now - 2 * CLOCK_MS : 1);
	}
	ck_assert_uint_ge(sent[0], 10000 * 900 / (SCHED_AHEAD + 4));
	ck_assert_uint_le(sent[0], 10000 * 900 / 5);
}
END_TEST

/* An hour of little alone is no reason to let the bulk go first for long after. */
START_TEST(the_past_does_not_count)
{
	start();
	for (uint64_t now = 1; now < 10000 * CLOCK_SEC; now += CLOCK_SEC) {
		sched_add(&s, &item[0], now);
		turn(900);
		sched_remove(&s, &item[0], now);
	}
	sched_add(&s, &item[1], 1);
	turn(2 * QUANTUM);
	uint64_t before = sent[1];
	sched_add(&s, &item[0], 20000 * CLOCK_SEC);
	while (turn(100) != 0)
		continue;
	ck_assert_uint_le(sent[1] - before, QUANTUM);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sched");
	TCase *t = tcase_create("all");
	tcase_add_test(t, nobody);
	tcase_add_test(t, lone_one_gets_all);
	tcase_add_test(t, fair_in_bytes);
	tcase_add_test(t, who_was_quiet_goes_first);
	tcase_add_test(t, who_sent_much_last_time_comes_after_who_sent_little);
	tcase_add_test(t, what_was_sent_is_counted_without_wrapping);
	tcase_add_test(t, debt_stays_for_a_moment);
	tcase_add_test(t, debt_is_capped);
	tcase_add_test(t, many_sparse_ones_do_not_starve_the_bulk);
	tcase_add_test(t, the_past_does_not_count);
	suite_add_tcase(suite, t);
	return unit_main(suite);
}
