#include "daemon/metrics.h"

#include "config.h"

#include "base/log.h"
#include "bus/expiry.h"
#include "bus/guard.h"
#include "bus/survey.h"
#include "daemon/metrics_text.h"

#include <time.h>

/* Room behind METRICS_MAX for the last metric, which says what had none. */
enum { LAST_WORDS = 1 << 10 };

/* --- lines ----------------------------------------------------------------------------------- */

static void plain(struct metrics_text *t, enum metrics_id id, uint64_t value)
{
	metrics_text_begin(t, id);
	metrics_text_add(t, NULL, 0, value);
}

static void labelled(struct metrics_text *t, const char *name, const char *value, uint64_t n)
{
	metrics_text_add(t, &(struct metrics_label){name, value}, 1, n);
}

/* A metric with a line for each reason; label_of is that of its enum. */
#define BY(t, id, name, label_of, counts)                                                          \
	do {                                                                                       \
		metrics_text_begin(t, id);                                                         \
		for (unsigned k = 0; k < sizeof(counts) / sizeof *(counts); k++)                   \
			labelled(t, name, label_of(k), (counts)[k]);                               \
	} while (0)

/* --- the process ------------------------------------------------------------------------------ */

static void add_build(struct metrics_text *t, const struct bus *bus)
{
	bool segment = bus->conf->role == CONF_SEGMENT;
	struct metrics_label labels[] = {
		{"version", PACKAGE_VERSION}, {"role", segment ? "segment" : "controller"}};
	metrics_text_begin(t, METRICS_BUILD_INFO);
	metrics_text_add(t, labels, 2, 1);
}

static void add_cpu(struct metrics_text *t)
{
	struct timespec ts;
	metrics_text_begin(t, METRICS_CPU);
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) != 0)
		return;
	uint64_t micros = (uint64_t)ts.tv_sec * CLOCK_SEC + (uint64_t)ts.tv_nsec / 1000;
	metrics_text_add_time(t, NULL, 0, micros);
}

static void add_process(struct metrics_text *t, const struct bus *bus)
{
	const struct bus_stats *s = &bus->stats;
	add_build(t, bus);
	plain(t, METRICS_START_TIME, s->started);
	add_cpu(t);
	BY(t, METRICS_RELOADS, "result", stats_result_label, s->reloads);
	plain(t, METRICS_RELOADED, s->reloaded);
	plain(t, METRICS_DRAINING, bus->draining);
	plain(t, METRICS_LOG_DROPPED, log_dropped());
	plain(t, METRICS_MEMORY_LIMIT, bus->quota.limit);
	plain(t, METRICS_MEMORY_HELD, bus->quota.held);
	plain(t, METRICS_MEMORY_REFUSED, s->memory_refused);
	plain(t, METRICS_MEMORY_EVICTED, s->memory_evicted);
	BY(t, METRICS_ACCEPT_FAILURES, "reason", stats_accept_label, s->accept_failures);
	plain(t, METRICS_PAUSED, s->paused);
	plain(t, METRICS_NO_PORT, s->no_port);
}

/* --- services --------------------------------------------------------------------------------- */

static uint64_t sessions(const struct survey_service *s)
{
	return s->sessions;
}

static uint64_t waiting(const struct survey_service *s)
{
	return s->stats->waiting;
}

static uint64_t opened(const struct survey_service *s)
{
	return s->stats->opened;
}

static uint64_t received(const struct survey_service *s)
{
	return s->stats->received;
}

static uint64_t sent(const struct survey_service *s)
{
	return s->stats->sent;
}

static uint64_t latches(const struct survey_service *s)
{
	return s->stats->latches;
}

static void by_service(struct metrics_text *t, enum metrics_id id, const struct survey *s,
	uint64_t (*number)(const struct survey_service *s))
{
	metrics_text_begin(t, id);
	for (size_t i = 0; i < s->n_services; i++)
		labelled(t, "service", s->services[i].name, number(&s->services[i]));
}

/* The lines of one service, for each reason; of many services only for those that occurred. */
#define BY_REASON(t, s, i, label_of, counts)                                                       \
	for (unsigned k = 0; k < sizeof(counts) / sizeof *(counts); k++) {                         \
		const struct metrics_label labels[] = {                                            \
			{"service", (s)->services[i].name}, {"reason", label_of(k)}};              \
		if ((counts)[k] > 0 || (s)->n_services <= METRICS_FULL)                            \
			metrics_text_add(t, labels, 2, (counts)[k]);                               \
	}

