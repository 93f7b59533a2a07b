/*
 * turns - which of the segments that serve a name gets a new session, and on which of its
 * transports.
 */
#ifndef CB_BUS_TURNS_H
#define CB_BUS_TURNS_H

#include "bus/registry.h"

enum { TURNS_SCAN = 64 }; /* peers that are looked at for one session, at most */

/*
 * The transport for a new session: of the next peer in turn, or of the one with the fewest
 * streams of the next TURNS_SCAN, which costs as many looks.  NULL when there is none, or
 * none that allows a further stream.
 */
struct transport *turns_next(struct offers_name *name, enum conf_balance balance);

/* A transport of each peer that serves it, `room` at most.  How many. */
size_t turns_all(struct offers_name *name, struct transport **t, size_t room);

#endif
