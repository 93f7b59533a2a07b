/*
 * aead_engine - what aead.c asks of a library that has ChaCha20-Poly1305.
 *
 * A context is `size` bytes that aead.c allocates zeroed and wipes before it frees them.
 * Bounds were checked, and nothing is retried: after a failure that is not of the tag
 * the context is only finished.
 */
#ifndef CB_CRYPTO_AEAD_ENGINE_H
#define CB_CRYPTO_AEAD_ENGINE_H

#include "crypto/aead.h"

struct aead_engine {
	const char *name;
	size_t size;
	int (*init)(void); /* as aead_init */
	/* The first key or another: 0, or ERR_NOMEM, after which fini is called all the same. */
	int (*set_key)(void *context, const uint8_t key[AEAD_KEY]);
	void (*fini)(void *context);
	/* As aead_seal: 0 or ERR_NOMEM. */
	int (*seal)(void *context, uint8_t *out, const struct aead_input *in);
	/* As aead_open, but that aead.c wipes `out` after a failure; in->n is at least a tag. */
	int (*open)(void *context, uint8_t *out, const struct aead_input *in);
};

extern const struct aead_engine aead_sodium;
extern const struct aead_engine aead_libcrypto; /* where HAVE_LIBCRYPTO */

#endif
