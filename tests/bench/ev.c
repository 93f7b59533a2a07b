#include "ev.h"

#include "tool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

unsigned char ev_scratch[EV_SCRATCH];

static int epfd = -1;
static struct ev *dead;
static volatile sig_atomic_t stop_signal;
static struct ev stop = {.fd = -1}; /* readable from then on */

/* One that comes between a look at ev_stopped() and the wait after it ends that too. */
static void on_signal(int sig)
{
	int error = errno;
	stop_signal = sig;
	(void)!write(stop.fd, &(uint64_t){1}, sizeof(uint64_t));
	errno = error;
}

static void on_stop(struct ev *e, uint32_t events)
{
	(void)e;
	(void)events;
}

void ev_init(void)
{
	struct rlimit rl;
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		tool_die("epoll_create1: %s", strerror(errno));
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0)
		tool_die("eventfd: %s", strerror(errno));
	(void)ev_open(&stop, fd, EPOLLIN, on_stop);
	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool ev_stopped(void)
{
	return stop_signal != 0;
}

bool ev_open(struct ev *e, int fd, uint32_t want, void (*handle)(struct ev *, uint32_t))
{
	struct epoll_event ee = {.events = want, .data.ptr = e};
	e->fd = fd;
	e->want = want;
	e->handle = handle;
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ee) == 0)
		return true;
	if (errno != EPERM)
		tool_die("epoll_ctl: %s", strerror(errno));
	e->fd = -1;
	return false;
}

void ev_again(struct ev *e)
{
	struct epoll_event ee = {.events = e->want, .data.ptr = e};
	if (epoll_ctl(epfd, EPOLL_CTL_MOD, e->fd, &ee) < 0)
		tool_die("epoll_ctl: %s", strerror(errno));
}

void ev_want(struct ev *e, uint32_t want)
{
	if (e->want == want)
		return;
	e->want = want;
	ev_again(e);
}

void ev_give_back(struct ev *e)
{
	if (e->fd >= 0 && epoll_ctl(epfd, EPOLL_CTL_DEL, e->fd, NULL) < 0)
		tool_die("epoll_ctl: %s", strerror(errno));
	e->fd = -1;
}

void ev_close(struct ev *e)
{
	if (e->fd >= 0)
		close(e->fd);
	e->fd = -1;
}

void ev_bury(struct ev *e)
{
	ev_close(e);
	e->next_dead = dead;
	dead = e;
}

void ev_turn(int timeout_ms)
{
	struct epoll_event ee[EV_BATCH];
	int n = epoll_wait(epfd, ee, EV_BATCH, timeout_ms);
	if (n < 0 && errno != EINTR)
		tool_die("epoll_wait: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		struct ev *e = ee[i].data.ptr;
		if (e->fd >= 0)
			e->handle(e, ee[i].events);
	}
	while (dead != NULL) {
		struct ev *e = dead;
		dead = e->next_dead;
		free(e);
	}
}
