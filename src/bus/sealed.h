/*
 * sealed - the records of a secured transport, between its socket and its mux.  Private to
 * transport and output.
 *
 * In: records are read many at a time into a buffer that is there only meanwhile, and
 * opened into another one, behind each other: a long frame is whole again, and goes on in one
 * write.  What is left of a record that has not come whole is kept in a block of just its
 * size.  Out: what output.c has staged is sealed at once, into
 * a buffer that takes the place of the staged one.
 */
#ifndef CB_BUS_SEALED_H
#define CB_BUS_SEALED_H

#include "bus/bus.h"
#include "bus/lobby.h"
#include "bus/secure.h"

#include <sys/types.h>

enum {
	SEALED_STAGED = BUS_WRITE - (4 << 10), /* bytes staged at most: room for the tags */
	SEALED_RECORD_MIN = 4 << 10,           /* bytes of a record on the slowest path */
};
/* A record is no longer than the path carries in this time: it is of no use before its end. */
#define SEALED_RECORD_TIME (2 * CLOCK_MS)

struct transport;

struct sealed {
	struct secure *secure;
	struct lobby_seat seat; /* where it is counted, unless we dialled */
	uint8_t *in, *plain;    /* as read, and opened: only during a read */
	size_t in_begin, in_end;
	uint8_t *kept; /* n_kept bytes, the beginning of a record */
	size_t n_kept;
	int64_t warned; /* when its token's end was last warned of */
	bool stale;     /* one made anew would be of another key, name or customer of either node */
	bool said_close; /* CLOSE is staged or sent */
};

/* Takes over `secure` and the seat, also on failure.  NULL when there is no memory. */
struct sealed *sealed_new(struct bus *bus, struct secure *secure, const struct lobby_seat *seat);

/* Wipes and frees all of it, and says farewell in the lobby; NULL does nothing. */
void sealed_free(struct bus *bus, struct sealed *s);

/*
 * Reads once from the socket.  The bytes read, and in *room how many it could have been; 0
 * at the end; -1 with errno, ENOMEM among them.  sealed_rest() must follow.
 */
ssize_t sealed_receive(struct transport *t, size_t *room);

/*
 * Opens all whole records of what was read: *plain and *n are what was in them, until
 * sealed_rest().  0, or secure_open()'s error at a record, before which others may have been
 * good.
 */
int sealed_open(struct transport *t, const uint8_t **plain, size_t *n);

/* Keeps what is left, and gives the buffer back.  0 or ERR_NOMEM. */
int sealed_rest(struct transport *t);

/* Seals what is staged in t->out.  0, or the error that ends the transport. */
int sealed_seal(struct transport *t);

/* Stages CLOSE, once, into t->out, which is NULL.  0, or as above. */
int sealed_say_close(struct transport *t);

/*
 * Seals n bytes, at most SEALED_WORDS, for a last word to `out`, and CLOSE behind them.  The bytes
 * written, or 0: nothing may be said any more.
 */
enum { SEALED_WORDS = WIRE_HEADER + WIRE_LONG_MAX };
size_t sealed_last_words(
	struct transport *t, const uint8_t *p, size_t n, uint8_t out[static SEALED_WORDS + 64]);

#endif
