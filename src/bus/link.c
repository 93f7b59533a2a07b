#include "bus/link.h"

#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

static const char *text_of(const struct link *link)
{
	static char text[ADDR_TEXT_MAX];
	return addr_format(&link->addr, text);
}

static void dial(struct link *link);

static void free_if_unused(struct link *link)
{
	if (!list_empty(&link->watchers) || link->n_transports > 0 ||
		connector_busy(&link->connector))
		return;
	loop_timer_stop(link->links->bus->loop, &link->retry);
	hash_remove(&link->links->table, &link->node);
	loop_free_later(link->links->bus->loop, link);
}

/* The next attempt, after a pause between half the back-off and all of it. */
static void retry_later(struct link *link)
{
	struct bus *bus = link->links->bus;
	if (link->links->stopped || list_empty(&link->watchers))
		return;
	/* While somebody waits the pauses stay short. */
	if (bus_now(bus) < link->awaited)
		link->backoff = LINK_BACKOFF_MIN;
	uint64_t pause = link->backoff / 2 + bus_jitter(bus, link->backoff / 2 + 1);
	link->backoff = link->backoff * 2 < LINK_BACKOFF_MAX ? link->backoff * 2 : LINK_BACKOFF_MAX;
	if (loop_timer_set(bus->loop, &link->retry, bus_now(bus) + pause) != 0)
		log_error("link %s: no memory for its timer; it stays down", text_of(link));
}

static void attempt_failed(struct link *link, const char *why)
{
	if (link->links->stopped)
		return;
	if (!link->complained)
		log_warning("link %s: cannot connect: %s; trying on", text_of(link), why);
	else
		log_debug("link %s: cannot connect: %s", text_of(link), why);
	link->complained = true;
	retry_later(link);
}

/* --- what a transport tells --------------------------------------------------------- */

/* Takes a transport out of those that are open to new sessions.  Whether it was one. */
static bool withdraw(struct link *link, const struct transport *t)
{
	for (unsigned i = 0; i < link->n_ready; i++) {
		if (link->ready[i] == t) {
			link->ready[i] = link->ready[--link->n_ready];
			return true;
		}
	}
	return false;
}

/* Says goodbye to transports whose ids run out, now that there is a fresh one. */
static void retire_worn(struct link *link)
{
	for (unsigned i = link->n_ready; i-- > 0;) {
		struct transport *t = link->ready[i];
		if (transport_is_worn(t) && withdraw(link, t))
			transport_goaway(t, WIRE_OK);
	}
}

/* A transport that lasted proves the peer well: the next pauses begin short again. */
static void forget_backoff(struct link *link)
{
	if (bus_now(link->links->bus) - link->ready_at >= LINK_LASTED)
		link->backoff = LINK_BACKOFF_MIN;
}

static void on_ready(struct transport *t)
{
	struct link *link = t->owner;
	if (t != link->next)
		return;
	link->next = NULL;
	retire_worn(link);
	if (link->n_ready == CONF_TRANSPORTS_MAX) {
		transport_goaway(t, WIRE_OK);
		return;
	}
	if (link->n_ready == 0)
		log_notice("link %s: up", text_of(link));
	link->ready[link->n_ready++] = t;
	link->ready_at = bus_now(link->links->bus);
	link->complained = false;
	link->wanted = 1;
	if (transport_round_trip(t) > LINK_LONG_PATH)
		link->wanted = link->links->bus->conf->transports;
	list_each_safe (node, &link->watchers) {
		struct link_watch *w = container_of(node, struct link_watch, node);
		w->up(w);
	}
	if (link->n_ready < link->wanted)
		dial(link);
}

static void on_open(struct transport *t, struct mux_stream *stream, const struct wire_open *open)
{
	log_warning("link %s: session refused: the segment opened [%.*s] here, where no service is",
		text_of(t->owner), open->name_len, open->name);
	transport_refuse(t, stream, WIRE_NO_SERVICE);
}

static void on_goaway(struct transport *t, uint32_t code)
{
	struct link *link = t->owner;
	if (!link->links->stopped) /* otherwise it answers our own goodbye */
		log_notice("link %s: the segment goes away (%s); running sessions finish",
			text_of(link), wire_code_text(code));
	if (withdraw(link, t)) {
		forget_backoff(link);
		if (link->next == NULL)
			retry_later(link);
	}
}

static void on_closed(struct transport *t, const char *why)
{
	struct link *link = t->owner;
	bool was_ready = withdraw(link, t), was_next = t == link->next;
	link->n_transports--;
	if (was_next) {
		link->next = NULL;
		attempt_failed(link, why != NULL ? why : "closed by the peer");
	} else if (was_ready) {
		forget_backoff(link);
		log_notice("link %s: %s: %s", text_of(link),
			link->n_ready == 0 ? "down" : "a transport was lost",
			why != NULL ? why : "closed in order");
		if (link->next == NULL)
			retry_later(link);
	} else if (why != NULL) {
		log_notice("link %s: a transport on its way out was lost: %s", text_of(link), why);
	}
	free_if_unused(link);
}

