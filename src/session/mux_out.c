#include "session/mux_out.h"

#include "base/clock.h"

#include <assert.h>
#include <string.h>

#define GOAWAY_PATIENCE (1 * CLOCK_SEC) /* how long an announcement waits for its PONG */

static size_t put_hello(struct mux *m, uint8_t *buf)
{
	struct wire_hello v = {.version = WIRE_VERSION,
		.role = (uint8_t)m->opt.role,
		.capabilities = WIRE_KNOWS_ANNOUNCE | WIRE_KNOWS_TOKEN,
		.max_streams = m->opt.max_streams,
		.window = m->opt.window};
	memcpy(v.instance, m->opt.instance, WIRE_ID);
	m->hello_unsent = false;
	return wire_put_hello(buf, &v);
}

static size_t put_goaway(struct mux *m, uint8_t *buf, uint64_t now)
{
	struct wire_goaway v = {.last = m->highest, .code = m->goaway_code};
	if (m->sent == GOAWAY_ANNOUNCE) {
		v.last = WIRE_GOAWAY_OPEN;
		m->sent = GOAWAY_ANNOUNCED;
		m->goaway_at = now + GOAWAY_PATIENCE;
		m->goaway_ping = liveness_ping_after(&m->liveness);
		(void)liveness_ask(&m->liveness, now);
	} else {
		m->sent = GOAWAY_FINAL;
	}
	return wire_put_goaway(buf, &v);
}

/* A frame that waits in memory of its own. */
static size_t put_packed(struct mux *m, uint8_t *buf, uint8_t **frame, size_t n)
{
	memcpy(buf, *frame, n);
	mem_free(m->mem, *frame);
	*frame = NULL;
	return n;
}

/* The first OPEN that waits. */
static size_t put_open(struct mux *m, uint8_t *buf)
{
	struct mux_stream *s = container_of(list_first(&m->opens), struct mux_stream, control);
	struct wire_header h;
	wire_get_header(&h, s->open);
	/* The peer counts with the LIMITS it has had answered before this OPEN. */
	credit_tx_init(&s->tx_credit, m->window_tx);
	mux_impl_unslot(s, STREAM_SLOT_OPEN);
	return put_packed(m, buf, &s->open, WIRE_HEADER + h.length);
}

size_t mux_out_own(struct mux *m, uint8_t *buf, uint64_t now)
{
	uint64_t opaque;
	if (m->hello_unsent)
		return put_hello(m, buf);
	if (m->limits_ack_unsent) {
		m->limits_ack_unsent = false;
		return wire_put_limits(buf, &m->limits_ack, true);
	}
	if (m->token != NULL)
		return put_packed(m, buf, &m->token, m->token_n);
	if (!list_empty(&m->opens))
		return put_open(m, buf);
	if (m->pong_unsent) {
		m->pong_unsent = false;
		return wire_put_ping(buf, m->pong, true);
	}
	if (m->limits_unsent) {
		struct wire_limits v = {m->opt.max_streams, m->window};
		m->limits_unsent = false;
		m->window_sent = m->window;
		return wire_put_limits(buf, &v, false);
	}
	if (m->announce != NULL)
		return put_packed(m, buf, &m->announce, m->announce_n);
	if (m->sent == GOAWAY_ANNOUNCE || m->sent == GOAWAY_CONCLUDE)
		return put_goaway(m, buf, now);
	if (liveness_take(&m->liveness, now, &opaque))
		return wire_put_ping(buf, opaque, false);
	return 0;
}

size_t mux_out_slot(struct mux_stream *s, uint8_t *buf, uint64_t now)
{
	struct mux *m = s->mux;
	if (s->slots & STREAM_SLOT_CREDIT) {
		struct credit_growth g = {.now = now,
			.rtt = liveness_rtt(&m->liveness),
			.ceiling = m->may_grow ? m->opt.window_ceiling : 0,
			.coming = m->data == s ? decoder_pending(&m->decoder) : 0};
		mux_impl_unslot(s, STREAM_SLOT_CREDIT);
		return wire_put_credit(buf, s->id, credit_rx_grant(&s->rx_credit, &g));
	}
	assert(s->slots & STREAM_SLOT_RESET);
	size_t n = wire_put_reset(buf, s->id, s->code);
	mux_impl_unslot(s, STREAM_SLOT_RESET);
	stream_set_tx(s, STREAM_RESET);
	return n;
}
