/*
 * transport - one connection between two nodes, driven: socket and mux together.
 *
 * All sessions' output of a turn leaves in as few writes as possible, at the end of
 * the turn; all frames of a read are taken before the next.  Reading never stops for
 * one session's sake.
 */
#ifndef CB_BUS_TRANSPORT_H
#define CB_BUS_TRANSPORT_H

#include "bus/bus.h"
#include "bus/ending.h"
#include "bus/sealed.h"
#include "session/mux.h"

struct transport;
struct transport_stream;

/* What the user of a stream does when something comes; all are called from the loop. */
struct transport_stream_ops {
	/* MUX_DATA came; the bytes are valid during the call. */
	void (*data)(struct transport_stream *ts, const struct mux_event *ev);
	/*
	 * The peer reset the stream, or the transport is lost (WIRE_LINK_LOST).  It is
	 * given back already: ts->stream is NULL.
	 */
	void (*reset)(struct transport_stream *ts, uint32_t code);
	/*
	 * Puts up to `room` (>= 1) bytes to send at `to`, returns how many, and says in
	 * *more what follows.  Must not close a stream or a transport.
	 */
	size_t (*pull)(struct transport_stream *ts, uint8_t *to, size_t room, enum mux_more *more);
	/* Whether its source has been giving so much at once that a pipe pays. */
	bool (*is_bulk)(const struct transport_stream *ts);
	/* As pull, but into an empty pipe.  0: nothing came; pull() finds out why. */
	size_t (*pull_pipe)(
		struct transport_stream *ts, struct pipe *pipe, size_t room, enum mux_more *more);
	/*
	 * Takes up to n bytes of its payload from the transport's socket itself, and
	 * answers for them as for data().  0: it cannot now; they come by data().
	 */
	size_t (*take)(struct transport_stream *ts, int fd, size_t n);
};

/* Embedded by the user of a stream. */
struct transport_stream {
	const struct transport_stream_ops *ops;
	struct mux_stream *stream; /* NULL: none, or given back */
};

/* What the owner of a transport does. */
struct transport_ops {
	/* The peer's HELLO is in. */
	void (*ready)(struct transport *t);
	/*
	 * The peer opened a stream; transport_attach() or transport_refuse() it.
	 */
	void (*open)(struct transport *t, struct mux_stream *stream, const struct wire_open *open);
	/* The peer wants no new streams; called again where it gives another reason. */
	void (*goaway)(struct transport *t, uint32_t code);
	/* It was this node that told the peer to go, and has logged why; or NULL. */
	void (*dismissed)(struct transport *t);
	/* The peer serves names, or does so no more; or NULL. */
	void (*announce)(struct transport *t, const struct wire_announce *v);
	/* An ANNOUNCE that waited has left: there is room for the next; or NULL. */
	void (*announced)(struct transport *t);
	/* The peer has dealt with what was sent before transport_ask(); or NULL. */
	void (*heard)(struct transport *t);
	/* It should be replaced, if it is this side's to dial; or NULL. */
	void (*worn)(struct transport *t);
	/* The peer's token was renewed: it may do more, or less; or NULL. */
	void (*renewed)(struct transport *t);
	/* Our own fresh token is on its way: the peer may believe more of us; or NULL. */
	void (*vouched)(struct transport *t);
	/*
	 * It is over, and all streams have been told.  `why` is static storage, and NULL
	 * for an orderly end.  The transport is freed when this returns.
	 */
	void (*closed)(struct transport *t, const char *why);
};

