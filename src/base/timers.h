/*
 * timers - a queue of deadlines.
 *
 * A binary heap of timers that live inside their owners.  Setting, moving and
 * stopping are O(log n); the next deadline is O(1).  Time is an argument.
 */
#ifndef CB_BASE_TIMERS_H
#define CB_BASE_TIMERS_H

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
	uint64_t at;                       /* the deadline, in the queue's unit */
	size_t pos;                        /* 1 + index in the heap; 0: not set */
	void (*fire)(struct timer *timer); /* called with the timer already stopped */
};

struct timers {
	struct mem *mem;
	struct timer **heap;
	size_t count, room;
};

void timers_init(struct timers *q, struct mem *mem);

/* Stops every timer and frees the heap. */
void timers_fini(struct timers *q);

/*
 * Sets or moves a timer.  0 or ERR_NOMEM; moving a timer that is set never fails,
 * nor does setting one for which timers_reserve() made room.
 */
int timers_set(struct timers *q, struct timer *t, uint64_t at);

/* Makes room for `n` more timers than are set now.  0 or ERR_NOMEM. */
int timers_reserve(struct timers *q, size_t n);

/* Stops a timer, if it is set. */
void timers_stop(struct timers *q, struct timer *t);

/* The earliest deadline, or UINT64_MAX. */
uint64_t timers_next(const struct timers *q);

/*
 * Fires what was due at `now`, in order of deadline; a timer that is set anew to
 * `now` or before from inside fire() waits for the next call.
 */
void timers_run(struct timers *q, uint64_t now);

static inline bool timer_is_set(const struct timer *t)
{
	return t->pos != 0;
}

#endif
