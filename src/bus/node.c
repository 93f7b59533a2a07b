#include "bus/node.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/entrance.h"
#include "bus/ingress.h"
#include "bus/uplink.h"

#include <errno.h>
#include <string.h>

/* A service of a segment. */
struct service {
	struct egress egress;
	struct directory_entry at_bind, at_links;
};

struct node {
	struct bus *bus;
	struct link_table links;    /* controller; its `stopped` holds for uplinks too */
	struct registry registry;   /* controller */
	struct ingress *ingress;    /* n_services of them */
	struct acceptor *acceptor;  /* controller: conf->n_listens of them */
	struct uplink *uplink;      /* segment: conf->n_connects of them */
	struct directory directory; /* segment: all services, for uplinks */
	struct roster roster;
	struct entrance *entrance; /* segment: one an address */
	size_t n_entrances;
	struct service *service; /* n_started of them */
	size_t n_started;
	struct timer patience; /* for the last goodbyes */
	void (*drained)(void *ctx, size_t cut);
	void *ctx;
	size_t cut;
	struct loop_work finish;
};

static void complain(const struct conf_service *conf, int rc)
{
	if (rc == ERR_SYS)
		log_error("service [%s] (line %u): cannot bind %s: %s", conf->name, conf->bind.line,
			conf->bind.text, strerror(errno));
	else
		log_error("service [%s] (line %u): cannot start: %s", conf->name, conf->line,
			err_text(rc));
}

static int no_memory(void)
{
	log_error("cannot start: %s", err_text(ERR_NOMEM));
	return ERR_NOMEM;
}

/* 0, or what failed of the addresses that segments dial to, which has been logged. */
static int start_acceptors(struct node *node)
{
	struct bus *bus = node->bus;
	const struct conf *conf = bus->conf;
	int failed = 0;
	if (conf->n_listens == 0)
		return 0;
	node->acceptor = mem_zalloc(bus->mem, conf->n_listens * sizeof *node->acceptor);
	if (node->acceptor == NULL)
		return no_memory();
	for (size_t i = 0; i < conf->n_listens; i++) {
		const struct conf_endpoint *at = &conf->listens[i];
		struct acceptor_options opt = {.addr = at->addr,
			.secured = at->secured,
			.ops = registry_transport_ops(),
			.owner = &node->registry};
		int rc = acceptor_start(&node->acceptor[i], bus, &opt);
		if (rc == 0)
			continue;
		log_error("listen (line %u): cannot bind %s: %s", at->line, at->text,
			rc == ERR_SYS ? strerror(errno) : err_text(rc));
		failed = rc;
	}
	return failed;
}

static int start_controller(struct node *node)
{
	const struct conf *conf = node->bus->conf;
	int failed = 0;
	node->ingress = mem_zalloc(node->bus->mem, conf->n_services * sizeof *node->ingress);
	if (node->ingress == NULL)
		return no_memory();
	for (size_t i = 0; i < conf->n_services; i++) {
		struct ingress_options opt = {.conf = &conf->services[i],
			.links = &node->links,
			.registry = &node->registry};
		int rc = ingress_start(&node->ingress[i], node->bus, &opt);
		if (rc != 0) {
			complain(&conf->services[i], rc);
			failed = rc;
		}
	}
	int rc = start_acceptors(node);
	return rc != 0 ? rc : failed;
}

/* Services with equal addresses share one entrance; found by hash, as there may be many. */
static struct entrance *find_entrance(
	struct node *node, const struct conf_service *conf, size_t *index, size_t mask)
{
	size_t at = (size_t)addr_hash(&conf->bind.addr, node->bus->seed) & mask;
	for (; index[at] != 0; at = (at + 1) & mask) {
		struct entrance *en = &node->entrance[index[at] - 1];
		if (addr_equal(&en->asked, &conf->bind.addr))
			return en;
	}
	index[at] = ++node->n_entrances;
	struct entrance *en = &node->entrance[node->n_entrances - 1];
	int rc = entrance_start(en, node->bus, &conf->bind);
	if (rc != 0)
		complain(conf, rc);
	return en;
}

/* 0, or what failed, which has been logged. */
static int start_service(
	struct node *node, const struct conf_service *conf, size_t *index, size_t mask)
{
	struct service *s = &node->service[node->n_started];
	int rc = egress_init(&s->egress, node->bus, conf);
	if (rc == 0) {
		node->n_started++;
		rc = directory_add(&node->directory, &s->at_links, &s->egress);
	}
	if (rc == 0 && conf->bind.text != NULL) {
		struct entrance *en = find_entrance(node, conf, index, mask);
		if (en->broken != 0)
			return en->broken;
		rc = entrance_add(en, &s->at_bind, &s->egress);
	}
	if (rc != 0)
		complain(conf, rc);
	return rc;
}

/* Dials the controllers.  0, or what failed, which has been logged. */
static int start_uplinks(struct node *node)
{
	struct bus *bus = node->bus;
	const struct conf *conf = bus->conf;
	if (conf->n_connects == 0)
		return 0;
	node->uplink = mem_zalloc(bus->mem, conf->n_connects * sizeof *node->uplink);
	if (node->uplink == NULL ||
		roster_set(&node->roster, conf->services, conf->n_services) != 0)
		return no_memory();
	for (size_t i = 0; i < conf->n_connects; i++) {
		struct uplink_options opt = {.conf = &conf->connects[i],
			.directory = &node->directory,
			.roster = &node->roster,
			.stopped = &node->links.stopped};
		if (uplink_start(&node->uplink[i], bus, &opt) != 0)
			return no_memory();
	}
	return 0;
}

