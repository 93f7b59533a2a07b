/*
 * mux - one end of one transport: many streams over one ordered pair of byte flows.
 *
 * Sans-I/O.  The driver feeds received bytes in and takes events out
 * (mux_receive); asks for control frames and for whose turn it is to send, and
 * moves payload itself (mux_control, mux_next, mux_commit); and asks for the next
 * deadline (mux_deadline, mux_tick).  Nothing is freed under the driver's feet: a
 * stream it was given stays valid until it calls mux_close() on it or mux_free().
 *
 * The protocol's rules are in cloudbus-protocol(7).
 */
#ifndef CB_SESSION_MUX_H
#define CB_SESSION_MUX_H

#include "base/mem.h"
#include "wire/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mux;
struct mux_stream;

enum mux_side { MUX_DIALLED, MUX_ACCEPTED };

struct mux_options {
	enum mux_side side;
	enum wire_role role;
	uint8_t instance[WIRE_ID];
	uint32_t max_streams;    /* that the peer may have open; 0: WIRE_STREAMS_DEFAULT */
	uint32_t window;         /* initial window in bytes; 0: WIRE_WINDOW_DEFAULT */
	uint32_t window_ceiling; /* bytes a window may grow to; >= window; 0: `window` */
	uint32_t quantum;        /* bytes a turn where streams compete; 0: MUX_QUANTUM */
	uint32_t last_id;        /* the last id to open; 0: WIRE_STREAM_MAX, the most */
	uint64_t hello_timeout;  /* microseconds; 0: MUX_HELLO_TIMEOUT */
	uint64_t link_timeout;   /* microseconds */
	uint64_t seed;           /* random, for the table of streams */
	void *owner;             /* the driver's: mux_owner() */
};

#define MUX_HELLO_TIMEOUT UINT64_C(5000000)
enum { MUX_QUANTUM = 16 << 10 };

/* The least room, in bytes, that mux_control() can do anything with. */
enum { MUX_CONTROL_ROOM = WIRE_HEADER + WIRE_LONG_MAX };

enum mux_event_type {
	MUX_NONE,     /* all input is used up */
	MUX_READY,    /* the peer's HELLO is in: mux_open() works from now on */
	MUX_OPEN,     /* the peer opened a stream: mux_set_user() or mux_close() it */
	MUX_DATA,     /* n bytes at p came on the stream; with `fin` nothing follows */
	MUX_RESET,    /* the peer reset the stream; mux_close() it.  code says why */
	MUX_GOAWAY,   /* the peer wants no new streams; code says why.  Again where that changes */
	MUX_ANNOUNCE, /* the peer serves names, or does so no more */
	MUX_TOKEN,    /* the peer's fresh token: n bytes at p */
	MUX_HEARD,    /* the peer has dealt with what was sent before mux_ask() */
	MUX_EVENTS,
};

struct mux_event {
	enum mux_event_type type;
	struct mux_stream *stream;
	void *user; /* the stream's */
	const uint8_t *p;
	size_t n;
	bool fin;      /* DATA: nothing follows on the stream */
	bool part;     /* DATA: the frame goes on, its sender has sent the rest already */
	uint32_t code; /* enum wire_code, or one not known */
	const struct wire_open *open;  /* OPEN; valid until the next mux_receive() */
	struct wire_announce announce; /* ANNOUNCE; its entries likewise, and TOKEN's bytes */
};

/*
 * NULL when there is no memory.  The HELLO is ready to be sent at once.  Windows are
 * brought within WIRE_WINDOW_MIN .. WIRE_WINDOW_MAX.
 */
struct mux *mux_new(struct mem *mem, const struct mux_options *opt, uint64_t now);

/* Frees it with all its streams: no pointer to one is valid after.  NULL does nothing. */
void mux_free(struct mux *m);

/* --- in --------------------------------------------------------------------- */

/*
 * Takes bytes from *p (*n of them; both are moved on) until there is an event.
 * Call until MUX_NONE.  0, or ERR_PROTOCOL, ERR_LIMIT (the peer spent its budget) or
 * ERR_NOMEM: the transport is to be closed, mux_failure() says why.  Every call after
 * that fails alike.
 */
