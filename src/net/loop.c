#include "net/loop.h"

#include "base/clock.h"
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS_PER_TURN = 256 };

/*
 * The note of a block to be freed, inside the block: only where the list of blocks
 * could not grow.  A loop_fd at either multiple of 8 still has -1 for its descriptor.
 */
struct garbage {
	int minus1a;
	uint32_t next_low;
	int minus1b;
	uint32_t next_high;
};
_Static_assert(sizeof(struct garbage) == LOOP_FREE_MIN, "as loop.h promises");

struct loop {
	struct mem *mem;
	int epfd;
	int handed; /* given up by loop_hand_over() and still in the kernel's set, or -1 */
	bool stopped;
	uint64_t now;
	uint64_t turn; /* counts the batches of events fetched */
	struct timers timers;
	struct list again; /* loop_fd.again */
	struct list work;  /* loop_work.node */
	void **garbage;    /* n_garbage blocks to free at the turn's end */
	size_t n_garbage, garbage_room;
	struct garbage *overflow; /* and those that were linked for want of room */
};

struct loop *loop_new(struct mem *mem)
{
	struct loop *loop = mem_zalloc(mem, sizeof *loop);
	if (loop == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd < 0) {
		mem_free(mem, loop);
		return NULL;
	}
	loop->mem = mem;
	loop->handed = -1;
	loop->now = clock_now();
	timers_init(&loop->timers, mem);
	list_init(&loop->again);
	list_init(&loop->work);
	return loop;
}

static void sweep(struct loop *loop)
{
	while (loop->n_garbage > 0)
		mem_free(loop->mem, loop->garbage[--loop->n_garbage]);
	while (loop->overflow != NULL) {
		struct garbage *g = loop->overflow;
		uint64_t next = (uint64_t)g->next_high << 32 | g->next_low;
		loop->overflow = (struct garbage *)(uintptr_t)next;
		mem_free(loop->mem, g);
	}
}

static void forget_all(struct list *l)
{
	for (struct list *n; (n = list_first(l)) != NULL;)
		list_remove(n);
}

void loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	sweep(loop);
	mem_free(loop->mem, loop->garbage);
	forget_all(&loop->again);
	forget_all(&loop->work);
	timers_fini(&loop->timers);
	close(loop->epfd);
	mem_free(loop->mem, loop);
}

void loop_fd_init(struct loop_fd *lfd, void (*event)(struct loop_fd *lfd))
{
	lfd->fd = -1;
	lfd->ready = 0;
	lfd->event = event;
	lfd->since = 0;
	list_init(&lfd->again);
}

/*
 * The one place that says what the kernel is asked for.  Edge-triggered interest in
 * everything never has to change; only descriptors of libraries are watched by level.
 */
static uint32_t interest(bool edge, unsigned events)
{
	if (edge)
		return EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	return (events & LOOP_READABLE ? EPOLLIN : 0u) | (events & LOOP_WRITABLE ? EPOLLOUT : 0u);
}

/* 0, or -1 with errno. */
static int enter(struct loop *loop, int fd, struct epoll_event *ev)
{
	bool known = fd == loop->handed;
	if (known)
		loop->handed = -1;
	/* It may have been closed, and be another by now. */
	if (known && epoll_ctl(loop->epfd, EPOLL_CTL_MOD, fd, ev) == 0)
		return 0;
	return epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, ev);
}

/* Nobody put it in again: its events would name an owner who is gone. */
static void forget_handed(struct loop *loop)
{
	struct epoll_event ev = {0};
	if (loop->handed >= 0)
		(void)epoll_ctl(loop->epfd, EPOLL_CTL_DEL, loop->handed, &ev);
	loop->handed = -1;
}

int loop_add(struct loop *loop, struct loop_fd *lfd, int fd)
{
	assert(lfd->fd < 0);
	struct epoll_event ev = {.events = interest(true, 0), .data.ptr = lfd};
	if (enter(loop, fd, &ev) != 0)
		return ERR_SYS;
	lfd->fd = fd;
	lfd->ready = 0;
	lfd->since = loop->turn;
	return 0;
}

int loop_watch(struct loop *loop, struct loop_fd *lfd, int fd, unsigned events)
{
	if (events == 0) {
		if (lfd->fd >= 0)
			(void)loop_remove(loop, lfd);
		return 0;
	}
	struct epoll_event ev = {.events = interest(false, events), .data.ptr = lfd};
	bool is_new = lfd->fd < 0;
	int rc = is_new ? enter(loop, fd, &ev) : epoll_ctl(loop->epfd, EPOLL_CTL_MOD, fd, &ev);
	if (rc != 0)
		return ERR_SYS;
	if (is_new) {
		lfd->ready = 0;
		lfd->since = loop->turn;
	}
	lfd->fd = fd;
	return 0;
}

void loop_again(struct loop *loop, struct loop_fd *lfd)
{
	if (lfd->fd >= 0 && list_empty(&lfd->again))
		list_append(&loop->again, &lfd->again);
}

