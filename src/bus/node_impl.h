/*
 * node_impl - what the files of node share.
 *
 * A node is whatever its configuration names.  To start is to apply the first configuration
 * to a node that has nothing; to reload is to apply the next one.  Either way all that can fail
 * is prepared first; nothing of it is seen by anybody, as the loop does not turn meanwhile.
 * Only when all is there is it put in force, which cannot fail; otherwise it is given back.
 * At the start the daemon gives up its privileges between the two.
 */
#ifndef CB_BUS_NODE_IMPL_H
#define CB_BUS_NODE_IMPL_H

#include "bus/entrance.h"
#include "bus/ingress.h"
#include "bus/leaving.h"
#include "bus/node.h"
#include "bus/uplink.h"

struct node {
	struct bus *bus;
	struct link_table links; /* controller; its `stopped` holds for uplinks too */

	struct registry registry; /* controller */
	struct list ingresses;    /* also those that are retired; all lists likewise */
	struct list acceptors;

	struct directory directory;      /* segment: all services, for uplinks */
	struct directory_entry *entries; /* of all directories */
	struct leaving leaving;
	struct roster roster;
	struct list services; /* struct egress */
	struct list entrances;
	struct list uplinks;

	struct timer patience; /* for the last goodbyes */
	void (*drained)(void *ctx, size_t cut);
	void *ctx;
	size_t cut;
	struct loop_work finish;
};

/* One configuration on its way into force. */
struct node_step {
	struct node *node;
	struct generation *g; /* the current one at the start */
	const struct conf *conf;
	struct controller_plan *controller; /* of the one role or the other: its own */
	struct segment_plan *segment;
	struct node_changes changes;
	int failed; /* what has failed, and been logged; the rest is tried for its errors */
};

/* Logs what is wrong with a service, and notes that the step fails. */
void node_complain(struct node_step *step, const struct conf_service *conf, int rc);

/* The same, of no memory. */
void node_no_memory(struct node_step *step);

/* A service's name, as a hash without regard to the case of letters. */
uint64_t node_name_hash(const struct node *node, const char *name);

/* Counts what a service has become: `old` is NULL where it is new. */
void node_count(
	struct node_step *step, const struct conf_service *old, const struct conf_service *conf);

#endif
