/*
 * pattern - the payload of every test: one pseudo-random sequence whose period is a
 * prime.
 *
 * Each stream enters it at a place of its own, so bytes that are lost, doubled,
 * reordered or delivered to another stream do not compare equal.
 */
#ifndef CB_BENCH_PATTERN_H
#define CB_BENCH_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PATTERN_PERIOD = 65521,           /* bytes; the largest prime below 2^16 */
	PATTERN_RUN = 2 * PATTERN_PERIOD, /* bytes that lie in one piece at any place */
};

/* Once, before the others. */
void pattern_init(void);

/* PATTERN_RUN bytes of the sequence from a position on. */
const unsigned char *pattern_at(uint64_t position);

/* Whether these n bytes are the sequence from a position on; n has no bound. */
bool pattern_equal(const unsigned char *p, size_t n, uint64_t position);

/* The position at which exchange `sequence` of stream `id` enters; below 2^63, so that
 * lengths can be added. */
uint64_t pattern_entry(uint64_t id, uint64_t sequence);

#endif
