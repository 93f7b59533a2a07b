/*
 * lobby - where accepted connections wait until they have proved who they are.
 *
 * One a process, for all its secured addresses: the doorman's limits hold for them
 * together.  A connection that is refused, by the doorman or by its own handshake, is
 * closed without a word, and its line in the log has the reason (chatter.h).
 */
#ifndef CB_BUS_LOBBY_H
#define CB_BUS_LOBBY_H

#include "bus/bus.h"
#include "bus/census.h"
#include "bus/chatter.h"
#include "bus/doorman.h"
#include "bus/secure.h"

struct lobby {
	struct bus *bus;
	struct doorman doorman;
	struct census census; /* of the guests */
	struct secure_door door;
	struct list unproven, proven, waiting; /* struct visitor */
	struct loop_work call;                 /* of those that wait */
	struct chatter chatter;
};

/* Where a guest is counted; zeroed, nowhere. */
struct lobby_seat {
	struct doorman_source *source;
	struct census_peer *peer;
};

/* A connection that has proved who it is. */
struct lobby_guest {
	int fd;                 /* the callee's */
	struct secure *secure;  /* likewise */
	struct lobby_seat seat; /* for lobby_farewell() when the transport is over */
	const struct addr *peer;
};

/* Who let the connection in. */
struct lobby_host {
	void (*welcome)(struct lobby_host *host, const struct lobby_guest *guest);
	enum token_role peer;  /* what its peers must be */
	const struct addr *at; /* where they dial to; lives as long as the host lets in */
};

void lobby_init(struct lobby *lobby, struct bus *bus);

/* All who are in it are gone. */
void lobby_fini(struct lobby *lobby);

/* Takes an accepted connection; host->welcome() is called if it proves itself. */
void lobby_enter(struct lobby *lobby, struct lobby_host *host, int fd, const struct addr *peer);

/* The host lets nobody in any more; who came by it is closed. */
void lobby_close(struct lobby *lobby, const struct lobby_host *host);

/* A guest's transport is over; does nothing for one that was counted nowhere. */
void lobby_farewell(struct lobby *lobby, const struct lobby_seat *seat);

#endif