static void add_reasons(struct metrics_text *t, const struct survey *s)
{
	metrics_text_begin(t, METRICS_REFUSED);
	for (size_t i = 0; i < s->n_services; i++)
		BY_REASON(t, s, i, stats_refusal_label, s->services[i].stats->refused);
	metrics_text_begin(t, METRICS_ENDED);
	for (size_t i = 0; i < s->n_services; i++)
		BY_REASON(t, s, i, stats_end_label, s->services[i].stats->ended);
}

static const char *member_label(size_t i)
{
	return i == 0 ? "slow" : "lost";
}

static void add_members(struct metrics_text *t, const struct survey *s)
{
	metrics_text_begin(t, METRICS_MEMBERS_DROPPED);
	for (size_t i = 0; i < s->n_services; i++) {
		const struct service_stats *stats = s->services[i].stats;
		const uint64_t dropped[] = {stats->members_slow, stats->members_lost};
		BY_REASON(t, s, i, member_label, dropped);
	}
}

static void add_services(struct metrics_text *t, const struct bus *bus, const struct survey *s)
{
	by_service(t, METRICS_SESSIONS, s, sessions);
	by_service(t, METRICS_WAITING, s, waiting);
	by_service(t, METRICS_OPENED, s, opened);
	add_reasons(t, s);
	by_service(t, METRICS_RECEIVED, s, received);
	by_service(t, METRICS_SENT, s, sent);
	by_service(t, METRICS_LATCHES, s, latches);
	add_members(t, s);
	plain(t, METRICS_UNKNOWN_SERVICES, bus->stats.unknown_services);
}

/* --- transports ------------------------------------------------------------------------------- */

static void by_kind(
	struct metrics_text *t, enum metrics_id id, const uint64_t kinds[STATS_SIDES][2])
{
	metrics_text_begin(t, id);
	for (unsigned side = 0; side < STATS_SIDES; side++) {
		for (unsigned secured = 0; secured < 2; secured++) {
			const struct metrics_label labels[] = {{"side", stats_side_label(side)},
				{"security", secured ? "secured" : "plain"}};
			metrics_text_add(t, labels, 2, kinds[side][secured]);
		}
	}
}

static void add_transports(struct metrics_text *t, const struct bus *bus, const struct survey *s)
{
	by_kind(t, METRICS_TRANSPORTS, s->transports);
	by_kind(t, METRICS_TRANSPORTS_OPENED, bus->stats.transports);
	BY(t, METRICS_TRANSPORTS_ENDED, "reason", stats_closed_label, bus->stats.closed);
	plain(t, METRICS_WIRE_RECEIVED, s->received);
	plain(t, METRICS_WIRE_SENT, s->sent);
	BY(t, METRICS_DIAL_FAILURES, "reason", stats_dial_label, bus->stats.dials);
	BY(t, METRICS_AWAY, "reason", stats_away_label, bus->stats.away);
}

static uint64_t link_up(const struct survey_link *l)
{
	return l->ready > 0;
}

static uint64_t link_transports(const struct survey_link *l)
{
	return l->transports;
}

static uint64_t link_failures(const struct survey_link *l)
{
	return l->failures;
}

static uint64_t link_received(const struct survey_link *l)
{
	return l->received;
}

static uint64_t link_sent(const struct survey_link *l)
{
	return l->sent;
}

static void by_link(struct metrics_text *t, enum metrics_id id, const struct survey *s,
	uint64_t (*number)(const struct survey_link *l))
{
	metrics_text_begin(t, id);
	for (size_t i = 0; i < s->n_links; i++)
		labelled(t, "link", s->links[i].text, number(&s->links[i]));
}

static void add_links(struct metrics_text *t, const struct survey *s)
{
	by_link(t, METRICS_LINK_UP, s, link_up);
	by_link(t, METRICS_LINK_TRANSPORTS, s, link_transports);
	metrics_text_begin(t, METRICS_LINK_ROUND_TRIP);
	for (size_t i = 0; i < s->n_links; i++) {
		const struct metrics_label label = {"link", s->links[i].text};
		if (s->links[i].round_trip != 0)
			metrics_text_add_time(t, &label, 1, s->links[i].round_trip);
	}
	by_link(t, METRICS_LINK_FAILURES, s, link_failures);
	by_link(t, METRICS_LINK_RECEIVED, s, link_received);
	by_link(t, METRICS_LINK_SENT, s, link_sent);
}

