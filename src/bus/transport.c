#include "bus/transport.h"

#include "base/err.h"
#include "bus/guard.h"
#include "bus/output.h"
#include "bus/quota.h"
#include "net/sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONG_PATH (2 * CLOCK_MS)      /* round trip above which buffers are widened */
enum { LONG_PATH_BUFFER = 32 << 20 }; /* bytes */

static void touch(struct transport *t)
{
	if (!t->dead)
		loop_defer(t->bus->loop, &t->flush);
}

/* 0 or ERR_NOMEM: others may have taken the room that the timer left when it fired. */
static int arm(struct transport *t)
{
	uint64_t at = mux_deadline(t->mux);
	if (t->ending.by < at)
		at = t->ending.by;
	/* A timer that fires early is cheaper than one moved with every byte. */
	if (timer_is_set(&t->timer) ? t->timer.at <= at : at == CLOCK_NEVER)
		return 0;
	return loop_timer_set(t->bus->loop, &t->timer, at);
}

/* --- in ------------------------------------------------------------------------- */

/*
 * On a long path one connection's send buffer is what limits it.  The kernel grows it by
 * itself only so far; more takes a privilege, and is asked for upward only.
 */
static void widen(struct transport *t)
{
	if (t->is_tcp && transport_round_trip(t) > LONG_PATH)
		(void)sock_widen(t->lfd.fd, LONG_PATH_BUFFER);
}

static void dispatch(struct transport *t, const struct mux_event *ev)
{
	struct transport_stream *ts = ev->user;
	switch (ev->type) {
	case MUX_DATA:
		ts->ops->data(ts, ev);
		break;
	case MUX_RESET:
		mux_close(ev->stream, ev->code, bus_now(t->bus));
		ts->stream = NULL;
		ts->ops->reset(ts, ev->code);
		break;
	case MUX_OPEN:
		t->ops->open(t, ev->stream, ev->open);
		break;
	case MUX_READY:
		widen(t);
		t->ops->ready(t);
		guard_ready(t);
		break;
	case MUX_GOAWAY:
		t->ops->goaway(t, ev->code);
		break;
	case MUX_ANNOUNCE:
		if (t->ops->announce != NULL)
			t->ops->announce(t, &ev->announce);
		break;
	case MUX_TOKEN:
		if (guard_renew(t, ev->p, ev->n) && !t->dead && t->ops->renewed != NULL)
			t->ops->renewed(t);
		break;
	case MUX_HEARD:
		if (t->ops->heard != NULL)
			t->ops->heard(t);
		break;
	case MUX_NONE:
	case MUX_EVENTS:
		break;
	}
}

/* All frames of one read.  False when the transport is dead after it. */
static bool feed(struct transport *t, const uint8_t *p, size_t n)
{
	for (;;) {
		struct mux_event ev;
		if (mux_receive(t->mux, &p, &n, bus_now(t->bus), &ev) != 0) {
			ending_fault(t);
			return false;
		}
		if (ev.type == MUX_NONE)
			return true;
		dispatch(t, &ev);
		if (t->dead)
			return false;
	}
}

/*
 * A long payload goes from socket to socket through a pipe, if its stream's user can
 * take it so.  Bytes moved; 0: it comes through read_some().
 */
static size_t take_long(struct transport *t)
{
	uint32_t n;
	if (t->sealed != NULL)
		return 0;
	struct mux_stream *s = mux_pending(t->mux, &n);
	if (s == NULL)
		return 0;
	t->long_frames = mux_pending_frame(t->mux) >= PIPES_USEFUL;
	if (!t->long_frames)
		return 0;
	struct transport_stream *ts = mux_user(s);
	size_t got = ts->ops->take(ts, t->lfd.fd, n);
	t->long_frames = got > 0;
	t->received += got;
	if (got > 0 && mux_took(t->mux, (uint32_t)got, bus_now(t->bus)) && ts->stream != NULL)
		ts->ops->data(ts, &(struct mux_event){.type = MUX_DATA, .fin = true});
	return got;
}

/* As read_some(), of a secured transport: one read, and all frames of its whole records. */
static size_t read_sealed(struct transport *t)
{
	size_t room, n_plain;
	const uint8_t *plain;
	ssize_t n = sealed_receive(t, &room);
	int rc = 0, error = errno;
	if (n > 0) {
		t->received += (size_t)n;
		rc = sealed_open(t, &plain, &n_plain);
		mux_stirs(t->mux, bus_now(t->bus));
		(void)feed(t, plain, n_plain);
	}
	int kept = sealed_rest(t);
	if (t->dead)
		return 0;
	if (n > 0 && (rc < 0 || kept < 0))
		ending_error(t, rc < 0 ? rc : kept);
	else if (n > 0)
		ending_check_close(t);
	else if (n == 0)
		ending_by_peer(t);
	else if (error != EAGAIN)
		ending_lost(t, error);
	if (n < 0 || ((size_t)n < room && !(t->lfd.ready & LOOP_MORE)))
		t->lfd.ready &= ~(unsigned)LOOP_READABLE;
	return n > 0 && !t->dead ? (size_t)n : 0;
}