static const struct transport_ops ops = {
	.ready = on_ready, .open = on_open, .goaway = on_goaway, .closed = on_closed};

/* --- dialling -------------------------------------------------------------------------- */

static void on_connected(struct connector *c, const struct connector_result *result)
{
	struct link *link = container_of(c, struct link, connector);
	struct link_table *links = link->links;
	if (result->err != 0) {
		attempt_failed(link,
			result->err == ERR_SYS ? strerror(result->sys) : err_text(result->err));
		free_if_unused(link);
		return;
	}
	struct transport_options opt = {
		.ops = &ops, .owner = link, .fd = result->fd, .side = MUX_DIALLED};
	int rc = transport_new(&link->next, links->bus, &opt);
	if (rc != 0) {
		link->next = NULL;
		attempt_failed(link, rc == ERR_SYS ? strerror(errno) : err_text(rc));
		return;
	}
	link->n_transports++;
	if (links->stopped || list_empty(&link->watchers))
		transport_goaway(link->next, WIRE_OK);
}

static void dial(struct link *link)
{
	struct bus *bus = link->links->bus;
	if (link->links->stopped || link->next != NULL || connector_busy(&link->connector))
		return;
	loop_timer_stop(bus->loop, &link->retry);
	link->tried = bus_now(bus);
	struct connector_options opt = {
		.addrs = &link->addr, .n = 1, .timeout = LINK_CONNECT_TIMEOUT, .mem = bus->mem};
	int rc = connector_start(&link->connector, bus->loop, &opt, on_connected);
	if (rc != 0)
		attempt_failed(link, err_text(rc));
}

static void on_retry(struct timer *timer)
{
	dial(container_of(timer, struct link, retry));
}

void link_kick(struct link *link, uint64_t until)
{
	uint64_t now = bus_now(link->links->bus);
	if (until > link->awaited)
		link->awaited = until;
	if (link->n_ready > 0 || !timer_is_set(&link->retry))
		return;
	uint64_t soonest = link->tried + LINK_BACKOFF_MIN;
	if (now >= soonest)
		dial(link);
	else if (link->retry.at > soonest)
		(void)loop_timer_set(link->links->bus->loop, &link->retry, soonest);
}

struct transport *link_transport(struct link *link)
{
	for (unsigned i = 0; i < link->n_ready; i++) {
		struct transport *t = link->ready[link->turn++ % link->n_ready];
		if (!transport_can_open(t))
			continue;
		/* A replacement that failed waits for its turn, whatever sessions come. */
		if (transport_is_worn(t) && !timer_is_set(&link->retry))
			dial(link);
		return t;
	}
	return NULL;
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
		connector_cancel(&link->connector);
		loop_timer_stop(links->bus->loop, &link->retry);
		hash_remove(&links->table, n);
		mem_free(links->bus->mem, link);
	}
	hash_fini(&links->table);
}

static struct link *find(struct link_table *links, const struct addr *addr, uint64_t hash)
{
	for (struct hash_node *n = hash_find(&links->table, hash); n != NULL;
		n = hash_find_next(n)) {
		struct link *link = container_of(n, struct link, node);
		if (addr_equal(&link->addr, addr))
			return link;
	}
	return NULL;
}

static struct link *link_new(struct link_table *links, const struct addr *addr, uint64_t hash)
{
	struct link *link = mem_zalloc(links->bus->mem, sizeof *link);
	if (link == NULL)
		return NULL;
	if (hash_add(&links->table, &link->node, hash) != 0) {
		mem_free(links->bus->mem, link);
		return NULL;
	}
	link->links = links;
	link->addr = *addr;
	link->backoff = LINK_BACKOFF_MIN;
	link->retry.fire = on_retry;
	list_init(&link->watchers);
	return link;
}

int link_watch(struct link_watch *w, struct link_table *links, const struct addr *addr)
{
	uint64_t hash = addr_hash(addr, links->bus->seed);
	struct link *link = find(links, addr, hash);
	if (link == NULL)
		link = link_new(links, addr, hash);
	if (link == NULL)
		return ERR_NOMEM;
	w->link = link;
	list_append(&link->watchers, &w->node);
	if (link->n_ready == 0 && !timer_is_set(&link->retry))
		dial(link);
	return 0;
}

void link_unwatch(struct link_watch *w)
{
	struct link *link = w->link;
	list_remove(&w->node);
	w->link = NULL;
	if (!list_empty(&link->watchers))
		return;
	connector_cancel(&link->connector);
	loop_timer_stop(link->links->bus->loop, &link->retry);
	if (link->n_ready > 0)
		log_notice("link %s: not used any more; running sessions finish", text_of(link));
	while (link->n_ready > 0)
		transport_goaway(link->ready[--link->n_ready], WIRE_OK);
	if (link->next != NULL) {
		struct transport *next = link->next;
		link->next = NULL;
		transport_kill(next, NULL);
	}
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
