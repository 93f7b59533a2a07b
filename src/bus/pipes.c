#include "bus/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void pipes_init(struct pipes *p, struct mem *mem)
{
	*p = (struct pipes){.mem = mem};
	list_init(&p->spare);
}

static void destroy(struct pipes *p, struct pipe *pipe)
{
	(void)close(pipe->in);
	(void)close(pipe->out);
	mem_free(p->mem, pipe);
	p->count--;
}

void pipes_fini(struct pipes *p)
{
	for (struct list *node; (node = list_first(&p->spare)) != NULL;) {
		list_remove(node);
		destroy(p, container_of(node, struct pipe, node));
	}
}

static struct pipe *make(struct pipes *p)
{
	int fd[2];
	struct pipe *pipe = mem_zalloc(p->mem, sizeof *pipe);
	if (pipe == NULL)
		return NULL;
	if (pipe2(fd, O_NONBLOCK | O_CLOEXEC) != 0) {
		mem_free(p->mem, pipe);
		return NULL;
	}
	(void)fcntl(fd[1], F_SETPIPE_SZ, PIPES_SIZE);
	int size = fcntl(fd[1], F_GETPIPE_SZ);
	list_init(&pipe->node);
	pipe->out = fd[0];
	pipe->in = fd[1];
	pipe->size = size > 0 ? (size_t)size : 0;
	p->count++;
	if (pipe->size < PIPES_USEFUL) {
		p->unusable = 1;
		destroy(p, pipe);
		return NULL;
	}
	return pipe;
}

struct pipe *pipes_get(struct pipes *p)
{
	struct list *node = list_first(&p->spare);
	if (node != NULL) {
		list_remove(node);
		return container_of(node, struct pipe, node);
	}
	return p->count < PIPES_MAX && !p->unusable ? make(p) : NULL;
}

void pipes_put(struct pipes *p, struct pipe *pipe)
{
	if (pipe == NULL)
		return;
	p->unusable = 0;
	if (pipe->length > 0)
		destroy(p, pipe);
	else
		list_prepend(&p->spare, &pipe->node);
}

ssize_t pipes_fill(struct pipe *pipe, int fd, size_t n)
{
	if (n > pipe->size - pipe->length)
		n = pipe->size - pipe->length;
	if (n == 0) {
		errno = EAGAIN;
		return -1;
	}
	ssize_t got = splice(fd, NULL, pipe->in, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (got > 0)
		pipe->length += (size_t)got;
	return got;
}

ssize_t pipes_drain(struct pipe *pipe, int fd, size_t n)
{
	if (n > pipe->length)
		n = pipe->length;
	ssize_t gone = splice(pipe->out, NULL, fd, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (gone > 0)
		pipe->length -= (size_t)gone;
	return gone;
}

bool pipes_copy(const struct pipe *from, struct pipe *to)
{
	ssize_t n = tee(from->out, to->in, from->length, SPLICE_F_NONBLOCK);
	if (n > 0)
		to->length += (size_t)n;
	return to->length == from->length;
}

static void swap(struct pipe *a, struct pipe *b)
{
	struct pipe was = *a;
	a->in = b->in;
	a->out = b->out;
	a->size = b->size;
	a->length = b->length;
	b->in = was.in;
	b->out = was.out;
	b->size = was.size;
	b->length = was.length;
}

size_t pipes_move(struct pipe *from, struct pipe *to, size_t n)
{
	if (n >= from->length) {
		n = from->length;
		swap(from, to);
		return n;
	}
	ssize_t got = pipes_fill(to, from->out, n);
	if (got > 0)
		from->length -= (size_t)got;
	return got > 0 ? (size_t)got : 0;
}

size_t pipes_read(struct pipe *pipe, uint8_t *to, size_t n)
{
	ssize_t got;
	do
		got = read(pipe->out, to, n);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		pipe->length -= (size_t)got;
	return got > 0 ? (size_t)got : 0;
}
