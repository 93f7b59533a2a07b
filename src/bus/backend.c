#include "bus/backend.h"

#include "base/err.h"
#include "bus/say.h"

#include <errno.h>
#include <string.h>

int backend_init(struct backend *b, struct bus *bus, const struct conf_service *conf)
{
	*b = (struct backend){.bus = bus, .conf = conf};
	if (conf->servers[0].host == NULL)
		return 0;
	b->name = dns_ref(bus->dns, conf->servers[0].host);
	return b->name == NULL ? ERR_NOMEM : 0;
}

void backend_fini(struct backend *b)
{
	if (b->bus == NULL)
		return;
	dns_unref(b->name);
	b->name = NULL;
}

bool backend_is_tcp(const struct backend *b)
{
	return b->name != NULL || addr_family(&b->conf->servers[0].addr) != AF_UNIX;
}

/* --- addresses that failed ------------------------------------------------------------- */

static struct backend_down *find_down(struct backend *b, const struct addr *addr)
{
	for (size_t i = 0; i < b->n_down; i++) {
		if (addr_equal(&b->down[i].addr, addr))
			return &b->down[i];
	}
	return NULL;
}

static void mark_up(struct backend *b, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];
	struct backend_down *d = find_down(b, addr);
	if (d == NULL)
		return;
	say_about(b->bus, b->conf->name, LOG_NOTICE, "service [%s]: %s answers again",
		b->conf->name, addr_format(addr, text));
	*d = b->down[--b->n_down];
}

static void mark_down(struct backend *b, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];
	uint64_t now = bus_now(b->bus);
	struct backend_down *d = find_down(b, addr);
	if (d == NULL) {
		if (b->n_down == DNS_ADDRS_MAX) /* forget one that no answer names any more */
			b->n_down--;
		d = &b->down[b->n_down++];
		*d = (struct backend_down){.addr = *addr, .pause = BACKEND_DOWN_MIN / 2};
		say_about(b->bus, b->conf->name, LOG_NOTICE,
			"service [%s]: %s does not answer; it is tried last for now", b->conf->name,
			addr_format(addr, text));
	}
	d->pause = d->pause * 2 < BACKEND_DOWN_MAX ? d->pause * 2 : BACKEND_DOWN_MAX;
	d->until = now + d->pause;
}

static bool is_down(struct backend *b, const struct addr *addr)
{
	const struct backend_down *d = find_down(b, addr);
	return d != NULL && bus_now(b->bus) < d->until;
}

/*
 * The order to try in: the addresses that answer, beginning with the one whose turn it is,
 * then those that did not lately.  Turns are counted among those that answer, so
 * that the neighbour of one that is down does not get its share as well.
 */
static size_t make_order(struct backend *b, const struct addr *addrs, size_t n, struct addr *order)
{
	bool down[CONNECTOR_ADDRS_MAX];
	size_t up = 0, k = 0;
	for (size_t i = 0; i < n; i++) {
		down[i] = is_down(b, &addrs[i]);
		up += !down[i];
	}
	size_t first = up > 0 ? b->turn % up : 0;
	b->turn++;
	for (size_t pass = 0; pass < 3; pass++) {
		for (size_t i = 0, rank = 0; i < n; i++) {
			bool now = down[i] ? pass == 2 : (rank++ < first ? pass == 1 : pass == 0);
			if (now)
				order[k++] = addrs[i];
		}
	}
	return k;
}

/* --- connecting --------------------------------------------------------------------------- */

static uint32_t code_of(int err, int sys)
{
	if (err == ERR_TIMEOUT)
		return WIRE_TIMED_OUT;
	switch (sys) {
	case ECONNREFUSED:
		return WIRE_REFUSED;
	case ETIMEDOUT:
		return WIRE_TIMED_OUT;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EADDRNOTAVAIL:
		return WIRE_INTERNAL;
	default:
		return WIRE_UNREACHABLE;
	}
}

static void forget_order(struct backend_connect *bc)
{
	mem_free(bc->backend->bus->mem, bc->order);
	bc->order = NULL;
}

