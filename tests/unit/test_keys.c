/*
 * Where keys are in memory: only where it is locked and left out of core files, and after
 * their end nowhere.  The whole process is searched (hunt.h) after each step: of records by
 * each engine, of the gate, and of a handshake of two nodes with the records behind it.
 */
#include "base/clock.h"
#include "base/err.h"
#include "bus/secure.h"
#include "crypto/gate.h"
#include "crypto/record.h"
#include "unit/child.h"
#include "unit/cluster.h"
#include "unit/hunt.h"
#include "unit/unit.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = {1, 64, 255, 256, 300, 767, 768, 769, 4096, 16384, 65519};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static uint8_t text[RECORD_PLAIN_MAX], sealed[RECORD_MAX], opened[RECORD_PLAIN_MAX];

/* The compiler is to believe that somebody looks at what is there. */
static void touch(void *p)
{
	__asm__ volatile("" ::"r"(p) : "memory");
}

/*
 * What is between these uses stack where neither the hunter's calls nor those of a check get.
 * A function with them is not inlined, and does nothing else.
 */
#define DEEPER                                                                                     \
	uint8_t gap[16384];                                                                        \
	touch(gap)
#define BACK touch(gap)
#define APART __attribute__((noinline))

static uint8_t *locked_key(void)
{
	uint8_t *key = sodium_malloc(HUNT_KEY);
	ck_assert_ptr_nonnull(key);
	randombytes_buf(key, HUNT_KEY);
	return key;
}

/* --- the hunter itself -------------------------------------------------------------------------
 */

START_TEST(hunter_finds)
{
	uint8_t *key = locked_key(), *heap = calloc(1, 200), here[HUNT_KEY];
	struct hunt h = hunt_for("a key", key);
	hunt_wipe_own();
	hunt_expect(&h, 1);
	memcpy(heap + 33, key, HUNT_KEY);
	touch(heap);
	ck_assert_uint_eq(hunt(&h).loose, 2); /* both halves */
	memset(heap, 0, 200);
	memcpy(heap + 50, key + HUNT_KEY / 2, HUNT_KEY / 2);
	touch(heap);
	ck_assert_uint_eq(hunt(&h).loose, 1);
	ck_assert_ptr_nonnull(strstr(hunt(&h).where, "heap"));
	memset(heap, 0, 200);
	for (int i = 0; i < 4; i++)
		memcpy(heap + 100 + 4 * i, key + 12, 4);
	touch(heap);
	ck_assert_uint_eq(hunt(&h).loose, 1);
	memset(heap, 0, 200);
	memcpy(here, key, HUNT_KEY);
	touch(here);
	ck_assert_uint_ge(hunt(&h).loose, 2);
	ck_assert_ptr_nonnull(strstr(hunt(&h).where, "stack"));
	sodium_memzero(here, sizeof here);
	hunt_wipe_own();
	sodium_free(key);
	hunt_expect(&h, 0);
	free(heap);
}
END_TEST

/* --- one call ----------------------------------------------------------------------------------
 */

static APART int seal_deeper(struct aead *a, const struct aead_input *in)
{
	DEEPER;
	int rc = aead_seal(a, sealed, in);
	BACK;
	return rc;
}

static APART int open_deeper(struct aead *a, const struct aead_input *in)
{
	DEEPER;
	int rc = aead_open(a, opened, in);
	BACK;
	return rc;
}

/* Nothing of a key stays in an engine's context or on the stack, whatever became of the call. */
START_TEST(engine)
{
	struct aead *a = aead_new(mem_system(), aead_engine((size_t)_i));
	uint8_t *key = locked_key();
	struct hunt h = hunt_for("the key of a call", key);
	hunt_wipe_own();
	for (size_t i = 0; i < SIZES; i++) {
		struct aead_input in = {.key = key, .text = text, .n = sizes[i]};
		ck_assert_int_eq(seal_deeper(a, &in), 0);
		hunt_expect(&h, 1);
		in.text = sealed;
		in.n += AEAD_TAG;
		ck_assert_int_eq(open_deeper(a, &in), 0);
		hunt_expect(&h, 1);
		sealed[0] ^= 1;
		ck_assert_int_eq(open_deeper(a, &in), ERR_PROTOCOL);
		hunt_expect(&h, 1);
	}
	sodium_free(key);
	hunt_expect(&h, 0);
	aead_free(a);
	hunt_expect(&h, 0);
}
END_TEST

