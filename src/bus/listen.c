#include "bus/listen.h"

#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void pause_accepting(struct listen *l)
{
	char text[ADDR_TEXT_MAX];
	if (!l->short_of)
		log_error("%s: cannot accept: %s; trying again until it works",
			addr_format(&l->sock.addr, text), strerror(errno));
	l->short_of = true;
	if (loop_timer_set(l->bus->loop, &l->pause, bus_now(l->bus) + LISTEN_PAUSE) != 0)
		loop_again(l->bus->loop, &l->lfd);
}

static void accepted(struct listen *l, int fd, const struct addr *peer)
{
	char text[ADDR_TEXT_MAX];
	if (l->short_of)
		log_notice("%s: accepting again", addr_format(&l->sock.addr, text));
	l->short_of = false;
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

int listen_start(struct listen *l, struct bus *bus, const struct addr *addr,
	void (*on_accepted)(struct listen *l, int fd, const struct addr *peer))
{
	loop_fd_init(&l->lfd, on_event);
	l->bus = bus;
	l->asked = *addr;
	l->accepted = on_accepted;
	l->pause = (struct timer){.fire = on_pause_over};
	l->short_of = false;
	int rc = sock_listen(&l->sock, addr, LISTEN_BACKLOG);
	if (rc != 0)
		return rc;
	char text[ADDR_TEXT_MAX];
	rc = loop_add(bus->loop, &l->lfd, l->sock.fd);
	if (rc == 0) {
		log_info("listening on %s", addr_format(&l->sock.addr, text));
	} else {
		int saved = errno;
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
	loop_timer_stop(l->bus->loop, &l->pause);
	loop_close(l->bus->loop, &l->lfd);
	char text[ADDR_TEXT_MAX];
	if (sock_unlink(&l->sock) != 0)
		log_warning("%s: its file stays, it cannot be removed: %s",
			addr_format(&l->sock.addr, text), strerror(errno));
}
