#include "session/mux.h"

#include "base/clock.h"
#include "base/err.h"
#include "session/mux_impl.h"
#include "session/mux_in.h"
#include "session/mux_out.h"

#include <assert.h>

#define PROBE_INTERVAL (1 * CLOCK_SEC)
enum {
	WORN_MARGIN = 1 << 16, /* ids left when a transport should be replaced */
	FRAME_CAP_STEP = 64 << 10,
	FRAME_CAP_MIN = 1400, /* bytes: about one segment */
	FRAME_CAP_START = 256 << 10,
};

static uint32_t window_within(uint32_t window)
{
	if (window < WIRE_WINDOW_MIN)
		return WIRE_WINDOW_MIN;
	return window < WIRE_WINDOW_MAX ? window : WIRE_WINDOW_MAX;
}

struct mux *mux_new(struct mem *mem, const struct mux_options *opt, uint64_t now)
{
	struct mux *m = mem_zalloc(mem, sizeof *m);
	if (m == NULL)
		return NULL;
	m->mem = mem;
	m->opt = *opt;
	if (m->opt.max_streams == 0)
		m->opt.max_streams = WIRE_STREAMS_DEFAULT;
	if (m->opt.window == 0)
		m->opt.window = WIRE_WINDOW_DEFAULT;
	m->opt.window = window_within(m->opt.window);
	m->opt.window_ceiling = window_within(m->opt.window_ceiling);
	if (m->opt.window_ceiling < m->opt.window)
		m->opt.window_ceiling = m->opt.window;
	if (m->opt.quantum == 0)
		m->opt.quantum = MUX_QUANTUM;
	if (m->opt.last_id == 0 || m->opt.last_id > WIRE_STREAM_MAX)
		m->opt.last_id = WIRE_STREAM_MAX;
	if (m->opt.hello_timeout == 0)
		m->opt.hello_timeout = MUX_HELLO_TIMEOUT;
	if (m->opt.hello_timeout > LIVENESS_TIMEOUT_MAX)
		m->opt.hello_timeout = LIVENESS_TIMEOUT_MAX;
	decoder_init(&m->decoder);
	liveness_init(&m->liveness, opt->link_timeout, now);
	budget_init(&m->budget, now);
	sched_init(&m->sched, m->opt.quantum);
	hash_init(&m->table, mem);
	list_init(&m->all);
	list_init(&m->opens);
	list_init(&m->control);
	list_init(&m->doomed);
	m->started = now;
	m->next_id = opt->side == MUX_DIALLED ? 1 : 2;
	m->frame_cap = FRAME_CAP_START;
	m->hello_unsent = true;
	m->window = m->window_rx = m->opt.window;
	m->may_grow = true;
	(void)liveness_ask(&m->liveness, now); /* the first round trip */
	return m;
}

void mux_free(struct mux *m)
{
	if (m == NULL)
		return;
	list_splice(&m->all, &m->doomed);
	for (struct list *node; (node = list_first(&m->all)) != NULL;) {
		struct mux_stream *s = container_of(node, struct mux_stream, all);
		list_remove(node);
		if (s->tabled)
			hash_remove(&m->table, &s->node);
		mux_impl_free(s);
	}
	for (struct hash_node *n; (n = hash_any(&m->table)) != NULL;) {
		hash_remove(&m->table, n);
		mux_impl_free(container_of(n, struct mux_stream, node));
	}
	hash_fini(&m->table);
	mem_free(m->mem, m->announce);
	mem_free(m->mem, m->token);
	mem_free(m->mem, m);
}

int mux_receive(struct mux *m, const uint8_t **p, size_t *n, uint64_t now, struct mux_event *ev)
{
	*ev = (struct mux_event){.type = MUX_NONE};
	if (m->failed == 0)
		m->failed = mux_in_next(m, p, n, now, ev);
	return m->failed;
}

struct mux_stream *mux_pending(const struct mux *m, uint32_t *n)
{
	*n = m->failed == 0 ? decoder_pending(&m->decoder) : 0;
	return *n > 0 && m->data != NULL && mux_impl_is_heard(m->data) ? m->data : NULL;
}

uint32_t mux_pending_frame(const struct mux *m)
{
	return m->decoder.header.length;
}

