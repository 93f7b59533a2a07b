/*
 * listen - a listening socket in the loop, that pauses when descriptors run out.
 */
#ifndef CB_BUS_LISTEN_H
#define CB_BUS_LISTEN_H

#include "base/hash.h"
#include "bus/bus.h"
#include "net/sock.h"

#define LISTEN_PAUSE (100 * CLOCK_MS) /* after EMFILE and the like */
enum {
	LISTEN_BACKLOG = 4096,
	LISTEN_BURST = 64, /* connections accepted in one turn */
};

struct listen {
	struct loop_fd lfd;
	struct bus *bus;
	void *owner;                 /* whose the connections are; it may change */
	struct addr asked;           /* as configured; the port bound may differ */
	struct hash_node by_address; /* while a configuration is applied: node's own */
	struct sock_listener sock;
	struct timer pause;
	struct loop_work settle;
	bool secured;  /* what is accepted, for the log; the owner's to set, before the start too */
	bool given;    /* to another user than who bound it: bus->sockets */
	bool short_of; /* descriptors or memory: said so, and not recovered yet */
	/* A connection came; fd is the callee's. */
	void (*accepted)(struct listen *l, int fd, const struct addr *peer);
};

/*
 * Binds and listens; a Unix socket's file is given to bus->sockets.  0, or ERR_SYS with errno.
 */
int listen_start(struct listen *l, struct bus *bus, const struct addr *addr,
	void (*accepted)(struct listen *l, int fd, const struct addr *peer));

/*
 * Closes it and removes its Unix socket file; does nothing if it is closed.  The file of a
 * socket that was given may stay, in a folder that is not its user's: whoever binds it next, as
 * the one who did first, replaces it.
 */
void listen_stop(struct listen *l);

#endif