static int engines(void)
{
	int n = 0;
	while (aead_engine((size_t)n) != NULL)
		n++;
	return n;
}

static APART void derive_deeper(const uint8_t *secret, uint8_t *mac, uint8_t *psk)
{
	DEEPER;
	gate_derive(secret, mac, psk);
	BACK;
}

static APART void stamp_deeper(uint8_t *message, const uint8_t *mac)
{
	DEEPER;
	gate_stamp(message, mac, 1);
	BACK;
}

static APART int check_deeper(struct gate *g, const uint8_t *mac, const uint8_t *message)
{
	DEEPER;
	int rc = gate_check(g, mac, message, 1);
	BACK;
	return rc;
}

START_TEST(at_the_gate)
{
	uint8_t *key[] = {locked_key(), sodium_malloc(GATE_KEY), sodium_malloc(GATE_KEY)};
	struct gate *g = gate_new(&(struct gate_setup){.mem = mem_system()});
	gate_derive(key[0], key[1], key[2]);
	struct hunt of[] = {hunt_for("the network secret", key[0]),
		hunt_for("the MAC's key", key[1]), hunt_for("the psk", key[2])};
	hunt_wipe_own();
	uint8_t message[GATE_MESSAGE] = {1};
	for (int step = 0; step < 3; step++) {
		if (step == 0)
			derive_deeper(key[0], key[1], key[2]);
		else if (step == 1)
			stamp_deeper(message, key[1]);
		else
			ck_assert_int_eq(check_deeper(g, key[1], message), 0);
		for (int i = 0; i < 3; i++)
			hunt_expect(&of[i], 1);
	}
	gate_free(g);
	for (int i = 0; i < 3; i++) {
		sodium_free(key[i]);
		hunt_expect(&of[i], 0);
	}
}
END_TEST

/* A file's text and the key made of it. */
static APART int parse_deeper(struct keyfile_node *node, const char *file, size_t n)
{
	DEEPER;
	char why[WHY_MAX];
	struct keyfile_text in = {.name = "node.key", .text = file, .n = n};
	int rc = keyfile_parse_node(node, &in, why);
	BACK;
	return rc;
}

START_TEST(of_a_file)
{
	uint8_t *key = locked_key();
	struct keyfile_node *node = sodium_malloc(sizeof *node);
	char *file = sodium_malloc(KEYFILE_FORMAT_MAX);
	keyfile_make_node(node, key);
	size_t n = keyfile_format_node(file, node);
	struct hunt h = hunt_for("the key of a file", key);
	hunt_wipe_own();
	ck_assert_int_eq(parse_deeper(node, file, n), 0);
	hunt_expect(&h, 2);
	sodium_free(key);
	sodium_free(node);
	sodium_free(file);
	hunt_expect(&h, 0);
}
END_TEST

/* --- records -----------------------------------------------------------------------------------
 */

/* What the key becomes: cloudbus-protocol(7), Rekey. */
static void next_key(uint8_t *next, const uint8_t *key)
{
	static const uint8_t zeros[HUNT_KEY];
	uint8_t nonce[AEAD_NONCE], tag[AEAD_TAG];
	memset(nonce, 0, 4);
	memset(nonce + 4, 0xff, 8);
	crypto_aead_chacha20poly1305_ietf_encrypt_detached(
		next, tag, NULL, zeros, sizeof zeros, NULL, 0, NULL, nonce, key);
}

static APART int seal_record(struct record *tx, size_t n)
{
	DEEPER;
	int rc = record_seal(tx, sealed, text, n);
	BACK;
	return rc;
}

static APART int open_record(struct record *rx, size_t n)
{
	DEEPER;
	int rc = record_open(rx, opened, sealed + RECORD_LENGTH, n + RECORD_TAG);
	BACK;
	return rc;
}

static void pass(struct record *tx, struct record *rx, size_t n)
{
	ck_assert_int_eq(seal_record(tx, n), n + RECORD_OVERHEAD);
	ck_assert_int_eq(open_record(rx, n), n);
}

