#include "base/ring.h"

#include "unit/unit.h"

#include <string.h>

static struct unit_mem m;
static struct ring ring;

static void setup(void)
{
	unit_mem_init(&m);
	ring = (struct ring){0};
}

static void teardown(void)
{
	m.fail_at = 0;
	ring_release(&ring, &m.mem, ring.tail);
	ck_assert_uint_eq(m.live, 0);
}

static uint8_t pattern(uint64_t i)
{
	return (uint8_t)(i ^ i >> 8 ^ i >> 16);
}

/* Puts up to n bytes in; returns how many there was room for at once. */
static size_t put(size_t n)
{
	size_t room;
	uint8_t *to = ring_space(&ring, &m.mem, &room);
	if (to == NULL) {
		ck_assert_uint_eq(room, 0);
		return 0;
	}
	ck_assert_uint_ge(room, 1);
	n = n < room ? n : room;
	for (size_t i = 0; i < n; i++)
		to[i] = pattern(ring.tail + i);
	ring_filled(&ring, n);
	return n;
}

static size_t take(uint64_t at, size_t n)
{
	static uint8_t buf[RING_SIZE + 1];
	memset(buf, 0xee, sizeof buf);
	size_t got = ring_copy(&ring, at, buf, n);
	ck_assert_uint_le(got, n);
	for (size_t i = 0; i < got; i++) {
		if (buf[i] != pattern(at + i))
			ck_abort_msg("byte %zu is wrong", i);
	}
	ck_assert_uint_eq(buf[got], 0xee);
	return got;
}

START_TEST(empty)
{
	ck_assert_uint_eq(take(0, 10), 0);
	ring_release(&ring, &m.mem, 0);
	ck_assert_ptr_null(ring.buf);
}
END_TEST

START_TEST(full)
{
	size_t room;
	ck_assert_uint_eq(put(RING_SIZE), RING_SIZE);
	ck_assert_ptr_null(ring_space(&ring, &m.mem, &room));
	ck_assert_uint_eq(room, 0);
	ring_release(&ring, &m.mem, 1);
	ck_assert_uint_eq(put(10), 1);
	ck_assert_uint_eq(take(1, RING_SIZE), RING_SIZE);
	ck_assert_uint_eq(take(ring.tail, 1), 0);
}
END_TEST

START_TEST(memory_exists_only_while_it_holds_bytes)
{
	ck_assert_uint_eq(put(100), 100);
	ck_assert_uint_eq(m.live, 1);
	ring_release(&ring, &m.mem, 99);
	ck_assert_uint_eq(m.live, 1);
	ring_release(&ring, &m.mem, 100);
	ck_assert_uint_eq(m.live, 0);
	/* The offsets go on. */
	ck_assert_uint_eq(put(5), 5);
	ck_assert_uint_eq(take(100, 10), 5);
}
END_TEST

START_TEST(case39_no_memory)
{
	size_t room;
	m.fail_at = 1;
	ck_assert_ptr_null(ring_space(&ring, &m.mem, &room));
	ck_assert_uint_eq(room, 1);
	m.fail_at = 0;
	ck_assert_uint_eq(put(3), 3);
	ck_assert_uint_eq(take(0, 3), 3);
}
END_TEST

START_TEST(readers_at_their_own_pace)
{
	enum { READERS = 3 };
	for (uint64_t seed = 1; seed <= 20; seed++) {
		uint64_t random = seed, at[READERS] = {ring.tail, ring.tail, ring.tail};
		for (int i = 0; i < 400; i++) {
			(void)put((size_t)unit_below(&random, RING_SIZE / 3));
			size_t k = (size_t)unit_below(&random, READERS);
			at[k] += take(at[k], (size_t)unit_below(&random, RING_SIZE));
			uint64_t slowest = ring.tail;
			for (k = 0; k < READERS; k++)
				slowest = at[k] < slowest ? at[k] : slowest;
			ring_release(&ring, &m.mem, slowest);
			ck_assert_uint_le(ring.tail - ring.head, RING_SIZE);
		}
		ring_release(&ring, &m.mem, ring.tail);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ring");
	TCase *tc = tcase_create("ring");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, empty);
	tcase_add_test(tc, full);
	tcase_add_test(tc, memory_exists_only_while_it_holds_bytes);
	tcase_add_test(tc, case39_no_memory);
	tcase_add_test(tc, readers_at_their_own_pace);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
