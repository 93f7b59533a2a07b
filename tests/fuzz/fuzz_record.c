/*
 * Records as somebody in the middle may change, repeat, reorder and cut them: what is opened
 * is a prefix of what was sealed, and nothing is opened behind the first wrong byte.
 *
 * The first byte of the input says how far in front of the change of key it begins; the
 * rest is a row of steps of 4 bytes: what arrives, of which record, where, a value.
 */
#include "base/err.h"
#include "crypto/aead.h"
#include "crypto/record.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define PROMISE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

enum { RECORDS = 12, PLAIN = 300, ROOM = RECORD_OVERHEAD + 2 * PLAIN };

struct flow {
	struct record_kit kit;
	struct record *open;
	uint8_t text[RECORDS][PLAIN];
	uint8_t sealed[RECORDS][ROOM]; /* with their lengths */
	size_t n[RECORDS];             /* of the text; 0 for the last, which is CLOSE */
	size_t next;                   /* to be opened */
	bool dead;
};

static void seal_all(struct flow *f, uint64_t number, uint8_t seed)
{
	static const uint8_t key[RECORD_KEY] = {42};
	PROMISE(record_kit_init(&f->kit, mem_system()) == 0);
	struct record *seal = record_new_at(&f->kit, key, number);
	f->open = record_new_at(&f->kit, key, number);
	PROMISE(seal != NULL && f->open != NULL);
	for (size_t i = 0; i < RECORDS; i++) {
		f->n[i] = i < RECORDS - 1 ? 1 + (i * 53 + seed) % PLAIN : 0;
		memset(f->text[i], (int)(seed + i), f->n[i]);
		int len = record_seal(seal, f->sealed[i], f->text[i], f->n[i]);
		PROMISE(len == (int)(f->n[i] + RECORD_OVERHEAD));
		PROMISE(record_length(f->sealed[i]) == len - RECORD_LENGTH);
	}
	uint8_t more[RECORD_OVERHEAD + 1];
	PROMISE(record_seal(seal, more, f->text[0], 1) == ERR_CLOSED);
	record_free(seal);
}

/* A ciphertext arrives; `p` is of its own size, so that a sanitizer sees a byte too far. */
static void arrives(struct flow *f, const uint8_t *p, size_t n)
{
	static uint8_t out[RECORD_PLAIN_MAX];
	bool good = !f->dead && f->next < RECORDS && n == f->n[f->next] + RECORD_TAG &&
		    memcmp(p, f->sealed[f->next] + RECORD_LENGTH, n) == 0;
	size_t plain = n > RECORD_TAG ? n - RECORD_TAG : 0;
	memset(out, 0, plain);
	int rc = record_open(f->open, out, p, n);
	if (good) {
		PROMISE(rc == (int)plain && memcmp(out, f->text[f->next], plain) == 0);
		f->next++;
	} else {
		PROMISE(rc == (f->dead ? ERR_CLOSED : ERR_PROTOCOL));
		PROMISE(sodium_is_zero(out, plain));
		f->dead = true;
	}
}

static void step(struct flow *f, const uint8_t *s)
{
	size_t i = s[1] % RECORDS, n = f->n[i] + RECORD_TAG;
	uint8_t *p = calloc(1, ROOM);
	PROMISE(p != NULL);
	if (s[0] % 8 < 4) { /* in order, mostly */
		i = f->next < RECORDS ? f->next : RECORDS - 1;
		n = f->n[i] + RECORD_TAG;
	}
	memcpy(p, f->sealed[i] + RECORD_LENGTH, n);
	if (s[0] % 8 == 5)
		p[s[2] % n] ^= s[3];
	else if (s[0] % 8 == 6)
		n = s[2] % (n + 1);
	else if (s[0] % 8 == 7)
		n += s[2];
	p = realloc(p, n > 0 ? n : 1);
	PROMISE(p != NULL);
	arrives(f, p, n);
	free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (aead_init() != 0 || n == 0)
		return 0;
	struct flow *f = calloc(1, sizeof *f);
	PROMISE(f != NULL);
	seal_all(f, RECORD_REKEY - data[0] % (RECORDS + 2), data[0]);
	/* Whatever the length says, it is in bounds or refused. */
	if (n >= 3) {
		int len = record_length(data + 1);
		PROMISE(len == ERR_PROTOCOL || (len >= RECORD_TAG && len <= RECORD_CIPHER_MAX));
	}
	for (size_t at = 1; at + 4 <= n; at += 4)
		step(f, data + at);
	record_free(f->open);
	record_kit_fini(&f->kit);
	free(f);
	return 0;
}
