/*
 * why - the words for a failure, in a buffer of the caller's.
 *
 * Functions of this layer that judge what a user or a peer wrote take
 * `char why[WHY_MAX]`.  On failure it holds one line without a newline: what was wrong and
 * what was expected.  Text from outside is escaped in it, and no key, token or payload byte
 * is ever in it.  On success it is left as it was.
 */
#ifndef CB_CRYPTO_WHY_H
#define CB_CRYPTO_WHY_H

#include <stddef.h>

enum {
	WHY_MAX = 4608,     /* bytes with the NUL: a path and some words */
	WHY_QUOTE_MAX = 80, /* bytes that are quoted of any one value */
	WHY_QUOTE_ROOM = 4 * WHY_QUOTE_MAX + 4,
};

/* Writes the line, cut where it is too long.  Returns err, so that one may return it. */
int why_say(char why[static WHY_MAX], int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts words before what why holds already. */
void why_prefix(char why[static WHY_MAX], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The first n bytes of s, escaped, for a why between quotes.  Returns to. */
char *why_quote(char to[static WHY_QUOTE_ROOM], const char *s, size_t n);

/*
 * A path as the shell takes it for one word, for a command in a why: the path itself where
 * nothing in it is special or `to` is too small, else to.
 */
const char *why_shell(char to[static WHY_MAX], const char *path);

#endif
