#include "bus/dialer.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "bus/guard.h"
#include "bus/say.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static const char *text_of(const struct dialer *d)
{
	return d->ops->text(d);
}

static void dial(struct dialer *d);

static bool is_dialling(const struct dialer *d)
{
	return connector_busy(&d->connector) || handshake_is_busy(&d->handshake) ||
	       d->query.name != NULL || !list_empty(&d->queued);
}

static void ended(struct dialer *d)
{
	if (d->ops->ended != NULL)
		d->ops->ended(d);
}

/* The next attempt, after a pause between half the back-off and all of it. */
static void retry_later(struct dialer *d)
{
	struct bus *bus = d->bus;
	if (*d->stopped || !d->in_use)
		return;
	/* While somebody waits the pauses stay short. */
	if (bus_now(bus) < d->awaited)
		d->backoff = DIALER_BACKOFF_MIN;
	/* Whoever refuses a node will do so for a while, and a handshake costs both. */
	if (d->refused && d->backoff < DIALER_REFUSED)
		d->backoff = DIALER_REFUSED;
	uint64_t pause = d->backoff / 2 + bus_jitter(bus, d->backoff / 2 + 1);
	d->backoff = d->backoff * 2 < DIALER_BACKOFF_MAX ? d->backoff * 2 : DIALER_BACKOFF_MAX;
	if (loop_timer_set(bus->loop, &d->retry, bus_now(bus) + pause) != 0)
		log_error("link %s: no memory for its timer; it stays down", text_of(d));
}

/* The failure by its words, without their numbers: one may be the time of day. */
static uint64_t complaint_of(const char *why)
{
	char words[WHY_MAX];
	size_t n = 0;
	for (; *why != '\0' && n < sizeof words; why++) {
		if (*why < '0' || *why > '9')
			words[n++] = *why;
	}
	return hash_bytes(words, n, 1) | 1;
}

static void attempt_failed(struct dialer *d, enum stats_dial how, const char *why)
{
	if (*d->stopped)
		return;
	d->failures++;
	d->bus->stats.dials[how]++;
	d->refused = d->secured && (how == STATS_DIAL_HANDSHAKE || how == STATS_DIAL_HELLO);
	uint64_t complaint = complaint_of(why);
	if (d->complaint != complaint)
		say_about(d->bus, text_of(d), LOG_WARNING, "link %s: cannot connect: %s; trying on",
			text_of(d), why);
	else
		log_debug("link %s: cannot connect: %s", text_of(d), why);
	d->complaint = complaint;
	retry_later(d);
}

/* --- what a transport tells --------------------------------------------------------- */

static bool is_ready(const struct dialer *d, const struct transport *t)
{
	for (unsigned i = 0; i < d->n_ready; i++) {
		if (d->ready[i] == t)
			return true;
	}
	return false;
}

/* Takes a transport out of those that are open to new sessions.  Whether it was one. */
static bool withdraw(struct dialer *d, const struct transport *t)
{
	for (unsigned i = 0; i < d->n_ready; i++) {
		if (d->ready[i] == t) {
			d->ready[i] = d->ready[--d->n_ready];
			return true;
		}
	}
	return false;
}

/* How many there are that need not be replaced. */
static unsigned count_fresh(const struct dialer *d)
{
	unsigned n = 0;
	for (unsigned i = 0; i < d->n_ready; i++)
		n += !transport_is_worn(d->ready[i]);
	return n;
}

/* Says goodbye to transports that are worn, now that there is a fresh one. */
static void retire_worn(struct dialer *d)
{
	for (unsigned i = d->n_ready; i-- > 0;) {
		struct transport *t = d->ready[i];
		if (transport_is_worn(t) && withdraw(d, t))
			transport_goaway(t, WIRE_REPLACED);
	}
}

/*
 * Of those that need not be replaced; of equals the one that came last, for the peer may not have
 * heard of that yet, and is not to be left with it alone.
 */
