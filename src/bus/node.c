#include "bus/node_impl.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/node_controller.h"
#include "bus/node_segment.h"
#include "bus/say.h"
#include "conf/conf_equal.h"

#include <errno.h>
#include <string.h>

/* --- one configuration ------------------------------------------------------------------------ */

void node_complain(struct node_step *step, const struct conf_service *conf, int rc)
{
	if (rc == ERR_SYS)
		log_error("service [%s] (line %u): cannot bind %s: %s", conf->name, conf->bind.line,
			conf->bind.text, strerror(errno));
	else
		log_error("service [%s] (line %u): cannot start: %s", conf->name, conf->line,
			err_text(rc));
	step->failed = rc;
}

void node_no_memory(struct node_step *step)
{
	log_error("cannot start: %s", err_text(ERR_NOMEM));
	step->failed = ERR_NOMEM;
}

uint64_t node_name_hash(const struct node *node, const char *name)
{
	char folded[CONF_NAME_MAX];
	size_t n = strlen(name);
	return hash_bytes(folded, directory_fold(folded, name, n), node->bus->seed);
}

void node_count(
	struct node_step *step, const struct conf_service *old, const struct conf_service *conf)
{
	if (old == NULL)
		step->changes.added++;
	else if (conf_equal_service(old, conf))
		step->changes.unchanged++;
	else
		step->changes.changed++;
}

int node_prepare(struct node_step **out, struct node *node, struct conf *conf)
{
	struct bus *bus = node->bus;
	struct generation *g = conf == NULL ? bus->generations.current : generation_new(bus, conf);
	struct node_step *step = mem_zalloc(bus->mem, sizeof *step);
	*out = NULL;
	if (g == NULL || step == NULL) {
		log_error("cannot start: %s", err_text(ERR_NOMEM));
		if (conf != NULL)
			generation_free(bus, g);
		mem_free(bus->mem, step);
		return ERR_NOMEM;
	}
	*step = (struct node_step){.node = node, .g = g, .conf = g->conf};
	if (step->conf->role == CONF_CONTROLLER)
		node_controller_prepare(step);
	else
		node_segment_prepare(step);
	int rc = step->failed;
	if (rc != 0)
		node_abandon(step);
	else
		*out = step;
	return rc;
}

void node_commit(struct node_step *step, struct node_changes *changes)
{
	struct bus *bus = step->node->bus;
	generation_switch(bus, step->g);
	bus->quota.limit = step->conf->memory;
	if (step->conf->role == CONF_CONTROLLER)
		node_controller_commit(step);
	else
		node_segment_commit(step);
	dialer_reconfigure(bus);
	*changes = step->changes;
	mem_free(bus->mem, step);
}

void node_abandon(struct node_step *step)
{
	if (step == NULL)
		return;
	struct bus *bus = step->node->bus;
	if (step->conf->role == CONF_CONTROLLER)
		node_controller_abandon(step);
	else
		node_segment_abandon(step);
	if (step->g != bus->generations.current)
		generation_free(bus, step->g);
	mem_free(bus->mem, step);
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
	node_controller_close(node);
	node_segment_close(node);
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
		say_session(s, LOG_WARNING, "session %s: cut off: drain_timeout is over",
			session_text(s));
		node->cut++;
		session_abort(s, WIRE_DRAINING);
	}
	check_drained(bus);
}

int node_new(struct node **out, struct bus *bus)
{
	struct node *node = mem_zalloc(bus->mem, sizeof *node);
	if (node == NULL) {
		log_error("cannot start: %s", err_text(ERR_NOMEM));
		return ERR_NOMEM;
	}
	node->bus = bus;
	node->patience.fire = on_patience_over;
	loop_work_init(&node->finish, on_finish);
	list_init(&node->ingresses);
	list_init(&node->acceptors);
	list_init(&node->services);
	list_init(&node->entrances);
	list_init(&node->uplinks);
	link_table_init(&node->links, bus);
	registry_init(&node->registry, bus);
	directory_init(&node->directory, bus);
	leaving_init(&node->leaving, bus);
	roster_init(&node->roster, bus);
	bus->owner = node;
	bus->idle = check_drained;
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
			ending_now(
				container_of(n, struct transport, node), STATS_CLOSED_EXIT, "exit");
		}
	} while (bus->n_transports > 0 && loop_turn(bus->loop, 0) == 0);
	node_controller_fini(node);
	node_segment_fini(node);
	link_table_fini(&node->links);
	registry_fini(&node->registry);
	loop_timer_stop(bus->loop, &node->patience);
	loop_cancel(&node->finish);
	bus->owner = NULL;
	mem_free(bus->mem, node);
}
