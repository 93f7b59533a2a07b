#include "base/ring.h"

#include <assert.h>
#include <string.h>

uint8_t *ring_space(struct ring *r, struct mem *mem, size_t *room)
{
	size_t used = (size_t)(r->tail - r->head);
	size_t at = (size_t)(r->tail % RING_SIZE);
	*room = RING_SIZE - used;
	if (*room == 0)
		return NULL;
	if (r->buf == NULL) {
		r->buf = mem_alloc(mem, RING_SIZE);
		if (r->buf == NULL) {
			*room = 1;
			return NULL;
		}
	}
	if (*room > RING_SIZE - at)
		*room = RING_SIZE - at;
	return r->buf + at;
}

void ring_filled(struct ring *r, size_t n)
{
	r->tail += n;
	assert(r->tail - r->head <= RING_SIZE);
}

void ring_skip(struct ring *r, size_t n)
{
	assert(r->head == r->tail);
	r->tail += n;
	r->head = r->tail;
}

size_t ring_copy(const struct ring *r, uint64_t at, uint8_t *to, size_t n)
{
	assert(at >= r->head && at <= r->tail);
	size_t have = (size_t)(r->tail - at);
	if (n > have)
		n = have;
	if (n == 0)
		return 0;
	size_t from = (size_t)(at % RING_SIZE);
	size_t first = n < RING_SIZE - from ? n : RING_SIZE - from;
	memcpy(to, r->buf + from, first);
	memcpy(to + first, r->buf, n - first);
	return n;
}

void ring_release(struct ring *r, struct mem *mem, uint64_t at)
{
	assert(at >= r->head && at <= r->tail);
	r->head = at;
	if (r->head == r->tail) {
		mem_free(mem, r->buf);
		r->buf = NULL;
	}
}
