/*
 * acceptor - a segment's listening address: transports in, each OPEN to its service.
 *
 * One address may serve several services, told apart by the name in OPEN; an address
 * with one service takes any name.
 */
#ifndef CB_BUS_ACCEPTOR_H
#define CB_BUS_ACCEPTOR_H

#include "bus/egress.h"
#include "bus/listen.h"

struct acceptor {
	struct listen listen;
	struct bus *bus;
	struct addr asked; /* as configured; the port bound may differ */
	int broken;        /* what acceptor_start() said */
	struct hash by_name;
	struct egress *only; /* the service, where there is just one */
};

/* Binds the address.  0, or ERR_SYS with errno.  acceptor_stop() must follow in any case. */
int acceptor_start(struct acceptor *a, struct bus *bus, const struct addr *addr);

/* Adds a service, whose name is new to it.  0 or ERR_NOMEM.  The egress stays the caller's. */
int acceptor_add(struct acceptor *a, struct egress *e, const struct conf_service *conf);

/* No new transports; those that are open, and their sessions, go on. */
void acceptor_close(struct acceptor *a);

/* Frees what it holds; its transports must be gone. */
void acceptor_stop(struct acceptor *a);

#endif
