#include "crypto/noise.h"

#include "base/err.h"
#include "crypto/locked.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

enum { BLOCK = 128 /* of BLAKE2b, for HMAC */, MESSAGES = 3, TOKENS = 6 };

enum token { END, E, S, EE, ES, SE, SS, PSK };

/* Noise, sections 7 and 9: the tokens of each message, the initiator's first. */
struct pattern {
	const char *name;
	bool responder_known; /* the pre-message "<- s" */
	bool psk;             /* then E mixes the key too */
	uint8_t messages[MESSAGES][TOKENS];
};

static const struct pattern patterns[NOISE_PATTERNS] = {
	[NOISE_NN] = {.name = "Noise_NN_25519_ChaChaPoly_BLAKE2b", .messages = {{E}, {E, EE}}},
	[NOISE_X] = {.name = "Noise_X_25519_ChaChaPoly_BLAKE2b",
		.responder_known = true,
		.messages = {{E, ES, S, SS}}},
	[NOISE_XK] = {.name = "Noise_XK_25519_ChaChaPoly_BLAKE2b",
		.responder_known = true,
		.messages = {{E, ES}, {E, EE}, {S, SE}}},
	[NOISE_XX] = {.name = "Noise_XX_25519_ChaChaPoly_BLAKE2b",
		.messages = {{E}, {E, EE, S, ES}, {S, SE}}},
	[NOISE_IK] = {.name = "Noise_IK_25519_ChaChaPoly_BLAKE2b",
		.responder_known = true,
		.messages = {{E, ES, S, SS}, {E, EE, SE}}},
	[NOISE_XXPSK3] = {.name = "Noise_XXpsk3_25519_ChaChaPoly_BLAKE2b",
		.psk = true,
		.messages = {{E}, {E, EE, S, ES}, {S, SE, PSK}}},
	[NOISE_IKPSK2] = {.name = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b",
		.responder_known = true,
		.psk = true,
		.messages = {{E, ES, S, SS}, {E, EE, SE, PSK}}},
};

static const struct pattern *pattern_of(const struct noise *n)
{
	return &patterns[n->pattern];
}

static unsigned message_count(const struct pattern *p)
{
	unsigned count = 0;
	while (count < MESSAGES && p->messages[count][0] != END)
		count++;
	return count;
}

static bool has_static(const struct pattern *p, enum noise_side side)
{
	if (p->responder_known && side == NOISE_RESPONDER)
		return true;
	for (unsigned m = side; m < MESSAGES; m += 2) {
		if (memchr(p->messages[m], S, TOKENS) != NULL)
			return true;
	}
	return false;
}

/* --- hashing ------------------------------------------------------------------- */

/* HMAC of RFC 2104 with BLAKE2b; a key is always as long as a hash. */
static void hmac(
	uint8_t out[NOISE_HASH], const uint8_t key[NOISE_HASH], const uint8_t *in, size_t len)
{
	static const uint8_t masks[2] = {0x36, 0x5c};
	crypto_generichash_state state;
	uint8_t pad[BLOCK], inner[NOISE_HASH];
	for (int pass = 0; pass < 2; pass++) {
		memset(pad, masks[pass], sizeof pad);
		for (int i = 0; i < NOISE_HASH; i++)
			pad[i] ^= key[i];
		crypto_generichash_init(&state, NULL, 0, NOISE_HASH);
		crypto_generichash_update(&state, pad, sizeof pad);
		if (pass == 0)
			crypto_generichash_update(&state, in, len);
		else
			crypto_generichash_update(&state, inner, sizeof inner);
		crypto_generichash_final(&state, pass == 0 ? inner : out, NOISE_HASH);
	}
	sodium_memzero(&state, sizeof state);
	sodium_memzero(pad, sizeof pad);
	sodium_memzero(inner, sizeof inner);
}

