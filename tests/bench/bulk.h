/*
 * bulk - streams as fast as they go, up to sinks or down from sources.
 *
 * The rate is what the far end RECEIVED, never what was written into the nearest socket
 * buffer.  Up: the client half-closes, each sink answers with its exact count, and the
 * clock stops at the last answer, so that data parked in a proxy costs time.  Down: the
 * bytes read here until the time was up.
 */
#ifndef CB_BENCH_BULK_H
#define CB_BENCH_BULK_H

#include "options.h"

/* With o->members > 1 every stream reaches so many quiet sinks, each of which has to
 * answer; what arrived is then the sum over them.  Prints one line and returns the exit
 * status: 1 if anything was lost, corrupt, failed or unfinished. */
int bulk_run(const struct options *o);

#endif
