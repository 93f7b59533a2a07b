/* Records, there and back; and what comes of changed, repeated, reordered and cut ones. */
#include "base/err.h"
#include "crypto/aead.h"
#include "crypto/record.h"
#include "unit/unit.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static uint8_t key[RECORD_KEY], text[RECORD_PLAIN_MAX + 1], out[RECORD_MAX + 1],
	back[RECORD_PLAIN_MAX + 1];

static struct record_kit kit;

struct pair {
	struct record *seal, *open;
};

static struct pair pair_at(uint64_t number)
{
	struct pair p = {record_new_at(&kit, key, number), record_new_at(&kit, key, number)};
	ck_assert(p.seal != NULL && p.open != NULL);
	return p;
}

static void pair_free(struct pair *p)
{
	record_free(p->seal);
	record_free(p->open);
}

/* The next record of n bytes into `to`, which has room for its ciphertext alone. */
static size_t seal(struct pair *p, uint8_t *to, size_t n)
{
	ck_assert_int_eq(record_seal(p->seal, out, text, n), n + RECORD_OVERHEAD);
	ck_assert_int_eq(record_length(out), n + RECORD_TAG);
	memcpy(to, out + RECORD_LENGTH, n + RECORD_TAG);
	return n + RECORD_TAG;
}

static void opens(struct pair *p, const uint8_t *record, size_t n)
{
	ck_assert_int_eq(record_open(p->open, back, record, n), n - RECORD_TAG);
	ck_assert(n == RECORD_TAG || memcmp(back, text, n - RECORD_TAG) == 0);
}

/* Refused, with nothing in the buffer; and then it is dead for the genuine record too. */
static void kills(
	struct pair *p, const uint8_t *bad, size_t bad_len, const uint8_t *good, size_t good_len)
{
	size_t plain = bad_len > RECORD_TAG ? bad_len - RECORD_TAG : 0;
	if (plain > RECORD_PLAIN_MAX)
		plain = 0;
	/* Of its own size, so that a sanitizer sees a byte too far. */
	uint8_t *copy = malloc(bad_len > 0 ? bad_len : 1);
	ck_assert_ptr_nonnull(copy);
	memcpy(copy, bad, bad_len);
	memset(back, 0, plain + 1);
	ck_assert_int_eq(record_open(p->open, back, copy, bad_len), ERR_PROTOCOL);
	ck_assert(sodium_is_zero(back, plain + 1));
	free(copy);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(record_open(p->open, back, good, good_len), ERR_CLOSED);
}

START_TEST(there_and_back)
{
	static const size_t great[] = {1000, 1400, 4096, 16384, 65518, RECORD_PLAIN_MAX};
	struct pair p = pair_at(0);
	for (size_t i = 1; i < 300 + sizeof great / sizeof great[0]; i++) {
		size_t n = i < 300 ? i : great[i - 300];
		out[n + RECORD_OVERHEAD] = 0x77;
		ck_assert_int_eq(record_seal(p.seal, out, text, n), n + RECORD_OVERHEAD);
		ck_assert_uint_eq(out[n + RECORD_OVERHEAD], 0x77);
		ck_assert_int_eq(record_length(out), n + RECORD_TAG);
		back[n] = 0x78;
		ck_assert_int_eq(record_open(p.open, back, out + RECORD_LENGTH, n + RECORD_TAG), n);
		ck_assert_mem_eq(back, text, n);
		ck_assert_uint_eq(back[n], 0x78);
	}
	pair_free(&p);
}
END_TEST

START_TEST(in_place)
{
	struct pair p = pair_at(0), apart = pair_at(0);
	for (size_t n = 1; n < RECORD_PLAIN_MAX; n = n * 3 + 1) {
		static uint8_t same[RECORD_MAX];
		memcpy(same + RECORD_LENGTH, text, n);
		ck_assert_int_eq(
			record_seal(p.seal, same, same + RECORD_LENGTH, n), n + RECORD_OVERHEAD);
		ck_assert_int_eq(record_seal(apart.seal, out, text, n), n + RECORD_OVERHEAD);
		ck_assert_mem_eq(same, out, n + RECORD_OVERHEAD);
		uint8_t *cipher = same + RECORD_LENGTH;
		ck_assert_int_eq(record_open(p.open, cipher, cipher, n + RECORD_TAG), n);
		ck_assert_mem_eq(cipher, text, n);
	}
	pair_free(&p);
	pair_free(&apart);
}
END_TEST

