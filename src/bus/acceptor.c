#include "bus/acceptor.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/guard.h"
#include "bus/say.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool is_full(const struct acceptor *a, const struct addr *peer)
{
	if (a->bus->n_transports < BUS_TRANSPORTS_MAX)
		return false;
	say_address(a->bus, peer, LOG_WARNING, "transport from %s refused: there are %d already",
		say_where(peer, a->secured), BUS_TRANSPORTS_MAX);
	a->bus->stats.away[STATS_AWAY_TRANSPORTS]++;
	return true;
}

/* A connection becomes a transport. */
static void begin(struct acceptor *a, const struct lobby_guest *guest)
{
	struct transport *t;
	struct transport_options opt = {.ops = a->ops,
		.owner = a->owner,
		.fd = guest->fd,
		.side = MUX_ACCEPTED,
		.secure = guest->secure,
		.seat = guest->seat,
		.door = a};
	int rc = transport_new(&t, a->bus, &opt);
	if (rc != 0)
		say_address(a->bus, guest->peer, LOG_ERROR, "transport from %s refused: %s",
			say_where(guest->peer, guest->secure != NULL),
			rc == ERR_SYS ? strerror(errno) : err_text(rc));
}

static void on_accepted(struct listen *l, int fd, const struct addr *peer)
{
	struct acceptor *a = container_of(l, struct acceptor, listen);
	if (is_full(a, peer)) {
		(void)close(fd); /* with SO_LINGER {1, 0}: a reset */
		return;
	}
	if (a->secured)
		lobby_enter(&a->bus->guard->lobby, &a->host, fd, peer);
	else
		begin(a, &(struct lobby_guest){.fd = fd, .peer = peer});
}

static void on_welcome(struct lobby_host *host, const struct lobby_guest *guest)
{
	struct acceptor *a = container_of(host, struct acceptor, host);
	/* Others may have come while it shook hands. */
	if (!is_full(a, guest->peer)) {
		begin(a, guest);
		return;
	}
	(void)close(guest->fd);
	secure_free(guest->secure);
	lobby_farewell(&a->bus->guard->lobby, &guest->seat);
}

int acceptor_start(struct acceptor *a, struct bus *bus, const struct acceptor_options *opt)
{
	*a = (struct acceptor){.bus = bus,
		.ops = opt->ops,
		.owner = opt->owner,
		.secured = opt->secured,
		.listen.secured = opt->secured,
		.host = {.welcome = on_welcome,
			.peer = guard_peer_role(bus),
			.at = &a->listen.sock.addr}};
	return listen_start(&a->listen, bus, &opt->addr, on_accepted);
}

/* The owner is told as well, so that it leads nobody there from now on. */
static void say_goodbye(const struct acceptor *a, const char *what)
{
	size_t n = 0;
	list_each_safe (node, &a->bus->transports) {
		struct transport *t = container_of(node, struct transport, node);
		if (t->door != a || t->dead)
			continue;
		n++;
		transport_goaway(t, WIRE_UNUSED);
		if (t->ops->dismissed != NULL)
			t->ops->dismissed(t);
	}
	if (n > 0)
		log_notice("%s: %s: %zu transports that came by it are to go; running sessions "
			   "finish",
			say_where(&a->listen.asked, a->secured), what, n);
}

void acceptor_set_secured(struct acceptor *a, bool secured)
{
	if (a->secured == secured)
		return;
	if (a->secured)
		lobby_close(&a->bus->guard->lobby, &a->host);
	a->secured = a->listen.secured = secured;
	say_goodbye(a, secured ? "secured from now on" : "plain from now on");
}

void acceptor_retire(struct acceptor *a)
{
	acceptor_close(a);
	say_goodbye(a, "removed");
	list_each (node, &a->bus->transports) {
		struct transport *t = container_of(node, struct transport, node);
		if (t->door == a)
			t->door = NULL;
	}
}

void acceptor_close(struct acceptor *a)
{
	listen_stop(&a->listen);
	if (a->secured && a->bus->guard != NULL)
		lobby_close(&a->bus->guard->lobby, &a->host);
}
