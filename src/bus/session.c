#include "bus/session.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/fanout.h"
#include "bus/feed.h"
#include "bus/quota.h"
#include "bus/relay.h"
#include "bus/say.h"
#include "net/sock.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLUSH_PATIENCE (1 * CLOCK_SEC)       /* for delivering what came before a reset */
enum { POLL_FIRST = 500, POLL_MAX = 50000 }; /* microseconds between looks at SIOCOUTQ */

static const char *state_name(unsigned state)
{
	static const char *const names[] = {"waiting", "open", "flushing", "closed"};
	return names[state];
}

/* The one setter; states only go forward. */
static void set_state(struct session *s, enum session_state to)
{
	assert(to > s->state);
	log_debug("session %s: %s to %s", session_text(s), state_name(s->state), state_name(to));
	if (s->state == SESSION_WAITING)
		session_stats(s)->waiting--;
	s->state = (uint8_t)to;
}

const char *session_text(const struct session *s)
{
	static char text[2 * WIRE_ID + CONF_NAME_MAX + 8];
	char hex[2 * WIRE_ID + 1];
	sodium_bin2hex(hex, sizeof hex, s->id, WIRE_ID);
	(void)snprintf(text, sizeof text, "%s [%s]", hex, s->service->name);
	return text;
}

static void on_local_event(struct loop_fd *lfd);
static void on_timer(struct timer *timer);

struct session *session_new(struct bus *bus, const struct session_options *opt)
{
	assert(opt->n_members >= 1 && opt->n_members <= CONF_SERVERS_MAX);
	size_t size = sizeof(struct session) + opt->n_members * sizeof(struct member);
	struct session *s = mem_zalloc(bus->mem, size);
	if (s == NULL)
		return NULL;
	s->bus = bus;
	if (opt->n_members > 1) {
		s->feed = feed_new(s, opt->n_members);
		if (s->feed == NULL) {
			mem_free(bus->mem, s);
			return NULL;
		}
	}
	s->service = opt->service;
	s->generation = generation_hold(opt->generation);
	s->owner = opt->owner;
	s->full_duplex = opt->full_duplex;
	s->n_members = s->n_live = (uint8_t)opt->n_members;
	s->active = bus_now(bus);
	s->timer.fire = on_timer;
	loop_fd_init(&s->local, on_local_event);
	if (opt->id != NULL)
		memcpy(s->id, opt->id, WIRE_ID);
	else
		bus_new_id(bus, s->id);
	for (size_t i = 0; i < opt->n_members; i++) {
		s->members[i].index = (uint8_t)i;
		s->members[i].ts.ops = fanout_ops();
	}
	list_append(&bus->sessions, &s->node);
	bus->n_sessions++;
	session_stats(s)->waiting++;
	return s;
}

int session_set_local(struct session *s, int fd, bool is_tcp)
{
	int rc = loop_add(s->bus->loop, &s->local, fd);
	if (rc != 0) {
		int saved = errno;
		(void)close(fd);
		errno = saved;
	}
	s->local_tcp = is_tcp;
	return rc;
}

void session_start(struct session *s)
{
	set_state(s, SESSION_OPEN);
	session_stats(s)->opened++;
	s->deadline = 0;
	s->active = bus_now(s->bus);
	for (size_t i = 0; i < s->n_members; i++) {
		struct member *m = &s->members[i];
		if (m->ts.stream == NULL && m->state == MEMBER_OPEN) {
			m->state = MEMBER_GONE;
			s->n_live--;
		}
	}
	/* The descriptor is new: whether it can be written or read is found by trying. */
	s->local.ready |= LOOP_READABLE | LOOP_WRITABLE;
	if (s->reset_due)
		session_reset_local(s, WIRE_ABORTED, STATS_REMOTE_RESET);
	relay_flush(s);
	if (s->state == SESSION_OPEN)
		relay_read(s);
	session_arm(s);
}

/* --- the end --------------------------------------------------------------------- */

static void finish(struct session *s)
{
	set_state(s, SESSION_CLOSED);
	loop_timer_stop(s->bus->loop, &s->timer);
	loop_close(s->bus->loop, &s->local);
	for (size_t i = 0; i < s->n_members; i++)
		relay_discard(&s->members[i]);
	feed_free(s);
	list_remove(&s->node);
	s->bus->n_sessions--;
	s->owner->closed(s);
	generation_drop(s->bus, s->generation);
	loop_free_later(s->bus->loop, s);
	if (s->bus->idle != NULL)
		s->bus->idle(s->bus);
}

