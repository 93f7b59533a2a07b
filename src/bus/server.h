/*
 * server - one server= line of a controller's service: a name or an address, and the
 * links it leads to now.
 *
 * A name with several addresses is one server: new sessions take turns over those of its
 * links that are up.  When the answer's time to live has passed, the name is asked
 * anew; new sessions follow the new addresses, old ones stay where they are.
 */
#ifndef CB_BUS_SERVER_H
#define CB_BUS_SERVER_H

#include "bus/link.h"

struct server;

/* One address of a server; in its array. */
struct server_link {
	struct link_watch watch;
	struct server *server;
};

struct server {
	struct link_table *links;
	const struct conf_endpoint *conf;
	struct dns_name *name; /* NULL where the address is fixed */
	struct dns_query query;
	struct timer refresh;
	struct server_link *link; /* n_links of them */
	size_t n_links;
	size_t turn;     /* whose turn it is next */
	bool complained; /* that the name does not resolve */
	void (*up)(struct server *server, struct link *link);
	void *owner;
};

/* Begins: resolves, dials.  up() is called whenever one of its links comes up.  0 or ERR_NOMEM. */
int server_start(struct server *server, struct link_table *links, const struct conf_endpoint *conf);

void server_stop(struct server *server);

/* The transport for a new session: the next of its links that is up; NULL if none is. */
struct transport *server_next(struct server *server);

/* Whether any of its links is up, though perhaps at its limit of streams. */
bool server_is_up(const struct server *server);

/* A session waits, until then: what is down is tried at once. */
void server_kick(struct server *server, uint64_t until);

#endif
