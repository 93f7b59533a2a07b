/*
 * hash - a hash table whose nodes live inside the members.
 *
 * The caller computes a 64-bit hash and compares keys itself.  The table
 * doubles when it holds one node a bucket, and halves when it holds a quarter, so
 * an operation costs O(1) amortised.  Removing never fails; adding fails only
 * where the first bucket array cannot be had.
 */
#ifndef CB_BASE_HASH_H
#define CB_BASE_HASH_H

#include "base/mem.h"

#include <stddef.h>
#include <stdint.h>

struct hash_node {
	struct hash_node *next;
	uint64_t hash;
};

struct hash {
	struct mem *mem;
	struct hash_node **bucket; /* 1 << bits of them, NULL before the first node */
	unsigned bits;
	size_t count;
	size_t low; /* no bucket before this one has a node */
};

/* An empty table; allocates nothing. */
void hash_init(struct hash *h, struct mem *mem);

/* Frees the bucket array; the members are the caller's. */
void hash_fini(struct hash *h);

/* Adds a node that is in no table.  0 or ERR_NOMEM. */
int hash_add(struct hash *h, struct hash_node *node, uint64_t hash);

/* Takes out a node that is in the table. */
void hash_remove(struct hash *h, struct hash_node *node);

/* The first node with this hash, then the next after `prev`; NULL at the end. */
struct hash_node *hash_find(const struct hash *h, uint64_t hash);
struct hash_node *hash_find_next(const struct hash_node *prev);

/* Any node, or NULL when empty: for taking a table apart, which costs O(n) in all. */
struct hash_node *hash_any(struct hash *h);

/* The node after `prev` in an order of its own, the first after NULL; NULL at the end. */
struct hash_node *hash_next(const struct hash *h, const struct hash_node *prev);

/* A hash of n bytes under a seed (FNV-1a, then mixed). */
uint64_t hash_bytes(const void *p, size_t n, uint64_t seed);

/* A hash of an integer under a seed; a bijection for a fixed seed. */
uint64_t hash_u64(uint64_t v, uint64_t seed);

#endif
