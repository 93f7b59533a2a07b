/*
 * locked - memory for keys.
 *
 * It is locked, so that it does not reach swap, left out of core files, has pages without
 * access around it, and is wiped when it is given back.  sodium_malloc() gives such memory by
 * whole pages, with a system call or five and four mappings each: right for what is large or
 * rare.  Thousands of transports have two keys each; those are slots here, which share pages.
 *
 * Where the system does not let the process lock its memory (RLIMIT_MEMLOCK) all works the
 * same, and locked_missed() says so.
 */
#ifndef CB_CRYPTO_LOCKED_H
#define CB_CRYPTO_LOCKED_H

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LOCKED_SLOT = 32, /* bytes: a key */
	/* Slots of a block: with libsodium's 16 bytes before them just within 4096 bytes. */
	LOCKED_BLOCK = 127,
	LOCKED_BLOCKS_MAX = 512, /* blocks, 2 MiB of locked memory: 65024 keys */
	/*
	 * Bytes of stack below a function that has used a key in which the libraries' code may
	 * have left something of it: registers that were spilled, tables.  2304 is the most that
	 * was seen to be written to.  For sodium_stackzero() at the end of every call of this
	 * layer that has a key.
	 */
	LOCKED_STACK = 3072,
};

struct locked;

/* With a first block, so that locked_missed() tells from the start; NULL when there is no memory.
 */
struct locked *locked_new(struct mem *mem);

/* All slots were given back.  NULL does nothing. */
void locked_free(struct locked *l);

/*
 * A slot of LOCKED_SLOT zeros; NULL when there is no memory, or LOCKED_BLOCKS_MAX blocks are
 * full.
 */
uint8_t *locked_get(struct locked *l);

/* Wipes a slot and takes it back; NULL does nothing.  There is never more than one empty block. */
void locked_put(struct locked *l, uint8_t *slot);

/*
 * Looks whether the n bytes at p, within memory of sodium_malloc(), are locked, for
 * locked_missed(): sodium_malloc() does not say.
 */
void locked_look(struct locked *l, void *p, size_t n);

/* Whether some memory could not be locked: a block, or what locked_look() looked at. */
bool locked_missed(const struct locked *l);

/* Blocks there are now, the empty one included. */
size_t locked_blocks(const struct locked *l);

#endif
