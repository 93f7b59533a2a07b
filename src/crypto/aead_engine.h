/*
 * aead_engine - what aead.c asks of a library that has ChaCha20-Poly1305.
 *
 * A context is `size` bytes that aead.c allocates zeroed.  It has nothing of a key when a
 * call returns, whatever it returns; the stack is wiped by aead.c.  Bounds were checked.
 */
#ifndef CB_CRYPTO_AEAD_ENGINE_H
#define CB_CRYPTO_AEAD_ENGINE_H

#include "crypto/aead.h"

struct aead_engine {
	const char *name;
	size_t size;
	int (*init)(void); /* as aead_init */
	/* 0, or ERR_NOMEM, after which fini is called all the same. */
	int (*begin)(void *context);
	void (*fini)(void *context);
	/* As aead_seal: 0 or ERR_NOMEM. */
	int (*seal)(void *context, uint8_t *out, const struct aead_input *in);
	/* As aead_open, but that aead.c wipes `out` after a failure; in->n is at least a tag. */
	int (*open)(void *context, uint8_t *out, const struct aead_input *in);
};

extern const struct aead_engine aead_sodium;
extern const struct aead_engine aead_libcrypto; /* where HAVE_LIBCRYPTO */

#endif
