#include "bus/ingress.h"

#include "base/err.h"
#include "bus/permit.h"
#include "bus/quota.h"
#include "bus/say.h"
#include "bus/session.h"
#include "conf/conf_equal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct ingress *ingress_of(const struct session *s)
{
	return container_of(s->owner, struct ingress, sessions);
}

/* A session that found no link up, and waits for the first that comes up. */
struct waiter {
	struct session_owner sessions;
	struct list node; /* in ingress.waiting */
	struct session *session;
	struct ingress *ingress;
};

/* Its session is the service's own, as all others. */
static void end_wait(struct waiter *w)
{
	w->session->owner = &w->ingress->sessions;
	list_remove(&w->node);
	loop_free_later(w->ingress->bus->loop, w);
}

static void on_closed(struct session *s)
{
	struct ingress *in = ingress_of(s);
	in->n_sessions--;
	if (in->retired)
		loop_defer(in->bus->loop, &in->settle);
}

static void on_closed_waiting(struct session *s)
{
	end_wait(container_of(s->owner, struct waiter, sessions));
	on_closed(s);
}

/* A client is turned away before there is a session. */
static void refuse(struct ingress *in, int fd, const struct addr *peer, enum stats_refusal why)
{
	static const char *const words[STATS_REFUSALS] = {
		[STATS_MAX_SESSIONS] = "max_sessions is reached",
		[STATS_MEMORY] = "the memory for unread bytes is used up",
		[STATS_PEERS_FULL] = "its segments allow no more sessions",
		[STATS_NOBODY] = "no segment serves it now",
		[STATS_NO_RESOURCES] = "out of memory",
	};
	char text[ADDR_TEXT_MAX];
	say_about(in->bus, in->conf->name, LOG_WARNING, "service [%s]: client %s refused: %s",
		in->conf->name, addr_format(peer, text), words[why]);
	in->stats.refused[why]++;
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
	struct session_options opt = {.owner = &in->sessions,
		.service = in->conf,
		.generation = in->generation,
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
		if (!permit_may_open(m[i].t, open.name, open.name_len)) {
			rc = ERR_NOTFOUND;
			continue;
		}
		rc = transport_open(m[i].t, &s->members[i].ts, &open);
		if (rc == 0)
			opened++;
		else if (s->n_members > 1)
			say_session(s, LOG_WARNING,
				"session %s: member %zu left out: cannot open a stream: %s",
				session_text(s), i + 1, err_text(rc));
	}
	if (opened > 0) {
		session_start(s);
		return;
	}
	if (rc != ERR_NOTFOUND)
		say_session(s, LOG_WARNING, "session %s: refused: cannot open a stream: %s",
			session_text(s), err_text(rc));
	if (rc != ERR_NOTFOUND)
		session_refuse(s, STATS_NO_STREAM, WIRE_BUSY);
	else
		session_refuse(s, STATS_NOT_ALLOWED, WIRE_NO_SERVICE);
}

/* Whether a session that finds nobody may wait, until then, for somebody to come up. */
static bool may_wait(struct ingress *in, uint64_t until)
{
	bool may = false;
	for (size_t i = 0; i < in->n_servers; i++)
		may = server_kick(in->server[i], until) || may;
	return may;
}

static void wait_for_link(struct session *s, uint64_t until)
{
	struct ingress *in = ingress_of(s);
	struct waiter *w = mem_alloc(in->bus->mem, sizeof *w);
	if (w == NULL) {
		say_session(s, LOG_ERROR, "session %s: refused: out of memory", session_text(s));
		session_refuse(s, STATS_NO_RESOURCES, WIRE_INTERNAL);
		return;
	}
	*w = (struct waiter){
		.sessions = {.stats = &in->stats, .closed = on_closed_waiting},
		.session = s,
		.ingress = in,
	};
	list_append(&in->waiting, &w->node);
	s->owner = &w->sessions;
	s->deadline = until;
	session_arm(s);
}

static void on_up(struct server *server)
{
	struct ingress *in = server->owner;
	struct list batch;
	list_init(&batch);
	list_splice(&batch, &in->waiting);
	for (struct list *node; (node = list_first(&batch)) != NULL;) {
		struct waiter *w = container_of(node, struct waiter, node);
		struct session *s = w->session;
		struct server_member m;
		struct addr peer = {0};
		list_remove(node);
		if (server_members(server, &m, 1) == 0) {
			list_append(&in->waiting, node);
			continue;
		}
		end_wait(w);
		(void)sock_peer_name(s->local.fd, &peer);
		begin(s, &m, &peer);
	}
	if (in->retired)
		loop_defer(in->bus->loop, &in->settle);
}

/* Who is there for a new session; *up: somebody is, though perhaps at the limit. */
static size_t find_members(struct ingress *in, struct server_member *m, bool *up)
{
	size_t n = 0;
	*up = false;
	for (size_t i = 0; i < in->n_servers && n < CONF_SERVERS_MAX; i++) {
		*up = *up || server_is_up(in->server[i]);
		n += server_members(in->server[i], m + n, CONF_SERVERS_MAX - n);
	}
	return n;
}

#define WELCOME STATS_REFUSALS /* no reason to refuse */

/* Why the service takes no further session, whoever may be there for it. */
static enum stats_refusal full(struct ingress *in)
{
	if (in->conf->max_sessions != 0 && in->n_sessions >= in->conf->max_sessions)
		return STATS_MAX_SESSIONS;
	if (quota_admits(in->bus))
		return WELCOME;
	in->bus->stats.memory_refused++;
	return STATS_MEMORY;
}

