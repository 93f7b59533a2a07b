#include "base/timers.h"
#include "unit/unit.h"

#include "base/err.h"

#include <string.h>

enum { N = 2000, FIRED_MAX = 2 * N };

struct item {
	struct timer timer; /* first, so that a timer is its item */
	uint64_t want;      /* UINT64_MAX: not set */
	struct timers *queue;
	uint64_t again; /* set anew to this from inside fire(); 0: not */
	struct item *victim;
};

static struct item *fired[FIRED_MAX];
static size_t n_fired;

static void fire(struct timer *t)
{
	struct item *it = (struct item *)t;
	ck_assert(!timer_is_set(t));
	ck_assert_uint_lt(n_fired, FIRED_MAX);
	fired[n_fired++] = it;
	if (it->again != 0)
		ck_assert_int_eq(timers_set(it->queue, t, it->again), 0);
	if (it->victim != NULL)
		timers_stop(it->queue, &it->victim->timer);
}

static void setup(struct timers *q, struct unit_mem *m, struct item *items, size_t n)
{
	unit_mem_init(m);
	timers_init(q, &m->mem);
	memset(items, 0, n * sizeof *items);
	for (size_t i = 0; i < n; i++) {
		items[i].timer.fire = fire;
		items[i].want = UINT64_MAX;
		items[i].queue = q;
	}
	n_fired = 0;
}

static uint64_t earliest(const struct item *items, size_t n)
{
	uint64_t at = UINT64_MAX;
	for (size_t i = 0; i < n; i++)
		at = items[i].want < at ? items[i].want : at;
	return at;
}

/* Random sets, moves and stops against the obvious model. */
START_TEST(agrees_with_a_plain_array)
{
	enum { ITEMS = 60, STEPS = 20000 };
	struct item items[ITEMS];
	struct timers q;
	struct unit_mem m;
	uint64_t seed = 42, now = 0;
	setup(&q, &m, items, ITEMS);
	for (int step = 0; step < STEPS; step++) {
		struct item *it = &items[unit_below(&seed, ITEMS)];
		switch (unit_below(&seed, 4)) {
		case 0:
		case 1:
			it->want = now + unit_below(&seed, 100);
			ck_assert_int_eq(timers_set(&q, &it->timer, it->want), 0);
			break;
		case 2:
			it->want = UINT64_MAX;
			timers_stop(&q, &it->timer);
			break;
		default:
			now += unit_below(&seed, 40);
			n_fired = 0;
			timers_run(&q, now);
			for (size_t i = 0; i < n_fired; i++) {
				ck_assert_uint_le(fired[i]->want, now);
				if (i > 0)
					ck_assert_uint_ge(
						fired[i]->timer.at, fired[i - 1]->timer.at);
				fired[i]->want = UINT64_MAX;
			}
		}
		ck_assert_uint_eq(timers_next(&q), earliest(items, ITEMS));
		ck_assert_int_eq(timer_is_set(&it->timer), it->want != UINT64_MAX);
	}
	timers_fini(&q);
	ck_assert_uint_eq(m.live, 0);
}
END_TEST

START_TEST(fires_in_order_of_deadline)
{
	static struct item items[N];
	struct timers q;
	struct unit_mem m;
	uint64_t seed = 7;
	setup(&q, &m, items, N);
	for (size_t i = 0; i < N; i++)
		ck_assert_int_eq(timers_set(&q, &items[i].timer, 1 + unit_below(&seed, 500)), 0);
	timers_run(&q, 0);
	ck_assert_uint_eq(n_fired, 0);
	timers_run(&q, 500);
	ck_assert_uint_eq(n_fired, N);
	for (size_t i = 1; i < N; i++)
		ck_assert_uint_ge(fired[i]->timer.at, fired[i - 1]->timer.at);
	ck_assert_uint_eq(timers_next(&q), UINT64_MAX);
	timers_fini(&q);
	ck_assert_uint_eq(m.live, 0);
}
END_TEST

START_TEST(set_anew_from_inside_waits_for_the_next_run)
{
	struct item items[1];
	struct timers q;
	struct unit_mem m;
	setup(&q, &m, items, 1);
	items[0].again = 5;
	ck_assert_int_eq(timers_set(&q, &items[0].timer, 5), 0);
	timers_run(&q, 10);
	ck_assert_uint_eq(n_fired, 1);
	ck_assert(timer_is_set(&items[0].timer));
	timers_run(&q, 10);
	ck_assert_uint_eq(n_fired, 2);
	timers_fini(&q);
	ck_assert(!timer_is_set(&items[0].timer));
	ck_assert_uint_eq(m.live, 0);
}
END_TEST

START_TEST(stopped_from_inside_another_does_not_fire)
{
	struct item items[3];
	struct timers q;
	struct unit_mem m;
	setup(&q, &m, items, 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(timers_set(&q, &items[i].timer, i), 0);
	items[0].victim = &items[1];
	timers_run(&q, 10);
	ck_assert_uint_eq(n_fired, 2);
	ck_assert_ptr_eq(fired[0], &items[0]);
	ck_assert_ptr_eq(fired[1], &items[2]);
	timers_stop(&q, &items[1].timer);
	timers_fini(&q);
	ck_assert_uint_eq(m.live, 0);
}
END_TEST

START_TEST(without_memory_setting_fails_and_moving_does_not)
{
	struct item items[3];
	struct timers q;
	struct unit_mem m;
	setup(&q, &m, items, 3);
	m.fail_at = 1;
	ck_assert_int_eq(timers_set(&q, &items[0].timer, 1), ERR_NOMEM);
	ck_assert(!timer_is_set(&items[0].timer));
	ck_assert_uint_eq(timers_next(&q), UINT64_MAX);
	ck_assert_int_eq(timers_reserve(&q, 2), 0);
	m.fail_at = m.calls + 1;
	m.sticky = 1;
	ck_assert_int_eq(timers_set(&q, &items[0].timer, 9), 0);
	ck_assert_int_eq(timers_set(&q, &items[1].timer, 8), 0);
	ck_assert_int_eq(timers_set(&q, &items[0].timer, 7), 0);
	ck_assert_uint_eq(timers_next(&q), 7);
	timers_fini(&q);
	ck_assert_uint_eq(m.live, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("timers");
	TCase *t = tcase_create("timers");
	tcase_add_test(t, agrees_with_a_plain_array);
	tcase_add_test(t, fires_in_order_of_deadline);
	tcase_add_test(t, set_anew_from_inside_waits_for_the_next_run);
	tcase_add_test(t, stopped_from_inside_another_does_not_fire);
	tcase_add_test(t, without_memory_setting_fails_and_moving_does_not);
	suite_add_tcase(s, t);
	return unit_main(s);
}
