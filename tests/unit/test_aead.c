/* ChaCha20-Poly1305 by each engine of the build: RFC 8439, and one engine against another. */
#include "base/err.h"
#include "config.h"
#include "crypto/aead.h"
#include "unit/unit.h"

#include <sodium.h>
#include <string.h>

enum { ROOM = 70000 };

static int engines(void)
{
	int n = 0;
	while (aead_engine((size_t)n) != NULL)
		n++;
	return n;
}

static size_t unhex(uint8_t *out, size_t room, const char *text)
{
	size_t n;
	ck_assert_int_eq(sodium_hex2bin(out, room, text, strlen(text), " ", &n, NULL), 0);
	return n;
}

/* RFC 8439, sections 2.8.2 and A.5. */
static const struct {
	const char *key, *nonce, *ad, *text, *cipher, *tag;
} vectors[] = {
	{"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
		"070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
		"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for "
		"the future, sunscreen would be it.",
		"d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6"
		"3dbea45e8ca9671282fafb69da92728b 1a71de0a9e060b2905d6a5b67ecd3b36"
		"92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc"
		"3ff4def08e4b7a9de576d26586cec64b 6116",
		"1ae10b594f09e26a7e902ecbd0600691"},
	{"1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
		"000000000102030405060708", "f33388860000000000004e91",
		"Internet-Drafts are draft documents valid for a maximum of six months and may be "
		"updated, replaced, or obsoleted by other documents at any time. It is "
		"inappropriate to use Internet-Drafts as reference material or to cite them other "
		"than as /\xe2\x80\x9cwork in progress./\xe2\x80\x9d",
		"64a0861575861af460f062c79be643bd", "eead9d67890cbb22392336fea1851f38"},
};

START_TEST(rfc_8439)
{
	const struct aead_engine *engine = aead_engine((size_t)_i);
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		uint8_t key[AEAD_KEY], ad[64], tag[AEAD_TAG], cipher[512], out[512], back[512];
		size_t n = strlen(vectors[i].text);
		struct aead_input in = {
			.key = key, .text = (const uint8_t *)vectors[i].text, .n = n, .ad = ad};
		unhex(key, sizeof key, vectors[i].key);
		unhex(in.nonce, sizeof in.nonce, vectors[i].nonce);
		in.ad_len = unhex(ad, sizeof ad, vectors[i].ad);
		unhex(tag, sizeof tag, vectors[i].tag);
		size_t known = unhex(cipher, sizeof cipher, vectors[i].cipher);
		struct aead *a = aead_new(mem_system(), engine);
		ck_assert_int_eq(aead_seal(a, out, &in), 0);
		ck_assert_mem_eq(out, cipher, known);
		ck_assert_mem_eq(out + n, tag, AEAD_TAG);
		in.text = out;
		in.n = n + AEAD_TAG;
		ck_assert_int_eq(aead_open(a, back, &in), 0);
		ck_assert_mem_eq(back, vectors[i].text, n);
		aead_free(a);
	}
}
END_TEST

START_TEST(list_of_engines)
{
#ifdef HAVE_LIBCRYPTO
	ck_assert_int_eq(engines(), 2);
	ck_assert_str_eq(aead_engine_name(aead_engine(0)), "libcrypto");
	ck_assert_str_eq(aead_engine_name(aead_engine(1)), "libsodium");
#else
	ck_assert_int_eq(engines(), 1);
	ck_assert_str_eq(aead_engine_name(aead_engine(0)), "libsodium");
#endif
}
END_TEST

/* --- against libsodium's own call ------------------------------------------------------- */

static uint8_t text[ROOM], sealed[ROOM], want[ROOM], copy[ROOM];
static const uint8_t ad[300] = {1, 2, 3};
static uint8_t key[AEAD_KEY];

/* Apart and in place; sealed by the engine and opened by it. */
static void there_and_back(struct aead *a, size_t n, size_t ad_len, uint64_t number)
{
	struct aead_input in = {.key = key, .text = text, .n = n, .ad = ad, .ad_len = ad_len};
	memcpy(in.nonce + 3, &number, sizeof number);
	crypto_aead_chacha20poly1305_ietf_encrypt(
		want, NULL, text, n, ad, ad_len, NULL, in.nonce, key);
	memset(sealed, 0xaa, n + AEAD_TAG + 1);
	ck_assert_int_eq(aead_seal(a, sealed, &in), 0);
	ck_assert_mem_eq(sealed, want, n + AEAD_TAG);
	ck_assert_uint_eq(sealed[n + AEAD_TAG], 0xaa);

	memcpy(copy, text, n);
	in.text = copy;
	ck_assert_int_eq(aead_seal(a, copy, &in), 0);
	ck_assert_mem_eq(copy, want, n + AEAD_TAG);

	in.n = n + AEAD_TAG;
	ck_assert_int_eq(aead_open(a, copy, &in), 0);
	ck_assert(n == 0 || memcmp(copy, text, n) == 0);

	in.text = sealed;
	copy[n] = 0xbb;
	ck_assert_int_eq(aead_open(a, n > 0 ? copy : NULL, &in), 0);
	ck_assert(n == 0 || memcmp(copy, text, n) == 0);
	ck_assert_uint_eq(copy[n], 0xbb);
}

