/*
 * idle - many sessions that do nothing.
 */
#ifndef CB_BENCH_IDLE_H
#define CB_BENCH_IDLE_H

#include "options.h"

/* Opens o->number connections, o->conns at a time, with one byte there and back on each,
 * and prints "idle phase=open"; holds them until standard input ends; then sends one more
 * byte on each and prints "idle phase=recheck".  o->seconds bounds each of the two.
 * Returns the exit status: 1 unless every byte came back twice. */
int idle_run(const struct options *o);

/* Tries an exchange of one byte until one succeeds, for o->seconds at most, a
 * millisecond apart; prints "ready at=SECONDS tries=N" by the monotonic clock.  Returns
 * the exit status: 1 if none did. */
int idle_ready(const struct options *o);

#endif
