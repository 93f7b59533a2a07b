#include "bus/server.h"

#include "base/err.h"
#include "base/log.h"

#include <string.h>

static void on_up(struct link_watch *w)
{
	struct server_link *sl = container_of(w, struct server_link, watch);
	sl->server->up(sl->server, w->link);
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
static int use(struct server *server, const struct addr *addrs, size_t n)
{
	struct bus *bus = server->links->bus;
	struct server_link *link = mem_zalloc(bus->mem, n * sizeof *link);
	if (link == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct addr addr = addrs[i];
		if (addr_family(&addr) == AF_INET)
			addr.in.sin_port = htons(server->conf->port);
		else if (addr_family(&addr) == AF_INET6)
			addr.in6.sin6_port = htons(server->conf->port);
		list_init(&link[i].watch.node);
		link[i].server = server;
		link[i].watch.up = on_up;
		struct link_address to = {&addr, server->conf->secured};
		int rc = link_watch(&link[i].watch, server->links, &to);
		if (rc != 0) {
			drop_links(bus, link, i);
			return rc;
		}
	}
	struct server_link *old = server->link;
	size_t n_old = server->n_links;
	server->link = link;
	server->n_links = n;
	if (old != NULL)
		drop_links(bus, old, n_old);
	return 0;
}

/* Whether the links in use are just these addresses, in this order. */
static bool is_same(const struct server *server, const struct addr *addrs, size_t n)
{
	if (n != server->n_links)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct addr addr = server->link[i].watch.link->dialer.addr;
		if (addr_family(&addr) == AF_INET)
			addr.in.sin_port = 0;
		else
			addr.in6.sin6_port = 0;
		if (!addr_equal(&addr, &addrs[i]))
			return false;
	}
	return true;
}

static void refresh_at(struct server *server, uint64_t at)
{
	struct bus *bus = server->links->bus;
	if (loop_timer_set(bus->loop, &server->refresh, at) != 0)
		log_error("%s: no memory for its timer; it will not be resolved again",
			server->conf->text);
}

/* Whoever waited for the name need not wait for links that others keep up. */
static void tell_up(struct server *server)
{
	for (size_t i = 0; i < server->n_links; i++) {
		struct link *link = server->link[i].watch.link;
		if (link_transport(link) != NULL)
			server->up(server, link);
	}
}

static void on_resolved(struct dns_query *query, int err)
{
	struct server *server = container_of(query, struct server, query);
	struct bus *bus = server->links->bus;
	size_t n;
	if (err == 0) {
		const struct addr *addrs = dns_addrs(server->name, &n);
		if (!is_same(server, addrs, n) && use(server, addrs, n) != 0)
			log_error("%s: no memory for its links", server->conf->text);
		tell_up(server);
		if (server->complained)
			log_notice("%s: resolved", server->conf->text);
		server->complained = false;
	} else if (!server->complained) {
		log_warning("%s: cannot resolve: %s; trying on", server->conf->text,
			dns_failure(server->name));
		server->complained = true;
	}
	uint64_t at = dns_expires(server->name);
	uint64_t soonest = bus_now(bus) + DIALER_BACKOFF_MIN;
	refresh_at(server, at > soonest ? at : soonest);
}

static void on_refresh(struct timer *timer)
{
	struct server *server = container_of(timer, struct server, refresh);
	dns_resolve(server->name, &server->query);
}

int server_start(struct server *server, struct link_table *links, const struct conf_endpoint *conf)
{
	server->links = links;
	server->conf = conf;
	server->refresh.fire = on_refresh;
	server->query.done = on_resolved;
	if (conf->host == NULL)
		return use(server, &conf->addr, 1);
	server->name = dns_ref(links->bus->dns, conf->host);
	if (server->name == NULL)
		return ERR_NOMEM;
	dns_resolve(server->name, &server->query);
	return 0;
}

void server_stop(struct server *server)
{
	if (server->links == NULL)
		return;
	struct bus *bus = server->links->bus;
	loop_timer_stop(bus->loop, &server->refresh);
	dns_cancel(&server->query);
	dns_unref(server->name);
	server->name = NULL;
	if (server->link != NULL)
		drop_links(bus, server->link, server->n_links);
	server->link = NULL;
	server->n_links = 0;
}

struct transport *server_next(struct server *server)
{
	for (size_t i = 0; i < server->n_links; i++) {
		size_t k = (server->turn + i) % server->n_links;
		struct transport *t = link_transport(server->link[k].watch.link);
		if (t == NULL)
			continue;
		server->turn = k + 1;
		return t;
	}
	return NULL;
}

bool server_is_up(const struct server *server)
{
	for (size_t i = 0; i < server->n_links; i++) {
		if (link_is_up(server->link[i].watch.link))
			return true;
	}
	return false;
}

void server_kick(struct server *server, uint64_t until)
{
	if (server->name != NULL && server->n_links == 0)
		dns_resolve(server->name, &server->query);
	for (size_t i = 0; i < server->n_links; i++)
		link_kick(server->link[i].watch.link, until);
}
