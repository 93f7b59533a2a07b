#include "bus/relay.h"

#include "base/log.h"
#include "bus/fanout.h"
#include "bus/feed.h"
#include "net/sock.h"

#include <errno.h>
#include <sys/socket.h>

enum { IOV_MAX_FLUSH = 16 };

/* --- local socket to streams ---------------------------------------------------------- */

/* Keeps the account of whether the session is bulk. */
static void note_read(struct session *s, size_t n, size_t room)
{
	bool great = n >= RELAY_MUCH || (n == room && room >= RELAY_ROOM);
	if (great && s->bulk < RELAY_BULK)
		s->bulk++;
	else if (n < room && !great && s->bulk > 0)
		s->bulk--;
}

/*
 * A socket that has failed is read on: what its peer sent before the reset is still there.
 */
size_t relay_read_local(struct session *s, uint8_t *to, size_t room)
{
	if (s->end_in || s->dry || !(s->local.ready & LOOP_READABLE))
		return 0;
	ssize_t n;
	do
		n = recv(s->local.fd, to, room, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		s->local.ready &= ~(unsigned)LOOP_READABLE;
		return 0;
	}
	if (n <= 0) {
		/* A reset can look like an end: only SO_ERROR tells. */
		int error = n < 0 ? errno : sock_error(s->local.fd);
		s->local.ready &= ~(unsigned)LOOP_READABLE;
		if (error == 0 && s->error == 0) {
			s->end_in = true;
			return 0;
		}
		s->dry = true;
		session_fail_later(s, error);
		return 0;
	}
	if ((size_t)n < room && s->error == 0 && !(s->local.ready & LOOP_MORE))
		s->local.ready &= ~(unsigned)LOOP_READABLE;
	note_read(s, (size_t)n, room);
	s->active = bus_now(s->bus);
	return (size_t)n;
}

void relay_wake(struct session *s)
{
	for (size_t i = 0; i < s->n_members; i++) {
		struct member *m = &s->members[i];
		if (m->state != MEMBER_GONE && !m->fin_out)
			transport_ready(&m->ts);
	}
}

size_t relay_read_pipe(struct session *s, struct pipe *pipe, size_t room)
{
	if (s->end_in || s->error != 0 || !(s->local.ready & LOOP_READABLE))
		return 0;
	int64_t there = sock_queued_in(s->local.fd);
	if (there < RELAY_MUCH)
		return 0;
	/* At an urgent byte splice stops for good: a plain read takes it. */
	ssize_t n = pipes_fill(pipe, s->local.fd, (size_t)there < room ? (size_t)there : room);
	if (n <= 0)
		return 0;
	note_read(s, (size_t)n, room);
	s->active = bus_now(s->bus);
	if (n == there && !(s->local.ready & LOOP_MORE))
		s->local.ready &= ~(unsigned)LOOP_READABLE;
	return (size_t)n;
}

void relay_read(struct session *s)
{
	/* One member takes its bytes straight from the socket, after what the feed holds. */
	if (s->n_live == 1)
		relay_wake(s);
	else
		feed_read(s);
}

size_t relay_pull(struct transport_stream *ts, uint8_t *to, size_t room, enum mux_more *more)
{
	struct member *m = container_of(ts, struct member, ts);
	struct session *s = m->session;
	size_t n = 0;
	if (feed_waits(m))
		n = feed_pull(m, to, room);
	else if (s->n_live == 1)
		n = relay_read_local(s, to, room);
	if (n > 0 && feed_waits(m)) {
		*more = MUX_MORE;
	} else if (s->end_in && s->error == 0) {
		*more = MUX_END;
		m->fin_out = true;
		/* The session may be over now, but not while its stream is in use. */
		loop_again(s->bus->loop, &s->local);
	} else {
		bool again = n > 0 && s->n_live == 1 && s->local.ready & LOOP_READABLE;
		*more = again ? MUX_MORE : MUX_DRY;
		if (s->dry) /* and now all that came before the reset is on its way */
			loop_again(s->bus->loop, &s->local);
	}
	return n;
}

bool relay_is_bulk(const struct transport_stream *ts)
{
	const struct member *m = container_of(ts, struct member, ts);
	return m->session->bulk == RELAY_BULK || feed_is_piped(m);
}

size_t relay_pull_pipe(
	struct transport_stream *ts, struct pipe *pipe, size_t room, enum mux_more *more)
{
	struct member *m = container_of(ts, struct member, ts);
	struct session *s = m->session;
	size_t n = 0;
	if (feed_waits(m))
		n = feed_pull_pipe(m, pipe, room);
	else if (s->n_live == 1)
		n = relay_read_pipe(s, pipe, room);
	/* What ends the stream is for relay_pull() to see. */
	bool again = s->n_live == 1 && s->local.ready & LOOP_READABLE;
	*more = feed_waits(m) || again || s->end_in || s->dry ? MUX_MORE : MUX_DRY;
	return n;
}

