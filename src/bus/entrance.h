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
	struct acceptor acceptor;
	struct directory directory;
	struct addr asked; /* as configured; the port bound may differ */
	int broken;        /* what entrance_start() said */
};

/* Binds the address.  0, or ERR_SYS with errno.  entrance_stop() must follow in any case. */
int entrance_start(struct entrance *en, struct bus *bus, const struct conf_endpoint *at);

/* Adds a service, whose name is new to it.  0 or ERR_NOMEM. */
int entrance_add(struct entrance *en, struct directory_entry *entry, struct egress *e);

/* No new transports; those that are open, and their sessions, go on. */
void entrance_close(struct entrance *en);

/* Frees what it holds; its transports must be gone. */
void entrance_stop(struct entrance *en);

#endif
