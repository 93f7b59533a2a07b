#include "bare_splice.h"

#include "endpoint.h"
#include "ev.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	HEADER = 8,
	FRAME = 1 << 20, /* bytes of a frame, and of a pipe */
	BURST = 4,       /* frames in one event */
	EVENTS = EPOLLIN | EPOLLOUT | EPOLLET,
};

struct way_in {
	struct ev ev;
	bool near;
	struct endpoint out;
};

/* What flows in one direction. */
struct flow {
	int pipe[2];
	size_t piped; /* bytes in the pipe */
	unsigned char header[HEADER];
	size_t header_at; /* bytes of it that were sent or have come; HEADER: all */
	uint64_t left;    /* of the frame, that are not in the pipe yet */
	bool ended;
};

struct pair;

struct side {
	struct ev ev;
	struct pair *pair;
};

struct pair {
	struct side plain, link; /* towards a client or server, and over the link */
	struct flow up, down;    /* from the plain side to the link, and back */
};

enum outcome { MOVED, BLOCKED, ENDED, BROKEN };

static enum outcome judge(ssize_t n)
{
	if (n > 0)
		return MOVED;
	if (n == 0)
		return ENDED;
	return errno == EAGAIN || errno == EINTR ? BLOCKED : BROKEN;
}

static enum outcome fill(struct flow *f, int fd, size_t most)
{
	ssize_t n = splice(fd, NULL, f->pipe[1], NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n > 0)
		f->piped += (size_t)n;
	return judge(n);
}

static enum outcome drain(struct flow *f, int fd)
{
	unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (f->left > 0 ? SPLICE_F_MORE : 0u);
	ssize_t n = splice(f->pipe[0], NULL, fd, NULL, f->piped, flags);
	if (n > 0)
		f->piped -= (size_t)n;
	return judge(n);
}

/* One step from the plain side to the link. */
static enum outcome step_up(struct flow *f, int plain, int link)
{
	if (f->piped == 0) {
		enum outcome o = fill(f, plain, FRAME);
		if (o != MOVED)
			return o;
		tool_put64(f->header, f->piped);
		f->header_at = 0;
	}
	while (f->header_at < HEADER) {
		ssize_t n = send(link, f->header + f->header_at, HEADER - f->header_at, MSG_MORE);
		if (n < 0)
			return judge(n);
		f->header_at += (size_t)n;
	}
	return drain(f, link);
}

/* One step from the link to the plain side. */
static enum outcome step_down(struct flow *f, int link, int plain)
{
	if (f->piped > 0)
		return drain(f, plain);
	while (f->left == 0 && f->header_at < HEADER) {
		ssize_t n = recv(link, f->header + f->header_at, HEADER - f->header_at, 0);
		if (n <= 0)
			return judge(n);
		f->header_at += (size_t)n;
		if (f->header_at == HEADER) {
			f->left = tool_get64(f->header);
			f->header_at = 0;
		}
	}
	enum outcome o = fill(f, link, f->left < FRAME ? (size_t)f->left : (size_t)FRAME);
	if (o == MOVED)
		f->left -= f->piped;
	return o == MOVED ? drain(f, plain) : o;
}

/* As far as it goes.  False: the pair is broken. */
static bool run(struct flow *f, struct ev *from, struct ev *to,
	enum outcome (*step)(struct flow *, int, int))
{
	if (f->ended)
		return true;
	enum outcome o = MOVED;
	for (int i = 0; o == MOVED && i < 2 * BURST; i++)
		o = step(f, from->fd, to->fd);
	if (o == MOVED)
		ev_again(from);
	if (o == ENDED) {
		f->ended = true;
		(void)shutdown(to->fd, SHUT_WR);
	}
	return o != BROKEN;
}

static void pair_free(struct pair *p)
{
	ev_close(&p->link.ev);
	close(p->up.pipe[0]);
	close(p->up.pipe[1]);
	close(p->down.pipe[0]);
	close(p->down.pipe[1]);
	ev_close(&p->plain.ev);
	ev_bury(&p->plain.ev); /* at the start of the pair */
}

static void on_side(struct ev *e, uint32_t events)
{
	struct pair *p = ((struct side *)e)->pair;
	(void)events;
	if (!run(&p->up, &p->plain.ev, &p->link.ev, step_up) ||
		!run(&p->down, &p->link.ev, &p->plain.ev, step_down) ||
		(p->up.ended && p->down.ended))
		pair_free(p);
}

static void open_pipe(struct flow *f)
{
	if (pipe2(f->pipe, O_NONBLOCK | O_CLOEXEC) < 0 ||
		fcntl(f->pipe[1], F_SETPIPE_SZ, FRAME) < 0)
		tool_die("pipe: %s", strerror(errno));
}

static void pair_new(const struct way_in *w, int taken, int dialled)
{
	struct pair *p = tool_calloc(1, sizeof *p);
	open_pipe(&p->up);
	open_pipe(&p->down);
	p->plain.pair = p->link.pair = p;
	endpoint_nodelay(taken);
	(void)ev_open(&p->plain.ev, w->near ? taken : dialled, EVENTS, on_side);
	(void)ev_open(&p->link.ev, w->near ? dialled : taken, EVENTS, on_side);
}

static void on_client(struct ev *e, uint32_t events)
{
	struct way_in *w = (struct way_in *)e;
	(void)events;
	int fd = accept4(w->ev.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	int out = endpoint_connect(&w->out);
	if (out < 0)
		close(fd);
	else
		pair_new(w, fd, out);
}

void bare_splice(bool near, const char *in, const char *out)
{
	struct endpoint at = endpoint_parse(in);
	struct way_in *w = tool_calloc(1, sizeof *w);
	w->near = near;
	w->out = endpoint_parse(out);
	(void)ev_open(&w->ev, endpoint_listen(&at), EPOLLIN, on_client);
}