/* Noise, section 4.3: HKDF to `count` outputs, 2 or 3. */
static void hkdf(uint8_t out[][NOISE_HASH], int count, const uint8_t ck[NOISE_HASH],
	const uint8_t *in, size_t len)
{
	uint8_t key[NOISE_HASH], text[NOISE_HASH + 1];
	hmac(key, ck, in, len);
	for (int i = 0; i < count; i++) {
		size_t before = i > 0 ? NOISE_HASH : 0;
		if (before > 0)
			memcpy(text, out[i - 1], before);
		text[before] = (uint8_t)(i + 1);
		hmac(out[i], key, text, before + 1);
	}
	sodium_memzero(key, sizeof key);
	sodium_memzero(text, sizeof text);
}

static void mix_hash(struct noise *n, const void *p, size_t len)
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, NOISE_HASH);
	crypto_generichash_update(&state, n->h, NOISE_HASH);
	if (len > 0)
		crypto_generichash_update(&state, p, len);
	crypto_generichash_final(&state, n->h, NOISE_HASH);
	/* What comes of a psk goes through here too. */
	sodium_memzero(&state, sizeof state);
}

static void set_key(struct noise *n, const uint8_t *key)
{
	memcpy(n->k, key, NOISE_KEY);
	n->keyed = true;
	n->nonce = 0;
}

static void mix_key(struct noise *n, const uint8_t in[NOISE_KEY])
{
	uint8_t out[2][NOISE_HASH];
	hkdf(out, 2, n->ck, in, NOISE_KEY);
	memcpy(n->ck, out[0], NOISE_HASH);
	set_key(n, out[1]);
	sodium_memzero(out, sizeof out);
}

static void mix_key_and_hash(struct noise *n, const uint8_t in[NOISE_KEY])
{
	uint8_t out[3][NOISE_HASH];
	hkdf(out, 3, n->ck, in, NOISE_KEY);
	memcpy(n->ck, out[0], NOISE_HASH);
	mix_hash(n, out[1], NOISE_HASH);
	set_key(n, out[2]);
	sodium_memzero(out, sizeof out);
}

/* --- encryption ------------------------------------------------------------------ */

static void next_nonce(struct noise *n, uint8_t nonce[12])
{
	memset(nonce, 0, 12);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(n->nonce >> 8 * i);
	n->nonce++;
}

static size_t sealed_len(bool keyed, size_t len)
{
	return keyed ? len + NOISE_TAG : len;
}

/* Returns the bytes written. */
static size_t encrypt_and_hash(struct noise *n, uint8_t *out, const uint8_t *in, size_t len)
{
	if (n->keyed) {
		uint8_t nonce[12];
		next_nonce(n, nonce);
		crypto_aead_chacha20poly1305_ietf_encrypt(
			out, NULL, in, len, n->h, NOISE_HASH, NULL, nonce, n->k);
	} else if (len > 0) {
		memcpy(out, in, len);
	}
	mix_hash(n, out, sealed_len(n->keyed, len));
	return sealed_len(n->keyed, len);
}

/* `len` bytes of plaintext from as many and perhaps a tag. */
static int decrypt_and_hash(struct noise *n, uint8_t *out, const uint8_t *in, size_t len)
{
	if (n->keyed) {
		uint8_t nonce[12];
		next_nonce(n, nonce);
		if (crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in, len + NOISE_TAG,
			    n->h, NOISE_HASH, nonce, n->k) != 0)
			return ERR_PROTOCOL;
	} else if (len > 0) {
		memcpy(out, in, len);
	}
	mix_hash(n, in, sealed_len(n->keyed, len));
	return 0;
}

/* --- tokens ---------------------------------------------------------------------- */

/* The library refuses a point of low order: the shared secret would be zero. */
static int mix_dh(struct noise *n, const uint8_t *secret, const uint8_t *public)
{
	uint8_t shared[NOISE_KEY];
	int rc = crypto_scalarmult(shared, secret, public) == 0 ? 0 : ERR_PROTOCOL;
	if (rc == 0)
		mix_key(n, shared);
	sodium_memzero(shared, sizeof shared);
	return rc;
}

