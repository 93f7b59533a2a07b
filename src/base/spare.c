#include "base/spare.h"

#include <assert.h>

void spare_init(struct spare *s, struct mem *mem, size_t size, size_t max)
{
	assert(size >= sizeof(struct list));
	*s = (struct spare){.mem = mem, .size = size, .max = max};
	list_init(&s->blocks);
}

void spare_fini(struct spare *s)
{
	while (s->n > 0)
		mem_free(s->mem, spare_get(s));
}

void *spare_get(struct spare *s)
{
	struct list *block = list_first(&s->blocks);
	if (block == NULL)
		return mem_alloc(s->mem, s->size);
	list_remove(block);
	s->n--;
	return block;
}

void spare_put(struct spare *s, void *block)
{
	if (block == NULL)
		return;
	if (s->n >= s->max) {
		mem_free(s->mem, block);
		return;
	}
	list_prepend(&s->blocks, block);
	s->n++;
}
