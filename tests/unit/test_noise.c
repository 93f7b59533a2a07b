/* A handshake that somebody tampers with: nothing passes, and nothing is disturbed. */
#include "base/err.h"
#include "crypto/aead.h"
#include "crypto/noise.h"
#include "crypto/suite.h"
#include "unit/unit.h"

#include <sodium.h>
#include <string.h>

enum { ROOM = NOISE_MESSAGE_MAX + 64, MESSAGES = 3 };

static const char *const payloads[MESSAGES] = {"", "the acceptor's token", "the dialler's"};

struct message {
	uint8_t p[256];
	size_t n;
};

/* Both sides of a handshake of the suite, with keys of their own. */
struct pair {
	struct noise side[2];
	uint8_t secret[2][NOISE_KEY], public[2][NOISE_KEY], psk[NOISE_KEY];
};

static void start_side(struct pair *p, int side, const uint8_t *psk, const char *prologue)
{
	struct noise_setup setup = {.pattern = SUITE_PATTERN,
		.side = side,
		.prologue = prologue,
		.prologue_len = SUITE_PROLOGUE_LEN,
		.psk = psk,
		.static_secret = p->secret[side],
		.static_public = p->public[side]};
	ck_assert_int_eq(noise_start(&p->side[side], &setup), 0);
}

static void start_pair(struct pair *p)
{
	randombytes_buf(p->psk, sizeof p->psk);
	for (int i = 0; i < 2; i++) {
		randombytes_buf(p->secret[i], NOISE_KEY);
		crypto_scalarmult_base(p->public[i], p -> secret[i]);
		start_side(p, i, p->psk, SUITE_PROLOGUE);
	}
}

static struct noise *sender(struct pair *p, int i)
{
	return &p->side[i % 2];
}

static struct noise *receiver(struct pair *p, int i)
{
	return &p->side[1 - i % 2];
}

static void create(struct pair *p, int i, struct message *m)
{
	ck_assert_int_eq(noise_create(sender(p, i), (const uint8_t *)payloads[i],
				 strlen(payloads[i]), m->p, sizeof m->p, &m->n),
		0);
}

static void consume(struct pair *p, int i, const struct message *m)
{
	uint8_t out[256];
	size_t n;
	ck_assert_int_eq(noise_consume(receiver(p, i), m->p, m->n, out, sizeof out, &n), 0);
	ck_assert_uint_eq(n, strlen(payloads[i]));
	ck_assert_mem_eq(out, payloads[i], n);
}

/* A pair in front of message i, which is made and not yet taken. */
static void advance_to(struct pair *p, int i, struct message *m)
{
	start_pair(p);
	for (int before = 0; before < i; before++) {
		create(p, before, m);
		consume(p, before, m);
	}
	create(p, i, m);
}

/* The bytes are refused; neither the state nor the buffer show that they ever came. */
static void refused(struct noise *n, const uint8_t *p, size_t len, int want)
{
	static uint8_t out[ROOM];
	struct noise before = *n;
	size_t got = 77;
	memset(out, 0, sizeof out);
	/* A copy of its own size, so that a sanitizer sees a byte too far. */
	uint8_t *copy = malloc(len > 0 ? len : 1);
	ck_assert_ptr_nonnull(copy);
	memcpy(copy, p, len);
	ck_assert_int_eq(noise_consume(n, copy, len, out, sizeof out, &got), want);
	free(copy);
	ck_assert_uint_eq(got, 0);
	ck_assert_mem_eq(n, &before, sizeof before);
	ck_assert(sodium_is_zero(out, sizeof out));
}

static void finished(struct pair *p)
{
	uint8_t key[2][2][NOISE_KEY];
	for (int i = 0; i < 2; i++) {
		ck_assert(noise_done(&p->side[i]) && !noise_sends(&p->side[i]));
		ck_assert_mem_eq(noise_peer(&p->side[i]), p->public[1 - i], NOISE_KEY);
		ck_assert_int_eq(noise_split(&p->side[i], key[i][0], key[i][1]), 0);
	}
	ck_assert_mem_eq(noise_hash(&p->side[0]), noise_hash(&p->side[1]), NOISE_HASH);
	ck_assert_mem_eq(key[0][0], key[1][1], NOISE_KEY);
	ck_assert_mem_eq(key[0][1], key[1][0], NOISE_KEY);
}

/* The genuine message i is taken after all, and the handshake ends well. */
static void goes_on(struct pair *p, int i, const struct message *m)
{
	struct message next;
	consume(p, i, m);
	while (++i < MESSAGES) {
		create(p, i, &next);
		consume(p, i, &next);
	}
	finished(p);
}

