#include "session/mux_in.h"

#include "base/clock.h"
#include "base/err.h"

#include <assert.h>
#include <string.h>

/*
 * A stream reset by its opener sooner than this, and before a byte went either way, costs a
 * point.  (The losers of a latch have carried the request.)
 */
#define RAPID_RESET (1 * CLOCK_SEC)

/* Whatever the first bytes are: not a word about frames to one who speaks another protocol. */
#define NO_HELLO "no HELLO: the peer does not speak cloudbus"

/* CREDIT in smaller steps costs a point: half of the smallest window. */
enum { CREDIT_STEP_MIN = WIRE_WINDOW_MIN / 2 };

static int fail(struct mux *m, uint32_t code, const char *why)
{
	m->fail_code = code;
	m->why = why;
	return code == WIRE_FLOOD ? ERR_LIMIT : code == WIRE_INTERNAL ? ERR_NOMEM : ERR_PROTOCOL;
}

static int spend_many(struct mux *m, uint64_t now, uint32_t points, const char *why)
{
	return budget_spend(&m->budget, now, points) == 0 ? 0 : fail(m, WIRE_FLOOD, why);
}

static int spend(struct mux *m, uint64_t now, const char *why)
{
	return spend_many(m, now, 1, why);
}

static int on_hello(struct mux *m, const struct decoder_out *f, struct mux_event *ev)
{
	const char *why;
	if (m->ready)
		return fail(m, WIRE_PROTOCOL, "HELLO came twice");
	if (wire_get_hello(&m->peer, f->p, f->n, &why) != 0)
		return fail(m, WIRE_PROTOCOL, why);
	if (m->peer.role == m->opt.role)
		return fail(m, WIRE_SAME_ROLE,
			m->opt.role == WIRE_CONTROLLER ? "the peer is a controller too"
						       : "the peer is a segment too");
	m->ready = true;
	m->window_tx = m->peer.window;
	m->peer_max = m->peer.max_streams;
	ev->type = MUX_READY;
	return 0;
}

static int on_pong(struct mux *m, uint64_t opaque, uint64_t now, struct mux_event *ev)
{
	if (!liveness_answer(&m->liveness, opaque, now))
		return spend(m, now, "PONGs that answer no PING");
	if (m->sent == GOAWAY_ANNOUNCED && opaque >= m->goaway_ping)
		m->sent = GOAWAY_CONCLUDE;
	if (m->asking && opaque >= m->asked_ping) {
		m->asking = false;
		ev->type = MUX_HEARD;
	}
	/* Another PING was on its way when they had to ask. */
	if (m->sent == GOAWAY_ANNOUNCED || m->asking)
		(void)liveness_ask(&m->liveness, now);
	return 0;
}

static int on_ping(struct mux *m, const struct decoder_out *f, uint64_t now, struct mux_event *ev)
{
	uint64_t opaque = wire_get_ping(f->p);
	if (f->header.flags & WIRE_ACK)
		return on_pong(m, opaque, now, ev);
	m->pong = opaque; /* the last one is the one that is answered */
	m->pong_unsent = true;
	return spend(m, now, "too many PINGs");
}

static int on_limits(struct mux *m, const struct decoder_out *f, uint64_t now)
{
	struct wire_limits v;
	const char *why;
	if (wire_get_limits(&v, f->p, &why) != 0)
		return fail(m, WIRE_PROTOCOL, why);
	if (f->header.flags & WIRE_ACK) {
		if (m->window_sent == 0 || v.window != m->window_sent)
			return fail(m, WIRE_PROTOCOL, "answer to LIMITS that were not sent");
		m->window_rx = v.window;
		m->window_sent = 0;
		m->limits_unsent = m->window_rx != m->window;
		return 0;
	}
	m->window_tx = v.window;
	m->peer_max = v.max_streams;
	m->limits_ack = v;
	m->limits_ack_unsent = true;
	return spend(m, now, "too many LIMITS");
}

/* Streams above the last id are lost to the peer: they wait in `doomed` to be told. */
static void doom(struct mux *m, uint32_t last)
{
	list_each_safe (node, &m->all) {
		struct mux_stream *s = container_of(node, struct mux_stream, all);
		if (s->ours && s->tabled && s->id > last && s->rx != STREAM_RESET) {
			list_remove(node);
			list_append(&m->doomed, node);
		}
	}
}

