/* The leaky bucket: what comes back, and when. */
#include "base/clock.h"
#include "base/err.h"
#include "session/budget.h"
#include "unit/unit.h"

static uint32_t spend_all(struct budget *b, uint64_t now)
{
	uint32_t n = 0;
	while (budget_spend(b, now, 1) == 0)
		n++;
	return n;
}

START_TEST(spent_and_given_back)
{
	struct budget b;
	budget_init(&b, 5);
	ck_assert_uint_eq(spend_all(&b, 5), BUDGET_POINTS);
	ck_assert_int_eq(budget_spend(&b, 5, 1), ERR_LIMIT);
	ck_assert_uint_eq(spend_all(&b, 5 + CLOCK_SEC), BUDGET_PER_SEC);
	ck_assert_uint_eq(spend_all(&b, 5 + CLOCK_SEC), 0);
	ck_assert_uint_eq(spend_all(&b, 5 + CLOCK_SEC + 1), 0);
}
END_TEST

/* No more than the bucket holds, however long it stood, however late the clock. */
START_TEST(never_overflows)
{
	static const uint64_t gaps[] = {2 * CLOCK_SEC - 1, 2 * CLOCK_SEC, 2 * CLOCK_SEC + 1,
		3600 * CLOCK_SEC, UINT64_MAX / 4096 + 1, UINT64_MAX / 2, UINT64_MAX};
	for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {
		struct budget b;
		budget_init(&b, 0);
		ck_assert_uint_eq(spend_all(&b, 0), BUDGET_POINTS);
		uint32_t n = spend_all(&b, gaps[i]);
		ck_assert_uint_le(n, BUDGET_POINTS);
		ck_assert_uint_ge(n, BUDGET_POINTS - 64);
	}
}
END_TEST

/* Asked at any rhythm, an hour gives back what an hour gives back. */
START_TEST(no_drift)
{
	static const uint64_t rhythm[] = {1, 7, 243, 244, 245, 15624, 15625, 15626, 999999};
	for (size_t i = 0; i < sizeof rhythm / sizeof rhythm[0]; i++) {
		struct budget b;
		uint64_t time = rhythm[i] < 100 ? 10 * CLOCK_SEC : 3600 * CLOCK_SEC;
		uint64_t n = 0;
		budget_init(&b, 0);
		for (uint64_t now = 0; now <= time; now += rhythm[i])
			n += spend_all(&b, now);
		n += spend_all(&b, time);
		ck_assert_uint_eq(n, BUDGET_POINTS + time / CLOCK_SEC * BUDGET_PER_SEC);
	}
}
END_TEST

START_TEST(late_frames_are_free_for_each_ended_stream)
{
	struct budget b;
	budget_init(&b, 0);
	budget_ended(&b);
	for (int i = 0; i < BUDGET_LATE; i++)
		ck_assert_int_eq(budget_late(&b, 0), 0);
	ck_assert_uint_eq(b.points, BUDGET_POINTS);
	ck_assert_int_eq(budget_late(&b, 0), 0);
	ck_assert_uint_eq(b.points, BUDGET_POINTS - 1);
	spend_all(&b, 0);
	ck_assert_int_eq(budget_late(&b, 0), ERR_LIMIT);
	for (int i = 0; i < BUDGET_LATE_MAX; i++)
		budget_ended(&b);
	ck_assert_uint_eq(b.late, BUDGET_LATE_MAX);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("budget");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, spent_and_given_back);
	tcase_add_test(t, never_overflows);
	tcase_add_test(t, no_drift);
	tcase_add_test(t, late_frames_are_free_for_each_ended_stream);
	suite_add_tcase(s, t);
	return unit_main(s);
}
