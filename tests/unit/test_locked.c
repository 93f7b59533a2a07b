/* Slots for keys: zeroed, apart from one another, in blocks that come and go within bounds. */
#include "crypto/locked.h"
#include "unit/child.h"
#include "unit/hunt.h"
#include "unit/unit.h"

#include <sodium.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SLOTS = LOCKED_BLOCK * 3 + 1 };

static struct unit_mem m;
static struct locked *l;

static void setup(void)
{
	unit_mem_init(&m);
	l = locked_new(&m.mem);
	ck_assert_ptr_nonnull(l);
}

static void teardown(void)
{
	locked_free(l);
	ck_assert_uint_eq(m.live, 0);
}

START_TEST(apart)
{
	uint8_t *slot[SLOTS];
	for (size_t i = 0; i < SLOTS; i++) {
		slot[i] = locked_get(l);
		ck_assert_ptr_nonnull(slot[i]);
		ck_assert(sodium_is_zero(slot[i], LOCKED_SLOT));
		ck_assert_uint_eq((uintptr_t)slot[i] % 16, 0);
		memset(slot[i], (int)(i % 255 + 1), LOCKED_SLOT);
	}
	ck_assert_uint_eq(locked_blocks(l), 4);
	for (size_t i = 0; i < SLOTS; i++) {
		for (size_t k = 0; k < LOCKED_SLOT; k++)
			ck_assert_uint_eq(slot[i][k], i % 255 + 1);
		locked_put(l, slot[i]);
	}
	ck_assert_uint_eq(locked_blocks(l), 1);
	locked_put(l, NULL);
}
END_TEST

START_TEST(wiped)
{
	uint8_t *one = locked_get(l), *other = locked_get(l);
	memset(one, 7, LOCKED_SLOT);
	memset(other, 8, LOCKED_SLOT);
	locked_put(l, one);
	ck_assert(sodium_is_zero(one, LOCKED_SLOT)); /* the block is still there */
	ck_assert_uint_eq(other[0], 8);
	ck_assert_ptr_eq(locked_get(l), one);
	locked_put(l, one);
	locked_put(l, other);
}
END_TEST

/* In any order: what is taken is never given again, and no second block stays empty. */
START_TEST(any_order)
{
	static uint8_t *slot[SLOTS];
	uint64_t seed = 9;
	size_t n = 0;
	for (int step = 0; step < 20000; step++) {
		/* Tides, so that blocks come and go. */
		bool rising = step / 1500 % 2 == 0;
		if (n < SLOTS && (n == 0 || unit_below(&seed, 8) < (rising ? 6 : 2))) {
			slot[n] = locked_get(l);
			ck_assert_ptr_nonnull(slot[n]);
			ck_assert(sodium_is_zero(slot[n], LOCKED_SLOT));
			memset(slot[n++], 1, LOCKED_SLOT);
		} else {
			size_t i = unit_below(&seed, n);
			ck_assert_uint_eq(slot[i][LOCKED_SLOT - 1], 1);
			locked_put(l, slot[i]);
			slot[i] = slot[--n];
		}
		ck_assert_uint_le(locked_blocks(l), n + 1);
	}
	while (n > 0)
		locked_put(l, slot[--n]);
	ck_assert_uint_eq(locked_blocks(l), 1);
}
END_TEST

START_TEST(bounded)
{
	static uint8_t *slot[LOCKED_BLOCKS_MAX * LOCKED_BLOCK];
	size_t n = 0;
	while (n < sizeof slot / sizeof slot[0] && (slot[n] = locked_get(l)) != NULL)
		n++;
	ck_assert_uint_eq(n, sizeof slot / sizeof slot[0]);
	ck_assert_ptr_null(locked_get(l));
	ck_assert_uint_eq(locked_blocks(l), LOCKED_BLOCKS_MAX);
	locked_put(l, slot[n / 2]);
	slot[n / 2] = locked_get(l);
	ck_assert_ptr_nonnull(slot[n / 2]);
	while (n > 0)
		locked_put(l, slot[--n]);
}
END_TEST

START_TEST(no_memory)
{
	struct unit_mem poor;
	for (size_t at = 1; at <= 3; at++) {
		unit_mem_init(&poor);
		poor.fail_at = at;
		struct locked *p = locked_new(&poor.mem);
		ck_assert_int_eq(p == NULL, at <= 2);
		uint8_t *slot[LOCKED_BLOCK + 1];
		for (size_t i = 0; p != NULL && i <= LOCKED_BLOCK; i++) {
			slot[i] = locked_get(p);
			ck_assert_int_eq(slot[i] == NULL, i == LOCKED_BLOCK);
		}
		for (size_t i = 0; p != NULL && i <= LOCKED_BLOCK; i++)
			locked_put(p, slot[i]);
		locked_free(p);
		ck_assert_uint_eq(poor.live, 0);
	}
	locked_free(NULL);
}
END_TEST

START_TEST(says_locked)
{
	if (hunt_can_lock())
		ck_assert(!locked_missed(l));
}
END_TEST

/* Without the right to lock anything all goes on, and is said. */
static int without_locks(const void *ctx)
{
	(void)ctx;
	struct rlimit none = {0, 0};
	CHILD_EXPECT(setrlimit(RLIMIT_MEMLOCK, &none) == 0);
	CHILD_EXPECT(geteuid() != 0 || seteuid(65534) == 0); /* root may lock all the same */
	struct locked *p = locked_new(mem_system());
	CHILD_EXPECT(p != NULL && locked_missed(p));
	uint8_t *slot = locked_get(p);
	CHILD_EXPECT(slot != NULL);
	memset(slot, 5, LOCKED_SLOT);
	locked_put(p, slot);
	locked_free(p);
	return 0;
}

/* The first block is, the second is not, and then a slot of it. */
static int with_one_page(const void *ctx)
{
	(void)ctx;
	struct rlimit page = {(rlim_t)sysconf(_SC_PAGESIZE), (rlim_t)sysconf(_SC_PAGESIZE)};
	CHILD_EXPECT(setrlimit(RLIMIT_MEMLOCK, &page) == 0);
	CHILD_EXPECT(geteuid() != 0 || seteuid(65534) == 0);
	struct locked *p = locked_new(mem_system());
	CHILD_EXPECT(p != NULL && !locked_missed(p));
	uint8_t *own = sodium_malloc(100);
	CHILD_EXPECT(own != NULL);
	locked_look(p, own, 100);
	CHILD_EXPECT(locked_missed(p));
	sodium_free(own);
	locked_free(p);
	p = locked_new(mem_system());
	CHILD_EXPECT(p != NULL && !locked_missed(p));
	for (int i = 0; i <= LOCKED_BLOCK; i++) {
		CHILD_EXPECT(!locked_missed(p));
		CHILD_EXPECT(locked_get(p) != NULL);
	}
	CHILD_EXPECT(locked_missed(p));
	return 0;
}

START_TEST(says_unlocked)
{
	if (CHILD_SANITIZED)
		return; /* mlock() does nothing there, with success */
	ck_assert_int_eq(child_run(without_locks, NULL), 0);
	if (hunt_can_lock())
		ck_assert_int_eq(child_run(with_one_page, NULL), 0);
}
END_TEST

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	Suite *s = suite_create("locked");
	TCase *t = tcase_create("all");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, apart);
	tcase_add_test(t, wiped);
	tcase_add_test(t, any_order);
	tcase_add_test(t, bounded);
	tcase_add_test(t, no_memory);
	tcase_add_test(t, says_locked);
	tcase_add_test(t, says_unlocked);
	suite_add_tcase(s, t);
	return unit_main(s);
}