/* The tokens that are the same for who sends and who receives. */
static int mix_token(struct noise *n, enum token token)
{
	bool initiator = n->side == NOISE_INITIATOR;
	switch (token) {
	case EE:
		return mix_dh(n, n->e, n->re);
	case ES:
		return initiator ? mix_dh(n, n->e, n->rs) : mix_dh(n, n->s, n->re);
	case SE:
		return initiator ? mix_dh(n, n->s, n->re) : mix_dh(n, n->e, n->rs);
	case SS:
		return mix_dh(n, n->s, n->rs);
	case PSK:
		mix_key_and_hash(n, n->psk);
		return 0;
	case END:
	case E:
	case S:
		break;
	}
	assert(false);
	return ERR_INVALID;
}

static void mix_ephemeral(struct noise *n, const uint8_t *public)
{
	mix_hash(n, public, NOISE_KEY);
	if (pattern_of(n)->psk)
		mix_key(n, public);
}

static const uint8_t *next_tokens(const struct noise *n)
{
	return pattern_of(n)->messages[n->message];
}

/* --- a handshake ------------------------------------------------------------------- */

static bool keys_fit(const struct noise_setup *setup)
{
	const struct pattern *p = &patterns[setup->pattern];
	bool knows_peer = p->responder_known && setup->side == NOISE_INITIATOR;
	return (setup->psk != NULL) == p->psk &&
	       (setup->static_secret != NULL) == has_static(p, setup->side) &&
	       (setup->static_secret != NULL || setup->static_public == NULL) &&
	       (setup->remote_static != NULL) == knows_peer;
}

static void take_keys(struct noise *n, const struct noise_setup *setup)
{
	if (setup->psk != NULL)
		memcpy(n->psk, setup->psk, NOISE_KEY);
	if (setup->static_secret != NULL) {
		memcpy(n->s, setup->static_secret, NOISE_KEY);
		if (setup->static_public != NULL)
			memcpy(n->s_public, setup->static_public, NOISE_KEY);
		else
			crypto_scalarmult_base(n->s_public, n->s);
	}
	if (setup->remote_static != NULL) {
		memcpy(n->rs, setup->remote_static, NOISE_KEY);
		n->peer_known = true;
	}
	if (setup->ephemeral != NULL)
		memcpy(n->e, setup->ephemeral, NOISE_KEY);
	else
		randombytes_buf(n->e, NOISE_KEY);
}

int noise_start(struct noise *n, const struct noise_setup *setup)
{
	noise_wipe(n);
	if (!keys_fit(setup))
		return ERR_INVALID;
	const struct pattern *p = &patterns[setup->pattern];
	n->pattern = setup->pattern;
	n->side = setup->side;
	take_keys(n, setup);
	/* Every name fits into a hash, so it is padded and not hashed. */
	assert(strlen(p->name) <= NOISE_HASH);
	memcpy(n->h, p->name, strlen(p->name));
	memcpy(n->ck, n->h, NOISE_HASH);
	mix_hash(n, setup->prologue, setup->prologue_len);
	if (p->responder_known)
		mix_hash(n, n->side == NOISE_INITIATOR ? n->rs : n->s_public, NOISE_KEY);
	sodium_stackzero(LOCKED_STACK);
	return 0;
}

bool noise_done(const struct noise *n)
{
	return n->message == message_count(pattern_of(n));
}

bool noise_sends(const struct noise *n)
{
	return !noise_done(n) && n->message % 2 == (unsigned)n->side;
}

size_t noise_overhead(const struct noise *n)
{
	size_t len = 0;
	bool keyed = n->keyed;
	if (noise_done(n))
		return 0;
	for (const uint8_t *t = next_tokens(n); *t != END; t++) {
		if (*t == S)
			len += sealed_len(keyed, NOISE_KEY);
		else if (*t == E)
			len += NOISE_KEY;
		keyed = keyed || (*t == E ? pattern_of(n)->psk : *t != S);
	}
	return len + sealed_len(keyed, 0);
}

