/*
 * patient - a clock that stands still while others have the processor.
 *
 * Every unit program goes by it, with all that it is linked with: unit.c brings a clock_gettime()
 * and an epoll_wait() of its own.  The monotonic and the wall clock begin with the machine's and
 * then count what this process does itself: the processor time it takes, and the time it means to
 * sleep in epoll_wait().  On a machine where it must wait for its turn for seconds, nothing comes
 * too late by that: no timeout of a node ends early, and a bound that a test sets is about what
 * the code does.
 *
 * Nor is loopback ever a long path: what the kernel says of a connection's round trip is at most
 * PATIENT_PATH, for a kernel that is late would have nodes open more transports, and widen buffers.
 *
 * Such a clock is never ahead of the machine's.  Other ways to sleep - poll(), nanosleep(), a call
 * that blocks - do not move it.
 */
#ifndef CB_TESTS_PATIENT_H
#define CB_TESTS_PATIENT_H

#include <stdint.h>

enum {
	/* Microseconds that count at most between two looks at the clock: where a hypervisor takes
	 * the processor away, it may be the process that is charged. */
	PATIENT_STEP = 1000,
	/* ...and of a sleep that an event ended: what this process waits for, it has sent itself,
	 * and only the kernel can be late with it. */
	PATIENT_EVENT = 1000,
	PATIENT_PATH = 1000,
};

/* Microseconds of processor time since the beginning, as they were counted. */
uint64_t patient_ran(void);

/* Microseconds slept since then. */
uint64_t patient_slept(void);

#endif
