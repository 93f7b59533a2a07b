/*
 * roster - the names that a segment serves, announced on every transport it has dialled:
 * cloudbus-protocol(7), ANNOUNCE.
 *
 * Names stand in one list, in the order of their last change; each transport has a place in
 * it, and gets what is behind that place, a frame at a time.  So nothing is queued for a
 * transport, whatever its pace.  A name that is withdrawn stays in the list until the next
 * change; a transport that has not got so far by then begins anew with the whole list.
 * A node of another customer gets an empty list, and no change of it.
 *
 * Behind the last of the names the peer is asked (transport_ask), so that ops->heard() tells
 * when it knows all.
 */
#ifndef CB_BUS_ROSTER_H
#define CB_BUS_ROSTER_H

#include "base/hash.h"
#include "bus/transport.h"

struct roster {
	struct bus *bus;
	struct hash by_name;
	struct list names;   /* struct roster_name */
	struct list readers; /* a transport's place each */
	uint32_t version;    /* rises with each change */
	uint32_t wishes;     /* rises with each roster_set(), whether it changes anything or not */
};

void roster_init(struct roster *r, struct bus *bus);

/* Its transports must have left. */
void roster_fini(struct roster *r);

/*
 * From now on these services are served, and no others: the difference is announced.  Their
 * names are copied.  0; ERR_LIMIT (more than WIRE_NAMES_MAX) or ERR_NOMEM: all as before.
 */
int roster_set(struct roster *r, const struct conf_service *services, size_t n);

/*
 * A transport is ready: announces the whole list on it, and changes from then on.  Uses its
 * `aside`.  0 or ERR_NOMEM.
 */
int roster_join(struct roster *r, struct transport *t);

/*
 * A link leads from now on to a node that sees another list: what it gets when it joins has a
 * version of its own, and so drops what was announced to it before.
 */
void roster_renumber(struct roster *r);

/* There is room on the transport for the next part; does nothing if it has not joined. */
void roster_more(struct roster *r, struct transport *t);

/* The transport is over; does nothing if it has not joined. */
void roster_leave(struct roster *r, struct transport *t);

/* Announces the whole list anew: the peer may believe more of it now. */
void roster_repeat(struct roster *r, struct transport *t);

#endif
