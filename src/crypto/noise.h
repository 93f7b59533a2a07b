/*
 * noise - handshakes of the Noise Protocol Framework, revision 34.
 *
 * Noise_PATTERN_25519_ChaChaPoly_BLAKE2b, of libsodium's primitives, for the
 * patterns of the enum below; cloudbus uses NOISE_XXPSK3.  One side's state is a
 * struct noise inside its owner.  The sides take turns, the initiator first:
 * noise_create makes the next message, noise_consume takes the other's.
 *
 * Both work on a copy: a call that fails changes nothing but the buffer for its
 * result, so that the genuine message still succeeds after a bad one.  What
 * they leave on the stack is wiped.  Whether to go on after a failure is the
 * caller's decision; a transport ends.
 *
 * No call reads a clock, does I/O or allocates.
 */
#ifndef CB_CRYPTO_NOISE_H
#define CB_CRYPTO_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	NOISE_KEY = 32,  /* bytes of an X25519 key, public or secret, of a psk, of a split key */
	NOISE_TAG = 16,  /* bytes that encryption adds */
	NOISE_HASH = 64, /* bytes of the handshake hash */
	NOISE_MESSAGE_MAX = 65535, /* bytes of any Noise message */
};

enum noise_pattern {
	NOISE_NN,
	NOISE_X,
	NOISE_XK,
	NOISE_XX,
	NOISE_IK,
	NOISE_XXPSK3,
	NOISE_IKPSK2,
	NOISE_PATTERNS
};

enum noise_side { NOISE_INITIATOR, NOISE_RESPONDER };

/* All pointers are read during noise_start and not kept. */
struct noise_setup {
	enum noise_pattern pattern;
	enum noise_side side;
	const void *prologue; /* what both sides must agree on; NULL where its length is 0 */
	size_t prologue_len;
	const uint8_t *psk;           /* NOISE_KEY bytes; NULL where the pattern has none */
	const uint8_t *static_secret; /* NOISE_KEY bytes; NULL where this side has none */
	const uint8_t *static_public; /* of static_secret; NULL: computed, one curve operation */
	const uint8_t *remote_static; /* where the pattern knows it before; else NULL */
	const uint8_t *ephemeral;     /* secret half, for tests; NULL: drawn by randombytes_buf */
};

/* Opaque but for its size. */
struct noise {
	enum noise_pattern pattern;
	enum noise_side side;
	unsigned message; /* messages made and taken so far */
	bool keyed;       /* whether k holds a key */
	bool peer_known;  /* whether rs holds the peer's key */
	uint64_t nonce;
	uint8_t ck[NOISE_HASH], h[NOISE_HASH], k[NOISE_KEY], psk[NOISE_KEY];
	uint8_t s[NOISE_KEY], s_public[NOISE_KEY], e[NOISE_KEY], e_public[NOISE_KEY];
	uint8_t rs[NOISE_KEY], re[NOISE_KEY];
};

/*
 * Starts a handshake.  0, or ERR_INVALID where a key that the pattern needs on this
 * side is missing or one is given that it does not use; then n is wiped.
 */
int noise_start(struct noise *n, const struct noise_setup *setup);

/* Whether it is this side's turn to make a message (true) or to take one; false when done. */
bool noise_sends(const struct noise *n);

/*
 * How many bytes the next message, whoever makes it, has beyond its payload; 0 when
 * done.  A message that is shorter is never valid.
 */
size_t noise_overhead(const struct noise *n);

/*
 * Makes the next message with a payload of `len` bytes (0 is allowed; payload may then
 * be NULL) into msg, which has `room` bytes and does not overlap the payload, and says
 * its length.  0; ERR_INVALID when it is not this side's turn; ERR_LIMIT where the
 * message does not fit into room or is longer than NOISE_MESSAGE_MAX; ERR_PROTOCOL
 * where a key of the peer gives an all-zero secret.  Without success *msg_len is 0.
 */
int noise_create(struct noise *n, const uint8_t *payload, size_t len, uint8_t *msg, size_t room,
	size_t *msg_len);

/*
 * Takes the peer's message of `len` bytes and writes its payload, of `len` less
 * noise_overhead() bytes, into payload, which has `room` bytes and does not overlap
 * msg.  0; ERR_INVALID when it is not the peer's turn; ERR_LIMIT where the payload does
 * not fit into room (the message was not looked at); ERR_PROTOCOL where the message is
 * too short or too long, its tags are wrong (another key, psk or prologue, or a byte
 * changed), or a key in it gives an all-zero secret.  Without success *payload_len is 0
 * and payload holds nothing of the message.
 */
int noise_consume(struct noise *n, const uint8_t *msg, size_t len, uint8_t *payload, size_t room,
	size_t *payload_len);

/* Whether all messages were made and taken. */
bool noise_done(const struct noise *n);

/*
 * The peer's static public key, NOISE_KEY bytes inside n, or NULL while it is not known.
 * It belongs to the peer for certain only where the peer has sent a message behind it:
 * for XXpsk3 in both directions when done.
 */
const uint8_t *noise_peer(const struct noise *n);

/* The handshake hash, NOISE_HASH bytes inside n: the same on both sides when done. */
const uint8_t *noise_hash(const struct noise *n);

/*
 * The keys of the transport when done: the one this side sends with, the one it
 * receives with.  (In a one-way pattern only the initiator's sending key is used.)
 * 0, or ERR_INVALID before the end.  n keeps its secrets: wipe it.
 */
int noise_split(
	const struct noise *n, uint8_t send[static NOISE_KEY], uint8_t receive[static NOISE_KEY]);

/* Overwrites all of it with zeros; it can be started again.  Also on a zeroed struct. */
void noise_wipe(struct noise *n);

#endif
