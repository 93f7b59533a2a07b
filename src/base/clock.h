/*
 * clock - time in microseconds.
 *
 * Only the net layer and above read clocks; below, time is an argument.  All
 * deadlines are on the monotonic clock, so setting the wall clock moves none.
 */
#ifndef CB_BASE_CLOCK_H
#define CB_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_MS UINT64_C(1000)
#define CLOCK_SEC UINT64_C(1000000)
#define CLOCK_NEVER UINT64_MAX

/* Microseconds on the monotonic clock; never 0. */
uint64_t clock_now(void);

/*
 * Microseconds since 1970-01-01 00:00 UTC, by a clock that can be set: for what others wrote
 * down, such as the times in tokens, and never for a deadline.  0 for times before that.
 */
uint64_t clock_wall(void);

#endif
