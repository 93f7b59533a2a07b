#include "bus/fanout.h"

#include "base/log.h"
#include "bus/feed.h"
#include "bus/relay.h"
#include "bus/say.h"

#include <sys/socket.h>

/* Takes a member out of the session; the others' pace may change. */
static void remove_member(struct member *m, uint32_t code)
{
	struct session *s = session_of(m);
	transport_close_stream(&m->ts, code);
	m->state = MEMBER_GONE;
	s->n_live--;
	if (s->state != SESSION_OPEN)
		return;
	feed_leave(m);
	/* The last one left is fed straight from the socket from now on. */
	if (s->n_live == 1)
		loop_again(s->bus->loop, &s->local);
}

/* Half duplex: the first data decide who the session belongs to. */
static void latch(struct member *winner)
{
	struct session *s = session_of(winner);
	s->latched = true;
	if (s->n_members > 1)
		session_stats(s)->latches++;
	if (s->n_live == 1)
		return;
	log_debug("session %s: latched", session_text(s));
	for (size_t i = 0; i < s->n_members; i++) {
		struct member *m = &s->members[i];
		if (m != winner && m->state != MEMBER_GONE)
			remove_member(m, WIRE_LATCHED);
	}
}

void fanout_check_end(struct session *s)
{
	bool going_on = false;
	for (size_t i = 0; i < s->n_members; i++) {
		struct member *m = &s->members[i];
		if (m->state == MEMBER_OPEN && m->fin_in && !relay_member_holds(m))
			m->state = MEMBER_ENDED;
		/* What a lost member had sent before is delivered too. */
		if (m->state == MEMBER_OPEN || relay_member_holds(m))
			going_on = true;
	}
	if (s->state != SESSION_OPEN || going_on)
		return;
	if (!s->end_out && s->full_duplex && s->lost) {
		say_session(s, LOG_INFO, "session %s: reset at its end: a member was lost",
			session_text(s));
		session_reset_local(s, WIRE_ABORTED, STATS_MEMBER_LOST);
		return;
	}
	if (!s->end_out) {
		s->end_out = true;
		session_check_end(s);
		/* Where it was the last end, closing the socket has said so already. */
		if (s->state == SESSION_OPEN)
			(void)shutdown(s->local.fd, SHUT_WR);
		return;
	}
	session_check_end(s);
}

void fanout_lost(struct member *m, uint32_t code)
{
	struct session *s = session_of(m);
	if (m->state == MEMBER_GONE)
		return;
	s->lost = true;
	if (s->n_live > 1) {
		session_stats(s)->members_lost++;
		say_session(s, LOG_INFO, "session %s: a member is lost (%s), %u left",
			session_text(s), wire_code_text(code), s->n_live - 1u);
	}
	remove_member(m, code);
	if (s->n_live > 0) {
		fanout_check_end(s);
		return;
	}
	/* Losing a latch is what most members of a half-duplex session do. */
	if (code == WIRE_LATCHED)
		log_debug("session %s: reset: %s", session_text(s), wire_code_text(code));
	else
		say_session(s, LOG_INFO, "session %s: reset: %s", session_text(s),
			wire_code_text(code));
	session_reset_local(s, code, stats_end_by_peer(code));
}

/* --- what a stream calls ---------------------------------------------------------------- */

static void on_data(struct transport_stream *ts, const struct mux_event *ev)
{
	struct member *m = container_of(ts, struct member, ts);
	struct session *s = session_of(m);
	if (ev->n > 0 && !s->full_duplex && !s->latched)
		latch(m);
	if (ev->n > 0 && !relay_deliver(m, ev))
		return;
	if (!ev->fin)
		return;
	m->fin_in = true;
	if (s->state == SESSION_OPEN)
		fanout_check_end(s);
}

static size_t on_take(struct transport_stream *ts, int fd, size_t n)
{
	struct member *m = container_of(ts, struct member, ts);
	struct session *s = session_of(m);
	if (!s->full_duplex && !s->latched)
		return 0; /* the latch is for data() to set */
	return relay_take(m, fd, n);
}

static void on_reset(struct transport_stream *ts, uint32_t code)
{
	struct member *m = container_of(ts, struct member, ts);
	if (session_of(m)->state < SESSION_FLUSHING)
		fanout_lost(m, code);
}

const struct transport_stream_ops *fanout_ops(void)
{
	static const struct transport_stream_ops ops = {.data = on_data,
		.reset = on_reset,
		.pull = relay_pull,
		.is_bulk = relay_is_bulk,
		.pull_pipe = relay_pull_pipe,
		.take = on_take};
	return &ops;
}

/* --- the slow ------------------------------------------------------------------------------ */

uint64_t fanout_deadline(const struct session *s)
{
	uint64_t at = CLOCK_NEVER;
	if (s->n_live <= 1)
		return at;
	for (size_t i = 0; i < s->n_members; i++) {
		const struct member *m = &s->members[i];
		if (feed_waits(m) && feed_progress(m) + s->service->member_timeout < at)
			at = feed_progress(m) + s->service->member_timeout;
	}
	return at;
}

void fanout_drop_slow(struct session *s)
{
	uint64_t now = bus_now(s->bus);
	for (size_t i = 0; i < s->n_members && s->n_live > 1; i++) {
		struct member *m = &s->members[i];
		if (!feed_waits(m) || now < feed_progress(m) + s->service->member_timeout)
			continue;
		say_session(s, LOG_WARNING,
			"session %s: member %zu dropped: no progress for member_timeout",
			session_text(s), i + 1);
		s->lost = true;
		session_stats(s)->members_slow++;
		remove_member(m, WIRE_SLOW);
	}
	fanout_check_end(s);
}