static void on_accepted(struct listen *l, int fd, const struct addr *peer)
{
	struct ingress *in = l->owner;
	struct server_member m[CONF_SERVERS_MAX];
	uint64_t until = bus_now(in->bus) + in->conf->connect_timeout;
	bool up = false;
	enum stats_refusal why = full(in);
	size_t n = why == WELCOME ? find_members(in, m, &up) : 0;
	if (why == WELCOME && n == 0 && up)
		why = STATS_PEERS_FULL;
	else if (why == WELCOME && n == 0 && !may_wait(in, until))
		why = STATS_NOBODY;
	if (why != WELCOME) {
		refuse(in, fd, peer, why);
		return;
	}
	struct session *s = make_session(in, n > 0 ? n : 1);
	if (s == NULL) {
		refuse(in, fd, peer, STATS_NO_RESOURCES);
		return;
	}
	if (session_set_local(s, fd, addr_family(peer) != AF_UNIX) != 0) {
		say_session(
			s, LOG_ERROR, "session %s: refused: %s", session_text(s), strerror(errno));
		session_abort(s, WIRE_INTERNAL);
		return;
	}
	if (n > 0)
		begin(s, m, peer);
	else
		wait_for_link(s, until);
}

/* --- life ----------------------------------------------------------------------------------- */

/* What a service that is no more still needs: servers for who waits, itself for who runs. */
static void settle(struct loop_work *work)
{
	struct ingress *in = container_of(work, struct ingress, settle);
	if (list_empty(&in->waiting)) {
		for (size_t i = 0; i < in->n_servers; i++)
			server_free(in->server[i]);
		in->n_servers = 0;
	}
	if (in->n_sessions == 0)
		ingress_free(in);
}

struct ingress *ingress_new(struct bus *bus, const struct conf_service *conf)
{
	struct ingress *in = mem_zalloc(bus->mem, sizeof *in);
	if (in == NULL)
		return NULL;
	in->bus = bus;
	in->conf = conf;
	in->sessions = (struct session_owner){.stats = &in->stats, .closed = on_closed};
	list_init(&in->node);
	list_init(&in->waiting);
	loop_work_init(&in->settle, settle);
	return in;
}

int ingress_listen(struct listen **out, struct bus *bus, const struct addr *addr)
{
	struct listen *l = mem_zalloc(bus->mem, sizeof *l);
	if (l == NULL)
		return ERR_NOMEM;
	int rc = listen_start(l, bus, addr, on_accepted);
	if (rc == 0) {
		*out = l;
		return 0;
	}
	int saved = errno;
	mem_free(bus->mem, l);
	errno = saved;
	return rc;
}

/* The server that leads there already, unless it was taken for another line; or NULL. */
static struct server *find_server(const struct ingress *in, const struct conf_endpoint *conf)
{
	for (size_t i = 0; i < in->n_servers; i++) {
		if (conf_equal_endpoint(in->server[i]->conf, conf))
			return in->server[i];
	}
	return NULL;
}

static bool has(struct server *const *server, size_t n, const struct server *one)
{
	for (size_t i = 0; i < n; i++) {
		if (server[i] == one)
			return true;
	}
	return false;
}

int ingress_prepare(
	const struct ingress *in, const struct ingress_options *opt, struct server ***out)
{
	const struct conf_service *conf = opt->conf;
	struct server **server = mem_zalloc(in->bus->mem, conf->n_servers * sizeof *server);
	int rc = server == NULL ? ERR_NOMEM : 0;
	for (size_t i = 0; rc == 0 && i < conf->n_servers; i++) {
		struct server_options so = {.conf = &conf->servers[i],
			.service = conf,
			.links = opt->links,
			.registry = opt->registry,
			.up = on_up,
			.owner = (struct ingress *)(uintptr_t)in};
		server[i] = find_server(in, so.conf);
		if (server[i] == NULL)
			rc = server_new(&server[i], &so);
	}
	if (rc == 0)
		*out = server;
	else
		ingress_abandon(in, conf, server);
	return rc;
}

void ingress_abandon(
	const struct ingress *in, const struct conf_service *conf, struct server **server)
{
	for (size_t i = 0; server != NULL && i < conf->n_servers; i++) {
		if (server[i] != NULL && !has(in->server, in->n_servers, server[i]))
			server_free(server[i]);
	}
	mem_free(in->bus->mem, server);
}

void ingress_commit(struct ingress *in, const struct conf_service *conf, struct server **server)
{
	struct server **old = in->server;
	size_t n_old = in->n_servers;
	generation_drop(in->bus, in->generation);
	in->generation = generation_hold(in->bus->generations.current);
	in->conf = conf;
	in->server = server;
	in->n_servers = conf->n_servers;
	for (size_t i = 0; i < in->n_servers; i++) {
		server[i]->conf = &conf->servers[i];
		server[i]->service = conf;
	}
	for (size_t i = 0; i < n_old; i++) {
		if (!has(in->server, in->n_servers, old[i]))
			server_free(old[i]);
	}
	mem_free(in->bus->mem, old);
	/* Who has waited need not wait for a server that is there. */
	for (size_t i = 0; i < in->n_servers; i++)
		on_up(in->server[i]);
}

void ingress_retire(struct ingress *in)
{
	in->retired = true;
	loop_defer(in->bus->loop, &in->settle);
}

void ingress_free(struct ingress *in)
{
	struct bus *bus = in->bus;
	for (size_t i = 0; i < in->n_servers; i++)
		server_free(in->server[i]);
	mem_free(bus->mem, in->server);
	list_remove(&in->node);
	loop_cancel(&in->settle);
	generation_drop(bus, in->generation);
	loop_free_later(bus->loop, in);
}
