#include "bus/chatter.h"

#include "base/clock.h"

#include <stdio.h>

#define PAUSE (CLOCK_SEC / CHATTER_LINES) /* after which a line is given back */

static void give_back(struct chatter *c, uint64_t now)
{
	uint64_t lines = (now - c->since) / PAUSE;
	c->since += lines * PAUSE;
	c->lines = lines < c->lines ? c->lines - (unsigned)lines : 0;
	if (c->lines == 0)
		c->since = now;
}

bool chatter_may(struct chatter *c, unsigned burst, uint64_t now, char more[static CHATTER_ROOM])
{
	more[0] = '\0';
	give_back(c, now);
	if (c->lines >= burst) {
		c->left_out += c->left_out < UINT32_MAX;
		return false;
	}
	c->lines++;
	if (c->left_out > 0)
		snprintf(more, CHATTER_ROOM, " (and %u more that were not logged)", c->left_out);
	c->left_out = 0;
	return true;
}
