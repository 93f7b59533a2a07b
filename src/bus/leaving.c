#include "bus/leaving.h"

#include "base/clock.h"

#include <string.h>

struct departure {
	struct directory_entry entry;
	struct list node;
	uint64_t at;
};

static void depart(struct leaving *l, struct departure *d)
{
	directory_remove(&l->directory, &d->entry);
	list_remove(&d->node);
	mem_free(l->directory.bus->mem, d);
}

static struct departure *first(const struct leaving *l)
{
	struct list *node = list_first(&l->gone);
	return node != NULL ? container_of(node, struct departure, node) : NULL;
}

/* Who cannot be waited for is retired now. */
static void on_timer(struct timer *timer)
{
	struct leaving *l = container_of(timer, struct leaving, timer);
	struct bus *bus = l->directory.bus;
	for (struct departure *d; (d = first(l)) != NULL;) {
		if (d->at > bus_now(bus) && loop_timer_set(bus->loop, &l->timer, d->at) == 0)
			return;
		struct egress *e = d->entry.egress;
		depart(l, d);
		egress_retire(e);
	}
}

void leaving_add(struct leaving *l, struct egress *e)
{
	struct bus *bus = l->directory.bus;
	struct departure *d = mem_zalloc(bus->mem, sizeof *d);
	if (d == NULL || directory_add(&l->directory, &d->entry, e) != 0) {
		mem_free(bus->mem, d);
		egress_retire(e);
		return;
	}
	e->leaving = true;
	d->at = bus_now(bus) + LEAVING_TIME;
	list_append(&l->gone, &d->node);
	if (!timer_is_set(&l->timer))
		on_timer(&l->timer);
}

struct egress *leaving_find(const struct leaving *l, const char *name)
{
	return directory_find(&l->directory, name, strlen(name));
}

void leaving_take_back(struct leaving *l, struct egress *e)
{
	list_each_safe (node, &l->gone) {
		struct departure *d = container_of(node, struct departure, node);
		if (d->entry.egress == e)
			depart(l, d);
	}
	e->leaving = false;
}

void leaving_init(struct leaving *l, struct bus *bus)
{
	*l = (struct leaving){.timer.fire = on_timer};
	directory_init(&l->directory, bus);
	list_init(&l->gone);
}

void leaving_fini(struct leaving *l)
{
	struct bus *bus = l->directory.bus;
	if (bus == NULL)
		return;
	loop_timer_stop(bus->loop, &l->timer);
	for (struct departure *d; (d = first(l)) != NULL;)
		depart(l, d);
	directory_fini(&l->directory);
}
