#include "bus/listen.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/say.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *text_of(const struct listen *l)
{
	return say_where(&l->sock.addr, l->secured);
}

static enum stats_accept lack_of(int error)
{
	if (error == EMFILE || error == ENFILE)
		return STATS_ACCEPT_FILES;
	return error == ENOBUFS || error == ENOMEM ? STATS_ACCEPT_MEMORY : STATS_ACCEPT_OTHER;
}

static void pause_accepting(struct listen *l)
{
	l->bus->stats.accept_failures[lack_of(errno)]++;
	l->bus->stats.paused += !l->short_of;
	if (!l->short_of)
		say_about(l->bus, "accept", LOG_ERROR,
			"%s: cannot accept: %s; trying again until it works", text_of(l),
			strerror(errno));
	l->short_of = true;
	if (loop_timer_set(l->bus->loop, &l->pause, bus_now(l->bus) + LISTEN_PAUSE) != 0)
		loop_again(l->bus->loop, &l->lfd);
}

static void recovered(struct listen *l)
{
	l->bus->stats.paused -= l->short_of;
	l->short_of = false;
}

static void accepted(struct listen *l, int fd, const struct addr *peer)
{
	if (l->short_of)
		say_about(l->bus, "accept", LOG_NOTICE, "%s: accepting again", text_of(l));
	recovered(l);
	l->accepted(l, fd, peer);
}

static void on_event(struct loop_fd *lfd)
{
	struct listen *l = container_of(lfd, struct listen, lfd);
	if (timer_is_set(&l->pause))
		return;
	for (int i = 0; i < LISTEN_BURST && lfd->fd >= 0; i++) {
		int fd;
		struct addr peer;
		switch (sock_accept(lfd->fd, &fd, &peer)) {
		case SOCK_ACCEPTED:
			accepted(l, fd, &peer);
			break;
		case SOCK_RETRY:
			break;
		case SOCK_EMPTY:
			lfd->ready &= ~(unsigned)LOOP_READABLE;
			return;
		case SOCK_NO_ROOM:
			pause_accepting(l);
			return;
		case SOCK_BROKEN:
			pause_accepting(l);
			return;
		}
	}
	loop_again(l->bus->loop, lfd);
}

static void on_pause_over(struct timer *timer)
{
	struct listen *l = container_of(timer, struct listen, pause);
	loop_again(l->bus->loop, &l->lfd);
}

/*
 * A Unix client asks the kernel who serves it, and is told who listened last: by now the
 * process is whom it was to become.
 */
static void on_settle(struct loop_work *work)
{
	struct listen *l = container_of(work, struct listen, settle);
	if (listen(l->sock.fd, LISTEN_BACKLOG) != 0)
		log_error("%s: cannot listen: %s", text_of(l), strerror(errno));
}

static int give(struct listen *l)
{
	const struct sock_owner *to = l->bus->sockets;
	if (to == NULL || addr_family(&l->sock.addr) != AF_UNIX)
		return 0;
	l->given = true;
	loop_defer(l->bus->loop, &l->settle);
	int rc = sock_give(&l->sock, to);
	if (rc != 0)
		log_error("%s: cannot give its file to user %ju, group %ju: %s", text_of(l),
			(uintmax_t)to->uid, (uintmax_t)to->gid, strerror(errno));
	return rc;
}

int listen_start(struct listen *l, struct bus *bus, const struct addr *addr,
	void (*on_accepted)(struct listen *l, int fd, const struct addr *peer))
{
	loop_fd_init(&l->lfd, on_event);
	l->bus = bus;
	l->asked = *addr;
	l->accepted = on_accepted;
	l->pause = (struct timer){.fire = on_pause_over};
	loop_work_init(&l->settle, on_settle);
	l->given = l->short_of = false;
	int rc = sock_listen(&l->sock, addr, LISTEN_BACKLOG);
	if (rc != 0)
		return rc;
	rc = give(l);
	if (rc == 0)
		rc = loop_add(bus->loop, &l->lfd, l->sock.fd);
	if (rc == 0) {
		log_info("listening on %s", text_of(l));
	} else {
		int saved = errno;
		loop_cancel(&l->settle);
		(void)close(l->sock.fd);
		(void)sock_unlink(&l->sock);
		errno = saved;
	}
	return rc;
}

void listen_stop(struct listen *l)
{
	if (l->bus == NULL || l->lfd.fd < 0)
		return;
	recovered(l);
	loop_timer_stop(l->bus->loop, &l->pause);
	loop_cancel(&l->settle);
	loop_close(l->bus->loop, &l->lfd);
	if (sock_unlink(&l->sock) == 0)
		return;
	if (l->given && (errno == EACCES || errno == EPERM))
		log_info("%s: its file stays until the next start: it was bound before this "
			 "process became another user, who may not remove it",
			text_of(l));
	else
		log_warning("%s: its file stays, it cannot be removed: %s", text_of(l),
			strerror(errno));
}
