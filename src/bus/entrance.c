#include "bus/entrance.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/say.h"

#include <errno.h>

static void on_ready(struct transport *t)
{
	say_peer(t, LOG_INFO, "transport from %s: up", say_who(t));
}

static void on_open(struct transport *t, struct mux_stream *stream, const struct wire_open *open)
{
	const struct entrance *en = t->owner;
	directory_open(&en->directory, t, stream, open);
}

static void on_goaway(struct transport *t, uint32_t code)
{
	say_peer(t, wire_code_is_usual(code) ? LOG_DEBUG : LOG_NOTICE,
		"transport from %s: going away (%s)", say_who(t), wire_code_text(code));
}

static void on_closed(struct transport *t, const char *why)
{
	if (why != NULL)
		say_peer(t, LOG_NOTICE, "transport from %s: lost: %s", say_who(t), why);
	else
		say_peer(t, LOG_INFO, "transport from %s: closed", say_who(t));
	struct entrance *en = t->owner;
	if (en->retired && --en->n_left == 0)
		loop_defer(en->bus->loop, &en->settle);
}

static const struct transport_ops ops = {
	.ready = on_ready, .open = on_open, .goaway = on_goaway, .closed = on_closed};

/* --- life ----------------------------------------------------------------------------------- */

static void settle(struct loop_work *work)
{
	entrance_free(container_of(work, struct entrance, settle));
}

int entrance_new(struct entrance **out, struct bus *bus, const struct conf_endpoint *at)
{
	struct entrance *en = mem_zalloc(bus->mem, sizeof *en);
	if (en == NULL)
		return ERR_NOMEM;
	en->bus = bus;
	en->asked = at->addr;
	en->is_new = true;
	list_init(&en->node);
	loop_work_init(&en->settle, settle);
	directory_init(&en->directory, bus);
	struct acceptor_options opt = {
		.addr = at->addr, .secured = at->secured, .ops = &ops, .owner = en};
	int rc = acceptor_start(&en->acceptor, bus, &opt);
	if (rc == 0) {
		*out = en;
		return 0;
	}
	int saved = errno;
	mem_free(bus->mem, en);
	errno = saved;
	return rc;
}

void entrance_prepare(struct entrance *en, bool secured)
{
	en->secured = secured;
	directory_init(&en->next, en->bus);
}

int entrance_add(struct entrance *en, struct directory_entry *entry, struct egress *e)
{
	int rc = directory_add(&en->next, entry, e);
	en->next.only = en->next.by_name.count == 1 ? e : NULL;
	return rc;
}

void entrance_abandon(struct entrance *en)
{
	directory_fini(&en->next);
}

void entrance_commit(struct entrance *en)
{
	directory_fini(&en->directory);
	en->directory = en->next;
	directory_init(&en->next, en->bus);
	en->is_new = false;
	acceptor_set_secured(&en->acceptor, en->secured);
}

void entrance_close(struct entrance *en)
{
	acceptor_close(&en->acceptor);
}

void entrance_retire(struct entrance *en)
{
	entrance_close(en);
	directory_fini(&en->directory);
	directory_init(&en->directory, en->bus);
	en->retired = true;
	list_each (node, &en->bus->transports) {
		struct transport *t = container_of(node, struct transport, node);
		if (t->owner != en)
			continue;
		en->n_left++;
		transport_goaway(t, WIRE_UNUSED);
	}
	if (en->n_left == 0)
		loop_defer(en->bus->loop, &en->settle);
}

void entrance_free(struct entrance *en)
{
	struct bus *bus = en->bus;
	acceptor_close(&en->acceptor);
	directory_fini(&en->directory);
	directory_fini(&en->next);
	list_remove(&en->node);
	loop_cancel(&en->settle);
	loop_free_later(bus->loop, en);
}
