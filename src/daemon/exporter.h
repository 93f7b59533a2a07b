/*
 * exporter - answers GET /metrics at the address of metrics=, over HTTP.
 *
 * The protocol is libmicrohttpd's; listening, waiting and time are the loop's.  It has no
 * thread, and nothing in it waits: a reader that is slow, or does not read at all, costs its
 * place and no more.  Nobody proves who he is here, so whoever reaches the address can
 * take all places, and make the process write the text EXPORTER_RENDERS times a second.
 *
 * HEAD is answered as GET is; another path with 404, another method with 405, and what is no
 * request with what libmicrohttpd has for it.  A body is never read: its request is answered,
 * and the connection closed.  What libmicrohttpd has to say is logged at level debug, as others
 * can cause it as often as they like.
 */
#ifndef CB_DAEMON_EXPORTER_H
#define CB_DAEMON_EXPORTER_H

#include "bus/bus.h"

#include <stddef.h>

enum {
	EXPORTER_CONNECTIONS = 16,  /* at a time; a further one is closed at once */
	EXPORTER_MEMORY = 16 << 10, /* bytes of a request, and of the head of its answer */
	EXPORTER_SEND = 256 << 10,  /* bytes of an answer in the kernel, which it may double */
	EXPORTER_TIMEOUT = 10,      /* seconds without a byte until a connection is closed */
	EXPORTER_RENDERS = 10,      /* a second; above that, the latest text is given again */
};

/*
 * Makes the text of an answer: 0, with *out, from bus->mem and the caller's, and *n, its bytes;
 * otherwise the request is answered with 503.  A text is kept until the last connection that
 * sends it is done, so there are EXPORTER_CONNECTIONS + 1 at most.
 */
typedef int exporter_render(struct bus *bus, char **out, size_t *n);

struct exporter_options {
	const struct conf_endpoint *at; /* its text is NULL where there is to be none */
	exporter_render *render;
	unsigned timeout; /* seconds; 0: EXPORTER_TIMEOUT */
};

struct exporter;

/*
 * Prepares for an address: *next is then `now`, if that has the address already; another,
 * whose socket is bound; or NULL, where there is no address (no text).  0, or a negative error
 * that has been logged, and *next is NULL.  Nothing is answered before the loop turns.
 */
int exporter_prepare(struct exporter **next, struct exporter *now, struct bus *bus,
	const struct exporter_options *opt);

/* *now is what was prepared, from now on; what it was before is freed if it is another. */
void exporter_commit(struct exporter **now, struct exporter *next);

/* What was prepared is not to be: it is freed, unless it is `now`. */
void exporter_abandon(struct exporter *now, struct exporter *next);

/*
 * Closes the address and every connection; an answer that is not yet all in the kernel's
 * hands ends with a reset.  Not from inside render().  NULL does nothing.
 */
void exporter_free(struct exporter *e);

#endif