const char *mux_in_reason(uint32_t code)
{
	switch (code) {
	case WIRE_PROTOCOL:
		return "the peer ended it: it says that a rule was broken";
	case WIRE_SAME_ROLE:
		return "the peer ended it: it has the same role";
	case WIRE_TIMED_OUT:
		return "the peer ended it: it has heard nothing in time";
	case WIRE_FLOOD:
		return "the peer ended it: too many frames without use";
	case WIRE_INTERNAL:
		return "the peer ended it: it is out of resources";
	case WIRE_EXPIRED:
		return "the peer ended it: this node's token has expired; issue a fresh one";
	case WIRE_REVOKED:
		return "the peer ended it: this node or its token is revoked there, or not trusted "
		       "any more; issue another token, with a new key where the old one may be "
		       "known";
	default:
		return NULL;
	}
}

/* Codes that no orderly GOAWAY has. */
static bool is_of_failure(uint32_t code)
{
	return code == WIRE_PROTOCOL || code == WIRE_SAME_ROLE || code == WIRE_TIMED_OUT ||
	       code == WIRE_FLOOD || code == WIRE_REVOKED;
}

/* The peer has closed the transport behind it, or does so now. */
static int end_by_peer(struct mux *m, uint32_t code)
{
	const char *why = mux_in_reason(code);
	if (why == NULL)
		return fail(m, WIRE_PROTOCOL, "GOAWAY after the last one");
	m->ended_by_peer = true;
	return fail(m, code, why);
}

static int on_goaway(struct mux *m, const struct decoder_out *f, uint64_t now, struct mux_event *ev)
{
	struct wire_goaway v;
	wire_get_goaway(&v, f->p);
	/* One more than there may be: from a peer that fails it says why, which is what is told. */
	if (m->received == GOAWAY_FINAL)
		return end_by_peer(m, v.code);
	if (m->received != GOAWAY_NONE && spend(m, now, "too many GOAWAYs") != 0)
		return ERR_LIMIT;
	bool final = v.last != WIRE_GOAWAY_OPEN;
	if (final && v.last >= m->next_id)
		return fail(m, WIRE_PROTOCOL, "GOAWAY names a stream that was not opened");
	if (final && is_of_failure(v.code))
		return end_by_peer(m, v.code);
	bool news = m->received == GOAWAY_NONE || (v.code != m->peer_code && v.code != WIRE_OK);
	m->peer_code = v.code;
	m->received = final ? GOAWAY_FINAL : GOAWAY_ANNOUNCED;
	if (final) {
		doom(m, v.last);
		if (m->sent != GOAWAY_FINAL)
			m->sent = GOAWAY_CONCLUDE;
	}
	if (news) {
		ev->type = MUX_GOAWAY;
		ev->code = v.code;
	}
	return 0;
}

static uint32_t count_names(struct wire_announce v)
{
	struct wire_name name;
	uint32_t n = 0;
	while (wire_next_name(&v, &name))
		n++;
	return n;
}

static int on_announce(
	struct mux *m, const struct decoder_out *f, uint64_t now, struct mux_event *ev)
{
	const char *why;
	if (wire_get_announce(&ev->announce, f->p, f->n, &why) != 0)
		return fail(m, WIRE_PROTOCOL, why);
	ev->type = MUX_ANNOUNCE;
	return spend_many(
		m, now, 1 + count_names(ev->announce) / BUDGET_NAMES_EACH, "too many ANNOUNCEs");
}

static int on_token(struct mux *m, const struct decoder_out *f, uint64_t now, struct mux_event *ev)
{
	*ev = (struct mux_event){.type = MUX_TOKEN, .p = f->p, .n = f->n};
	return spend_many(m, now, BUDGET_TOKEN_PRICE, "too many TOKENs");
}

