/*
 * generation - one configuration among those that are still in use.
 *
 * A reload makes the next one.  A configuration is never changed, and whatever points into
 * it holds its generation; sessions keep the one they began with.  One that nobody holds any
 * more is freed in a later turn, so that what was ended in this one can still be named in
 * the log.
 */
#ifndef CB_BUS_GENERATION_H
#define CB_BUS_GENERATION_H

#include "base/timers.h"
#include "conf/conf.h"

#include <stdbool.h>
#include <stddef.h>

struct bus;

struct generation {
	const struct conf *conf;
	struct generation *next; /* of those that wait to be freed */
	size_t holders;
};

/* Of a process; in struct bus. */
struct generations {
	struct generation first;    /* whose configuration stays the daemon's */
	struct generation *current; /* held by being it */
	struct generation *unused;  /* to be freed */
	struct timer reap;
	size_t alive; /* with the first */
};

/* bus->conf is the first. */
void generation_init(struct bus *bus);

/* Frees all; nobody may hold any. */
void generation_fini(struct bus *bus);

/* One of this configuration, which it owns from generation_switch() on.  NULL: no memory. */
struct generation *generation_new(struct bus *bus, struct conf *conf);

/* Gives back one that was never switched to; the configuration stays the caller's. */
void generation_free(struct bus *bus, struct generation *g);

/* It is the current one from now on, and bus->conf its configuration. */
void generation_switch(struct bus *bus, struct generation *g);

struct generation *generation_hold(struct generation *g);

/* NULL does nothing. */
void generation_drop(struct bus *bus, struct generation *g);

#endif
