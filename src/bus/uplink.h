/*
 * uplink - a segment's link to a controller, one for each connect= line: the segment dials,
 * announces what it serves, and takes the streams that the controller opens.
 */
#ifndef CB_BUS_UPLINK_H
#define CB_BUS_UPLINK_H

#include "bus/dialer.h"
#include "bus/directory.h"
#include "bus/roster.h"

struct uplink {
	struct dialer dialer;
	const struct conf_endpoint *conf;
	const struct directory *directory;
	struct roster *roster;
};

struct uplink_options {
	const struct conf_endpoint *conf;
	const struct directory *directory; /* where streams lead */
	struct roster *roster;             /* what is announced */
	const bool *stopped;               /* as in struct dialer_options */
};

/* Begins to dial.  0 or ERR_NOMEM.  uplink_stop() must follow in any case. */
int uplink_start(struct uplink *u, struct bus *bus, const struct uplink_options *opt);

/* Frees what it holds; its transports must be gone. */
void uplink_stop(struct uplink *u);

#endif
