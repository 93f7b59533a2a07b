#include "bus/handshake.h"

#include "base/clock.h"
#include "base/err.h"
#include "bus/guard.h"
#include "net/sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_ROOM = 4352 }; /* bytes: no message of the handshake is longer */

/* What the dialling side can tell of an end without a word. */
#define HINT_1                                                                                     \
	"closed without an answer; if that side takes secured links its log says why: another "    \
	"network secret, clocks that differ, too many attempts"

#define HINT_2 "closed when it had this node's token; it may have refused it, and its log says why"

static void count(const struct handshake *h, enum stats_handshake how)
{
	bool dialled = h->side == NOISE_INITIATOR;
	h->bus->stats.shakes[dialled ? STATS_DIALLED : STATS_ACCEPTED][how]++;
}

/* What a failure was, where the messages themselves were at fault, or else the connection. */
static enum stats_handshake how_failed(enum secure_fault fault, int err)
{
	switch (fault) {
	case SECURE_STRANGER:
		return STATS_SHAKE_STRANGER;
	case SECURE_TOO_LATE:
		return STATS_SHAKE_LATE;
	case SECURE_BROKEN:
		return STATS_SHAKE_BROKEN;
	case SECURE_UNWELCOME:
		return STATS_SHAKE_UNWELCOME;
	case SECURE_PAUSED:
		return STATS_SHAKE_PAUSED;
	case SECURE_INTERNAL:
		return STATS_SHAKE_FAILED;
	case SECURE_FINE:
		break;
	}
	return err == ERR_TIMEOUT ? STATS_SHAKE_TIMED_OUT : STATS_SHAKE_LOST;
}

static void fail(struct handshake *h, int err, const char *why)
{
	struct secure *s = h->secure;
	count(h, how_failed(secure_fault(s), err));
	struct handshake_result result = {.err = err,
		.fd = -1,
		.fault = secure_fault(s),
		.key = secure_peer_key(s),
		.why = why,
		.left = h->left};
	h->secure = NULL;
	loop_timer_stop(h->bus->loop, &h->timer);
	loop_close(h->bus->loop, &h->lfd);
	h->done(h, &result);
	secure_free(s);
}

static void succeed(struct handshake *h)
{
	count(h, STATS_SHAKEN);
	struct handshake_result result = {.secure = h->secure, .key = secure_peer_key(h->secure)};
	h->secure = NULL;
	loop_timer_stop(h->bus->loop, &h->timer);
	result.fd = loop_hand_over(h->bus->loop, &h->lfd);
	h->done(h, &result);
}

/* 0; ERR_AGAIN when the socket is full; or it has failed. */
static int send_some(struct handshake *h)
{
	size_t n;
	for (const uint8_t *p; (p = secure_output(h->secure, &n)) != NULL;) {
		if (!(h->lfd.ready & LOOP_WRITABLE))
			return ERR_AGAIN;
		ssize_t sent = send(h->lfd.fd, p, n, MSG_NOSIGNAL);
		if (sent >= 0) {
			secure_sent(h->secure, (size_t)sent);
		} else if (errno == EAGAIN) {
			h->lfd.ready &= ~(unsigned)LOOP_WRITABLE;
		} else if (errno != EINTR) {
			fail(h, ERR_SYS, h->side == NOISE_INITIATOR ? HINT_1 : strerror(errno));
			return ERR_SYS;
		}
	}
	return 0;
}

/* Bytes; 0: none are there now; -1: it has failed. */
static ssize_t receive_some(struct handshake *h, uint8_t *buf)
{
	size_t room = secure_wants(h->secure);
	if (room > READ_ROOM)
		room = READ_ROOM;
	ssize_t n = recv(h->lfd.fd, buf, room, 0);
	if (n < 0 && errno == EINTR)
		return 0; /* still readable */
	if (n < 0 && errno == EAGAIN) {
		h->lfd.ready &= ~(unsigned)LOOP_READABLE;
		return 0;
	}
	if (n > 0) {
		h->answered = true;
		return n;
	}
	const char *why = n == 0 ? "closed in the middle of its handshake" : strerror(errno);
	if (h->side == NOISE_INITIATOR && !h->answered)
		why = HINT_1;
	h->left = h->side == NOISE_RESPONDER && secure_is_proven(h->secure);
	if (h->left)
		why = HINT_2;
	fail(h, n == 0 ? ERR_CLOSED : ERR_SYS, why);
	return -1;
}

static void on_event(struct loop_fd *lfd)
{
	struct handshake *h = container_of(lfd, struct handshake, lfd);
	while (send_some(h) != ERR_SYS) {
		if (secure_is_done(h->secure)) {
			succeed(h);
			return;
		}
		uint8_t buf[READ_ROOM];
		char why[WHY_MAX];
		size_t wants = secure_wants(h->secure);
		if (wants == 0 || !(h->lfd.ready & LOOP_READABLE))
			return;
		ssize_t n = receive_some(h, buf);
		if (n < 0)
			return;
		int rc = secure_take(h->secure, buf, (size_t)n, clock_wall(), why);
		bool news = secure_is_proven(h->secure) && !h->proven_told;
		if (news && h->proven != NULL)
			h->proven(h);
		h->proven_told = h->proven_told || news;
		if (rc != 0) {
			fail(h, rc, why);
			return;
		}
	}
}

void handshake_look(struct handshake *h)
{
	h->lfd.ready |= LOOP_READABLE;
	on_event(&h->lfd);
}

static void on_timer(struct timer *timer)
{
	struct handshake *h = container_of(timer, struct handshake, timer);
	/* What can be read is read before a deadline is judged. */
	handshake_look(h);
	if (handshake_is_busy(h))
		fail(h, ERR_TIMEOUT, "the handshake was not over in time");
}

int handshake_start(struct handshake *h, struct bus *bus, const struct handshake_options *opt)
{
	char why[WHY_MAX];
	*h = (struct handshake){
		.bus = bus, .side = opt->side, .proven = opt->proven, .done = opt->done};
	h->timer.fire = on_timer;
	loop_fd_init(&h->lfd, on_event);
	struct secure_setup setup = {.mem = bus->mem,
		.keyring = &bus->guard->keyring,
		.side = opt->side,
		.peer = opt->peer,
		.door = opt->door,
		.wall = clock_wall()};
	int rc = secure_new(&h->secure, &setup, why);
	if (rc != 0)
		goto err0;
	rc = loop_timer_set(bus->loop, &h->timer, opt->deadline);
	if (rc != 0)
		goto err1;
	rc = loop_add(bus->loop, &h->lfd, opt->fd);
	if (rc != 0)
		goto err2;
	return 0;
err2:
	loop_timer_stop(bus->loop, &h->timer);
err1:
	secure_free(h->secure);
	h->secure = NULL;
err0:;
	int saved = errno;
	(void)close(opt->fd);
	errno = saved;
	return rc;
}

void handshake_cancel(struct handshake *h)
{
	if (!handshake_is_busy(h))
		return;
	loop_timer_stop(h->bus->loop, &h->timer);
	loop_close(h->bus->loop, &h->lfd);
	secure_free(h->secure);
	h->secure = NULL;
}
