/*
 * quota - one budget for all bytes that sessions hold unread.
 *
 * Near the limit new windows shrink, then new sessions are refused, and past it the
 * session of the holder that has the most is reset: of a feed, or of what a member sent.
 */
#ifndef CB_BUS_QUOTA_H
#define CB_BUS_QUOTA_H

#include "bus/bus.h"

enum quota_pressure {
	QUOTA_EASY,
	QUOTA_TIGHT, /* 3/4 of the limit: small windows, no growth */
	QUOTA_FULL,  /* 7/8: no new sessions */
};

enum { QUOTA_SMALL_WINDOW = 16 << 10 }; /* bytes, initial window under pressure */

/* Who holds bytes: embedded in what has them. */
struct quota_holder {
	struct list node;
	uint64_t bytes;
	void (*evict)(struct quota_holder *holder); /* reset it now: it must give its bytes back */
};

void quota_holder_init(struct quota_holder *h, void (*evict)(struct quota_holder *holder));

/* The holder got, or gave up, so many bytes.  Evicts nobody: see quota_enforce(). */
void quota_add(struct bus *bus, struct quota_holder *h, uint64_t bytes);
void quota_sub(struct bus *bus, struct quota_holder *h, uint64_t bytes);

/* Whether a new session may begin. */
bool quota_admits(const struct bus *bus);

/* The initial window to offer now, in bytes, and whether windows may grow. */
uint32_t quota_window(const struct bus *bus, bool *may_grow);

/* Resets who holds most until the limit is kept; not for use while a stream is in use. */
void quota_enforce(struct bus *bus);

#endif
