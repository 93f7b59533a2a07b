/*
 * server - the far end: what the proxies lead to.
 *
 * Integers are big-endian.
 *
 *   echo    returns what it gets; at the end finishes writing, then closes
 *   sink    stream  := seed:u64 payload...         payload[i] = pattern[seed + i]
 *           answers := "LGA1" flags:u32 count:u64  after every full MiB, and
 *                      "LGF1" flags:u32 count:u64  at the end, then closes;
 *           count has the seed in it; flags, bit 0: the payload was corrupt
 *   quiet   a sink that answers at the end only, so that it can be one of many
 *   source  request := length:u64 seed:u64; then sends exactly length bytes of payload
 *           and closes (length 2^64-1: until the client's end)
 */
#ifndef CB_BENCH_SERVER_H
#define CB_BENCH_SERVER_H

#include "options.h"

enum {
	SERVER_RECORD = 16, /* bytes of an answer, and of a request to a source */
	SERVER_SEED = 8,
	SERVER_ANSWER_EVERY = 1 << 20,
};

/* Prints where it listens, serves until a signal, prints what it has counted.  Returns
 * the exit status: 1 if a sink saw corrupt payload. */
int server_run(const struct options *o);

#endif
