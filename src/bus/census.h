/*
 * census - how many transports each authenticated peer has dialled to each address of this
 * node, and may have there: else one bad node could take the places of all.
 *
 * Pure.  A peer is its static key, whatever process of it dials.  One link needs as many as
 * transports=, and as many again while the old ones drain; addresses are counted each by
 * itself, as a peer has a link to each.  Every operation is O(1); it holds one block for each
 * peer and address with a transport, BUS_TRANSPORTS_MAX at most.
 */
#ifndef CB_BUS_CENSUS_H
#define CB_BUS_CENSUS_H

#include "base/addr.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdint.h>

enum {
	CENSUS_OF_PEER = 128, /* accepted transports of a peer at an address */
	CENSUS_KEY = 32,      /* bytes of a static key */
};

/* A peer at an address. */
struct census_peer {
	struct hash_node node;
	struct addr at;
	uint8_t key[CENSUS_KEY];
	unsigned n; /* transports */
};

struct census {
	struct mem *mem;
	uint64_t seed;
	struct hash peers;
};

/* seed: random, for the table. */
void census_init(struct census *c, struct mem *mem, uint64_t seed);

/* All have left. */
void census_fini(struct census *c);

/*
 * One more transport of the peer with this key at this address.  0 and *peer, for
 * census_leave(); ERR_LIMIT: it has CENSUS_OF_PEER there; or ERR_NOMEM.
 */
int census_enter(struct census *c, const uint8_t key[static CENSUS_KEY], const struct addr *at,
	struct census_peer **peer);

/* One of them is over. */
void census_leave(struct census *c, struct census_peer *peer);

#endif
