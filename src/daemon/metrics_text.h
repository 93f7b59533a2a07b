/*
 * metrics_text - writes the text format of Prometheus, version 0.0.4.
 *
 * It grows up to a limit; a line beyond that is left out and counted.  The head of a metric
 * (HELP and TYPE) is written with its first line, so a metric without lines is not named.
 */
#ifndef CB_DAEMON_METRICS_TEXT_H
#define CB_DAEMON_METRICS_TEXT_H

#include "base/mem.h"
#include "daemon/metrics_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { METRICS_TEXT_LABELS = 2 }; /* of a line, at most */

struct metrics_label {
	const char *name;  /* [a-z_]+ */
	const char *value; /* anything; what is no UTF-8 or printable is replaced by "?" */
};

struct metrics_text {
	struct mem *mem;
	char *buf; /* NULL before the first line */
	size_t n, room, limit;
	uint64_t omitted; /* lines */
	bool failed;      /* no memory: what is there is of no use */
	bool headed;      /* the present metric is */
	const struct metrics_row *row;
};

/* limit: bytes, of the whole text. */
void metrics_text_init(struct metrics_text *t, struct mem *mem, size_t limit);

/* The lines that follow are of this metric; each metric comes once. */
void metrics_text_begin(struct metrics_text *t, enum metrics_id id);

/* One line of it. */
void metrics_text_add(
	struct metrics_text *t, const struct metrics_label *labels, size_t n, uint64_t value);

/* The same of a time in microseconds, which is written in seconds. */
void metrics_text_add_time(
	struct metrics_text *t, const struct metrics_label *labels, size_t n, uint64_t value);

/* The text is the caller's, *n bytes without a NUL; 0, or ERR_NOMEM and it is freed. */
int metrics_text_take(struct metrics_text *t, char **out, size_t *n);

#endif
