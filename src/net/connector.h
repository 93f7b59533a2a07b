/*
 * connector - one connection to whichever of several addresses answers first.
 *
 * Happy Eyeballs (RFC 8305, section 5): attempts begin in the order given, each
 * CONNECTOR_STAGGER after the one before, or at once when an attempt fails; the first
 * that completes wins and the others are closed.  Names are not resolved here.
 *
 * A Unix listener whose queue is full (EAGAIN) is tried again with a growing pause
 * until the time is up.
 */
#ifndef CB_NET_CONNECTOR_H
#define CB_NET_CONNECTOR_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/timers.h"
#include "net/loop.h"

#include <stddef.h>
#include <stdint.h>

#define CONNECTOR_STAGGER (250 * CLOCK_MS)
#define CONNECTOR_UNIX_PAUSE (1 * CLOCK_MS) /* the first; it doubles */
#define CONNECTOR_UNIX_PAUSE_MAX (50 * CLOCK_MS)
enum { CONNECTOR_ADDRS_MAX = 64 }; /* attempts of one connector, all open at worst */

struct connector;

struct connector_result {
	/*
	 * 0: connected.  ERR_TIMEOUT: the time is up and some address had not answered.
	 * ERR_SYS: every attempt failed; `sys` tells why.
	 */
	int err;
	int fd;       /* the callee's from here on; -1 without success */
	size_t index; /* of the address that won */
	/*
	 * With success: the errno of a failure that came after it was connected, and that the
	 * socket itself does not tell any more; 0: none.  What the peer had sent before can be
	 * read.
	 */
	int broken;
	/*
	 * The errno of the attempt that says most; 0: none failed.  A lack of our own
	 * (EMFILE, ENFILE, ENOBUFS, ENOMEM) comes first, an address family without a
	 * route last, the latest of equals wins.
	 */
	int sys;
	unsigned no_port;    /* attempts for which this machine had no port left: EADDRNOTAVAIL */
	uint64_t failed;     /* bit i: address i refused or cannot be reached */
	uint64_t unanswered; /* bit i: address i was tried and had not answered by the end */
};

struct connector_options {
	const struct addr *addrs; /* 1 .. CONNECTOR_ADDRS_MAX, in the order to try; copied */
	size_t n;
	uint64_t timeout; /* microseconds for all attempts together */
	uint64_t stagger; /* microseconds; 0: CONNECTOR_STAGGER */
	struct mem *mem;  /* the allocator the loop was made with */
};

struct connector_attempt;

/* Embed it.  Zeroed, it is idle. */
struct connector {
	struct loop *loop;
	void (*done)(struct connector *c, const struct connector_result *result);
	struct connector_attempt *attempts; /* NULL: idle */
	size_t n, begun, open;              /* addresses, attempts begun, those not decided */
	uint64_t stagger;
	struct timer next, deadline;
	struct loop_work finish;
	struct connector_result result;
};

/*
 * Begins.  done() is called once, at the end of a turn, never from inside here; the
 * connector is idle again by then and its memory may be freed inside done().
 * 0; ERR_INVALID (no address, or more than CONNECTOR_ADDRS_MAX); ERR_NOMEM.
 */
int connector_start(struct connector *c, struct loop *loop, const struct connector_options *opt,
	void (*done)(struct connector *c, const struct connector_result *result));

/* Closes everything; done() will not be called.  Does nothing to an idle one. */
void connector_cancel(struct connector *c);

static inline bool connector_busy(const struct connector *c)
{
	return c->attempts != NULL;
}

#endif
