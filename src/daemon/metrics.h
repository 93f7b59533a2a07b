/*
 * metrics - what is counted, as text for Prometheus: its exposition format 0.0.4.
 */
#ifndef CB_DAEMON_METRICS_H
#define CB_DAEMON_METRICS_H

#include "bus/bus.h"

#include <stddef.h>

/*
 * All of it, as it is now.  0, with *out, which is the caller's and from bus->mem, and *n, its
 * bytes; or ERR_NOMEM.
 */
int metrics_render(struct bus *bus, char **out, size_t *n);

#endif
