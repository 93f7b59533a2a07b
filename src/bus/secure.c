#include "bus/secure.h"

#include "base/err.h"
#include "crypto/suite.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum step {
	STEP_GREETING, /* acceptor: message 1 */
	STEP_LENGTH,   /* of message 2 or 3 */
	STEP_MESSAGE,
	STEP_LAST, /* nothing to come; what is left is to be sent */
};

/* What only the handshake needs. */
struct talk {
	struct keyset *keys;
	struct keyring *keyring;
	const struct secure_door *door;
	enum noise_side side;
	enum token_role peer;
	enum step step;
	struct noise *noise; /* in locked memory: it has our secret key, and the psk */
	size_t have, want;   /* bytes of the step's input */
	uint8_t head[SUITE_MESSAGE_1];
	uint8_t *message; /* `want` bytes, while one comes */
	size_t out_begin, out_end;
	uint8_t out[SUITE_LENGTH + SUITE_MESSAGE_2_MAX];
};

struct secure {
	struct mem *mem;
	struct talk *talk; /* NULL: the handshake is over */
	struct record *tx, *rx;
	struct token *peer;
	char *peer_text; /* its token as it came, to judge it anew */
	size_t peer_text_n;
	enum secure_fault fault;
	bool proven, keyed, closed;
	bool dialled;             /* by us */
	unsigned generation;      /* of our token that the peer was sent last */
	struct token *own;        /* our token, as the peer has it */
	uint8_t key[KEYFILE_KEY]; /* the peer's, once `keyed` */
	char name[sizeof "node " + NAME_MAX_BYTES];
};

static_assert(SUITE_MESSAGE_2_MAX >= SUITE_MESSAGE_3_MAX, "out has room for both");

/* --- life ------------------------------------------------------------------------------------- */

static void end_talk(struct secure *s)
{
	struct talk *t = s->talk;
	if (t == NULL)
		return;
	keyring_drop(t->keys);
	if (t->message != NULL)
		sodium_memzero(t->message, t->want);
	mem_free(s->mem, t->message);
	sodium_free(t->noise); /* wipes it */
	sodium_memzero(t, sizeof *t);
	mem_free(s->mem, t);
	s->talk = NULL;
}

void secure_free(struct secure *s)
{
	if (s == NULL)
		return;
	end_talk(s);
	record_free(s->tx);
	record_free(s->rx);
	token_free(s->peer, s->mem);
	token_free(s->own, s->mem);
	mem_free(s->mem, s->peer_text);
	mem_free(s->mem, s);
}

static int fail(struct secure *s, enum secure_fault fault, int err)
{
	s->fault = fault;
	return err;
}

/* --- messages out -------------------------------------------------------------------------------
 */

static int start_noise(struct talk *t, size_t secret)
{
	const struct credentials *c = t->keys->credentials;
	return noise_start(t->noise, &(struct noise_setup){.pattern = SUITE_PATTERN,
					     .side = t->side,
					     .prologue = SUITE_PROLOGUE,
					     .prologue_len = SUITE_PROLOGUE_LEN,
					     .psk = t->keys->psk[secret],
					     .static_secret = c->identity.secret,
					     .static_public = c->identity.public});
}

static int greet(struct talk *t, uint64_t wall)
{
	size_t n;
	int rc = start_noise(t, 0);
	if (rc == 0)
		rc = noise_create(t->noise, NULL, 0, t->out, GATE_NOISE, &n);
	if (rc != 0)
		return rc;
	gate_stamp(t->out, t->keys->mac_key[0], wall);
	t->out_end = SUITE_MESSAGE_1;
	return 0;
}

/* The next message, with our token in it. */
static int present_token(struct secure *s)
{
	struct talk *t = s->talk;
	const struct credentials *c = t->keys->credentials;
	size_t n;
	s->generation = t->keys->generation;
	s->own = token_hold(c->token);
	int rc = noise_create(t->noise, (const uint8_t *)c->token_text, c->token_n,
		t->out + SUITE_LENGTH, sizeof t->out - SUITE_LENGTH, &n);
	if (rc != 0)
		return rc;
	t->out[0] = (uint8_t)(n >> 8);
	t->out[1] = (uint8_t)n;
	t->out_begin = 0;
	t->out_end = SUITE_LENGTH + n;
	return 0;
}