static struct transport *least_used(const struct dialer *d)
{
	struct transport *least = NULL;
	for (unsigned i = 0; i < d->n_ready; i++) {
		struct transport *t = d->ready[i];
		if (!transport_is_worn(t) &&
			(least == NULL || mux_count(t->mux) <= mux_count(least->mux)))
			least = t;
	}
	return least;
}

/* Says goodbye to those that are more than so many (>= 1). */
static void shed(struct dialer *d, unsigned most)
{
	unsigned n = 0;
	for (; count_fresh(d) > most; n++) {
		struct transport *t = least_used(d);
		(void)withdraw(d, t);
		transport_goaway(t, WIRE_UNUSED);
	}
	if (n > 0)
		log_notice("link %s: %u transports are too many now; running sessions finish",
			text_of(d), n);
}

/* A replacement that failed waits for its turn, whatever sessions come. */
static void replace_worn(struct dialer *d, const struct transport *t)
{
	if (transport_is_worn(t) && count_fresh(d) < d->wanted && !timer_is_set(&d->retry))
		dial(d);
}

/* A transport that lasted proves the peer well: the next pauses begin short again. */
static void forget_backoff(struct dialer *d)
{
	if (bus_now(d->bus) - d->ready_at >= DIALER_LASTED)
		d->backoff = DIALER_BACKOFF_MIN;
}

static void look_at_path(struct dialer *d, const struct transport *t)
{
	d->allowed = d->bus->conf->transports;
	d->wanted = transport_round_trip(t) > DIALER_LONG_PATH ? d->allowed : 1;
}

static void on_ready(struct transport *t)
{
	struct dialer *d = t->owner;
	if (t != d->next)
		return;
	d->next = NULL;
	/* The one that opens streams must know of the fresh one first, or finds none: on_heard().
	 */
	if (!d->ops->announces || d->n_ready == CONF_TRANSPORTS_MAX)
		retire_worn(d);
	if (d->n_ready == CONF_TRANSPORTS_MAX) {
		transport_goaway(t, WIRE_UNUSED);
		return;
	}
	if (d->n_ready == 0)
		say_about(d->bus, text_of(d), LOG_NOTICE, "link %s: up%s%s", text_of(d),
			t->sealed != NULL ? ", to " : "",
			t->sealed != NULL ? secure_peer_name(t->sealed->secure) : "");
	d->ready[d->n_ready++] = t;
	d->ready_at = bus_now(d->bus);
	d->complaint = 0;
	d->refused = false;
	look_at_path(d, t);
	d->ops->up(d, t);
	shed(d, d->allowed); /* a reload may have come while it was dialled */
	if (count_fresh(d) < d->wanted)
		dial(d);
}

static void on_heard(struct transport *t)
{
	struct dialer *d = t->owner;
	if (is_ready(d, t) && !transport_is_worn(t))
		retire_worn(d);
}

static void on_worn(struct transport *t)
{
	struct dialer *d = t->owner;
	if (*d->stopped || !is_ready(d, t))
		return;
	forget_backoff(d);
	/* A peer that is never content with the keys it has is not dialled without a pause. */
	if (bus_now(d->bus) - d->ready_at >= DIALER_LASTED)
		replace_worn(d, t);
	else if (d->next == NULL && !is_dialling(d) && !timer_is_set(&d->retry))
		retry_later(d);
}

static void on_open(struct transport *t, struct mux_stream *stream, const struct wire_open *open)
{
	struct dialer *d = t->owner;
	d->ops->open(d, t, stream, open);
	/* The peer's ids may be what runs out, and only this side can dial. */
	if (!*d->stopped && d->in_use)
		replace_worn(d, t);
}

/* No new sessions on it: another one is to be dialled.  Whether it was open to them. */
static bool give_away(struct dialer *d, const struct transport *t)
{
	if (!withdraw(d, t))
		return false;
	forget_backoff(d);
	if (d->next == NULL)
		retry_later(d);
	return true;
}

