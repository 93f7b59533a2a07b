#include "bare_batch.h"

#include "endpoint.h"
#include "ev.h"
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	HEADER = 8,
	READ = 64 << 10,
	STAGED = 1 << 20,
	LISTENS = EPOLLIN | EPOLLET,
	WRITES = LISTENS | EPOLLOUT,
};

struct session {
	struct ev ev;
	struct batch *batch;
	uint32_t id;
	bool ready, listed; /* may have something to read; is in the list of those */
	bool said_end, heard_end;
	struct session *next_ready, *next_free;
	unsigned char *held; /* what the socket did not take yet; NULL: nothing */
	size_t held_at, held_length;
};

struct batch {
	struct ev listener, link; /* the listener of the far one is closed after the link */
	bool near;
	struct endpoint out;
	bool readable; /* the link */
	struct session *first_ready, **last_ready;
	unsigned char *staged;
	size_t sent, length; /* bytes staged, and sent of them */
	unsigned char header[HEADER];
	size_t header_have;
	uint32_t id, left; /* of the frame that comes in */
	uint32_t ids;      /* ever used */
	struct session *free;
	struct session *sessions[BARE_SESSIONS];
};

static struct batch *batches[BARE_BATCHES];
static size_t batch_count;

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

/* --- sessions ----------------------------------------------------------------------------- */

static void list_ready(struct session *s)
{
	s->ready = true;
	if (s->listed || s->said_end)
		return;
	s->listed = true;
	s->next_ready = NULL;
	*s->batch->last_ready = s;
	s->batch->last_ready = &s->next_ready;
}

static void drop_held(struct session *s)
{
	free(s->held);
	s->held = NULL;
}

/* Gives the rest to the socket; where that is gone the bytes are too. */
static void flush_held(struct session *s)
{
	while (s->held != NULL) {
		ssize_t n = send(s->ev.fd, s->held + s->held_at, s->held_length - s->held_at, 0);
		if (n < 0 && would_block())
			return;
		s->held_at += n > 0 ? (size_t)n : 0;
		if (n < 0 || s->held_at == s->held_length)
			drop_held(s);
	}
	ev_want(&s->ev, LISTENS);
	if (s->heard_end && !s->said_end)
		(void)shutdown(s->ev.fd, SHUT_WR);
}

/* Both directions are over: the number is free, the object waits for its next use. */
static void retire(struct session *s)
{
	if (!s->said_end || !s->heard_end || s->held != NULL || s->listed || s->ev.fd < 0)
		return;
	ev_close(&s->ev);
	s->next_free = s->batch->free;
	s->batch->free = s;
}

static void on_session(struct ev *e, uint32_t events)
{
	struct session *s = (struct session *)e;
	if (events & EPOLLOUT)
		flush_held(s);
	if (events & ~(uint32_t)EPOLLOUT)
		list_ready(s);
	retire(s);
}

static struct session *session_at(struct batch *b, uint32_t id)
{
	if (id >= BARE_SESSIONS)
		tool_die("more than %d sessions", BARE_SESSIONS);
	if (b->sessions[id] == NULL) {
		b->sessions[id] = tool_calloc(1, sizeof(struct session));
		b->sessions[id]->batch = b;
		b->sessions[id]->id = id;
		b->sessions[id]->ev.fd = -1;
	}
	return b->sessions[id];
}

static void session_begin(struct session *s, int fd)
{
	s->said_end = s->heard_end = false;
	(void)ev_open(&s->ev, fd, LISTENS, on_session);
}

/* --- towards the link --------------------------------------------------------------------- */

/* Reads once from a session into a frame. */
static void stage(struct batch *b, struct session *s)
{
	unsigned char *frame = b->staged + b->length;
	ssize_t n = recv(s->ev.fd, frame + HEADER, READ, 0);
	s->ready = n == READ;
	if (n < 0 && would_block())
		return;
	uint32_t length = n > 0 ? (uint32_t)n : 0;
	s->said_end = length == 0;
	memcpy(frame, &(uint32_t){htonl(length)}, 4);
	memcpy(frame + 4, &(uint32_t){htonl(s->id)}, 4);
	b->length += HEADER + length;
}

/* False: the link does not take all of it now. */
static bool send_staged(struct batch *b)
{
	while (b->sent < b->length) {
		ssize_t n = send(b->link.fd, b->staged + b->sent, b->length - b->sent, 0);
		if (n < 0 && would_block())
			return false;
		if (n < 0)
			tool_die("link: %s", strerror(errno));
		b->sent += (size_t)n;
	}
	b->sent = b->length = 0;
	return true;
}

static void stage_all(struct batch *b)
{
	struct session *s;
	while ((s = b->first_ready) != NULL && b->length + HEADER + READ <= STAGED) {
		b->first_ready = s->next_ready;
		if (b->first_ready == NULL)
			b->last_ready = &b->first_ready;
		s->listed = false;
		stage(b, s);
		if (s->ready && !s->said_end)
			list_ready(s);
		retire(s);
	}
}

/* --- from the link ------------------------------------------------------------------------ */

