/*
 * unit - what every unit test shares: a main, an allocator that fails on demand,
 * and a random number generator with a seed.
 */
#ifndef CB_TESTS_UNIT_H
#define CB_TESTS_UNIT_H

#include "base/mem.h"

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

/* Runs the suite without forking (so sanitizers and gdb see it) and prints Check's closing line. */
int unit_main(Suite *suite);

/* An allocator that counts what is live and fails at the Nth allocation. */
struct unit_mem {
	struct mem mem; /* hand out &m.mem */
	size_t live;    /* blocks allocated and not freed */
	size_t calls;   /* allocations asked for so far */
	size_t fail_at; /* the call, from 1, that fails, with all after it if `sticky`; 0: none */
	int sticky;
	int failed; /* whether any failed */
};

void unit_mem_init(struct unit_mem *m);

/* splitmix64; the same seed gives the same numbers on every machine. */
uint64_t unit_random(uint64_t *state);

/* A number from 0 to n - 1. */
uint64_t unit_below(uint64_t *state, uint64_t n);

/* Whether there is an IPv6 loopback; if not, it is said once on standard error. */
bool unit_has_ipv6(void);

#endif