static int on_open(struct mux *m, const struct decoder_out *f, uint64_t now, struct mux_event *ev)
{
	/* One for all: an OPEN is handed out and done with before the next is read. */
	struct wire_open *open = &m->peer_open;
	const char *why;
	if (wire_get_open(open, f->p, f->n, &why) != 0)
		return fail(m, WIRE_PROTOCOL, why);
	if (m->theirs >= m->opt.max_streams)
		return fail(m, WIRE_FLOOD, "more streams than HELLO allows");
	struct mux_stream *s = mux_impl_add(m, f->header.stream, false);
	if (s == NULL)
		return fail(m, WIRE_INTERNAL, "out of memory");
	m->highest = f->header.stream;
	credit_tx_init(&s->tx_credit, open->window);
	credit_rx_init(&s->rx_credit, m->window_rx, now);
	if (m->sent == GOAWAY_FINAL) {
		mux_close(s, WIRE_DRAINING, now);
		return 0;
	}
	*ev = (struct mux_event){.type = MUX_OPEN, .stream = s, .open = open};
	return 0;
}

static int on_credit(struct mux *m, struct mux_stream *s, const struct decoder_out *f, uint64_t now)
{
	uint64_t before = s->tx_credit.max;
	if (credit_tx_update(&s->tx_credit, wire_get_credit(f->p)) != 0)
		return fail(m, WIRE_PROTOCOL, "CREDIT goes back or is out of bounds");
	mux_impl_schedule(s, now);
	if (s->tx_credit.max - before < CREDIT_STEP_MIN)
		return spend(m, now, "CREDIT in too small steps");
	return 0;
}

static int on_reset(struct mux *m, struct mux_stream *s, const struct decoder_out *f, uint64_t now,
	struct mux_event *ev)
{
	uint32_t code = wire_get_reset(f->p);
	/* The answer to our own RESET is a duty, and free. */
	bool unanswered = s->tx == STREAM_OPEN && s->tx_credit.sent == 0;
	bool unused = unanswered && s->rx_credit.received == 0;
	/* The credit an unused stream was opened with is still in force. */
	bool rapid = !s->ours && unused && now - s->rx_credit.epoch < RAPID_RESET;
	if (rapid && spend(m, now, "streams opened and reset at once") != 0)
		return ERR_LIMIT;
	if (mux_impl_is_heard(s))
		*ev = (struct mux_event){
			.type = MUX_RESET, .stream = s, .user = s->user, .code = code};
	mux_impl_aborted(s, code, now);
	return 0;
}

/* The frame against the state of its stream: s is NULL when it is not in the table. */
static enum stream_phase phase_of(const struct mux *m, const struct mux_stream *s, uint32_t id)
{
	if (s != NULL)
		return stream_phase(s);
	bool ours = (id & 1) == (m->next_id & 1);
	if (ours)
		return id < m->next_id ? STREAM_PHASE_GONE : STREAM_PHASE_NEVER;
	if (id <= m->highest)
		return STREAM_PHASE_GONE;
	return id <= WIRE_STREAM_MAX ? STREAM_PHASE_NEW : STREAM_PHASE_NEVER;
}

static const char *fatal_reason(enum stream_phase phase, unsigned type)
{
	if (type == WIRE_OPEN)
		return "OPEN with an id that may not be opened";
	if (phase == STREAM_PHASE_NEW || phase == STREAM_PHASE_NEVER)
		return "frame on a stream that was never opened";
	return type == WIRE_DATA ? "DATA after the end of its stream"
				 : "frame after the end of its stream";
}

static int check(struct mux *m, const struct decoder_out *f, struct mux_stream **out, bool *take,
	uint64_t now)
{
	struct mux_stream *s = mux_impl_find(m, f->header.stream);
	enum stream_phase phase = phase_of(m, s, f->header.stream);
	enum stream_verdict v = stream_check(phase, (enum wire_type)f->header.type);
	if (v == STREAM_FATAL)
		return fail(m, WIRE_PROTOCOL, fatal_reason(phase, f->header.type));
	*out = s;
	*take = v == STREAM_TAKE;
	if (!*take && budget_late(&m->budget, now) != 0)
		return fail(m, WIRE_FLOOD, "too many frames on closed streams");
	return 0;
}

static int on_stream_frame(
	struct mux *m, const struct decoder_out *f, uint64_t now, struct mux_event *ev)
{
	struct mux_stream *s;
	bool take;
	int rc = check(m, f, &s, &take, now);
	if (rc != 0 || !take)
		return rc;
	switch (f->header.type) {
	case WIRE_OPEN:
		return on_open(m, f, now, ev);
	case WIRE_CREDIT:
		return on_credit(m, s, f, now);
	default:
		assert(f->header.type == WIRE_RESET);
		return on_reset(m, s, f, now, ev);
	}
}