struct transport {
	struct loop_fd lfd;
	struct bus *bus;
	struct mux *mux;
	const struct transport_ops *ops;
	void *owner;
	const void *door;       /* the acceptor it came in by, while that is there; or NULL */
	void *aside;            /* the owner's, of this transport; NULL at first */
	struct list node;       /* in bus->transports */
	struct loop_work flush; /* output at the end of the turn */
	struct loop_work bury;  /* of a dead one, likewise */
	struct timer timer;
	uint8_t *out; /* staged output, while there is any */
	size_t out_begin, out_end;
	struct pipe *pipe; /* payload that follows what is staged, while there is any */
	uint64_t sampled;  /* when the path was last looked at */
	uint64_t rate;     /* of delivery, bytes a second; 0: not known */
	struct ending ending;
	struct addr peer;
	struct sealed *sealed;   /* NULL: it is plain */
	uint64_t received, sent; /* bytes of the connection */
	enum stats_side side;
	bool is_tcp;
	bool bulk_seen, sparse_seen; /* since the last sample; sparse only beside others */
	bool lowat;                  /* little is queued in the kernel for that reason */
	bool long_frames;            /* the last frame was long: read its header alone */
	bool dead;                   /* see ending.h */
};

struct transport_options {
	const struct transport_ops *ops;
	void *owner;
	int fd; /* connected; the transport's from here on, also on failure */
	enum mux_side side;
	struct secure *secure;  /* NULL: plain; likewise the transport's */
	struct lobby_seat seat; /* of an accepted, secured one; likewise */
	const void *door;       /* of an accepted one: who it came in by */
};

/* 0; ERR_NOMEM or ERR_SYS (with errno): the descriptor is closed. */
int transport_new(struct transport **out, struct bus *bus, const struct transport_options *opt);

/*
 * Opens a stream for ts (whose ops are set).  0, or as mux_open().
 */
int transport_open(struct transport *t, struct transport_stream *ts, struct wire_open *open);

/* The transport of a stream that was not given back. */
static inline struct transport *transport_of_stream(const struct transport_stream *ts)
{
	return mux_owner(ts->stream);
}

/* Gives an incoming stream to ts (whose ops are set). */
static inline void transport_attach(struct transport_stream *ts, struct mux_stream *stream)
{
	ts->stream = stream;
	mux_set_user(stream, ts);
}

/* Turns an incoming stream away. */
void transport_refuse(struct transport *t, struct mux_stream *stream, uint32_t code);

/* Gives the stream back, if there is one; the peer gets RESET where it is not over. */
void transport_close_stream(struct transport_stream *ts, uint32_t code);

/* Likewise, and the peer pays for it: no honest one opens such streams in numbers. */
static inline void transport_reject(struct transport *t, struct mux_stream *stream, uint32_t code)
{
	mux_charge_stray(t->mux, bus_now(t->bus));
	transport_refuse(t, stream, code);
}

/* The source of ts has something to send. */
void transport_ready(struct transport_stream *ts);

/* n bytes of what ts->ops->data() brought have left for good. */
void transport_consumed(struct transport_stream *ts, uint64_t n);

/* Whether a new stream can be opened on it. */
static inline bool transport_can_open(const struct transport *t)
{
	return !t->dead && mux_can_open(t->mux);
}

/* The least round trip the kernel has seen on it, in microseconds; 0: not known. */
uint64_t transport_round_trip(const struct transport *t);

/* Whether it should be replaced: its stream ids run out, or its keys are old. */
static inline bool transport_is_worn(const struct transport *t)
{
	return mux_is_worn(t->mux) || (t->sealed != NULL && t->sealed->stale);
}

/* Begins an orderly end: streams that are open go on.  Other ends: ending.h. */
void transport_goaway(struct transport *t, uint32_t code);

/* As mux_announce(); ops->announced() is called when there is room for the next. */
int transport_announce(struct transport *t, const struct wire_announce *v);

/* As mux_ask(): ops->heard() is called. */
static inline void transport_ask(struct transport *t)
{
	if (t->dead)
		return;
	mux_ask(t->mux, bus_now(t->bus));
	loop_defer(t->bus->loop, &t->flush);
}

/* As mux_token(): to be called again with every fresh token of this node. */
int transport_token(struct transport *t, const void *text, size_t n);

/* As mux_set_window(), for this transport. */
void transport_set_window(struct transport *t, uint32_t window, bool may_grow);

#endif
