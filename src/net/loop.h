/*
 * loop - one epoll loop: descriptors, timers, work deferred to the turn's end.
 *
 * Descriptors are edge-triggered and registered once for everything; the loop
 * keeps what the kernel reported as sticky readiness in the struct loop_fd, and
 * its owner clears a bit when the kernel says EAGAIN (or a short read or write
 * proves that it would).  An owner that stops early, because its budget for the
 * turn is used up, calls loop_again() and is called back in the next turn.
 *
 * A turn is: wait; call the owners of what became ready or asked to be called
 * again; run due timers; run the turn's deferred work; free what was closed.
 * Nothing is freed before the end of the turn, so an event already fetched for a
 * descriptor that was closed meets valid memory and is dropped.
 */
#ifndef CB_NET_LOOP_H
#define CB_NET_LOOP_H

#include "base/list.h"
#include "base/mem.h"
#include "base/timers.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

enum loop_ready {
	LOOP_READABLE = 1 << 0, /* recv, accept or read may make progress */
	LOOP_WRITABLE = 1 << 1, /* send or write may */
	LOOP_PEER_END = 1 << 2, /* the peer shut down its writing side, or more */
	LOOP_ERROR = 1 << 3,    /* EPOLLERR was seen: look at SO_ERROR */
	LOOP_HANGUP = 1 << 4,   /* EPOLLHUP was seen */
	LOOP_URGENT = 1 << 5,   /* urgent data came: a read stops short at its mark */
	/* With any of these a short read does not prove that nothing more can be read. */
	LOOP_MORE = LOOP_PEER_END | LOOP_ERROR | LOOP_HANGUP | LOOP_URGENT,
};

enum { LOOP_FREE_MIN = 16 }; /* bytes in the smallest block for loop_free_later() */

struct loop_fd {
	int fd;         /* -1: not in the loop */
	unsigned ready; /* enum loop_ready; the owner clears READABLE and WRITABLE only */
	void (*event)(struct loop_fd *lfd);
	struct list again; /* in the loop's list of those to call in the next turn */
	uint64_t since;    /* the loop's own: the turn in which it was put in */
};

/* Something to do once at the end of this turn, before what was closed is freed. */
struct loop_work {
	struct list node;
	void (*run)(struct loop_work *work);
};

/* NULL with errno, when epoll or memory is not to be had. */
struct loop *loop_new(struct mem *mem);

/*
 * Every descriptor must have been closed or removed.  What was given to
 * loop_free_later() is freed; timers are stopped and deferred work is taken back
 * without being run.  NULL does nothing.
 */
void loop_free(struct loop *loop);

/* Not in the loop yet. */
void loop_fd_init(struct loop_fd *lfd, void (*event)(struct loop_fd *lfd));

/*
 * Puts a non-blocking descriptor into the loop; event() is called when it becomes
 * ready.  0, or ERR_SYS with errno; the descriptor stays the caller's then.
 */
int loop_add(struct loop *loop, struct loop_fd *lfd, int fd);

/* Calls event() in the next turn even if nothing new happens. */
void loop_again(struct loop *loop, struct loop_fd *lfd);

/* Takes the descriptor out without closing it; returns it. */
int loop_remove(struct loop *loop, struct loop_fd *lfd);

/*
 * Takes the descriptor out for an owner who puts it in again with loop_add(), or closes it, in
 * this turn: that costs one system call less.  Returns it.
 */
int loop_hand_over(struct loop *loop, struct loop_fd *lfd);

/*
 * Takes it out and closes it at once.  The loop_fd's memory must live to the turn's
 * end; it may be put in again at once, and no event of the old descriptor reaches it.
 */
void loop_close(struct loop *loop, struct loop_fd *lfd);

/*
 * For descriptors of libraries that must not be edge-triggered: plain level-triggered
 * interest.  `events` is a set of LOOP_READABLE and LOOP_WRITABLE; changes it where the
 * descriptor is in the loop already; 0 takes it out.  The owner clears `ready` in
 * event() here too.  0, or ERR_SYS with errno.
 */
int loop_watch(struct loop *loop, struct loop_fd *lfd, int fd, unsigned events);

void loop_work_init(struct loop_work *work, void (*run)(struct loop_work *work));

/* Runs the work at the end of this turn; once, however often it is asked for. */
void loop_defer(struct loop *loop, struct loop_work *work);

/* Takes the work back, if it waits. */
void loop_cancel(struct loop_work *work);

/*
 * Frees p at the end of this turn; until then it stays readable.  p comes from the
 * allocator the loop was made with, is given once, and is NULL or holds at least
 * LOOP_FREE_MIN bytes.  Where there is no memory to note it down, the first
 * LOOP_FREE_MIN bytes of p are overwritten with the note at once; a loop_fd that
 * begins there still reads as closed.
 */
void loop_free_later(struct loop *loop, void *p);

/* The monotonic time at which this turn began, in microseconds. */
uint64_t loop_now(const struct loop *loop);

/* The loop's timers: times in microseconds on the clock of loop_now(). */
int loop_timer_set(struct loop *loop, struct timer *timer, uint64_t at);
void loop_timer_stop(struct loop *loop, struct timer *timer);

/* Turns until loop_stop().  0, or ERR_SYS with errno. */
int loop_run(struct loop *loop);

/* One turn: waits at most until `deadline`.  0, or ERR_SYS with errno. */
int loop_turn(struct loop *loop, uint64_t deadline);

void loop_stop(struct loop *loop);

#endif
