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