int mux_receive(struct mux *m, const uint8_t **p, size_t *n, uint64_t now, struct mux_event *ev);

/*
 * The stream whose DATA payload comes next on the wire, and how many bytes of it;
 * NULL between frames, for payload that is to be thrown away, and after a failure.
 */
struct mux_stream *mux_pending(const struct mux *m, uint32_t *n);

/* Bytes of payload in the DATA frame that mux_pending() tells of, from its first to its last. */
uint32_t mux_pending_frame(const struct mux *m);

/* A part of a record came: as liveness_stirs(). */
void mux_stirs(struct mux *m, uint64_t now);

/*
 * The driver took n <= pending bytes of payload from the socket itself; mux_consumed()
 * follows when they have left for good.  Whether the stream's FIN came with the last of
 * them.
 */
bool mux_took(struct mux *m, uint32_t n, uint64_t now);

/* n bytes of what MUX_DATA brought have left for good; the peer may send more. */
void mux_consumed(struct mux_stream *s, uint64_t n, uint64_t now);

/* --- streams ------------------------------------------------------------------ */

/*
 * Opens a stream.  open->window is filled in.  0 and *out; ERR_CLOSED before
 * MUX_READY, after a GOAWAY of either side, or when ids have run out; ERR_LIMIT when the peer
 * allows no more; ERR_NOMEM.
 */
int mux_open(
	struct mux *m, struct wire_open *open, void *user, uint64_t now, struct mux_stream **out);

/* Whether mux_open() can succeed, memory permitting. */
bool mux_can_open(const struct mux *m);

/* Whether ids, ours or the peer's, are about to run out: the transport should be replaced. */
bool mux_is_worn(const struct mux *m);

void mux_set_user(struct mux_stream *s, void *user);

/* mux_options.owner of the mux that the stream is of. */
void *mux_owner(const struct mux_stream *s);

/*
 * Gives the stream back; it must not be used again.  Where either direction is
 * still open the peer gets RESET with this code.
 */
void mux_close(struct mux_stream *s, uint32_t code, uint64_t now);

/*
 * The peer opened a stream that it had no reason to open, and pays BUDGET_STRAY_PRICE for it.
 * When its budget is spent the next mux_receive() fails.
 */
void mux_charge_stray(struct mux *m, uint64_t now);

uint32_t mux_stream_id(const struct mux_stream *s);

/* Bytes received on the stream and not consumed. */
uint64_t mux_held(const struct mux_stream *s);

/* Whether the peer's credit for the stream is used up. */
bool mux_is_blocked(const struct mux_stream *s);

/* Any stream that was not given back, or NULL: for telling all of a loss. */
struct mux_stream *mux_any(const struct mux *m, void **user);

/* Streams in the table: opened and not yet closed in both directions. */
size_t mux_count(const struct mux *m);

/* --- out ---------------------------------------------------------------------- */

/*
 * Writes control frames to buf, as many as fit in `room` bytes (at least
 * MUX_CONTROL_ROOM).  Returns the bytes written; 0 when nothing is pending.
 */
size_t mux_control(struct mux *m, uint8_t *buf, size_t room, uint64_t now);

/* Whether mux_control() or mux_next() would have something. */
bool mux_has_output(const struct mux *m);

/* The stream's source has bytes, or an end, to send. */
void mux_ready(struct mux_stream *s, uint64_t now);

/*
 * Whose turn it is; NULL when nobody may send.  *grant gets the most payload bytes
 * it may put into its next frame, 1 .. WIRE_DATA_MAX.  mux_commit() must follow.
 */
struct mux_stream *mux_next(struct mux *m, uint32_t *grant);

void *mux_user(const struct mux_stream *s);

enum mux_more {
	MUX_MORE, /* the source has, or may have, more */
	MUX_DRY,  /* nothing until mux_ready() is called again */
	MUX_END,  /* these were the last bytes */
};

/*
 * n <= grant bytes follow as the stream's next frame, whose header goes to
 * `header`.  Returns the header's length: WIRE_HEADER, or 0 when n is 0 and this is
 * no end, so that no frame is sent.
 */