static void on_goaway(struct transport *t, uint32_t code)
{
	struct dialer *d = t->owner;
	if (code == WIRE_EXPIRED && t->sealed != NULL)
		guard_hears_of_end(d->bus);
	bool news = give_away(d, t) || !d->in_use;
	/* Otherwise it answers our own goodbye to one that was worn. */
	if ((news && !*d->stopped) || !wire_code_is_usual(code))
		say_about(d->bus, text_of(d), LOG_NOTICE,
			"link %s: the %s goes away (%s); running sessions finish", text_of(d),
			d->ops->peer, wire_code_text(code));
}

static void on_dismissed(struct transport *t)
{
	(void)give_away(t->owner, t);
}

static void on_announced(struct transport *t)
{
	struct dialer *d = t->owner;
	if (d->ops->announced != NULL)
		d->ops->announced(d, t);
}

static void on_vouched(struct transport *t)
{
	struct dialer *d = t->owner;
	if (d->ops->vouched != NULL)
		d->ops->vouched(d, t);
}

static void on_closed(struct transport *t, const char *why)
{
	struct dialer *d = t->owner;
	bool was_ready = withdraw(d, t), was_next = t == d->next;
	d->n_transports--;
	d->received += t->received;
	d->sent += t->sent;
	if (d->ops->closed != NULL)
		d->ops->closed(d, t);
	if (was_next) {
		d->next = NULL;
		attempt_failed(d, STATS_DIAL_HELLO, why != NULL ? why : "closed by the peer");
	} else if (was_ready) {
		forget_backoff(d);
		d->refused = t->ending.how == STATS_CLOSED_UNWELCOME;
		say_about(d->bus, text_of(d), LOG_NOTICE, "link %s: %s: %s", text_of(d),
			d->n_ready == 0 ? "down" : "a transport was lost",
			why != NULL ? why : "closed in order");
		if (d->next == NULL)
			retry_later(d);
	} else if (why != NULL) {
		say_about(d->bus, text_of(d), LOG_NOTICE,
			"link %s: a transport on its way out was lost: %s", text_of(d), why);
	}
	ended(d);
}

static const struct transport_ops transport_ops = {.ready = on_ready,
	.open = on_open,
	.goaway = on_goaway,
	.dismissed = on_dismissed,
	.announced = on_announced,
	.vouched = on_vouched,
	.heard = on_heard,
	.worn = on_worn,
	.closed = on_closed};

/* --- dialling -------------------------------------------------------------------------- */

/* Takes the descriptor, and `secure` where it is secured. */
static void make_transport(struct dialer *d, int fd, struct secure *secure)
{
	struct transport_options opt = {
		.ops = &transport_ops, .owner = d, .fd = fd, .side = MUX_DIALLED, .secure = secure};
	int rc = transport_new(&d->next, d->bus, &opt);
	if (rc != 0) {
		d->next = NULL;
		attempt_failed(
			d, STATS_DIAL_FAILED, rc == ERR_SYS ? strerror(errno) : err_text(rc));
		return;
	}
	d->n_transports++;
	if (*d->stopped || !d->in_use)
		transport_goaway(d->next, *d->stopped ? WIRE_OK : WIRE_UNUSED);
}

static void on_shaken(struct handshake *h, const struct handshake_result *result)
{
	struct dialer *d = container_of(h, struct dialer, handshake);
	if (result->err == 0) {
		make_transport(d, result->fd, result->secure);
		return;
	}
	attempt_failed(d, STATS_DIAL_HANDSHAKE, result->why);
	ended(d);
}

static void shake_hands(struct dialer *d, int fd)
{
	struct handshake_options opt = {.fd = fd,
		.side = NOISE_INITIATOR,
		.peer = guard_peer_role(d->bus),
		.deadline = bus_now(d->bus) + DIALER_CONNECT_TIMEOUT,
		.done = on_shaken};
	int rc = handshake_start(&d->handshake, d->bus, &opt);
	if (rc != 0)
		attempt_failed(
			d, STATS_DIAL_FAILED, rc == ERR_SYS ? strerror(errno) : err_text(rc));
}

