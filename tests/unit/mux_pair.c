#include "unit/mux_pair.h"

#include <stdlib.h>
#include <string.h>

enum { SPLITS_MAX = 600 };

static void broken(struct end *e, const char *what)
{
	if (e->broken == NULL)
		e->broken = what;
}

uint8_t end_byte(uint32_t id, bool from_opener, uint64_t offset)
{
	return (uint8_t)(offset * 31 + offset / 251 + id * 7 + from_opener);
}

struct mux_options pair_options(enum mux_side side)
{
	return (struct mux_options){.side = side,
		.role = side == MUX_DIALLED ? WIRE_CONTROLLER : WIRE_SEGMENT,
		.max_streams = 64,
		.window = 4096,
		.window_ceiling = 16384,
		.quantum = 1024,
		.link_timeout = 30 * CLOCK_SEC,
		.seed = 1};
}

/* --- one end ------------------------------------------------------------------------ */

void end_init(struct end *e, enum mux_side side, const struct mux_options *opt, const uint64_t *now,
	const struct unit_mem *mem)
{
	struct mux_options plain = pair_options(side);
	memset(e, 0, sizeof *e);
	unit_mem_init(&e->mem);
	if (mem != NULL) {
		e->mem.fail_at = mem->fail_at;
		e->mem.sticky = mem->sticky;
	}
	e->side = side;
	e->now = now;
	e->random = 1;
	list_init(&e->streams);
	decoder_init(&e->watch);
	e->mux = mux_new(&e->mem.mem, opt != NULL ? opt : &plain, *now);
	if (e->mux == NULL)
		e->rc = ERR_NOMEM;
}

size_t end_fini(struct end *e)
{
	mux_free(e->mux);
	for (struct list *n; (n = list_first(&e->streams)) != NULL;) {
		list_remove(n);
		free(container_of(n, struct end_stream, node));
	}
	free(e->out);
	return e->mem.live;
}

static struct end_stream *record(struct end *e, struct mux_stream *s, bool ours)
{
	struct end_stream *st = calloc(1, sizeof *st);
	if (st == NULL)
		abort();
	st->s = s;
	st->end = e;
	st->id = mux_stream_id(s);
	st->ours = ours;
	st->stalled = e->stalls;
	list_append(&e->streams, &st->node);
	mux_set_user(s, st);
	return st;
}

struct end_stream *end_open(struct end *e, int *rc)
{
	struct wire_open open = {.hops = WIRE_HOPS, .name_len = 4, .name = "echo"};
	struct mux_stream *s;
	*rc = mux_open(e->mux, &open, NULL, *e->now, &s);
	return *rc == 0 ? record(e, s, true) : NULL;
}

struct end_stream *end_find(const struct end *e, uint32_t id)
{
	for (struct list *n = e->streams.prev; n != &e->streams; n = n->prev) {
		struct end_stream *st = container_of(n, struct end_stream, node);
		if (st->id == id)
			return st;
	}
	return NULL;
}

void end_give(struct end_stream *st, uint64_t n, bool end)
{
	st->give += n;
	st->give_end = st->give_end || end;
	if (st->s != NULL)
		mux_ready(st->s, *st->end->now);
}

void end_read(struct end_stream *st, uint64_t n)
{
	if (st->s == NULL || n == 0)
		return;
	st->unread -= n;
	st->end->unread -= n;
	mux_consumed(st->s, n, *st->end->now);
	if (mux_held(st->s) < st->unread)
		broken(st->end, "held is less than what is unread");
}

void end_close(struct end_stream *st, uint32_t code)
{
	if (st->s == NULL)
		return;
	mux_close(st->s, code, *st->end->now);
	st->s = NULL;
	st->end->unread -= st->unread;
	st->unread = 0;
}

static void came(struct end_stream *st, const uint8_t *p, size_t n, bool fin)
{
	struct end *e = st->end;
	if (st->got_end)
		broken(e, "data after the end");
	if (st->got_reset)
		broken(e, "data after the reset");
	for (size_t i = 0; i < n; i++) {
		if (p[i] != end_byte(st->id, !st->ours, st->got + i))
			broken(e, "a byte is not what was sent");
	}
	st->got += n;
	st->got_end = fin;
}

