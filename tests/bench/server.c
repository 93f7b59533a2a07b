#include "server.h"

#include "ev.h"
#include "pattern.h"
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct listener {
	struct ev ev;
	enum role role;
	struct server *server;
};

struct conn {
	struct ev ev;
	enum role role;
	struct server *server;
	struct conn *previous, *next; /* in the server's list of those that are open */
	bool eof, corrupt;
	uint64_t count; /* a sink's received, a source's sent bytes */
	uint64_t seed, left, answered;
	size_t have; /* bytes of head[] */
	unsigned char head[SERVER_RECORD];
	unsigned char *out; /* what a short write left over; NULL: nothing */
	size_t out_at, out_length;
};

struct server {
	uint64_t conns[ROLES], bytes[ROLES], corrupt, resets; /* counted */
	struct listener listener[ROLES * OPTIONS_ADDRESSES];
	size_t listeners;
	struct conn *first;
};

static const char *const role_names[ROLES] = {"echo", "sink", "quiet", "source"};

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static void keep(struct conn *c, const unsigned char *p, size_t n)
{
	size_t kept = c->out != NULL ? c->out_length - c->out_at : 0;
	unsigned char *q = malloc(kept + n);
	if (q == NULL)
		tool_die("out of memory");
	if (kept > 0)
		memcpy(q, c->out + c->out_at, kept);
	memcpy(q + kept, p, n);
	free(c->out);
	c->out = q;
	c->out_at = 0;
	c->out_length = kept + n;
}

/* Writes now or keeps for later.  False: the connection is gone. */
static bool put(struct conn *c, const unsigned char *p, size_t n)
{
	if (c->out == NULL) {
		ssize_t w = write(c->ev.fd, p, n);
		if (w < 0 && !would_block())
			return false;
		if (w > 0) {
			p += w;
			n -= (size_t)w;
		}
	}
	if (n > 0)
		keep(c, p, n);
	return true;
}

static bool flush(struct conn *c)
{
	while (c->out != NULL) {
		ssize_t w = write(c->ev.fd, c->out + c->out_at, c->out_length - c->out_at);
		if (w < 0)
			return would_block();
		c->out_at += (size_t)w;
		if (c->out_at == c->out_length) {
			free(c->out);
			c->out = NULL;
		}
	}
	return true;
}

static bool is_sink(const struct conn *c)
{
	return c->role == ROLE_SINK || c->role == ROLE_QUIET;
}

static bool sink_answer(struct conn *c, const char *tag)
{
	unsigned char record[SERVER_RECORD] = {0};
	memcpy(record, tag, 4);
	record[7] = c->corrupt;
	tool_put64(record + 8, c->count);
	return put(c, record, sizeof record);
}

static bool sink_take(struct conn *c, const unsigned char *p, size_t n)
{
	for (; n > 0 && c->have < SERVER_SEED; n--) {
		c->head[c->have++] = *p++;
		c->count++;
		if (c->have == SERVER_SEED)
			c->seed = tool_get64(c->head);
	}
	if (n > 0 && !c->corrupt && !pattern_equal(p, n, c->seed + c->count - SERVER_SEED)) {
		c->corrupt = true;
		c->server->corrupt++;
	}
	c->count += n;
	if (c->role == ROLE_QUIET || c->count - c->answered < SERVER_ANSWER_EVERY)
		return true;
	c->answered = c->count - c->count % SERVER_ANSWER_EVERY;
	return sink_answer(c, "LGA1");
}

static void source_take(struct conn *c, const unsigned char *p, size_t n)
{
	if (c->have == SERVER_RECORD)
		return;
	for (; n > 0 && c->have < SERVER_RECORD; n--)
		c->head[c->have++] = *p++;
	if (c->have == SERVER_RECORD) {
		c->left = tool_get64(c->head);
		c->seed = tool_get64(c->head + 8);
	}
}

static bool source_send(struct conn *c)
{
	for (int i = 0; i < EV_BURST && c->left > 0; i++) {
		size_t n = c->left < PATTERN_RUN ? (size_t)c->left : PATTERN_RUN;
		ssize_t w = write(c->ev.fd, pattern_at(c->seed + c->count), n);
		if (w < 0)
			return would_block();
		c->count += (uint64_t)w;
		c->server->bytes[ROLE_SOURCE] += (uint64_t)w;
		if (c->left != UINT64_MAX)
			c->left -= (uint64_t)w;
	}
	return true;
}

