/*
 * record - the records of a secured transport, in one direction.
 *
 * After the handshake each direction is a row of records: the length of the
 * ciphertext (RECORD_LENGTH bytes, big-endian), and the ciphertext, a Noise transport
 * message: ChaCha20-Poly1305, no associated data, the number of the record as nonce.
 * Frames may span records.  cloudbus-protocol(7), Records and Rekey.
 *
 * An empty record, of a tag alone, is CLOSE: it says that the direction ends here on
 * purpose.  Nothing may follow it.  A connection that ends without it was cut.
 *
 * The first failed tag makes the state dead; so does a record number RECORD_LIMIT.
 * One struct record serves one direction: it only ever seals, or only ever opens.
 */
#ifndef CB_CRYPTO_RECORD_H
#define CB_CRYPTO_RECORD_H

#include "crypto/aead.h"
#include "crypto/locked.h"

#include <stddef.h>
#include <stdint.h>

enum {
	RECORD_KEY = 32,
	RECORD_LENGTH = 2,         /* bytes of the length before the ciphertext */
	RECORD_TAG = 16,           /* bytes of the tag, the end of the ciphertext */
	RECORD_PLAIN_MAX = 65519,  /* bytes of frames in one record */
	RECORD_CIPHER_MAX = 65535, /* the greatest length, RECORD_PLAIN_MAX + RECORD_TAG */
	RECORD_OVERHEAD = RECORD_LENGTH + RECORD_TAG,
	RECORD_MAX = RECORD_LENGTH + RECORD_CIPHER_MAX,
	RECORD_REKEY = 1 << 16, /* records under one key; the number goes on */
};

/* The record of this number is neither sealed nor opened: far from where nonces end. */
#define RECORD_LIMIT (UINT64_C(1) << 60)

struct record;

/* What all records of a process share; it outlives them.  Read only. */
struct record_kit {
	struct mem *mem;
	struct aead *aead;
	struct locked *locked; /* where the keys are */
};

/* 0 or ERR_NOMEM. */
int record_kit_init(struct record_kit *kit, struct mem *mem);

/* All records were freed.  Zeroed, or of a failed init: does nothing. */
void record_kit_fini(struct record_kit *kit);

/*
 * A direction with the key of noise_split, whose first record has the number 0.  The
 * caller wipes its copy of the key.  NULL when there is no memory.
 */
struct record *record_new(const struct record_kit *kit, const uint8_t key[static RECORD_KEY]);

/* For tests: as if records up to `number` had passed, `key` being the key in force then. */
struct record *record_new_at(
	const struct record_kit *kit, const uint8_t key[static RECORD_KEY], uint64_t number);

/* Wipes and frees; NULL does nothing. */
void record_free(struct record *r);

/*
 * Seals n bytes, at most RECORD_PLAIN_MAX, as the next record: length, ciphertext and tag
 * go to out, which has room for n + RECORD_OVERHEAD bytes.  `in` is out + RECORD_LENGTH
 * (sealed in place) or does not overlap them; it may be NULL where n is 0, which seals
 * CLOSE.  The number of bytes written; or ERR_INVALID for more than RECORD_PLAIN_MAX
 * (nothing happened); ERR_CLOSED after CLOSE or when dead; ERR_LIMIT at RECORD_LIMIT,
 * ERR_NOMEM where the engine fails: it is dead.
 */
int record_seal(struct record *r, uint8_t *out, const uint8_t *in, size_t n);

/*
 * The length of the ciphertext that follows these bytes, from RECORD_TAG to
 * RECORD_CIPHER_MAX; or ERR_PROTOCOL for one that is too short to be a record.
 */
int record_length(const uint8_t in[static RECORD_LENGTH]);

/*
 * Opens the next record's complete ciphertext, the n bytes behind its length, to out,
 * which has room for n - RECORD_TAG bytes; out is `in` itself (opened in place) or does
 * not overlap it, and may be NULL where n is RECORD_TAG.  The number of bytes of
 * plaintext, where 0 means CLOSE; or ERR_PROTOCOL where the tag is wrong (a byte changed,
 * a record repeated, reordered or left out), n is out of bounds, or the record comes
 * after CLOSE; ERR_CLOSED when dead; ERR_LIMIT at RECORD_LIMIT; ERR_NOMEM where the
 * engine fails.  After any of these it is dead and out holds nothing of the record.
 */
int record_open(struct record *r, uint8_t *out, const uint8_t *in, size_t n);

#endif
