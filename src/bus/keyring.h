/*
 * keyring - the keys and the token that this node uses now, and whom it believes no more.
 *
 * Made from the files that [Cloudbus] names, and made anew by keyring_reload(): the old
 * set stays in force where a new file is bad, and until the last handshake that uses it is
 * over.  The revocation list is not part of that: it is read by keyring_reload_list(), so that
 * nobody who is revoked stays because another file is bad, and a list that is bad keeps no
 * fresh token away.  The gates, which know the first messages that were seen, outlive the sets as
 * long as the network secret stays the same.
 *
 * All secrets are in memory that is locked, and are wiped when they are given up.
 */
#ifndef CB_BUS_KEYRING_H
#define CB_BUS_KEYRING_H

#include "crypto/credentials.h"
#include "crypto/gate.h"
#include "crypto/record.h"

#include <stdbool.h>

/* One generation.  Its secrets are not to be kept beyond keyring_drop(). */
struct keyset {
	unsigned refs;
	unsigned generation;             /* another token has another number */
	struct credentials *credentials; /* the list is that of the keyring's present set */
	uint8_t mac_key[KEYFILE_TRUST_KEYS][GATE_KEY]; /* of each network secret */
	uint8_t psk[KEYFILE_TRUST_KEYS][GATE_KEY];
};

struct keyring {
	struct keyset *now;
	struct gate *gate[KEYFILE_TRUST_KEYS];
	struct credentials_source source; /* paths, role, memory; the paths are the owner's */
	struct record_kit kit;            /* of all transports; its locked has seen each set */
};

/*
 * Loads the files that `source` names; its strings must outlive the keyring, and it every
 * transport.  0, or an error
 * as of credentials_load(), with why.
 */
int keyring_init(
	struct keyring *k, const struct credentials_source *source, char why[static WHY_MAX]);

/* What a reload changed; a set of bits. */
enum keyring_change {
	KEYRING_TOKEN = 1 << 0,    /* our token */
	KEYRING_IDENTITY = 1 << 1, /* our key */
	KEYRING_NAME = 1 << 2,     /* our name or customer */
};

/*
 * Loads trust, identity and token of another source, whose `any_time` is set, which is to become
 * the keyring's; its strings may go.  0 and *set, for keyring_adopt() or keyring_drop(); or an
 * error with why.  A token that has expired or is not valid yet is an error, unless it is the
 * present one.
 */
int keyring_prepare(const struct keyring *k, struct keyset **set,
	const struct credentials_source *source, char why[static WHY_MAX]);

/* The set, which is the keyring's then, also on failure, is the present one.  As keyring_reload. */
int keyring_adopt(
	struct keyring *k, struct keyset *set, unsigned *changes, char why[static WHY_MAX]);

/*
 * Loads trust, identity and token again; now: seconds since 1970.  0 and *changes; or an error
 * with why, and everything stays as it was.
 */
int keyring_reload(struct keyring *k, int64_t now, unsigned *changes, char why[static WHY_MAX]);

/* Loads the list again: 0; or an error with why, and the old one stays in force. */
int keyring_reload_list(struct keyring *k, char why[static WHY_MAX]);

/*
 * Loads a list that is to count beside that one, until
 * keyring_drop_also(): one that a configuration names which is not in force.  Likewise.
 */
int keyring_load_also(struct keyring *k, const char *path, char why[static WHY_MAX]);
void keyring_drop_also(struct keyring *k);

/* The present set, held until keyring_drop(). */
struct keyset *keyring_hold(struct keyring *k);

/* NULL does nothing. */
void keyring_drop(struct keyset *set);

/*
 * Judges message 1, of GATE_MESSAGE bytes, as gate_check() does, under each network
 * secret.  0 and *which; or the error.  wall: microseconds since 1970.
 */
int keyring_check(struct keyring *k, const uint8_t *msg, uint64_t wall, size_t *which);

/* Wipes and frees all that is not held. */
void keyring_fini(struct keyring *k);

#endif
