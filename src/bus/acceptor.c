#include "bus/acceptor.h"

#include "base/err.h"
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* --- names ------------------------------------------------------------------------------------ */

static size_t fold(char *to, const char *name, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (char)tolower((unsigned char)name[i]);
	return n;
}

static struct egress *find(const struct acceptor *a, const char *name, size_t n)
{
	char want[CONF_NAME_MAX], have[CONF_NAME_MAX];
	fold(want, name, n);
	uint64_t hash = hash_bytes(want, n, a->bus->seed);
	for (struct hash_node *node = hash_find(&a->by_name, hash); node != NULL;
		node = hash_find_next(node)) {
		struct egress *e = container_of(node, struct egress, node);
		size_t len = strlen(e->conf->name);
		if (len == n && memcmp(want, have, fold(have, e->conf->name, len)) == 0)
			return e;
	}
	return NULL;
}

/* --- transports ---------------------------------------------------------------------------------
 */

static void on_ready(struct transport *t)
{
	char text[ADDR_TEXT_MAX];
	log_info("transport from %s: up", addr_format(&t->peer, text));
}

static void on_open(struct transport *t, struct mux_stream *stream, const struct wire_open *open)
{
	const struct acceptor *a = t->owner;
	struct egress *e = a->only != NULL ? a->only : find(a, open->name, open->name_len);
	if (e == NULL) {
		log_warning("session refused: no service [%.*s] on this address", open->name_len,
			open->name);
		transport_refuse(t, stream, WIRE_NO_SERVICE);
	} else if (open->hops == 0) {
		log_warning("service [%s]: session refused: its hop limit is spent", e->conf->name);
		transport_refuse(t, stream, WIRE_HOPS_SPENT);
	} else {
		egress_begin(e, t, stream, open);
	}
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

static void on_accepted(struct listen *l, int fd, const struct addr *peer)
{
	struct acceptor *a = container_of(l, struct acceptor, listen);
	char text[ADDR_TEXT_MAX];
	if (a->bus->n_transports >= BUS_TRANSPORTS_MAX) {
		log_warning("transport from %s refused: there are %d already",
			addr_format(peer, text), BUS_TRANSPORTS_MAX);
		(void)close(fd); /* with SO_LINGER {1, 0}: a reset */
		return;
	}
	struct transport *t;
	struct transport_options opt = {.ops = &ops, .owner = a, .fd = fd, .side = MUX_ACCEPTED};
	int rc = transport_new(&t, a->bus, &opt);
	if (rc != 0)
		log_error("transport from %s refused: %s", addr_format(peer, text),
			rc == ERR_SYS ? strerror(errno) : err_text(rc));
}

int acceptor_start(struct acceptor *a, struct bus *bus, const struct addr *addr)
{
	*a = (struct acceptor){.bus = bus, .asked = *addr};
	hash_init(&a->by_name, bus->mem);
	a->broken = listen_start(&a->listen, bus, addr, on_accepted);
	return a->broken;
}

int acceptor_add(struct acceptor *a, struct egress *e, const struct conf_service *conf)
{
	char folded[CONF_NAME_MAX];
	size_t n = fold(folded, conf->name, strlen(conf->name));
	int rc = egress_init(e, a->bus, conf);
	if (rc != 0)
		return rc;
	rc = hash_add(&a->by_name, &e->node, hash_bytes(folded, n, a->bus->seed));
	if (rc != 0)
		egress_fini(e);
	a->only = a->by_name.count == 1 ? e : NULL;
	return rc;
}

void acceptor_close(struct acceptor *a)
{
	listen_stop(&a->listen);
}

void acceptor_stop(struct acceptor *a)
{
	if (a->bus == NULL)
		return;
	listen_stop(&a->listen);
	for (struct hash_node *n; (n = hash_any(&a->by_name)) != NULL;) {
		hash_remove(&a->by_name, n);
		egress_fini(container_of(n, struct egress, node));
	}
	hash_fini(&a->by_name);
}
