/*
 * stream - one stream's two half-machines: cloudbus-protocol(7), STREAM STATES.
 *
 * A stream leaves the table of its transport when both halves are closed.  Private
 * to the session layer.
 */
#ifndef CB_SESSION_STREAM_H
#define CB_SESSION_STREAM_H

#include "base/hash.h"
#include "base/list.h"
#include "session/credit.h"
#include "session/sched.h"
#include "wire/wire.h"

#include <stdbool.h>
#include <stdint.h>

enum stream_half {
	STREAM_OPEN,
	STREAM_FIN,   /* ended: FIN passed in this direction */
	STREAM_RESET, /* aborted: RESET passed in this direction */
};

/* Control output that waits, one slot each. */
enum stream_slot {
	STREAM_SLOT_OPEN = 1,
	STREAM_SLOT_CREDIT = 2,
	STREAM_SLOT_RESET = 4,
};

struct mux_stream {
	struct hash_node node; /* in the table while `tabled` */
	struct list all;       /* of those not given back */
	struct list control;   /* of those with a slot taken; OPEN has a list of its own */
	struct sched_item sched;
	struct mux *mux;
	void *user;
	uint8_t *open; /* its OPEN, a whole frame, until that has left */
	struct credit_tx tx_credit;
	struct credit_rx rx_credit;
	uint32_t id;
	uint32_t code;  /* of the RESET that waits */
	uint8_t tx, rx; /* enum stream_half */
	uint8_t slots;  /* enum stream_slot */
	bool ours;      /* opened by this side */
	bool tabled;    /* in the table */
	bool released;  /* given back by the driver */
	bool wants;     /* the driver said its source has something */
	bool told;      /* the driver was told of its end ahead of the peer's RESET */
};

/* What the second stage says about a frame. */
enum stream_verdict {
	STREAM_FATAL, /* the peer broke the protocol */
	STREAM_TAKE,
	STREAM_DROP, /* legal, without effect */
};

/* Where a stream stands, as the receiver of a frame on it sees it. */
enum stream_phase {
	STREAM_PHASE_NEW,     /* the peer's id, above all it has used */
	STREAM_PHASE_NEVER,   /* an id of ours that was not opened, as far as the peer can know */
	STREAM_PHASE_GONE,    /* closed both ways, some time ago */
	STREAM_PHASE_OPEN,    /* the peer sends */
	STREAM_PHASE_ENDED,   /* the peer has sent FIN */
	STREAM_PHASE_ABORTED, /* the peer has sent RESET */
	STREAM_PHASE_REFUSED, /* we have sent RESET, the peer has ended nothing yet */
	STREAM_PHASES
};

/* The second stage, as a table; type is of a frame on a stream. */
enum stream_verdict stream_check(enum stream_phase phase, enum wire_type type);

/* The phase of a stream that is in the table. */
enum stream_phase stream_phase(const struct mux_stream *s);

/* The one setter of each half: asserts that the step is legal, logs it at debug level. */
void stream_set_tx(struct mux_stream *s, enum stream_half to);
void stream_set_rx(struct mux_stream *s, enum stream_half to);

/* Whether both halves are closed. */
bool stream_is_closed(const struct mux_stream *s);

#endif