START_TEST(every_length)
{
	struct aead *a = aead_new(mem_system(), aead_engine((size_t)_i));
	uint64_t seed = 5;
	for (size_t n = 0; n < 900; n++)
		there_and_back(a, n, unit_below(&seed, sizeof ad) * (n % 3), unit_random(&seed));
	static const size_t great[] = {1023, 1024, 1025, 4096, 16384, 65519, 65536};
	for (size_t i = 0; i < sizeof great / sizeof great[0]; i++)
		there_and_back(a, great[i], 0, unit_random(&seed));
	aead_free(a);
}
END_TEST

START_TEST(another_key)
{
	struct aead *a = aead_new(mem_system(), aead_engine((size_t)_i));
	for (int i = 0; i < 20; i++) {
		there_and_back(a, 100, 0, (uint64_t)i);
		there_and_back(a, 2000, 0, (uint64_t)i);
		key[i] ^= 0x55;
	}
	there_and_back(a, 2000, 0, 0);
	aead_free(a);
}
END_TEST

/* A wrong byte leaves zeros, and the next right call is not disturbed. */
static void refused(struct aead *a, const struct aead_input *in)
{
	size_t n = in->n >= AEAD_TAG ? in->n - AEAD_TAG : 0;
	memset(copy, 0xcc, n + 1);
	ck_assert_int_eq(aead_open(a, copy, in), ERR_PROTOCOL);
	ck_assert(sodium_is_zero(copy, n));
	ck_assert_uint_eq(copy[n], 0xcc);
}

START_TEST(tampered)
{
	struct aead *a = aead_new(mem_system(), aead_engine((size_t)_i));
	/* On both sides of where libcrypto's engine leaves short texts to libsodium. */
	static const size_t lengths[] = {0, 1, 64, 65, 300, 767, 768, 769};
	for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
		size_t n = lengths[k];
		uint8_t own[8] = "context";
		struct aead_input in = {.key = key,
			.text = text,
			.n = n,
			.ad = own,
			.ad_len = sizeof own,
			.nonce = {1}};
		ck_assert_int_eq(aead_seal(a, sealed, &in), 0);
		in.text = sealed;
		for (in.n = 0; in.n < n + AEAD_TAG; in.n++)
			refused(a, &in);
		for (size_t bit = 0; bit < in.n * 8; bit++) {
			sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
			refused(a, &in);
			sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t i = 0; i < AEAD_NONCE; i++) {
			in.nonce[i] ^= 1;
			refused(a, &in);
			in.nonce[i] ^= 1;
		}
		for (size_t i = 0; i < sizeof own; i++) {
			own[i] ^= 1;
			refused(a, &in);
			own[i] ^= 1;
		}
		in.ad_len--;
		refused(a, &in);
		in.ad_len++;
		ck_assert_int_eq(aead_open(a, copy, &in), 0);
		there_and_back(a, n, 0, 7);
	}
	aead_free(a);
}
END_TEST

START_TEST(bounds)
{
	struct aead *a = aead_new(mem_system(), aead_engine((size_t)_i));
	struct aead_input in = {.key = key, .text = text, .n = (size_t)AEAD_TEXT_MAX + 1};
	ck_assert_int_eq(aead_seal(a, sealed, &in), ERR_LIMIT);
	in = (struct aead_input){
		.key = key, .text = text, .ad = ad, .ad_len = (size_t)AEAD_TEXT_MAX + 1};
	ck_assert_int_eq(aead_seal(a, sealed, &in), ERR_LIMIT);
	in.n = AEAD_TAG;
	ck_assert_int_eq(aead_open(a, copy, &in), ERR_LIMIT);
	aead_free(a);
	aead_free(NULL);
}
END_TEST

START_TEST(no_memory)
{
	struct unit_mem m;
	unit_mem_init(&m);
	m.fail_at = 1;
	ck_assert_ptr_null(aead_new(&m.mem, aead_engine((size_t)_i)));
	aead_free(aead_new(&m.mem, NULL));
	ck_assert_uint_eq(m.live, 0);
}
END_TEST

int main(void)
{
	if (aead_init() != 0)
		return 1;
	uint64_t seed = 3;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)unit_random(&seed);
	memcpy(key, text + 100, sizeof key);
	Suite *s = suite_create("aead");
	TCase *t = tcase_create("all");
	tcase_add_test(t, list_of_engines);
	tcase_add_loop_test(t, rfc_8439, 0, engines());
	tcase_add_loop_test(t, every_length, 0, engines());
	tcase_add_loop_test(t, another_key, 0, engines());
	tcase_add_loop_test(t, tampered, 0, engines());
	tcase_add_loop_test(t, bounds, 0, engines());
	tcase_add_loop_test(t, no_memory, 0, engines());
	suite_add_tcase(s, t);
	return unit_main(s);
}
