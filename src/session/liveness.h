/*
 * liveness - is the peer there, and how far away: cloudbus-protocol(7), PING.
 *
 * A peer is dead when no byte came from it for the link timeout; what it answers
 * and when does not matter.  PINGs make a quiet peer send bytes, and measure the
 * round trip, of which the least seen lately is kept, because our own queues
 * lengthen the others.
 */
#ifndef CB_SESSION_LIVENESS_H
#define CB_SESSION_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

struct liveness {
	uint64_t timeout;   /* microseconds without a byte until dead */
	uint64_t heard;     /* when the last byte came */
	uint64_t known;     /* when one came that is known to be the peer's */
	uint64_t asked;     /* when the last PING was made */
	uint64_t opaque;    /* what it carries; 0: none was made yet */
	bool unsent;        /* it is made, but not yet on its way */
	bool outstanding;   /* its answer is not in */
	uint64_t rtt_cur;   /* least round trip of this period and of the one before */
	uint64_t rtt_prev;  /* (0: none) */
	uint64_t rtt_since; /* when this period began */
};

/* timeout: microseconds; above LIVENESS_TIMEOUT_MAX it is taken as that. */
#define LIVENESS_TIMEOUT_MAX (UINT64_C(1) << 60)
void liveness_init(struct liveness *l, uint64_t timeout, uint64_t now);

/* Bytes came. */
void liveness_heard(struct liveness *l, uint64_t now);

/*
 * Bytes came that may turn out not to be the peer's: a part of a record, whose tag is not
 * there.  They count like others, but no longer than LIVENESS_TRUST times the timeout since
 * liveness_heard(): else whoever can write into the connection could keep a dead peer alive,
 * a byte at a time, for as long as the longest record lasts.
 */
enum { LIVENESS_TRUST = 10 };
void liveness_stirs(struct liveness *l, uint64_t now);

/* Makes a PING unless one is outstanding.  Whether one was made. */
bool liveness_ask(struct liveness *l, uint64_t now);

/* The PING to send, once: whether there is one. */
bool liveness_take(struct liveness *l, uint64_t now, uint64_t *opaque);

/* What the first PING carries, at least, that has not been sent yet. */
uint64_t liveness_ping_after(const struct liveness *l);

/* A PONG came; whether it answers our last PING. */
bool liveness_answer(struct liveness *l, uint64_t opaque, uint64_t now);

/* The least round trip of the last minute or two, in microseconds; 0: not known. */
uint64_t liveness_rtt(const struct liveness *l);

/* The next time at which liveness_tick() has something to say. */
uint64_t liveness_deadline(const struct liveness *l);

/* Makes a PING when it is time for one.  0, or ERR_TIMEOUT: the peer is dead. */
int liveness_tick(struct liveness *l, uint64_t now);

#endif
