#include "bus/relay.h"

#include "base/fifo.h"
#include "bus/fanout.h"
#include "bus/feed.h"
#include "bus/quota.h"
#include "bus/say.h"
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
	session_stats(s)->received += (size_t)n;
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
	session_stats(s)->received += (size_t)n;
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
	struct session *s = session_of(m);
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
	return session_of(m)->bulk == RELAY_BULK || feed_is_piped(m);
}

size_t relay_pull_pipe(
	struct transport_stream *ts, struct pipe *pipe, size_t room, enum mux_more *more)
{
	struct member *m = container_of(ts, struct member, ts);
	struct session *s = session_of(m);
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

/* What came from a member and waits for the local socket; exists only while something does. */
struct unread {
	struct member *member;
	struct quota_holder quota;
	struct pipe *pipe; /* first what is in this pipe, if there is one, */
	struct fifo fifo;  /* then what is in here */
};

static void on_evict(struct quota_holder *holder)
{
	const struct unread *u = container_of(holder, struct unread, quota);
	session_evict(session_of(u->member), holder->bytes);
}

/* NULL: no memory. */
static struct unread *get_unread(struct member *m)
{
	if (m->unread != NULL)
		return m->unread;
	struct unread *u = mem_zalloc(session_of(m)->bus->mem, sizeof *u);
	if (u == NULL)
		return NULL;
	u->member = m;
	quota_holder_init(&u->quota, on_evict);
	m->unread = u;
	return u;
}

static void put_if_empty(struct member *m)
{
	struct bus *bus = session_of(m)->bus;
	struct unread *u = m->unread;
	if (u->pipe != NULL && u->pipe->length == 0) {
		pipes_put(&bus->pipes, u->pipe);
		u->pipe = NULL;
	}
	if (u->pipe != NULL || u->fifo.length > 0)
		return;
	mem_free(bus->mem, u);
	m->unread = NULL;
}

static bool keep(struct member *m, const uint8_t *p, size_t n)
{
	struct bus *bus = session_of(m)->bus;
	struct unread *u = get_unread(m);
	if (u == NULL)
		return false;
	bool kept = fifo_append(&u->fifo, bus->mem, p, n) == 0;
	if (kept)
		quota_add(bus, &u->quota, n);
	put_if_empty(m);
	return kept;
}

bool relay_deliver(struct member *m, const struct mux_event *ev)
{
	struct session *s = session_of(m);
	size_t done = 0, n = ev->n;
	s->active = bus_now(s->bus);
	if (s->state == SESSION_OPEN && m->unread == NULL) {
		done = write_now(s, ev->p, n, ev->part);
		session_stats(s)->sent += done;
		transport_consumed(&m->ts, done);
	}
	if (done == n || keep(m, ev->p + done, n - done))
		return true;
	say_session(s, LOG_ERROR, "session %s: no memory for %zu unread bytes", session_text(s),
		n - done);
	session_abort(s, WIRE_INTERNAL);
	return false;
}

/* So many held bytes were written: the member may send as many more. */
static void written(struct member *m, size_t n)
{
	struct session *s = session_of(m);
	quota_sub(s->bus, &m->unread->quota, n);
	transport_consumed(&m->ts, n);
	session_stats(s)->sent += n;
	s->active = bus_now(s->bus);
}

static void flush_pipe(struct member *m)
{
	struct session *s = session_of(m);
	struct pipe *pipe = m->unread->pipe;
	while (pipe->length > 0 && s->error == 0 && s->local.ready & LOOP_WRITABLE) {
		ssize_t n = pipes_drain(pipe, s->local.fd, pipe->length);
		if (n > 0)
			written(m, (size_t)n);
		else if (n < 0 && errno != EINTR)
			write_failed(s, errno);
	}
}

static void flush_fifo(struct member *m)
{
	struct session *s = session_of(m);
	struct fifo *fifo = &m->unread->fifo;
	while (fifo->length > 0 && s->error == 0 && s->local.ready & LOOP_WRITABLE) {
		struct iovec iov[IOV_MAX_FLUSH];
		struct msghdr msg = {.msg_iov = iov};
		msg.msg_iovlen = (size_t)fifo_peek(fifo, iov, IOV_MAX_FLUSH);
		ssize_t w = sendmsg(s->local.fd, &msg, MSG_NOSIGNAL);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0) {
			write_failed(s, errno);
			break;
		}
		fifo_drop(fifo, s->bus->mem, (size_t)w);
		written(m, (size_t)w);
	}
}

/* Writes a member's held bytes. */
static void flush_member(struct member *m)
{
	const struct unread *u = m->unread;
	if (u == NULL)
		return;
	if (u->pipe != NULL)
		flush_pipe(m);
	if (u->pipe == NULL || u->pipe->length == 0)
		flush_fifo(m);
	put_if_empty(m);
}

size_t relay_take(struct member *m, int fd, size_t n)
{
	struct session *s = session_of(m);
	if (s->state != SESSION_OPEN || s->error != 0)
		return 0;
	struct unread *u = get_unread(m);
	if (u == NULL)
		return 0;
	ssize_t got = 0;
	if (u->fifo.length == 0 && u->pipe == NULL)
		u->pipe = pipes_get(&s->bus->pipes);
	if (u->fifo.length == 0 && u->pipe != NULL)
		got = pipes_fill(u->pipe, fd, n);
	if (got > 0) {
		quota_add(s->bus, &u->quota, (size_t)got);
		s->active = bus_now(s->bus);
		flush_pipe(m);
	}
	put_if_empty(m);
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
	return m->unread != NULL;
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
	struct bus *bus = session_of(m)->bus;
	struct unread *u = m->unread;
	if (u == NULL)
		return;
	quota_sub(bus, &u->quota, u->quota.bytes);
	pipes_put(&bus->pipes, u->pipe);
	fifo_clear(&u->fifo, bus->mem);
	mem_free(bus->mem, u);
	m->unread = NULL;
}
