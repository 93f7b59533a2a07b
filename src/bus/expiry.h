/*
 * expiry - how it is said that a token comes to its end.
 */
#ifndef CB_BUS_EXPIRY_H
#define CB_BUS_EXPIRY_H

#include "crypto/token.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	EXPIRY_WARN_BEFORE = 14 * 86400, /* seconds to a token's end: it is said from then on, */
	EXPIRY_WARN_AGAIN = 86400,       /* once in so many */
	EXPIRY_ROOM = 48,                /* bytes for expiry_left() */
};

/* Whether a token that ends then is near its end, or past it; both in seconds since 1970. */
static inline bool expiry_is_near(int64_t expires, int64_t now)
{
	return expires - now <= EXPIRY_WARN_BEFORE;
}

/*
 * Whether to say so now; *warned is when that was done last, 0 for never, and kept here.
 */
bool expiry_is_due(const struct token *token, int64_t now, int64_t *warned);

/* "in 3 hours", for a line of the log. */
const char *expiry_left(char to[static EXPIRY_ROOM], int64_t seconds);

#endif
