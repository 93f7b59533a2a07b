/*
 * manual - cloudbus-protocol(7) as tests read it: sections and the rows of their tables.
 */
#ifndef CB_TESTS_MANUAL_H
#define CB_TESTS_MANUAL_H

#include "unit/unit.h"

#include <stdbool.h>

#define MANUAL_PAGE "man/cloudbus-protocol.7"

/* The page's text between manual_open() and manual_close(), a checked fixture. */
extern char *manual_text;
void manual_open(void);
void manual_close(void);

/* A file of the source tree; to be freed. */
char *manual_load(const char *name);

struct manual_part {
	const char *at, *end;
};

/* What stands under a heading, macro "Sh" or "Ss"; under Sh with its subsections. */
struct manual_part manual_part(const char *macro, const char *name);

enum { MANUAL_CELLS = 6, MANUAL_CELL = 128 };

struct manual_row {
	char cell[MANUAL_CELLS][MANUAL_CELL];
	int n;
};

/* The next row of the part's tables, but for their heads; whether there is one. */
bool manual_row(struct manual_part *part, struct manual_row *row);

#endif