static void close_streams(struct session *s, uint32_t code)
{
	for (size_t i = 0; i < s->n_members; i++)
		transport_close_stream(&s->members[i].ts, code);
}

/* One that flushes has been counted when its end was known. */
static void count_end(struct session *s, enum stats_end how)
{
	if (s->state == SESSION_OPEN)
		session_stats(s)->ended[how]++;
}

static void count_refusal(struct session *s, enum stats_refusal why)
{
	if (s->state == SESSION_WAITING)
		session_stats(s)->refused[why]++;
}

/* Counts what a code stands for that this node has chosen. */
static void count_abort(struct session *s, uint32_t code)
{
	switch (code) {
	case WIRE_ABORTED:
		count_end(s, STATS_LOCAL_RESET);
		count_refusal(s, STATS_GIVEN_UP);
		break;
	case WIRE_IDLE:
		count_end(s, STATS_IDLE);
		break;
	case WIRE_BUSY:
		count_end(s, STATS_EVICTED);
		count_refusal(s, STATS_MEMORY);
		break;
	case WIRE_DRAINING:
		count_end(s, STATS_CUT);
		count_refusal(s, STATS_DRAINED);
		break;
	default:
		count_end(s, STATS_FAILED);
		count_refusal(s, STATS_NO_RESOURCES);
		break;
	}
}

void session_abort(struct session *s, uint32_t code)
{
	if (s->state == SESSION_CLOSED)
		return;
	count_abort(s, code);
	close_streams(s, code);
	finish(s);
}

void session_refuse(struct session *s, enum stats_refusal why, uint32_t code)
{
	assert(s->state == SESSION_WAITING);
	count_refusal(s, why);
	close_streams(s, code);
	finish(s);
}

/* Both directions ended in order: let the kernel deliver what it has. */
static void finish_clean(struct session *s)
{
	log_debug("session %s: ended", session_text(s));
	count_end(s, STATS_CLEAN);
	close_streams(s, WIRE_ABORTED);
	if (s->local_tcp)
		(void)sock_linger_off(s->local.fd);
	finish(s);
}

void session_check_end(struct session *s)
{
	if (s->state != SESSION_OPEN || !s->end_in || !s->end_out)
		return;
	for (size_t i = 0; i < s->n_members; i++) {
		const struct member *m = &s->members[i];
		if (m->state != MEMBER_GONE && !m->fin_out)
			return;
	}
	finish_clean(s);
}

/* All that came before the reset is written: is it acknowledged too? */
static void poll_flushed(struct session *s)
{
	if (s->local.fd < 0 || s->error != 0 || bus_now(s->bus) >= s->deadline ||
		(!relay_holds(s) && sock_queued_out(s->local.fd) <= 0)) {
		finish(s);
		return;
	}
	session_arm(s);
}

void session_reset_local(struct session *s, uint32_t code, enum stats_end how)
{
	if (s->state >= SESSION_FLUSHING)
		return;
	close_streams(s, code);
	/* What came before the reset waits for the backend, if it is still being dialled. */
	if (s->state == SESSION_WAITING && relay_holds(s)) {
		s->reset_due = true;
		return;
	}
	count_end(s, how);
	count_refusal(s, STATS_GIVEN_UP);
	set_state(s, SESSION_FLUSHING);
	s->deadline = bus_now(s->bus) + FLUSH_PATIENCE;
	poll_flushed(s);
}

void session_evict(struct session *s, uint64_t bytes)
{
	say_session(s, LOG_WARNING,
		"session %s: reset: it holds %ju unread bytes, the most of all, and memory= is "
		"used up",
		session_text(s), (uintmax_t)bytes);
	s->bus->stats.memory_evicted++;
	session_abort(s, WIRE_BUSY);
}

/* --- the local socket's events ------------------------------------------------------ */

static void local_failed(struct session *s)
{
	say_session(s, LOG_INFO, "session %s: %s side: %s", session_text(s),
		s->bus->conf->role == CONF_CONTROLLER ? "client" : "backend", strerror(s->error));
	session_abort(s, WIRE_ABORTED);
}

