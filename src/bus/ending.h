/*
 * ending - how a transport ends, and what is told of it.  Part of transport.
 *
 * In order: both nodes have sent their GOAWAYs and no stream is left; then goodbye is said
 * (CLOSE, if it is secured, and FIN), and the peer's is awaited, for a while.  Anything else
 * is a loss: the connection broke or was cut, the peer is at fault or is not wanted any more,
 * this process has no memory.
 *
 * Either way it is dead from then on: it neither reads nor writes, and at the end of the
 * turn transport tells its streams, then its owner, and frees it.  The first reason stands.
 */
#ifndef CB_BUS_ENDING_H
#define CB_BUS_ENDING_H

#include "bus/stats.h"

#include <stdbool.h>
#include <stdint.h>

struct transport;

struct ending {
	uint64_t by;           /* when an orderly end must be over; CLOCK_NEVER: none is due */
	const char *why;       /* once it is dead: static storage; NULL: it ended in order */
	enum stats_closed how; /* likewise */
	bool expelled;         /* the peer's token has expired, and it was told to go */
	bool shut;             /* goodbye is said */
};

/* Of a transport that has begun. */
void ending_init(struct ending *e);

/* --- for whoever has a transport -------------------------------------------------------- */

/*
 * Ends it now; all streams are lost, unless why is NULL.  `how` is counted; why: static
 * storage, for the log.  Does nothing to one that is dead; so do all that follow.
 */
void ending_now(struct transport *t, enum stats_closed how, const char *why);

/*
 * Likewise, and the peer is told why by a last GOAWAY with this code, and CLOSE behind it if it is
 * secured: as far as one write goes, and not behind one that is under way.  Nothing waits for it.
 */
void ending_cut(struct transport *t, uint32_t code, const char *why);

/*
 * The peer's token has expired: it is to go, and the owner is told (dismissed).  New streams go
 * elsewhere, and what is open at `by` is lost.
 */
void ending_expel(struct transport *t, uint64_t by);

/*
 * What is open on one that was expelled is not lost at that time.  Its goodbye stands: new
 * streams stay elsewhere.
 */
void ending_pardon(struct transport *t);

/* --- between the transport's own files ---------------------------------------------------- */

/* Says goodbye, when it is time for it. */
void ending_goodbye(struct transport *t);

/* Ends it, if an orderly end is not over in time. */
void ending_tick(struct transport *t);

/* The peer's end was read: FIN, behind all its bytes. */
void ending_by_peer(struct transport *t);

/* A read of a secured one is over, and the peer's CLOSE may have come: was it the time for it? */
void ending_check_close(struct transport *t);

/* Reading or writing has failed with this errno. */
void ending_lost(struct transport *t, int error);

/* So has what is done to the bytes: ERR_NOMEM, or an error of a record.  Nobody is answered. */
void ending_error(struct transport *t, int rc);

/* mux has failed: the peer broke a rule, or is silent.  It is told why, as far as one write goes.
 */
void ending_fault(struct transport *t);

#endif
