/*
 * aead - ChaCha20-Poly1305 of RFC 8439.
 *
 * The same algorithm by two libraries: libsodium always, libcrypto (OpenSSL 3) where
 * configure found it and was not told otherwise (--with-aead).  They give the same
 * bytes.  The first engine of the list is the one measured faster, and is what
 * aead_new takes by default.  One context serves sealing and opening, for all keys.
 *
 * It holds a key only during a call: each gets it anew, and leaves nothing of it, nor of
 * what was made of it, in the context or on the stack below the caller.  Where keys are
 * between calls is the caller's business (locked.h).  libcrypto allocates with its own
 * allocator, not with struct mem.
 */
#ifndef CB_CRYPTO_AEAD_H
#define CB_CRYPTO_AEAD_H

#include "base/mem.h"

#include <stddef.h>
#include <stdint.h>

enum {
	AEAD_KEY = 32,
	AEAD_NONCE = 12,
	AEAD_TAG = 16,
	AEAD_TEXT_MAX = 1 << 30, /* bytes of text, and of associated data, in one call */
};

struct aead;
struct aead_engine;

/* What goes into one call.  A nonce seals once under a key, never twice. */
struct aead_input {
	const uint8_t *key; /* AEAD_KEY bytes */
	uint8_t nonce[AEAD_NONCE];
	const uint8_t *text; /* to seal, or to open with its tag behind it; NULL where n is 0 */
	size_t n;            /* of it, in sealing without and in opening with the tag */
	const uint8_t *ad;   /* associated data; NULL where ad_len is 0 */
	size_t ad_len;
};

/*
 * Once in a process, before all else here: gives libcrypto its set-up without its
 * configuration file, so that no later call opens one.  0, or ERR_NOTFOUND where an
 * engine of this build does not have the cipher.
 */
int aead_init(void);

/* The engines of this build, the default first; NULL behind the last. */
const struct aead_engine *aead_engine(size_t i);

/* "libsodium" or "libcrypto". */
const char *aead_engine_name(const struct aead_engine *engine);

/*
 * A context, by an engine of the list or, for NULL, by its first.  NULL when there is no
 * memory.
 */
struct aead *aead_new(struct mem *mem, const struct aead_engine *engine);

/* NULL does nothing. */
void aead_free(struct aead *a);

/*
 * Writes n + AEAD_TAG bytes to out: ciphertext, tag.  out is in->text itself or does
 * not overlap it.  0; ERR_LIMIT for more than AEAD_TEXT_MAX bytes; ERR_NOMEM where the
 * engine fails.
 */
int aead_seal(struct aead *a, uint8_t *out, const struct aead_input *in);

/*
 * Writes n - AEAD_TAG bytes to out, which is in->text itself or does not overlap it.  0;
 * ERR_PROTOCOL where the tag is wrong or n less than a tag; ERR_LIMIT, ERR_NOMEM as above.
 * Without success those bytes of out are zeros.
 */
int aead_open(struct aead *a, uint8_t *out, const struct aead_input *in);

#endif