size_t mux_commit(struct mux_stream *s, uint32_t n, enum mux_more more, uint64_t now,
	uint8_t header[static WIRE_HEADER]);

/* How many streams wait for their turn. */
uint32_t mux_waiting(const struct mux *m);

/*
 * The measured delivery rate in bytes a second, 0 for not known: a frame is made no
 * longer than about MUX_FRAME_TIME of it, because one that has begun cannot be
 * interrupted.
 */
void mux_set_rate(struct mux *m, uint64_t bytes_per_sec);
#define MUX_FRAME_TIME UINT64_C(2000)

/* Bytes a turn where streams compete; 1 .. 1 MiB. */
void mux_set_quantum(struct mux *m, uint32_t quantum);

/* --- names and tokens ------------------------------------------------------------ */

/* Whether mux_announce() can succeed, memory permitting. */
bool mux_can_announce(const struct mux *m);

/*
 * Sends an ANNOUNCE; what it holds is copied.  There is room for one at a time, so a long
 * list is handed in frame by frame, as mux_control() sends them, and in that order it
 * arrives.  0; ERR_AGAIN while one waits; ERR_CLOSED before MUX_READY, after a failure, and
 * to a peer that does not know the frame; ERR_NOMEM.
 */
int mux_announce(struct mux *m, const struct wire_announce *v);

/*
 * Sends the node's fresh token, 1 .. WIRE_LONG_MAX bytes, copied; one that waits still is
 * replaced.  It leaves before any OPEN and ANNOUNCE that waits.  0; ERR_CLOSED as above;
 * ERR_NOMEM.
 */
int mux_token(struct mux *m, const void *text, size_t n);

/* The peer's HELLO; NULL before MUX_READY. */
const struct wire_hello *mux_peer(const struct mux *m);

/* --- limits ------------------------------------------------------------------- */

/*
 * Lowers or restores the initial window of streams the peer opens (LIMITS), and of those
 * opened here, and says whether windows may grow.  window: bytes, brought within
 * WIRE_WINDOW_MIN .. WIRE_WINDOW_MAX.
 */
void mux_set_window(struct mux *m, uint32_t window, bool may_grow);

/* --- time --------------------------------------------------------------------- */

/* When mux_tick() wants to be called next; CLOCK_NEVER after a failure. */
uint64_t mux_deadline(const struct mux *m);

/*
 * Judges deadlines; what can be read must have been read before.  0, or ERR_TIMEOUT:
 * the peer is dead, or its HELLO did not come.
 */
int mux_tick(struct mux *m, uint64_t now);

/* The least round trip lately, in microseconds; 0: not known. */
uint64_t mux_rtt(const struct mux *m);

/* Measures the round trip anew, unless it was done in the last second. */
void mux_probe(struct mux *m, uint64_t now);

/*
 * MUX_HEARD comes when the peer has answered a PING behind all control frames that wait now;
 * one that is still to come is put off until then.
 */
void mux_ask(struct mux *m, uint64_t now);

/* --- the end -------------------------------------------------------------------- */

/*
 * No new streams from either side: GOAWAY is announced, and a round trip later
 * sent with the last id.  Streams that are open go on.
 */
void mux_goaway(struct mux *m, uint32_t code, uint64_t now);

/* Whether a GOAWAY was sent or received. */
bool mux_is_going(const struct mux *m);

/*
 * Whether all is over: both sides' last GOAWAYs went, no stream is left, and nothing
 * waits to be sent.  The transport's writing side may be shut down, and its
 * end is an orderly one.
 */
bool mux_is_finished(const struct mux *m);

/* After a failure: the code to tell the peer in a last GOAWAY, and words (static). */
const char *mux_failure(const struct mux *m, uint32_t *code);

/*
 * Why the peer ends it, and the code, where its last GOAWAY says more than that it does (static);
 * or NULL.
 */
const char *mux_peer_reason(const struct mux *m, uint32_t *code);

/*
 * A GOAWAY with this code, to be sent as the last thing before closing; returns its length, at
 * most MUX_CONTROL_ROOM; 0 where not even our HELLO has left, or the peer has ended it by such
 * a one itself.
 */
size_t mux_last_words(const struct mux *m, uint32_t code, uint8_t *buf);

#endif
