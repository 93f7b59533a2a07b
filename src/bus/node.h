/*
 * node - a running controller or segment: everything its configuration names, started
 * and stopped as a whole.
 */
#ifndef CB_BUS_NODE_H
#define CB_BUS_NODE_H

#include "bus/bus.h"

struct node;

/*
 * Binds every service's address and begins to dial.  0 and *out; otherwise all errors have been
 * logged, with address, service and reason, and nothing is left behind.
 */
int node_start(struct node **out, struct bus *bus);

/* What a reload did to the services. */
struct node_changes {
	size_t added, removed, changed, unchanged;
};

/*
 * Puts another configuration in force, as the difference to the one before: services that are
 * new are bound and begin; of those that are gone, the sessions run on to their end; what has
 * changed counts for new sessions.  Nothing else is touched: an address that stays, in whatever
 * section, keeps its socket, and a link that somebody uses stays up.  0, and the
 * configuration is the bus's; otherwise all errors have been logged, everything is as
 * before, and it is the caller's.  Not while the node drains.
 */
int node_reload(struct node *node, struct conf *conf, struct node_changes *changes);

/*
 * No new sessions; running ones go on.  drained() is called, once, when nothing is left:
 * sessions that were cut off by node_cut() are counted in `cut`.
 */
void node_drain(struct node *node, void (*drained)(void *ctx, size_t cut), void *ctx);

/* Resets the sessions that are left and lets the transports say so, for a second at most. */
void node_cut(struct node *node);

/* Frees it; what is still open is closed the hard way. */
void node_free(struct node *node);

#endif
