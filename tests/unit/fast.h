/*
 * fast - clocks for a program that mostly waits: linked in, they are the ones that the whole
 * program reads.
 *
 * Time as nodes see it goes FAST_FACTOR times as fast, so a pause before the next attempt
 * costs a tenth of itself; what a test waits for is still bounded by the real time.  The
 * wall clock can be set.
 */
#ifndef CB_TESTS_FAST_H
#define CB_TESTS_FAST_H

#include <stdint.h>

enum { FAST_FACTOR = 10 };

/* By how many seconds the wall clock is ahead of the real one. */
void fast_set_wall(int64_t ahead);

#endif
