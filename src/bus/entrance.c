#include "bus/entrance.h"

#include "base/log.h"

static void on_ready(struct transport *t)
{
	log_info("transport from %s: up", transport_text(t));
}

static void on_open(struct transport *t, struct mux_stream *stream, const struct wire_open *open)
{
	const struct entrance *en = t->owner;
	directory_open(&en->directory, t, stream, open);
}

static void on_goaway(struct transport *t, uint32_t code)
{
	log_debug("transport from %s: going away (%s)", transport_text(t), wire_code_text(code));
}

static void on_closed(struct transport *t, const char *why)
{
	if (why != NULL)
		log_notice("transport from %s: lost: %s", transport_text(t), why);
	else
		log_info("transport from %s: closed", transport_text(t));
}

static const struct transport_ops ops = {
	.ready = on_ready, .open = on_open, .goaway = on_goaway, .closed = on_closed};

int entrance_start(struct entrance *en, struct bus *bus, const struct conf_endpoint *at)
{
	*en = (struct entrance){.asked = at->addr};
	directory_init(&en->directory, bus);
	struct acceptor_options opt = {
		.addr = at->addr, .secured = at->secured, .ops = &ops, .owner = en};
	en->broken = acceptor_start(&en->acceptor, bus, &opt);
	return en->broken;
}

int entrance_add(struct entrance *en, struct directory_entry *entry, struct egress *e)
{
	int rc = directory_add(&en->directory, entry, e);
	en->directory.only = en->directory.by_name.count == 1 ? e : NULL;
	return rc;
}

void entrance_close(struct entrance *en)
{
	acceptor_close(&en->acceptor);
}

void entrance_stop(struct entrance *en)
{
	acceptor_close(&en->acceptor);
	directory_fini(&en->directory);
}