void mux_stirs(struct mux *m, uint64_t now)
{
	liveness_stirs(&m->liveness, now);
}

bool mux_took(struct mux *m, uint32_t n, uint64_t now)
{
	struct mux_stream *s = m->data;
	decoder_skip(&m->decoder, n);
	liveness_heard(&m->liveness, now);
	if (decoder_pending(&m->decoder) > 0)
		return false;
	m->data = NULL;
	if (!(m->decoder.header.flags & WIRE_FIN))
		return false;
	mux_impl_ended(s, now);
	return true;
}

void mux_consumed(struct mux_stream *s, uint64_t n, uint64_t now)
{
	if (credit_rx_consumed(&s->rx_credit, n) && s->rx == STREAM_OPEN && !s->told) {
		mux_impl_slot(s, STREAM_SLOT_CREDIT);
		mux_probe(s->mux, now);
	}
}

/* --- streams ------------------------------------------------------------------ */

static bool may_open(const struct mux *m)
{
	return m->failed == 0 && m->ready && m->sent == GOAWAY_NONE && m->received == GOAWAY_NONE &&
	       m->next_id <= m->opt.last_id;
}

bool mux_can_open(const struct mux *m)
{
	return may_open(m) && m->ours < m->peer_max;
}

bool mux_is_worn(const struct mux *m)
{
	uint32_t margin = m->opt.last_id / 2 < WORN_MARGIN ? m->opt.last_id / 2 : WORN_MARGIN;
	return m->next_id > m->opt.last_id - margin || m->highest > WIRE_STREAM_MAX - WORN_MARGIN;
}

int mux_open(
	struct mux *m, struct wire_open *open, void *user, uint64_t now, struct mux_stream **out)
{
	if (!may_open(m))
		return ERR_CLOSED;
	if (m->ours >= m->peer_max)
		return ERR_LIMIT;
	uint8_t *frame = mem_alloc(m->mem, WIRE_HEADER + WIRE_OPEN_MIN + open->name_len);
	if (frame == NULL)
		return ERR_NOMEM;
	struct mux_stream *s = mux_impl_add(m, m->next_id, true);
	if (s == NULL) {
		mem_free(m->mem, frame);
		return ERR_NOMEM;
	}
	m->next_id += 2;
	open->window = m->window;
	(void)wire_put_open(frame, s->id, open);
	s->open = frame;
	s->user = user;
	credit_tx_init(&s->tx_credit, m->window_tx); /* for now: see put_open */
	credit_rx_init(&s->rx_credit, m->window, now);
	mux_impl_slot(s, STREAM_SLOT_OPEN);
	*out = s;
	return 0;
}

void mux_set_user(struct mux_stream *s, void *user)
{
	s->user = user;
}

void *mux_owner(const struct mux_stream *s)
{
	return s->mux->opt.owner;
}

void *mux_user(const struct mux_stream *s)
{
	return s->user;
}

uint32_t mux_stream_id(const struct mux_stream *s)
{
	return s->id;
}

uint64_t mux_held(const struct mux_stream *s)
{
	/* Credit counts a frame from its header on; the rest of it is not here yet. */
	uint64_t to_come = s->mux->data == s ? decoder_pending(&s->mux->decoder) : 0;
	return credit_rx_held(&s->rx_credit) - to_come;
}

bool mux_is_blocked(const struct mux_stream *s)
{
	return credit_tx_left(&s->tx_credit) == 0;
}

size_t mux_count(const struct mux *m)
{
	return m->table.count;
}

struct mux_stream *mux_any(const struct mux *m, void **user)
{
	struct list *node = list_first(&m->all);
	if (node == NULL)
		node = list_first(&m->doomed);
	if (node == NULL)
		return NULL;
	struct mux_stream *s = container_of(node, struct mux_stream, all);
	*user = s->user;
	return s;
}

void mux_close(struct mux_stream *s, uint32_t code, uint64_t now)
{
	assert(!s->released);
	s->released = true;
	s->user = NULL;
	s->wants = false;
	list_remove(&s->all);
	if (s->tabled)
		mux_impl_give_up(s, code, now);
	else
		mux_impl_free(s);
}

