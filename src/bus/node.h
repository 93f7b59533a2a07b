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
