/*
 * server - one server= line of a controller's service: who the members of a new session are.
 *
 * There are two kinds.  One is dialled: an address, or a name that DNS resolves
 * (server_dial.h).  The other is a name on the bus: the segments that have dialled this
 * controller and serve it (server_bus.h).
 */
#ifndef CB_BUS_SERVER_H
#define CB_BUS_SERVER_H

#include "bus/link.h"
#include "bus/registry.h"

struct server;

/* Where a stream of a new session is to be opened, and the name to ask for there. */
struct server_member {
	struct transport *t;
	const char *name;
};

struct server_ops {
	void (*free)(struct server *server);
	size_t (*members)(struct server *server, struct server_member *members, size_t room);
	bool (*is_up)(const struct server *server);
	bool (*kick)(struct server *server, uint64_t until);
};

struct server {
	const struct server_ops *ops;
	const struct conf_endpoint *conf;
	const struct conf_service *service; /* whose it is */
	/* A member has come up that was not there. */
	void (*up)(struct server *server);
	void *owner;
};

struct server_options {
	const struct conf_endpoint *conf;
	const struct conf_service *service;
	struct link_table *links;
	struct registry *registry;
	void (*up)(struct server *server);
	void *owner;
};

/* Begins to resolve and to dial, when the loop turns.  0 and *out, or ERR_NOMEM. */
int server_new(struct server **out, const struct server_options *opt);

/* NULL does nothing. */
void server_free(struct server *server);

/* Its members for a new session, up to `room` (>= 1): as a rule one.  How many. */
size_t server_members(struct server *server, struct server_member *members, size_t room);

/* Whether anybody is there, though perhaps at the limit of streams. */
bool server_is_up(const struct server *server);

/*
 * A session would wait for a member, until then: what is down is tried at once.  False
 * where that is no reason to wait; who waits for another server is told by up() all the same.
 */
bool server_kick(struct server *server, uint64_t until);

#endif