static void on_connected(struct connector *c, const struct connector_result *r)
{
	struct backend_connect *bc = container_of(c, struct backend_connect, connector);
	struct backend *b = bc->backend;
	b->bus->stats.no_port += r->no_port;
	for (size_t i = 0; i < bc->n; i++) {
		if (b->name == NULL) /* the only address there is: no other to try first */
			break;
		if (r->failed >> i & 1 || r->unanswered >> i & 1)
			mark_down(b, &bc->order[i]);
	}
	if (r->err == 0)
		mark_up(b, &bc->order[r->index]);
	forget_order(bc);
	if (r->err == 0) {
		bc->broken = r->broken;
		bc->done(bc, r->fd, 0, NULL);
		return;
	}
	bc->done(bc, -1, code_of(r->err, r->sys),
		r->err == ERR_SYS ? strerror(r->sys) : "connect_timeout is over");
}

static int start(struct backend_connect *bc)
{
	struct bus *bus = bc->backend->bus;
	struct connector_options opt = {.addrs = bc->order,
		.n = bc->n,
		.timeout = bc->deadline - bus_now(bus),
		.mem = bus->mem};
	return connector_start(&bc->connector, bus->loop, &opt, on_connected);
}

static void on_resolved(struct dns_query *query, int err)
{
	struct backend_connect *bc = container_of(query, struct backend_connect, query);
	struct backend *b = bc->backend;
	loop_timer_stop(b->bus->loop, &bc->patience);
	if (err != 0) {
		bc->done(bc, -1, WIRE_UNREACHABLE, dns_failure(b->name));
		return;
	}
	if (bus_now(b->bus) >= bc->deadline) {
		bc->done(bc, -1, WIRE_TIMED_OUT, "connect_timeout is over");
		return;
	}
	struct addr addrs[DNS_ADDRS_MAX];
	size_t n;
	const struct addr *found = dns_addrs(b->name, &n);
	for (size_t i = 0; i < n; i++) {
		addrs[i] = found[i];
		if (addr_family(&addrs[i]) == AF_INET)
			addrs[i].in.sin_port = htons(b->conf->servers[0].port);
		else
			addrs[i].in6.sin6_port = htons(b->conf->servers[0].port);
	}
	bc->order = mem_alloc(b->bus->mem, n * sizeof *bc->order);
	if (bc->order != NULL)
		bc->n = make_order(b, addrs, n, bc->order);
	if (bc->order == NULL || start(bc) != 0) {
		forget_order(bc);
		bc->done(bc, -1, WIRE_INTERNAL, "out of memory");
	}
}

/* connect_timeout is over and not even the name is resolved. */
static void on_patience_over(struct timer *timer)
{
	struct backend_connect *bc = container_of(timer, struct backend_connect, patience);
	dns_cancel(&bc->query);
	bc->done(bc, -1, WIRE_TIMED_OUT, "connect_timeout is over, and its name is not resolved");
}

int backend_connect(struct backend_connect *bc, struct backend *b,
	void (*done)(struct backend_connect *bc, int fd, uint32_t code, const char *why))
{
	bc->backend = b;
	bc->done = done;
	bc->deadline = bus_now(b->bus) + b->conf->connect_timeout;
	if (b->name == NULL) {
		bc->order = mem_alloc(b->bus->mem, sizeof *bc->order);
		if (bc->order == NULL)
			return ERR_NOMEM;
		bc->order[0] = b->conf->servers[0].addr;
		bc->n = 1;
		int rc = start(bc);
		if (rc != 0)
			forget_order(bc);
		return rc;
	}
	bc->query.done = on_resolved;
	bc->patience.fire = on_patience_over;
	if (loop_timer_set(b->bus->loop, &bc->patience, bc->deadline) != 0)
		return ERR_NOMEM;
	dns_resolve(b->name, &bc->query);
	return 0;
}

void backend_cancel(struct backend_connect *bc)
{
	if (bc->backend == NULL)
		return;
	loop_timer_stop(bc->backend->bus->loop, &bc->patience);
	dns_cancel(&bc->query);
	connector_cancel(&bc->connector);
	forget_order(bc);
}
