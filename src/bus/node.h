/*
 * node - a running controller or segment: everything its configuration names, started
 * and stopped as a whole.
 */
#ifndef CB_BUS_NODE_H
#define CB_BUS_NODE_H

#include "bus/bus.h"

struct node;

struct node_step; /* a configuration on its way into force */

/* A node that has nothing yet.  0 and *out, or ERR_NOMEM. */
int node_new(struct node **out, struct bus *bus);

/*
 * Of the two steps by which a configuration gets into force, the one that can fail: every
 * address that is new is bound, and all memory is there.  Nothing of it is seen in the process
 * yet, and nobody is heard: who connects waits in the kernel, and nothing is dialled or asked
 * of the DNS before the loop turns, which it must not do before the second step.  Until then
 * the process may still become another user, and load its keys.
 *
 * `conf` is the next configuration, or NULL: the first, which is the bus's already.  0 and
 * *out, for one of the two calls that follow; otherwise all errors have been logged, with
 * address, service and reason, everything is as before, and the configuration is the caller's.
 * Not while the node drains.
 */
int node_prepare(struct node_step **out, struct node *node, struct conf *conf);

/* What a reload did to the services. */
struct node_changes {
	size_t added, removed, changed, unchanged;
};

/*
 * Puts it in force, as the difference to the one before: services that are new begin; of those
 * that are gone, the sessions run on to their end; what has changed counts for new sessions.
 * Nothing else is touched: an address that stays, in whatever section, keeps its socket, and a
 * link that somebody uses stays up.  The configuration is the bus's from now on.
 */
void node_commit(struct node_step *step, struct node_changes *changes);

/*
 * It is not to be: closes what was bound for it, and removes the files of Unix sockets.  All is
 * as before, and the configuration is the caller's.  NULL does nothing.
 */
void node_abandon(struct node_step *step);

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