static int start_segment(struct node *node)
{
	const struct conf *conf = node->bus->conf;
	struct mem *mem = node->bus->mem;
	int failed = 0;
	size_t slots = 8;
	while (slots < conf->n_services * 2)
		slots *= 2;
	size_t *index = mem_zalloc(mem, slots * sizeof *index);
	node->entrance = mem_zalloc(mem, conf->n_services * sizeof *node->entrance);
	node->service = mem_zalloc(mem, conf->n_services * sizeof *node->service);
	if (index == NULL || node->entrance == NULL || node->service == NULL) {
		mem_free(mem, index);
		return no_memory();
	}
	for (size_t i = 0; i < conf->n_services; i++) {
		int rc = start_service(node, &conf->services[i], index, slots - 1);
		if (rc != 0)
			failed = rc;
	}
	mem_free(mem, index);
	return failed != 0 ? failed : start_uplinks(node);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void check_drained(struct bus *bus)
{
	struct node *node = bus->owner;
	if (!bus->draining || bus->n_sessions > 0)
		return;
	if (!node->links.stopped)
		link_table_stop(&node->links);
	if (bus->n_transports == 0)
		loop_defer(bus->loop, &node->finish);
}

static void on_finish(struct loop_work *work)
{
	struct node *node = container_of(work, struct node, finish);
	node->bus->idle = NULL;
	loop_timer_stop(node->bus->loop, &node->patience);
	node->drained(node->ctx, node->cut);
}

static void on_patience_over(struct timer *timer)
{
	struct node *node = container_of(timer, struct node, patience);
	loop_defer(node->bus->loop, &node->finish);
}

static void close_listeners(struct node *node)
{
	for (size_t i = 0; node->ingress != NULL && i < node->bus->conf->n_services; i++)
		ingress_close(&node->ingress[i]);
	for (size_t i = 0; node->acceptor != NULL && i < node->bus->conf->n_listens; i++)
		acceptor_close(&node->acceptor[i]);
	for (size_t i = 0; i < node->n_entrances; i++)
		entrance_close(&node->entrance[i]);
}

void node_drain(struct node *node, void (*drained)(void *ctx, size_t cut), void *ctx)
{
	struct bus *bus = node->bus;
	node->drained = drained;
	node->ctx = ctx;
	bus->draining = true;
	close_listeners(node);
	if (bus->conf->role == CONF_SEGMENT)
		link_table_stop(&node->links); /* whoever dialled us is to go elsewhere at once */
	check_drained(bus);
}

void node_cut(struct node *node)
{
	struct bus *bus = node->bus;
	if (loop_timer_set(bus->loop, &node->patience, bus_now(bus) + BUS_DRAIN_CLOSE) != 0)
		loop_defer(bus->loop, &node->finish);
	for (struct list *first; (first = list_first(&bus->sessions)) != NULL;) {
		struct session *s = container_of(first, struct session, node);
		log_warning("session %s: cut off: drain_timeout is over", session_text(s));
		node->cut++;
		session_abort(s, WIRE_DRAINING);
	}
	check_drained(bus);
}

int node_start(struct node **out, struct bus *bus)
{
	struct node *node = mem_zalloc(bus->mem, sizeof *node);
	if (node == NULL)
		return no_memory();
	node->bus = bus;
	node->patience.fire = on_patience_over;
	loop_work_init(&node->finish, on_finish);
	link_table_init(&node->links, bus);
	registry_init(&node->registry, bus);
	directory_init(&node->directory, bus);
	roster_init(&node->roster, bus);
	bus->owner = node;
	bus->idle = check_drained;
	int rc = bus->conf->role == CONF_CONTROLLER ? start_controller(node) : start_segment(node);
	if (rc != 0) {
		node_free(node);
		return rc;
	}
	*out = node;
	return 0;
}

void node_free(struct node *node)
{
	if (node == NULL)
		return;
	struct bus *bus = node->bus;
	bus->idle = NULL;
	node->links.stopped = true;
	close_listeners(node);
	for (struct list *first; (first = list_first(&bus->sessions)) != NULL;)
		session_abort(container_of(first, struct session, node), WIRE_DRAINING);
	/* What was closed is freed at the end of a turn, in which a connector may have won. */
	do {
		list_each (n, &bus->transports) {
			transport_kill(container_of(n, struct transport, node), "exit");
		}
	} while (bus->n_transports > 0 && loop_turn(bus->loop, 0) == 0);
	for (size_t i = 0; node->ingress != NULL && i < bus->conf->n_services; i++)
		ingress_stop(&node->ingress[i]);
	for (size_t i = 0; i < node->n_entrances; i++)
		entrance_stop(&node->entrance[i]);
	for (size_t i = 0; node->uplink != NULL && i < bus->conf->n_connects; i++)
		uplink_stop(&node->uplink[i]);
	directory_fini(&node->directory);
	roster_fini(&node->roster);
	for (size_t i = 0; i < node->n_started; i++)
		egress_fini(&node->service[i].egress);
	link_table_fini(&node->links);
	registry_fini(&node->registry);
	loop_timer_stop(bus->loop, &node->patience);
	loop_cancel(&node->finish);
	mem_free(bus->mem, node->ingress);
	mem_free(bus->mem, node->acceptor);
	mem_free(bus->mem, node->uplink);
	mem_free(bus->mem, node->entrance);
	mem_free(bus->mem, node->service);
	mem_free(bus->mem, node);
}
