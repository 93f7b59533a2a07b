#include "bus/ending.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/output.h"
#include "bus/transport.h"
#include "net/sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define CLOSE_PATIENCE (2 * CLOCK_SEC) /* from our FIN to the peer's */

void ending_init(struct ending *e)
{
	*e = (struct ending){.by = CLOCK_NEVER};
}

void ending_now(struct transport *t, enum stats_closed how, const char *why)
{
	if (t->dead)
		return;
	t->dead = true;
	t->ending.how = how;
	t->ending.why = why;
	if (why == NULL && t->is_tcp)
		(void)sock_linger_off(t->lfd.fd);
	loop_close(t->bus->loop, &t->lfd);
	loop_timer_stop(t->bus->loop, &t->timer);
	loop_cancel(&t->flush);
	loop_defer(t->bus->loop, &t->bury);
}

static void say_last(struct transport *t, uint32_t code)
{
	uint8_t words[MUX_CONTROL_ROOM], record[SEALED_WORDS + 64], *p = words;
	if (t->out != NULL || t->ending.shut)
		return;
	size_t n = mux_last_words(t->mux, code, words);
	if (t->sealed != NULL) {
		n = sealed_last_words(t, words, n, record);
		p = record;
	}
	if (n == 0)
		return;
	ssize_t sent = send(t->lfd.fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		log_debug("the last GOAWAY could not be sent: %s", strerror(errno));
	else if (t->is_tcp)
		(void)sock_linger_off(t->lfd.fd);
	t->sent += sent > 0 ? (size_t)sent : 0;
}

void ending_cut(struct transport *t, uint32_t code, const char *why)
{
	if (t->dead)
		return;
	say_last(t, code);
	ending_now(t, stats_closed_by_failure(code), why);
}

/* --- in order --------------------------------------------------------------------------- */

void ending_expel(struct transport *t, uint64_t by)
{
	if (t->dead)
		return;
	t->ending.expelled = true;
	if (by < t->ending.by)
		t->ending.by = by;
	transport_goaway(t, WIRE_EXPIRED);
	if (t->ops->dismissed != NULL)
		t->ops->dismissed(t);
}

void ending_pardon(struct transport *t)
{
	t->ending.expelled = false;
	if (!t->dead && !t->ending.shut)
		t->ending.by = CLOCK_NEVER;
}

/* CLOSE, as far as one write goes.  Whether it has left. */
static bool say_close(struct transport *t)
{
	bool more = false;
	int rc = sealed_say_close(t);
	if (rc == 0)
		rc = output_write(t, &more);
	if (rc != 0 && rc != ERR_AGAIN)
		ending_now(t, STATS_CLOSED_LOST, "its CLOSE could not be sent");
	return t->out == NULL && !t->dead;
}

void ending_goodbye(struct transport *t)
{
	bool said = t->sealed != NULL && t->sealed->said_close;
	if (t->ending.shut || t->out != NULL || (!said && !mux_is_finished(t->mux)))
		return;
	if (t->sealed != NULL && !said && !say_close(t))
		return; /* here again, when it has left */
	t->ending.shut = true;
	t->ending.by = bus_now(t->bus) + CLOSE_PATIENCE;
	(void)shutdown(t->lfd.fd, SHUT_WR);
}

void ending_tick(struct transport *t)
{
	if (bus_now(t->bus) < t->ending.by)
		return;
	if (mux_count(t->mux) == 0 && t->sealed == NULL)
		ending_now(t, STATS_CLOSED_CLEAN, NULL);
	else if (t->ending.expelled)
		ending_cut(t, WIRE_EXPIRED, "its token has expired, and drain_timeout is over");
	else
		ending_now(t, STATS_CLOSED_TIMED_OUT, "no end from the peer in time");
}

/* --- by the peer ------------------------------------------------------------------------- */

/* What the peer has said of it is the reason. */
static void lose(struct transport *t, const char *why)
{
	uint32_t code;
	const char *said = mux_peer_reason(t->mux, &code);
	if (said != NULL) {
		ending_now(t, stats_closed_by_failure(code), said);
		return;
	}
	/* The dialling side's handshake is over before the other has looked at its token. */
	if (t->sealed != NULL && mux_peer(t->mux) == NULL)
		why = "closed before its HELLO; its log says why: this node's token, or too many "
		      "transports";
	ending_now(t, STATS_CLOSED_LOST, why);
}

void ending_by_peer(struct transport *t)
{
	if (t->sealed != NULL && !secure_is_closed(t->sealed->secure)) {
		/* Whoever can cut the connection can make this end, but no other. */
		lose(t, "closed without goodbye");
		return;
	}
	/* The peer may still read, and wants to see that we end on purpose as well. */
	if (t->sealed != NULL)
		ending_goodbye(t);
	if (t->dead)
		return;
	bool clean = mux_is_finished(t->mux) && t->out == NULL;
	if (clean || (mux_is_going(t->mux) && mux_count(t->mux) == 0))
		ending_now(t, STATS_CLOSED_CLEAN, NULL);
	else
		lose(t, "closed by the peer");
}

/*
 * The peer says nothing more, and streams would wait for it, or new ones be led to it:
 * cloudbus-protocol(7), CLOSE.
 */
void ending_check_close(struct transport *t)
{
	bool in_time = mux_is_going(t->mux) && mux_count(t->mux) == 0;
	if (secure_is_closed(t->sealed->secure) && !in_time)
		lose(t, "CLOSE without goodbye");
}

void ending_fault(struct transport *t)
{
	uint32_t code;
	const char *why = mux_failure(t->mux, &code);
	ending_cut(t, code, why);
}

/* --- by what lies between ------------------------------------------------------------------ */

void ending_lost(struct transport *t, int error)
{
	if (error == ENOMEM)
		ending_error(t, ERR_NOMEM);
	else
		lose(t, strerror(error));
}

void ending_error(struct transport *t, int rc)
{
	if (rc == ERR_NOMEM)
		ending_now(t, STATS_CLOSED_FAILED, "out of memory");
	else if (rc == ERR_LIMIT)
		ending_now(t, STATS_CLOSED_FAILED, "its records are used up");
	else
		ending_now(t, STATS_CLOSED_RECORD,
			"a record was changed, repeated or left out on the way");
}
