#include "crypto/record.h"

#include "base/err.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

enum state { OPEN, CLOSED, DEAD };

struct record {
	const struct record_kit *kit;
	uint64_t number; /* of the next record */
	enum state state;
	uint8_t *key; /* in force; a slot of kit->locked */
};

static_assert((int)RECORD_KEY == (int)LOCKED_SLOT, "a key is a slot");

int record_kit_init(struct record_kit *kit, struct mem *mem)
{
	*kit = (struct record_kit){
		.mem = mem, .aead = aead_new(mem, NULL), .locked = locked_new(mem)};
	if (kit->aead != NULL && kit->locked != NULL)
		return 0;
	record_kit_fini(kit);
	return ERR_NOMEM;
}

void record_kit_fini(struct record_kit *kit)
{
	aead_free(kit->aead);
	locked_free(kit->locked);
	*kit = (struct record_kit){.mem = NULL};
}

struct record *record_new_at(
	const struct record_kit *kit, const uint8_t key[static RECORD_KEY], uint64_t number)
{
	struct record *r = mem_zalloc(kit->mem, sizeof *r);
	if (r == NULL)
		return NULL;
	*r = (struct record){.kit = kit, .number = number, .state = OPEN};
	r->key = locked_get(kit->locked);
	if (r->key == NULL) {
		record_free(r);
		return NULL;
	}
	memcpy(r->key, key, RECORD_KEY);
	return r;
}

struct record *record_new(const struct record_kit *kit, const uint8_t key[static RECORD_KEY])
{
	return record_new_at(kit, key, 0);
}

void record_free(struct record *r)
{
	if (r == NULL)
		return;
	locked_put(r->kit->locked, r->key);
	mem_free(r->kit->mem, r);
}

static struct aead_input input(
	const struct record *r, uint64_t number, const uint8_t *text, size_t n)
{
	struct aead_input in = {.key = r->key, .text = text, .n = n};
	for (int i = 0; i < 8; i++)
		in.nonce[AEAD_NONCE - 8 + i] = (uint8_t)(number >> 8 * i);
	return in;
}

/* Noise, section 4.2, REKEY: what the greatest nonce makes of 32 zeros. */
static int rekey(struct record *r)
{
	static const uint8_t zeros[RECORD_KEY];
	uint8_t sealed[RECORD_KEY + RECORD_TAG];
	struct aead_input in = input(r, UINT64_MAX, zeros, sizeof zeros);
	int rc = aead_seal(r->kit->aead, sealed, &in);
	if (rc == 0)
		memcpy(r->key, sealed, RECORD_KEY);
	sodium_memzero(sealed, sizeof sealed);
	return rc;
}

/* A record has passed: to the next number, and the next key where it is due. */
static int advance(struct record *r)
{
	r->number++;
	return r->number % RECORD_REKEY == 0 ? rekey(r) : 0;
}

int record_seal(struct record *r, uint8_t *out, const uint8_t *in, size_t n)
{
	if (n > RECORD_PLAIN_MAX)
		return ERR_INVALID;
	if (r->state != OPEN)
		return ERR_CLOSED;
	int rc = ERR_LIMIT;
	if (r->number < RECORD_LIMIT) {
		struct aead_input plain = input(r, r->number, in, n);
		rc = aead_seal(r->kit->aead, out + RECORD_LENGTH, &plain);
	}
	if (rc == 0)
		rc = advance(r);
	if (rc != 0) {
		r->state = DEAD;
		return rc;
	}
	out[0] = (uint8_t)((n + RECORD_TAG) >> 8);
	out[1] = (uint8_t)(n + RECORD_TAG);
	if (n == 0)
		r->state = CLOSED;
	return (int)(n + RECORD_OVERHEAD);
}

int record_length(const uint8_t in[static RECORD_LENGTH])
{
	int n = in[0] << 8 | in[1];
	return n >= RECORD_TAG ? n : ERR_PROTOCOL;
}

int record_open(struct record *r, uint8_t *out, const uint8_t *in, size_t n)
{
	if (r->state == DEAD)
		return ERR_CLOSED;
	int rc = ERR_PROTOCOL;
	if (r->state == OPEN && n >= RECORD_TAG && n <= RECORD_CIPHER_MAX) {
		struct aead_input sealed = input(r, r->number, in, n);
		rc = r->number < RECORD_LIMIT ? aead_open(r->kit->aead, out, &sealed) : ERR_LIMIT;
		if (rc == 0)
			rc = advance(r);
		if (rc != 0 && n > RECORD_TAG)
			sodium_memzero(out, n - RECORD_TAG);
	}
	if (rc != 0) {
		r->state = DEAD;
		return rc;
	}
	if (n == RECORD_TAG)
		r->state = CLOSED;
	return (int)(n - RECORD_TAG);
}