void mux_charge_stray(struct mux *m, uint64_t now)
{
	if (m->failed == 0 && budget_spend(&m->budget, now, BUDGET_STRAY_PRICE) != 0) {
		m->failed = ERR_LIMIT;
		m->fail_code = WIRE_FLOOD;
		m->why = "too many streams opened that it may not open";
	}
}

/* --- out ---------------------------------------------------------------------- */

static bool control_pending(const struct mux *m)
{
	return m->hello_unsent || m->pong_unsent || m->liveness.unsent || m->limits_unsent ||
	       m->limits_ack_unsent || m->sent == GOAWAY_ANNOUNCE || m->sent == GOAWAY_CONCLUDE ||
	       m->announce != NULL || m->token != NULL || !list_empty(&m->opens) ||
	       !list_empty(&m->control);
}

bool mux_has_output(const struct mux *m)
{
	return control_pending(m) || m->sched.waiting > 0;
}

uint32_t mux_waiting(const struct mux *m)
{
	return m->sched.waiting;
}

size_t mux_control(struct mux *m, uint8_t *buf, size_t room, uint64_t now)
{
	size_t n = 0;
	while (room - n >= MUX_CONTROL_ROOM) {
		size_t step = mux_out_own(m, buf + n, now);
		if (step == 0) {
			struct list *node = list_first(&m->control);
			if (node == NULL)
				break;
			struct mux_stream *s = container_of(node, struct mux_stream, control);
			step = mux_out_slot(s, buf + n, now);
			mux_impl_retire(s, now);
		}
		n += step;
	}
	return n;
}

void mux_ready(struct mux_stream *s, uint64_t now)
{
	s->wants = true;
	mux_impl_schedule(s, now);
}

struct mux_stream *mux_next(struct mux *m, uint32_t *grant)
{
	if (control_pending(m))
		return NULL;
	struct sched_item *it = sched_next(&m->sched, grant);
	if (it == NULL)
		return NULL;
	struct mux_stream *s = container_of(it, struct mux_stream, sched);
	uint64_t left = credit_tx_left(&s->tx_credit);
	if (*grant > left)
		*grant = (uint32_t)left;
	if (*grant > m->frame_cap)
		*grant = m->frame_cap;
	return s;
}

size_t mux_commit(struct mux_stream *s, uint32_t n, enum mux_more more, uint64_t now,
	uint8_t header[static WIRE_HEADER])
{
	struct mux *m = s->mux;
	assert(s->tx == STREAM_OPEN);
	sched_charge(&m->sched, &s->sched, n);
	credit_tx_sent(&s->tx_credit, n);
	s->wants = more == MUX_MORE;
	size_t length = n > 0 || more == MUX_END ? WIRE_HEADER : 0;
	if (length > 0) {
		struct wire_header h = {n, WIRE_DATA, more == MUX_END ? WIRE_FIN : 0, s->id};
		wire_put_header(header, &h);
	}
	if (more == MUX_END)
		stream_set_tx(s, STREAM_FIN);
	mux_impl_schedule(s, now);
	mux_impl_retire(s, now);
	return length;
}

void mux_set_quantum(struct mux *m, uint32_t quantum)
{
	sched_set_quantum(&m->sched, quantum);
}

void mux_set_rate(struct mux *m, uint64_t bytes_per_sec)
{
	uint64_t cap = bytes_per_sec / (CLOCK_SEC / MUX_FRAME_TIME);
	if (bytes_per_sec == 0)
		cap = FRAME_CAP_START;
	if (cap < FRAME_CAP_MIN)
		cap = FRAME_CAP_MIN;
	if (cap > FRAME_CAP_STEP)
		cap -= cap % FRAME_CAP_STEP; /* whole pages, where payload is spliced */
	m->frame_cap = cap > WIRE_DATA_MAX ? WIRE_DATA_MAX : (uint32_t)cap;
}

/* --- names and tokens ------------------------------------------------------------- */

static bool knows(const struct mux *m, enum wire_capability frame)
{
	return m->failed == 0 && m->ready && (m->peer.capabilities & frame) != 0;
}

bool mux_can_announce(const struct mux *m)
{
	return knows(m, WIRE_KNOWS_ANNOUNCE) && m->announce == NULL;
}

