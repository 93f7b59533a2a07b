#include "bus/server_bus.h"

#include "base/err.h"
#include "bus/turns.h"

#include <string.h>

struct server_bus {
	struct server server;
	struct registry *registry;
	struct offers_name *name;
	struct offers_watch watch;
	struct loop_work tell;
};

static struct server_bus *bus_of(const struct server *server)
{
	return container_of(server, struct server_bus, server);
}

static void tell(struct loop_work *work)
{
	struct server_bus *sb = container_of(work, struct server_bus, tell);
	sb->server.up(&sb->server);
}

/* At the end of the turn: sessions are opened when the announcement has been read. */
static void on_up(struct offers_watch *w)
{
	struct server_bus *sb = container_of(w, struct server_bus, watch);
	loop_defer(sb->registry->bus->loop, &sb->tell);
}

static void free_it(struct server *server)
{
	struct server_bus *sb = bus_of(server);
	loop_cancel(&sb->tell);
	offers_unwatch(&sb->watch);
	offers_unref(&sb->registry->offers, sb->name);
	loop_free_later(sb->registry->bus->loop, sb);
}

static size_t members(struct server *server, struct server_member *m, size_t room)
{
	struct server_bus *sb = bus_of(server);
	struct transport *t[CONF_SERVERS_MAX];
	size_t n;
	if (server->service->fanout == CONF_FANOUT_ALL) {
		n = turns_all(sb->name, t, room < CONF_SERVERS_MAX ? room : CONF_SERVERS_MAX);
	} else {
		t[0] = turns_next(sb->name, server->service->balance);
		n = t[0] != NULL ? 1 : 0;
	}
	for (size_t i = 0; i < n; i++)
		m[i] = (struct server_member){.t = t[i], .name = server->conf->service};
	return n;
}

static bool is_up(const struct server *server)
{
	return bus_of(server)->name->n_offers > 0;
}

static bool kick(struct server *server, uint64_t until)
{
	(void)server;
	(void)until;
	return false;
}

static const struct server_ops ops = {
	.free = free_it, .members = members, .is_up = is_up, .kick = kick};

int server_bus_new(struct server **out, const struct server_options *opt)
{
	struct mem *mem = opt->registry->bus->mem;
	const char *name = opt->conf->service;
	struct server_bus *sb = mem_zalloc(mem, sizeof *sb);
	if (sb == NULL)
		return ERR_NOMEM;
	sb->server = (struct server){.ops = &ops,
		.conf = opt->conf,
		.service = opt->service,
		.up = opt->up,
		.owner = opt->owner};
	sb->registry = opt->registry;
	sb->name = offers_ref(&opt->registry->offers, name, strlen(name));
	if (sb->name == NULL) {
		mem_free(mem, sb);
		return ERR_NOMEM;
	}
	sb->watch.up = on_up;
	offers_watch(sb->name, &sb->watch);
	loop_work_init(&sb->tell, tell);
	*out = &sb->server;
	return 0;
}
