/*
 * handshake - a connection on its way to being a secured transport: its socket and a
 * struct secure together.
 *
 * It reads no byte beyond the handshake: what follows is left in the socket.
 */
#ifndef CB_BUS_HANDSHAKE_H
#define CB_BUS_HANDSHAKE_H

#include "bus/bus.h"
#include "bus/secure.h"

struct handshake;

struct handshake_result {
	int err;               /* 0, or why not */
	int fd;                /* connected, the callee's; -1 after a failure */
	struct secure *secure; /* likewise; NULL after a failure */
	enum secure_fault fault;
	const uint8_t *key; /* the peer's, of KEYFILE_KEY bytes, also after a failure; or NULL */
	const char *why;    /* of the failure; until done() returns */
	bool left;          /* the peer went when it had our token: accepting side only */
};

struct handshake_options {
	int fd; /* connected; the handshake's from here on, also on failure */
	enum noise_side side;
	enum token_role peer;           /* what the peer must be */
	const struct secure_door *door; /* NULL: everybody */
	uint64_t deadline;              /* microseconds, of loop_now() */
	/* The MAC is right; may be NULL. */
	void (*proven)(struct handshake *h);
	/* It is over; the last call. */
	void (*done)(struct handshake *h, const struct handshake_result *result);
};

/* Zeroed, it is not busy. */
struct handshake {
	struct loop_fd lfd;
	struct bus *bus;
	struct secure *secure; /* NULL: not busy */
	struct timer timer;
	enum noise_side side;
	bool proven_told, answered, left;
	void (*proven)(struct handshake *h);
	void (*done)(struct handshake *h, const struct handshake_result *result);
};

/*
 * Begins; done() is called later.  0; ERR_NOMEM; ERR_SYS with errno.  The bus has a guard.  The
 * memory of h must live to the end of the turn in which done() is called.
 */
int handshake_start(struct handshake *h, struct bus *bus, const struct handshake_options *opt);

/*
 * Takes what has come by now, without waiting for the loop to tell: before it is judged by what
 * it has not said.  proven() and done() may be called.  It is busy.
 */
void handshake_look(struct handshake *h);

/* Ends it without done(); does nothing where it is not busy. */
void handshake_cancel(struct handshake *h);

static inline bool handshake_is_busy(const struct handshake *h)
{
	return h->secure != NULL;
}

#endif
