/*
 * bus - what every part of a running node shares.
 *
 * One struct bus a process, made by the daemon and handed to everything above the
 * net layer.  It owns nothing but what is said here.
 */
#ifndef CB_BUS_BUS_H
#define CB_BUS_BUS_H

#include "base/list.h"
#include "base/mem.h"
#include "base/spare.h"
#include "bus/generation.h"
#include "bus/pipes.h"
#include "bus/say.h"
#include "bus/stats.h"
#include "conf/conf.h"
#include "net/dns.h"
#include "net/loop.h"
#include "wire/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BUS_READ = 64 << 10,       /* bytes of one read from a transport */
	BUS_WRITE = 256 << 10,     /* bytes of one write to a transport */
	BUS_TURN = 1 << 20,        /* bytes a descriptor may move in one turn of the loop */
	BUS_TRANSPORTS_MAX = 4096, /* accepted transports of a process */
};

#define BUS_DRAIN_CLOSE UINT64_C(1000000) /* how long transports may take to say goodbye */

/* How much the sessions hold that nobody has read yet: see quota.h. */
struct quota {
	uint64_t limit, held; /* bytes */
	struct list holders;  /* sessions that hold bytes */
	unsigned pressure;    /* enum quota_pressure */
};

struct guard;
struct sock_owner;

/* Who is to be dialled, a few in each turn of the loop: see dialer.h. */
struct dial_queue {
	struct list waiting;
	struct list barred; /* until this node's token counts again */
	struct loop_work work;
};

struct bus {
	struct loop *loop;
	struct mem *mem;
	struct dns *dns;
	const struct conf *conf; /* of the current generation */
	struct generations generations;
	uint8_t instance[WIRE_ID]; /* random, of this process */
	uint64_t seed;             /* random, for tables */
	uint64_t random;           /* state of the jitter's generator */
	uint8_t ids[64][WIRE_ID];  /* random ids drawn ahead */
	unsigned n_ids;

	uint8_t *read_buf; /* BUS_READ bytes, used within one callback */
	struct pipes pipes;
	struct spare buffers; /* of BUS_WRITE bytes, for what is staged, sealed or opened */
	struct spare pending; /* egress.c's */

	/*
	 * Whose the Unix sockets are that are bound now, while the process is another user yet;
	 * NULL: its own.
	 */
	const struct sock_owner *sockets;
	struct guard *guard; /* of secured links; NULL: there are none */
	struct quota quota;
	struct dial_queue dials;
	struct list transports; /* all that are open */
	struct list sessions;   /* all that are not closed */
	size_t n_sessions, n_transports;
	struct bus_stats stats;
	struct say say;
	bool draining;
	void (*idle)(struct bus *bus); /* called when the last session or transport is gone */
	void *owner;
};

/* Fills in a bus that the daemon has given a loop, memory, DNS and configuration. 0 or ERR_NOMEM.
 */
int bus_init(struct bus *bus);

/* Frees the buffers; sessions and transports must be gone. */
void bus_fini(struct bus *bus);

/* A new random id of WIRE_ID bytes, for a session. */
void bus_new_id(struct bus *bus, uint8_t id[static WIRE_ID]);

/* A number from 0 to n - 1, for jitter; not for secrets. */
uint64_t bus_jitter(struct bus *bus, uint64_t n);

/* Microseconds now: the start of this turn. */
static inline uint64_t bus_now(const struct bus *bus)
{
	return loop_now(bus->loop);
}

#endif
