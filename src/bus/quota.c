#include "bus/quota.h"

#include "bus/say.h"
#include "bus/transport.h"

void quota_holder_init(struct quota_holder *h, void (*evict)(struct quota_holder *holder))
{
	list_init(&h->node);
	h->bytes = 0;
	h->evict = evict;
}

static enum quota_pressure pressure_of(const struct quota *q)
{
	if (q->held >= q->limit / 8 * 7)
		return QUOTA_FULL;
	return q->held >= q->limit / 4 * 3 ? QUOTA_TIGHT : QUOTA_EASY;
}

uint32_t quota_window(const struct bus *bus, bool *may_grow)
{
	*may_grow = bus->quota.pressure == QUOTA_EASY;
	return *may_grow ? WIRE_WINDOW_DEFAULT : QUOTA_SMALL_WINDOW;
}

/* Windows follow the pressure; easing waits until half is free, so that they do not flap. */
static void judge(struct bus *bus)
{
	struct quota *q = &bus->quota;
	enum quota_pressure now = pressure_of(q);
	if (now == q->pressure || (now < q->pressure && q->held > q->limit / 2))
		return;
	static const char *const words[] = {
		"eased", "high: windows shrink", "full: new sessions are refused"};
	say_about(bus, "memory", LOG_WARNING,
		"memory for unread bytes is %s (%ju of %ju bytes held)", words[now],
		(uintmax_t)q->held, (uintmax_t)q->limit);
	q->pressure = now;
	bool may_grow;
	uint32_t window = quota_window(bus, &may_grow);
	list_each (node, &bus->transports) {
		transport_set_window(container_of(node, struct transport, node), window, may_grow);
	}
}

void quota_add(struct bus *bus, struct quota_holder *h, uint64_t bytes)
{
	if (h->bytes == 0 && bytes > 0)
		list_append(&bus->quota.holders, &h->node);
	h->bytes += bytes;
	bus->quota.held += bytes;
	judge(bus);
}

void quota_sub(struct bus *bus, struct quota_holder *h, uint64_t bytes)
{
	h->bytes -= bytes;
	bus->quota.held -= bytes;
	if (h->bytes == 0)
		list_remove(&h->node);
	judge(bus);
}

bool quota_admits(const struct bus *bus)
{
	return bus->quota.pressure < QUOTA_FULL;
}

void quota_enforce(struct bus *bus)
{
	while (bus->quota.held > bus->quota.limit) {
		struct quota_holder *worst = NULL;
		list_each (node, &bus->quota.holders) {
			struct quota_holder *h = container_of(node, struct quota_holder, node);
			if (worst == NULL || h->bytes > worst->bytes)
				worst = h;
		}
		if (worst == NULL)
			return;
		uint64_t before = bus->quota.held;
		worst->evict(worst);
		if (bus->quota.held >= before)
			return;
	}
}
