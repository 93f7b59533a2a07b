/*
 * link - this node's relation to one address it dials: transports, reconnecting, health.
 *
 * All who lead to the same resolved address share its link.  On a short path a link
 * keeps one transport warm, because one write for many sessions is cheapest.  On a
 * long one (LINK_LONG_PATH) it opens transports= of them ahead, and new sessions take
 * turns, so that neither one connection's buffer nor one lost packet holds up all; a
 * session stays on the transport it was opened on.  What is lost is dialled anew with
 * jittered exponential back-off.  A transport that is worn out, or that the peer wants
 * no more of, stays until its sessions are over.
 */
#ifndef CB_BUS_LINK_H
#define CB_BUS_LINK_H

#include "base/hash.h"
#include "bus/transport.h"
#include "net/connector.h"

#define LINK_BACKOFF_MIN (100 * CLOCK_MS)
#define LINK_BACKOFF_MAX (5 * CLOCK_SEC)
#define LINK_LASTED (1 * CLOCK_SEC) /* a transport that did resets the back-off */
#define LINK_CONNECT_TIMEOUT (5 * CLOCK_SEC)
#define LINK_LONG_PATH (2 * CLOCK_MS) /* round trip above which one transport is too few */

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
	struct transport *ready[CONF_TRANSPORTS_MAX]; /* open to new sessions */
	unsigned n_ready, turn;
	unsigned wanted;        /* transports, by the length of the path */
	struct transport *next; /* its HELLO is not in yet, or NULL */
	size_t n_transports;    /* with those that are on their way out */
	uint64_t backoff;       /* microseconds; the next pause is up to this */
	uint64_t tried;         /* when the last attempt began */
	uint64_t ready_at;      /* when a transport last became ready */
	bool complained;        /* its failure was logged */
	uint64_t awaited;       /* until when a session waits for it */
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

/*
 * A session waits for it, until then (microseconds): tries at once instead of at the end of
 * its pause, and with short pauses as long.
 */
void link_kick(struct link *link, uint64_t until);

#endif