/* --- what is secured ---------------------------------------------------------------------------
 */

static void add_nodes(struct metrics_text *t, const struct survey *s)
{
	size_t n = s->n_nodes < METRICS_NODES_MAX ? s->n_nodes : METRICS_NODES_MAX;
	plain(t, METRICS_NODES, s->n_nodes);
	metrics_text_begin(t, METRICS_NODE_TRANSPORTS);
	for (size_t i = 0; i < n; i++)
		labelled(t, "node", s->nodes[i].name, s->nodes[i].transports);
	metrics_text_begin(t, METRICS_NODE_EXPIRY);
	for (size_t i = 0; i < n; i++)
		labelled(t, "node", s->nodes[i].name, (uint64_t)s->nodes[i].expires);
}

static void add_handshakes(struct metrics_text *t, const struct bus *bus)
{
	metrics_text_begin(t, METRICS_HANDSHAKES);
	for (unsigned side = 0; side < STATS_SIDES; side++) {
		for (unsigned k = 0; k < STATS_SHAKES; k++) {
			const struct metrics_label labels[] = {{"side", stats_side_label(side)},
				{"result", stats_handshake_label(k)}};
			metrics_text_add(t, labels, 2, bus->stats.shakes[side][k]);
		}
	}
}

static const char *forbidden_label(size_t i)
{
	return i == STATS_DIALLED ? "this_node" : "peer";
}

static void add_secured(
	struct metrics_text *t, const struct bus *bus, const struct survey *s, int64_t now)
{
	const struct credentials *own = bus->guard->keyring.now->credentials;
	plain(t, METRICS_TOKEN_EXPIRY, (uint64_t)own->token->expires);
	plain(t, METRICS_TOKEN_EXPIRING, expiry_is_near(own->token->expires, now));
	plain(t, METRICS_TOKEN_REVOKED, credentials_revoke(own, own->token));
	metrics_text_begin(t, METRICS_PEER_EXPIRY);
	if (s->tokens > 0)
		metrics_text_add(t, NULL, 0, (uint64_t)s->expires);
	plain(t, METRICS_PEERS_EXPIRING, s->tokens_near_end);
	add_nodes(t, s);
	add_handshakes(t, bus);
	BY(t, METRICS_FORBIDDEN, "by", forbidden_label, bus->stats.forbidden);
	plain(t, METRICS_NAMES_FORBIDDEN, bus->stats.names_forbidden);
	plain(t, METRICS_REVOKED, revoked_count(own->revoked) + revoked_count(own->also));
	BY(t, METRICS_KEY_RELOADS, "result", stats_result_label, bus->stats.key_reloads);
	BY(t, METRICS_LIST_RELOADS, "result", stats_result_label, bus->stats.list_reloads);
}

/* --- names -------------------------------------------------------------------------------------
 */

static void add_dns(struct metrics_text *t, const struct bus *bus)
{
	const struct dns_stats *s = dns_stats(bus->dns);
	plain(t, METRICS_DNS_QUERIES, s->queries);
	BY(t, METRICS_DNS_ANSWERS, "result", dns_outcome_label, s->answers);
}

/* --- all of it ---------------------------------------------------------------------------------
 */

int metrics_write(struct bus *bus, const struct survey *s, int64_t now, char **out, size_t *n)
{
	struct metrics_text t;
	metrics_text_init(&t, bus->mem, METRICS_MAX);
	add_process(&t, bus);
	add_services(&t, bus, s);
	add_transports(&t, bus, s);
	add_links(&t, s);
	if (bus->guard != NULL)
		add_secured(&t, bus, s, now);
	add_dns(&t, bus);
	t.limit += LAST_WORDS;
	plain(&t, METRICS_OMITTED, t.omitted);
	return metrics_text_take(&t, out, n);
}

int metrics_render(struct bus *bus, char **out, size_t *n)
{
	struct survey s;
	int64_t now = (int64_t)(clock_wall() / CLOCK_SEC);
	int rc = survey_take(&s, bus, now);
	if (rc != 0)
		return rc;
	rc = metrics_write(bus, &s, now, out, n);
	survey_free(&s);
	return rc;
}
