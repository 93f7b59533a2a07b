/*
 * suite - the constants of a secured transport that belong to no single module.
 *
 * cloudbus-protocol(7), SECURED TRANSPORTS, has them too; a test compares.  There
 * is one suite and nothing is negotiated:
 *
 *     message 1   dialler to acceptor   SUITE_MESSAGE_1 bytes, made in two steps:
 *                                       noise_create, then gate_stamp
 *     message 2   acceptor to dialler   length, Noise message; payload: a token
 *     message 3   dialler to acceptor   length, Noise message; payload: a token
 *     records     both ways             record.h, keys of noise_split
 *
 * A length is SUITE_LENGTH bytes, big-endian, of what follows it.
 *
 * A process calls aead_init(), and so sodium_init(), before anything else of this layer.
 */
#ifndef CB_CRYPTO_SUITE_H
#define CB_CRYPTO_SUITE_H

#include "crypto/gate.h"
#include "crypto/noise.h"

#define SUITE_NAME "Noise_XXpsk3_25519_ChaChaPoly_BLAKE2b"
#define SUITE_PATTERN NOISE_XXPSK3

/* The prologue of the handshake: the protocol's name, and its version in two bytes. */
#define SUITE_PROLOGUE "cloudbus\0\1"

enum {
	SUITE_VERSION = 1,       /* of secured transports: the end of the prologue */
	SUITE_PROLOGUE_LEN = 10, /* bytes of SUITE_PROLOGUE */
	SUITE_LENGTH = 2,        /* bytes of the length before messages 2 and 3 */
	SUITE_TOKEN_MAX = 4096,  /* bytes of a token */
	SUITE_MESSAGE_1 = GATE_MESSAGE,
	/* What the Noise messages 2 and 3 have beyond the token: keys and tags. */
	SUITE_OVERHEAD_2 = NOISE_KEY + (NOISE_KEY + NOISE_TAG) + NOISE_TAG,
	SUITE_OVERHEAD_3 = (NOISE_KEY + NOISE_TAG) + NOISE_TAG,
	/* Bounds of the lengths of messages 2 and 3; one out of them ends the transport. */
	SUITE_MESSAGE_2_MIN = SUITE_OVERHEAD_2 + 1,
	SUITE_MESSAGE_2_MAX = SUITE_OVERHEAD_2 + SUITE_TOKEN_MAX,
	SUITE_MESSAGE_3_MIN = SUITE_OVERHEAD_3 + 1,
	SUITE_MESSAGE_3_MAX = SUITE_OVERHEAD_3 + SUITE_TOKEN_MAX,
};

#endif
