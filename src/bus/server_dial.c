#include "bus/server_dial.h"

#include "base/err.h"
#include "base/log.h"

#include <string.h>

/* One address of a server; in its array. */
struct server_link {
	struct link_watch watch;
	struct server_dial *server;
};

struct server_dial {
	struct server server;
	struct link_table *links;
	struct dns_name *name; /* NULL where the address is fixed */
	struct dns_query query;
	struct timer refresh;
	struct server_link *link; /* n_links of them */
	size_t n_links;
	size_t turn;     /* whose turn it is next */
	bool complained; /* that the name does not resolve */
};

static struct server_dial *dial_of(const struct server *server)
{
	return container_of(server, struct server_dial, server);
}

static void on_up(struct link_watch *w)
{
	struct server_dial *sd = container_of(w, struct server_link, watch)->server;
	sd->server.up(&sd->server);
}

static void drop_links(struct bus *bus, struct server_link *link, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (link[i].watch.link != NULL)
			link_unwatch(&link[i].watch);
	}
	loop_free_later(bus->loop, link);
}

/*
 * Uses these addresses from now on.  The new links are taken before the old ones are given
 * up, so that an address that stays keeps its link.  0 or ERR_NOMEM: all as before.
 */
static int use(struct server_dial *sd, const struct addr *addrs, size_t n)
{
	struct bus *bus = sd->links->bus;
	struct server_link *link = mem_zalloc(bus->mem, n * sizeof *link);
	if (link == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct addr addr = addrs[i];
		if (addr_family(&addr) == AF_INET)
			addr.in.sin_port = htons(sd->server.conf->port);
		else if (addr_family(&addr) == AF_INET6)
			addr.in6.sin6_port = htons(sd->server.conf->port);
		list_init(&link[i].watch.node);
		link[i].server = sd;
		link[i].watch.up = on_up;
		struct link_address to = {&addr, sd->server.conf->secured};
		int rc = link_watch(&link[i].watch, sd->links, &to);
		if (rc != 0) {
			drop_links(bus, link, i);
			return rc;
		}
	}
	struct server_link *old = sd->link;
	size_t n_old = sd->n_links;
	sd->link = link;
	sd->n_links = n;
	if (old != NULL)
		drop_links(bus, old, n_old);
	return 0;
}

/* Whether the links in use are just these addresses, in this order. */
static bool is_same(const struct server_dial *sd, const struct addr *addrs, size_t n)
{
	if (n != sd->n_links)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct addr addr = sd->link[i].watch.link->dialer.addr;
		if (addr_family(&addr) == AF_INET)
			addr.in.sin_port = 0;
		else
			addr.in6.sin6_port = 0;
		if (!addr_equal(&addr, &addrs[i]))
			return false;
	}
	return true;
}

static void refresh_at(struct server_dial *sd, uint64_t at)
{
	struct bus *bus = sd->links->bus;
	if (loop_timer_set(bus->loop, &sd->refresh, at) != 0)
		log_error("%s: no memory for its timer; it will not be resolved again",
			sd->server.conf->text);
}

/* Whoever waited for the name need not wait for links that others keep up. */
static void tell_up(struct server_dial *sd)
{
	for (size_t i = 0; i < sd->n_links; i++) {
		struct link *link = sd->link[i].watch.link;
		if (link_transport(link) != NULL)
			sd->server.up(&sd->server);
	}
}

static void on_resolved(struct dns_query *query, int err)
{
	struct server_dial *sd = container_of(query, struct server_dial, query);
	struct bus *bus = sd->links->bus;
	size_t n;
	if (err == 0) {
		const struct addr *addrs = dns_addrs(sd->name, &n);
		if (!is_same(sd, addrs, n) && use(sd, addrs, n) != 0)
			log_error("%s: no memory for its links", sd->server.conf->text);
		tell_up(sd);
		if (sd->complained)
			log_notice("%s: resolved", sd->server.conf->text);
		sd->complained = false;
	} else if (!sd->complained) {
		log_warning("%s: cannot resolve: %s; trying on", sd->server.conf->text,
			dns_failure(sd->name));
		sd->complained = true;
	}
	uint64_t at = dns_expires(sd->name);
	uint64_t soonest = bus_now(bus) + DIALER_BACKOFF_MIN;
	refresh_at(sd, at > soonest ? at : soonest);
}

static void on_refresh(struct timer *timer)
{
	struct server_dial *sd = container_of(timer, struct server_dial, refresh);
	dns_resolve(sd->name, &sd->query);
}

static void free_it(struct server *server)
{
	struct server_dial *sd = dial_of(server);
	struct bus *bus = sd->links->bus;
	loop_timer_stop(bus->loop, &sd->refresh);
	dns_cancel(&sd->query);
	dns_unref(sd->name);
	if (sd->link != NULL)
		drop_links(bus, sd->link, sd->n_links);
	loop_free_later(bus->loop, sd);
}

static size_t members(struct server *server, struct server_member *m, size_t room)
{
	struct server_dial *sd = dial_of(server);
	(void)room;
	for (size_t i = 0; i < sd->n_links; i++) {
		size_t k = (sd->turn + i) % sd->n_links;
		struct transport *t = link_transport(sd->link[k].watch.link);
		if (t == NULL)
			continue;
		sd->turn = k + 1;
		*m = (struct server_member){.t = t, .name = server->service->service};
		return 1;
	}
	return 0;
}

static bool is_up(const struct server *server)
{
	const struct server_dial *sd = dial_of(server);
	for (size_t i = 0; i < sd->n_links; i++) {
		if (link_is_up(sd->link[i].watch.link))
			return true;
	}
	return false;
}

static bool kick(struct server *server, uint64_t until)
{
	struct server_dial *sd = dial_of(server);
	if (sd->name != NULL && sd->n_links == 0)
		dns_resolve(sd->name, &sd->query);
	for (size_t i = 0; i < sd->n_links; i++)
		link_kick(sd->link[i].watch.link, until);
	return true;
}

static const struct server_ops ops = {
	.free = free_it, .members = members, .is_up = is_up, .kick = kick};

/* 0 or ERR_NOMEM. */
static int start(struct server_dial *sd, struct bus *bus)
{
	const struct conf_endpoint *conf = sd->server.conf;
	if (conf->host == NULL)
		return use(sd, &conf->addr, 1);
	sd->name = dns_ref(bus->dns, conf->host);
	if (sd->name == NULL)
		return ERR_NOMEM;
	/* A step that is only prepared asks nobody. */
	return loop_timer_set(bus->loop, &sd->refresh, bus_now(bus));
}

int server_dial_new(struct server **out, const struct server_options *opt)
{
	struct bus *bus = opt->links->bus;
	struct server_dial *sd = mem_zalloc(bus->mem, sizeof *sd);
	if (sd == NULL)
		return ERR_NOMEM;
	sd->server = (struct server){.ops = &ops,
		.conf = opt->conf,
		.service = opt->service,
		.up = opt->up,
		.owner = opt->owner};
	sd->links = opt->links;
	sd->refresh.fire = on_refresh;
	sd->query.done = on_resolved;
	int rc = start(sd, bus);
	if (rc == 0)
		*out = &sd->server;
	else
		free_it(&sd->server);
	return rc;
}
