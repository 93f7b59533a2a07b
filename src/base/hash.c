#include "base/hash.h"

#include "base/err.h"

#include <assert.h>
#include <string.h>

enum { BITS_MIN = 3, BITS_MAX = 30 };

void hash_init(struct hash *h, struct mem *mem)
{
	*h = (struct hash){.mem = mem};
}

void hash_fini(struct hash *h)
{
	mem_free(h->mem, h->bucket);
	h->bucket = NULL;
	h->bits = 0;
	h->count = 0;
	h->low = 0;
}

static size_t index_of(const struct hash *h, uint64_t hash)
{
	return hash >> (64 - h->bits);
}

static struct hash_node **bucket_of(const struct hash *h, uint64_t hash)
{
	return &h->bucket[index_of(h, hash)];
}

/* Moves to 1 << bits buckets; without memory the old size goes on working. */
static void resize(struct hash *h, unsigned bits)
{
	struct hash old = *h;
	struct hash_node **bucket = mem_zalloc(h->mem, sizeof *bucket << bits);
	if (bucket == NULL)
		return;
	h->bucket = bucket;
	h->bits = bits;
	h->low = 0;
	for (size_t i = 0; old.bucket != NULL && i < (size_t)1 << old.bits; i++) {
		for (struct hash_node *n = old.bucket[i], *next; n != NULL; n = next) {
			next = n->next;
			struct hash_node **to = bucket_of(h, n->hash);
			n->next = *to;
			*to = n;
		}
	}
	mem_free(h->mem, old.bucket);
}

int hash_add(struct hash *h, struct hash_node *node, uint64_t hash)
{
	if (h->bucket == NULL) {
		resize(h, BITS_MIN);
		if (h->bucket == NULL)
			return ERR_NOMEM;
	} else if (h->count >= (size_t)1 << h->bits && h->bits < BITS_MAX) {
		resize(h, h->bits + 1);
	}
	struct hash_node **to = bucket_of(h, hash);
	node->hash = hash;
	node->next = *to;
	*to = node;
	h->count++;
	if (index_of(h, hash) < h->low)
		h->low = index_of(h, hash);
	return 0;
}

void hash_remove(struct hash *h, struct hash_node *node)
{
	struct hash_node **p = bucket_of(h, node->hash);
	while (*p != node) {
		assert(*p != NULL);
		p = &(*p)->next;
	}
	*p = node->next;
	node->next = NULL;
	h->count--;
	if (h->bits > BITS_MIN && h->count < (size_t)1 << h->bits >> 2)
		resize(h, h->bits - 1);
}

static struct hash_node *skip_to(struct hash_node *n, uint64_t hash)
{
	while (n != NULL && n->hash != hash)
		n = n->next;
	return n;
}

struct hash_node *hash_find(const struct hash *h, uint64_t hash)
{
	return h->bucket == NULL ? NULL : skip_to(*bucket_of(h, hash), hash);
}

struct hash_node *hash_find_next(const struct hash_node *prev)
{
	return skip_to(prev->next, prev->hash);
}

/* The first bucket from this one on that has any, or the number of buckets; there are some. */
static size_t first_from(const struct hash *h, size_t i)
{
	while (i < (size_t)1 << h->bits && h->bucket[i] == NULL)
		i++;
	return i;
}

static struct hash_node *node_from(const struct hash *h, size_t i)
{
	if (h->count == 0)
		return NULL;
	i = first_from(h, i);
	return i < (size_t)1 << h->bits ? h->bucket[i] : NULL;
}

struct hash_node *hash_any(struct hash *h)
{
	if (h->count == 0)
		return NULL;
	h->low = first_from(h, h->low);
	return h->bucket[h->low];
}

struct hash_node *hash_next(const struct hash *h, const struct hash_node *prev)
{
	if (prev == NULL)
		return node_from(h, h->low);
	if (prev->next != NULL)
		return prev->next;
	return node_from(h, index_of(h, prev->hash) + 1);
}

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed)
{
	const unsigned char *s = p;
	uint64_t v = UINT64_C(0xcbf29ce484222325) ^ seed;
	for (size_t i = 0; i < n; i++)
		v = (v ^ s[i]) * UINT64_C(0x100000001b3);
	return hash_u64(v, seed);
}

/* The finaliser of MurmurHash3, keyed at both ends. */
uint64_t hash_u64(uint64_t v, uint64_t seed)
{
	v ^= seed;
	v = (v ^ v >> 33) * UINT64_C(0xff51afd7ed558ccd);
	v = (v ^ v >> 33 ^ seed) * UINT64_C(0xc4ceb9fe1a85ec53);
	return v ^ v >> 33;
}
