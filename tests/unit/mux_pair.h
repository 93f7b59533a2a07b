/*
 * mux_pair - two muxes joined in memory under a virtual clock.
 *
 * An end is a mux with the smallest driver there can be: it opens and accepts
 * sessions, sends bytes that follow from their place in the stream, and checks those that
 * come.  Its output goes to a buffer; what carries it to the other end (at once, a byte at a
 * time, split somewhere) is the test's choice.
 */
#ifndef CB_TESTS_MUX_PAIR_H
#define CB_TESTS_MUX_PAIR_H

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "session/mux.h"
#include "unit/unit.h"
#include "wire/decoder.h"

#include <stdbool.h>

/* One stream as its driver sees it. */
struct end_stream {
	struct list node;
	struct mux_stream *s; /* NULL once given back */
	struct end *end;
	uint32_t id;
	bool ours;
	uint64_t give; /* bytes the source still has */
	bool give_end; /* and then an end */
	uint64_t sent; /* bytes sent, of this direction */
	bool sent_end;
	uint64_t got; /* bytes that came */
	bool got_end, got_reset;
	uint32_t code;   /* of the RESET that came */
	uint64_t unread; /* came, and not consumed yet */
	bool stalled;    /* its reader reads nothing */
};

struct end {
	struct unit_mem mem;
	struct mux *mux;
	enum mux_side side;
	const uint64_t *now;
	struct list streams;
	uint8_t *out; /* bytes on their way, from out_at to out_len */
	size_t out_at, out_len, out_cap;
	uint64_t bytes_out, bytes_in; /* since the start */
	uint64_t random;
	bool takes;   /* payload past mux_receive(), where it can be */
	bool refuses; /* every stream the peer opens */
	bool stalls;  /* new streams are stalled */
	bool checks;  /* names and tokens: the far end is an end too */
	int rc;       /* what mux_receive() or mux_tick() failed with */
	unsigned events[MUX_EVENTS];
	uint32_t code;               /* of the last RESET or GOAWAY */
	struct decoder watch;        /* over the bytes sent */
	unsigned frames[WIRE_TYPES]; /* sent, by type */
	struct wire_header last[4];  /* headers sent lately, the newest first */
	uint32_t announced, heard;   /* ANNOUNCEs handed to the mux, and that came */
	uint32_t tokens, token;      /* tokens handed to the mux, and the last that came */
	uint64_t unread, unread_max; /* bytes held over all streams, and the most ever */
	const char *broken;          /* the first broken promise, or NULL */
};

void end_init(struct end *e, enum mux_side side, const struct mux_options *opt, const uint64_t *now,
	const struct unit_mem *mem);

/* Frees the mux and the records; returns the blocks that leaked. */
size_t end_fini(struct end *e);

/* Opens a session; NULL with *rc set when the mux refuses. */
struct end_stream *end_open(struct end *e, int *rc);

/* The source of the stream has n more bytes, and then perhaps its end. */
void end_give(struct end_stream *st, uint64_t n, bool end);

/* The reader reads n bytes of what is unread. */
void end_read(struct end_stream *st, uint64_t n);

/* Gives the stream back. */
void end_close(struct end_stream *st, uint32_t code);

/* The record of a stream by its id, or NULL. */
struct end_stream *end_find(const struct end *e, uint32_t id);

/* Hands received bytes to the mux, up to its failure. */
void end_feed(struct end *e, const uint8_t *p, size_t n);

/* Moves what the mux has to send to `out`, as long as less than `limit` bytes wait there. */
void end_flush(struct end *e, size_t limit);

/*
 * The next ANNOUNCE, whose content follows from its number; as mux_announce().  The far end
 * checks that each comes, in order.
 */
int end_announce(struct end *e);

/* The next token, likewise; as mux_token().  One may replace another, so some do not come. */
int end_token(struct end *e);

/* Judges deadlines. */
void end_tick(struct end *e);

/* The byte at an offset of a direction of a stream. */
uint8_t end_byte(uint32_t id, bool from_opener, uint64_t offset);

/* An end alone, whose peer is the test, frame by frame: max_streams and windows as given. */
void solo_init(struct end *e, uint64_t *now, const struct mux_options *opt);
void solo_hello(struct end *e, uint32_t max_streams, uint32_t window);
void solo_open(struct end *e, uint32_t id, uint32_t window);
void solo_data(struct end *e, uint32_t id, uint32_t n, unsigned flags);
void solo_reset(struct end *e, uint32_t id, uint32_t code);
void solo_credit(struct end *e, uint32_t id, uint64_t offset);
void solo_ping(struct end *e, uint64_t opaque, bool ack);
void solo_announce(struct end *e, uint32_t version);
void solo_token(struct end *e, size_t n);
void solo_goaway(struct end *e, uint32_t last, uint32_t code);
void solo_limits(struct end *e, uint32_t max_streams, uint32_t window, bool ack);
void solo_ignorable(struct end *e, uint32_t n);

/* Flushes, and forgets what was sent. */
void solo_drain(struct end *e);

/* Asserts that the end failed so, for this reason and with this code, or (0) that it did not. */
void solo_failed(const struct end *e, int rc, uint32_t code);

/* Asserts that nothing is broken and nothing leaks. */
void solo_fini(struct end *e);

/* How bytes are carried between two ends. */
struct pair_way {
	size_t chunk;   /* bytes at a time; 0: as many as there are */
	uint64_t split; /* after so many bytes since the start there is a break; 0: none */
	bool takes;
};

struct pair {
	struct end a, b; /* a dialled */
	uint64_t now;
	struct pair_way way;
	bool cut; /* nothing is carried any more */
};

/* Two ends before HELLO.  The options may be NULL. */
void pair_init(struct pair *p, const struct pair_way *way, const struct mux_options *a,
	const struct mux_options *b);

/* Asserts that nothing is broken and nothing leaks, unless an allocation was made to fail. */
void pair_fini(struct pair *p);

/* Carries bytes in both directions until both ends are quiet.  No time passes. */
void pair_run(struct pair *p);

/* Time passes, deadlines are judged where they fall, and bytes are carried. */
void pair_wait(struct pair *p, uint64_t microseconds);

/* Options that the tests share: small windows, so that credit matters. */
struct mux_options pair_options(enum mux_side side);

/*
 * Runs a scenario in every way: whole, in bytes, with the payload taken or not, and
 * split at every byte of either flow.  The scenario inits and finis its pair, and returns the
 * longer flow's bytes.
 */
void pair_every_way(uint64_t (*scenario)(const struct pair_way *way));

#endif
