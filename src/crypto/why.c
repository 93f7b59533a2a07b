#include "crypto/why.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int why_say(char why[static WHY_MAX], int err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (vsnprintf(why, WHY_MAX, fmt, ap) < 0)
		why[0] = '\0';
	va_end(ap);
	return err;
}

void why_prefix(char why[static WHY_MAX], const char *fmt, ...)
{
	char rest[WHY_MAX];
	memcpy(rest, why, WHY_MAX);
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(why, WHY_MAX, fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if (n < WHY_MAX)
		(void)snprintf(why + n, (size_t)(WHY_MAX - n), "%s", rest);
}

char *why_quote(char to[static WHY_QUOTE_ROOM], const char *s, size_t n)
{
	return utf8_escape(to, WHY_QUOTE_ROOM, s, n, WHY_QUOTE_MAX);
}