/*
 * The socket has failed.  What its peer had sent before is still in the kernel or in the
 * feed, and goes first, as if there were no proxy; for a second at most.
 */
static void on_failed(struct session *s)
{
	uint64_t now = bus_now(s->bus);
	if (s->state == SESSION_OPEN && s->deadline == 0)
		s->deadline = now + FLUSH_PATIENCE;
	bool left = !s->end_in && (!s->dry || feed_holds(s));
	if (s->state != SESSION_OPEN || !left || now >= s->deadline) {
		local_failed(s);
		return;
	}
	s->local.ready |= LOOP_READABLE;
	relay_read(s);
	session_arm(s);
}

void session_fail_later(struct session *s, int error)
{
	if (s->error == 0)
		s->error = error;
	loop_again(s->bus->loop, &s->local);
}

static void on_local_event(struct loop_fd *lfd)
{
	struct session *s = container_of(lfd, struct session, local);
	if (lfd->ready & LOOP_ERROR) {
		int error = sock_error(lfd->fd);
		lfd->ready &= ~(unsigned)LOOP_ERROR;
		if (s->error == 0)
			s->error = error;
	}
	if (s->error != 0) {
		on_failed(s);
		return;
	}
	if (s->state == SESSION_WAITING)
		return;
	if (lfd->ready & LOOP_WRITABLE)
		relay_flush(s);
	if (s->state == SESSION_OPEN && lfd->ready & LOOP_READABLE)
		relay_read(s);
	session_check_end(s);
	quota_enforce(s->bus); /* a feed may have been filled */
}

/* --- time --------------------------------------------------------------------------- */

/* When FLUSHING looks at the queue again: after as long as it has been looking. */
static uint64_t next_look(const struct session *s)
{
	uint64_t now = bus_now(s->bus), wait = now - (s->deadline - FLUSH_PATIENCE);
	if (wait < POLL_FIRST)
		wait = POLL_FIRST;
	if (wait > POLL_MAX)
		wait = POLL_MAX;
	return now + wait < s->deadline ? now + wait : s->deadline;
}

static uint64_t next_deadline(const struct session *s)
{
	uint64_t at = CLOCK_NEVER, slow;
	switch (s->state) {
	case SESSION_WAITING:
		return s->deadline != 0 ? s->deadline : CLOCK_NEVER;
	case SESSION_FLUSHING:
		return next_look(s);
	case SESSION_OPEN:
		if (s->error != 0)
			return s->deadline;
		if (s->service->idle_timeout != 0)
			at = s->active + s->service->idle_timeout;
		slow = fanout_deadline(s);
		return slow < at ? slow : at;
	default:
		return CLOCK_NEVER;
	}
}

void session_arm(struct session *s)
{
	uint64_t at = next_deadline(s);
	if (at == CLOCK_NEVER)
		loop_timer_stop(s->bus->loop, &s->timer);
	else if (timer_is_set(&s->timer) && s->timer.at <= at && s->state == SESSION_OPEN)
		return; /* fires early and is set anew then */
	else if (loop_timer_set(s->bus->loop, &s->timer, at) != 0) {
		say_session(s, LOG_ERROR, "session %s: no memory for its timer", session_text(s));
		session_abort(s, WIRE_INTERNAL);
	}
}

static void on_timer(struct timer *timer)
{
	struct session *s = container_of(timer, struct session, timer);
	uint64_t now = bus_now(s->bus);
	switch (s->state) {
	case SESSION_WAITING:
		say_session(s, LOG_WARNING,
			"session %s: refused: no segment reachable within connect_timeout",
			session_text(s));
		session_refuse(s, STATS_NO_LINK, WIRE_TIMED_OUT);
		return;
	case SESSION_FLUSHING:
		poll_flushed(s);
		return;
	default:
		break;
	}
	if (s->error != 0) {
		on_failed(s);
		return;
	}
	if (s->service->idle_timeout != 0 && now >= s->active + s->service->idle_timeout) {
		say_session(s, LOG_INFO, "session %s: closed: no byte for idle_timeout",
			session_text(s));
		session_abort(s, WIRE_IDLE);
		return;
	}
	fanout_drop_slow(s);
	if (s->state == SESSION_OPEN)
		session_arm(s);
}
