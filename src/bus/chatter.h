/*
 * chatter - lines of the log that others can cause as often as they like: so many at once,
 * CHATTER_LINES a second after that, and the next one says how many were left out.
 */
#ifndef CB_BUS_CHATTER_H
#define CB_BUS_CHATTER_H

#include <stdbool.h>
#include <stdint.h>

enum {
	CHATTER_LINES = 10, /* a second */
	CHATTER_ROOM = 64,  /* bytes of what is said of those left out, with the NUL */
};

/* Zeroed, nothing was said yet. */
struct chatter {
	uint64_t since; /* up to when lines were given back */
	unsigned lines; /* said, and not given back yet */
	unsigned left_out;
};

/*
 * Whether a line may be logged now (microseconds), where `burst` may be at once; `more` is to
 * stand at its end: "", or how many were left out before it.
 */
bool chatter_may(struct chatter *c, unsigned burst, uint64_t now, char more[static CHATTER_ROOM]);

#endif
