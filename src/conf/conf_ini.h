/*
 * conf_ini - an INI text becomes a row of sections, keys and unreadable lines.
 *
 * inih splits "key=value" lines and takes comments off.  Around it this reader
 * counts the lines, reads section headers itself (inih cuts their names at 49 bytes
 * and says nothing of empty sections), gives inih a buffer as long as the longest
 * line (it would split longer ones), and keeps from it what it cannot hold: lines
 * with a NUL byte or longer than CONF_LINE_MAX.
 *
 * Blanks around a line, a key, a value and a section's name mean nothing; a line
 * that begins with ';' or '#' is a comment, and so is what follows a ';' that has a
 * blank in front; ':' may stand for '='.
 */
#ifndef CB_CONF_CONF_INI_H
#define CB_CONF_CONF_INI_H

#include "conf/conf.h"

/*
 * What the text holds, in the order of its lines.  Texts are valid during the call
 * alone, but for a section's name, which points into the source.  Each returns 0 to go
 * on; anything else ends the reading and is what conf_ini_read() returns.
 */
struct conf_ini_handler {
	/* A header; `problem` is NULL, or says what is wrong with it. */
	int (*section)(void *ctx, unsigned line, const char *name, size_t n, const char *problem);
	int (*key)(void *ctx, unsigned line, const char *key, const char *value);
	/* A line that is neither; `text` is NULL where it cannot be shown. */
	int (*bad)(void *ctx, unsigned line, const char *text, const char *problem);
	void *ctx;
};

/* 0, what the handler returned, or ERR_NOMEM when inih has no line buffer. */
int conf_ini_read(const struct conf_source *src, const struct conf_ini_handler *to);

#endif
