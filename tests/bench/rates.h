/*
 * rates - the commands that are nothing but exchanges; what follows when one is over is
 * all that tells them apart.
 *
 *   pingpong  CONNS lasting connections of SIZE bytes
 *   mixed     one connection of 64 bytes, whose times are printed, beside CONNS that each
 *             echo SIZE bytes at a time, whose rate is printed (bulk_mib_s: one way)
 *   connrate  connect, send, read the whole echo, close; CONNS at a time
 *   first     one connection after another, from connect() to the first byte of the reply
 *
 * Each prints one line and returns the exit status: 1 if anything failed or nothing was
 * measured.
 */
#ifndef CB_BENCH_RATES_H
#define CB_BENCH_RATES_H

#include "options.h"

int rates_pingpong(const struct options *o);
int rates_mixed(const struct options *o);
int rates_connrate(const struct options *o);
int rates_first(const struct options *o);

#endif
