/*
 * net - one direction of an adversarial network: bytes arrive in order, in pieces
 * of any size, after any delay, or no more.
 */
#ifndef CB_TESTS_SIM_NET_H
#define CB_TESTS_SIM_NET_H

#include "unit/mux_pair.h"

enum { NET_SEGMENTS = 4096 };

struct net {
	struct end *from, *to;
	uint64_t *random;
	size_t capacity;     /* bytes under way before the sender's writes block */
	size_t segment;      /* bytes, the most in a piece */
	uint64_t delay;      /* microseconds, the most a piece takes */
	uint64_t held_until; /* nothing arrives before */
	uint64_t cut_after;  /* bytes that arrive at all */
	bool cut;            /* that many have arrived */
	uint64_t at[NET_SEGMENTS];
	size_t length[NET_SEGMENTS];
	unsigned head, count; /* of the pieces under way */
	size_t cut_up;        /* bytes of from->out that are in pieces */
};

/* Lets the sender write, and cuts what it wrote into pieces. */
void net_send(struct net *n, uint64_t now);

/* Hands over what has arrived by now.  Whether there was anything. */
bool net_deliver(struct net *n, uint64_t now);

/* When the next piece arrives; CLOCK_NEVER when none is under way. */
uint64_t net_next(const struct net *n);

#endif
