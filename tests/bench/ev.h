/*
 * ev - the event loop: epoll, one handler per descriptor.
 *
 * A handler may close and give up any descriptor; events that were already fetched for
 * it are not delivered.
 */
#ifndef CB_BENCH_EV_H
#define CB_BENCH_EV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded at the start of what owns the descriptor. */
struct ev {
	void (*handle)(struct ev *e, uint32_t events);
	int fd; /* -1: closed */
	uint32_t want;
	struct ev *next_dead;
};

enum {
	EV_BATCH = 256,         /* events of one turn */
	EV_SCRATCH = 256 << 10, /* bytes that one read may bring */
	EV_BURST = 4,           /* reads or writes in one event, so that all get their turn */
	EV_TICK_MS = 50, /* the longest turn of a client, whose time-outs are looked for then */
};

/* Read into by whoever has the turn; nothing stays in it. */
extern unsigned char ev_scratch[EV_SCRATCH];

/* Once: makes the loop, lifts the limit on descriptors, takes SIGINT and SIGTERM. */
void ev_init(void);

/* Whether a signal asked for the end. */
bool ev_stopped(void);

/* Hands a descriptor over to the loop.  False: it is of a kind that cannot be polled
 * (a plain file), and stays the caller's. */
bool ev_open(struct ev *e, int fd, uint32_t want, void (*handle)(struct ev *, uint32_t));

/* Changes the events it waits for. */
void ev_want(struct ev *e, uint32_t want);

/* Tells an edge-triggered one of what is still there, in the next turn. */
void ev_again(struct ev *e);

/* Takes the descriptor, if there is one, from the loop and leaves it open: for one that
 * other processes have too, and that close() would therefore leave in the loop. */
void ev_give_back(struct ev *e);

/* Closes the descriptor, if it is open. */
void ev_close(struct ev *e);

/* The same, and frees what `e` is at the start of when the turn is over. */
void ev_bury(struct ev *e);

/* One turn; waits for its first event at most so long, -1: without end. */
void ev_turn(int timeout_ms);

#endif
