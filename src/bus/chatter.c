#include "bus/chatter.h"

#include "base/clock.h"

#include <stdio.h>

bool chatter_may(struct chatter *c, uint64_t now, char more[static CHATTER_ROOM])
{
	more[0] = '\0';
	if (now / CLOCK_SEC != c->second) {
		c->second = now / CLOCK_SEC;
		c->lines = 0;
	}
	if (c->lines == CHATTER_LINES) {
		c->left_out++;
		return false;
	}
	c->lines++;
	if (c->left_out > 0)
		snprintf(more, CHATTER_ROOM, " (and %u more that were not logged)", c->left_out);
	c->left_out = 0;
	return true;
}
