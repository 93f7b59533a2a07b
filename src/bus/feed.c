#include "bus/feed.h"

#include "bus/relay.h"
#include "bus/say.h"

#include <errno.h>
#include <string.h>

static void on_evict(struct quota_holder *holder)
{
	session_evict(container_of(holder, struct feed, quota)->session, holder->bytes);
}

struct feed *feed_new(struct session *s, size_t n_members)
{
	size_t size = sizeof(struct feed) + n_members * sizeof(struct feed_member);
	struct feed *f = mem_zalloc(s->bus->mem, size);
	if (f == NULL)
		return NULL;
	f->session = s;
	quota_holder_init(&f->quota, on_evict);
	return f;
}

static struct feed_member *of(const struct member *m)
{
	return &session_of(m)->feed->members[m->index];
}

static bool is_fed(const struct member *m)
{
	return m->state != MEMBER_GONE && m->ts.stream != NULL;
}

bool feed_waits(const struct member *m)
{
	return session_of(m)->feed != NULL && is_fed(m) &&
	       of(m)->sent < session_of(m)->feed->ring.tail;
}

bool feed_holds(const struct session *s)
{
	return s->feed != NULL && s->feed->head < s->feed->ring.tail;
}

uint64_t feed_progress(const struct member *m)
{
	return of(m)->progress;
}

bool feed_is_piped(const struct member *m)
{
	return session_of(m)->feed != NULL && of(m)->pipe != NULL;
}

static void put_pipe(struct member *m)
{
	pipes_put(&session_of(m)->bus->pipes, of(m)->pipe);
	of(m)->pipe = NULL;
}

/* Gives up what every member has had. */
static void release(struct session *s)
{
	struct feed *f = s->feed;
	uint64_t slowest = f->ring.tail, before = f->head;
	for (size_t i = 0; i < s->n_members; i++) {
		if (is_fed(&s->members[i]) && f->members[i].sent < slowest)
			slowest = f->members[i].sent;
	}
	f->head = slowest;
	ring_release(&f->ring, s->bus->mem, slowest > f->ring.head ? slowest : f->ring.head);
	quota_sub(s->bus, &s->feed->quota, slowest - before);
	/* Room was made: the socket is read again, but not from inside a transport's turn. */
	if (slowest > before && s->local.ready & LOOP_READABLE && !s->end_in)
		loop_again(s->bus->loop, &s->local);
}

void feed_leave(struct member *m)
{
	if (session_of(m)->feed == NULL)
		return;
	put_pipe(m);
	release(session_of(m));
}

void feed_free(struct session *s)
{
	if (s->feed == NULL)
		return;
	for (size_t i = 0; i < s->n_members; i++)
		put_pipe(&s->members[i]);
	quota_sub(s->bus, &s->feed->quota, s->feed->ring.tail - s->feed->head);
	mem_free(s->bus->mem, s->feed->ring.buf);
	mem_free(s->bus->mem, s->feed);
	s->feed = NULL;
}

/* --- from the local socket ---------------------------------------------------------------- */

/* An empty pipe for every member, all of one size, or for none. */
static bool get_pipes(struct session *s)
{
	size_t size = 0;
	for (size_t i = 0; i < s->n_members; i++) {
		struct pipe **pipe = &s->feed->members[i].pipe;
		if (!is_fed(&s->members[i]))
			continue;
		if (transport_of_stream(&s->members[i].ts)->sealed !=
			NULL) /* it would have to be read again */
			return false;
		*pipe = pipes_get(&s->bus->pipes);
		if (*pipe == NULL || (size != 0 && (*pipe)->size != size))
			return false;
		size = (*pipe)->size;
	}
	return true;
}

static void put_empty_pipes(struct session *s)
{
	for (size_t i = 0; i < s->n_members; i++) {
		struct pipe *pipe = s->feed->members[i].pipe;
		if (pipe != NULL && pipe->length == 0)
			put_pipe(&s->members[i]);
	}
}

/*
 * A long batch goes from the socket into the first member's pipe, and from there by
 * reference into the others': they are empty and as large, so that it fits.  Bytes.
 */
static size_t read_to_pipes(struct session *s)
{
	struct feed *f = s->feed;
	const struct pipe *first = NULL;
	size_t n = 0;
	bool fits = s->bulk == RELAY_BULK && get_pipes(s);
	for (size_t i = 0; fits && i < s->n_members; i++) {
		struct pipe *pipe = f->members[i].pipe;
		if (pipe == NULL)
			continue;
		if (first == NULL) {
			n = relay_read_pipe(s, pipe, pipe->size);
			first = pipe;
			fits = n > 0;
		} else {
			fits = pipes_copy(first, pipe);
		}
	}
	if (n > 0) {
		ring_skip(&f->ring, n);
		quota_add(s->bus, &s->feed->quota, n);
	}
	if (n > 0 && !fits) {
		say_session(s, LOG_ERROR, "session %s: tee: %s", session_text(s), strerror(errno));
		session_abort(s, WIRE_INTERNAL);
		return 0;
	}
	put_empty_pipes(s);
	return n;
}

static void read_to_ring(struct session *s)
{
	struct ring *ring = &s->feed->ring;
	size_t room;
	for (uint8_t *to; (to = ring_space(ring, s->bus->mem, &room)) != NULL;) {
		size_t n = relay_read_local(s, to, room);
		if (n == 0)
			break;
		ring_filled(ring, n);
		quota_add(s->bus, &s->feed->quota, n);
	}
	if (ring->buf != NULL)
		return;
	say_session(s, LOG_ERROR, "session %s: no memory for its ring", session_text(s));
	s->dry = true;
	session_fail_later(s, ENOMEM);
}

void feed_read(struct session *s)
{
	struct feed *f = s->feed;
	uint64_t before = f->ring.tail;
	if (f->head < f->ring.head) /* the next batch waits for the end of this one */
		return;
	size_t n = feed_holds(s) ? 0 : read_to_pipes(s);
	if (s->state == SESSION_CLOSED)
		return;
	if (n == 0)
		read_to_ring(s);
	for (size_t i = 0; i < s->n_members; i++) {
		if (f->members[i].sent == before)
			f->members[i].progress = bus_now(s->bus);
	}
	release(s); /* gives the memory back where nothing came */
	if (f->ring.tail > before || s->end_in) {
		relay_wake(s);
		session_arm(s);
	}
}

/* --- to the streams ----------------------------------------------------------------------- */

static void was_sent(struct member *m, size_t n)
{
	struct feed_member *fm = of(m);
	fm->sent += n;
	fm->progress = bus_now(session_of(m)->bus);
	if (fm->pipe != NULL && fm->pipe->length == 0)
		put_pipe(m);
	release(session_of(m));
}

size_t feed_pull(struct member *m, uint8_t *to, size_t room)
{
	struct feed_member *fm = of(m);
	size_t n = fm->pipe != NULL ? pipes_read(fm->pipe, to, room)
				    : ring_copy(&session_of(m)->feed->ring, fm->sent, to, room);
	was_sent(m, n);
	return n;
}

size_t feed_pull_pipe(struct member *m, struct pipe *pipe, size_t room)
{
	struct feed_member *fm = of(m);
	size_t n = fm->pipe != NULL ? pipes_move(fm->pipe, pipe, room) : 0;
	if (n > 0)
		was_sent(m, n);
	return n;
}
