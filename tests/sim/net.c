#include "sim/net.h"

#include <stdlib.h>
#include <string.h>

static void cut_up(struct net *n, uint64_t now)
{
	size_t left = n->from->out_len - n->from->out_at - n->cut_up;
	while (left > 0 && n->count < NET_SEGMENTS) {
		size_t piece = 1 + (size_t)unit_below(n->random, n->segment);
		if (piece > left || n->count == NET_SEGMENTS - 1)
			piece = left;
		unsigned i = (n->head + n->count) % NET_SEGMENTS;
		unsigned before = (i + NET_SEGMENTS - 1) % NET_SEGMENTS;
		n->at[i] = now + unit_below(n->random, n->delay + 1);
		if (n->at[i] < n->held_until)
			n->at[i] = n->held_until;
		if (n->count > 0 && n->at[i] < n->at[before])
			n->at[i] = n->at[before];
		n->length[i] = piece;
		n->count++;
		n->cut_up += piece;
		left -= piece;
	}
}

void net_send(struct net *n, uint64_t now)
{
	end_flush(n->from, n->capacity);
	cut_up(n, now);
}

static void arrive(struct net *n, size_t length)
{
	if (n->to->bytes_in + length >= n->cut_after) {
		length = (size_t)(n->cut_after - n->to->bytes_in);
		n->cut = true;
	}
	/* A copy of its own size, so that a sanitizer sees a byte too far. */
	uint8_t *piece = malloc(length + 1);
	if (piece == NULL)
		abort();
	memcpy(piece + 1, n->from->out + n->from->out_at, length);
	end_feed(n->to, piece + 1, length);
	free(piece);
}

bool net_deliver(struct net *n, uint64_t now)
{
	bool any = false;
	while (n->count > 0 && n->at[n->head] <= now && !n->cut) {
		size_t length = n->length[n->head];
		arrive(n, length);
		n->head = (n->head + 1) % NET_SEGMENTS;
		n->count--;
		n->cut_up -= length;
		n->from->out_at += length;
		if (n->from->out_at == n->from->out_len)
			n->from->out_at = n->from->out_len = 0;
		any = true;
	}
	return any;
}

uint64_t net_next(const struct net *n)
{
	return n->count > 0 && !n->cut ? n->at[n->head] : CLOCK_NEVER;
}