int secure_new(struct secure **out, const struct secure_setup *setup, char why[static WHY_MAX])
{
	*out = NULL;
	struct secure *s = mem_zalloc(setup->mem, sizeof *s);
	struct talk *t = mem_zalloc(setup->mem, sizeof *t);
	if (t != NULL)
		t->noise = sodium_malloc(sizeof *t->noise);
	if (s == NULL || t == NULL || t->noise == NULL) {
		if (t != NULL)
			sodium_free(t->noise);
		mem_free(setup->mem, s);
		mem_free(setup->mem, t);
		return why_say(why, ERR_NOMEM, "out of memory");
	}
	noise_wipe(t->noise);
	locked_look(setup->keyring->kit.locked, t->noise, sizeof *t->noise);
	s->mem = setup->mem;
	s->talk = t;
	s->dialled = setup->side == NOISE_INITIATOR;
	t->keys = keyring_hold(setup->keyring);
	t->keyring = setup->keyring;
	t->door = setup->door;
	t->side = setup->side;
	t->peer = setup->peer;
	t->step = STEP_GREETING;
	t->want = SUITE_MESSAGE_1;
	if (t->side == NOISE_INITIATOR) {
		t->step = STEP_LENGTH;
		t->want = SUITE_LENGTH;
		int rc = greet(t, setup->wall);
		if (rc != 0) {
			secure_free(s);
			return why_say(why, rc, "the handshake cannot begin");
		}
	}
	*out = s;
	return 0;
}

/* --- messages in --------------------------------------------------------------------------------
 */

static int take_greeting(struct secure *s, uint64_t wall, char *why)
{
	struct talk *t = s->talk;
	size_t secret, n;
	int rc = keyring_check(t->keyring, t->head, wall, &secret);
	switch (rc) {
	case 0:
		break;
	case ERR_PROTOCOL:
		why_say(why, rc, "its first message does not have this bus's network secret");
		return fail(s, SECURE_STRANGER, rc);
	case ERR_TIMEOUT:
		why_say(why, rc,
			"the time in its first message is more than %d s off: one of the "
			"clocks is wrong, or the message is old",
			GATE_SKEW / 1000000);
		return fail(s, SECURE_TOO_LATE, rc);
	case ERR_NOMEM:
		return fail(s, SECURE_INTERNAL, why_say(why, rc, "out of memory"));
	case ERR_LIMIT:
		why_say(why, rc,
			"its first message is older than what is remembered of such: somebody "
			"repeats it, its clock is behind, or the clock here was set back");
		return fail(s, SECURE_TOO_LATE, rc);
	default:
		why_say(why, rc, "its first message was seen before: somebody repeats it");
		return fail(s, SECURE_TOO_LATE, rc);
	}
	s->proven = true;
	/* The gate may know a secret that this talk, begun before a reload, does not. */
	keyring_drop(t->keys);
	t->keys = keyring_hold(t->keyring);
	rc = start_noise(t, secret);
	if (rc == 0)
		rc = noise_consume(t->noise, t->head, GATE_NOISE, NULL, 0, &n);
	if (rc == 0)
		rc = present_token(s);
	if (rc != 0)
		return fail(s, SECURE_BROKEN, why_say(why, rc, "its first message is broken"));
	t->step = STEP_LENGTH;
	t->want = SUITE_LENGTH;
	return 0;
}

static int take_length(struct secure *s, char *why)
{
	struct talk *t = s->talk;
	size_t n = (size_t)t->head[0] << 8 | t->head[1];
	bool second = t->side == NOISE_INITIATOR;
	size_t least = second ? SUITE_MESSAGE_2_MIN : SUITE_MESSAGE_3_MIN;
	size_t most = second ? SUITE_MESSAGE_2_MAX : SUITE_MESSAGE_3_MAX;
	if (n < least || n > most) {
		why_say(why, ERR_PROTOCOL,
			"a handshake message of %zu bytes, expected %zu to %zu: a token too long, "
			"or another protocol",
			n, least, most);
		return fail(s, SECURE_BROKEN, ERR_PROTOCOL);
	}
	t->message = mem_alloc(s->mem, n);
	if (t->message == NULL)
		return fail(s, SECURE_INTERNAL, why_say(why, ERR_NOMEM, "out of memory"));
	t->step = STEP_MESSAGE;
	t->want = n;
	return 0;
}

