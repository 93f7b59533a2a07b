/*
 * fast - clocks for a program that mostly waits: linked in, they are the ones that the whole
 * program reads.
 *
 * Of the patient clock (unit/patient.h) what is slept counts FAST_FACTOR times, so a pause before
 * the next attempt costs a tenth of itself; what is computed counts once.  What a test waits for
 * is still bounded by the patient clock.  The wall clock can be set.
 */
#ifndef CB_TESTS_FAST_H
#define CB_TESTS_FAST_H

#include <stdint.h>

enum { FAST_FACTOR = 10 };

/* By how many seconds the wall clock is ahead of the real one. */
void fast_set_wall(int64_t ahead);

#endif
