/*
 * pattern - which services a token speaks of.
 *
 * A pattern is the name of a service, or the beginning of names with a '*' behind it; '*'
 * alone matches every name.  Letters of ASCII match in either case, as names of services
 * do everywhere; all other bytes match themselves.  A '*' that is not the last byte is not
 * valid, so that nobody writes what does not work; a service whose own name has a '*' in it
 * can be matched by a prefix only.
 */
#ifndef CB_CRYPTO_PATTERN_H
#define CB_CRYPTO_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

enum { PATTERN_MAX = 255 }; /* bytes, the '*' among them; as the longest name of a service */

/* What pattern_valid asks for, as it stands in messages. */
#define PATTERN_EXPECTED                                                                           \
	"a service's name, or its beginning and '*': 1 to 255 bytes of printable UTF-8, '*' at "   \
	"the end only"

/* Whether the n bytes are a pattern. */
bool pattern_valid(const char *pattern, size_t n);

/* Whether a valid, NUL-terminated pattern matches the n bytes of a service's name. */
bool pattern_match(const char *pattern, const char *name, size_t n);

/* Whether any of n_patterns valid patterns matches; false for none of them. */
bool pattern_match_any(const char *const *patterns, size_t n_patterns, const char *name, size_t n);

#endif
