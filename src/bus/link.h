/*
 * link - this node's relation to one address it dials: transports, reconnecting, health.
 *
 * All who lead to the same resolved address share its link.  A link keeps one transport
 * that is open to new sessions warm, and begins anew with jittered exponential
 * back-off when it is lost.  A transport that is worn out, or that the peer wants no
 * more of, stays until its sessions are over.
 */
#ifndef CB_BUS_LINK_H
#define CB_BUS_LINK_H

#include "base/hash.h"
#include "bus/transport.h"
#include "net/connector.h"

#define LINK_BACKOFF_MIN (100 * CLOCK_MS)
#define LINK_BACKOFF_MAX (5 * CLOCK_SEC)
#define LINK_CONNECT_TIMEOUT (5 * CLOCK_SEC)

/* All links of a process, by address. */
struct link_table {
	struct bus *bus;
	struct hash table;
	bool stopped;
};

struct link {
	struct hash_node node;
	struct link_table *links;
	struct addr addr;
	struct list watchers; /* struct link_watch */
	struct connector connector;
	struct timer retry;
	struct transport *current; /* open to new sessions, or NULL */
	struct transport *next;    /* its HELLO is not in yet, or NULL */
	size_t n_transports;       /* with those that are on their way out */
	uint64_t backoff;          /* microseconds; the next pause is up to this */
	uint64_t tried;            /* when the last attempt began */
	bool complained;           /* its failure was logged */
};

/* Someone who uses a link and wants to know when it comes up. */
struct link_watch {
	struct list node;
	struct link *link;
	void (*up)(struct link_watch *w);
};

void link_table_init(struct link_table *links, struct bus *bus);

/* No link dials any more; all say goodbye. */
void link_table_stop(struct link_table *links);

/* Every transport is gone. */
void link_table_fini(struct link_table *links);

/*
 * Begins to use the link to an address, which is made and dialled if it is new.
 * 0 or ERR_NOMEM.
 */
int link_watch(struct link_watch *w, struct link_table *links, const struct addr *addr);

/* Stops using it; the last one closes it, once its sessions are over. */
void link_unwatch(struct link_watch *w);

/* The transport to open new sessions on, or NULL. */
struct transport *link_transport(struct link *link);

/* A session waits for it: tries at once instead of at the end of its pause. */
void link_kick(struct link *link);

#endif
