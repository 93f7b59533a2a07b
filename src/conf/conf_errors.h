/*
 * conf_errors - how an error of a configuration is worded and counted.
 *
 *	FILE:LINE: [section] key: "value": what is wrong or expected
 *
 * Whatever comes from the file is printed with control characters and broken UTF-8
 * escaped, and cut after CONF_ERRORS_QUOTE_MAX bytes.
 */
#ifndef CB_CONF_CONF_ERRORS_H
#define CB_CONF_CONF_ERRORS_H

#include "conf/conf.h"

enum { CONF_ERRORS_QUOTE_MAX = 80 };

struct conf_errors {
	const char *file; /* also what relative paths stand beside */
	conf_report *report;
	void *ctx;
	size_t count; /* errors so far, written out or not */
};

/* What an error is about; what is 0 or NULL is left out. */
struct conf_place {
	unsigned line;
	const char *section; /* section_n bytes */
	size_t section_n;
	const char *key;
	const char *value;
};

/* Counts an error, and reports it unless CONF_ERRORS_MAX have been. */
void conf_errors_add(struct conf_errors *e, const struct conf_place *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Whether a further error would only be counted. */
bool conf_errors_full(const struct conf_errors *e);

/* Reports how many errors were only counted, if any were. */
void conf_errors_end(struct conf_errors *e);

#endif
