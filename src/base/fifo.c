#include "base/fifo.h"

#include "base/err.h"

#include <assert.h>
#include <string.h>

struct fifo_chunk {
	struct fifo_chunk *next;
	uint32_t begin, end, size; /* begin <= end <= size; the bytes between them wait */
	uint8_t bytes[];
};

static struct fifo_chunk *chunk_new(struct mem *mem, size_t want)
{
	size_t size = want < FIFO_CHUNK_MIN ? FIFO_CHUNK_MIN : want;
	if (size > FIFO_CHUNK_MAX)
		size = FIFO_CHUNK_MAX;
	struct fifo_chunk *c = mem_alloc(mem, sizeof *c + size);
	if (c != NULL) {
		c->next = NULL;
		c->begin = c->end = 0;
		c->size = (uint32_t)size;
	}
	return c;
}

static void chain_free(struct fifo_chunk *c, struct mem *mem)
{
	while (c != NULL) {
		struct fifo_chunk *next = c->next;
		mem_free(mem, c);
		c = next;
	}
}

static size_t room(const struct fifo_chunk *c)
{
	return c == NULL ? 0 : c->size - c->end;
}

static size_t put(struct fifo_chunk *c, const uint8_t *p, size_t n)
{
	size_t take = n < room(c) ? n : room(c);
	memcpy(c->bytes + c->end, p, take);
	c->end += (uint32_t)take;
	return take;
}

int fifo_append(struct fifo *f, struct mem *mem, const void *p, size_t n)
{
	const uint8_t *from = p;
	struct fifo_chunk *first = NULL, **link = &first, *last = NULL;
	size_t here = n < room(f->tail) ? n : room(f->tail);
	/* All chunks first, so that a failure leaves nothing half done. */
	for (size_t left = n - here; left > 0;) {
		struct fifo_chunk *c = chunk_new(mem, left);
		if (c == NULL) {
			chain_free(first, mem);
			return ERR_NOMEM;
		}
		left -= left < c->size ? left : c->size;
		*link = last = c;
		link = &c->next;
	}
	if (here > 0)
		from += put(f->tail, from, here);
	n -= here;
	for (struct fifo_chunk *c = first; c != NULL; c = c->next) {
		size_t took = put(c, from, n);
		from += took;
		n -= took;
	}
	f->length += (size_t)(from - (const uint8_t *)p);
	if (first != NULL) {
		*(f->tail != NULL ? &f->tail->next : &f->head) = first;
		f->tail = last;
	}
	return 0;
}

int fifo_peek(const struct fifo *f, struct iovec *iov, int max)
{
	int n = 0;
	for (struct fifo_chunk *c = f->head; c != NULL && n < max; c = c->next, n++)
		iov[n] = (struct iovec){c->bytes + c->begin, c->end - c->begin};
	return n;
}

void fifo_drop(struct fifo *f, struct mem *mem, size_t n)
{
	assert(n <= f->length);
	f->length -= n;
	while (n > 0) {
		struct fifo_chunk *c = f->head;
		uint32_t have = c->end - c->begin;
		if (n < have) {
			c->begin += (uint32_t)n;
			return;
		}
		n -= have;
		f->head = c->next;
		if (f->head == NULL)
			f->tail = NULL;
		mem_free(mem, c);
	}
}

void fifo_clear(struct fifo *f, struct mem *mem)
{
	chain_free(f->head, mem);
	*f = (struct fifo){0};
}