static void on_connected(struct connector *c, const struct connector_result *result)
{
	struct dialer *d = container_of(c, struct dialer, connector);
	d->bus->stats.no_port += result->no_port;
	if (result->err != 0) {
		attempt_failed(d, STATS_DIAL_CONNECT,
			result->err == ERR_SYS ? strerror(result->sys) : err_text(result->err));
		ended(d);
		return;
	}
	if (d->secured)
		shake_hands(d, result->fd);
	else
		make_transport(d, result->fd, NULL);
}

static void connect_to(struct dialer *d, const struct addr *addrs, size_t n)
{
	struct connector_options opt = {
		.addrs = addrs, .n = n, .timeout = DIALER_CONNECT_TIMEOUT, .mem = d->bus->mem};
	int rc = connector_start(&d->connector, d->bus->loop, &opt, on_connected);
	if (rc != 0)
		attempt_failed(d, STATS_DIAL_FAILED, err_text(rc));
}

_Static_assert((int)DNS_ADDRS_MAX <= (int)CONNECTOR_ADDRS_MAX, "an answer is tried whole");

/* All addresses race: which of them a peer of several answers on is one question. */
static void on_resolved(struct dns_query *query, int err)
{
	struct dialer *d = container_of(query, struct dialer, query);
	struct addr addrs[DNS_ADDRS_MAX];
	size_t n = 0;
	const struct addr *known = dns_addrs(d->name, &n);
	if (*d->stopped || !d->in_use)
		return;
	if (err != 0) {
		attempt_failed(d, STATS_DIAL_NAME, dns_failure(d->name));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		addrs[i] = known[i];
		if (addr_family(&addrs[i]) == AF_INET)
			addrs[i].in.sin_port = htons(d->port);
		else
			addrs[i].in6.sin6_port = htons(d->port);
	}
	connect_to(d, addrs, n);
}

static void begin(struct dialer *d)
{
	list_remove(&d->queued);
	if (*d->stopped || !d->in_use)
		return;
	if (d->secured && !guard_may_dial(d->bus)) {
		list_append(&d->bus->dials.barred, &d->queued);
		return;
	}
	d->tried = bus_now(d->bus);
	if (d->name != NULL)
		dns_resolve(d->name, &d->query);
	else
		connect_to(d, &d->addr, 1);
}

static void on_turn(struct loop_work *work)
{
	struct dial_queue *queue = container_of(work, struct dial_queue, work);
	for (unsigned i = 0; i < DIALER_A_TURN && !list_empty(&queue->waiting); i++) {
		struct dialer *d = container_of(queue->waiting.next, struct dialer, queued);
		loop_defer(d->bus->loop, work); /* for those that are left */
		begin(d);
	}
}

void dialer_queue_init(struct dial_queue *queue)
{
	list_init(&queue->waiting);
	list_init(&queue->barred);
	loop_work_init(&queue->work, on_turn);
}

void dialer_queue_fini(struct dial_queue *queue)
{
	loop_cancel(&queue->work);
}

void dialer_queue_release(struct bus *bus)
{
	struct dial_queue *queue = &bus->dials;
	for (struct list *node; (node = list_first(&queue->barred)) != NULL;) {
		list_remove(node);
		list_append(&queue->waiting, node);
		loop_defer(bus->loop, &queue->work);
	}
}

/* It stands in the queue from here until begin(). */
static void dial(struct dialer *d)
{
	struct dial_queue *queue = &d->bus->dials;
	if (*d->stopped || d->next != NULL || is_dialling(d))
		return;
	loop_timer_stop(d->bus->loop, &d->retry);
	list_append(&queue->waiting, &d->queued);
	loop_defer(d->bus->loop, &queue->work);
}

