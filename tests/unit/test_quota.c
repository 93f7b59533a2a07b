#include "bus/quota.h"

#include "base/log.h"
#include "unit/unit.h"

#include <sodium.h>
#include <string.h>

enum { HOLDERS = 4, LIMIT = 8 << 20 };

static struct unit_mem m;
static struct conf conf;
static struct bus bus;
static struct quota_holder holder[HOLDERS];
static int evicted[HOLDERS], n_evicted;
static bool stubborn;

static void on_evict(struct quota_holder *h)
{
	evicted[n_evicted++] = (int)(h - holder);
	if (!stubborn)
		quota_sub(&bus, h, h->bytes);
}

static void setup(void)
{
	log_set_level(LOG_ERROR);
	unit_mem_init(&m);
	conf = (struct conf){.memory = LIMIT};
	bus = (struct bus){.mem = &m.mem, .conf = &conf};
	ck_assert_int_eq(bus_init(&bus), 0);
	for (int i = 0; i < HOLDERS; i++)
		quota_holder_init(&holder[i], on_evict);
	n_evicted = 0;
	stubborn = false;
}

static void teardown(void)
{
	for (int i = 0; i < HOLDERS; i++)
		quota_sub(&bus, &holder[i], holder[i].bytes);
	ck_assert_uint_eq(bus.quota.held, 0);
	ck_assert(list_empty(&bus.quota.holders));
	bus_fini(&bus);
	ck_assert_uint_eq(m.live, 0);
}

START_TEST(windows_shrink_then_sessions_are_refused)
{
	bool grow;
	ck_assert_uint_eq(quota_window(&bus, &grow), WIRE_WINDOW_DEFAULT);
	ck_assert(grow && quota_admits(&bus));
	quota_add(&bus, &holder[0], LIMIT / 4 * 3 - 1);
	ck_assert_uint_eq(quota_window(&bus, &grow), WIRE_WINDOW_DEFAULT);
	quota_add(&bus, &holder[0], 1);
	ck_assert_uint_eq(quota_window(&bus, &grow), QUOTA_SMALL_WINDOW);
	ck_assert(!grow && quota_admits(&bus));
	quota_add(&bus, &holder[1], LIMIT / 8);
	ck_assert(!quota_admits(&bus));
	quota_enforce(&bus);
	ck_assert_int_eq(n_evicted, 0);
}
END_TEST

START_TEST(it_eases_at_half)
{
	bool grow;
	quota_add(&bus, &holder[0], LIMIT);
	quota_sub(&bus, &holder[0], LIMIT / 2 - 1);
	ck_assert(!quota_admits(&bus));
	quota_sub(&bus, &holder[0], 1);
	ck_assert(quota_admits(&bus));
	ck_assert_uint_eq(quota_window(&bus, &grow), WIRE_WINDOW_DEFAULT);
	ck_assert(grow);
}
END_TEST

START_TEST(who_holds_most_goes_first)
{
	quota_add(&bus, &holder[0], LIMIT / 8);
	quota_add(&bus, &holder[1], LIMIT / 2);
	quota_add(&bus, &holder[2], LIMIT / 4 * 3);
	quota_add(&bus, &holder[3], LIMIT / 8 * 5);
	quota_enforce(&bus);
	ck_assert_int_eq(n_evicted, 2);
	ck_assert_int_eq(evicted[0], 2);
	ck_assert_int_eq(evicted[1], 3);
	ck_assert_uint_le(bus.quota.held, LIMIT);
	quota_enforce(&bus);
	ck_assert_int_eq(n_evicted, 2);
}
END_TEST

START_TEST(just_the_limit_is_kept)
{
	quota_add(&bus, &holder[0], LIMIT);
	quota_enforce(&bus);
	ck_assert_int_eq(n_evicted, 0);
	quota_add(&bus, &holder[1], 1);
	quota_enforce(&bus);
	ck_assert_int_eq(n_evicted, 1);
	ck_assert_int_eq(evicted[0], 0);
}
END_TEST

START_TEST(no_endless_loop_where_nothing_is_given_back)
{
	stubborn = true;
	quota_add(&bus, &holder[0], LIMIT + 1);
	quota_enforce(&bus);
	ck_assert_int_eq(n_evicted, 1);
}
END_TEST

START_TEST(a_holder_is_listed_once_and_only_while_it_holds)
{
	for (int i = 0; i < 3; i++) {
		quota_add(&bus, &holder[0], 0);
		ck_assert(list_empty(&bus.quota.holders));
		quota_add(&bus, &holder[0], 5);
		quota_add(&bus, &holder[0], 5);
		ck_assert_ptr_eq(list_first(&bus.quota.holders), &holder[0].node);
		ck_assert_ptr_eq(holder[0].node.next, &bus.quota.holders);
		quota_sub(&bus, &holder[0], 10);
		ck_assert(list_empty(&bus.quota.holders));
	}
}
END_TEST

START_TEST(jitter_and_ids)
{
	uint8_t a[WIRE_ID], b[WIRE_ID];
	bool low = false, high = false;
	for (int i = 0; i < 1000; i++) {
		uint64_t v = bus_jitter(&bus, 10);
		ck_assert_uint_lt(v, 10);
		low = low || v == 0;
		high = high || v == 9;
	}
	ck_assert(low && high);
	ck_assert_uint_eq(bus_jitter(&bus, 1), 0);
	bus_new_id(&bus, b);
	for (int i = 0; i < 200; i++) {
		memcpy(a, b, sizeof a);
		bus_new_id(&bus, b);
		ck_assert_mem_ne(a, b, sizeof a);
	}
}
END_TEST

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	Suite *s = suite_create("quota");
	TCase *tc = tcase_create("quota");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, windows_shrink_then_sessions_are_refused);
	tcase_add_test(tc, it_eases_at_half);
	tcase_add_test(tc, who_holds_most_goes_first);
	tcase_add_test(tc, just_the_limit_is_kept);
	tcase_add_test(tc, no_endless_loop_where_nothing_is_given_back);
	tcase_add_test(tc, a_holder_is_listed_once_and_only_while_it_holds);
	tcase_add_test(tc, jitter_and_ids);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
