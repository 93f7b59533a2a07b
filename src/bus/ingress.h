/*
 * ingress - a controller's service: clients in, sessions out to the members its servers name.
 */
#ifndef CB_BUS_INGRESS_H
#define CB_BUS_INGRESS_H

#include "bus/listen.h"
#include "bus/server.h"

struct ingress {
	struct listen listen;
	struct bus *bus;
	const struct conf_service *conf;
	struct server **server; /* conf->n_servers of them */
	struct list waiting;    /* sessions without a member yet */
	size_t n_sessions;
};

struct ingress_options {
	const struct conf_service *conf;
	struct link_table *links;
	struct registry *registry;
};

/*
 * Binds, resolves, dials.  0; ERR_NOMEM; ERR_SYS with errno when the address cannot be
 * bound.  ingress_stop() must follow in any case.
 */
int ingress_start(struct ingress *in, struct bus *bus, const struct ingress_options *opt);

/* No new clients; sessions go on. */
void ingress_close(struct ingress *in);

/* Gives up its links; its sessions must be over. */
void ingress_stop(struct ingress *in);

#endif