/* Whether the peer is who may be here.  0, or as credentials_admit(). */
static int admit(struct secure *s, const uint8_t *text, size_t n, uint64_t wall, char *why)
{
	struct talk *t = s->talk;
	memcpy(s->key, noise_peer(t->noise), KEYFILE_KEY);
	s->keyed = true;
	if (t->door != NULL && !t->door->knows_no_harm(t->door->ctx, s->key)) {
		why_say(why, ERR_AGAIN, "its key has a pause, for a token that was refused before");
		return fail(s, SECURE_PAUSED, ERR_AGAIN);
	}
	struct credentials_peer peer = {.text = (const char *)text,
		.text_n = n,
		.key = s->key,
		.role = t->peer,
		.now = (int64_t)(wall / 1000000)};
	/* By the present list and trust: a reload may have come since the handshake began. */
	int rc = credentials_admit(&s->peer, t->keyring->now->credentials, &peer, s->mem, why);
	if (rc != 0)
		return fail(s, rc == ERR_NOMEM ? SECURE_INTERNAL : SECURE_UNWELCOME, rc);
	snprintf(s->name, sizeof s->name, "node %s", s->peer->node);
	s->peer_text = mem_strndup(s->mem, (const char *)text, n);
	s->peer_text_n = n;
	if (s->peer_text == NULL)
		return fail(s, SECURE_INTERNAL, why_say(why, ERR_NOMEM, "out of memory"));
	return 0;
}

static int make_records(struct secure *s, char *why)
{
	uint8_t tx[NOISE_KEY], rx[NOISE_KEY];
	int rc = noise_split(s->talk->noise, tx, rx);
	if (rc == 0) {
		s->tx = record_new(&s->talk->keyring->kit, tx);
		s->rx = record_new(&s->talk->keyring->kit, rx);
		if (s->tx == NULL || s->rx == NULL)
			rc = ERR_NOMEM;
	}
	sodium_memzero(tx, sizeof tx);
	sodium_memzero(rx, sizeof rx);
	return rc == 0 ? 0 : fail(s, SECURE_INTERNAL, why_say(why, rc, "out of memory"));
}

static int take_message(struct secure *s, uint64_t wall, char *why)
{
	struct talk *t = s->talk;
	uint8_t text[SUITE_TOKEN_MAX];
	size_t n;
	int rc = noise_consume(t->noise, t->message, t->want, text, sizeof text, &n);
	if (rc != 0)
		return fail(s, SECURE_BROKEN,
			why_say(why, rc,
				"a handshake message does not hold: it was changed on the "
				"way, or the network secrets differ"));
	mem_free(s->mem, t->message);
	t->message = NULL;
	rc = admit(s, text, n, wall, why);
	if (rc == 0 && t->side == NOISE_INITIATOR) {
		rc = present_token(s);
		if (rc != 0)
			return fail(s, SECURE_BROKEN, why_say(why, rc, "its key is broken"));
	}
	if (rc != 0)
		return rc;
	t->step = STEP_LAST;
	t->want = 0;
	rc = make_records(s, why);
	if (rc == 0 && t->out_begin == t->out_end)
		end_talk(s);
	return rc;
}

static int step(struct secure *s, uint64_t wall, char *why)
{
	switch (s->talk->step) {
	case STEP_GREETING:
		return take_greeting(s, wall, why);
	case STEP_LENGTH:
		return take_length(s, why);
	case STEP_MESSAGE:
		return take_message(s, wall, why);
	case STEP_LAST:
		break;
	}
	return 0;
}

size_t secure_wants(const struct secure *s)
{
	if (s->talk == NULL || s->fault != SECURE_FINE)
		return 0;
	return s->talk->want - s->talk->have;
}

int secure_take(
	struct secure *s, const uint8_t *p, size_t n, uint64_t wall, char why[static WHY_MAX])
{
	assert(n <= secure_wants(s));
	struct talk *t = s->talk;
	if (s->fault != SECURE_FINE || t == NULL)
		return why_say(why, ERR_CLOSED, "the handshake is over");
	if (n == 0)
		return 0;
	memcpy((t->step == STEP_MESSAGE ? t->message : t->head) + t->have, p, n);
	t->have += n;
	if (t->have < t->want)
		return 0;
	t->have = 0;
	return step(s, wall, why);
}

/* --- its state
 * ------------------------------------------------------------------------------------ */

const uint8_t *secure_output(const struct secure *s, size_t *n)
{
	*n = s->talk != NULL ? s->talk->out_end - s->talk->out_begin : 0;
	return *n > 0 ? s->talk->out + s->talk->out_begin : NULL;
}

void secure_sent(struct secure *s, size_t n)
{
	struct talk *t = s->talk;
	assert(t != NULL && n <= t->out_end - t->out_begin);
	t->out_begin += n;
	if (t->step == STEP_LAST && t->out_begin == t->out_end && s->fault == SECURE_FINE)
		end_talk(s);
}

bool secure_is_proven(const struct secure *s)
{
	return s->proven;
}

