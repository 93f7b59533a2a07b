#include "net/connector.h"

#include "base/err.h"
#include "net/sock.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

/* One address.  Its loop_fd is in the loop from a connect that is under way to its end. */
struct connector_attempt {
	struct loop_fd lfd;
	struct connector *owner;
	struct addr addr;
	struct timer again; /* set while a full Unix queue is given time */
	uint64_t pause;
	bool decided;
};

static size_t index_of(const struct connector_attempt *a)
{
	return (size_t)(a - a->owner->attempts);
}

static uint64_t bit(size_t i)
{
	return UINT64_C(1) << i;
}

static bool is_our_lack(int sys)
{
	return sys == EMFILE || sys == ENFILE || sys == ENOBUFS || sys == ENOMEM;
}

/* How much an errno says about why nothing was reached. */
static int weight(int sys)
{
	if (is_our_lack(sys))
		return 3;
	switch (sys) {
	case 0:
		return -1;
	case ENETUNREACH:
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
		return 0;
	case EHOSTUNREACH:
	case EADDRNOTAVAIL:
		return 1;
	default:
		return 2;
	}
}

/* Ends everything that is open; the attempts' memory stays to the end of the turn. */
static void release(struct connector *c)
{
	for (size_t i = 0; i < c->begun; i++) {
		loop_timer_stop(c->loop, &c->attempts[i].again);
		loop_close(c->loop, &c->attempts[i].lfd);
	}
	loop_timer_stop(c->loop, &c->next);
	loop_timer_stop(c->loop, &c->deadline);
	loop_cancel(&c->finish);
	loop_free_later(c->loop, c->attempts);
	c->attempts = NULL;
}

static void note_unanswered(struct connector *c)
{
	for (size_t i = 0; i < c->begun; i++) {
		if (!c->attempts[i].decided)
			c->result.unanswered |= bit(i);
	}
}

/* The descriptor of the attempt that succeeded leaves the loop, if it is in it. */
static void take_out(struct connector *c)
{
	struct loop_fd *lfd = &c->attempts[c->result.index].lfd;
	if (c->result.fd >= 0 && lfd->fd >= 0)
		(void)loop_hand_over(c->loop, lfd);
}

static void run_finish(struct loop_work *work)
{
	struct connector *c = container_of(work, struct connector, finish);
	note_unanswered(c);
	take_out(c);
	release(c);
	struct connector_result result = c->result;
	c->done(c, &result);
}

/* The outcome is known; the first one stays. */
static void settle(struct connector *c, int err)
{
	if (!list_empty(&c->finish.node))
		return;
	c->result.err = err;
	loop_defer(c->loop, &c->finish);
}

static bool is_settled(const struct connector *c)
{
	return !list_empty(&c->finish.node);
}

static void note_failure(struct connector_attempt *a, int sys)
{
	struct connector *c = a->owner;
	a->decided = true;
	c->open--;
	c->result.no_port += sys == EADDRNOTAVAIL;
	if (!is_our_lack(sys) && sys != EADDRNOTAVAIL)
		c->result.failed |= bit(index_of(a));
	if (weight(sys) >= weight(c->result.sys))
		c->result.sys = sys;
}

static void note_success(struct connector_attempt *a, int fd)
{
	struct connector *c = a->owner;
	a->decided = true;
	c->open--;
	c->result.fd = fd;
	c->result.index = index_of(a);
	settle(c, 0);
}

/* Whether the attempt goes on later, because the listener's queue is full. */
static bool wait_for_room(struct connector_attempt *a)
{
	struct connector *c = a->owner;
	if (addr_family(&a->addr) != AF_UNIX || errno != EAGAIN)
		return false;
	if (loop_timer_set(c->loop, &a->again, loop_now(c->loop) + a->pause) != 0) {
		errno = ENOMEM;
		return false;
	}
	a->pause *= 2;
	if (a->pause > CONNECTOR_UNIX_PAUSE_MAX)
		a->pause = CONNECTOR_UNIX_PAUSE_MAX;
	return true;
}

static void try_attempt(struct connector_attempt *a)
{
	int fd, rc = sock_connect(&a->addr, &fd);
	if (rc == 0) {
		note_success(a, fd);
	} else if (rc == ERR_AGAIN) {
		if (loop_add(a->owner->loop, &a->lfd, fd) != 0) {
			int sys = errno;
			(void)close(fd);
			note_failure(a, sys);
		}
	} else if (!wait_for_room(a)) {
		note_failure(a, errno);
	}
}

