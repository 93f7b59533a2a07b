/*
 * exchange - connections that each send a request and wait for all of it to come back,
 * one at a time: what request/response, connection rate, first byte and idle sessions
 * have in common.
 *
 * An exchange that is broken or takes too long ends its connection and is counted; a
 * reply that differs from the request is corrupt.
 */
#ifndef CB_BENCH_EXCHANGE_H
#define CB_BENCH_EXCHANGE_H

#include "ev.h"
#include "hist.h"
#include "options.h"

enum { EXCHANGE_BROKEN_MAX = 1000 }; /* begins no more after so many */

/* Connections with the same work and their figures.  done counts, and hist times, what
 * began after the warm-up and was over in time; total counts everything. */
struct exchange_group {
	uint64_t size; /* bytes, 1 to PATTERN_RUN */
	uint64_t done, total, last;
	struct hist hist;
};

struct exchange_conn {
	struct ev ev;
	struct exchange *x;
	struct exchange_group *group;
	size_t id;
	uint64_t sequence, began, sent, received;
	bool connected, busy;
};

struct exchange {
	const struct options *o;
	struct exchange_conn *conn;
	size_t conns;
	void (*next)(struct exchange_conn *c); /* when an exchange is over, in whatever way */
	bool fresh;                            /* a connection carries one exchange only */
	bool first_byte;                       /* an exchange is over with its first byte */
	uint64_t start, count_from, until;     /* times; none begins after `until` */
	uint64_t opened, busy, broken, corrupt, timeouts;
};

/* Makes o's connections, all of one group at first, none of them open. */
void exchange_init(
	struct exchange *x, const struct options *o, size_t conns, struct exchange_group *group);
void exchange_fini(struct exchange *x);

/* Begins an exchange on a connection that has none, opening it first if need be. */
void exchange_begin(struct exchange_conn *c);

/* Whether another exchange may begin: there is time, and not all are broken. */
bool exchange_goes_on(const struct exchange *x);

/* One turn of the loop, with time-outs looked for. */
void exchange_turn(struct exchange *x);

/* Turns until no exchange is under way or a signal came. */
void exchange_finish(struct exchange *x);

/* Prints " secs= done= total= per_s=" and the times of a group. */
void exchange_print_group(const struct exchange *x, const struct exchange_group *g);

/* Prints " broken= timeouts= corrupt="; returns whether all three are 0. */
bool exchange_print_faults(const struct exchange *x);

#endif
