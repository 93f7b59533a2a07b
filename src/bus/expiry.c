#include "bus/expiry.h"

#include <stddef.h>
#include <stdio.h>

bool expiry_is_due(const struct token *token, int64_t now, int64_t *warned)
{
	if (!expiry_is_near(token->expires, now))
		return false;
	if (*warned != 0 && now >= *warned && now - *warned < EXPIRY_WARN_AGAIN)
		return false;
	*warned = now;
	return true;
}

const char *expiry_left(char to[static EXPIRY_ROOM], int64_t seconds)
{
	static const struct {
		int least, unit;
		const char *name;
	} units[] = {{2 * 3600, 3600, "hours"}, {2 * 60, 60, "minutes"}, {1, 1, "seconds"}};
	(void)snprintf(to, EXPIRY_ROOM, "now");
	for (size_t i = sizeof units / sizeof *units; i-- > 0;) {
		if (seconds >= units[i].least)
			(void)snprintf(to, EXPIRY_ROOM, "in %lld %s",
				(long long)seconds / units[i].unit, units[i].name);
	}
	return to;
}
