#include "idle.h"

#include "exchange.h"
#include "tool.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

/* This connection rests; the next one begins. */
static void open_another(struct exchange_conn *c)
{
	if (c->x->opened < c->x->conns && exchange_goes_on(c->x))
		exchange_begin(&c->x->conn[c->x->opened]);
}

static void rest(struct exchange_conn *c)
{
	(void)c;
}

static bool print_phase(
	const char *phase, const struct exchange *x, const struct exchange_group *g, uint64_t began)
{
	size_t open = 0;
	for (size_t i = 0; i < x->conns; i++)
		open += x->conn[i].connected && !x->conn[i].busy;
	printf("idle phase=%s wanted=%zu open=%zu exchanged=%ju secs=%.3f", phase, x->conns, open,
		(uintmax_t)g->total, tool_secs(tool_now() - began));
	hist_print(&g->hist);
	bool ok = exchange_print_faults(x) && g->total == x->conns && open == x->conns;
	printf("\n");
	fflush(stdout);
	return ok;
}

static void stdin_event(struct ev *e, uint32_t events)
{
	char buffer[64];
	(void)events;
	if (read(e->fd, buffer, sizeof buffer) <= 0)
		ev_give_back(e);
}

static void hold(void)
{
	struct ev in;
	if (!ev_open(&in, STDIN_FILENO, EPOLLIN, stdin_event))
		return;
	while (in.fd >= 0 && !ev_stopped())
		ev_turn(-1);
	ev_give_back(&in);
}

int idle_run(const struct options *o)
{
	struct exchange_group g = {.size = 1}, again = {.size = 1};
	struct exchange x;
	if (o->number > UINT32_MAX)
		tool_die("idle needs -n");
	exchange_init(&x, o, (size_t)o->number, &g);
	x.next = open_another;
	for (uint64_t i = 0; i < o->conns && x.opened < x.conns; i++)
		exchange_begin(&x.conn[x.opened]);
	exchange_finish(&x);
	bool ok = print_phase("open", &x, &g, x.start);
	hold();

	uint64_t began = tool_now();
	x.until = began + tool_ns(o->seconds);
	x.next = rest;
	for (size_t i = 0; i < x.conns && exchange_goes_on(&x); i++) {
		x.conn[i].group = &again;
		if (x.conn[i].connected)
			exchange_begin(&x.conn[i]);
		while (x.busy >= o->conns && !ev_stopped())
			exchange_turn(&x);
	}
	exchange_finish(&x);
	ok = print_phase("recheck", &x, &again, began) && ok;
	exchange_fini(&x);
	return ok ? 0 : 1;
}

int idle_ready(const struct options *o)
{
	struct exchange_group g = {.size = 1};
	struct exchange x;
	uint64_t tries = 0;
	exchange_init(&x, o, 1, &g);
	x.next = rest;
	while (g.total == 0 && !ev_stopped() && tool_now() < x.until) {
		if (tries++ > 0)
			ev_turn(1);
		exchange_begin(&x.conn[0]);
		exchange_finish(&x);
	}
	printf("ready at=%.6f tries=%ju\n", tool_secs(tool_now()), (uintmax_t)tries);
	exchange_fini(&x);
	return g.total > 0 ? 0 : 1;
}
