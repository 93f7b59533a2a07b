#include "crypto/locked.h"

#include "base/list.h"

#include <assert.h>
#include <sodium.h>

enum { WORD = 64, WORDS = (LOCKED_BLOCK + WORD - 1) / WORD, BYTES = LOCKED_BLOCK * LOCKED_SLOT };

/* What is known of the slots stands beside them, where no key that is too long gets at it. */
struct block {
	struct list node;
	uint8_t *slots;
	unsigned used;
	uint64_t taken[WORDS]; /* a bit for each slot */
};

struct locked {
	struct mem *mem;
	struct list blocks; /* those with a free slot first */
	size_t n_blocks;
	bool missed;
};

static struct block *block_of(struct list *node)
{
	return container_of(node, struct block, node);
}

static struct block *add_block(struct locked *l)
{
	if (l->n_blocks == LOCKED_BLOCKS_MAX)
		return NULL;
	struct block *b = mem_zalloc(l->mem, sizeof *b);
	if (b == NULL)
		return NULL;
	b->slots = sodium_malloc(BYTES);
	if (b->slots == NULL) {
		mem_free(l->mem, b);
		return NULL;
	}
	sodium_memzero(b->slots, BYTES);
	locked_look(l, b->slots, BYTES);
	list_prepend(&l->blocks, &b->node);
	l->n_blocks++;
	return b;
}

struct locked *locked_new(struct mem *mem)
{
	struct locked *l = mem_zalloc(mem, sizeof *l);
	if (l == NULL)
		return NULL;
	l->mem = mem;
	list_init(&l->blocks);
	if (add_block(l) == NULL) {
		mem_free(mem, l);
		return NULL;
	}
	return l;
}

static void remove_block(struct locked *l, struct block *b)
{
	list_remove(&b->node);
	l->n_blocks--;
	sodium_free(b->slots);
	mem_free(l->mem, b);
}

void locked_free(struct locked *l)
{
	if (l == NULL)
		return;
	list_each_safe (node, &l->blocks) {
		assert(block_of(node)->used == 0);
		remove_block(l, block_of(node));
	}
	mem_free(l->mem, l);
}

static bool is_taken(const struct block *b, size_t i)
{
	return b->taken[i / WORD] >> i % WORD & 1;
}

static void flip(struct block *b, size_t i)
{
	b->taken[i / WORD] ^= UINT64_C(1) << i % WORD;
}

uint8_t *locked_get(struct locked *l)
{
	struct list *first = list_first(&l->blocks);
	struct block *b = first != NULL ? block_of(first) : NULL;
	if (b == NULL || b->used == LOCKED_BLOCK)
		b = add_block(l);
	if (b == NULL)
		return NULL;
	size_t i = 0;
	while (is_taken(b, i))
		i++;
	flip(b, i);
	if (++b->used == LOCKED_BLOCK) {
		list_remove(&b->node);
		list_append(&l->blocks, &b->node);
	}
	return b->slots + i * LOCKED_SLOT;
}

static struct block *find_block(const struct locked *l, const uint8_t *slot)
{
	uintptr_t at = (uintptr_t)slot;
	list_each (node, &l->blocks) {
		struct block *b = block_of(node);
		uintptr_t begin = (uintptr_t)b->slots;
		if (at >= begin && at < begin + BYTES)
			return b;
	}
	return NULL;
}

void locked_put(struct locked *l, uint8_t *slot)
{
	if (slot == NULL)
		return;
	struct block *b = find_block(l, slot);
	assert(b != NULL);
	size_t i = (size_t)(slot - b->slots) / LOCKED_SLOT;
	assert(b->slots + i * LOCKED_SLOT == slot && is_taken(b, i));
	sodium_memzero(slot, LOCKED_SLOT);
	flip(b, i);
	b->used--;
	list_remove(&b->node);
	/* One that is empty now stays if no other has room, so there is never a second such. */
	struct list *first = list_first(&l->blocks);
	if (b->used == 0 && first != NULL && block_of(first)->used < LOCKED_BLOCK)
		remove_block(l, b);
	else
		list_prepend(&l->blocks, &b->node);
}

void locked_look(struct locked *l, void *p, size_t n)
{
	/* Locked once more it is not counted again, so a refusal means that it was refused before.
	 */
	if (sodium_mlock(p, n) != 0)
		l->missed = true;
}

bool locked_missed(const struct locked *l)
{
	return l->missed;
}

size_t locked_blocks(const struct locked *l)
{
	return l->n_blocks;
}
