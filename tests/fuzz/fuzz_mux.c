/*
 * A mux between a hostile peer and a driver with whims, both read from the input, one
 * byte of operation at a time.  Whatever they do: no more is held than was granted, memory is
 * bounded and given back, output that is announced comes, and deadlines move on.
 */
#include "base/clock.h"
#include "session/mux.h"
#include "wire/decoder.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define PROMISE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

enum {
	STREAMS = 24,
	PEER_STREAMS = 16,
	WINDOW = 2048,
	CEILING = 8192,
	GIVE = 4096,
	FLUSHES = 1 << 16
};

struct session {
	struct mux_stream *s;
	uint32_t id;
	uint64_t granted, got, unread, give;
	bool give_end, ended, reset;
};

struct counted {
	struct mem mem;
	size_t live, calls, fail_at;
};

struct run {
	struct counted mem;
	struct mux *mux;
	struct decoder watch;
	struct session session[STREAMS];
	const uint8_t *in;
	size_t left;
	uint64_t now;
	bool failed;
};

static void *resize(struct mem *mem, void *p, size_t n)
{
	struct counted *c = (struct counted *)mem;
	if (++c->calls == c->fail_at)
		return NULL;
	void *q = realloc(p, n);
	PROMISE(q != NULL);
	c->live += p == NULL;
	return q;
}

static void release(struct mem *mem, void *p)
{
	((struct counted *)mem)->live -= p != NULL;
	free(p);
}

static uint8_t byte(struct run *r)
{
	if (r->left == 0)
		return 0;
	r->left--;
	return *r->in++;
}

static uint32_t number(struct run *r)
{
	uint32_t v = byte(r);
	return v < 128 ? v : (v & 127) << (byte(r) & 31);
}

/* --- the driver -------------------------------------------------------------------------- */

static struct session *find(struct run *r, const struct mux_stream *s)
{
	for (int i = 0; i < STREAMS; i++) {
		if (r->session[i].s == s)
			return &r->session[i];
	}
	return NULL;
}

static void close_session(struct run *r, struct session *x)
{
	mux_close(x->s, WIRE_ABORTED, r->now);
	x->s = NULL;
}

static void read_some(struct run *r, struct session *x, uint64_t n)
{
	n = n < x->unread ? n : x->unread;
	x->unread -= n;
	mux_consumed(x->s, n, r->now);
}

static void on_open(struct run *r, struct mux_stream *s, uint32_t window)
{
	struct session *x = find(r, NULL);
	if (x == NULL) {
		mux_close(s, WIRE_BUSY, r->now);
		return;
	}
	*x = (struct session){.s = s, .id = mux_stream_id(s), .granted = window};
	mux_set_user(s, x);
}

static void got(struct session *x, size_t n, bool fin)
{
	PROMISE(!x->ended && !x->reset);
	x->got += n;
	x->ended = fin;
	PROMISE(x->got <= x->granted);
}

static void on_event(struct run *r, const struct mux_event *ev)
{
	struct session *x = ev->user;
	switch (ev->type) {
	case MUX_OPEN:
		PROMISE(ev->open->name_len > 0);
		on_open(r, ev->stream, WINDOW);
		break;
	case MUX_DATA:
		PROMISE(x != NULL && x->s == ev->stream && (ev->n > 0 || ev->fin));
		got(x, ev->n, ev->fin);
		x->unread += ev->n;
		PROMISE(mux_held(x->s) == x->unread && x->unread <= CEILING);
		break;
	case MUX_RESET:
		PROMISE(x != NULL && x->s == ev->stream && !x->reset);
		x->reset = true;
		break;
	case MUX_ANNOUNCE: {
		struct wire_announce v = ev->announce;
		struct wire_name name;
		while (wire_next_name(&v, &name))
			PROMISE(name.n > 0 && memchr(name.name, 0, name.n) == NULL);
		PROMISE(v.n == 0);
		break;
	}
	case MUX_TOKEN:
		PROMISE(ev->n > 0 && ev->n <= WIRE_LONG_MAX);
		break;
	default:
		break;
	}
}

static void feed(struct run *r, const uint8_t *p, size_t n)
{
	/* A copy of its own size, so that a sanitizer sees a byte too far. */
	uint8_t *piece = malloc(n + 1);
	const uint8_t *at = piece;
	uint32_t pending;
	PROMISE(piece != NULL);
	memcpy(piece, p, n);
	struct mux_stream *s = mux_pending(r->mux, &pending);
	if (s != NULL && n > 0 && (n & 1)) {
		uint32_t step = n < pending ? (uint32_t)n : pending;
		struct session *x = mux_user(s);
		PROMISE(x->s == s);
		got(x, step, mux_took(r->mux, step, r->now));
		x->unread += step;
		at += step;
		n -= step;
	}
	for (struct mux_event ev; !r->failed;) {
		r->failed = mux_receive(r->mux, &at, &n, r->now, &ev) != 0;
		if (r->failed || ev.type == MUX_NONE)
			break;
		on_event(r, &ev);
	}
	PROMISE(r->failed || n == 0);
	free(piece);
}