/*
 * Begins the next attempt, and those after it as long as they fail on the spot.  Where
 * nothing is left to wait for, that is the outcome.
 */
static void advance(struct connector *c)
{
	if (is_settled(c))
		return;
	while (c->begun < c->n) {
		struct connector_attempt *a = &c->attempts[c->begun++];
		c->open++;
		try_attempt(a);
		if (!a->decided || is_settled(c))
			break;
	}
	if (c->begun < c->n && !is_settled(c))
		(void)loop_timer_set(c->loop, &c->next, loop_now(c->loop) + c->stagger);
	else
		loop_timer_stop(c->loop, &c->next);
	if (c->open == 0 && c->begun == c->n)
		settle(c, ERR_SYS);
}

static void on_event(struct loop_fd *lfd)
{
	struct connector_attempt *a = container_of(lfd, struct connector_attempt, lfd);
	struct connector *c = a->owner;
	int rc = sock_connected(lfd->fd);
	if (rc == ERR_AGAIN && !(lfd->ready & LOOP_HANGUP))
		return;
	int sys = rc == ERR_AGAIN ? ECONNRESET : errno;
	if (is_settled(c))
		return;
	/* These two come only after the handshake: it was connected, and may have been heard. */
	bool broken = rc != 0 && (sys == ECONNRESET || sys == EPIPE);
	if (rc == 0 || broken) {
		c->result.broken = broken ? sys : 0;
		note_success(a, lfd->fd); /* in the loop until it is handed over */
		return;
	}
	loop_close(c->loop, lfd);
	note_failure(a, sys);
	advance(c);
}

static void on_again(struct timer *timer)
{
	struct connector_attempt *a = container_of(timer, struct connector_attempt, again);
	if (is_settled(a->owner))
		return;
	try_attempt(a);
	if (a->decided)
		advance(a->owner);
}

static void on_next(struct timer *timer)
{
	advance(container_of(timer, struct connector, next));
}

static void on_deadline(struct timer *timer)
{
	settle(container_of(timer, struct connector, deadline), ERR_TIMEOUT);
}

static void init_attempts(struct connector *c, const struct addr *addrs)
{
	for (size_t i = 0; i < c->n; i++) {
		struct connector_attempt *a = &c->attempts[i];
		loop_fd_init(&a->lfd, on_event);
		a->owner = c;
		a->addr = addrs[i];
		a->again = (struct timer){.fire = on_again};
		a->pause = CONNECTOR_UNIX_PAUSE;
		a->decided = false;
	}
}

int connector_start(struct connector *c, struct loop *loop, const struct connector_options *opt,
	void (*done)(struct connector *c, const struct connector_result *result))
{
	if (opt->n == 0 || opt->n > CONNECTOR_ADDRS_MAX)
		return ERR_INVALID;
	*c = (struct connector){
		.loop = loop,
		.done = done,
		.n = opt->n,
		.stagger = opt->stagger != 0 ? opt->stagger : CONNECTOR_STAGGER,
		.next = {.fire = on_next},
		.deadline = {.fire = on_deadline},
		.result = {.fd = -1},
	};
	loop_work_init(&c->finish, run_finish);
	struct connector_attempt *attempts = mem_alloc(opt->mem, opt->n * sizeof *attempts);
	if (attempts == NULL)
		return ERR_NOMEM;
	/* Both are set here, so that moving them later cannot fail. */
	if (loop_timer_set(loop, &c->deadline, loop_now(loop) + opt->timeout) != 0)
		goto err0;
	if (loop_timer_set(loop, &c->next, CLOCK_NEVER) != 0)
		goto err1;
	c->attempts = attempts;
	init_attempts(c, opt->addrs);
	advance(c);
	return 0;
err1:
	loop_timer_stop(loop, &c->deadline);
err0:
	mem_free(opt->mem, attempts);
	return ERR_NOMEM;
}

void connector_cancel(struct connector *c)
{
	if (c->attempts == NULL)
		return;
	take_out(c);
	release(c);
	if (c->result.fd >= 0)
		(void)close(c->result.fd);
	c->result.fd = -1;
}