/* What went may have been one too many, or have its successor already. */
static void on_retry(struct timer *timer)
{
	struct dialer *d = container_of(timer, struct dialer, retry);
	if (d->n_ready == 0 || count_fresh(d) < d->wanted)
		dial(d);
}

void dialer_kick(struct dialer *d, uint64_t until)
{
	uint64_t now = bus_now(d->bus);
	if (until > d->awaited)
		d->awaited = until;
	if (!list_empty(&d->queued))
		begin(d);
	if (d->n_ready > 0 || !timer_is_set(&d->retry))
		return;
	uint64_t soonest = d->tried + (d->refused ? DIALER_REFUSED / 2 : DIALER_BACKOFF_MIN);
	if (now >= soonest)
		dial(d);
	else if (d->retry.at > soonest)
		(void)loop_timer_set(d->bus->loop, &d->retry, soonest);
}

struct transport *dialer_transport(struct dialer *d)
{
	for (unsigned i = 0; i < d->n_ready; i++) {
		struct transport *t = d->ready[d->turn++ % d->n_ready];
		if (!transport_can_open(t))
			continue;
		replace_worn(d, t);
		return t;
	}
	return NULL;
}

/* --- life ---------------------------------------------------------------------------------- */

int dialer_init(struct dialer *d, struct bus *bus, const struct dialer_options *opt)
{
	*d = (struct dialer){.bus = bus,
		.ops = opt->ops,
		.stopped = opt->stopped,
		.addr = opt->addr,
		.secured = opt->secured,
		.port = opt->port,
		.backoff = DIALER_BACKOFF_MIN,
		.retry.fire = on_retry,
		.query.done = on_resolved};
	list_init(&d->queued);
	if (opt->host == NULL)
		return 0;
	d->name = dns_ref(bus->dns, opt->host);
	return d->name != NULL ? 0 : ERR_NOMEM;
}

void dialer_fini(struct dialer *d)
{
	if (d->bus == NULL)
		return;
	list_remove(&d->queued);
	connector_cancel(&d->connector);
	handshake_cancel(&d->handshake);
	loop_timer_stop(d->bus->loop, &d->retry);
	dns_cancel(&d->query);
	dns_unref(d->name);
	d->name = NULL;
}

void dialer_use(struct dialer *d)
{
	d->in_use = true;
	if (d->n_ready == 0 && !timer_is_set(&d->retry))
		dial(d);
}

static void reconfigure(struct dialer *d)
{
	if (d->n_ready == 0 || d->allowed == d->bus->conf->transports)
		return;
	look_at_path(d, d->ready[0]);
	shed(d, d->wanted);
	if (count_fresh(d) < d->wanted && !timer_is_set(&d->retry))
		dial(d);
}

void dialer_reconfigure(struct bus *bus)
{
	list_each (node, &bus->transports) {
		const struct transport *t = container_of(node, struct transport, node);
		struct dialer *d = t->owner;
		if (t->ops == &transport_ops && !t->dead && d->in_use && !*d->stopped)
			reconfigure(d);
	}
}

void dialer_give_up(struct dialer *d)
{
	d->in_use = false;
	list_remove(&d->queued);
	connector_cancel(&d->connector);
	handshake_cancel(&d->handshake);
	dns_cancel(&d->query);
	loop_timer_stop(d->bus->loop, &d->retry);
	if (d->n_ready > 0)
		log_notice("link %s: not used any more; running sessions finish", text_of(d));
	while (d->n_ready > 0)
		transport_goaway(d->ready[--d->n_ready], WIRE_UNUSED);
	if (d->next != NULL) {
		struct transport *next = d->next;
		d->next = NULL;
		ending_now(next, STATS_CLOSED_CLEAN, NULL);
	}
}

bool dialer_busy(const struct dialer *d)
{
	return d->n_transports > 0 || is_dialling(d);
}
