/*
 * mem - allocation as an argument.
 *
 * The pure layers take a struct mem instead of calling malloc, so that a test
 * can make the Nth allocation fail, and so that what they hold is counted.
 */
#ifndef CB_BASE_MEM_H
#define CB_BASE_MEM_H

#include <stddef.h>

struct mem {
	/* As realloc(p, n); n is never 0, p may be NULL.  NULL on failure. */
	void *(*resize)(struct mem *mem, void *p, size_t n);
	/* As free(p); p may be NULL. */
	void (*release)(struct mem *mem, void *p);
};

/* The C library's allocator; static storage. */
struct mem *mem_system(void);

/* n bytes, uninitialised; NULL when there is no memory.  n must not be 0. */
void *mem_alloc(struct mem *mem, size_t n);

/* n zeroed bytes; NULL when there is no memory.  n must not be 0. */
void *mem_zalloc(struct mem *mem, size_t n);

/* Grows or shrinks p (which may be NULL) to n > 0 bytes; NULL leaves p as it was. */
void *mem_resize(struct mem *mem, void *p, size_t n);

/* A NUL-terminated copy of the first n bytes of s; NULL when there is no memory. */
char *mem_strndup(struct mem *mem, const char *s, size_t n);

/* Frees p; NULL does nothing. */
void mem_free(struct mem *mem, void *p);

#endif