/*
 * One read, and all frames in it.  Bytes read, or 0 when there is nothing more or the
 * transport is dead.
 */
static size_t read_some(struct transport *t)
{
	/* After a long frame another is likely: its payload is not to be read along. */
	size_t room = t->long_frames ? WIRE_HEADER : BUS_READ;
	ssize_t n;
	do
		n = recv(t->lfd.fd, t->bus->read_buf, room, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		t->lfd.ready &= ~(unsigned)LOOP_READABLE;
		return 0;
	}
	if (n < 0) {
		ending_lost(t, errno);
		return 0;
	}
	if (n == 0) {
		ending_by_peer(t);
		return 0;
	}
	t->received += (size_t)n;
	/* A short read has emptied the socket, unless an end is behind the bytes. */
	if ((size_t)n < room && !(t->lfd.ready & LOOP_MORE))
		t->lfd.ready &= ~(unsigned)LOOP_READABLE;
	return feed(t, t->bus->read_buf, (size_t)n) ? (size_t)n : 0;
}

/* Reads what there is, up to the turn's budget. */
static void read_all(struct transport *t)
{
	size_t budget = BUS_TURN;
	while (t->lfd.ready & LOOP_READABLE) {
		size_t n = take_long(t);
		if (n == 0)
			n = t->sealed != NULL ? read_sealed(t) : read_some(t);
		if (n == 0 || t->dead)
			return;
		if (n >= budget) {
			loop_again(t->bus->loop, &t->lfd);
			return;
		}
		budget -= n;
	}
}

static void on_event(struct loop_fd *lfd)
{
	struct transport *t = container_of(lfd, struct transport, lfd);
	if (lfd->ready & LOOP_READABLE)
		read_all(t);
	if (t->dead)
		return;
	quota_enforce(t->bus);
	touch(t);
}

static void flush(struct loop_work *work)
{
	struct transport *t = container_of(work, struct transport, flush);
	output_sample(t);
	bool more = false;
	int rc = output_write(t, &more);
	if (more)
		touch(t);
	if (rc == ERR_SYS) {
		/* What the peer had sent before it closed still counts: read it first. */
		int error = errno;
		read_all(t);
		ending_lost(t, error);
		return;
	}
	if (rc != 0 && rc != ERR_AGAIN) {
		ending_error(t, rc);
		return;
	}
	ending_goodbye(t);
	if (!t->dead && arm(t) != 0)
		ending_error(t, ERR_NOMEM);
}

static void on_timer(struct timer *timer)
{
	struct transport *t = container_of(timer, struct transport, timer);
	/* What can be read is read before a deadline is judged. */
	t->lfd.ready |= LOOP_READABLE;
	read_all(t);
	if (!t->dead && t->ending.expelled && bus_now(t->bus) >= t->ending.by)
		guard_look_again(t);
	if (!t->dead)
		ending_tick(t);
	if (t->dead)
		return;
	if (mux_tick(t->mux, bus_now(t->bus)) != 0)
		ending_fault(t);
	else
		touch(t);
}

/* --- life ------------------------------------------------------------------------- */

/*
 * Every stream's user gives its stream back, and is told that it is lost.  At an orderly end
 * none is: what is left then has ended both ways, and only its user is not done with it.
 */
static void lose_streams(struct transport *t)
{
	void *user;
	for (struct mux_stream *s; (s = mux_any(t->mux, &user)) != NULL;) {
		struct transport_stream *ts = user;
		mux_close(s, WIRE_LINK_LOST, bus_now(t->bus));
		if (ts != NULL) {
			ts->stream = NULL;
			if (t->ending.why != NULL)
				ts->ops->reset(ts, WIRE_LINK_LOST);
		}
	}
}

/* At the end of the turn in which it died nobody up the stack uses the transport any more. */
static void bury(struct loop_work *work)
{
	struct transport *t = container_of(work, struct transport, bury);
	struct bus *bus = t->bus;
	lose_streams(t);
	t->ops->closed(t, t->ending.why);
	mux_free(t->mux);
	spare_put(&bus->buffers, t->out);
	pipes_put(&bus->pipes, t->pipe);
	sealed_free(bus, t->sealed);
	list_remove(&t->node);
	bus->n_transports--;
	bus->stats.closed[t->ending.how]++;
	bus->stats.wire_received += t->received;
	bus->stats.wire_sent += t->sent;
	loop_free_later(bus->loop, t);
	if (bus->idle != NULL)
		bus->idle(bus);
}

