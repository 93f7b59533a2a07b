/*
 * ring - bytes held once for several readers, each at its own place.
 *
 * Positions are absolute offsets in the stream; head <= position <= tail of every
 * reader, and tail - head <= RING_SIZE.  The memory exists only while it holds bytes.
 */
#ifndef CB_BASE_RING_H
#define CB_BASE_RING_H

#include "base/mem.h"

#include <stddef.h>
#include <stdint.h>

enum { RING_SIZE = 256 << 10 }; /* bytes */

/* Zeroed, it is empty. */
struct ring {
	uint8_t *buf;
	uint64_t head, tail;
};

/*
 * Where the next bytes go: *room contiguous bytes at least 1, or NULL with *room 0
 * when it is full, or NULL with *room 1 when there is no memory.
 */
uint8_t *ring_space(struct ring *r, struct mem *mem, size_t *room);

/* n <= room bytes were put there. */
void ring_filled(struct ring *r, size_t n);

/* n bytes pass by an empty ring: its place moves on. */
void ring_skip(struct ring *r, size_t n);

/* Copies up to n bytes from offset `at`; returns how many. */
size_t ring_copy(const struct ring *r, uint64_t at, uint8_t *to, size_t n);

/* Bytes before offset `at` are not needed any more; frees the memory when none are left. */
void ring_release(struct ring *r, struct mem *mem, uint64_t at);

#endif
