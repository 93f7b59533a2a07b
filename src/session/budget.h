/*
 * budget - how many frames without use a peer may send: cloudbus-protocol(7), LIMITS.
 *
 * A leaky bucket.  PINGs, CREDIT in small steps, streams opened and reset at once
 * cost the peer a point each; points come back with time.  What is more work costs more:
 * a token, whose signature is looked at, an OPEN that the opener knows is refused, and many names
 * in one frame.  Frames on closed
 * streams cost one too, but for the few that an honest peer may have had under way when
 * the stream ended.
 */
#ifndef CB_SESSION_BUDGET_H
#define CB_SESSION_BUDGET_H

#include <stdint.h>

struct budget {
	uint64_t since;  /* up to when points were given back */
	uint32_t points; /* left */
	uint32_t late;   /* frames on closed streams that cost nothing */
};

/* Limits of one transport. */
enum {
	BUDGET_POINTS = 8192,      /* to begin with, and at most */
	BUDGET_PER_SEC = 4096,     /* given back */
	BUDGET_TOKEN_PRICE = 256,  /* the price of a TOKEN */
	BUDGET_STRAY_PRICE = 16,   /* and of an OPEN that no honest peer sends in numbers */
	BUDGET_NAMES_EACH = 16,    /* names in an ANNOUNCE that cost one more point */
	BUDGET_LATE = 4,           /* frames that may come late for each stream that ends, */
	BUDGET_LATE_MAX = 1 << 16, /* and for all of them */
};

void budget_init(struct budget *b, uint64_t now);

/* Takes so many points.  0, or ERR_LIMIT when there are fewer left. */
int budget_spend(struct budget *b, uint64_t now, uint32_t points);

/* A stream ended: some frames on it may be under way still. */
void budget_ended(struct budget *b);

/* A frame came on a closed stream.  0, or ERR_LIMIT when it is one too many. */
int budget_late(struct budget *b, uint64_t now);

#endif
