/*
 * entrance - a segment's listening address: transports in, each OPEN to its service.
 *
 * One address may serve several services, told apart by the name in OPEN; an address
 * with one service takes any name, unless it is secured.
 */
#ifndef CB_BUS_ENTRANCE_H
#define CB_BUS_ENTRANCE_H

#include "bus/acceptor.h"
#include "bus/directory.h"

struct entrance {
	struct list node;            /* the node's, of all */
	struct hash_node by_address; /* while a configuration is applied: the node's own */
	struct bus *bus;
	struct acceptor acceptor;
	struct directory directory;
	struct directory next; /* what the directory is to become, while that is prepared */
	struct addr asked;     /* as configured; the port bound may differ */
	bool secured;          /* what the acceptor is to become, likewise */
	bool is_new, wanted;   /* while a configuration is applied */
	bool retired;          /* lives for its transports, and then frees itself */
	size_t n_left;         /* transports, of one that is retired */
	struct loop_work settle;
};

/*
 * Binds the address.  0 and *out; ERR_NOMEM; ERR_SYS with errno.  Nobody is to come in before
 * the first entrance_commit(): the loop does not turn.
 */
int entrance_new(struct entrance **out, struct bus *bus, const struct conf_endpoint *at);

/* Begins to prepare another directory, and whether transports are to be secured. */
void entrance_prepare(struct entrance *en, bool secured);

/* Adds a service to it, whose name is new to it.  0 or ERR_NOMEM. */
int entrance_add(struct entrance *en, struct directory_entry *entry, struct egress *e);

/* It is not used. */
void entrance_abandon(struct entrance *en);

/*
 * It takes the place of the one before.  Transports that came while the address was secured
 * and is so no more, or the other way round, say goodbye.
 */
void entrance_commit(struct entrance *en);

/* No new transports; those that are open, and their sessions, go on. */
void entrance_close(struct entrance *en);

/*
 * It is not in the configuration any more: closed, and its transports say goodbye; it ends
 * with the last of them.
 */
void entrance_retire(struct entrance *en);

/* Its transports must be gone. */
void entrance_free(struct entrance *en);

#endif
