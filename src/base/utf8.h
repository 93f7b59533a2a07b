/*
 * utf8 - text from outside: is it text, and how is it shown?
 */
#ifndef CB_BASE_UTF8_H
#define CB_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The bytes (1 to 4) of the printable UTF-8 character that s begins with, at most n;
 * 0 for a control character and for what is not UTF-8 (RFC 3629).
 */
size_t utf8_rune(const char *s, size_t n);

/* Whether all n bytes are printable UTF-8; true for none. */
bool utf8_printable(const char *s, size_t n);

/*
 * Writes at most `show` bytes of s into `to` as printable UTF-8, the rest as "\xNN", a
 * quote and a backslash behind a backslash, and "..." for what was left out.  `to` has
 * room for `room` > 0 bytes; what does not fit is cut between characters; always
 * NUL-terminated.  Returns to.
 */
char *utf8_escape(char *to, size_t room, const char *s, size_t n, size_t show);

#endif
