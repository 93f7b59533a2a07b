/*
 * link - this node's relation to one address it dials, shared by all who lead there.
 *
 * Dialling, reconnecting and health are the dialer's; a link adds who uses it.
 */
#ifndef CB_BUS_LINK_H
#define CB_BUS_LINK_H

#include "base/hash.h"
#include "bus/dialer.h"

/* All links of a process, by address. */
struct link_table {
	struct bus *bus;
	struct hash table;
	bool stopped;
};

struct link {
	struct hash_node node;
	struct link_table *links;
	struct list watchers; /* struct link_watch */
	struct dialer dialer;
};

/* Plain and secured links to one address are two. */
struct link_address {
	const struct addr *addr;
	bool secured;
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
int link_watch(struct link_watch *w, struct link_table *links, const struct link_address *to);

/* Stops using it; the last one closes it, once its sessions are over. */
void link_unwatch(struct link_watch *w);

/* The transport to open new sessions on, or NULL. */
struct transport *link_transport(struct link *link);

/* Whether it is up, though perhaps at its limit of streams. */
bool link_is_up(const struct link *link);

/* As dialer_kick(). */
void link_kick(struct link *link, uint64_t until);

#endif
