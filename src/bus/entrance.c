#include "bus/entrance.h"

#include "base/log.h"

static void on_ready(struct transport *t)
{
	char text[ADDR_TEXT_MAX];
	log_info("transport from %s: up", addr_format(&t->peer, text));
}

static void on_open(struct transport *t, struct mux_stream *stream, const struct wire_open *open)
{
	const struct entrance *en = t->owner;
	directory_open(&en->directory, t, stream, open);
}

static void on_goaway(struct transport *t, uint32_t code)
{
	char text[ADDR_TEXT_MAX];
	log_debug("transport from %s: going away (%s)", addr_format(&t->peer, text),
		wire_code_text(code));
}

static void on_closed(struct transport *t, const char *why)
{
	char text[ADDR_TEXT_MAX];
	addr_format(&t->peer, text);
	if (why != NULL)
		log_notice("transport from %s: lost: %s", text, why);
	else
		log_info("transport from %s: closed", text);
}

static const struct transport_ops ops = {
	.ready = on_ready, .open = on_open, .goaway = on_goaway, .closed = on_closed};

int entrance_start(struct entrance *en, struct bus *bus, const struct addr *addr)
{
	*en = (struct entrance){.asked = *addr};
	directory_init(&en->directory, bus);
	struct acceptor_options opt = {.addr = *addr, .ops = &ops, .owner = en};
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
