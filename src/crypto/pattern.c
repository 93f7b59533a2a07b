#include "crypto/pattern.h"

#include "base/utf8.h"

#include <string.h>

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool pattern_valid(const char *pattern, size_t n)
{
	if (n == 0 || n > PATTERN_MAX || !utf8_printable(pattern, n))
		return false;
	const char *star = memchr(pattern, '*', n);
	return star == NULL || star == pattern + n - 1;
}

bool pattern_match(const char *pattern, const char *name, size_t n)
{
	size_t len = strlen(pattern);
	bool prefix = len > 0 && pattern[len - 1] == '*';
	if (prefix)
		len--;
	if (prefix ? n < len : n != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (fold(pattern[i]) != fold(name[i]))
			return false;
	return true;
}

bool pattern_match_any(const char *const *patterns, size_t n_patterns, const char *name, size_t n)
{
	for (size_t i = 0; i < n_patterns; i++)
		if (pattern_match(patterns[i], name, n))
			return true;
	return false;
}
