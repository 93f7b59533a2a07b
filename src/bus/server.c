#include "bus/server.h"

#include "bus/server_bus.h"
#include "bus/server_dial.h"

int server_new(struct server **out, const struct server_options *opt)
{
	return opt->conf->service != NULL ? server_bus_new(out, opt) : server_dial_new(out, opt);
}

void server_free(struct server *server)
{
	if (server != NULL)
		server->ops->free(server);
}

size_t server_members(struct server *server, struct server_member *members, size_t room)
{
	return server->ops->members(server, members, room);
}

bool server_is_up(const struct server *server)
{
	return server->ops->is_up(server);
}

bool server_kick(struct server *server, uint64_t until)
{
	return server->ops->kick(server, until);
}
