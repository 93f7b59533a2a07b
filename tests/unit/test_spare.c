#include "base/spare.h"

#include "unit/unit.h"

#include <string.h>

enum { SIZE = 312, MAX = 3 };

static struct unit_mem m;
static struct spare s;

static void setup(void)
{
	unit_mem_init(&m);
	spare_init(&s, &m.mem, SIZE, MAX);
}

static void teardown(void)
{
	spare_fini(&s);
	ck_assert_uint_eq(m.live, 0);
}

/* All of a block can be written. */
static void *get(void)
{
	void *block = spare_get(&s);
	ck_assert_ptr_nonnull(block);
	memset(block, 0xa5, SIZE);
	return block;
}

START_TEST(the_last_given_back_is_the_first_used_again)
{
	void *a = get(), *b = get();
	size_t calls = m.calls;
	spare_put(&s, a);
	spare_put(&s, b);
	ck_assert_ptr_eq(get(), b);
	ck_assert_ptr_eq(get(), a);
	ck_assert_uint_eq(m.calls, calls);
	spare_put(&s, a);
	spare_put(&s, b);
	spare_put(&s, NULL);
}
END_TEST

START_TEST(so_many_are_kept_and_no_more)
{
	void *block[2 * MAX];
	for (int i = 0; i < 2 * MAX; i++)
		block[i] = get();
	for (int i = 0; i < 2 * MAX; i++)
		spare_put(&s, block[i]);
	ck_assert_uint_eq(s.n, MAX);
	ck_assert_uint_eq(m.live, MAX);
}
END_TEST

START_TEST(without_memory_there_are_those_that_are_kept)
{
	void *a = get();
	spare_put(&s, a);
	m.fail_at = m.calls + 1;
	ck_assert_ptr_eq(spare_get(&s), a);
	ck_assert_ptr_null(spare_get(&s));
	spare_put(&s, a);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spare");
	TCase *tc = tcase_create("spare");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_last_given_back_is_the_first_used_again);
	tcase_add_test(tc, so_many_are_kept_and_no_more);
	tcase_add_test(tc, without_memory_there_are_those_that_are_kept);
	suite_add_tcase(suite, tc);
	return unit_main(suite);
}