/* What leaves is well formed, and grants what it grants. */
static void watch(struct run *r, const uint8_t *p, size_t n)
{
	struct decoder_out f;
	for (;;) {
		PROMISE(decoder_next(&r->watch, &p, &n, &f) == 0);
		if (f.item == DECODER_MORE)
			return;
		for (int i = 0; i < STREAMS && f.header.type == WIRE_CREDIT; i++) {
			struct session *x = &r->session[i];
			if (x->s == NULL || x->id != f.header.stream)
				continue;
			PROMISE(wire_get_credit(f.p) >= x->granted);
			x->granted = wire_get_credit(f.p);
			PROMISE(x->granted <= x->got - x->unread + CEILING);
		}
	}
}

static void put_data(struct run *r, struct mux_stream *s, uint32_t grant)
{
	static const uint8_t zeros[WIRE_DATA_MAX];
	struct session *x = mux_user(s);
	uint8_t h[WIRE_HEADER];
	PROMISE(grant > 0 && grant <= WIRE_DATA_MAX && x->s == s);
	uint32_t n = x->give < grant ? (uint32_t)x->give : grant;
	x->give -= n;
	enum mux_more more = x->give > 0 ? MUX_MORE : x->give_end ? MUX_END : MUX_DRY;
	size_t length = mux_commit(s, n, more, r->now, h);
	watch(r, h, length);
	if (length > 0)
		watch(r, zeros, n);
}

static void flush(struct run *r, size_t room)
{
	uint8_t buf[2 * MUX_CONTROL_ROOM];
	uint32_t grant;
	for (int i = 0; mux_has_output(r->mux); i++) {
		PROMISE(i < FLUSHES);
		size_t n = mux_control(r->mux, buf, MUX_CONTROL_ROOM + room, r->now);
		watch(r, buf, n);
		struct mux_stream *s = mux_next(r->mux, &grant);
		PROMISE(n > 0 || s != NULL);
		if (s != NULL)
			put_data(r, s, grant);
	}
	PROMISE(mux_control(r->mux, buf, sizeof buf, r->now) == 0);
	PROMISE(mux_next(r->mux, &grant) == NULL);
}

static void open_session(struct run *r)
{
	struct wire_open open = {.name_len = 1, .name = "x"};
	struct mux_stream *s;
	bool could = mux_can_open(r->mux);
	if (find(r, NULL) == NULL)
		return;
	int rc = mux_open(r->mux, &open, NULL, r->now, &s);
	PROMISE(could || rc != 0);
	if (rc == 0)
		on_open(r, s, open.window);
}

static void whim(struct run *r, uint8_t op)
{
	struct session *x = &r->session[byte(r) % STREAMS];
	if (op % 8 == 0)
		open_session(r);
	if (x->s == NULL)
		return;
	switch (op % 8) {
	case 1:
		close_session(r, x);
		break;
	case 2:
	case 3:
		x->give += x->give_end ? 0 : number(r) % GIVE;
		x->give_end = x->give_end || op % 8 == 3;
		mux_ready(x->s, r->now);
		break;
	case 4:
		read_some(r, x, number(r));
		break;
	case 5:
		read_some(r, x, UINT64_MAX);
		break;
	default:
		break;
	}
}

/* What a node says of itself. */
static void speak(struct run *r)
{
	static const uint8_t text[WIRE_LONG_MAX];
	uint8_t op = byte(r);
	struct wire_announce v = {.version = op,
		.kind = op % 3,
		.entries = (const uint8_t *)"\1\1a\1\2bc",
		.n = op & 64 ? 7 : 3};
	if (op & 128)
		(void)mux_token(r->mux, text, 1 + number(r) % WIRE_LONG_MAX);
	else
		PROMISE(mux_can_announce(r->mux) || mux_announce(r->mux, &v) != 0);
	if (!(op & 128))
		(void)mux_announce(r->mux, &v);
}

static void tick(struct run *r, uint32_t n)
{
	uint64_t at = mux_deadline(r->mux);
	r->now = n == 0 && at != CLOCK_NEVER && at > r->now ? at : r->now + n * CLOCK_MS;
	if (mux_tick(r->mux, r->now) != 0)
		r->failed = true;
	PROMISE(r->failed || mux_deadline(r->mux) > r->now || mux_has_output(r->mux));
}

/* --- the peer ------------------------------------------------------------------------------ */