/* What a second implementation sees: by libsodium, the key and the number alone. */
static void on_the_wire(struct pair *p, uint64_t number, const uint8_t *k, size_t n)
{
	static uint8_t want[RECORD_MAX];
	uint8_t nonce[12] = {0};
	for (int i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(number >> 8 * i);
	want[0] = (uint8_t)((n + 16) >> 8);
	want[1] = (uint8_t)(n + 16);
	crypto_aead_chacha20poly1305_ietf_encrypt(want + 2, NULL, text, n, NULL, 0, NULL, nonce, k);
	ck_assert_int_eq(record_seal(p->seal, out, text, n), n + 18);
	ck_assert_mem_eq(out, want, n + 18);
	opens(p, want + 2, n + 16);
}

START_TEST(layout)
{
	static const uint64_t numbers[] = {1, 255, 256, 65534, 0x0102030405060708};
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		struct pair p = pair_at(numbers[i]);
		on_the_wire(&p, numbers[i], key, 300);
		pair_free(&p);
	}
}
END_TEST

/* Not a record is lost or sealed twice where the key changes, and the number goes on. */
START_TEST(rekey)
{
	static const uint8_t zeros[32],
		most[12] = {0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255};
	struct pair p = pair_at(0);
	uint8_t k[48];
	memcpy(k, key, RECORD_KEY);
	for (uint64_t number = 0; number < 2 * RECORD_REKEY + 3; number++) {
		if (number > 0 && number % RECORD_REKEY == 0) {
			uint8_t next[48];
			crypto_aead_chacha20poly1305_ietf_encrypt(
				next, NULL, zeros, 32, NULL, 0, NULL, most, k);
			memcpy(k, next, 32);
		}
		on_the_wire(&p, number, k, 1 + number % 40);
	}
	pair_free(&p);
}
END_TEST

/* A record of the old key does not open behind the change, nor one of the new before it. */
START_TEST(rekey_replayed)
{
	uint8_t a[64], b[64];
	for (int early = 0; early < 2; early++) {
		struct pair p = pair_at(RECORD_REKEY - 1);
		size_t n = seal(&p, a, 20);
		seal(&p, b, 20);
		if (early) {
			kills(&p, b, n, a, n);
		} else {
			opens(&p, a, n);
			kills(&p, a, n, b, n);
		}
		pair_free(&p);
	}
}
END_TEST

START_TEST(flipped)
{
	uint8_t good[128], bad[128];
	struct pair p = pair_at(0);
	size_t n = seal(&p, good, (size_t)_i);
	pair_free(&p);
	for (size_t bit = 0; bit < n * 8; bit++) {
		p = pair_at(0);
		memcpy(bad, good, n);
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		kills(&p, bad, n, good, n);
		pair_free(&p);
	}
}
END_TEST

START_TEST(truncated_and_extended)
{
	static uint8_t good[RECORD_CIPHER_MAX + 1];
	struct pair p = pair_at(0);
	size_t n = seal(&p, good, 40);
	pair_free(&p);
	for (size_t len = 0; len < n + 40; len++) {
		if (len == n)
			continue;
		p = pair_at(0);
		kills(&p, good, len, good, n);
		pair_free(&p);
	}
	p = pair_at(0);
	kills(&p, good, RECORD_CIPHER_MAX + 1, good, n);
	pair_free(&p);
}
END_TEST

START_TEST(repeated_reordered_left_out)
{
	static const int orders[][4] = {{0, 0}, {1}, {0, 2}, {0, 1, 0}, {0, 1, 1}, {3}, {0, 1, 3}};
	for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
		uint8_t r[4][64];
		size_t n = 0, k = 0;
		struct pair p = pair_at(0);
		for (int j = 0; j < 4; j++)
			n = seal(&p, r[j], 20);
		for (; orders[i][k] == (int)k; k++)
			opens(&p, r[k], n);
		kills(&p, r[orders[i][k]], n, r[k], n);
		pair_free(&p);
	}
}
END_TEST

START_TEST(another_key)
{
	uint8_t r[64], other[RECORD_KEY];
	struct pair p = pair_at(0);
	size_t n = seal(&p, r, 20);
	record_free(p.open);
	memcpy(other, key, sizeof other);
	other[0] ^= 1;
	p.open = record_new(&kit, other);
	kills(&p, r, n, r, n);
	pair_free(&p);
}
END_TEST