START_TEST(records)
{
	struct record_kit kit;
	ck_assert_int_eq(record_kit_init(&kit, mem_system()), 0);
	uint8_t *key = locked_key(), *next = sodium_malloc(HUNT_KEY);
	next_key(next, key);
	struct hunt before = hunt_for("the key before the rekey", key),
		    after = hunt_for("the key behind it", next);
	struct record *tx = record_new_at(&kit, key, RECORD_REKEY - SIZES),
		      *rx = record_new_at(&kit, key, RECORD_REKEY - SIZES);
	sodium_free(key);
	sodium_free(next);
	hunt_wipe_own();
	hunt_expect(&before, 2);
	for (size_t i = 0; i + 1 < SIZES; i++) {
		pass(tx, rx, sizes[i]);
		hunt_expect(&before, 2);
		hunt_expect(&after, 0);
	}
	pass(tx, rx, 2000);
	hunt_expect(&before, 0);
	hunt_expect(&after, 2);
	for (size_t i = 0; i < SIZES; i++) {
		pass(tx, rx, sizes[i]);
		hunt_expect(&after, 2);
	}
	sealed[RECORD_LENGTH] ^= 1;
	ck_assert_int_eq(record_open(rx, opened, sealed + RECORD_LENGTH, 100), ERR_PROTOCOL);
	hunt_expect(&after, 2);
	record_free(tx);
	hunt_expect(&after, 1);
	record_free(rx);
	hunt_expect(&before, 0);
	hunt_expect(&after, 0);
	record_kit_fini(&kit);
	hunt_expect(&after, 0);
}
END_TEST

/* --- a whole connection ------------------------------------------------------------------------
 */

/* What the libraries were asked for, under the mask, while `watching`. */
enum { DRAWN = 16, SHARED = 32, SPLIT = 4 };
static bool watching;
static struct hunt drawn[DRAWN], shared[SHARED], split[SPLIT];
static size_t n_drawn, n_shared, n_split;

void __real_randombytes_buf(void *p, size_t n);
void __wrap_randombytes_buf(void *p, size_t n);
int __real_crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p);
int __wrap_crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p);
int __real_noise_split(const struct noise *n, uint8_t *tx, uint8_t *rx);
int __wrap_noise_split(const struct noise *n, uint8_t *tx, uint8_t *rx);

void __wrap_randombytes_buf(void *p, size_t n)
{
	__real_randombytes_buf(p, n);
	if (watching && n == HUNT_KEY && n_drawn < DRAWN)
		drawn[n_drawn++] = hunt_for("an ephemeral key", p);
}

int __wrap_crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p)
{
	int rc = __real_crypto_scalarmult(q, n, p);
	if (watching && rc == 0 && n_shared < SHARED)
		shared[n_shared++] = hunt_for("a shared secret", q);
	return rc;
}

int __wrap_noise_split(const struct noise *n, uint8_t *tx, uint8_t *rx)
{
	int rc = __real_noise_split(n, tx, rx);
	if (watching && rc == 0 && n_split + 2 <= SPLIT) {
		split[n_split++] = hunt_for("the key of a record, sending", tx);
		split[n_split++] = hunt_for("the key of a record, receiving", rx);
	}
	return rc;
}

enum { D, A };
static struct cluster cluster;
static struct keyring ring[2];
static struct secure *end[2];
static struct hunt own[2], psk, mac, network;

static void prepare_end(int i)
{
	static const struct cluster_node nodes[] = {
		{.name = "ctl", .role = TOKEN_CONTROLLER}, {.name = "seg", .role = TOKEN_SEGMENT}};
	char why[WHY_MAX];
	cluster_add(&cluster, &nodes[i]);
	struct credentials_source source =
		cluster_source(&cluster, nodes[i].name, nodes[i].role, mem_system());
	ck_assert_msg(keyring_init(&ring[i], &source, why) == 0, "%s", why);
	own[i] = hunt_for(i == D ? "the dialler's key" : "the acceptor's key",
		ring[i].now->credentials->identity.secret);
}

/* Two keyrings of files; and the test forgets what it has written to them. */
static void prepare(void)
{
	cluster_init(&cluster);
	prepare_end(D);
	prepare_end(A);
	psk = hunt_for("the psk", ring[D].now->psk[0]);
	mac = hunt_for("the MAC's key", ring[D].now->mac_key[0]);
	network = hunt_for("the network secret", ring[D].now->credentials->trust.network[0]);
	sodium_memzero(&cluster.trust, sizeof cluster.trust);
	sodium_memzero(&cluster.key, sizeof cluster.key);
	hunt_wipe_own();
}

static void expect_own(size_t talking)
{
	size_t talks[2] = {talking > 0, talking > 1};
	for (int i = 0; i < 2; i++)
		hunt_expect(&own[i], 1 + talks[i]);
	hunt_expect(&psk, 2 + talking);
	hunt_expect(&mac, 2);
	hunt_expect(&network, 2);
}

