/*
 * doorman - who may begin a handshake, and when: the limits before authentication.
 *
 * Pure: addresses, keys and the time are arguments (any clock in microseconds that does not
 * jump).  All limits are in the enum; cloudbus-security(7), LIMITS, has them too, and a test
 * compares.
 *
 * A source is what one stranger can be expected to have: an IPv4 address, an IPv6 /64, or
 * all Unix peers together.  A message 1 with a wrong MAC costs its source a pause; whatever
 * comes behind a right MAC is held against the static key of the peer alone, so that one bad
 * node behind a NAT does not lock out its site.  A source that has authenticated links is
 * never turned away for what others behind it do: a pause is not for it, and who finds no
 * place there waits.
 *
 * Nor do those who say nothing keep a node of their own source out.  Where all places of a
 * source are taken a newcomer enters, and one leaves of those that have not shown a right MAC,
 * drawn by lot.  A node whose first message comes w seconds behind its connection loses the lot
 * with the probability 1 - (7/8)^(r w), when strangers have the other seven places and r of
 * them come a second; and tries again.  What has come is looked at first, so once its message
 * is here it cannot lose.  Any order would be worse: if the oldest left, eight who come in that
 * time would be sure to turn the node away; and a single one would be, if those left first that
 * have not sent a byte, since a stranger sends one as soon as he has connected.
 *
 * Every operation is O(1).
 */
#ifndef CB_BUS_DOORMAN_H
#define CB_BUS_DOORMAN_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "bus/stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DOORMAN_PER_SOURCE = 8,    /* handshakes at once of a source; a newcomer takes the place of
				      one whose MAC is not in, drawn by lot */
	DOORMAN_UNPROVEN_MAX = 64, /* handshakes whose MAC is not in; past it one of them, drawn by
				      lot, is dropped */
	DOORMAN_MAX = 256,         /* handshakes at once in all */
	DOORMAN_QUEUE_PER_SOURCE = 16, /* connections of a source that wait for their handshake */
	DOORMAN_QUEUE = 64,            /* of all sources */
	DOORMAN_SOURCES = 4096,        /* sources remembered for their failures alone */
	DOORMAN_KEYS = 4096,           /* static keys remembered for theirs */
	DOORMAN_KEY = 32,              /* bytes of a static key */
	DOORMAN_SOURCE = 9,            /* bytes that tell one source from another */
};

#define DOORMAN_HANDSHAKE (5 * CLOCK_SEC)   /* from accept to the last message; also in the queue */
#define DOORMAN_PENALTY_MIN (1 * CLOCK_SEC) /* the pause after the first failure; then doubled */
#define DOORMAN_PENALTY_MAX                                                                        \
	(60 * CLOCK_SEC)                 /* the longest pause: who mends a file waits no longer */
#define DOORMAN_MEMORY (900 * CLOCK_SEC) /* without a failure for so long they are forgotten */

/* What is held against a source or a key. */
struct doorman_record {
	unsigned failures;
	uint64_t until; /* of the pause */
	uint64_t last;  /* failure */
};

struct doorman_source {
	struct hash_node node;
	struct list idle; /* in the list of those that only their failures keep */
	struct doorman_record record;
	uint8_t name[DOORMAN_SOURCE];
	unsigned inside, waiting; /* handshakes; connections in the queue */
	unsigned unproven;        /* of those inside: their MAC is not in */
	unsigned live;            /* authenticated transports */
	struct list lots;         /* the caller's: those unproven, for drawing one */
};

struct doorman {
	struct mem *mem;
	uint64_t seed;
	struct hash sources, keys;
	struct list idle;       /* sources, the one that failed longest ago first */
	struct list known_keys; /* likewise */
	size_t n_idle, n_keys;
	unsigned inside, unproven, waiting;
};

/* seed: random, for the tables. */
void doorman_init(struct doorman *d, struct mem *mem, uint64_t seed);

/* No source may be in use any more. */
void doorman_fini(struct doorman *d);

enum doorman_answer {
	DOORMAN_ENTER, /* doorman_leave() must follow */
	/*
	 * Only in another's place: one of the source's unproven, drawn by lot, is to leave (or to
	 * prove itself), and then to be asked again.  At most DOORMAN_PER_SOURCE times.
	 */
	DOORMAN_REPLACE,
	DOORMAN_WAIT,   /* doorman_call() or doorman_give_up() must follow */
	DOORMAN_REFUSE, /* close it; *why says why */
};

/* A connection from this address.  *source is set unless it is refused. */
enum doorman_answer doorman_arrive(struct doorman *d, const struct addr *addr, uint64_t now,
	struct doorman_source **source, enum stats_away *why);

/* The same of one that waits: DOORMAN_ENTER, DOORMAN_REPLACE, or DOORMAN_WAIT: it waits on. */
enum doorman_answer doorman_call(struct doorman *d, struct doorman_source *source);

/* One that waited is gone.  The source may be gone too. */
void doorman_give_up(struct doorman *d, struct doorman_source *source);

/* Whether too many have shown no MAC: one of them, drawn by lot, is to leave. */
bool doorman_is_crowded(const struct doorman *d);

/* How a handshake came to its end. */
enum doorman_end {
	DOORMAN_UNPROVEN, /* before a word; neither good nor bad */
	DOORMAN_STRANGER, /* a wrong MAC: the source has a pause from now on */
	DOORMAN_PROVEN,   /* the MAC was right; what came then is no fault of the source */
};

/* The MAC of one that is inside was right. */
void doorman_prove(struct doorman *d, struct doorman_source *source);

/*
 * The handshake is over, and out of `lots`: the source may be gone.  DOORMAN_PROVEN just where
 * doorman_prove() was called.
 */
void doorman_leave(
	struct doorman *d, struct doorman_source *source, enum doorman_end end, uint64_t now);

/* An authenticated transport of the source begins; and ends, and the source may be gone. */
void doorman_up(struct doorman *d, struct doorman_source *source);
void doorman_down(struct doorman *d, struct doorman_source *source);

/* Whether a peer with this static key may be looked at, or has a pause. */
bool doorman_knows_no_harm(struct doorman *d, const uint8_t key[static DOORMAN_KEY], uint64_t now);

/* Its token was refused; and was believed: nothing is held against it any more. */
void doorman_key_failed(struct doorman *d, const uint8_t key[static DOORMAN_KEY], uint64_t now);
void doorman_key_passed(struct doorman *d, const uint8_t key[static DOORMAN_KEY]);

#endif
