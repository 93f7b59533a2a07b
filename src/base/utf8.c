#include "base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

size_t utf8_rune(const char *s, size_t n)
{
	/* The least number that needs so many bytes: a shorter form must be used. */
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *u = (const unsigned char *)s;
	if (n == 0)
		return 0;
	if (u[0] < 0x80)
		return u[0] >= 0x20 && u[0] != 0x7f;
	size_t len = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
	if (u[0] < 0xc2 || u[0] > 0xf4 || len > n)
		return 0;
	uint32_t c = u[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (u[i] & 0x3f);
	}
	/* 0x80 to 0x9f are control characters too. */
	if (c < least[len] || c < 0xa0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return len;
}

bool utf8_printable(const char *s, size_t n)
{
	for (size_t i = 0, step; i < n; i += step) {
		step = utf8_rune(s + i, n - i);
		if (step == 0)
			return false;
	}
	return true;
}

/* What stands for the character of `step` bytes at s, or for one bad byte: returns its length. */
static size_t escape_one(char out[static 5], const char *s, size_t step)
{
	if (step == 0)
		return (size_t)snprintf(out, 5, "\\x%02x", (unsigned char)*s);
	size_t k = 0;
	if (*s == '"' || *s == '\\')
		out[k++] = '\\';
	memcpy(out + k, s, step);
	return k + step;
}

char *utf8_escape(char *to, size_t room, const char *s, size_t n, size_t show)
{
	char one[5];
	size_t at = 0;
	for (size_t i = 0; i < n;) {
		size_t step = utf8_rune(s + i, n - i), used = step > 0 ? step : 1, len = 3;
		bool cut = i + used > show;
		if (!cut)
			len = escape_one(one, s + i, step);
		if (at + len >= room)
			break;
		memcpy(to + at, cut ? "..." : one, len);
		at += len;
		if (cut)
			break;
		i += used;
	}
	to[at] = '\0';
	return to;
}
