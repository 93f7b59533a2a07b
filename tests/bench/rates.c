#include "rates.h"

#include "exchange.h"
#include "tool.h"

#include <stdio.h>

enum { SMALL = 64, LARGE = 64 << 10 }; /* bytes */

/* Whether all kinds have been counted as often as is wanted. */
static bool is_enough(const struct exchange *x)
{
	if (x->o->enough == UINT64_MAX)
		return false;
	for (size_t i = 0; i < x->conns; i++) {
		if (x->conn[i].group->done < x->o->enough)
			return false;
	}
	return true;
}

static void again(struct exchange_conn *c)
{
	if (c->connected && exchange_goes_on(c->x) && !is_enough(c->x))
		exchange_begin(c);
}

static void anew(struct exchange_conn *c)
{
	if (c->x->opened < c->x->o->number && exchange_goes_on(c->x))
		exchange_begin(c);
}

static void begin_all(struct exchange *x)
{
	for (size_t i = 0; i < x->conns && x->opened < x->o->number; i++)
		exchange_begin(&x->conn[i]);
	exchange_finish(x);
}

static int report(struct exchange *x, const struct exchange_group *g, uint64_t cpu)
{
	printf("%s conns=%zu size=%ju", x->o->command, x->conns, (uintmax_t)g->size);
	exchange_print_group(x, g);
	bool ok = exchange_print_faults(x) && g->done > 0;
	printf(" cpu_s=%.2f\n", tool_secs(tool_cpu() - cpu));
	exchange_fini(x);
	return ok ? 0 : 1;
}

int rates_pingpong(const struct options *o)
{
	struct exchange_group g = {.size = o->size > 0 ? o->size : SMALL};
	struct exchange x;
	uint64_t cpu = tool_cpu();
	exchange_init(&x, o, o->conns, &g);
	x.next = again;
	begin_all(&x);
	return report(&x, &g, cpu);
}

int rates_mixed(const struct options *o)
{
	struct exchange_group small = {.size = SMALL};
	struct exchange_group large = {.size = o->size > 0 ? o->size : LARGE};
	struct exchange x;
	uint64_t cpu = tool_cpu();
	exchange_init(&x, o, o->conns + 1, &large);
	x.conn[0].group = &small;
	x.next = again;
	begin_all(&x);

	double took = large.last > x.count_from ? tool_secs(large.last - x.count_from) : 0;
	double mib = (double)(large.done * large.size) / (1 << 20);
	printf("%s conns=%ju size=%ju", o->command, (uintmax_t)o->conns, (uintmax_t)large.size);
	exchange_print_group(&x, &small);
	printf(" bulk_total=%ju bulk_mib_s=%.1f", (uintmax_t)large.total,
		took > 0 ? mib / took : 0);
	bool ok = exchange_print_faults(&x) && small.done > 0 && large.done > 0;
	printf(" cpu_s=%.2f\n", tool_secs(tool_cpu() - cpu));
	exchange_fini(&x);
	return ok ? 0 : 1;
}

int rates_connrate(const struct options *o)
{
	struct exchange_group g = {.size = o->size > 0 ? o->size : SMALL};
	struct exchange x;
	uint64_t cpu = tool_cpu();
	exchange_init(&x, o, o->conns, &g);
	x.next = anew;
	x.fresh = true;
	begin_all(&x);
	return report(&x, &g, cpu);
}

int rates_first(const struct options *o)
{
	struct exchange_group g = {.size = o->size > 0 ? o->size : 1};
	struct options one = *o;
	struct exchange x;
	uint64_t cpu = tool_cpu();
	if (one.number == UINT64_MAX)
		one.number = 20;
	one.seconds = (double)one.number * one.timeout;
	exchange_init(&x, &one, 1, &g);
	x.next = anew;
	x.fresh = true;
	x.first_byte = true;
	begin_all(&x);
	return report(&x, &g, cpu);
}