/* --- names and tokens --------------------------------------------------------------- */

/* The ANNOUNCE of a number: its kind, and up to 30 names of up to 120 bytes. */
static struct wire_announce announcement(uint32_t number, uint8_t entries[static WIRE_LONG_MAX])
{
	struct wire_announce v = {
		.version = number, .kind = (uint8_t)(number * 7 % 3), .entries = entries};
	for (uint32_t i = 0; i < number * 13 % 31; i++) {
		char name[128];
		memset(name, 'a' + (int)(i % 26), sizeof name);
		struct wire_name entry = {.served = v.kind != WIRE_CHANGES || i % 3 > 0,
			.n = (uint8_t)(1 + (number + i) % 120),
			.name = name};
		v.n += wire_put_name(
			entries + v.n, WIRE_LONG_MAX - WIRE_ANNOUNCE_MIN - v.n, &entry);
	}
	return v;
}

static size_t token_of(uint32_t number, uint8_t text[static WIRE_LONG_MAX])
{
	size_t n = 4 + number * 997 % (WIRE_LONG_MAX - 3);
	memset(text, 'A' + (int)(number % 26), n);
	memcpy(text, &number, 4);
	return n;
}

int end_announce(struct end *e)
{
	uint8_t entries[WIRE_LONG_MAX];
	struct wire_announce v = announcement(e->announced + 1, entries);
	bool could = mux_can_announce(e->mux);
	int rc = mux_announce(e->mux, &v);
	if (could != (rc == 0) && rc != ERR_NOMEM)
		broken(e, "mux_can_announce() is wrong");
	e->announced += rc == 0;
	return rc;
}

int end_token(struct end *e)
{
	uint8_t text[WIRE_LONG_MAX];
	int rc = mux_token(e->mux, text, token_of(e->tokens + 1, text));
	e->tokens += rc == 0;
	return rc;
}

static void names_came(struct end *e, struct wire_announce v)
{
	uint8_t entries[WIRE_LONG_MAX];
	struct wire_announce want = announcement(e->heard + 1, entries);
	struct wire_name name;
	if (v.version != want.version || v.kind != want.kind || v.n != want.n ||
		memcmp(v.entries, want.entries, v.n) != 0)
		broken(e, "ANNOUNCE is not the one that was due");
	while (wire_next_name(&v, &name))
		want.n -= 2u + name.n;
	if (want.n != 0)
		broken(e, "the entries of ANNOUNCE do not add up");
	e->heard++;
}

static void token_came(struct end *e, const uint8_t *p, size_t n)
{
	uint8_t text[WIRE_LONG_MAX];
	uint32_t number = 0;
	memcpy(&number, p, n < 4 ? n : 4);
	if (number <= e->token || n != token_of(number, text) || memcmp(p, text, n) != 0)
		broken(e, "TOKEN is old, or not what was sent");
	e->token = number;
}

static void on_event(struct end *e, const struct mux_event *ev)
{
	struct end_stream *st = ev->user;
	e->events[ev->type]++;
	switch (ev->type) {
	case MUX_OPEN:
		st = record(e, ev->stream, false);
		if (e->refuses)
			end_close(st, WIRE_REFUSED);
		break;
	case MUX_DATA:
		came(st, ev->p, ev->n, ev->fin);
		st->unread += ev->n;
		e->unread += ev->n;
		if (e->unread > e->unread_max)
			e->unread_max = e->unread;
		if (!st->stalled)
			end_read(st, st->unread);
		break;
	case MUX_RESET:
		if (st->got_reset)
			broken(e, "reset twice");
		st->got_reset = true;
		st->code = e->code = ev->code;
		break;
	case MUX_GOAWAY:
		e->code = ev->code;
		break;
	case MUX_ANNOUNCE:
		if (e->checks)
			names_came(e, ev->announce);
		break;
	case MUX_TOKEN:
		if (e->checks)
			token_came(e, ev->p, ev->n);
		break;
	default:
		break;
	}
}

