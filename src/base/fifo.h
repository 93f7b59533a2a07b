/*
 * fifo - bytes that wait, in order: a chain of chunks that exist only while they
 * hold something.
 */
#ifndef CB_BASE_FIFO_H
#define CB_BASE_FIFO_H

#include "base/mem.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { FIFO_CHUNK_MIN = 2 << 10, FIFO_CHUNK_MAX = 64 << 10 }; /* bytes of a chunk */

struct fifo_chunk;

/* Zeroed, it is empty. */
struct fifo {
	struct fifo_chunk *head, *tail;
	size_t length; /* bytes that wait */
};

/* Copies n bytes to the end.  0, or ERR_NOMEM: nothing was appended then. */
int fifo_append(struct fifo *f, struct mem *mem, const void *p, size_t n);

/* The first bytes, in up to `max` pieces; returns the number of pieces. */
int fifo_peek(const struct fifo *f, struct iovec *iov, int max);

/* Removes the first n <= length bytes. */
void fifo_drop(struct fifo *f, struct mem *mem, size_t n);

/* Removes all. */
void fifo_clear(struct fifo *f, struct mem *mem);

#endif
