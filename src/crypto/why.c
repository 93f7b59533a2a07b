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

/* A '-' at the beginning would be an option, whatever quotes are around it. */
const char *why_shell(char to[static WHY_MAX], const char *path)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_./:@%+=,-";
	size_t n = strlen(path), at = 0;
	if (n > 0 && path[0] != '-' && strspn(path, plain) == n)
		return path;
	if (path[0] == '-')
		at = (size_t)snprintf(to, WHY_MAX, "./");
	to[at++] = '\'';
	for (size_t i = 0; i < n && at + 6 < WHY_MAX; i++) {
		const char one[2] = {path[i]};
		at = (size_t)(stpcpy(to + at, path[i] == '\'' ? "'\\''" : one) - to);
	}
	to[at++] = '\'';
	to[at] = '\0';
	return at + 6 < WHY_MAX ? to : path;
}