static APART int new_deeper(struct secure **out, const struct secure_setup *s, char *why)
{
	DEEPER;
	int rc = secure_new(out, s, why);
	BACK;
	return rc;
}

static APART int take_deeper(struct secure *s, const uint8_t *p, size_t n, char *why)
{
	DEEPER;
	int rc = secure_take(s, p, n, clock_wall(), why);
	BACK;
	return rc;
}

static void begin(void)
{
	char why[WHY_MAX];
	for (int i = 0; i < 2; i++) {
		struct secure_setup s = {.mem = mem_system(),
			.keyring = &ring[i],
			.side = i == D ? NOISE_INITIATOR : NOISE_RESPONDER,
			.peer = i == D ? TOKEN_SEGMENT : TOKEN_CONTROLLER,
			.wall = clock_wall()};
		ck_assert_msg(new_deeper(&end[i], &s, why) == 0, "%s", why);
	}
}

/* What `from` has to say; all of it is sent and taken. */
static void carry(int from)
{
	static uint8_t message[8192];
	char why[WHY_MAX];
	size_t n;
	const uint8_t *p = secure_output(end[from], &n);
	ck_assert(p != NULL && n <= sizeof message);
	memcpy(message, p, n);
	secure_sent(end[from], n);
	for (size_t at = 0, wants; at < n; at += wants) {
		wants = secure_wants(end[1 - from]);
		ck_assert(wants > 0 && at + wants <= n);
		ck_assert_msg(take_deeper(end[1 - from], message + at, wants, why) == 0, "%s", why);
	}
}

/* Nowhere but in locked memory; where its owner is gone, nowhere at all. */
static void expect_all(const struct hunt *h, size_t n, bool gone)
{
	for (size_t i = 0; i < n; i++) {
		struct hunt_found f = hunt(&h[i]);
		hunt_expect(&h[i], gone ? 0 : f.kept);
	}
}

static void expect_records(size_t kept)
{
	for (size_t i = 0; i < n_split; i++)
		hunt_expect(&split[i], kept);
}

static void exchange(int from, size_t n)
{
	struct secure_plain plain;
	ck_assert_int_eq(secure_seal(end[from], sealed, text, n, RECORD_PLAIN_MAX), 0);
	ck_assert_int_eq(secure_open(end[1 - from], opened, sealed, n + RECORD_OVERHEAD, &plain),
		n + RECORD_OVERHEAD);
}

START_TEST(connection)
{
	prepare();
	expect_own(0);
	watching = true;
	begin();
	expect_all(drawn, n_drawn, false);
	expect_own(1);
	for (int message = 0; message < 3; message++) {
		carry(message % 2);
		expect_all(drawn, n_drawn, message == 2);
		expect_all(shared, n_shared, true);
		expect_own(message == 2 ? 0 : 2);
	}
	watching = false;
	ck_assert(secure_is_done(end[D]) && secure_is_done(end[A]));
	ck_assert_uint_eq(n_drawn, 2);
	ck_assert_uint_ge(n_shared, 6);
	ck_assert_uint_eq(n_split, 4);
	expect_records(2);
	for (size_t i = 0; i < SIZES; i++) {
		exchange((int)(i % 2), sizes[i]);
		expect_records(2);
	}
	secure_free(end[D]);
	expect_records(1);
	secure_free(end[A]);
	expect_records(0);
	expect_own(0);
	keyring_fini(&ring[D]);
	keyring_fini(&ring[A]);
	for (int i = 0; i < 2; i++)
		hunt_expect(&own[i], 0);
	hunt_expect(&psk, 0);
	hunt_expect(&mac, 0);
	hunt_expect(&network, 0);
	cluster_fini(&cluster);
}
END_TEST

int main(void)
{
	if (token_prepare() != 0 || aead_init() != 0)
		return 1;
	if (!hunt_possible())
		return child_skip("its memory holds that of a sanitizer or of valgrind too");
	Suite *s = suite_create("keys");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, hunter_finds);
	tcase_add_loop_test(t, engine, 0, engines());
	tcase_add_test(t, at_the_gate);
	tcase_add_test(t, of_a_file);
	tcase_add_test(t, records);
	tcase_add_test(t, connection);
	suite_add_tcase(s, t);
	return unit_main(s);
}
