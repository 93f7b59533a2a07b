#include "session/sched.h"

#include "base/clock.h"

#include <assert.h>

/* An item that was out of the lists for this long starts with a new quantum. */
#define QUIET (1 * CLOCK_MS)

void sched_init(struct sched *s, uint32_t quantum)
{
	assert(quantum > 0 && quantum <= 1 << 20);
	list_init(&s->fresh);
	list_init(&s->old);
	s->waiting = 0;
	s->ahead = 0;
	s->quantum = quantum;
}

void sched_set_quantum(struct sched *s, uint32_t quantum)
{
	assert(quantum > 0 && quantum <= 1 << 20);
	s->quantum = quantum;
}

void sched_item_init(struct sched_item *it)
{
	*it = (struct sched_item){.queued = false};
}

void sched_add(struct sched *s, struct sched_item *it, uint64_t now)
{
	if (it->queued)
		return;
	if (it->quiet_since == 0 || now - it->quiet_since >= QUIET)
		it->deficit = (int32_t)s->quantum;
	it->fresh = it->deficit > 0 && it->spent <= SCHED_SPARSE;
	it->spent = 0;
	list_append(it->fresh ? &s->fresh : &s->old, &it->node);
	it->queued = true;
	s->waiting++;
}

void sched_remove(struct sched *s, struct sched_item *it, uint64_t now)
{
	if (!it->queued)
		return;
	list_remove(&it->node);
	it->queued = false;
	it->quiet_since = now;
	s->waiting--;
}

/* As much as the first list may be ahead; nothing more is remembered. */
static uint64_t ahead_max(const struct sched *s)
{
	return (uint64_t)SCHED_AHEAD * s->quantum;
}

struct sched_item *sched_next(struct sched *s, uint32_t *grant)
{
	for (;;) {
		struct list *first = list_first(&s->fresh);
		if (first == NULL || (!list_empty(&s->old) && s->ahead >= ahead_max(s)))
			first = list_first(&s->old);
		if (first == NULL)
			return NULL;
		struct sched_item *it = container_of(first, struct sched_item, node);
		if (it->deficit > 0) {
			*grant = s->waiting == 1 ? UINT32_MAX : (uint32_t)it->deficit;
			return it;
		}
		it->deficit += (int32_t)s->quantum;
		it->fresh = false;
		list_remove(&it->node);
		list_append(&s->old, &it->node);
	}
}

void sched_charge(struct sched *s, struct sched_item *it, uint64_t bytes)
{
	uint64_t less = bytes < s->ahead / SCHED_AHEAD ? bytes * SCHED_AHEAD : s->ahead;
	if (!it->fresh)
		s->ahead -= less;
	else if (bytes < ahead_max(s) - s->ahead)
		s->ahead += bytes;
	else
		s->ahead = ahead_max(s);
	uint64_t spent = it->spent + bytes;
	it->spent = spent < UINT16_MAX ? (uint16_t)spent : UINT16_MAX;
	/* Who was alone and sent much owes no more than one quantum when others come. */
	int64_t left = (int64_t)it->deficit - (int64_t)bytes;
	it->deficit = left < -(int64_t)s->quantum ? -(int32_t)s->quantum : (int32_t)left;
}
