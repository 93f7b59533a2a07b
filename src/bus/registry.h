/*
 * registry - the segments that have dialled this controller, and the names that they serve:
 * cloudbus-protocol(7), ANNOUNCE.
 *
 * A peer is one process, whatever number of transports it has dialled: its HELLO's instance,
 * together with its authenticated name where there is one.  Which names lead to which peers
 * is kept in offers.h.
 * Of a peer on a secured transport only those names are believed that its token allows.
 * A peer whose last transport is lost, or goes away, serves nothing from then on.
 */
#ifndef CB_BUS_REGISTRY_H
#define CB_BUS_REGISTRY_H

#include "base/hash.h"
#include "bus/acceptor.h"
#include "bus/offers.h"

enum {
	REGISTRY_COMPLAINTS = 16, /* names of a peer whose refusal is logged one by one */
};

struct registry {
	struct bus *bus;
	struct hash peers, nodes; /* by instance, by authenticated name */
	struct offers offers;
};

void registry_init(struct registry *reg, struct bus *bus);

/* Its transports and its users' names must be gone. */
void registry_fini(struct registry *reg);

/* What the acceptors of its transports are to be given as ops; the owner is the registry. */
const struct transport_ops *registry_transport_ops(void);

#endif
