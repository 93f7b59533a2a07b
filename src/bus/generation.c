#include "bus/generation.h"

#include "bus/bus.h"

static void destroy(struct bus *bus, struct generation *g)
{
	bus->generations.alive--;
	if (g == &bus->generations.first)
		return;
	conf_free((struct conf *)(uintptr_t)g->conf); /* it was given to be owned */
	mem_free(bus->mem, g);
}

static void free_unused(struct bus *bus)
{
	for (struct generation *g; (g = bus->generations.unused) != NULL;) {
		bus->generations.unused = g->next;
		destroy(bus, g);
	}
}

static void on_reap(struct timer *timer)
{
	free_unused(container_of(timer, struct bus, generations.reap));
}

void generation_init(struct bus *bus)
{
	bus->generations = (struct generations){
		.first = {.conf = bus->conf, .holders = 1},
		.reap.fire = on_reap,
		.alive = 1,
	};
	bus->generations.current = &bus->generations.first;
}

void generation_fini(struct bus *bus)
{
	struct generation *last = bus->generations.current;
	if (last == NULL)
		return;
	if (timer_is_set(&bus->generations.reap))
		loop_timer_stop(bus->loop, &bus->generations.reap);
	free_unused(bus);
	bus->generations.current = NULL;
	destroy(bus, last);
}

struct generation *generation_new(struct bus *bus, struct conf *conf)
{
	struct generation *g = mem_zalloc(bus->mem, sizeof *g);
	if (g == NULL)
		return NULL;
	g->conf = conf;
	bus->generations.alive++;
	return g;
}

void generation_free(struct bus *bus, struct generation *g)
{
	if (g == NULL)
		return;
	bus->generations.alive--;
	mem_free(bus->mem, g);
}

void generation_switch(struct bus *bus, struct generation *g)
{
	struct generation *old = bus->generations.current;
	bus->generations.current = generation_hold(g);
	bus->conf = g->conf;
	generation_drop(bus, old);
}

struct generation *generation_hold(struct generation *g)
{
	g->holders++;
	return g;
}

void generation_drop(struct bus *bus, struct generation *g)
{
	if (g == NULL || --g->holders > 0)
		return;
	g->next = bus->generations.unused;
	bus->generations.unused = g;
	/* Without memory for the timer it is freed with the next one. */
	(void)loop_timer_set(bus->loop, &bus->generations.reap, bus_now(bus));
}
