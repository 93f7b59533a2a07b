#include "bus/egress.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/quota.h"
#include "net/sock.h"

#include <errno.h>
#include <string.h>

/* --- a session on its way to the backend -------------------------------------------------- */

struct pending {
	struct backend_connect connect;
	struct session *session;
	struct egress *egress;
};

static void on_closed_open(struct session *s)
{
	struct egress *e = s->owner;
	e->n_sessions--;
}

static void on_closed_pending(struct session *s)
{
	struct pending *p = s->owner;
	p->egress->n_sessions--;
	backend_cancel(&p->connect);
	loop_free_later(s->bus->loop, p);
}

static const struct session_ops open_ops = {.closed = on_closed_open};
static const struct session_ops pending_ops = {.closed = on_closed_pending};

static void on_connected(struct backend_connect *bc, int fd, uint32_t code, const char *why)
{
	struct pending *p = container_of(bc, struct pending, connect);
	struct session *s = p->session;
	if (fd < 0) {
		log_warning("session %s: refused: backend %s: %s", session_text(s),
			p->egress->conf->servers[0].text, why);
		session_abort(s, code);
		return;
	}
	if (session_set_local(s, fd, backend_is_tcp(&p->egress->backend)) != 0) {
		log_error("session %s: refused: %s", session_text(s), strerror(errno));
		session_abort(s, WIRE_INTERNAL);
		return;
	}
	/* A backend may speak and reset before we notice that it accepted. */
	if (bc->broken != 0)
		session_fail_later(s, bc->broken);
	s->ops = &open_ops;
	s->owner = p->egress;
	loop_free_later(s->bus->loop, p);
	session_start(s);
}

/*
 * Why the service takes no further session, or NULL.  Draining is no reason: an OPEN that
 * crossed our first GOAWAY is accepted, and after the last one mux turns them away.
 */
static const char *full(const struct egress *e, const struct bus *bus)
{
	if (e->conf->max_sessions != 0 && e->n_sessions >= e->conf->max_sessions)
		return "max_sessions is reached";
	return quota_admits(bus) ? NULL : "the memory for unread bytes is used up";
}

static struct session *make_session(struct bus *bus, struct egress *e, const struct wire_open *open)
{
	struct pending *p = mem_zalloc(bus->mem, sizeof *p);
	if (p == NULL)
		return NULL;
	struct session_options opt = {.ops = &pending_ops,
		.owner = p,
		.service = e->conf,
		.id = open->session,
		.n_members = 1};
	p->egress = e;
	p->session = session_new(bus, &opt);
	if (p->session == NULL) {
		mem_free(bus->mem, p);
		return NULL;
	}
	e->n_sessions++;
	return p->session;
}

void egress_begin(struct egress *e, struct transport *t, struct mux_stream *stream,
	const struct wire_open *open)
{
	const char *why = full(e, t->bus);
	struct session *s = why == NULL ? make_session(t->bus, e, open) : NULL;
	if (s == NULL) {
		log_warning("service [%s]: session refused: %s", e->conf->name,
			why != NULL ? why : "out of memory");
		transport_refuse(t, stream, why != NULL ? WIRE_BUSY : WIRE_INTERNAL);
		return;
	}
	transport_attach(t, &s->members[0].ts, stream);
	struct pending *p = s->owner;
	if (backend_connect(&p->connect, &e->backend, on_connected) != 0) {
		log_error("session %s: refused: out of memory", session_text(s));
		session_abort(s, WIRE_INTERNAL);
	}
}

int egress_init(struct egress *e, struct bus *bus, const struct conf_service *conf)
{
	*e = (struct egress){.conf = conf};
	return backend_init(&e->backend, bus, conf);
}

void egress_fini(struct egress *e)
{
	backend_fini(&e->backend);
}
