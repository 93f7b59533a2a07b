/*
 * metrics - what is counted, as text for Prometheus: cloudbus-metrics(7).
 */
#ifndef CB_DAEMON_METRICS_H
#define CB_DAEMON_METRICS_H

#include "bus/bus.h"

#include <stddef.h>

enum {
	METRICS_MAX = 64 << 20, /* bytes of text; lines that do not fit are counted in it */
	METRICS_FULL = 500,     /* services; of more, reasons that have not occurred have no line */
	METRICS_NODES_MAX = 1000, /* names of authenticated nodes that have lines */
};

/*
 * All of it, as it is now; it takes time in proportion to services, links and transports.  0,
 * with *out, which is the caller's and from bus->mem, and *n, its bytes; or ERR_NOMEM.
 */
int metrics_render(struct bus *bus, char **out, size_t *n);

struct survey;

/* The same of a survey that was taken `now`, seconds since 1970. */
int metrics_write(struct bus *bus, const struct survey *s, int64_t now, char **out, size_t *n);

#endif
