/*
 * pipes - kernel pipes through which long payloads pass without entering this process.
 *
 * A bounded pool: an unprivileged user gets 64 pipes of 1 MiB in all (pipe(7),
 * pipe-user-pages-soft), so a few are kept and shared.  Whoever gets none copies.
 */
#ifndef CB_BUS_PIPES_H
#define CB_BUS_PIPES_H

#include "base/list.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	PIPES_SIZE = 1 << 20,    /* bytes asked for */
	PIPES_USEFUL = 64 << 10, /* bytes below which copying is as good */
	PIPES_MAX = 24,          /* pipes of a process, 2 descriptors each */
};

struct pipes {
	struct mem *mem;
	struct list spare;
	unsigned count; /* made and not closed */
	int unusable;   /* the kernel gives none that is useful */
};

struct pipe {
	struct list node;
	int in, out;   /* written to, read from; both non-blocking */
	size_t size;   /* bytes it takes at most */
	size_t length; /* bytes in it */
};

void pipes_init(struct pipes *p, struct mem *mem);

/* Closes the spare ones; all others must have been given back. */
void pipes_fini(struct pipes *p);

/* An empty pipe, or NULL when there is none to be had. */
struct pipe *pipes_get(struct pipes *p);

/* Gives it back; what is still in it is thrown away.  NULL does nothing. */
void pipes_put(struct pipes *p, struct pipe *pipe);

/*
 * Moves up to n bytes from a socket into the pipe, as far as there is room.  Bytes; 0 at
 * the end of the stream; -1 with errno (EAGAIN: the socket has none, or the pipe no room).
 */
ssize_t pipes_fill(struct pipe *pipe, int fd, size_t n);

/* Moves up to n bytes from the pipe to a socket.  Bytes, or -1 with errno. */
ssize_t pipes_drain(struct pipe *pipe, int fd, size_t n);

/*
 * Puts what is in one pipe into another, empty and no smaller, as well: references to the
 * same pages.  False with errno: not all of it.
 */
bool pipes_copy(const struct pipe *from, struct pipe *to);

/* Moves up to n bytes to an empty pipe, and reads up to n; bytes, 0: nothing, errno says why. */
size_t pipes_move(struct pipe *from, struct pipe *to, size_t n);
size_t pipes_read(struct pipe *pipe, uint8_t *to, size_t n);

#endif
