#include "base/timers.h"

#include "base/err.h"

void timers_init(struct timers *q, struct mem *mem)
{
	*q = (struct timers){.mem = mem};
}

void timers_fini(struct timers *q)
{
	for (size_t i = 0; i < q->count; i++)
		q->heap[i]->pos = 0;
	mem_free(q->mem, q->heap);
	timers_init(q, q->mem);
}

static void put(struct timers *q, size_t i, struct timer *t)
{
	q->heap[i] = t;
	t->pos = i + 1;
}

static void sift_up(struct timers *q, size_t i, struct timer *t)
{
	while (i > 0 && q->heap[(i - 1) / 2]->at > t->at) {
		put(q, i, q->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	put(q, i, t);
}

static void sift_down(struct timers *q, size_t i, struct timer *t)
{
	for (size_t child; (child = 2 * i + 1) < q->count; i = child) {
		if (child + 1 < q->count && q->heap[child + 1]->at < q->heap[child]->at)
			child++;
		if (q->heap[child]->at >= t->at)
			break;
		put(q, i, q->heap[child]);
	}
	put(q, i, t);
}

static void sift(struct timers *q, size_t i, struct timer *t)
{
	if (i > 0 && q->heap[(i - 1) / 2]->at > t->at)
		sift_up(q, i, t);
	else
		sift_down(q, i, t);
}

int timers_reserve(struct timers *q, size_t n)
{
	size_t room = q->room > 0 ? q->room : 16;
	while (room < q->count + n)
		room *= 2;
	if (room == q->room)
		return 0;
	struct timer **heap = mem_resize(q->mem, q->heap, room * sizeof *heap);
	if (heap == NULL)
		return ERR_NOMEM;
	q->heap = heap;
	q->room = room;
	return 0;
}

int timers_set(struct timers *q, struct timer *t, uint64_t at)
{
	if (timer_is_set(t)) {
		t->at = at;
		sift(q, t->pos - 1, t);
		return 0;
	}
	int rc = timers_reserve(q, 1);
	if (rc != 0)
		return rc;
	t->at = at;
	sift_up(q, q->count++, t);
	return 0;
}

void timers_stop(struct timers *q, struct timer *t)
{
	if (!timer_is_set(t))
		return;
	size_t i = t->pos - 1;
	struct timer *last = q->heap[--q->count];
	t->pos = 0;
	if (last != t)
		sift(q, i, last);
}

uint64_t timers_next(const struct timers *q)
{
	return q->count > 0 ? q->heap[0]->at : UINT64_MAX;
}

void timers_run(struct timers *q, uint64_t now)
{
	size_t budget = q->count;
	while (budget-- > 0 && q->count > 0 && q->heap[0]->at <= now) {
		struct timer *t = q->heap[0];
		timers_stop(q, t);
		t->fire(t);
	}
}
