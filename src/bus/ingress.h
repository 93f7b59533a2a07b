/*
 * ingress - a controller's service: clients in, sessions out to the members its servers name.
 */
#ifndef CB_BUS_INGRESS_H
#define CB_BUS_INGRESS_H

#include "base/hash.h"
#include "bus/listen.h"
#include "bus/server.h"
#include "bus/session.h"

struct ingress {
	struct session_owner sessions;
	struct list node;         /* the node's, of all */
	struct hash_node by_name; /* while a configuration is applied: the node's own */
	struct bus *bus;
	const struct conf_service *conf;
	struct generation *generation; /* whose that is */
	struct listen *listen;         /* NULL: no new clients; the node's */
	struct server **server;        /* n_servers of them, as in conf */
	size_t n_servers;
	struct list waiting; /* for a link: see ingress.c */
	size_t n_sessions;
	struct service_stats stats;
	bool retired; /* lives for the sessions that are left, and then frees itself */
	struct loop_work settle;
};

struct ingress_options {
	const struct conf_service *conf;
	struct link_table *links;
	struct registry *registry;
};

/* Without servers, and not listening; `conf` only for its name.  NULL: no memory. */
struct ingress *ingress_new(struct bus *bus, const struct conf_service *conf);

/*
 * Binds an address of clients, who are those of the ingress that becomes its owner: before
 * the loop turns.  0; ERR_NOMEM; ERR_SYS with errno.  To be stopped and freed by the caller.
 */
int ingress_listen(struct listen **out, struct bus *bus, const struct addr *addr);

/*
 * The servers that another configuration wants: those that it has already, and new ones,
 * which begin to resolve and dial.  0 and *out, for one of the two calls that follow; or
 * ERR_NOMEM.
 */
int ingress_prepare(
	const struct ingress *in, const struct ingress_options *opt, struct server ***out);

/* What was prepared is not used. */
void ingress_abandon(
	const struct ingress *in, const struct conf_service *conf, struct server **server);

/*
 * From now on it is as `conf`, of the current generation, says; sessions that run are left
 * alone, and those that wait may go to the new servers.
 */
void ingress_commit(struct ingress *in, const struct conf_service *conf, struct server **server);

/* It is not in the configuration any more, and has no listener: it ends with its sessions. */
void ingress_retire(struct ingress *in);

/* Its sessions must be over; the listener is the caller's. */
void ingress_free(struct ingress *in);

#endif