static void hold(struct session *s, const unsigned char *p, size_t n)
{
	size_t kept = s->held != NULL ? s->held_length - s->held_at : 0;
	unsigned char *q = tool_calloc(1, kept + n);
	if (kept > 0)
		memcpy(q, s->held + s->held_at, kept);
	memcpy(q + kept, p, n);
	drop_held(s);
	s->held = q;
	s->held_at = 0;
	s->held_length = kept + n;
	ev_want(&s->ev, WRITES);
}

static void deliver(struct session *s, const unsigned char *p, size_t n)
{
	ssize_t w = s->held == NULL ? send(s->ev.fd, p, n, 0) : 0;
	if (w < 0 && !would_block())
		return; /* reading it will tell, too */
	w = w > 0 ? w : 0;
	if ((size_t)w < n)
		hold(s, p + w, n - (size_t)w);
}

static void begin_frame(struct batch *b)
{
	uint32_t word[2];
	memcpy(word, b->header, HEADER);
	b->header_have = 0;
	b->left = ntohl(word[0]);
	b->id = ntohl(word[1]);
	struct session *s = session_at(b, b->id);
	if (s->ev.fd < 0) {
		int fd = b->near ? -1 : endpoint_connect(&b->out);
		if (fd < 0)
			tool_die("no session %u", b->id);
		session_begin(s, fd);
	}
	if (b->left == 0) {
		s->heard_end = true;
		if (s->held == NULL && !s->said_end)
			(void)shutdown(s->ev.fd, SHUT_WR);
		retire(s);
	}
}

static void take(struct batch *b, const unsigned char *p, size_t n)
{
	while (n > 0) {
		size_t k;
		if (b->left > 0) {
			k = n < b->left ? n : b->left;
			deliver(session_at(b, b->id), p, k);
			b->left -= (uint32_t)k;
		} else {
			k = n < HEADER - b->header_have ? n : HEADER - b->header_have;
			memcpy(b->header + b->header_have, p, k);
			b->header_have += k;
			if (b->header_have == HEADER)
				begin_frame(b);
		}
		p += k;
		n -= k;
	}
}

static void read_link(struct batch *b)
{
	for (int i = 0; b->readable && i < EV_BURST; i++) {
		ssize_t n = recv(b->link.fd, ev_scratch, sizeof ev_scratch, 0);
		if (n == 0 || (n < 0 && !would_block()))
			tool_die("link: lost");
		if (n > 0)
			take(b, ev_scratch, (size_t)n);
		b->readable = n == sizeof ev_scratch;
	}
}

static void on_link(struct ev *e, uint32_t events)
{
	struct batch *b = (struct batch *)(void *)((char *)e - offsetof(struct batch, link));
	if (events & ~(uint32_t)EPOLLOUT)
		b->readable = true;
	read_link(b);
}

/* --- the ways in -------------------------------------------------------------------------- */

/* A link under way takes nothing, and an event tells when it does. */
static bool have_link(struct batch *b)
{
	if (b->link.fd >= 0)
		return true;
	int fd = endpoint_connect(&b->out);
	return fd >= 0 && ev_open(&b->link, fd, WRITES, on_link);
}

static void on_client(struct ev *e, uint32_t events)
{
	struct batch *b = (struct batch *)e;
	(void)events;
	for (int i = 0; i < EV_BATCH; i++) {
		int fd = accept4(b->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		if (!have_link(b)) {
			close(fd);
			continue;
		}
		struct session *s = b->free;
		if (s != NULL)
			b->free = s->next_free;
		else
			s = session_at(b, b->ids++);
		session_begin(s, fd);
	}
}

static void on_near(struct ev *e, uint32_t events)
{
	struct batch *b = (struct batch *)e;
	(void)events;
	int fd = accept4(b->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	ev_close(&b->listener);
	(void)ev_open(&b->link, fd, WRITES, on_link);
}

void bare_batch(bool near, const char *in, const char *out)
{
	if (batch_count == BARE_BATCHES)
		tool_die("more than %d batches", BARE_BATCHES);
	struct endpoint at = endpoint_parse(in);
	struct batch *b = batches[batch_count++] = tool_calloc(1, sizeof *b);
	b->near = near;
	b->out = endpoint_parse(out);
	b->link.fd = -1;
	b->last_ready = &b->first_ready;
	b->staged = tool_calloc(1, STAGED);
	int fd = endpoint_listen(&at);
	endpoint_nodelay(fd); /* is inherited */
	(void)ev_open(&b->listener, fd, EPOLLIN, near ? on_client : on_near);
}

/* Whether there is more to do at once. */
static bool turn(struct batch *b)
{
	if (b->link.fd < 0)
		return false;
	if (b->readable)
		read_link(b);
	stage_all(b);
	bool blocked = !send_staged(b);
	return b->readable || (b->first_ready != NULL && !blocked);
}

bool bare_batch_turn(void)
{
	bool more = false;
	for (size_t i = 0; i < batch_count; i++)
		more |= turn(batches[i]);
	return more;
}