START_TEST(flipped)
{
	struct pair p;
	struct message m;
	advance_to(&p, _i, &m);
	for (size_t bit = 0; bit < m.n * 8; bit++) {
		m.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		refused(receiver(&p, _i), m.p, m.n, ERR_PROTOCOL);
		m.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	goes_on(&p, _i, &m);
}
END_TEST

START_TEST(truncated_and_extended)
{
	static uint8_t longer[NOISE_MESSAGE_MAX + 1];
	struct pair p;
	struct message m;
	advance_to(&p, _i, &m);
	memcpy(longer, m.p, m.n);
	for (size_t n = 0; n < m.n + 100; n++) {
		if (n != m.n)
			refused(receiver(&p, _i), longer, n, ERR_PROTOCOL);
	}
	refused(receiver(&p, _i), longer, NOISE_MESSAGE_MAX, ERR_PROTOCOL);
	refused(receiver(&p, _i), longer, NOISE_MESSAGE_MAX + 1, ERR_PROTOCOL);
	goes_on(&p, _i, &m);
}
END_TEST

/* A message is good for its own place in its own handshake. */
START_TEST(replayed_and_out_of_order)
{
	struct pair p, old;
	struct message m[MESSAGES], o[MESSAGES], junk;
	for (int i = 0; i < MESSAGES; i++) {
		/* The same keys and psk, an earlier run. */
		if (i == 0) {
			start_pair(&old);
			p = old;
			start_side(&p, 0, p.psk, SUITE_PROLOGUE);
			start_side(&p, 1, p.psk, SUITE_PROLOGUE);
		}
		create(&old, i, &o[i]);
		consume(&old, i, &o[i]);
	}
	for (int i = 0; i < MESSAGES; i++) {
		struct noise before = *receiver(&p, i);
		ck_assert_int_eq(
			noise_create(receiver(&p, i), NULL, 0, junk.p, sizeof junk.p, &junk.n),
			ERR_INVALID);
		ck_assert_mem_eq(receiver(&p, i), &before, sizeof before);
		create(&p, i, &m[i]);
		refused(sender(&p, i), m[i].p, m[i].n,
			i < MESSAGES - 1 ? ERR_PROTOCOL : ERR_INVALID);
		for (int other = 0; other < MESSAGES; other++) {
			if (other < i)
				refused(receiver(&p, i), m[other].p, m[other].n, ERR_PROTOCOL);
			/* The first message of a run is as good as ever: hence the gate. */
			if (other > 0 || i > 0)
				refused(receiver(&p, i), o[other].p, o[other].n, ERR_PROTOCOL);
		}
		consume(&p, i, &m[i]);
		refused(receiver(&p, i), m[i].p, m[i].n, ERR_INVALID);
	}
	finished(&p);
}
END_TEST

/* The psk comes last: what a wrong one makes wrong is the tag of message 3. */
START_TEST(wrong_psk)
{
	struct pair p;
	struct message m;
	uint8_t other[NOISE_KEY];
	start_pair(&p);
	memcpy(other, p.psk, sizeof other);
	other[31] ^= 1;
	start_side(&p, 0, other, SUITE_PROLOGUE);
	for (int i = 0; i < MESSAGES - 1; i++) {
		create(&p, i, &m);
		consume(&p, i, &m);
	}
	create(&p, 2, &m);
	refused(receiver(&p, 2), m.p, m.n, ERR_PROTOCOL);
	ck_assert(!noise_done(receiver(&p, 2)));
}
END_TEST

START_TEST(wrong_prologue)
{
	struct pair p;
	struct message m;
	start_pair(&p);
	start_side(&p, 0, p.psk, "cloudbus\0\2");
	create(&p, 0, &m);
	refused(receiver(&p, 0), m.p, m.n, ERR_PROTOCOL);
}
END_TEST

/* --- keys ------------------------------------------------------------------------------- */

/* What each pattern needs: a static key of each side, the responder's known before, a psk. */
static const struct {
	bool stat[2], known, psk;
} needs[NOISE_PATTERNS] = {
	[NOISE_NN] = {{false, false}, false, false},
	[NOISE_X] = {{true, true}, true, false},
	[NOISE_XK] = {{true, true}, true, false},
	[NOISE_XX] = {{true, true}, false, false},
	[NOISE_IK] = {{true, true}, true, false},
	[NOISE_XXPSK3] = {{true, true}, false, true},
	[NOISE_IKPSK2] = {{true, true}, true, true},
};

START_TEST(keys_that_do_not_fit)
{
	static const uint8_t key[NOISE_KEY] = {9};
	for (int i = 0; i < 2 * 16; i++) {
		struct noise n;
		bool psk = i & 1, stat = i & 2, public = i & 4, remote = i & 8;
		int side = i >> 4;
		struct noise_setup setup = {.pattern = (enum noise_pattern)_i,
			.side = side,
			.psk = psk ? key : NULL,
			.static_secret = stat ? key : NULL,
			.static_public = public ? key : NULL,
			.remote_static = remote ? key : NULL};
		bool fit = psk == needs[_i].psk && stat == needs[_i].stat[side] &&
			   (stat || !public) &&
			   remote == (needs[_i].known && side == NOISE_INITIATOR);
		ck_assert_int_eq(noise_start(&n, &setup), fit ? 0 : ERR_INVALID);
		ck_assert_int_eq(sodium_is_zero((const uint8_t *)&n, sizeof n), !fit);
	}
}
END_TEST

/* The points of order 1, 2, 4 and 8, and p, p + 1 as other writings of the first two. */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};
enum { LOW_ORDER = sizeof low_order / sizeof low_order[0] };

