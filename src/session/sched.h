/*
 * sched - whose turn it is to send: deficit round robin, sparse streams first.
 *
 * Items that have something to send stand in one of two lists.  One that was quiet
 * comes in at the end of the first list, which is served before the second, until
 * it has used up one quantum; from then on it takes turns with the others.  So a
 * stream that asks for little is not behind those that ask for much (the idea of
 * fq_codel, RFC 8290 section 4).  One that sent more than SCHED_SPARSE the last time
 * comes in at the end of the second list: long messages with pauses between them are
 * bulk.  Where so many ask for little that it is much in sum, the second list gets one
 * byte for SCHED_AHEAD of the first.
 */
#ifndef CB_SESSION_SCHED_H
#define CB_SESSION_SCHED_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct sched {
	struct list fresh, old;
	uint32_t waiting; /* items in both */
	uint32_t quantum; /* bytes a turn */
	uint64_t ahead;   /* bytes the first list sent beyond SCHED_AHEAD times the second */
};

enum {
	SCHED_AHEAD = 8,
	SCHED_SPARSE = 8 << 10, /* bytes from being added to being removed */
};

struct sched_item {
	union {
		struct list node;     /* queued */
		uint64_t quiet_since; /* not queued: when it last left the lists; 0: it is new */
	};
	int32_t deficit; /* bytes it may still send in this turn of its */
	uint16_t spent;  /* bytes it sent since it was added, as far as they can be counted */
	bool queued;
	bool fresh; /* in the first list */
};

/* quantum: bytes, 1 .. 1 MiB. */
void sched_init(struct sched *s, uint32_t quantum);

/* From now on; debts and credits of the items stay. */
void sched_set_quantum(struct sched *s, uint32_t quantum);

void sched_item_init(struct sched_item *it);

/* The item has something to send.  Does nothing if it is queued already. */
void sched_add(struct sched *s, struct sched_item *it, uint64_t now);

/* The item has nothing more to send, or may not.  Does nothing if it is not queued. */
void sched_remove(struct sched *s, struct sched_item *it, uint64_t now);

/*
 * Who sends next, or NULL.  *grant gets the bytes it may send before the next
 * call: UINT32_MAX when nobody else waits.
 */
struct sched_item *sched_next(struct sched *s, uint32_t *grant);

/* A queued item sent `bytes`, however many. */
void sched_charge(struct sched *s, struct sched_item *it, uint64_t bytes);

#endif
