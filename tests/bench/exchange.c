#include "exchange.h"

#include "pattern.h"
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static void drop(struct exchange_conn *c, uint64_t *why)
{
	(*why)++;
	ev_close(&c->ev);
	if (c->busy)
		c->x->busy--;
	c->busy = false;
	c->connected = false;
	c->x->next(c);
}

static void finish(struct exchange_conn *c)
{
	struct exchange_group *g = c->group;
	uint64_t now = tool_now();
	c->busy = false;
	c->x->busy--;
	g->total++;
	if (c->began >= c->x->count_from && now <= c->x->until) {
		g->done++;
		g->last = now;
		hist_add(&g->hist, now - c->began);
	}
	if (c->x->fresh) {
		ev_close(&c->ev);
		c->connected = false;
	}
	c->x->next(c);
}

static const unsigned char *payload(const struct exchange_conn *c)
{
	return pattern_at(pattern_entry(c->id, c->sequence));
}

static bool send_request(struct exchange_conn *c)
{
	while (c->sent < c->group->size) {
		ssize_t w =
			write(c->ev.fd, payload(c) + c->sent, (size_t)(c->group->size - c->sent));
		if (w < 0)
			return would_block();
		c->sent += (uint64_t)w;
	}
	return true;
}

enum reply { REPLY_PART, REPLY_WHOLE, REPLY_BROKEN, REPLY_CORRUPT };

static enum reply read_reply(struct exchange_conn *c)
{
	for (;;) {
		ssize_t n = read(c->ev.fd, ev_scratch, sizeof ev_scratch);
		if (n < 0)
			return would_block() ? REPLY_PART : REPLY_BROKEN;
		if (n == 0)
			return REPLY_BROKEN;
		if (c->received + (uint64_t)n > c->sent ||
			memcmp(ev_scratch, payload(c) + c->received, (size_t)n) != 0)
			return REPLY_CORRUPT;
		c->received += (uint64_t)n;
		if (c->received == c->group->size || c->x->first_byte)
			return REPLY_WHOLE;
	}
}

static void want(struct exchange_conn *c)
{
	ev_want(&c->ev, EPOLLIN | (c->sent < c->group->size ? EPOLLOUT : 0));
}

static void conn_event(struct ev *e, uint32_t events)
{
	struct exchange_conn *c = (struct exchange_conn *)e;
	bool readable = (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
	if (!c->connected && !endpoint_connected(e->fd)) {
		drop(c, &c->x->broken);
		return;
	}
	c->connected = true;
	/* between exchanges there is nothing to come, and no end either */
	if (c->busy ? !send_request(c) : readable) {
		drop(c, &c->x->broken);
		return;
	}
	if (!c->busy)
		return;
	switch (readable ? read_reply(c) : REPLY_PART) {
	case REPLY_PART:
		want(c);
		break;
	case REPLY_WHOLE:
		finish(c);
		break;
	case REPLY_BROKEN:
		drop(c, &c->x->broken);
		break;
	case REPLY_CORRUPT:
		drop(c, &c->x->corrupt);
		break;
	}
}

static void open_conn(struct exchange_conn *c)
{
	const struct options *o = c->x->o;
	int fd = endpoint_connect(&o->to[c->x->opened++ % o->to_count]);
	if (fd >= 0) {
		ev_open(&c->ev, fd, EPOLLOUT, conn_event);
		return;
	}
	if (errno == EMFILE || errno == EADDRNOTAVAIL)
		tool_die("connect: %s", strerror(errno));
	drop(c, &c->x->broken);
}

void exchange_begin(struct exchange_conn *c)
{
	c->sequence++;
	c->sent = 0;
	c->received = 0;
	c->busy = true;
	c->x->busy++;
	c->began = tool_now();
	if (!c->connected)
		open_conn(c);
	else if (send_request(c))
		want(c);
	else
		drop(c, &c->x->broken);
}

bool exchange_goes_on(const struct exchange *x)
{
	return !ev_stopped() && x->broken < EXCHANGE_BROKEN_MAX && tool_now() < x->until;
}

void exchange_init(
	struct exchange *x, const struct options *o, size_t conns, struct exchange_group *group)
{
	if (group->size == 0 || group->size > PATTERN_RUN)
		tool_die("an exchange has 1 to %d bytes", PATTERN_RUN);
	*x = (struct exchange){.o = o, .conns = conns};
	x->conn = tool_calloc(conns, sizeof *x->conn);
	for (size_t i = 0; i < conns; i++) {
		x->conn[i].ev.fd = -1;
		x->conn[i].x = x;
		x->conn[i].group = group;
		x->conn[i].id = i;
	}
	x->start = tool_now();
	x->count_from = x->start + tool_ns(o->warmup);
	x->until = x->count_from + tool_ns(o->seconds);
}

void exchange_fini(struct exchange *x)
{
	for (size_t i = 0; i < x->conns; i++)
		ev_close(&x->conn[i].ev);
	free(x->conn);
}

static void look_for_timeouts(struct exchange *x, uint64_t now)
{
	uint64_t limit = tool_ns(x->o->timeout);
	for (size_t i = 0; i < x->conns; i++) {
		struct exchange_conn *c = &x->conn[i];
		if (c->busy && now > c->began && now - c->began > limit)
			drop(c, &x->timeouts);
	}
}

void exchange_turn(struct exchange *x)
{
	uint64_t before = tool_now();
	ev_turn(EV_TICK_MS);
	uint64_t now = tool_now(), tick = EV_TICK_MS * TOOL_SEC / 1000;
	if ((before - x->start) / tick != (now - x->start) / tick)
		look_for_timeouts(x, now);
}

void exchange_finish(struct exchange *x)
{
	while (x->busy > 0 && !ev_stopped())
		exchange_turn(x);
}

void exchange_print_group(const struct exchange *x, const struct exchange_group *g)
{
	double took = g->last > x->count_from ? tool_secs(g->last - x->count_from) : 0;
	printf(" secs=%.3f done=%ju total=%ju per_s=%.1f", took, (uintmax_t)g->done,
		(uintmax_t)g->total, took > 0 ? (double)g->done / took : 0);
	hist_print(&g->hist);
}

bool exchange_print_faults(const struct exchange *x)
{
	printf(" broken=%ju timeouts=%ju corrupt=%ju", (uintmax_t)x->broken, (uintmax_t)x->timeouts,
		(uintmax_t)x->corrupt);
	return x->broken == 0 && x->timeouts == 0 && x->corrupt == 0;
}