static int write_message(struct noise *n, uint8_t *msg, const uint8_t *payload, size_t len)
{
	int rc = 0;
	for (const uint8_t *t = next_tokens(n); *t != END && rc == 0; t++) {
		if (*t == E) {
			crypto_scalarmult_base(n->e_public, n->e);
			memcpy(msg, n->e_public, NOISE_KEY);
			mix_ephemeral(n, n->e_public);
			msg += NOISE_KEY;
		} else if (*t == S) {
			msg += encrypt_and_hash(n, msg, n->s_public, NOISE_KEY);
		} else {
			rc = mix_token(n, *t);
		}
	}
	if (rc == 0)
		encrypt_and_hash(n, msg, payload, len);
	return rc;
}

static int read_message(struct noise *n, const uint8_t *msg, uint8_t *payload, size_t len)
{
	int rc = 0;
	for (const uint8_t *t = next_tokens(n); *t != END && rc == 0; t++) {
		if (*t == E) {
			memcpy(n->re, msg, NOISE_KEY);
			mix_ephemeral(n, n->re);
			msg += NOISE_KEY;
		} else if (*t == S) {
			size_t sealed = sealed_len(n->keyed, NOISE_KEY);
			rc = decrypt_and_hash(n, n->rs, msg, NOISE_KEY);
			n->peer_known = true;
			msg += sealed;
		} else {
			rc = mix_token(n, *t);
		}
	}
	return rc == 0 ? decrypt_and_hash(n, payload, msg, len) : rc;
}

static void commit(struct noise *n, struct noise *next, int rc)
{
	if (rc == 0) {
		next->message++;
		*n = *next;
	}
	noise_wipe(next);
	sodium_stackzero(LOCKED_STACK);
}

int noise_create(struct noise *n, const uint8_t *payload, size_t len, uint8_t *msg, size_t room,
	size_t *msg_len)
{
	size_t overhead = noise_overhead(n);
	*msg_len = 0;
	if (!noise_sends(n))
		return ERR_INVALID;
	if (len > NOISE_MESSAGE_MAX - overhead || len + overhead > room)
		return ERR_LIMIT;
	struct noise next = *n;
	int rc = write_message(&next, msg, payload, len);
	commit(n, &next, rc);
	if (rc == 0)
		*msg_len = len + overhead;
	return rc;
}

int noise_consume(struct noise *n, const uint8_t *msg, size_t len, uint8_t *payload, size_t room,
	size_t *payload_len)
{
	size_t overhead = noise_overhead(n);
	*payload_len = 0;
	if (noise_done(n) || noise_sends(n))
		return ERR_INVALID;
	if (len < overhead || len > NOISE_MESSAGE_MAX)
		return ERR_PROTOCOL;
	if (len - overhead > room)
		return ERR_LIMIT;
	struct noise next = *n;
	int rc = read_message(&next, msg, payload, len - overhead);
	commit(n, &next, rc);
	if (rc == 0)
		*payload_len = len - overhead;
	return rc;
}

const uint8_t *noise_peer(const struct noise *n)
{
	return n->peer_known ? n->rs : NULL;
}

const uint8_t *noise_hash(const struct noise *n)
{
	return n->h;
}

int noise_split(
	const struct noise *n, uint8_t send[static NOISE_KEY], uint8_t receive[static NOISE_KEY])
{
	uint8_t out[2][NOISE_HASH];
	if (!noise_done(n))
		return ERR_INVALID;
	hkdf(out, 2, n->ck, NULL, 0);
	memcpy(send, out[n->side == NOISE_INITIATOR ? 0 : 1], NOISE_KEY);
	memcpy(receive, out[n->side == NOISE_INITIATOR ? 1 : 0], NOISE_KEY);
	sodium_memzero(out, sizeof out);
	sodium_stackzero(LOCKED_STACK);
	return 0;
}

void noise_wipe(struct noise *n)
{
	sodium_memzero(n, sizeof *n);
}
