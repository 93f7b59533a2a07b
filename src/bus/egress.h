/*
 * egress - a segment's service: sessions that come over a transport, and go to its backend.
 */
#ifndef CB_BUS_EGRESS_H
#define CB_BUS_EGRESS_H

#include "base/hash.h"
#include "bus/backend.h"
#include "bus/session.h"

/* The backend a service leads to; whoever is on the way there holds it. */
struct egress_target {
	struct backend backend;
	struct generation *generation; /* whose its configuration is */
	size_t holders;
};

struct egress {
	struct session_owner sessions;
	struct list node;         /* the node's, of all */
	struct hash_node by_name; /* while a configuration is applied: the node's own */
	struct bus *bus;
	const struct conf_service *conf;
	struct generation *generation; /* whose that is */
	struct egress_target *target;
	size_t n_sessions;
	struct service_stats stats;
	bool leaving; /* not in the configuration any more: leaving.h */
	bool retired; /* lives for the sessions that are left, and then frees itself */
	struct loop_work settle;
};

enum { EGRESS_SPARE = 64 }; /* kept of what a session needs on its way to a backend */

/* Once for a bus, which lends it to all. */
void egress_spare_init(struct spare *s, struct mem *mem);

/* Leads nowhere yet; `conf` only for its name.  NULL: no memory. */
struct egress *egress_new(struct bus *bus, const struct conf_service *conf);

/*
 * The backend that another configuration wants: its own, where that stays the same, or a new
 * one.  0 and *out, for one of the two calls that follow; or ERR_NOMEM.
 */
int egress_prepare(struct egress *e, const struct conf_service *conf, struct egress_target **out);

/* What was prepared is not used. */
void egress_abandon(struct egress *e, struct egress_target *target);

/*
 * From now on it is as `conf`, of the current generation, says; sessions that have begun are
 * left alone.
 */
void egress_commit(struct egress *e, const struct conf_service *conf, struct egress_target *target);

/* It is not in the configuration any more, and in no directory: it ends with its sessions. */
void egress_retire(struct egress *e);

/* Its sessions must be over. */
void egress_free(struct egress *e);

/* The peer opened a stream for this service: connects it to the backend, or refuses it. */
void egress_begin(struct egress *e, struct transport *t, struct mux_stream *stream,
	const struct wire_open *open);

#endif
