/*
 * mux_impl - what the files of mux share: its state, and the streams in its table.  Private
 * to the session layer.
 */
#ifndef CB_SESSION_MUX_IMPL_H
#define CB_SESSION_MUX_IMPL_H

#include "base/hash.h"
#include "session/budget.h"
#include "session/liveness.h"
#include "session/mux.h"
#include "session/sched.h"
#include "session/stream.h"
#include "wire/decoder.h"

enum goaway {
	GOAWAY_NONE,
	GOAWAY_ANNOUNCE,  /* ours: the announcement waits to be sent */
	GOAWAY_ANNOUNCED, /* sent or received, without the last id */
	GOAWAY_CONCLUDE,  /* ours: the one with the last id waits to be sent */
	GOAWAY_FINAL,     /* sent or received, with the last id */
};

struct mux {
	struct mem *mem;
	struct mux_options opt;
	struct decoder decoder;
	struct liveness liveness;
	struct budget budget;
	struct sched sched;
	struct hash table;   /* streams not closed in both directions, by id */
	struct list all;     /* streams the driver has not given back */
	struct list opens;   /* streams whose OPEN waits, by id */
	struct list control; /* streams with another slot taken */
	struct list doomed;  /* in place of `all`: ours that the peer's GOAWAY left out */
	struct wire_hello peer;
	struct wire_open peer_open; /* the one last handed out */
	uint64_t started;
	uint64_t probed;         /* when the round trip was last asked for */
	uint32_t next_id;        /* the next we open */
	uint32_t highest;        /* the last the peer opened */
	uint32_t ours, theirs;   /* streams in the table, by who opened them */
	uint32_t frame_cap;      /* bytes; see MUX_FRAME_TIME */
	struct mux_stream *data; /* whose DATA frame is under way; NULL: thrown away */

	/* control output that waits, one slot each */
	bool hello_unsent, pong_unsent, limits_unsent, limits_ack_unsent;
	uint64_t pong;
	struct wire_limits limits_ack;
	uint8_t *announce; /* a whole frame each, or NULL */
	uint8_t *token;
	size_t announce_n, token_n; /* bytes of them */

	bool ready;           /* the peer's HELLO is in */
	uint32_t window;      /* initial window we want now */
	uint32_t window_rx;   /* in force for streams the peer opens */
	uint32_t window_sent; /* in the LIMITS whose answer is not in; 0: none */
	uint32_t window_tx;   /* the peer's, for streams we open */
	uint32_t peer_max;    /* streams the peer lets us have open */
	bool may_grow;

	enum goaway sent, received;
	uint32_t goaway_code;
	uint32_t peer_code;   /* of the last GOAWAY received */
	uint64_t goaway_ping; /* the PING whose PONG proves that the announcement was heard */
	uint64_t goaway_at;   /* when the announcement is taken as heard, PONG or not */

	bool asking;         /* MUX_HEARD is to come */
	uint64_t asked_ping; /* with the PONG of this PING, or a later one */

	bool ended_by_peer; /* by its last GOAWAY */
	int failed;         /* 0, or the error every call now fails with */
	uint32_t fail_code;
	const char *why;
};

/* A stream in the table, or NULL. */
struct mux_stream *mux_impl_find(const struct mux *m, uint32_t id);

/* A new stream in the table.  NULL when there is no memory. */
struct mux_stream *mux_impl_add(struct mux *m, uint32_t id, bool ours);

/* Frees one that is in no list and no table. */
void mux_impl_free(struct mux_stream *s);

/* Takes a slot of control output; gives one up unsent. */
void mux_impl_slot(struct mux_stream *s, enum stream_slot slot);
void mux_impl_unslot(struct mux_stream *s, enum stream_slot slot);

/*
 * Takes the stream out of the table if it is closed in both directions, with what it
 * had to say; frees it if the driver has given it back too.
 */
void mux_impl_retire(struct mux_stream *s, uint64_t now);

/* The peer's RESET: answers it where an answer is due. */
void mux_impl_aborted(struct mux_stream *s, uint32_t code, uint64_t now);

/*
 * The driver wants or shall have no more of the stream: the peer gets RESET with this
 * code where it is due.  Its own RESET or FIN is awaited as ever.
 */
void mux_impl_give_up(struct mux_stream *s, uint32_t code, uint64_t now);

/* The peer's FIN is in. */
void mux_impl_ended(struct mux_stream *s, uint64_t now);

/* Whether the driver still wants to hear of the stream. */
static inline bool mux_impl_is_heard(const struct mux_stream *s)
{
	return !s->released && !s->told;
}

/* Queues the stream for its turn if it has something and may send. */
void mux_impl_schedule(struct mux_stream *s, uint64_t now);

#endif
