#include "base/fifo.h"

#include "base/err.h"
#include "unit/unit.h"

#include <string.h>

static struct unit_mem m;
static struct fifo f;

static void setup(void)
{
	unit_mem_init(&m);
	f = (struct fifo){0};
}

static void teardown(void)
{
	m.fail_at = 0;
	fifo_clear(&f, &m.mem);
	ck_assert_uint_eq(m.live, 0);
}

static uint8_t pattern(uint64_t i)
{
	return (uint8_t)(i ^ i >> 8 ^ i >> 16);
}

static void append(uint64_t at, size_t n)
{
	static uint8_t buf[300000];
	ck_assert_uint_le(n, sizeof buf);
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(at + i);
	ck_assert_int_eq(fifo_append(&f, &m.mem, buf, n), 0);
}

/* All that can be peeked at is what was appended from offset `at` on.  Returns its length. */
static size_t check(uint64_t at, int max)
{
	struct iovec iov[64];
	size_t total = 0;
	int n = fifo_peek(&f, iov, max);
	ck_assert_int_le(n, max);
	for (int i = 0; i < n; i++) {
		const uint8_t *p = iov[i].iov_base;
		ck_assert_uint_gt(iov[i].iov_len, 0);
		for (size_t k = 0; k < iov[i].iov_len; k++) {
			if (p[k] != pattern(at + total + k))
				ck_abort_msg("byte %zu of piece %d is wrong", k, i);
		}
		total += iov[i].iov_len;
	}
	return total;
}

START_TEST(empty)
{
	struct iovec iov;
	ck_assert_int_eq(fifo_peek(&f, &iov, 1), 0);
	fifo_drop(&f, &m.mem, 0);
	fifo_clear(&f, &m.mem);
	append(0, 0);
	ck_assert_uint_eq(f.length, 0);
	ck_assert_uint_eq(m.live, 0);
}
END_TEST

START_TEST(small_pieces_share_a_chunk)
{
	for (uint64_t i = 0; i < FIFO_CHUNK_MIN; i++)
		append(i, 1);
	ck_assert_uint_eq(m.live, 1);
	ck_assert_uint_eq(check(0, 64), FIFO_CHUNK_MIN);
	append(FIFO_CHUNK_MIN, 1);
	ck_assert_uint_eq(m.live, 2);
	ck_assert_uint_eq(check(0, 1), FIFO_CHUNK_MIN);
	ck_assert_uint_eq(check(0, 2), FIFO_CHUNK_MIN + 1);
}
END_TEST

START_TEST(chunks_exist_only_while_they_hold_something)
{
	append(0, 3 * FIFO_CHUNK_MAX);
	ck_assert_uint_eq(m.live, 3);
	fifo_drop(&f, &m.mem, FIFO_CHUNK_MAX);
	ck_assert_uint_eq(m.live, 2);
	fifo_drop(&f, &m.mem, 2 * FIFO_CHUNK_MAX - 1);
	ck_assert_uint_eq(m.live, 1);
	ck_assert_uint_eq(check(3 * FIFO_CHUNK_MAX - 1, 8), 1);
	fifo_drop(&f, &m.mem, 1);
	ck_assert_uint_eq(m.live, 0);
	append(0, 5);
	ck_assert_uint_eq(check(0, 1), 5);
}
END_TEST

START_TEST(random_appends_and_drops)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		uint64_t random = seed, in = 0, out = 0;
		for (int i = 0; i < 200; i++) {
			static const size_t scale[] = {3, 3000, 200000};
			size_t n = (size_t)unit_below(&random, scale[unit_below(&random, 3)]);
			if (unit_below(&random, 2)) {
				append(in, n);
				in += n;
			} else {
				n = n < in - out ? n : (size_t)(in - out);
				fifo_drop(&f, &m.mem, n);
				out += n;
			}
			ck_assert_uint_eq(f.length, in - out);
			size_t seen = check(out, 64);
			ck_assert(seen == f.length || m.live > 64);
		}
		fifo_clear(&f, &m.mem);
		ck_assert_uint_eq(f.length, 0);
		ck_assert_uint_eq(m.live, 0);
	}
}
END_TEST

START_TEST(case39_no_memory_appends_nothing)
{
	append(0, 10);
	static uint8_t more[4 * FIFO_CHUNK_MAX];
	for (size_t nth = 1; nth <= 4; nth++) {
		m.fail_at = m.calls + nth;
		ck_assert_int_eq(fifo_append(&f, &m.mem, more, sizeof more), ERR_NOMEM);
		m.fail_at = 0;
		ck_assert_uint_eq(f.length, 10);
		ck_assert_uint_eq(m.live, 1);
		ck_assert_uint_eq(check(0, 64), 10);
	}
	append(10, 100000);
	ck_assert_uint_eq(check(0, 64), 100010);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fifo");
	TCase *tc = tcase_create("fifo");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, empty);
	tcase_add_test(tc, small_pieces_share_a_chunk);
	tcase_add_test(tc, chunks_exist_only_while_they_hold_something);
	tcase_add_test(tc, random_appends_and_drops);
	tcase_add_test(tc, case39_no_memory_appends_nothing);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