static void point(uint8_t out[NOISE_KEY], int i)
{
	sodium_hex2bin(out, NOISE_KEY, low_order[i / 2], 64, NULL, NULL, NULL);
	if (i % 2 == 1)
		out[31] |= 0x80; /* the bit that X25519 does not look at */
}

START_TEST(low_order_ephemeral)
{
	struct noise n, before;
	uint8_t bad[NOISE_KEY], out[256];
	size_t len;
	struct noise_setup setup = {.pattern = NOISE_NN, .side = NOISE_RESPONDER};
	point(bad, _i);
	ck_assert_int_eq(noise_start(&n, &setup), 0);
	ck_assert_int_eq(noise_consume(&n, bad, sizeof bad, out, sizeof out, &len), 0);
	before = n;
	ck_assert_int_eq(noise_create(&n, NULL, 0, out, sizeof out, &len), ERR_PROTOCOL);
	ck_assert_uint_eq(len, 0);
	ck_assert_mem_eq(&n, &before, sizeof n);

	uint8_t message[NOISE_KEY + NOISE_TAG] = {0};
	setup.side = NOISE_INITIATOR;
	memcpy(message, bad, sizeof bad);
	ck_assert_int_eq(noise_start(&n, &setup), 0);
	ck_assert_int_eq(noise_create(&n, NULL, 0, out, sizeof out, &len), 0);
	refused(&n, message, sizeof message, ERR_PROTOCOL);
}
END_TEST

START_TEST(low_order_static)
{
	struct pair p;
	struct noise n, before;
	struct message m;
	uint8_t bad[NOISE_KEY];
	point(bad, _i);
	/* Sent in message 2 or 3, under tags that are right. */
	for (int side = 0; side < 2; side++) {
		int i = side == NOISE_INITIATOR ? 2 : 1;
		start_pair(&p);
		memcpy(p.public[side], bad, sizeof bad);
		start_side(&p, side, p.psk, SUITE_PROLOGUE);
		for (int k = 0; k < i; k++) {
			create(&p, k, &m);
			consume(&p, k, &m);
		}
		create(&p, i, &m);
		refused(receiver(&p, i), m.p, m.n, ERR_PROTOCOL);
		ck_assert_ptr_null(noise_peer(receiver(&p, i)));
	}
	/* Known before. */
	struct noise_setup setup = {
		.pattern = NOISE_XK, .static_secret = p.secret[0], .remote_static = bad};
	ck_assert_int_eq(noise_start(&n, &setup), 0);
	before = n;
	ck_assert_int_eq(noise_create(&n, NULL, 0, m.p, sizeof m.p, &m.n), ERR_PROTOCOL);
	ck_assert_mem_eq(&n, &before, sizeof n);
}
END_TEST

START_TEST(fresh_ephemeral_each_time)
{
	struct pair p;
	struct message m[2];
	start_pair(&p);
	for (int i = 0; i < 2; i++) {
		start_side(&p, 0, p.psk, SUITE_PROLOGUE);
		create(&p, 0, &m[i]);
	}
	ck_assert_mem_ne(m[0].p, m[1].p, NOISE_KEY);
}
END_TEST

START_TEST(public_key_is_computed)
{
	struct pair p, q;
	start_pair(&p);
	q = p;
	struct noise_setup setup = {.pattern = SUITE_PATTERN,
		.psk = p.psk,
		.prologue = SUITE_PROLOGUE,
		.prologue_len = SUITE_PROLOGUE_LEN,
		.static_secret = p.secret[0]};
	ck_assert_int_eq(noise_start(&p.side[0], &setup), 0);
	for (int i = 0; i < MESSAGES; i++) {
		struct message m;
		create(&p, i, &m);
		consume(&p, i, &m);
	}
	ck_assert_mem_eq(noise_peer(&p.side[1]), q.public[0], NOISE_KEY);
}
END_TEST

/* --- sizes ------------------------------------------------------------------------------ */

