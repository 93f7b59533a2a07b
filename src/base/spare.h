/*
 * spare - blocks of one size, of which some are kept to be used again.
 *
 * For what comes and goes all the time among things that stay: it is not allocated each
 * time, and leaves no holes between them that nothing else fits into.
 */
#ifndef CB_BASE_SPARE_H
#define CB_BASE_SPARE_H

#include "base/list.h"
#include "base/mem.h"

#include <stddef.h>

struct spare {
	struct mem *mem;
	size_t size;        /* bytes of a block */
	struct list blocks; /* those that are kept; their links are in them */
	size_t n, max;
};

/* For blocks of size >= sizeof(struct list) bytes; keeps at most `max`, and none yet. */
void spare_init(struct spare *s, struct mem *mem, size_t size, size_t max);

/* Frees those that are kept. */
void spare_fini(struct spare *s);

/* A block, uninitialised: the one last given back, or a new one; NULL when there is no memory. */
void *spare_get(struct spare *s);

/* Gives a block back, which may be handed out again at once.  NULL does nothing. */
void spare_put(struct spare *s, void *block);

#endif
