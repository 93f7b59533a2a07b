#include "bus/ingress.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/guard.h"
#include "bus/quota.h"
#include "bus/session.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void on_closed(struct session *s)
{
	struct ingress *in = s->owner;
	in->n_sessions--;
}

static const struct session_ops ops = {.closed = on_closed};

static void refuse(struct ingress *in, int fd, const struct addr *peer, const char *why)
{
	char text[ADDR_TEXT_MAX];
	log_warning("service [%s]: client %s refused: %s", in->conf->name, addr_format(peer, text),
		why);
	(void)close(fd); /* with SO_LINGER {1, 0}: a reset */
}

static void describe(struct wire_open *open, const struct session *s, const struct addr *peer)
{
	memset(open, 0, offsetof(struct wire_open, name));
	memcpy(open->session, s->id, WIRE_ID);
	open->hops = WIRE_HOPS;
	open->port = addr_port(peer);
	if (addr_family(peer) == AF_INET) {
		open->family = 4;
		memcpy(open->address, &peer->in.sin_addr, 4);
	} else if (addr_family(peer) == AF_INET6) {
		open->family = 6;
		memcpy(open->address, &peer->in6.sin6_addr, 16);
	}
}

static void set_name(struct wire_open *open, const char *name)
{
	open->name_len = (uint8_t)strlen(name);
	memcpy(open->name, name, open->name_len);
}

static struct session *make_session(struct ingress *in, size_t n_members)
{
	struct session_options opt = {.ops = &ops,
		.owner = in,
		.service = in->conf,
		.n_members = n_members,
		.full_duplex = in->conf->mode == CONF_FULL_DUPLEX};
	struct session *s = session_new(in->bus, &opt);
	if (s != NULL)
		in->n_sessions++;
	return s;
}

/* Opens a stream for each member and starts; a session that gets none is over. */
static void begin(struct session *s, const struct server_member *m, const struct addr *peer)
{
	struct wire_open open;
	size_t opened = 0;
	int rc = ERR_CLOSED;
	describe(&open, s, peer);
	for (size_t i = 0; i < s->n_members; i++) {
		set_name(&open, m[i].name);
		/* Who may not is told at once, and its log line is guard's. */
		if (!guard_may_open(m[i].t, open.name, open.name_len)) {
			rc = ERR_NOTFOUND;
			continue;
		}
		rc = transport_open(m[i].t, &s->members[i].ts, &open);
		if (rc == 0)
			opened++;
		else if (s->n_members > 1)
			log_warning("session %s: member %zu left out: cannot open a stream: %s",
				session_text(s), i + 1, err_text(rc));
	}
	if (opened > 0) {
		session_start(s);
		return;
	}
	if (rc != ERR_NOTFOUND)
		log_warning("session %s: refused: cannot open a stream: %s", session_text(s),
			err_text(rc));
	session_abort(s, rc != ERR_NOTFOUND ? WIRE_BUSY : WIRE_NO_SERVICE);
}

/* Whether a session that finds nobody may wait, until then, for somebody to come up. */
static bool may_wait(struct ingress *in, uint64_t until)
{
	bool may = false;
	for (size_t i = 0; i < in->conf->n_servers; i++)
		may = server_kick(in->server[i], until) || may;
	return may;
}

/* A client that finds no link up waits for the first that comes up. */
static void wait_for_link(struct session *s, uint64_t until)
{
	struct ingress *in = s->owner;
	s->deadline = until;
	list_append(&in->waiting, &s->waiting);
	session_arm(s);
}

static void on_up(struct server *server)
{
	struct ingress *in = server->owner;
	struct list batch;
	list_init(&batch);
	list_splice(&batch, &in->waiting);
	for (struct list *node; (node = list_first(&batch)) != NULL;) {
		struct session *s = container_of(node, struct session, waiting);
		struct server_member m;
		struct addr peer = {0};
		list_remove(node);
		if (server_members(server, &m, 1) == 0) {
			list_append(&in->waiting, node);
			continue;
		}
		(void)sock_peer_name(s->local.fd, &peer);
		begin(s, &m, &peer);
	}
}

/* Who is there for a new session; *up: somebody is, though perhaps at the limit. */
static size_t find_members(struct ingress *in, struct server_member *m, bool *up)
{
	size_t n = 0;
	*up = false;
	for (size_t i = 0; i < in->conf->n_servers && n < CONF_SERVERS_MAX; i++) {
		*up = *up || server_is_up(in->server[i]);
		n += server_members(in->server[i], m + n, CONF_SERVERS_MAX - n);
	}
	return n;
}

/* Why the service takes no further session, whoever may be there for it; or NULL. */
static const char *full(const struct ingress *in)
{
	if (in->conf->max_sessions != 0 && in->n_sessions >= in->conf->max_sessions)
		return "max_sessions is reached";
	return quota_admits(in->bus) ? NULL : "the memory for unread bytes is used up";
}

static void on_accepted(struct listen *l, int fd, const struct addr *peer)
{
	struct ingress *in = container_of(l, struct ingress, listen);
	struct server_member m[CONF_SERVERS_MAX];
	uint64_t until = bus_now(in->bus) + in->conf->connect_timeout;
	bool up = false;
	const char *why = full(in);
	size_t n = why == NULL ? find_members(in, m, &up) : 0;
	if (why == NULL && n == 0 && up)
		why = "its segments allow no more sessions";
	else if (why == NULL && n == 0 && !may_wait(in, until))
		why = "no segment serves it now";
	if (why != NULL) {
		refuse(in, fd, peer, why);
		return;
	}
	struct session *s = make_session(in, n > 0 ? n : 1);
	if (s == NULL) {
		refuse(in, fd, peer, "out of memory");
		return;
	}
	if (session_set_local(s, fd, addr_family(peer) != AF_UNIX) != 0) {
		log_error("session %s: refused: %s", session_text(s), strerror(errno));
		session_abort(s, WIRE_INTERNAL);
		return;
	}
	if (n > 0)
		begin(s, m, peer);
	else
		wait_for_link(s, until);
}

int ingress_start(struct ingress *in, struct bus *bus, const struct ingress_options *opt)
{
	const struct conf_service *conf = opt->conf;
	*in = (struct ingress){.bus = bus, .conf = conf};
	list_init(&in->waiting);
	in->server = mem_zalloc(bus->mem, conf->n_servers * sizeof *in->server);
	if (in->server == NULL)
		return ERR_NOMEM;
	int rc = listen_start(&in->listen, bus, &conf->bind.addr, on_accepted);
	for (size_t i = 0; rc == 0 && i < conf->n_servers; i++) {
		struct server_options server = {.conf = &conf->servers[i],
			.service = conf,
			.links = opt->links,
			.registry = opt->registry,
			.up = on_up,
			.owner = in};
		rc = server_new(&in->server[i], &server);
	}
	return rc;
}

void ingress_close(struct ingress *in)
{
	listen_stop(&in->listen);
}

void ingress_stop(struct ingress *in)
{
	if (in->bus == NULL)
		return;
	listen_stop(&in->listen);
	for (size_t i = 0; in->server != NULL && i < in->conf->n_servers; i++)
		server_free(in->server[i]);
	mem_free(in->bus->mem, in->server);
	in->server = NULL;
}
