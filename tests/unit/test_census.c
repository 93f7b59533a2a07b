/* How many transports a peer may have at an address. */
#include "bus/census.h"

#include "base/err.h"
#include "unit/unit.h"

#include <string.h>

static struct unit_mem m;
static struct census c;
static struct addr here, there;
static const uint8_t key[CENSUS_KEY] = {1}, other[CENSUS_KEY] = {1, [CENSUS_KEY - 1] = 1};

static void setup(void)
{
	unit_mem_init(&m);
	census_init(&c, &m.mem, 3);
	ck_assert_int_eq(addr_from_literal(&here, "192.0.2.1", 9, 9000), 0);
	ck_assert_int_eq(addr_from_literal(&there, "192.0.2.1", 9, 9001), 0);
}

static void teardown(void)
{
	census_fini(&c);
	ck_assert_uint_eq(m.live, 0);
}

START_TEST(each_peer_has_so_many_at_each_address)
{
	struct census_peer *full = NULL, *p;
	for (int i = 0; i < CENSUS_OF_PEER; i++) {
		ck_assert_int_eq(census_enter(&c, key, &here, &p), 0);
		ck_assert(full == NULL || p == full);
		full = p;
	}
	ck_assert_int_eq(census_enter(&c, key, &here, &p), ERR_LIMIT);
	ck_assert_ptr_null(p);
	struct census_peer *elsewhere, *another;
	ck_assert_int_eq(census_enter(&c, key, &there, &elsewhere), 0);
	ck_assert_int_eq(census_enter(&c, other, &here, &another), 0);
	ck_assert(elsewhere != full && another != full && another != elsewhere);
	census_leave(&c, full);
	ck_assert_int_eq(census_enter(&c, key, &here, &p), 0);
	ck_assert_int_eq(census_enter(&c, key, &here, &p), ERR_LIMIT);
	ck_assert_uint_eq(c.peers.count, 3);
	census_leave(&c, elsewhere);
	census_leave(&c, another);
	for (int i = 0; i < CENSUS_OF_PEER; i++)
		census_leave(&c, full);
	ck_assert_uint_eq(c.peers.count, 0);
}
END_TEST

START_TEST(case_39_without_memory_nothing_is_counted)
{
	struct census_peer *p;
	for (size_t at = 1; at <= 2; at++) {
		m.calls = 0;
		m.fail_at = at;
		ck_assert_int_eq(census_enter(&c, key, &here, &p), ERR_NOMEM);
		ck_assert_ptr_null(p);
		ck_assert_uint_eq(c.peers.count, 0);
	}
	m.fail_at = 0;
	ck_assert_int_eq(census_enter(&c, key, &here, &p), 0);
	census_leave(&c, p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("census");
	TCase *t = tcase_create("census");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, each_peer_has_so_many_at_each_address);
	tcase_add_test(t, case_39_without_memory_nothing_is_counted);
	suite_add_tcase(s, t);
	return unit_main(s);
}