static void hello(struct run *r, uint8_t op)
{
	uint8_t buf[MUX_CONTROL_ROOM];
	struct wire_hello v = {.version = WIRE_VERSION,
		.role = WIRE_SEGMENT,
		.capabilities = op >> 6,
		.max_streams = op,
		.window = 1024};
	feed(r, buf, wire_put_hello(buf, &v));
}

static void data(struct run *r, uint32_t id, uint8_t op)
{
	static uint8_t buf[WIRE_HEADER + 4096];
	struct wire_header h = {number(r) % 4096, WIRE_DATA, op & 32 ? WIRE_FIN : 0, id};
	wire_put_header(buf, &h);
	size_t n = WIRE_HEADER + (size_t)h.length, half = op & 64 ? number(r) % (n + 1) : n;
	feed(r, buf, half);
	if (half < n && op & 128)
		whim(r, op); /* in the middle of the frame */
	feed(r, buf + half, n - half);
}

static void names(struct run *r, uint8_t op)
{
	uint8_t buf[MUX_CONTROL_ROOM];
	size_t n = byte(r) % 16;
	struct wire_announce v = {.version = op, .kind = byte(r) % 4, .entries = r->in};
	v.n = n < r->left ? n : r->left;
	if (op & 32)
		feed(r, buf, wire_put_token(buf, "token", 1 + op % 5));
	else
		feed(r, buf, wire_put_announce(buf, &v));
}

/* A frame that is well formed, if nothing else. */
static void frame(struct run *r, uint8_t op)
{
	uint8_t buf[MUX_CONTROL_ROOM];
	uint32_t id = number(r);
	struct wire_open open = {.window = 1024 + number(r), .name_len = 2, .name = "ab"};
	struct wire_limits limits = {number(r), 1024 + number(r)};
	struct wire_goaway goaway = {op & 32 ? WIRE_GOAWAY_OPEN : id, byte(r)};
	switch (op % 8) {
	case 0:
		feed(r, buf, wire_put_open(buf, id, &open));
		break;
	case 1:
	case 2:
		data(r, id, op);
		break;
	case 3:
		feed(r, buf, wire_put_reset(buf, id, byte(r)));
		break;
	case 4:
		feed(r, buf, wire_put_credit(buf, id, number(r)));
		break;
	case 5:
		feed(r, buf, wire_put_ping(buf, number(r), op & 32));
		break;
	case 6:
		if (op & 64)
			names(r, op);
		else
			feed(r, buf, wire_put_goaway(buf, &goaway));
		break;
	default:
		feed(r, buf, wire_put_limits(buf, &limits, op & 32));
	}
}

static void step(struct run *r)
{
	uint8_t op = byte(r);
	switch (op >> 3 & 3) {
	case 0:
		frame(r, op);
		break;
	case 1:
		whim(r, op);
		break;
	case 2:
		if (op % 8 == 0)
			mux_goaway(r->mux, WIRE_OK, r->now);
		else if (op % 8 == 1)
			mux_set_window(r->mux, WINDOW, op & 32);
		else if (op % 8 == 2)
			tick(r, number(r));
		else if (op % 8 == 3)
			speak(r);
		else
			flush(r, byte(r));
		break;
	default: {
		size_t n = op >> 5 < r->left ? op >> 5 : r->left;
		const uint8_t *p = r->in;
		r->in += n;
		r->left -= n;
		feed(r, p, n); /* raw */
	}
	}
	/* The mux, its table, ANNOUNCE, TOKEN, and for each stream at most itself and its OPEN. */
	PROMISE(r->mem.live <= 4 + 2 * (STREAMS + PEER_STREAMS + 256));
	PROMISE(mux_waiting(r->mux) <= STREAMS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data_in, size_t n)
{
	struct run r = {.mem = {.mem = {resize, release}}, .in = data_in, .left = n, .now = 1000};
	uint8_t head = byte(&r);
	struct mux_options o = {.side = head & 1 ? MUX_DIALLED : MUX_ACCEPTED,
		.role = WIRE_CONTROLLER,
		.max_streams = PEER_STREAMS,
		.window = WINDOW,
		.window_ceiling = CEILING,
		.quantum = 512,
		.link_timeout = 5 * CLOCK_SEC,
		.last_id = head & 2 ? 9 : 0,
		.seed = head};
	r.mem.fail_at = head & 4 ? 2 + byte(&r) % 32 : 0;
	decoder_init(&r.watch);
	r.mux = mux_new(&r.mem.mem, &o, r.now);
	PROMISE(r.mux != NULL);
	if (!(head & 8))
		hello(&r, head);
	while (r.left > 0 && !r.failed)
		step(&r);
	void *user;
	for (struct mux_stream *s; (s = mux_any(r.mux, &user)) != NULL;)
		close_session(&r, user);
	for (int i = 0; i < STREAMS; i++)
		PROMISE(r.session[i].s == NULL);
	mux_free(r.mux);
	PROMISE(r.mem.live == 0);
	return 0;
}
