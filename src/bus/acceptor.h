/*
 * acceptor - an address to which other nodes dial their transports.
 *
 * Where it is secured they go through the lobby first.
 */
#ifndef CB_BUS_ACCEPTOR_H
#define CB_BUS_ACCEPTOR_H

#include "bus/listen.h"
#include "bus/lobby.h"
#include "bus/transport.h"

struct acceptor {
	struct list node; /* the owner's */
	struct listen listen;
	struct bus *bus;
	const struct transport_ops *ops;
	void *owner;
	bool secured;
	struct lobby_host host; /* where it is */
};

struct acceptor_options {
	struct addr addr;
	bool secured;                    /* the bus has a guard before the loop turns */
	const struct transport_ops *ops; /* of the transports that come in */
	void *owner;                     /* likewise */
};

/* Binds the address.  0, or ERR_SYS with errno.  acceptor_close() may follow in any case. */
int acceptor_start(struct acceptor *a, struct bus *bus, const struct acceptor_options *opt);

/*
 * Whether who comes from now on must be secured.  Where that changes, those who came by it
 * before say goodbye, as in acceptor_retire().
 */
void acceptor_set_secured(struct acceptor *a, bool secured);

/*
 * Its address is not in the configuration any more: acceptor_close(), and those who came by it
 * say goodbye.  Their sessions go on, new ones are not opened on them, and they know nothing of
 * the acceptor any more.
 */
void acceptor_retire(struct acceptor *a);

/* No new transports; those that are open, and their sessions, go on. */
void acceptor_close(struct acceptor *a);

#endif