int loop_hand_over(struct loop *loop, struct loop_fd *lfd)
{
	int fd = lfd->fd;
	assert(fd >= 0);
	forget_handed(loop);
	loop->handed = fd;
	list_remove(&lfd->again);
	lfd->fd = -1;
	lfd->ready = 0;
	return fd;
}

int loop_remove(struct loop *loop, struct loop_fd *lfd)
{
	int fd = loop_hand_over(loop, lfd);
	forget_handed(loop);
	return fd;
}

void loop_close(struct loop *loop, struct loop_fd *lfd)
{
	(void)loop;
	if (lfd->fd < 0)
		return;
	list_remove(&lfd->again);
	(void)close(lfd->fd); /* leaves the epoll set with its last reference */
	lfd->fd = -1;
	lfd->ready = 0;
}

void loop_work_init(struct loop_work *work, void (*run)(struct loop_work *work))
{
	list_init(&work->node);
	work->run = run;
}

void loop_defer(struct loop *loop, struct loop_work *work)
{
	if (list_empty(&work->node))
		list_append(&loop->work, &work->node);
}

void loop_cancel(struct loop_work *work)
{
	list_remove(&work->node);
}

static bool make_garbage_room(struct loop *loop)
{
	if (loop->n_garbage < loop->garbage_room)
		return true;
	size_t room = loop->garbage_room > 0 ? 2 * loop->garbage_room : 64;
	void **garbage = mem_resize(loop->mem, loop->garbage, room * sizeof *garbage);
	if (garbage == NULL)
		return false;
	loop->garbage = garbage;
	loop->garbage_room = room;
	return true;
}

void loop_free_later(struct loop *loop, void *p)
{
	if (p == NULL)
		return;
	if (make_garbage_room(loop)) {
		loop->garbage[loop->n_garbage++] = p;
		return;
	}
	uint64_t next = (uint64_t)(uintptr_t)loop->overflow;
	struct garbage *g = p;
	*g = (struct garbage){.minus1a = -1,
		.next_low = (uint32_t)next,
		.minus1b = -1,
		.next_high = (uint32_t)(next >> 32)};
	loop->overflow = g;
}

uint64_t loop_now(const struct loop *loop)
{
	return loop->now;
}

int loop_timer_set(struct loop *loop, struct timer *timer, uint64_t at)
{
	return timers_set(&loop->timers, timer, at);
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
	timers_stop(&loop->timers, timer);
}

static unsigned readiness(uint32_t events)
{
	unsigned ready = 0;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		ready |= LOOP_READABLE;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		ready |= LOOP_WRITABLE;
	if (events & (EPOLLRDHUP | EPOLLHUP))
		ready |= LOOP_PEER_END;
	if (events & EPOLLERR)
		ready |= LOOP_ERROR;
	if (events & EPOLLHUP)
		ready |= LOOP_HANGUP;
	if (events & EPOLLPRI)
		ready |= LOOP_URGENT;
	return ready;
}

/* Milliseconds for epoll_wait, rounded up so that a timer is due when it returns. */
static int wait_ms(const struct loop *loop, uint64_t deadline)
{
	if (!list_empty(&loop->again) || !list_empty(&loop->work))
		return 0;
	uint64_t next = timers_next(&loop->timers);
	if (deadline < next)
		next = deadline;
	if (next == CLOCK_NEVER)
		return -1;
	uint64_t now = clock_now();
	if (next <= now)
		return 0;
	uint64_t ms = (next - now + CLOCK_MS - 1) / CLOCK_MS;
	return ms > 3600000 ? 3600000 : (int)ms;
}

static void run_again(struct loop *loop)
{
	struct list batch;
	list_init(&batch);
	list_splice(&batch, &loop->again);
	for (struct list *n; (n = list_first(&batch)) != NULL;) {
		list_remove(n);
		struct loop_fd *lfd = container_of(n, struct loop_fd, again);
		lfd->event(lfd);
	}
}

static void run_work(struct loop *loop)
{
	struct list batch;
	list_init(&batch);
	list_splice(&batch, &loop->work);
	for (struct list *n; (n = list_first(&batch)) != NULL;) {
		list_remove(n);
		struct loop_work *work = container_of(n, struct loop_work, node);
		work->run(work);
	}
}

int loop_turn(struct loop *loop, uint64_t deadline)
{
	struct epoll_event ev[EVENTS_PER_TURN];
	forget_handed(loop);
	int n = epoll_wait(loop->epfd, ev, EVENTS_PER_TURN, wait_ms(loop, deadline));
	if (n < 0 && errno != EINTR)
		return ERR_SYS;
	loop->now = clock_now();
	loop->turn++;
	run_again(loop);
	for (int i = 0; i < n; i++) {
		struct loop_fd *lfd = ev[i].data.ptr;
		/* Closed since it was fetched, and perhaps put in again with another. */
		if (lfd->fd < 0 || lfd->since == loop->turn)
			continue;
		lfd->ready |= readiness(ev[i].events);
		lfd->event(lfd);
	}
	timers_run(&loop->timers, loop->now);
	run_work(loop);
	sweep(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	loop->stopped = false;
	while (!loop->stopped) {
		int rc = loop_turn(loop, CLOCK_NEVER);
		if (rc != 0)
			return rc;
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
