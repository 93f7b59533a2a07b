#include "bus/output.h"

#include "base/err.h"
#include "net/sock.h"

#include <errno.h>
#include <sys/socket.h>

#define SAMPLE_INTERVAL (200 * CLOCK_MS) /* between looks at the path */
#define QUANTUM_TIME (4 * CLOCK_MS)      /* what a stream's turn may take where several compete, */
enum {
	QUANTUM_MIN = 16 << 10, /* but so many bytes */
	QUANTUM_MAX = 256 << 10,
	FRAME_ROOM = 8 << 10,   /* bytes: for less no further frame is staged */
	SPARSE_READ = 16 << 10, /* a stream whose source gives less, and no more, is sparse */
	UNSENT = 128 << 10,     /* bytes the kernel may queue unsent while sparse and bulk mix */
};

static uint32_t quantum(uint64_t rate)
{
	uint64_t bytes = rate / (CLOCK_SEC / QUANTUM_TIME);
	if (rate == 0 || bytes > QUANTUM_MAX)
		return QUANTUM_MAX;
	return bytes < QUANTUM_MIN ? QUANTUM_MIN : (uint32_t)bytes;
}

void output_sample(struct transport *t)
{
	uint64_t now = bus_now(t->bus);
	if (now - t->sampled < SAMPLE_INTERVAL)
		return;
	struct sock_path path;
	bool mixed = t->bulk_seen && t->sparse_seen;
	/* Where we had too little to send, the path may be faster than it looks. */
	if (t->is_tcp && sock_path(t->lfd.fd, &path) == 0 &&
		(!path.app_limited || path.delivery_rate > t->rate)) {
		t->rate = path.delivery_rate;
		mux_set_rate(t->mux, t->rate);
	}
	mux_set_quantum(t->mux, quantum(t->rate));
	/* On loopback nothing waits for a wire, and the mark would only cost wakeups. */
	if (t->is_tcp && !addr_is_loopback(&t->peer) && mixed != t->lowat &&
		sock_notsent_lowat(t->lfd.fd, mixed ? UNSENT : 0) == 0)
		t->lowat = mixed;
	t->bulk_seen = t->sparse_seen = false;
	t->sampled = now;
}

/*
 * The stream's next frame goes through a pipe, if it is worth it: the pipe is filled before
 * the header is made, so that the length is one that can be paid.  The header's length,
 * or 0: it is to be copied.
 */
static size_t stage_pipe(struct transport *t, struct mux_stream *s, uint32_t grant, uint8_t *header)
{
	struct transport_stream *ts = mux_user(s);
	if (grant < PIPES_USEFUL || t->sealed != NULL || !ts->ops->is_bulk(ts))
		return 0;
	if (t->pipe == NULL)
		t->pipe = pipes_get(&t->bus->pipes);
	if (t->pipe == NULL)
		return 0;
	enum mux_more more;
	size_t got = ts->ops->pull_pipe(ts, t->pipe, grant, &more);
	t->bulk_seen = true;
	return got == 0 ? 0 : mux_commit(s, (uint32_t)got, more, bus_now(t->bus), header);
}

/* The stream's next frame by way of the staged output.  Its length with the header. */
static size_t stage_copy(struct transport *t, struct mux_stream *s, size_t grant, uint8_t *to)
{
	struct transport_stream *ts = mux_user(s);
	enum mux_more more;
	bool alone = mux_waiting(t->mux) == 1;
	size_t got = ts->ops->pull(ts, to + WIRE_HEADER, grant, &more);
	if (got >= SPARSE_READ)
		t->bulk_seen = true;
	else if (!alone && got > 0 && more != MUX_MORE)
		t->sparse_seen = true;
	return got + mux_commit(s, (uint32_t)got, more, bus_now(t->bus), to);
}

/* Bytes that may be staged at once: of a secured transport they grow when they are sealed. */
static size_t room_of(const struct transport *t)
{
	return t->sealed != NULL ? (size_t)SEALED_STAGED : (size_t)BUS_WRITE;
}

/* All control frames, as far as they fit; a list of names gets its next part as one leaves. */
static size_t stage_control(struct transport *t)
{
	size_t n = 0, step, all = room_of(t);
	do {
		bool full = !mux_can_announce(t->mux);
		step = mux_control(t->mux, t->out + n, all - n, bus_now(t->bus));
		n += step;
		if (full && mux_can_announce(t->mux) && t->ops->announced != NULL)
			t->ops->announced(t);
	} while (step > 0 && all - n >= MUX_CONTROL_ROOM);
	return n;
}

/* Stages control frames, then payload in turns, the last of it perhaps in the pipe. */
static void fill(struct transport *t)
{
	struct mux *m = t->mux;
	size_t n = stage_control(t), all = room_of(t);
	struct mux_stream *s;
	uint32_t grant;
	while ((s = mux_next(m, &grant)) != NULL) {
		if (n >= all - FRAME_ROOM)
			break;
		size_t header = stage_pipe(t, s, grant, t->out + n);
		n += header;
		if (header > 0)
			break;
		size_t room = all - n - WIRE_HEADER;
		n += stage_copy(t, s, grant < room ? grant : room, t->out + n);
	}
	t->out_begin = 0;
	t->out_end = n;
}

static size_t staged(const struct transport *t)
{
	return t->out_end - t->out_begin + (t->pipe != NULL ? t->pipe->length : 0);
}

/* Writes what is staged.  0; ERR_AGAIN when the socket is full; ERR_SYS. */
static int drain(struct transport *t)
{
	while (staged(t) > 0) {
		ssize_t n;
		int more = t->pipe != NULL && t->pipe->length > 0 ? MSG_MORE : 0;
		if (t->out_begin < t->out_end) {
			n = send(t->lfd.fd, t->out + t->out_begin, t->out_end - t->out_begin,
				MSG_NOSIGNAL | more);
			t->out_begin += n > 0 ? (size_t)n : 0;
		} else {
			n = pipes_drain(t->pipe, t->lfd.fd, t->pipe->length);
		}
		t->sent += n > 0 ? (size_t)n : 0;
		if (n < 0 && errno == EAGAIN) {
			t->lfd.ready &= ~(unsigned)LOOP_WRITABLE;
			return ERR_AGAIN;
		}
		if (n < 0 && errno != EINTR)
			return ERR_SYS;
	}
	return 0;
}

/* Nothing follows our end: an answer that is still owed is of no use to the peer. */
static bool is_over(const struct transport *t)
{
	return t->ending.shut || (t->sealed != NULL && t->sealed->said_close);
}

int output_write(struct transport *t, bool *more)
{
	size_t budget = BUS_TURN;
	while (t->lfd.ready & LOOP_WRITABLE) {
		if (t->out == NULL) {
			if (is_over(t) || !mux_has_output(t->mux))
				break;
			t->out = spare_get(&t->bus->buffers);
			if (t->out == NULL)
				return ERR_NOMEM;
			fill(t);
			int sealed = t->sealed != NULL && t->out_end > 0 ? sealed_seal(t) : 0;
			if (sealed != 0)
				return sealed;
		}
		size_t n = staged(t);
		int rc = drain(t);
		if (rc != 0)
			return rc;
		spare_put(&t->bus->buffers, t->out);
		t->out = NULL;
		if (n >= budget) {
			*more = true;
			break;
		}
		budget -= n;
	}
	if (t->out == NULL) {
		pipes_put(&t->bus->pipes, t->pipe);
		t->pipe = NULL;
	}
	return 0;
}
