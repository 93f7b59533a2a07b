#include "bus/bus.h"

#include "base/err.h"
#include "bus/dialer.h"
#include "bus/egress.h"

#include <sodium.h>
#include <string.h>

enum { BUFFERS_KEPT = 8 };

int bus_init(struct bus *bus)
{
	bus->stats.started = bus->stats.reloaded = clock_wall() / CLOCK_SEC;
	randombytes_buf(bus->instance, sizeof bus->instance);
	randombytes_buf(&bus->seed, sizeof bus->seed);
	randombytes_buf(&bus->random, sizeof bus->random);
	spare_init(&bus->buffers, bus->mem, BUS_WRITE, BUFFERS_KEPT);
	egress_spare_init(&bus->pending, bus->mem);
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
	spare_fini(&bus->buffers);
	spare_fini(&bus->pending);
	dialer_queue_fini(&bus->dials);
	generation_fini(bus);
	pipes_fini(&bus->pipes);
	mem_free(bus->mem, bus->read_buf);
	bus->read_buf = NULL;
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
