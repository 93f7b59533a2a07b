/*
 * hist - a log-linear histogram of times: 128 steps per power of two, so a quantile is
 * within 0.8 % of the truth.
 */
#ifndef CB_BENCH_HIST_H
#define CB_BENCH_HIST_H

#include <stdint.h>

enum {
	HIST_BITS = 7,
	HIST_STEPS = 1 << HIST_BITS,
	HIST_BUCKETS = (64 - HIST_BITS + 1) * HIST_STEPS,
};

/* Zeroed, it is empty. */
struct hist {
	uint64_t n, min, max; /* nanoseconds */
	uint64_t bucket[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t ns);

/* Prints " min_us= p50_us= p99_us= p999_us= max_us=", zeroes where it is empty. */
void hist_print(const struct hist *h);

#endif
