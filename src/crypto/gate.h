/*
 * gate - who may make a node do curve operations.
 *
 * Message 1 of a secured transport is of a fixed size: the first Noise message, the
 * time, and a MAC of both under a key that only holders of the network secret have.
 * A stranger, or a message that was seen before, costs one MAC; nothing is answered.
 * cloudbus-protocol(7), Message 1.
 *
 * The gate remembers the ephemeral keys of the messages that it let in for as long as
 * their time is acceptable.  When the cache is full the oldest leave, and times up to
 * theirs are refused from then on; so are they when a time has passed, so a wall
 * clock that is set back a little lets in nothing old.  A new gate has seen nothing: a
 * message from less than GATE_SKEW before the process began can pass it once more, which
 * costs curve operations and gives no session, for the replayer cannot make message 3.
 * A clock that is set back by more than twice GATE_SKEW makes it new: otherwise nobody
 * would be let in until it is again where it was.
 *
 * A gate has no secret: its key is the caller's, and nothing of it is left on the stack.
 *
 * All times are of the wall clock, in microseconds since 1970-01-01 00:00 UTC.
 */
#ifndef CB_CRYPTO_GATE_H
#define CB_CRYPTO_GATE_H

#include "base/mem.h"

#include <stddef.h>
#include <stdint.h>

enum {
	GATE_SECRET = 32, /* bytes of the network secret */
	GATE_KEY = 32,    /* bytes of the MAC's key, and of the psk */
	GATE_NOISE = 48,  /* bytes of the Noise message: an ephemeral key, a tag */
	GATE_STAMP = 8,   /* bytes of the time, big-endian */
	GATE_MAC = 32,    /* bytes of the MAC: keyed BLAKE2b of all before it */
	GATE_MESSAGE = GATE_NOISE + GATE_STAMP + GATE_MAC,
	GATE_SKEW = 30 * 1000 * 1000, /* microseconds that a time may be off, either way */
	GATE_SEEN_MAX = 16384,        /* messages remembered */
};

/* The keys are keyed BLAKE2b, of 32 bytes, of these labels (no NUL) under the network secret. */
#define GATE_LABEL_MAC "cloudbus 1 message 1 mac"
#define GATE_LABEL_PSK "cloudbus 1 psk"

struct gate;

struct gate_setup {
	struct mem *mem;
	uint64_t seed;   /* random: of the table of what was seen */
	size_t seen_max; /* 0: GATE_SEEN_MAX; less, for tests */
};

/* The two keys that a network secret stands for. */
void gate_derive(const uint8_t secret[static GATE_SECRET], uint8_t mac_key[static GATE_KEY],
	uint8_t psk[static GATE_KEY]);

/* Writes time and MAC behind the Noise message that is in the first GATE_NOISE bytes of msg. */
void gate_stamp(
	uint8_t msg[static GATE_MESSAGE], const uint8_t mac_key[static GATE_KEY], uint64_t now);

/* A gate that has seen nothing; NULL when there is no memory. */
struct gate *gate_new(const struct gate_setup *setup);

/* NULL does nothing. */
void gate_free(struct gate *g);

/*
 * Judges message 1 by the key of gate_derive that it must be made with, the same in every
 * call of one gate, and remembers it where it passes; the Noise message is then
 * for noise_consume.  0, or
 *   ERR_PROTOCOL  the MAC is wrong: a stranger, or a changed message
 *   ERR_TIMEOUT   its time is more than GATE_SKEW before or after now
 *   ERR_LIMIT     its time is not above what the gate has forgotten: it may be a replay
 *   ERR_INVALID   it was seen: a replay
 *   ERR_NOMEM     it cannot be remembered, so it must not pass
 * The MAC is compared first and in constant time.
 */
int gate_check(struct gate *g, const uint8_t mac_key[static GATE_KEY],
	const uint8_t msg[static GATE_MESSAGE], uint64_t now);

/* Messages remembered now. */
size_t gate_seen(const struct gate *g);

#endif
