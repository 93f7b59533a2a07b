/*
 * dialer - keeps this node connected to one peer: dials it, and dials again what is lost.
 *
 * On a short path it keeps one transport warm, because one write for many sessions is
 * cheapest.  On a long one (DIALER_LONG_PATH) it opens transports= of them ahead, and new
 * sessions take turns, so that neither one connection's buffer nor one lost packet holds up
 * all; a session stays on the transport it was opened on.  What is lost is dialled anew with
 * jittered exponential back-off.  A transport that is worn out is told to go when another is there
 * in its place, and the peer knows it; like one that the peer wants no more of, it stays until its
 * sessions are over.
 *
 * With a token of which it knows that it does not count now a node dials nobody: it would only
 * earn a pause at the peer, which a fresh token would then have to wait for.
 *
 * At a start with a thousand peers clients must not wait for a thousand connects: attempts
 * stand in a queue, from which every turn of the loop takes a few.
 *
 * A controller's link to a segment and a segment's to a controller differ in who opens
 * streams, and that is their owners' business.
 */
#ifndef CB_BUS_DIALER_H
#define CB_BUS_DIALER_H

#include "bus/handshake.h"
#include "bus/transport.h"
#include "net/connector.h"

#define DIALER_BACKOFF_MIN (100 * CLOCK_MS)
#define DIALER_BACKOFF_MAX (5 * CLOCK_SEC)
#define DIALER_REFUSED (2 * CLOCK_SEC) /* the least back-off after a refusal, whoever waits */
#define DIALER_LASTED (1 * CLOCK_SEC)  /* a transport that did resets the back-off */
#define DIALER_CONNECT_TIMEOUT (5 * CLOCK_SEC)
enum { DIALER_A_TURN = 16 };            /* attempts begun in one turn of the loop */
#define DIALER_LONG_PATH (2 * CLOCK_MS) /* round trip above which one transport is too few */

struct dialer;

struct dialer_ops {
	const char *peer; /* "segment" or "controller", for the log */
	/* Whom it dials, for the log; static storage. */
	const char *(*text)(const struct dialer *d);
	/* A transport is open to new sessions. */
	void (*up)(struct dialer *d, struct transport *t);
	/* As in struct transport_ops. */
	void (*open)(struct dialer *d, struct transport *t, struct mux_stream *stream,
		const struct wire_open *open);
	void (*announced)(struct dialer *d, struct transport *t); /* or NULL */
	void (*vouched)(struct dialer *d, struct transport *t);   /* or NULL */
	bool announces; /* the peer opens streams, once it has answered what `up` announced */
	/* A transport is over, and about to be freed; or NULL. */
	void (*closed)(struct dialer *d, struct transport *t);
	/* An attempt or a transport has ended; nothing of it is used after this; or NULL. */
	void (*ended)(struct dialer *d);
};

struct dialer_options {
	const struct dialer_ops *ops;
	struct addr addr;    /* where there is no name */
	bool secured;        /* the bus has a guard */
	const char *host;    /* a name to resolve before each attempt, or NULL */
	uint16_t port;       /* with a name */
	const bool *stopped; /* no attempt is made any more; the owner's */
};

/* Embed it. */
struct dialer {
	struct bus *bus;
	const struct dialer_ops *ops;
	const bool *stopped;
	struct addr addr;
	struct dns_name *name; /* NULL where the address is fixed */
	struct dns_query query;
	uint16_t port;
	bool secured;
	bool in_use;        /* without a user it neither dials nor keeps what it has */
	struct list queued; /* in one of the lists of bus->dials */
	struct connector connector;
	struct handshake handshake; /* behind the connector, where it is secured */
	struct timer retry;
	struct transport *ready[CONF_TRANSPORTS_MAX]; /* open to new sessions */
	unsigned n_ready, turn;
	unsigned wanted;         /* transports, by the length of the path */
	unsigned allowed;        /* of which so many by transports=, when that was found */
	struct transport *next;  /* its HELLO is not in yet, or NULL */
	size_t n_transports;     /* with those that are on their way out */
	uint64_t backoff;        /* microseconds; the next pause is up to this */
	uint64_t tried;          /* when the last attempt began */
	uint64_t ready_at;       /* when a transport last became ready */
	uint64_t complaint;      /* the failure that was logged last, by its words; 0: none */
	bool refused;            /* the last attempt: no use in trying again at once */
	uint64_t awaited;        /* until when a session waits for it */
	uint64_t failures;       /* attempts that came to nothing */
	size_t place;            /* while a survey is taken: its own */
	uint64_t received, sent; /* bytes of transports that are no more */
};

/* For bus.c. */
void dialer_queue_init(struct dial_queue *queue);
void dialer_queue_fini(struct dial_queue *queue);

/* For guard.c: this node's token counts, and whoever is barred may dial. */
void dialer_queue_release(struct bus *bus);

/* 0 or ERR_NOMEM.  It is not in use yet. */
int dialer_init(struct dialer *d, struct bus *bus, const struct dialer_options *opt);

/* Its transports must be gone. */
void dialer_fini(struct dialer *d);

/* Begins to use it: dials, unless it is up or waits for its next attempt. */
void dialer_use(struct dialer *d);

/* Gives it up: no more attempts; its transports say goodbye, once their sessions are over. */
void dialer_give_up(struct dialer *d);

/*
 * The bus's configuration is another: where its transports= is, those that are too many say
 * goodbye, the ones with the fewest sessions first, and those that are too few are dialled.
 */
void dialer_reconfigure(struct bus *bus);

/* Whether it has a transport, an attempt or a question under way. */
bool dialer_busy(const struct dialer *d);

/* The transport to open new sessions on, or NULL. */
struct transport *dialer_transport(struct dialer *d);

/*
 * A session waits for it, until then (microseconds): tries at once instead of at the end of
 * its pause, and with short pauses as long; but where it was refused, not sooner than half of
 * DIALER_REFUSED after that.
 */
void dialer_kick(struct dialer *d, uint64_t until);

#endif
