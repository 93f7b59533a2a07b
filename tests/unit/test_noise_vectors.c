/*
 * The public test vectors of the Noise patterns: every handshake message, the handshake
 * hash, and the transport messages, which are records without their length.
 */
#include "crypto/aead.h"
#include "crypto/noise.h"
#include "crypto/record.h"
#include "unit/unit.h"

#include <jansson.h>
#include <sodium.h>
#include <string.h>

enum { ROOM = 1024 };

static const char *const names[NOISE_PATTERNS] = {[NOISE_NN] = "NN",
	[NOISE_X] = "X",
	[NOISE_XK] = "XK",
	[NOISE_XX] = "XX",
	[NOISE_IK] = "IK",
	[NOISE_XXPSK3] = "XXpsk3",
	[NOISE_IKPSK2] = "IKpsk2"};

static json_t *file;

struct bytes {
	uint8_t p[ROOM];
	size_t n;
};

static struct bytes hex(json_t *v)
{
	struct bytes b;
	const char *text = json_string_value(v);
	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(sodium_hex2bin(b.p, sizeof b.p, text, strlen(text), NULL, &b.n, NULL), 0);
	return b;
}

static json_t *vector_of(enum noise_pattern pattern)
{
	char name[64];
	size_t i;
	json_t *v;
	snprintf(name, sizeof name, "Noise_%s_25519_ChaChaPoly_BLAKE2b", names[pattern]);
	json_array_foreach(json_object_get(file, "vectors"), i, v)
	{
		if (strcmp(json_string_value(json_object_get(v, "protocol_name")), name) == 0)
			return v;
	}
	ck_abort_msg("no vector of %s", name);
}

/* The value of "init_KEY" or "resp_KEY", NULL where the vector has none. */
static const uint8_t *key(json_t *v, enum noise_side side, const char *name, struct bytes *b)
{
	char full[64];
	snprintf(full, sizeof full, "%s_%s", side == NOISE_INITIATOR ? "init" : "resp", name);
	json_t *text = json_object_get(v, full);
	if (json_is_array(text))
		text = json_array_get(text, 0);
	if (text == NULL)
		return NULL;
	*b = hex(text);
	ck_assert_uint_eq(b->n, NOISE_KEY);
	return b->p;
}

static void start(struct noise *n, json_t *v, enum noise_pattern pattern, enum noise_side side)
{
	struct bytes psk, secret, remote, ephemeral, prologue;
	prologue = hex(
		json_object_get(v, side == NOISE_INITIATOR ? "init_prologue" : "resp_prologue"));
	struct noise_setup setup = {.pattern = pattern,
		.side = side,
		.prologue = prologue.p,
		.prologue_len = prologue.n,
		.psk = key(v, side, "psks", &psk),
		.static_secret = key(v, side, "static", &secret),
		.remote_static = key(v, side, "remote_static", &remote),
		.ephemeral = key(v, side, "ephemeral", &ephemeral)};
	ck_assert_int_eq(noise_start(n, &setup), 0);
}

static void handshake_message(struct noise *from, struct noise *to, json_t *message)
{
	struct bytes payload = hex(json_object_get(message, "payload"));
	struct bytes want = hex(json_object_get(message, "ciphertext")), got;
	ck_assert(noise_sends(from) && !noise_sends(to));
	ck_assert_uint_eq(noise_overhead(from), want.n - payload.n);
	ck_assert_uint_eq(noise_overhead(to), want.n - payload.n);
	ck_assert_int_eq(noise_create(from, payload.p, payload.n, got.p, ROOM, &got.n), 0);
	ck_assert_uint_eq(got.n, want.n);
	ck_assert_mem_eq(got.p, want.p, want.n);
	ck_assert_int_eq(noise_consume(to, want.p, want.n, got.p, ROOM, &got.n), 0);
	ck_assert_uint_eq(got.n, payload.n);
	ck_assert_mem_eq(got.p, payload.p, payload.n);
}

