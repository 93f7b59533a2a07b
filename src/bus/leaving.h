/*
 * leaving - services that a reload has taken away, for as long as their controllers may not
 * know it yet.
 *
 * A segment withdraws a name (roster.h), and meanwhile a session may be on its way to it that the
 * controller would have taken elsewhere, had it known.  So for LEAVING_TIME such a service takes
 * the sessions that come over links that this segment has dialled; then it is retired.  One that
 * a reload brings again before that is taken back, with its sessions and counters.
 */
#ifndef CB_BUS_LEAVING_H
#define CB_BUS_LEAVING_H

#include "bus/directory.h"

#define LEAVING_TIME (2 * CLOCK_SEC) /* many round trips of a path that is of any use */

/* Embed it. */
struct leaving {
	struct directory directory; /* to be looked in behind that of the services that stay */
	struct list gone;           /* struct departure, the first to be retired first */
	struct timer timer;
};

void leaving_init(struct leaving *l, struct bus *bus);

/* Forgets them; they are the caller's to free. */
void leaving_fini(struct leaving *l);

/* The service is in no other directory, and retired later; at once where there is no memory. */
void leaving_add(struct leaving *l, struct egress *e);

/* The one of that name that is leaving, or NULL. */
struct egress *leaving_find(const struct leaving *l, const char *name);

/* It is leaving, and stays after all: it is the caller's again. */
void leaving_take_back(struct leaving *l, struct egress *e);

#endif
