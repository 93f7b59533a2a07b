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
	struct list node; /* the node's, of all */
	struct dialer dialer;
	const struct conf_endpoint *conf;
	struct generation *generation; /* whose that is; NULL at first */
	bool wanted;                   /* while a configuration is applied */
	bool foreign;                  /* the controller is of another customer */
	bool retired;                  /* lives for its transports, and then frees itself */
	const struct directory *directory;
	struct roster *roster;
};

struct uplink_options {
	const struct conf_endpoint *conf;
	const struct directory *directory; /* where streams lead */
	struct roster *roster;             /* what is announced */
	const bool *stopped;               /* as in struct dialer_options */
};

/* Begins to dial.  0 and *out, or ERR_NOMEM. */
int uplink_new(struct uplink **out, struct bus *bus, const struct uplink_options *opt);

/* The same line, of the current generation. */
void uplink_commit(struct uplink *u, const struct conf_endpoint *conf);

/* No more attempts; its transports say goodbye, and it ends with the last of them. */
void uplink_retire(struct uplink *u);

/* Its transports must be gone. */
void uplink_free(struct uplink *u);

#endif
