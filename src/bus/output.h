/*
 * output - what leaves on a transport: whose frames, how much at once, and how it is
 * written.  Private to transport.
 */
#ifndef CB_BUS_OUTPUT_H
#define CB_BUS_OUTPUT_H

#include "bus/transport.h"

/*
 * Looks at the path now and then: frames and turns are cut to its rate, and the kernel's
 * queue while sparse and bulk streams mix.
 */
void output_sample(struct transport *t);

/*
 * Stages and writes until nothing is left, the socket is full or the turn's share is used:
 * then *more is set, and it is to be called again in the next turn.  0; ERR_AGAIN: go on
 * when the socket is writable; ERR_SYS with errno; ERR_NOMEM; another: its records are at their
 * end.
 */
int output_write(struct transport *t, bool *more);

#endif
