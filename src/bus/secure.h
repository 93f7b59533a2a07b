/*
 * secure - one secured connection: its handshake, then its records.
 *
 * Sans-I/O: bytes in, bytes out, the time is an argument.  The handshake tells how many
 * bytes it wants and is given just those, so that nothing is read ahead of what it has
 * proved: message 1 has a fixed size, and the rest of a message is wanted only when its
 * length is known and within the bounds of a token.  When it is done secure_open() and
 * secure_seal() take over.  cloudbus-protocol(7), SECURED TRANSPORTS.
 *
 * Any failure is final.  `why` is for the log of this side; the peer is told nothing.
 */
#ifndef CB_BUS_SECURE_H
#define CB_BUS_SECURE_H

#include "bus/keyring.h"
#include "crypto/noise.h"
#include "crypto/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secure;

/* Who may be talked to; asked as soon as a key is proved, before any signature is looked at. */
struct secure_door {
	bool (*knows_no_harm)(void *ctx, const uint8_t key[static KEYFILE_KEY]);
	void *ctx;
};

struct secure_setup {
	struct mem *mem;                /* the keyring's too */
	struct keyring *keyring;        /* outlives it, and has the memory for its keys */
	enum noise_side side;           /* the one that dialled is NOISE_INITIATOR */
	enum token_role peer;           /* what the peer's token must say */
	const struct secure_door *door; /* NULL: everybody; outlives the handshake */
	uint64_t wall;                  /* microseconds since 1970 */
};

/* What is to be made of a failure. */
enum secure_fault {
	SECURE_FINE,
	SECURE_STRANGER,  /* the MAC of message 1 is wrong: another network secret, or none */
	SECURE_TOO_LATE,  /* its time is off, or it was seen before */
	SECURE_BROKEN,    /* a message or record that does not hold, by accident or on purpose */
	SECURE_UNWELCOME, /* the peer's key is known, and its token is refused */
	SECURE_PAUSED,    /* its key has a pause, for a token that was refused before */
	SECURE_INTERNAL,  /* memory */
};

/* 0 and *out, the first message ready where this side dialled; or ERR_NOMEM with why. */
int secure_new(struct secure **out, const struct secure_setup *setup, char why[static WHY_MAX]);

/* Wipes and frees; NULL does nothing. */
void secure_free(struct secure *s);

/* --- the handshake ------------------------------------------------------------------ */

/* How many bytes it can take now, at least 1; 0: none, it is done or has failed. */
size_t secure_wants(const struct secure *s);

/*
 * Takes n <= secure_wants() bytes.  0; or an error with why, and secure_fault() says what
 * kind: the connection is to be closed without a word.
 */
int secure_take(
	struct secure *s, const uint8_t *p, size_t n, uint64_t wall, char why[static WHY_MAX]);

/* What is to be sent, and that n bytes of it were. */
const uint8_t *secure_output(const struct secure *s, size_t *n);
void secure_sent(struct secure *s, size_t n);

/* Whether the other side has shown that it has the network secret; on the dialling side never. */
bool secure_is_proven(const struct secure *s);

/* Whether it is over, well, and all of it was sent. */
bool secure_is_done(const struct secure *s);

enum secure_fault secure_fault(const struct secure *s);

/* --- the peer ----------------------------------------------------------------------- */

/* What its token says; NULL before it was believed. */
const struct token *secure_peer(const struct secure *s);

/* The key it has proved to have, KEYFILE_KEY bytes; NULL before that. */
const uint8_t *secure_peer_key(const struct secure *s);

/* "node NAME", or "the peer" before the name is proved. */
const char *secure_peer_name(const struct secure *s);

/* Our token as the peer has it: what it judges us by.  NULL before it was sent. */
const struct token *secure_own(const struct secure *s);

/* Whether that is of the node that the present set is of: the same key, name and customer. */
bool secure_is_current(const struct secure *s, const struct keyring *k);

/*
 * Our token of the present set, and its length in *n, where the peer does not have it yet and
 * can do something with it: take it, as it is of the same node; or dial anew, if it has dialled.
 * Else NULL.
 */
const char *secure_news(const struct secure *s, const struct keyring *k, size_t *n);

/* The peer has been sent it. */
void secure_told(struct secure *s, const struct keyring *k);

enum { SECURE_ANOTHER = 1 }; /* of secure_renew() */

/*
 * The peer sent a fresh token.  0: it is in force; ERR_NOTFOUND: it is the one that
 * is; SECURE_ANOTHER: it holds, but for another key, name or customer, so the old one stays, and a
 * connection that is made anew would be of that; or an error with why, and the old one stays.
 */
int secure_renew(struct secure *s, const struct keyring *k, const uint8_t *text, size_t n,
	int64_t now, char why[static WHY_MAX]);

/*
 * Whether the peer would still be let in: as credentials_admit(), with the present keys
 * and list.
 */
int secure_judge(
	const struct secure *s, const struct keyring *k, int64_t now, char why[static WHY_MAX]);

/* --- records ------------------------------------------------------------------------- */

/* What a record held. */
struct secure_plain {
	size_t n;
	bool close; /* it was CLOSE: nothing follows */
};

/*
 * Opens the record that the n bytes at p begin with, to `to`, where there is room for as many
 * as it has.  The bytes of the record; 0: it is not there whole; or ERR_PROTOCOL, ERR_LIMIT or
 * ERR_NOMEM: it is dead.
 */
int secure_open(
	struct secure *s, uint8_t *to, const uint8_t *p, size_t n, struct secure_plain *out);

/* Whether the peer's CLOSE came. */
bool secure_is_closed(const struct secure *s);

/* Bytes that n bytes become, in records of at most `most` each. */
size_t secure_sealed_size(size_t n, size_t most);

/*
 * Seals n bytes as records of at most `most` (1 .. RECORD_PLAIN_MAX) bytes each to out,
 * which has secure_sealed_size() bytes and does not overlap them; n is 0 for CLOSE.  0, or
 * an error: it is dead.
 */
int secure_seal(struct secure *s, uint8_t *out, const uint8_t *in, size_t n, size_t most);

#endif