/* Takes payload past the mux, as a driver that splices does.  Bytes taken. */
static size_t take(struct end *e, const uint8_t *p, size_t n)
{
	uint32_t pending;
	struct mux_stream *s = mux_pending(e->mux, &pending);
	if (!e->takes || s == NULL || unit_below(&e->random, 4) == 0)
		return 0;
	struct end_stream *st = mux_user(s);
	if (st->stalled)
		return 0;
	uint32_t step = pending < n ? pending : (uint32_t)n;
	mux_consumed(s, step, *e->now);
	bool fin = mux_took(e->mux, step, *e->now);
	came(st, p, step, fin);
	return step;
}

void end_feed(struct end *e, const uint8_t *p, size_t n)
{
	struct mux_event ev = {.type = MUX_NONE};
	e->bytes_in += n;
	while (e->rc == 0) {
		size_t step = n > 0 ? take(e, p, n) : 0;
		if (step > 0) {
			p += step;
			n -= step;
		}
		if (step > 0 && n > 0)
			continue;
		e->rc = mux_receive(e->mux, &p, &n, *e->now, &ev);
		if (e->rc != 0 || ev.type == MUX_NONE)
			break;
		on_event(e, &ev);
	}
	if (e->rc == 0 && n != 0)
		broken(e, "input was left");
}

/* Looks at what leaves. */
static void watch(struct end *e, const uint8_t *p, size_t n)
{
	struct decoder_out f;
	for (;;) {
		if (decoder_next(&e->watch, &p, &n, &f) != 0) {
			broken(e, "a frame of ours is malformed");
			return;
		}
		if (f.item == DECODER_MORE)
			return;
		if (f.item == DECODER_DATA && !f.first)
			continue;
		e->frames[f.header.type]++;
		memmove(e->last + 1, e->last, 3 * sizeof e->last[0]);
		e->last[0] = f.header;
	}
}

static uint8_t *room(struct end *e, size_t n)
{
	if (e->out_cap - e->out_len < n) {
		e->out_cap = 2 * e->out_cap + n;
		e->out = realloc(e->out, e->out_cap);
		if (e->out == NULL)
			abort();
	}
	return e->out + e->out_len;
}

static void sent(struct end *e, size_t n)
{
	watch(e, e->out + e->out_len, n);
	e->out_len += n;
	e->bytes_out += n;
}

static void put_data(struct end *e, struct mux_stream *s, uint32_t grant)
{
	struct end_stream *st = mux_user(s);
	uint8_t *p = room(e, WIRE_HEADER + (size_t)grant);
	uint32_t n = st->give < grant ? (uint32_t)st->give : grant;
	bool end = st->give_end && n == st->give;
	for (uint32_t i = 0; i < n; i++)
		p[WIRE_HEADER + i] = end_byte(st->id, st->ours, st->sent + i);
	st->give -= n;
	st->sent += n;
	st->sent_end = end;
	enum mux_more more = end ? MUX_END : st->give > 0 ? MUX_MORE : MUX_DRY;
	if (mux_commit(s, n, more, *e->now, p) > 0)
		sent(e, WIRE_HEADER + (size_t)n);
}

void end_flush(struct end *e, size_t limit)
{
	if (e->rc != 0)
		return;
	unsigned idle = 0;
	while (e->out_len - e->out_at < limit && mux_has_output(e->mux)) {
		uint64_t before = e->bytes_out;
		uint32_t grant;
		size_t n =
			mux_control(e->mux, room(e, MUX_CONTROL_ROOM), MUX_CONTROL_ROOM, *e->now);
		sent(e, n);
		struct mux_stream *s = mux_next(e->mux, &grant);
		if (s != NULL)
			put_data(e, s, grant);
		idle = e->bytes_out == before ? idle + 1 : 0;
		if (idle > 1000) {
			broken(e, "mux_has_output() promises what does not come");
			return;
		}
	}
	/* What it does not announce must not be there either. */
	uint32_t grant;
	if (!mux_has_output(e->mux) &&
		(mux_control(e->mux, room(e, MUX_CONTROL_ROOM), MUX_CONTROL_ROOM, *e->now) > 0 ||
			mux_next(e->mux, &grant) != NULL))
		broken(e, "output that mux_has_output() hid");
}

