/*
 * sim - two muxes, their drivers and the network between them, all at random from one
 * seed, under a virtual clock; and an oracle that looks on at every step.
 *
 * CLOUDBUS_SEED=n replays one seed, CLOUDBUS_SEEDS=n runs so many.  A failure prints the
 * seed that shows it.
 */
#include "sim/net.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SEEDS = 1000, WINDOW_MAX = 65536 };

enum fate {
	FATE_ORDERLY,  /* all sessions end, the transport is closed in order */
	FATE_CUT,      /* case 22: it ends at some byte */
	FATE_HOLE,     /* case 23: nothing arrives any more, and nobody says so */
	FATE_NO_MEMORY /* case 39: an allocation fails, or all from some point on */
};

struct sim {
	uint64_t seed, random, now;
	enum fate fate;
	struct end a, b;
	struct net there, back; /* from a to b, from b to a */
	unsigned streams_max;   /* of a side, that the drivers try for */
	bool failed;
};

static uint64_t below(struct sim *s, uint64_t n)
{
	return unit_below(&s->random, n);
}

static bool chance(struct sim *s, unsigned in)
{
	return below(s, in) == 0;
}

__attribute__((format(printf, 2, 3))) static void flaw(struct sim *s, const char *format, ...)
{
	va_list ap;
	if (s->failed)
		return;
	s->failed = true;
	fprintf(stderr, "CLOUDBUS_SEED=%llu fate %d at %llu us: ", (unsigned long long)s->seed,
		(int)s->fate, (unsigned long long)s->now);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* --- the oracle -------------------------------------------------------------------------- */

/* What `to` got of a stream, against what `from` sent; from is NULL where it has no record. */
static void judge_direction(
	struct sim *s, const struct end_stream *from, const struct end_stream *to)
{
	uint64_t sent = from == NULL ? 0 : from->sent;
	if (to->got > sent)
		flaw(s, "stream %u: more came than was sent", to->id);
	if (to->got_end && (from == NULL || !from->sent_end || to->got != sent))
		flaw(s, "stream %u: an end before the end", to->id);
	/* A reset has somebody who made it; a GOAWAY may leave out a stream nobody saw. */
	if (to->got_reset && from != NULL && from->s != NULL)
		flaw(s, "stream %u: a reset that nobody made", to->id);
	if (to->got_reset && from == NULL && !mux_is_going(to->end->mux))
		flaw(s, "stream %u: a reset out of nowhere", to->id);
}

static void judge_end(struct sim *s, const struct end *e, const struct end *far)
{
	if (e->broken != NULL)
		flaw(s, "%s: %s", e->side == MUX_DIALLED ? "a" : "b", e->broken);
	if (e->mux == NULL)
		return;
	size_t live = 0;
	list_each (node, &e->streams) {
		const struct end_stream *st = container_of(node, struct end_stream, node);
		const struct end_stream *other = end_find(far, st->id);
		judge_direction(s, other, st);
		live += st->s != NULL;
		if (st->s != NULL && mux_held(st->s) > WINDOW_MAX)
			flaw(s, "stream %u: holds more than was granted", st->id);
		if (st->s != NULL && mux_held(st->s) != st->unread)
			flaw(s, "stream %u: held is not what is unread", st->id);
	}
	if (mux_waiting(e->mux) > live)
		flaw(s, "more streams wait than there are");
	if (e->rc == 0)
		return;
	uint32_t code;
	const char *why = mux_failure(e->mux, &code);
	bool expected = (e->rc == ERR_TIMEOUT && s->fate != FATE_ORDERLY) ||
			(e->rc == ERR_NOMEM && s->fate == FATE_NO_MEMORY);
	if (!expected)
		flaw(s, "%s failed: %s", e->side == MUX_DIALLED ? "a" : "b", why);
}

static void judge(struct sim *s)
{
	judge_end(s, &s->a, &s->b);
	judge_end(s, &s->b, &s->a);
}

/* Nothing is under way: whoever still has something to send was stopped by a reader. */
static void judge_progress(struct sim *s, const struct end *e, const struct end *far)
{
	if (e->rc != 0 || far->rc != 0 || s->there.cut || s->back.cut)
		return;
	if (far->heard != e->announced || far->token != e->tokens)
		flaw(s, "an ANNOUNCE or the last token never came");
	list_each (node, &e->streams) {
		const struct end_stream *st = container_of(node, struct end_stream, node);
		const struct end_stream *other = end_find(far, st->id);
		if (st->s == NULL || st->got_reset || other == NULL || other->s == NULL)
			continue;
		bool wants = st->give > 0 || (st->give_end && !st->sent_end);
		if (wants && !mux_is_blocked(st->s))
			flaw(s, "stream %u: could send, and does not", st->id);
		if (wants && other->unread == 0)
			flaw(s, "stream %u: blocked, though all was read", st->id);
		if (other->got != st->sent || other->got_end != st->sent_end)
			flaw(s, "stream %u: sent, but never came", st->id);
	}
}

/* --- time ---------------------------------------------------------------------------------- */

/* Bytes move, up to now; what can be read is read before deadlines are judged. */
static void turn(struct sim *s)
{
	bool more = true;
	while (more && !s->failed) {
		net_send(&s->there, s->now);
		net_send(&s->back, s->now);
		more = net_deliver(&s->there, s->now);
		more = net_deliver(&s->back, s->now) || more;
	}
	end_tick(&s->a);
	end_tick(&s->b);
	judge(s);
}

static uint64_t deadline(const struct end *e)
{
	return e->rc == 0 ? mux_deadline(e->mux) : CLOCK_NEVER;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Lets time pass to `until`, with all that falls into it. */
static void pass(struct sim *s, uint64_t until)
{
	unsigned turns = 0;
	while (!s->failed) {
		turn(s);
		uint64_t at = least(net_next(&s->there), net_next(&s->back));
		at = least(at, least(deadline(&s->a), deadline(&s->b)));
		if (at > until || s->now >= until)
			break;
		s->now = at > s->now ? at : s->now + 1;
		if (++turns > 1000000)
			flaw(s, "time does not get on");
	}
	s->now = until > s->now ? until : s->now;
}

/* Until nothing is under way. */
static void settle(struct sim *s)
{
	unsigned turns = 0;
	turn(s);
	while (!s->failed) {
		uint64_t at = least(net_next(&s->there), net_next(&s->back));
		if (at == CLOCK_NEVER)
			break;
		pass(s, at);
		turn(s);
		if (++turns > 1000000)
			flaw(s, "the network does not come to rest");
	}
}

/* --- what drivers do -------------------------------------------------------------------------- */

static struct end_stream *pick(struct sim *s, struct end *e)
{
	size_t n = 0;
	list_each (node, &e->streams)
		n += container_of(node, struct end_stream, node)->s != NULL;
	if (n == 0)
		return NULL;
	n = (size_t)below(s, n);
	list_each (node, &e->streams) {
		struct end_stream *st = container_of(node, struct end_stream, node);
		if (st->s != NULL && n-- == 0)
			return st;
	}
	return NULL;
}

static uint64_t size(struct sim *s)
{
	static const uint64_t sizes[] = {1, 10, 300, 5000, 40000};
	return below(s, sizes[below(s, 5)]) + 1;
}

static void open_one(struct sim *s, struct end *e)
{
	int rc;
	bool could = mux_can_open(e->mux);
	struct end_stream *st = end_open(e, &rc);
	if (could != (rc == 0) && rc != ERR_NOMEM)
		flaw(s, "mux_can_open() is wrong");
	if (st != NULL && !chance(s, 3))
		end_give(st, size(s), chance(s, 4));
	if (st != NULL && chance(s, 10))
		end_close(st, WIRE_ABORTED);
}

/* Reads all there is of a stream, and ends what the peer has ended. */
static void tend(struct end_stream *st)
{
	if (st->s == NULL)
		return;
	end_read(st, st->unread);
	if (st->got_reset || (st->got_end && st->sent_end))
		end_close(st, WIRE_ABORTED);
}

static void act_on_stream(struct sim *s, struct end_stream *st)
{
	switch (below(s, 12)) {
	case 0:
		end_close(st, (uint32_t)below(s, WIRE_CODES));
		break;
	case 1:
		st->stalled = !st->stalled;
		break;
	case 2:
	case 3:
		if (!st->give_end)
			end_give(st, below(s, 3) * size(s), true);
		break;
	case 4:
		mux_ready(st->s, s->now); /* though it may have nothing */
		break;
	case 5:
	case 6:
	case 7:
		end_read(st, below(s, st->unread + 1));
		break;
	case 8:
		tend(st);
		break;
	default:
		if (!st->give_end)
			end_give(st, size(s), false);
		break;
	}
}

static void act(struct sim *s, struct end *e)
{
	if (e->rc != 0)
		return;
	struct end_stream *st = pick(s, e);
	switch (below(s, 400)) {
	case 0:
		mux_goaway(e->mux, WIRE_OK, s->now);
		break;
	case 1:
	case 2:
	case 3:
		mux_set_window(e->mux, (uint32_t)below(s, WINDOW_MAX + 1), chance(s, 2));
		break;
	case 4:
		mux_set_rate(e->mux, below(s, 20000000));
		break;
	case 5:
		mux_probe(e->mux, s->now);
		break;
	case 6:
		e->stalls = !e->stalls;
		break;
	case 7:
		e->refuses = chance(s, 3);
		break;
	case 8:
	case 9:
	case 10:
		(void)end_announce(e);
		break;
	case 11:
	case 12:
		(void)end_token(e);
		break;
	default:
		if (st == NULL || chance(s, 8))
			open_one(s, e);
		else
			act_on_stream(s, st);
	}
}

static void act_on_network(struct sim *s, struct net *n)
{
	switch (below(s, 60)) {
	case 0:
		n->held_until = s->now + below(s, 500) * CLOCK_MS;
		break;
	case 1:
		n->segment = (size_t)below(s, chance(s, 3) ? 3 : 3000) + 1;
		break;
	case 2:
		n->delay = below(s, 30) * CLOCK_MS;
		break;
	default:
		break;
	}
}

/* --- the end --------------------------------------------------------------------------------- */

/* The transport is lost: every stream that was not given back is found, once. */
static void lose(struct sim *s, struct end *e)
{
	struct mux_stream *m;
	void *user;
	while (!s->failed && e->mux != NULL && (m = mux_any(e->mux, &user)) != NULL) {
		struct end_stream *st = user;
		if (st == NULL || st->s != m) {
			flaw(s, "mux_any() gives what was given back");
			return;
		}
		end_close(st, WIRE_LINK_LOST);
	}
	list_each (node, &e->streams) {
		if (container_of(node, struct end_stream, node)->s != NULL)
			flaw(s, "mux_any() leaves out a stream");
	}
}

static void tend_all(struct end *e)
{
	list_each (node, &e->streams) {
		struct end_stream *st = container_of(node, struct end_stream, node);
		st->stalled = false;
		if (st->s != NULL && !st->give_end)
			end_give(st, 0, true);
		tend(st);
	}
}

static void die(struct sim *s)
{
	if (s->fate == FATE_HOLE) {
		s->there.cut = s->back.cut = true;
		pass(s, s->now + 31 * CLOCK_SEC);
		if (s->a.rc != ERR_TIMEOUT || s->b.rc != ERR_TIMEOUT)
			flaw(s, "a black hole was not noticed");
	}
	lose(s, &s->a);
	lose(s, &s->b);
}

/* All read, all end: no stream is left, and the transport ends in order. */
static void wind_up(struct sim *s)
{
	s->a.stalls = s->b.stalls = false;
	for (int i = 0; i < 200 && !s->failed; i++) {
		tend_all(&s->a);
		tend_all(&s->b);
		settle(s);
		if (s->there.cut || s->back.cut) {
			die(s);
			return;
		}
		if (mux_count(s->a.mux) + mux_count(s->b.mux) == 0)
			break;
	}
	if (mux_count(s->a.mux) + mux_count(s->b.mux) > 0)
		flaw(s, "%zu and %zu streams are left", mux_count(s->a.mux), mux_count(s->b.mux));
	mux_goaway(s->a.mux, WIRE_OK, s->now);
	if (chance(s, 2))
		mux_goaway(s->b.mux, WIRE_OK, s->now);
	pass(s, s->now + 3 * CLOCK_SEC);
	settle(s);
	bool cut = s->there.cut || s->back.cut;
	if (!cut && (!mux_is_finished(s->a.mux) || !mux_is_finished(s->b.mux)))
		flaw(s, "the transport does not end");
}

/* --- one seed ------------------------------------------------------------------------------- */

static struct mux_options options(struct sim *s, enum mux_side side)
{
	static const uint32_t windows[] = {1024, 1025, 4096, 30000, WINDOW_MAX};
	struct mux_options o = pair_options(side);
	o.window = windows[below(s, 5)];
	o.window_ceiling = windows[below(s, 5)];
	o.max_streams = (uint32_t)below(s, 30) + 1;
	o.quantum = (uint32_t)below(s, 5000) + 1;
	o.last_id = chance(s, 8) ? (uint32_t)below(s, 30) + 1 : 0;
	o.seed = unit_random(&s->random);
	return o;
}

static void begin_end(struct sim *s, struct end *e, enum mux_side side)
{
	struct mux_options o = options(s, side);
	struct unit_mem mem = {.fail_at = 0};
	if (s->fate == FATE_NO_MEMORY && chance(s, 2)) {
		mem.fail_at = (size_t)below(s, 60) + 1;
		mem.sticky = chance(s, 2);
	}
	end_init(e, side, &o, &s->now, &mem);
	e->random = unit_random(&s->random);
	e->takes = chance(s, 2);
	e->checks = true;
}

static void begin_net(struct sim *s, struct net *n, struct end *from, struct end *to)
{
	n->from = from;
	n->to = to;
	n->random = &s->random;
	n->capacity = (size_t)below(s, chance(s, 2) ? 100 : 60000) + 1;
	n->segment = (size_t)below(s, chance(s, 4) ? 2 : 3000) + 1;
	n->delay = below(s, 20) * CLOCK_MS;
	n->cut_after = s->fate == FATE_CUT ? below(s, 20000) + 1 : UINT64_MAX;
}

static void play(struct sim *s)
{
	unsigned steps = (unsigned)below(s, 400) + 20;
	for (unsigned i = 0; i < steps && !s->failed; i++) {
		for (uint64_t k = below(s, 6); k > 0; k--)
			act(s, chance(s, 2) ? &s->a : &s->b);
		act_on_network(s, chance(s, 2) ? &s->there : &s->back);
		pass(s, s->now + below(s, chance(s, 10) ? 50 * CLOCK_MS : CLOCK_MS));
		if (chance(s, 40)) {
			settle(s);
			judge_progress(s, &s->a, &s->b);
			judge_progress(s, &s->b, &s->a);
		}
		if (s->a.rc != 0 || s->b.rc != 0 || s->there.cut || s->back.cut)
			return;
	}
}

static bool run(uint64_t seed)
{
	static struct sim sim;
	struct sim *s = &sim;
	*s = (struct sim){.seed = seed, .random = seed, .now = CLOCK_SEC};
	s->fate = chance(s, 2) ? FATE_ORDERLY : (enum fate)below(s, 4);
	begin_end(s, &s->a, MUX_DIALLED);
	begin_end(s, &s->b, MUX_ACCEPTED);
	begin_net(s, &s->there, &s->a, &s->b);
	begin_net(s, &s->back, &s->b, &s->a);
	play(s);
	bool whole = s->a.rc == 0 && s->b.rc == 0 && !s->there.cut && !s->back.cut;
	if (whole && s->fate != FATE_HOLE && s->fate != FATE_NO_MEMORY)
		wind_up(s);
	else if (s->a.mux != NULL && s->b.mux != NULL)
		die(s);
	if (end_fini(&s->a) + end_fini(&s->b) > 0)
		flaw(s, "memory was not given back");
	return !s->failed;
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);
	return v == NULL ? otherwise : strtoull(v, NULL, 10);
}

int main(void)
{
	if (getenv("CLOUDBUS_SEED") != NULL)
		return run(number("CLOUDBUS_SEED", 0)) ? EXIT_SUCCESS : EXIT_FAILURE;
	uint64_t seeds = number("CLOUDBUS_SEEDS", SEEDS), from = number("CLOUDBUS_FROM", 1);
	unsigned failures = 0;
	for (uint64_t seed = from; seed < from + seeds && failures < 10; seed++)
		failures += !run(seed);
	printf("sim: %llu seeds, %u failures\n", (unsigned long long)seeds, failures);
	return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
