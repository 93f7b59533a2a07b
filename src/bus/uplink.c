#include "bus/uplink.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/permit.h"
#include "bus/say.h"

_Static_assert((int)CONF_ANNOUNCED_MAX == (int)WIRE_NAMES_MAX, "what a file may have is announced");

static struct uplink *uplink_of(const struct dialer *d)
{
	return container_of(d, struct uplink, dialer);
}

static const char *text_of(const struct dialer *d)
{
	return uplink_of(d)->conf->text;
}

static const char *customer_of(const struct token *token)
{
	return token->customer[0] != '\0' ? token->customer : "none";
}

/* Said once, until it is otherwise: a link over which no session can come looks like any other. */
static void watch_customer(struct uplink *u, const struct transport *t)
{
	bool foreign = permit_is_foreign(t);
	if (foreign == u->foreign)
		return;
	u->foreign = foreign;
	roster_renumber(u->roster);
	const char *text = text_of(&u->dialer);
	const struct secure *s = t->sealed != NULL ? t->sealed->secure : NULL;
	if (foreign)
		say_about(u->dialer.bus, text, LOG_WARNING,
			"link %s: %s is of another customer (%s, and this node of %s): no service "
			"is announced to it, and it can open none",
			text, secure_peer_name(s), customer_of(secure_peer(s)),
			customer_of(secure_own(s)));
	else
		say_about(u->dialer.bus, text, LOG_NOTICE,
			"link %s: %s is of this node's customer now: services are announced to it",
			text, s != NULL ? secure_peer_name(s) : "the controller");
}

static void on_up(struct dialer *d, struct transport *t)
{
	watch_customer(uplink_of(d), t);
	if (roster_join(uplink_of(d)->roster, t) == 0)
		return;
	log_error("link %s: no memory to announce services on it", text_of(d));
	transport_goaway(t, WIRE_INTERNAL);
}

static void on_open(struct dialer *d, struct transport *t, struct mux_stream *stream,
	const struct wire_open *open)
{
	directory_open(uplink_of(d)->directory, t, stream, open);
}

static void on_announced(struct dialer *d, struct transport *t)
{
	roster_more(uplink_of(d)->roster, t);
}

static void on_vouched(struct dialer *d, struct transport *t)
{
	roster_repeat(uplink_of(d)->roster, t);
}

static void on_closed(struct dialer *d, struct transport *t)
{
	roster_leave(uplink_of(d)->roster, t);
}

static void on_ended(struct dialer *d)
{
	struct uplink *u = uplink_of(d);
	if (u->retired && !dialer_busy(d))
		uplink_free(u);
}

static const struct dialer_ops ops = {.peer = "controller",
	.text = text_of,
	.up = on_up,
	.open = on_open,
	.announced = on_announced,
	.vouched = on_vouched,
	.announces = true,
	.closed = on_closed,
	.ended = on_ended};

int uplink_new(struct uplink **out, struct bus *bus, const struct uplink_options *opt)
{
	struct uplink *u = mem_zalloc(bus->mem, sizeof *u);
	if (u == NULL)
		return ERR_NOMEM;
	u->conf = opt->conf;
	u->directory = opt->directory;
	u->roster = opt->roster;
	list_init(&u->node);
	struct dialer_options dial = {.ops = &ops,
		.addr = opt->conf->addr,
		.secured = opt->conf->secured,
		.host = opt->conf->host,
		.port = opt->conf->port,
		.stopped = opt->stopped};
	int rc = dialer_init(&u->dialer, bus, &dial);
	if (rc != 0) {
		mem_free(bus->mem, u);
		return rc;
	}
	dialer_use(&u->dialer);
	*out = u;
	return 0;
}

void uplink_commit(struct uplink *u, const struct conf_endpoint *conf)
{
	struct bus *bus = u->dialer.bus;
	generation_drop(bus, u->generation);
	u->generation = generation_hold(bus->generations.current);
	u->conf = conf;
}

void uplink_retire(struct uplink *u)
{
	u->retired = true;
	dialer_give_up(&u->dialer);
	if (!dialer_busy(&u->dialer))
		uplink_free(u);
}

void uplink_free(struct uplink *u)
{
	struct bus *bus = u->dialer.bus;
	dialer_fini(&u->dialer);
	list_remove(&u->node);
	generation_drop(bus, u->generation);
	loop_free_later(bus->loop, u);
}