int mux_announce(struct mux *m, const struct wire_announce *v)
{
	if (!knows(m, WIRE_KNOWS_ANNOUNCE))
		return ERR_CLOSED;
	if (m->announce != NULL)
		return ERR_AGAIN;
	m->announce = mem_alloc(m->mem, WIRE_HEADER + WIRE_ANNOUNCE_MIN + v->n);
	if (m->announce == NULL)
		return ERR_NOMEM;
	m->announce_n = wire_put_announce(m->announce, v);
	return 0;
}

int mux_token(struct mux *m, const void *text, size_t n)
{
	if (!knows(m, WIRE_KNOWS_TOKEN))
		return ERR_CLOSED;
	uint8_t *frame = mem_alloc(m->mem, WIRE_HEADER + n);
	if (frame == NULL)
		return ERR_NOMEM;
	mem_free(m->mem, m->token);
	m->token = frame;
	m->token_n = wire_put_token(frame, text, n);
	return 0;
}

const struct wire_hello *mux_peer(const struct mux *m)
{
	return m->ready ? &m->peer : NULL;
}

/* --- limits, time --------------------------------------------------------------- */

void mux_set_window(struct mux *m, uint32_t window, bool may_grow)
{
	m->may_grow = may_grow;
	window = window_within(window);
	if (window == m->window)
		return;
	m->window = window;
	m->limits_unsent = m->window_sent == 0 && m->window != m->window_rx;
}

uint64_t mux_rtt(const struct mux *m)
{
	return liveness_rtt(&m->liveness);
}

void mux_probe(struct mux *m, uint64_t now)
{
	if (now - m->probed >= PROBE_INTERVAL && liveness_ask(&m->liveness, now))
		m->probed = now;
}

void mux_ask(struct mux *m, uint64_t now)
{
	m->asking = true;
	m->asked_ping = liveness_ping_after(&m->liveness);
	(void)liveness_ask(&m->liveness, now);
}

uint64_t mux_deadline(const struct mux *m)
{
	if (m->failed != 0)
		return CLOCK_NEVER;
	uint64_t at = liveness_deadline(&m->liveness);
	if (!m->ready && m->started + m->opt.hello_timeout < at)
		at = m->started + m->opt.hello_timeout;
	if (m->sent == GOAWAY_ANNOUNCED && m->goaway_at < at)
		at = m->goaway_at;
	return at;
}

int mux_tick(struct mux *m, uint64_t now)
{
	if (m->failed != 0)
		return m->failed;
	if (!m->ready && now >= m->started + m->opt.hello_timeout) {
		m->why = "no HELLO in time";
		m->failed = ERR_TIMEOUT;
	} else if (liveness_tick(&m->liveness, now) != 0) {
		m->why = "not a byte within link_timeout";
		m->failed = ERR_TIMEOUT;
	}
	if (m->failed != 0)
		m->fail_code = WIRE_TIMED_OUT;
	if (m->sent == GOAWAY_ANNOUNCED && now >= m->goaway_at)
		m->sent = GOAWAY_CONCLUDE;
	return m->failed;
}

/* --- the end --------------------------------------------------------------------- */

void mux_goaway(struct mux *m, uint32_t code, uint64_t now)
{
	if (m->sent != GOAWAY_NONE)
		return;
	m->sent = GOAWAY_ANNOUNCE;
	m->goaway_code = code;
	(void)liveness_ask(&m->liveness, now);
}

bool mux_is_going(const struct mux *m)
{
	return m->sent != GOAWAY_NONE || m->received != GOAWAY_NONE;
}

bool mux_is_finished(const struct mux *m)
{
	return m->sent == GOAWAY_FINAL && m->received == GOAWAY_FINAL && m->table.count == 0 &&
	       !control_pending(m);
}

const char *mux_failure(const struct mux *m, uint32_t *code)
{
	*code = m->fail_code;
	return m->why != NULL ? m->why : "no failure";
}

const char *mux_peer_reason(const struct mux *m, uint32_t *code)
{
	*code = m->peer_code;
	return m->received == GOAWAY_FINAL ? mux_in_reason(m->peer_code) : NULL;
}

size_t mux_last_words(const struct mux *m, uint32_t code, uint8_t *buf)
{
	struct wire_goaway v = {.last = m->highest, .code = code};
	if (m->hello_unsent || m->ended_by_peer)
		return 0;
	return wire_put_goaway(buf, &v);
}
