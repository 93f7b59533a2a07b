#include "bus/egress.h"

#include "base/err.h"
#include "bus/quota.h"
#include "bus/say.h"
#include "conf/conf_equal.h"
#include "net/sock.h"

#include <errno.h>
#include <string.h>

/* --- a session on its way to the backend -------------------------------------------------- */

struct pending {
	struct session_owner sessions;
	struct backend_connect connect;
	struct session *session;
	struct egress *egress;
	struct egress_target *target;
};

void egress_spare_init(struct spare *s, struct mem *mem)
{
	spare_init(s, mem, sizeof(struct pending), EGRESS_SPARE);
}

static struct egress_target *hold(struct egress_target *t)
{
	t->holders++;
	return t;
}

static void drop(struct bus *bus, struct egress_target *t)
{
	if (--t->holders > 0)
		return;
	backend_fini(&t->backend);
	generation_drop(bus, t->generation);
	loop_free_later(bus->loop, t);
}

static void one_less(struct egress *e)
{
	e->n_sessions--;
	if (e->retired)
		loop_defer(e->bus->loop, &e->settle);
}

static void on_closed_open(struct session *s)
{
	one_less(container_of(s->owner, struct egress, sessions));
}

static struct pending *pending_of(const struct session *s)
{
	return container_of(s->owner, struct pending, sessions);
}

/* The way to the backend is over, whether it was found or not. */
static void end_pending(struct pending *p)
{
	struct bus *bus = p->egress->bus;
	drop(bus, p->target);
	spare_put(&bus->pending, p);
}

static void on_closed_pending(struct session *s)
{
	struct pending *p = pending_of(s);
	backend_cancel(&p->connect);
	s->owner = &p->egress->sessions;
	one_less(p->egress);
	end_pending(p);
}

static void on_connected(struct backend_connect *bc, int fd, uint32_t code, const char *why)
{
	struct pending *p = container_of(bc, struct pending, connect);
	struct session *s = p->session;
	if (fd < 0) {
		say_session(s, LOG_WARNING, "session %s: refused: backend %s: %s", session_text(s),
			p->target->backend.conf->servers[0].text, why);
		session_refuse(s, stats_refusal_by_backend(code), code);
		return;
	}
	if (session_set_local(s, fd, backend_is_tcp(&p->target->backend)) != 0) {
		say_session(
			s, LOG_ERROR, "session %s: refused: %s", session_text(s), strerror(errno));
		session_abort(s, WIRE_INTERNAL);
		return;
	}
	/* A backend may speak and reset before we notice that it accepted. */
	if (bc->broken != 0)
		session_fail_later(s, bc->broken);
	s->owner = &p->egress->sessions;
	end_pending(p);
	session_start(s);
}

/*
 * Why the service takes no further session, or NULL; counts it.  Draining is no reason: an OPEN
 * that crossed our first GOAWAY is accepted, and after the last one mux turns them away.
 */
static const char *full(struct egress *e)
{
	if (e->conf->max_sessions != 0 && e->n_sessions >= e->conf->max_sessions) {
		e->stats.refused[STATS_MAX_SESSIONS]++;
		return "max_sessions is reached";
	}
	if (quota_admits(e->bus))
		return NULL;
	e->stats.refused[STATS_MEMORY]++;
	e->bus->stats.memory_refused++;
	return "the memory for unread bytes is used up";
}

static struct session *make_session(struct bus *bus, struct egress *e, const struct wire_open *open)
{
	struct pending *p = spare_get(&bus->pending);
	if (p == NULL)
		return NULL;
	*p = (struct pending){
		.sessions = {.stats = &e->stats, .closed = on_closed_pending},
		.egress = e,
	};
	/* One that is leaving is of a configuration before the current one. */
	struct session_options opt = {.owner = &p->sessions,
		.service = e->conf,
		.generation = e->generation,
		.id = open->session,
		.n_members = 1};
	p->session = session_new(bus, &opt);
	if (p->session == NULL) {
		spare_put(&bus->pending, p);
		return NULL;
	}
	p->target = hold(e->target);
	e->n_sessions++;
	return p->session;
}

void egress_begin(struct egress *e, struct transport *t, struct mux_stream *stream,
	const struct wire_open *open)
{
	const char *why = full(e);
	struct session *s = why == NULL ? make_session(t->bus, e, open) : NULL;
	if (s == NULL) {
		say_about(e->bus, e->conf->name, LOG_WARNING, "service [%s]: session refused: %s",
			e->conf->name, why != NULL ? why : "out of memory");
		e->stats.refused[STATS_NO_RESOURCES] += why == NULL;
		transport_refuse(t, stream, why != NULL ? WIRE_BUSY : WIRE_INTERNAL);
		return;
	}
	transport_attach(&s->members[0].ts, stream);
	struct pending *p = pending_of(s);
	if (backend_connect(&p->connect, &p->target->backend, on_connected) != 0) {
		say_session(s, LOG_ERROR, "session %s: refused: out of memory", session_text(s));
		session_abort(s, WIRE_INTERNAL);
	}
}

/* --- life ----------------------------------------------------------------------------------- */

static void settle(struct loop_work *work)
{
	struct egress *e = container_of(work, struct egress, settle);
	if (e->n_sessions == 0)
		egress_free(e);
}

struct egress *egress_new(struct bus *bus, const struct conf_service *conf)
{
	struct egress *e = mem_zalloc(bus->mem, sizeof *e);
	if (e == NULL)
		return NULL;
	e->bus = bus;
	e->conf = conf;
	e->sessions = (struct session_owner){.stats = &e->stats, .closed = on_closed_open};
	list_init(&e->node);
	loop_work_init(&e->settle, settle);
	return e;
}

int egress_prepare(struct egress *e, const struct conf_service *conf, struct egress_target **out)
{
	struct egress_target *t = e->target;
	if (t != NULL && conf_equal_endpoint(&t->backend.conf->servers[0], &conf->servers[0])) {
		*out = hold(t);
		return 0;
	}
	t = mem_zalloc(e->bus->mem, sizeof *t);
	if (t == NULL)
		return ERR_NOMEM;
	int rc = backend_init(&t->backend, e->bus, conf);
	if (rc != 0) {
		mem_free(e->bus->mem, t);
		return rc;
	}
	*out = hold(t);
	return 0;
}

void egress_abandon(struct egress *e, struct egress_target *target)
{
	if (target != NULL)
		drop(e->bus, target);
}

void egress_commit(struct egress *e, const struct conf_service *conf, struct egress_target *target)
{
	struct generation *g = e->bus->generations.current;
	struct egress_target *old = e->target;
	generation_drop(e->bus, e->generation);
	e->generation = generation_hold(g);
	e->conf = conf;
	generation_drop(e->bus, target->generation);
	target->generation = generation_hold(g);
	target->backend.conf = conf;
	e->target = target;
	if (old != NULL)
		drop(e->bus, old);
}

void egress_retire(struct egress *e)
{
	e->retired = true;
	loop_defer(e->bus->loop, &e->settle);
}

void egress_free(struct egress *e)
{
	struct bus *bus = e->bus;
	if (e->target != NULL)
		drop(bus, e->target);
	list_remove(&e->node);
	loop_cancel(&e->settle);
	generation_drop(bus, e->generation);
	loop_free_later(bus->loop, e);
}
