#include "bus/link.h"

#include "base/err.h"
#include "bus/say.h"

#include <stdio.h>
#include <string.h>

static struct link *link_of(const struct dialer *d)
{
	return container_of(d, struct link, dialer);
}

static const char *text_of(const struct dialer *d)
{
	return say_where(&d->addr, d->secured);
}

static void free_if_unused(struct link *link)
{
	if (!list_empty(&link->watchers) || dialer_busy(&link->dialer))
		return;
	dialer_fini(&link->dialer);
	hash_remove(&link->links->table, &link->node);
	loop_free_later(link->links->bus->loop, link);
}

static void on_up(struct dialer *d, struct transport *t)
{
	(void)t;
	list_each_safe (node, &link_of(d)->watchers) {
		struct link_watch *w = container_of(node, struct link_watch, node);
		w->up(w);
	}
}

static void on_open(struct dialer *d, struct transport *t, struct mux_stream *stream,
	const struct wire_open *open)
{
	say_peer(t, LOG_WARNING,
		"link %s: session refused: the segment opened [%.*s] here, where no service is",
		text_of(d), open->name_len, open->name);
	transport_reject(t, stream, WIRE_NO_SERVICE);
}

static void on_ended(struct dialer *d)
{
	free_if_unused(link_of(d));
}

static const struct dialer_ops ops = {
	.peer = "segment", .text = text_of, .up = on_up, .open = on_open, .ended = on_ended};

void link_kick(struct link *link, uint64_t until)
{
	dialer_kick(&link->dialer, until);
}

struct transport *link_transport(struct link *link)
{
	return dialer_transport(&link->dialer);
}

bool link_is_up(const struct link *link)
{
	const struct dialer *d = &link->dialer;
	/* One that was lost in this turn is among them until its owner is told. */
	for (unsigned i = 0; i < d->n_ready; i++) {
		if (!d->ready[i]->dead)
			return true;
	}
	return false;
}

/* --- life ---------------------------------------------------------------------------------- */

void link_table_init(struct link_table *links, struct bus *bus)
{
	*links = (struct link_table){.bus = bus};
	hash_init(&links->table, bus->mem);
}

void link_table_fini(struct link_table *links)
{
	for (struct hash_node *n; (n = hash_any(&links->table)) != NULL;) {
		struct link *link = container_of(n, struct link, node);
		dialer_fini(&link->dialer);
		hash_remove(&links->table, n);
		mem_free(links->bus->mem, link);
	}
	hash_fini(&links->table);
}

static struct link *find(struct link_table *links, const struct link_address *to, uint64_t hash)
{
	for (struct hash_node *n = hash_find(&links->table, hash); n != NULL;
		n = hash_find_next(n)) {
		struct link *link = container_of(n, struct link, node);
		if (link->dialer.secured == to->secured && addr_equal(&link->dialer.addr, to->addr))
			return link;
	}
	return NULL;
}

static struct link *link_new(struct link_table *links, const struct link_address *to, uint64_t hash)
{
	struct link *link = mem_zalloc(links->bus->mem, sizeof *link);
	if (link == NULL)
		return NULL;
	if (hash_add(&links->table, &link->node, hash) != 0) {
		mem_free(links->bus->mem, link);
		return NULL;
	}
	struct dialer_options opt = {
		.ops = &ops, .addr = *to->addr, .secured = to->secured, .stopped = &links->stopped};
	(void)dialer_init(&link->dialer, links->bus, &opt); /* without a name nothing fails */
	link->links = links;
	list_init(&link->watchers);
	return link;
}

int link_watch(struct link_watch *w, struct link_table *links, const struct link_address *to)
{
	uint64_t hash = addr_hash(to->addr, links->bus->seed);
	struct link *link = find(links, to, hash);
	if (link == NULL)
		link = link_new(links, to, hash);
	if (link == NULL)
		return ERR_NOMEM;
	w->link = link;
	list_append(&link->watchers, &w->node);
	dialer_use(&link->dialer);
	return 0;
}

void link_unwatch(struct link_watch *w)
{
	struct link *link = w->link;
	list_remove(&w->node);
	w->link = NULL;
	if (!list_empty(&link->watchers))
		return;
	dialer_give_up(&link->dialer);
	free_if_unused(link);
}

void link_table_stop(struct link_table *links)
{
	links->stopped = true;
	list_each (node, &links->bus->transports) {
		struct transport *t = container_of(node, struct transport, node);
		transport_goaway(t, WIRE_OK);
	}
}
