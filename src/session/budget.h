/*
 * budget - how many frames without use a peer may send: cloudbus-protocol(7), LIMITS.
 *
 * A leaky bucket.  PINGs, CREDIT in small steps, streams opened and reset at once
 * cost the peer a point each; points come back with time.
 */
#ifndef CB_SESSION_BUDGET_H
#define CB_SESSION_BUDGET_H

#include <stdint.h>

struct budget {
	uint64_t since;  /* up to when points were given back */
	uint32_t points; /* left */
};

/* Limits of one transport. */
enum {
	BUDGET_POINTS = 8192,  /* to begin with, and at most */
	BUDGET_PER_SEC = 4096, /* given back */
};

void budget_init(struct budget *b, uint64_t now);

/* Takes a point.  0, or ERR_LIMIT when there is none left. */
int budget_spend(struct budget *b, uint64_t now);

#endif
