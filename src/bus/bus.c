#include "bus/bus.h"

#include "base/err.h"
#include "bus/dialer.h"

#include <sodium.h>
#include <string.h>

enum { SPARE_MAX = 8 }; /* output buffers kept for later */

struct spare {
	struct list node;
};

int bus_init(struct bus *bus)
{
	bus->stats.started = bus->stats.reloaded = clock_wall() / CLOCK_SEC;
	randombytes_buf(bus->instance, sizeof bus->instance);
	randombytes_buf(&bus->seed, sizeof bus->seed);
	randombytes_buf(&bus->random, sizeof bus->random);
	list_init(&bus->spare);
	dialer_queue_init(&bus->dials);
	list_init(&bus->transports);
	list_init(&bus->sessions);
	list_init(&bus->quota.holders);
	bus->quota.limit = bus->conf->memory;
	generation_init(bus);
	pipes_init(&bus->pipes, bus->mem);
	bus->read_buf = mem_alloc(bus->mem, BUS_READ);
	return bus->read_buf == NULL ? ERR_NOMEM : 0;
}

void bus_fini(struct bus *bus)
{
	for (struct list *node; (node = list_first(&bus->spare)) != NULL;) {
		list_remove(node);
		mem_free(bus->mem, node);
	}
	dialer_queue_fini(&bus->dials);
	generation_fini(bus);
	pipes_fini(&bus->pipes);
	mem_free(bus->mem, bus->read_buf);
	bus->read_buf = NULL;
}

uint8_t *bus_buffer_get(struct bus *bus)
{
	struct list *node = list_first(&bus->spare);
	if (node == NULL)
		return mem_alloc(bus->mem, BUS_WRITE);
	list_remove(node);
	bus->n_spare--;
	return (uint8_t *)node;
}

void bus_buffer_put(struct bus *bus, uint8_t *buf)
{
	if (bus->n_spare >= SPARE_MAX) {
		mem_free(bus->mem, buf);
		return;
	}
	struct spare *spare = (struct spare *)(void *)buf;
	list_init(&spare->node);
	list_prepend(&bus->spare, &spare->node);
	bus->n_spare++;
}

void bus_new_id(struct bus *bus, uint8_t id[static WIRE_ID])
{
	if (bus->n_ids == 0) {
		randombytes_buf(bus->ids, sizeof bus->ids);
		bus->n_ids = sizeof bus->ids / WIRE_ID;
	}
	memcpy(id, bus->ids[--bus->n_ids], WIRE_ID);
}

uint64_t bus_jitter(struct bus *bus, uint64_t n)
{
	bus->random = bus->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (bus->random >> 33) % n;
}