static struct mux *make_mux(struct transport *t, struct bus *bus, enum mux_side side)
{
	bool may_grow;
	struct mux_options opt = {.side = side,
		.role = bus->conf->role == CONF_CONTROLLER ? WIRE_CONTROLLER : WIRE_SEGMENT,
		.window = quota_window(bus, &may_grow),
		.window_ceiling = (uint32_t)bus->conf->max_window,
		.link_timeout = bus->conf->link_timeout,
		.seed = bus->seed,
		.owner = t};
	memcpy(opt.instance, bus->instance, sizeof opt.instance);
	struct mux *m = mux_new(bus->mem, &opt, bus_now(bus));
	if (m != NULL)
		mux_set_window(m, opt.window, may_grow);
	return m;
}

int transport_new(struct transport **out, struct bus *bus, const struct transport_options *opt)
{
	int rc = ERR_NOMEM;
	struct sealed *sealed = NULL;
	if (opt->secure != NULL && (sealed = sealed_new(bus, opt->secure, &opt->seat)) == NULL)
		goto err0;
	struct transport *t = mem_zalloc(bus->mem, sizeof *t);
	if (t == NULL)
		goto err0;
	t->mux = make_mux(t, bus, opt->side);
	if (t->mux == NULL)
		goto err1;
	t->sealed = sealed;
	t->bus = bus;
	t->ops = opt->ops;
	t->owner = opt->owner;
	t->door = opt->door;
	t->timer.fire = on_timer;
	loop_fd_init(&t->lfd, on_event);
	loop_work_init(&t->flush, flush);
	loop_work_init(&t->bury, bury);
	ending_init(&t->ending);
	rc = loop_timer_set(bus->loop, &t->timer, mux_deadline(t->mux));
	if (rc != 0)
		goto err2;
	rc = loop_add(bus->loop, &t->lfd, opt->fd);
	if (rc != 0)
		goto err3;
	(void)sock_peer_name(opt->fd, &t->peer);
	t->is_tcp = addr_family(&t->peer) != AF_UNIX;
	t->side = opt->side == MUX_DIALLED ? STATS_DIALLED : STATS_ACCEPTED;
	list_append(&bus->transports, &t->node);
	bus->n_transports++;
	bus->stats.transports[t->side][sealed != NULL]++;
	/* A connected socket takes the HELLO at once, without waiting for its event. */
	t->lfd.ready |= LOOP_WRITABLE;
	touch(t);
	*out = t;
	return 0;
err3:
	loop_timer_stop(bus->loop, &t->timer);
err2:
	mux_free(t->mux);
err1:
	mem_free(bus->mem, t);
err0:;
	int saved = errno;
	sealed_free(bus, sealed);
	(void)close(opt->fd);
	errno = saved;
	return rc;
}

/* --- for the owner --------------------------------------------------------------- */

int transport_open(struct transport *t, struct transport_stream *ts, struct wire_open *open)
{
	if (t->dead)
		return ERR_CLOSED;
	int rc = mux_open(t->mux, open, ts, bus_now(t->bus), &ts->stream);
	if (rc == 0)
		touch(t);
	return rc;
}

void transport_refuse(struct transport *t, struct mux_stream *stream, uint32_t code)
{
	mux_close(stream, code, bus_now(t->bus));
	touch(t);
}

void transport_close_stream(struct transport_stream *ts, uint32_t code)
{
	if (ts->stream == NULL)
		return;
	struct transport *t = transport_of_stream(ts);
	mux_close(ts->stream, code, bus_now(t->bus));
	ts->stream = NULL;
	touch(t);
}

void transport_ready(struct transport_stream *ts)
{
	if (ts->stream == NULL)
		return;
	struct transport *t = transport_of_stream(ts);
	mux_ready(ts->stream, bus_now(t->bus));
	touch(t);
}

void transport_consumed(struct transport_stream *ts, uint64_t n)
{
	if (ts->stream == NULL || n == 0)
		return;
	struct transport *t = transport_of_stream(ts);
	mux_consumed(ts->stream, n, bus_now(t->bus));
	touch(t);
}

uint64_t transport_round_trip(const struct transport *t)
{
	struct sock_path path;
	return t->is_tcp && sock_path(t->lfd.fd, &path) == 0 ? path.min_rtt : 0;
}

void transport_goaway(struct transport *t, uint32_t code)
{
	if (t->dead)
		return;
	mux_goaway(t->mux, code, bus_now(t->bus));
	touch(t);
}

int transport_announce(struct transport *t, const struct wire_announce *v)
{
	if (t->dead)
		return ERR_CLOSED;
	int rc = mux_announce(t->mux, v);
	touch(t);
	return rc;
}

int transport_token(struct transport *t, const void *text, size_t n)
{
	if (t->dead)
		return ERR_CLOSED;
	int rc = mux_token(t->mux, text, n);
	touch(t);
	if (rc == 0 && t->ops->vouched != NULL)
		t->ops->vouched(t);
	return rc;
}

void transport_set_window(struct transport *t, uint32_t window, bool may_grow)
{
	if (t->dead)
		return;
	mux_set_window(t->mux, window, may_grow);
	touch(t);
}