/* --- streams to local socket ------------------------------------------------------------ */

static void write_failed(struct session *s, int error)
{
	if (error == EAGAIN)
		s->local.ready &= ~(unsigned)LOOP_WRITABLE;
	else
		session_fail_later(s, error);
}

/*
 * Tries to write at once what came; returns how much was taken.  Of a frame that goes on,
 * the kernel may keep a last short segment for the rest, which is here any moment.
 */
static size_t write_now(struct session *s, const uint8_t *p, size_t n, bool part)
{
	int flags = MSG_NOSIGNAL | (part ? MSG_MORE : 0);
	size_t done = 0;
	while (done < n && s->error == 0 && s->local.ready & LOOP_WRITABLE) {
		ssize_t w = send(s->local.fd, p + done, n - done, flags);
		if (w >= 0)
			done += (size_t)w;
		else if (errno != EINTR)
			write_failed(s, errno);
	}
	return done;
}

bool relay_deliver(struct member *m, const struct mux_event *ev)
{
	struct session *s = m->session;
	size_t done = 0, n = ev->n;
	s->active = bus_now(s->bus);
	if (s->state == SESSION_OPEN && !relay_member_holds(m)) {
		done = write_now(s, ev->p, n, ev->part);
		transport_consumed(&m->ts, done);
	}
	if (done == n)
		return true;
	if (fifo_append(&m->rx, s->bus->mem, ev->p + done, n - done) != 0) {
		log_error("session %s: no memory for %zu unread bytes", session_text(s), n - done);
		session_abort(s, WIRE_INTERNAL);
		return false;
	}
	quota_add(s->bus, &s->quota, n - done);
	return true;
}

/* So many held bytes were written: the member may send as many more. */
static void written(struct member *m, size_t n)
{
	struct session *s = m->session;
	quota_sub(s->bus, &s->quota, n);
	transport_consumed(&m->ts, n);
	s->active = bus_now(s->bus);
}

/* Writes what the member's pipe holds; an empty pipe is given back. */
static void flush_pipe(struct member *m)
{
	struct session *s = m->session;
	while (m->pipe->length > 0 && s->error == 0 && s->local.ready & LOOP_WRITABLE) {
		ssize_t n = pipes_drain(m->pipe, s->local.fd, m->pipe->length);
		if (n > 0)
			written(m, (size_t)n);
		else if (n < 0 && errno != EINTR)
			write_failed(s, errno);
	}
	if (m->pipe->length > 0)
		return;
	pipes_put(&s->bus->pipes, m->pipe);
	m->pipe = NULL;
}

/* Writes a member's held bytes. */
static void flush_member(struct member *m)
{
	struct session *s = m->session;
	if (m->pipe != NULL)
		flush_pipe(m);
	if (m->pipe != NULL)
		return;
	while (m->rx.length > 0 && s->error == 0 && s->local.ready & LOOP_WRITABLE) {
		struct iovec iov[IOV_MAX_FLUSH];
		struct msghdr msg = {.msg_iov = iov};
		msg.msg_iovlen = (size_t)fifo_peek(&m->rx, iov, IOV_MAX_FLUSH);
		ssize_t w = sendmsg(s->local.fd, &msg, MSG_NOSIGNAL);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0) {
			write_failed(s, errno);
			break;
		}
		fifo_drop(&m->rx, s->bus->mem, (size_t)w);
		written(m, (size_t)w);
	}
}

size_t relay_take(struct member *m, int fd, size_t n)
{
	struct session *s = m->session;
	if (s->state != SESSION_OPEN || s->error != 0 || m->rx.length > 0)
		return 0;
	if (m->pipe == NULL)
		m->pipe = pipes_get(&s->bus->pipes);
	if (m->pipe == NULL)
		return 0;
	ssize_t got = pipes_fill(m->pipe, fd, n);
	if (got > 0) {
		quota_add(s->bus, &s->quota, (size_t)got);
		s->active = bus_now(s->bus);
	}
	flush_pipe(m);
	return got > 0 ? (size_t)got : 0;
}

void relay_flush(struct session *s)
{
	for (size_t i = 0; i < s->n_members; i++)
		flush_member(&s->members[i]);
	if (s->state == SESSION_OPEN)
		fanout_check_end(s);
}

bool relay_member_holds(const struct member *m)
{
	return m->pipe != NULL || m->rx.length > 0;
}

bool relay_holds(const struct session *s)
{
	for (size_t i = 0; i < s->n_members; i++) {
		if (relay_member_holds(&s->members[i]))
			return true;
	}
	return false;
}

void relay_discard(struct member *m)
{
	struct session *s = m->session;
	if (m->pipe != NULL)
		quota_sub(s->bus, &s->quota, m->pipe->length);
	pipes_put(&s->bus->pipes, m->pipe);
	m->pipe = NULL;
	quota_sub(s->bus, &s->quota, m->rx.length);
	fifo_clear(&m->rx, s->bus->mem);
}