static void transport_message(struct record *seal, struct record *open, json_t *message)
{
	struct bytes payload = hex(json_object_get(message, "payload"));
	struct bytes want = hex(json_object_get(message, "ciphertext")), got;
	ck_assert_int_eq(record_seal(seal, got.p, payload.p, payload.n), want.n + RECORD_LENGTH);
	ck_assert_int_eq(record_length(got.p), want.n);
	ck_assert_mem_eq(got.p + RECORD_LENGTH, want.p, want.n);
	ck_assert_int_eq(record_open(open, got.p, want.p, want.n), payload.n);
	ck_assert_mem_eq(got.p, payload.p, payload.n);
}

static void check_end(struct noise side[2], json_t *v)
{
	struct bytes hash = hex(json_object_get(v, "handshake_hash")), secret;
	ck_assert_uint_eq(hash.n, NOISE_HASH);
	for (int i = 0; i < 2; i++) {
		uint8_t public[NOISE_KEY];
		ck_assert(noise_done(&side[i]));
		ck_assert_uint_eq(noise_overhead(&side[i]), 0);
		ck_assert_mem_eq(noise_hash(&side[i]), hash.p, NOISE_HASH);
		const uint8_t *peer = key(v, 1 - i, "static", &secret);
		ck_assert_int_eq(peer == NULL, noise_peer(&side[i]) == NULL);
		if (peer != NULL) {
			crypto_scalarmult_base(public, peer);
			ck_assert_mem_eq(noise_peer(&side[i]), public, NOISE_KEY);
		}
	}
}

START_TEST(vectors)
{
	enum noise_pattern pattern = (enum noise_pattern)_i;
	json_t *v = vector_of(pattern), *messages = json_object_get(v, "messages");
	struct noise side[2];
	struct record *way[2][2]; /* of the sender's side: sealing, opening */
	uint8_t keys[2][2][NOISE_KEY];
	size_t at = 0;
	struct record_kit kit;
	ck_assert_int_eq(record_kit_init(&kit, mem_system()), 0);
	for (int i = 0; i < 2; i++)
		start(&side[i], v, pattern, i);
	for (; !noise_done(&side[0]); at++)
		handshake_message(&side[at % 2], &side[1 - at % 2], json_array_get(messages, at));
	check_end(side, v);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(noise_split(&side[i], keys[i][0], keys[i][1]), 0);
	ck_assert_mem_ne(keys[0][0], keys[0][1], NOISE_KEY);
	for (int i = 0; i < 2; i++) {
		way[i][0] = record_new(&kit, keys[i][0]);
		way[i][1] = record_new(&kit, keys[1 - i][1]);
	}
	ck_assert_uint_lt(at, json_array_size(messages));
	for (; at < json_array_size(messages); at++) {
		struct record **from = way[pattern == NOISE_X ? 0 : at % 2];
		transport_message(from[0], from[1], json_array_get(messages, at));
	}
	for (int i = 0; i < 4; i++)
		record_free(way[i / 2][i % 2]);
	record_kit_fini(&kit);
}
END_TEST

START_TEST(every_vector_is_used)
{
	ck_assert_uint_eq(json_array_size(json_object_get(file, "vectors")), NOISE_PATTERNS);
}
END_TEST

int main(void)
{
	json_error_t error;
	file = json_load_file(UNIT_SRCDIR "/tests/unit/noise_vectors.json", 0, &error);
	if (file == NULL || aead_init() != 0) {
		fprintf(stderr, "noise_vectors.json: %s\n", error.text);
		return 1;
	}
	Suite *s = suite_create("noise_vectors");
	TCase *t = tcase_create("all");
	tcase_add_loop_test(t, vectors, 0, NOISE_PATTERNS);
	tcase_add_test(t, every_vector_is_used);
	suite_add_tcase(s, t);
	int status = unit_main(s);
	json_decref(file);
	return status;
}