static bool take(struct conn *c, const unsigned char *p, size_t n)
{
	if (c->role == ROLE_SOURCE) {
		source_take(c, p, n);
		return true;
	}
	c->server->bytes[c->role] += n;
	return c->role == ROLE_ECHO ? put(c, p, n) : sink_take(c, p, n);
}

/* An echo reads no further while its reader is behind. */
static bool reads(const struct conn *c)
{
	return !c->eof && !(c->role == ROLE_ECHO && c->out != NULL);
}

static bool receive(struct conn *c)
{
	for (int i = 0; i < EV_BURST && reads(c); i++) {
		ssize_t n = read(c->ev.fd, ev_scratch, sizeof ev_scratch);
		if (n < 0)
			return would_block();
		if (n == 0) {
			c->eof = true;
			return !is_sink(c) || sink_answer(c, "LGF1");
		}
		if (!take(c, ev_scratch, (size_t)n))
			return false;
		if ((size_t)n < sizeof ev_scratch)
			break;
	}
	return true;
}

static bool asked(const struct conn *c)
{
	return c->role == ROLE_SOURCE && c->have == SERVER_RECORD;
}

/* One event's work.  False: the connection failed. */
static bool serve(struct conn *c, uint32_t events)
{
	if (!flush(c))
		return false;
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !receive(c))
		return false;
	if (!asked(c))
		return true;
	if (c->eof && c->left == UINT64_MAX)
		c->left = 0;
	return source_send(c);
}

static bool is_done(const struct conn *c)
{
	if (c->out != NULL)
		return false;
	return asked(c) ? c->left == 0 : c->eof;
}

static void conn_close(struct conn *c)
{
	if (c->previous != NULL)
		c->previous->next = c->next;
	else
		c->server->first = c->next;
	if (c->next != NULL)
		c->next->previous = c->previous;
	free(c->out);
	ev_bury(&c->ev);
}

static void conn_event(struct ev *e, uint32_t events)
{
	struct conn *c = (struct conn *)e;
	bool alive = serve(c, events);
	if (!alive)
		c->server->resets++;
	if (!alive || is_done(c)) {
		conn_close(c);
		return;
	}
	bool writing = c->out != NULL || (asked(c) && c->left > 0);
	ev_want(e, (reads(c) ? EPOLLIN : 0) | (writing ? EPOLLOUT : 0));
}

static void conn_open(struct server *server, enum role role, int fd)
{
	struct conn *c = tool_calloc(1, sizeof *c);
	c->role = role;
	c->server = server;
	c->next = server->first;
	if (c->next != NULL)
		c->next->previous = c;
	server->first = c;
	server->conns[role]++;
	endpoint_nodelay(fd);
	ev_open(&c->ev, fd, EPOLLIN, conn_event);
}

static void accept_event(struct ev *e, uint32_t events)
{
	struct listener *l = (struct listener *)e;
	(void)events;
	for (;;) {
		int fd = accept4(e->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				tool_die("out of file descriptors (ulimit -n)");
			return;
		}
		conn_open(l->server, l->role, fd);
	}
}

static void listen_on(struct server *server, enum role role, const char *address)
{
	char name[ENDPOINT_TEXT];
	struct endpoint e = endpoint_parse(address);
	struct listener *l = &server->listener[server->listeners++];
	l->role = role;
	l->server = server;
	ev_open(&l->ev, endpoint_listen(&e), EPOLLIN, accept_event);
	endpoint_name(l->ev.fd, name);
	printf(" %s=%s", role_names[role], name);
}

static void close_all(struct server *server)
{
	for (size_t i = 0; i < server->listeners; i++)
		ev_close(&server->listener[i].ev);
	while (server->first != NULL)
		conn_close(server->first);
	ev_turn(0); /* frees them */
}

static void report(const struct server *server)
{
	printf("server");
	for (int role = 0; role < ROLES; role++)
		printf(" %s_conns=%ju %s_bytes=%ju", role_names[role],
			(uintmax_t)server->conns[role], role_names[role],
			(uintmax_t)server->bytes[role]);
	printf(" corrupt=%ju resets=%ju\n", (uintmax_t)server->corrupt, (uintmax_t)server->resets);
}

int server_run(const struct options *o)
{
	struct server server = {.first = NULL};
	printf("listening");
	for (int role = 0; role < ROLES; role++) {
		for (size_t i = 0; i < o->serve_count[role]; i++)
			listen_on(&server, (enum role)role, o->serve[role][i]);
	}
	printf("\n");
	if (server.listeners == 0)
		tool_die("server needs --echo, --sink, --quiet or --source");
	while (!ev_stopped())
		ev_turn(-1);
	report(&server);
	close_all(&server);
	return server.corrupt != 0;
}