/* Skipped, whatever it says: but not before HELLO, and not without end. */
static int on_ignored(struct mux *m, uint64_t now)
{
	if (!m->ready)
		return fail(m, WIRE_PROTOCOL, NO_HELLO);
	return spend(m, now, "too many unknown frames");
}

static int on_control(
	struct mux *m, const struct decoder_out *f, uint64_t now, struct mux_event *ev)
{
	if (!m->ready && f->header.type != WIRE_HELLO)
		return fail(m, WIRE_PROTOCOL, NO_HELLO);
	switch (f->header.type) {
	case WIRE_HELLO:
		return on_hello(m, f, ev);
	case WIRE_PING:
		return on_ping(m, f, now, ev);
	case WIRE_GOAWAY:
		return on_goaway(m, f, now, ev);
	case WIRE_LIMITS:
		return on_limits(m, f, now);
	case WIRE_ANNOUNCE:
		return on_announce(m, f, now, ev);
	case WIRE_TOKEN:
		return on_token(m, f, now, ev);
	default:
		return on_stream_frame(m, f, now, ev);
	}
}

/* A DATA frame begins: is it legal, and who gets it? */
static int on_data_header(struct mux *m, const struct decoder_out *f, uint64_t now)
{
	bool take;
	if (!m->ready)
		return fail(m, WIRE_PROTOCOL, NO_HELLO);
	int rc = check(m, f, &m->data, &take, now);
	if (rc != 0)
		return rc;
	if (credit_rx_received(&m->data->rx_credit, f->header.length) != 0)
		return fail(m, WIRE_PROTOCOL, "DATA beyond the credit");
	return 0;
}

static int on_data(struct mux *m, const struct decoder_out *f, uint64_t now, struct mux_event *ev)
{
	if (f->first) {
		int rc = on_data_header(m, f, now);
		if (rc != 0)
			return rc;
	}
	struct mux_stream *s = m->data;
	bool fin = f->last && f->header.flags & WIRE_FIN;
	if (mux_impl_is_heard(s) && (f->n > 0 || fin))
		*ev = (struct mux_event){.type = MUX_DATA,
			.stream = s,
			.user = s->user,
			.p = f->p,
			.n = f->n,
			.fin = fin,
			.part = !f->last};
	if (f->last)
		m->data = NULL;
	if (fin)
		mux_impl_ended(s, now);
	return 0;
}

/*
 * Streams left out by the peer's GOAWAY are told one at a time, as if they had been
 * reset.  The peer's RESET is still to come for those whose OPEN has left.
 */
static bool tell_doomed(struct mux *m, uint64_t now, struct mux_event *ev)
{
	struct list *node = list_first(&m->doomed);
	if (node == NULL)
		return false;
	struct mux_stream *s = container_of(node, struct mux_stream, all);
	list_remove(node);
	list_append(&m->all, node);
	s->told = true;
	*ev = (struct mux_event){
		.type = MUX_RESET, .stream = s, .user = s->user, .code = WIRE_DRAINING};
	mux_impl_give_up(s, WIRE_DRAINING, now);
	return true;
}

int mux_in_next(struct mux *m, const uint8_t **p, size_t *n, uint64_t now, struct mux_event *ev)
{
	*ev = (struct mux_event){.type = MUX_NONE};
	if (*n > 0)
		liveness_heard(&m->liveness, now);
	while (!tell_doomed(m, now, ev)) {
		struct decoder_out f;
		int rc = decoder_next(&m->decoder, p, n, &f);
		if (rc != 0)
			return fail(m, WIRE_PROTOCOL, m->ready ? m->decoder.why : NO_HELLO);
		if (f.item == DECODER_MORE)
			return 0;
		if (f.item == DECODER_DATA)
			rc = on_data(m, &f, now, ev);
		else if (f.item == DECODER_CONTROL)
			rc = on_control(m, &f, now, ev);
		else
			rc = on_ignored(m, now);
		if (rc != 0 || ev->type != MUX_NONE)
			return rc;
	}
	return 0;
}