START_TEST(close_is_the_last)
{
	uint8_t before[64], close[RECORD_TAG];
	struct pair p = pair_at(0), q = pair_at(0);
	seal(&p, before, 9);
	opens(&p, before, 9 + RECORD_TAG);
	ck_assert_int_eq(record_seal(p.seal, out, NULL, 0), RECORD_OVERHEAD);
	memcpy(close, out + RECORD_LENGTH, RECORD_TAG);
	ck_assert_int_eq(record_seal(p.seal, out, text, 1), ERR_CLOSED);
	ck_assert_int_eq(record_seal(p.seal, out, NULL, 0), ERR_CLOSED);

	ck_assert_int_eq(record_open(p.open, NULL, close, RECORD_TAG), 0);
	/* Somebody who has the key and goes on all the same. */
	for (int i = 0; i < 2; i++)
		seal(&q, before, 9);
	seal(&q, before, 9);
	kills(&p, before, 9 + RECORD_TAG, before, 9 + RECORD_TAG);
	pair_free(&p);
	pair_free(&q);
}
END_TEST

START_TEST(close_repeated)
{
	uint8_t close[RECORD_TAG];
	struct pair p = pair_at(0);
	size_t n = seal(&p, close, 0);
	opens(&p, close, n);
	kills(&p, close, n, close, n);
	pair_free(&p);
}
END_TEST

START_TEST(lengths)
{
	for (int n = 0; n <= 65535; n++) {
		uint8_t b[2] = {(uint8_t)(n >> 8), (uint8_t)n};
		ck_assert_int_eq(record_length(b), n >= RECORD_TAG ? n : ERR_PROTOCOL);
	}
}
END_TEST

START_TEST(too_much_is_refused_and_harmless)
{
	uint8_t r[64];
	struct pair p = pair_at(0);
	ck_assert_int_eq(record_seal(p.seal, out, text, RECORD_PLAIN_MAX + 1), ERR_INVALID);
	ck_assert_int_eq(record_seal(p.seal, out, text, SIZE_MAX), ERR_INVALID);
	opens(&p, r, seal(&p, r, 20));
	pair_free(&p);
}
END_TEST

START_TEST(the_counter_stops)
{
	uint8_t r[64];
	struct pair p = pair_at(RECORD_LIMIT - 2);
	ck_assert(RECORD_LIMIT < UINT64_MAX / 2);
	for (int i = 0; i < 2; i++)
		opens(&p, r, seal(&p, r, 20));
	ck_assert_int_eq(record_seal(p.seal, out, text, 20), ERR_LIMIT);
	ck_assert_int_eq(record_seal(p.seal, out, text, 20), ERR_CLOSED);
	memset(back, 0, 20);
	ck_assert_int_eq(record_open(p.open, back, r, 36), ERR_LIMIT);
	ck_assert_int_eq(record_open(p.open, back, r, 36), ERR_CLOSED);
	ck_assert(sodium_is_zero(back, 20));
	pair_free(&p);
}
END_TEST

START_TEST(no_memory)
{
	struct unit_mem m;
	record_free(NULL);
	for (size_t at = 1;; at++) {
		unit_mem_init(&m);
		m.fail_at = at;
		struct record_kit poor;
		int rc = record_kit_init(&poor, &m.mem);
		ck_assert(rc == 0 || (rc == ERR_NOMEM && m.failed));
		struct record *r = rc == 0 ? record_new(&poor, key) : NULL;
		ck_assert_int_eq(r == NULL, m.failed);
		record_free(r);
		record_kit_fini(&poor);
		ck_assert_uint_eq(m.live, 0);
		if (!m.failed)
			break;
	}
}
END_TEST

int main(void)
{
	if (aead_init() != 0 || record_kit_init(&kit, mem_system()) != 0)
		return 1;
	uint64_t seed = 4;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)unit_random(&seed);
	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)unit_random(&seed);
	Suite *s = suite_create("record");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, there_and_back);
	tcase_add_test(t, in_place);
	tcase_add_test(t, layout);
	tcase_add_test(t, rekey);
	tcase_add_test(t, rekey_replayed);
	tcase_add_loop_test(t, flipped, 0, 70);
	tcase_add_test(t, truncated_and_extended);
	tcase_add_test(t, repeated_reordered_left_out);
	tcase_add_test(t, another_key);
	tcase_add_test(t, close_is_the_last);
	tcase_add_test(t, close_repeated);
	tcase_add_test(t, lengths);
	tcase_add_test(t, too_much_is_refused_and_harmless);
	tcase_add_test(t, the_counter_stops);
	tcase_add_test(t, no_memory);
	suite_add_tcase(s, t);
	return unit_main(s);
}