bool secure_is_done(const struct secure *s)
{
	return s->talk == NULL && s->fault == SECURE_FINE;
}

enum secure_fault secure_fault(const struct secure *s)
{
	return s->fault;
}

/* --- the peer
 * --------------------------------------------------------------------------------------- */

const struct token *secure_peer(const struct secure *s)
{
	return s->peer;
}

const uint8_t *secure_peer_key(const struct secure *s)
{
	return s->keyed ? s->key : NULL;
}

const char *secure_peer_name(const struct secure *s)
{
	return s->peer != NULL ? s->name : "the peer";
}

const struct token *secure_own(const struct secure *s)
{
	return s->own;
}

bool secure_is_current(const struct secure *s, const struct keyring *k)
{
	return token_same_node(s->own, k->now->credentials->token);
}

const char *secure_news(const struct secure *s, const struct keyring *k, size_t *n)
{
	const struct credentials *c = k->now->credentials;
	*n = c->token_n;
	if (s->generation == k->now->generation || (s->dialled && !secure_is_current(s, k)))
		return NULL;
	return c->token_text;
}

void secure_told(struct secure *s, const struct keyring *k)
{
	s->generation = k->now->generation;
	if (!secure_is_current(s, k))
		return;
	token_free(s->own, s->mem);
	s->own = token_hold(k->now->credentials->token);
}

static int admit_again(const struct secure *s, struct token **out, const struct keyring *k,
	const struct credentials_peer *text, char *why)
{
	struct credentials_peer peer = *text;
	peer.role = s->peer->role;
	return credentials_admit(out, k->now->credentials, &peer, s->mem, why);
}

int secure_renew(struct secure *s, const struct keyring *k, const uint8_t *text, size_t n,
	int64_t now, char why[static WHY_MAX])
{
	if (n == s->peer_text_n && memcmp(text, s->peer_text, n) == 0)
		return ERR_NOTFOUND;
	struct token *fresh = NULL;
	struct credentials_peer peer = {.text = (const char *)text, .text_n = n, .now = now};
	int rc = admit_again(s, &fresh, k, &peer, why);
	if (rc != 0)
		return rc;
	if (!token_same_node(fresh, s->peer))
		rc = SECURE_ANOTHER;
	char *copy = rc == 0 ? mem_strndup(s->mem, (const char *)text, n) : NULL;
	if (rc == 0 && copy == NULL)
		rc = why_say(why, ERR_NOMEM, "out of memory");
	if (rc != 0) {
		token_free(fresh, s->mem);
		return rc;
	}
	mem_free(s->mem, s->peer_text);
	token_free(s->peer, s->mem);
	s->peer_text = copy;
	s->peer_text_n = n;
	s->peer = fresh;
	return 0;
}

int secure_judge(
	const struct secure *s, const struct keyring *k, int64_t now, char why[static WHY_MAX])
{
	struct token *again = NULL;
	struct credentials_peer peer = {
		.text = s->peer_text, .text_n = s->peer_text_n, .key = s->key, .now = now};
	int rc = admit_again(s, &again, k, &peer, why);
	token_free(again, s->mem);
	return rc;
}

/* --- records
 * ------------------------------------------------------------------------------------------ */

int secure_open(struct secure *s, uint8_t *to, const uint8_t *p, size_t n, struct secure_plain *out)
{
	*out = (struct secure_plain){.n = 0};
	if (n < RECORD_LENGTH)
		return 0;
	int length = record_length(p);
	if (length < 0)
		return length;
	if (n - RECORD_LENGTH < (size_t)length)
		return 0;
	int got = record_open(s->rx, to, p + RECORD_LENGTH, (size_t)length);
	if (got < 0)
		return got;
	out->n = (size_t)got;
	out->close = got == 0;
	s->closed = s->closed || out->close;
	return RECORD_LENGTH + length;
}

bool secure_is_closed(const struct secure *s)
{
	return s->closed;
}

size_t secure_sealed_size(size_t n, size_t most)
{
	size_t records = n > 0 ? (n + most - 1) / most : 1;
	return n + records * RECORD_OVERHEAD;
}

int secure_seal(struct secure *s, uint8_t *out, const uint8_t *in, size_t n, size_t most)
{
	assert(most > 0 && most <= RECORD_PLAIN_MAX);
	do {
		size_t part = n < most ? n : most;
		int made = record_seal(s->tx, out, in, part);
		if (made < 0)
			return made;
		out += made;
		in = part > 0 ? in + part : in;
		n -= part;
	} while (n > 0);
	return 0;
}