void end_tick(struct end *e)
{
	if (e->rc != 0)
		return;
	e->rc = mux_tick(e->mux, *e->now);
	if (mux_deadline(e->mux) <= *e->now && !mux_has_output(e->mux))
		broken(e, "the next deadline is not later");
}

/* --- two ------------------------------------------------------------------------------ */

void pair_init(struct pair *p, const struct pair_way *way, const struct mux_options *a,
	const struct mux_options *b)
{
	memset(p, 0, sizeof *p);
	p->now = CLOCK_SEC;
	if (way != NULL)
		p->way = *way;
	end_init(&p->a, MUX_DIALLED, a, &p->now, NULL);
	end_init(&p->b, MUX_ACCEPTED, b, &p->now, NULL);
	p->a.takes = p->b.takes = p->way.takes;
	p->a.checks = p->b.checks = true;
}

void pair_fini(struct pair *p)
{
	ck_assert_msg(p->a.broken == NULL, "a: %s", p->a.broken);
	ck_assert_msg(p->b.broken == NULL, "b: %s", p->b.broken);
	ck_assert_uint_eq(end_fini(&p->a), 0);
	ck_assert_uint_eq(end_fini(&p->b), 0);
}

/* Carries the next piece of what waits at `from`.  Whether there was one. */
static bool carry(struct pair *p, struct end *from, struct end *to)
{
	size_t n = from->out_len - from->out_at;
	if (n == 0 || p->cut)
		return false;
	if (p->way.chunk > 0 && n > p->way.chunk)
		n = p->way.chunk;
	uint64_t at = to->bytes_in;
	if (p->way.split > at && p->way.split < at + n)
		n = (size_t)(p->way.split - at);
	/* A copy of its own size, so that a sanitizer sees a byte too far. */
	uint8_t *piece = malloc(n);
	if (piece == NULL)
		abort();
	memcpy(piece, from->out + from->out_at, n);
	from->out_at += n;
	if (from->out_at == from->out_len)
		from->out_at = from->out_len = 0;
	end_feed(to, piece, n);
	free(piece);
	return true;
}

void pair_run(struct pair *p)
{
	bool more = true;
	while (more) {
		end_flush(&p->a, SIZE_MAX);
		end_flush(&p->b, SIZE_MAX);
		more = carry(p, &p->a, &p->b);
		more = carry(p, &p->b, &p->a) || more;
	}
}

void pair_wait(struct pair *p, uint64_t microseconds)
{
	uint64_t until = p->now + microseconds;
	for (;;) {
		uint64_t at = until;
		const struct end *ends[2] = {&p->a, &p->b};
		for (int i = 0; i < 2; i++) {
			if (ends[i]->rc == 0 && mux_deadline(ends[i]->mux) < at)
				at = mux_deadline(ends[i]->mux);
		}
		if (at > p->now)
			p->now = at;
		end_tick(&p->a);
		end_tick(&p->b);
		pair_run(p);
		if (p->now >= until)
			return;
	}
}

void pair_every_way(uint64_t (*scenario)(const struct pair_way *way))
{
	uint64_t bytes = scenario(&(struct pair_way){0});
	scenario(&(struct pair_way){.chunk = 1});
	scenario(&(struct pair_way){.chunk = 1, .takes = true});
	scenario(&(struct pair_way){.chunk = 7, .takes = true});
	scenario(&(struct pair_way){.chunk = 1000, .takes = true});
	for (uint64_t at = 1; at < bytes && at < SPLITS_MAX; at++)
		scenario(&(struct pair_way){.split = at, .takes = at & 1});
}