START_TEST(sizes_of_the_suite)
{
	static const size_t overhead[MESSAGES] = {GATE_NOISE, SUITE_OVERHEAD_2, SUITE_OVERHEAD_3};
	struct pair p;
	struct message m;
	start_pair(&p);
	for (int i = 0; i < MESSAGES; i++) {
		ck_assert_uint_eq(noise_overhead(&p.side[0]), overhead[i]);
		ck_assert_uint_eq(noise_overhead(&p.side[1]), overhead[i]);
		create(&p, i, &m);
		ck_assert_uint_eq(m.n, overhead[i] + strlen(payloads[i]));
		consume(&p, i, &m);
	}
	ck_assert_uint_eq(sizeof SUITE_PROLOGUE - 1, SUITE_PROLOGUE_LEN);
	ck_assert_uint_eq(SUITE_PROLOGUE[8], SUITE_VERSION >> 8);
	ck_assert_uint_eq(SUITE_PROLOGUE[9], SUITE_VERSION);
	ck_assert_mem_eq(SUITE_PROLOGUE, "cloudbus", 8);
}
END_TEST

START_TEST(room)
{
	static uint8_t big[NOISE_MESSAGE_MAX], out[ROOM], back[ROOM];
	struct pair p;
	struct message m;
	size_t n = 5;
	start_pair(&p);
	create(&p, 0, &m);
	consume(&p, 0, &m);
	struct noise before = p.side[1];
	size_t most = NOISE_MESSAGE_MAX - SUITE_OVERHEAD_2;
	ck_assert_int_eq(noise_create(&p.side[1], big, most + 1, out, ROOM, &n), ERR_LIMIT);
	ck_assert_int_eq(noise_create(&p.side[1], big, SIZE_MAX, out, ROOM, &n), ERR_LIMIT);
	ck_assert_int_eq(
		noise_create(&p.side[1], big, most, out, NOISE_MESSAGE_MAX - 1, &n), ERR_LIMIT);
	ck_assert_int_eq(noise_create(&p.side[1], NULL, 0, out, 0, &n), ERR_LIMIT);
	ck_assert_uint_eq(n, 0);
	ck_assert_mem_eq(&p.side[1], &before, sizeof before);
	ck_assert_int_eq(noise_create(&p.side[1], big, most, out, NOISE_MESSAGE_MAX, &n), 0);
	ck_assert_uint_eq(n, NOISE_MESSAGE_MAX);

	before = p.side[0];
	size_t got = 5;
	ck_assert_int_eq(noise_consume(&p.side[0], out, n, back, most - 1, &got), ERR_LIMIT);
	ck_assert_uint_eq(got, 0);
	ck_assert_mem_eq(&p.side[0], &before, sizeof before);
	ck_assert_int_eq(noise_consume(&p.side[0], out, n, back, most, &got), 0);
	ck_assert_uint_eq(got, most);
}
END_TEST

START_TEST(before_and_after)
{
	struct pair p;
	struct message m;
	uint8_t keys[2][NOISE_KEY];
	advance_to(&p, 2, &m);
	ck_assert_int_eq(noise_split(&p.side[1], keys[0], keys[1]), ERR_INVALID);
	ck_assert_ptr_null(noise_peer(&p.side[1]));
	goes_on(&p, 2, &m);
	for (int i = 0; i < 2; i++) {
		size_t n;
		ck_assert_int_eq(
			noise_create(&p.side[i], NULL, 0, m.p, sizeof m.p, &n), ERR_INVALID);
		refused(&p.side[i], m.p, m.n, ERR_INVALID);
		noise_wipe(&p.side[i]);
		ck_assert(sodium_is_zero((const uint8_t *)&p.side[i], sizeof p.side[i]));
	}
}
END_TEST

int main(void)
{
	if (aead_init() != 0)
		return 1;
	Suite *s = suite_create("noise");
	TCase *t = tcase_create("all");
	tcase_add_loop_test(t, flipped, 0, MESSAGES);
	tcase_add_loop_test(t, truncated_and_extended, 0, MESSAGES);
	tcase_add_test(t, replayed_and_out_of_order);
	tcase_add_test(t, wrong_psk);
	tcase_add_test(t, wrong_prologue);
	tcase_add_loop_test(t, keys_that_do_not_fit, 0, NOISE_PATTERNS);
	tcase_add_loop_test(t, low_order_ephemeral, 0, 2 * LOW_ORDER);
	tcase_add_loop_test(t, low_order_static, 0, 2 * LOW_ORDER);
	tcase_add_test(t, fresh_ephemeral_each_time);
	tcase_add_test(t, public_key_is_computed);
	tcase_add_test(t, sizes_of_the_suite);
	tcase_add_test(t, room);
	tcase_add_test(t, before_and_after);
	suite_add_tcase(s, t);
	return unit_main(s);
}
