#include "bus/guard.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "conf/conf_equal.h"

#include <errno.h>
#include <string.h>

static int64_t wall_now(void)
{
	return (int64_t)(clock_wall() / CLOCK_SEC);
}

static const char *name_of(const struct transport *t)
{
	return secure_peer_name(t->sealed->secure);
}

static const struct token *own_token(const struct guard *g)
{
	return g->keyring.now->credentials->token;
}

enum token_role guard_peer_role(const struct bus *bus)
{
	return bus->conf->role == CONF_CONTROLLER ? TOKEN_SEGMENT : TOKEN_CONTROLLER;
}

/* --- what a peer may do ------------------------------------------------------------------------
 */

/* Why the one may not open the service at the other; NULL: it may. */
static const char *why_not(
	const struct token *opener, const struct token *server, const char *name, size_t n)
{
	if (strcmp(opener->customer, server->customer) != 0)
		return "they are of different customers";
	if (!token_may_open(opener, name, n))
		return "the opener's token does not let it open that";
	if (!token_may_serve(server, name, n))
		return "the server's token does not let it serve that";
	return NULL;
}

/* One line with both nodes, the service and the reason. */
static bool judge(const struct transport *t, const struct token *opener, const struct token *server,
	const char *name, size_t n)
{
	char text[ADDR_TEXT_MAX], more[CHATTER_ROOM];
	struct bus *bus = t->bus;
	const char *why = why_not(opener, server, name, n);
	if (why != NULL && chatter_may(&bus->guard->chatter, bus_now(bus), more))
		log_warning("session refused: node %s may not open [%.*s] at node %s (%s): %s%s",
			opener->node, (int)n, name, server->node, addr_format(&t->peer, text), why,
			more);
	return why == NULL;
}

bool guard_admits(const struct transport *t, const struct wire_open *open)
{
	if (t->sealed == NULL)
		return true;
	bool may = judge(t, secure_peer(t->sealed->secure), own_token(t->bus->guard), open->name,
		open->name_len);
	t->bus->stats.forbidden[STATS_ACCEPTED] += !may;
	return may;
}

bool guard_may_open(const struct transport *t, const char *name, size_t n)
{
	if (t->sealed == NULL)
		return true;
	bool may = judge(t, own_token(t->bus->guard), secure_peer(t->sealed->secure), name, n);
	t->bus->stats.forbidden[STATS_DIALLED] += !may;
	return may;
}

bool guard_believes(const struct transport *t, const char *name, size_t n)
{
	if (t->sealed == NULL)
		return true;
	const struct token *own = own_token(t->bus->guard), *peer = secure_peer(t->sealed->secure);
	return strcmp(own->customer, peer->customer) == 0 && token_may_serve(peer, name, n);
}

/* --- the end of a token -------------------------------------------------------------------------
 */

static uint64_t in_seconds(int64_t seconds)
{
	return seconds <= 0 ? 0 : (uint64_t)seconds * CLOCK_SEC;
}

static bool is_near_its_end(const struct token *token, int64_t now, int64_t *warned)
{
	if (!guard_is_near_end(token->expires, now))
		return false;
	if (*warned != 0 && now >= *warned && now - *warned < GUARD_WARN_AGAIN)
		return false;
	*warned = now;
	return true;
}

static void watch_own(struct guard *g, int64_t now)
{
	const struct token *token = own_token(g);
	char why[WHY_MAX];
	if (token_check_time(token, now, why) != 0) {
		if (!g->expired)
			log_error("%s: %s; peers end their links to this node",
				g->keyring.source.token, why);
		g->expired = true;
		return;
	}
	g->expired = false;
	bool revoked = revoked_has(g->keyring.now->credentials->revoked, token);
	if (revoked && !g->revoked)
		log_error("%s: this node, or its token %s, is on its own revocation list; peers "
			  "that have the list refuse it",
			g->keyring.source.token, token->id);
	g->revoked = revoked;
	if (is_near_its_end(token, now, &g->warned))
		log_warning("%s: this node's token expires in %lld hours; issue a fresh one",
			g->keyring.source.token, (long long)(token->expires - now) / 3600);
}

/* The peer drains, as at a shutdown, and what is left after drain_timeout is lost. */
static void expel(struct transport *t, const char *why)
{
	char text[ADDR_TEXT_MAX];
	if (t->sealed->expelled)
		return;
	t->sealed->expelled = true;
	log_warning("transport %s (%s): %s; running sessions may finish", name_of(t),
		addr_format(&t->peer, text), why);
	transport_expel(t, WIRE_EXPIRED, bus_now(t->bus) + t->bus->conf->drain_timeout);
}

/* Its peer's token holds again: what runs is not lost. */
static void pardon(struct transport *t)
{
	char text[ADDR_TEXT_MAX];
	if (!t->sealed->expelled)
		return;
	t->sealed->expelled = false;
	log_notice("transport %s (%s): its token is valid again; running sessions are not cut off",
		name_of(t), addr_format(&t->peer, text));
	transport_pardon(t);
}

static void end_at_once(struct transport *t, const char *why)
{
	char text[ADDR_TEXT_MAX];
	log_warning("transport %s (%s): its peer is let in no more: %s", name_of(t),
		addr_format(&t->peer, text), why);
	transport_kill(t, STATS_CLOSED_UNWELCOME, "the peer is not let in any more");
}

/* Whether it is on the list, and was ended for that: at once, even where its token has expired. */
static bool end_if_revoked(struct transport *t)
{
	const struct revoked *list = t->bus->guard->keyring.now->credentials->revoked;
	bool is = revoked_has(list, secure_peer(t->sealed->secure));
	if (is)
		end_at_once(t, "it is revoked");
	return is;
}

/* Only the times: what it says was believed.  And the list: there may have been no memory. */
static void watch_peer(struct transport *t, int64_t now)
{
	char why[WHY_MAX], text[ADDR_TEXT_MAX];
	const struct token *token = secure_peer(t->sealed->secure);
	if (end_if_revoked(t))
		return;
	if (token_check_time(token, now, why) != 0) {
		expel(t, why);
		return;
	}
	pardon(t); /* a clock was set */
	if (is_near_its_end(token, now, &t->sealed->warned))
		log_debug("transport %s (%s): its token expires in %lld hours", name_of(t),
			addr_format(&t->peer, text), (long long)(token->expires - now) / 3600);
}

/* All that it says is judged anew, by the present keys and list. */
static void judge_anew(struct transport *t, int64_t now)
{
	char why[WHY_MAX];
	if (end_if_revoked(t))
		return;
	int rc = secure_judge(t->sealed->secure, &t->bus->guard->keyring, now, why);
	if (rc == ERR_TIMEOUT || rc == ERR_AGAIN)
		expel(t, why);
	else if (rc != 0 && rc != ERR_NOMEM)
		end_at_once(t, why);
}

/* --- fresh tokens -------------------------------------------------------------------------------
 */

static void tell(struct transport *t)
{
	if (t->sealed == NULL)
		return;
	const struct keyring *k = &t->bus->guard->keyring;
	size_t n;
	const char *text = secure_news(t->sealed->secure, k, &n);
	if (text != NULL && transport_token(t, text, n) == 0)
		secure_told(t->sealed->secure, k);
}

void guard_ready(struct transport *t)
{
	tell(t);
}

bool guard_renew(struct transport *t, const uint8_t *text, size_t n)
{
	char why[WHY_MAX], addr[ADDR_TEXT_MAX];
	if (t->sealed == NULL)
		return false;
	addr_format(&t->peer, addr);
	int rc = secure_renew(t->sealed->secure, &t->bus->guard->keyring, text, n, wall_now(), why);
	if (rc == 0) {
		log_info("transport %s (%s): took its fresh token", name_of(t), addr);
		t->sealed->warned = 0;
		pardon(t);
	} else if (rc != ERR_NOTFOUND) {
		log_warning("transport %s (%s): its fresh token is refused, the old one stays: %s",
			name_of(t), addr, why);
	}
	return rc == 0;
}

/* When half its time is over, its file is looked at: often enough to be in time. */
static int64_t next_look(const struct guard *g, int64_t now)
{
	const struct token *token = own_token(g);
	int64_t begin = token->not_before > 0 ? token->not_before : g->loaded;
	int64_t half = begin + (token->expires - begin) / 2;
	if (now < half)
		return half;
	int64_t pause = (token->expires - now) / 8;
	if (pause > GUARD_LOOK_MAX || pause < 0)
		pause = pause < 0 ? GUARD_LOOK_EXPIRED : GUARD_LOOK_MAX;
	return now + (pause > 1 ? pause : 1);
}

static void adopted(struct guard *g, unsigned changes, int64_t now)
{
	if (changes & KEYRING_TOKEN) {
		g->loaded = now;
		g->warned = 0;
	}
	if (changes & KEYRING_IDENTITY)
		log_notice("%s: a new key; links that are up keep the old one until they end",
			g->keyring.source.identity);
	else if (changes & KEYRING_TOKEN)
		log_notice("%s: a fresh token is in force", g->keyring.source.token);
	list_each_safe (node, &g->bus->transports) {
		struct transport *t = container_of(node, struct transport, node);
		if (t->sealed == NULL || t->dead)
			continue;
		tell(t);
		judge_anew(t, now);
	}
}

/* Whether it has a fresh token; silent where the file is as it was. */
static void look_for_fresh(struct guard *g, int64_t now)
{
	char why[WHY_MAX];
	unsigned changes;
	if (now < g->look)
		return;
	int rc = keyring_reload(&g->keyring, now, &changes, why);
	g->bus->stats.key_reloads[rc == 0 ? STATS_OK : STATS_NOT_OK]++;
	if (rc == 0 && changes != 0)
		adopted(g, changes, now);
	else if (rc != 0 && !g->look_failed && !g->expired)
		log_error("looking for a fresh token: %s; the old ones stay in force", why);
	g->look_failed = rc != 0;
	g->look = next_look(g, now);
}

/* --- the watch
 * ------------------------------------------------------------------------------------ */

static uint64_t soonest(const struct guard *g, int64_t now)
{
	uint64_t pause = GUARD_INTERVAL;
	int64_t own = own_token(g)->expires + TOKEN_SKEW + 1 - now, look = g->look - now;
	if (own > 0 && in_seconds(own) < pause)
		pause = in_seconds(own);
	if (in_seconds(look) < pause)
		pause = in_seconds(look);
	list_each (node, &g->bus->transports) {
		const struct transport *t = container_of(node, struct transport, node);
		if (t->sealed == NULL)
			continue;
		int64_t left = secure_peer(t->sealed->secure)->expires + TOKEN_SKEW + 1 - now;
		if (left > 0 && in_seconds(left) < pause)
			pause = in_seconds(left);
	}
	return pause > CLOCK_SEC / 4 ? pause : CLOCK_SEC / 4;
}

static void set_timer(struct guard *g, int64_t now)
{
	if (loop_timer_set(g->bus->loop, &g->timer, bus_now(g->bus) + soonest(g, now)) != 0)
		log_error("no memory for the timer that watches tokens");
}

static void on_timer(struct timer *timer)
{
	struct guard *g = container_of(timer, struct guard, timer);
	int64_t now = wall_now();
	look_for_fresh(g, now);
	watch_own(g, now);
	list_each_safe (node, &g->bus->transports) {
		struct transport *t = container_of(node, struct transport, node);
		if (t->sealed == NULL || t->dead)
			continue;
		tell(t); /* there may have been no memory for it */
		watch_peer(t, now);
	}
	set_timer(g, now);
}

static void load_list(struct guard *g)
{
	char why[WHY_MAX];
	int rc = keyring_reload_list(&g->keyring, why);
	g->bus->stats.list_reloads[rc == 0 ? STATS_OK : STATS_NOT_OK]++;
	if (rc != 0)
		log_error("the revocation list was not reloaded, the old one stays in force: %s",
			why);
}

/* Neither waits for the other: see keyring.h. */
void guard_reload(struct guard *g)
{
	char why[WHY_MAX];
	unsigned changes = 0;
	int64_t now = wall_now();
	int rc = keyring_reload(&g->keyring, now, &changes, why);
	g->bus->stats.key_reloads[rc == 0 ? STATS_OK : STATS_NOT_OK]++;
	if (rc == 0)
		g->look = next_look(g, now);
	else
		log_error("the keys and tokens were not reloaded, the old ones stay in force: %s",
			why);
	load_list(g);
	adopted(g, changes, now);
	watch_own(g, now);
	set_timer(g, now);
}

void guard_reload_list(struct guard *g)
{
	int64_t now = wall_now();
	load_list(g);
	adopted(g, 0, now);
	watch_own(g, now);
}

/* --- life
 * ------------------------------------------------------------------------------------------- */

struct credentials_source guard_source(const struct conf *conf, struct mem *mem)
{
	return (struct credentials_source){.trust = conf->trust,
		.identity = conf->identity,
		.token = conf->token,
		.revoked = conf->revoked,
		.role = conf->role == CONF_CONTROLLER ? TOKEN_CONTROLLER : TOKEN_SEGMENT,
		.now = wall_now(),
		.mem = mem};
}

int guard_prepare(const struct guard *g, const struct conf *conf, char why[static WHY_MAX])
{
	struct bus *bus = g->bus;
	struct credentials_source source = guard_source(conf, bus->mem);
	struct credentials *c = NULL;
	struct revoked *list = NULL;
	int rc = 0;
	if (!conf_equal_keys(bus->conf, conf))
		rc = credentials_load_keys(&c, &source, why);
	if (rc == 0 && !conf_equal_revoked(bus->conf, conf))
		rc = credentials_load_list(&list, &source, why);
	credentials_free(c);
	revoked_free(list);
	return rc;
}

void guard_use(struct guard *g)
{
	struct bus *bus = g->bus;
	if (bus->conf->trust == NULL || bus->conf->identity == NULL || bus->conf->token == NULL)
		return; /* it watches over what is there, by the files it has */
	uint64_t seed = g->keyring.source.seed;
	generation_drop(bus, g->generation);
	g->generation = generation_hold(bus->generations.current);
	g->keyring.source = guard_source(bus->conf, bus->mem);
	g->keyring.source.seed = seed;
}

int guard_new(
	struct guard **out, struct bus *bus, const struct conf *conf, char why[static WHY_MAX])
{
	struct guard *g = mem_zalloc(bus->mem, sizeof *g);
	*out = NULL;
	if (g == NULL)
		return why_say(why, ERR_NOMEM, "out of memory");
	struct credentials_source source = guard_source(conf, bus->mem);
	int64_t now = source.now;
	source.seed = bus->seed;
	int rc = keyring_init(&g->keyring, &source, why);
	if (rc != 0) {
		mem_free(bus->mem, g);
		return rc;
	}
	g->bus = bus;
	g->loaded = now;
	g->timer.fire = on_timer;
	g->look = next_look(g, now);
	lobby_init(&g->lobby, bus);
	bus->guard = g;
	watch_own(g, now);
	set_timer(g, now);
	*out = g;
	return 0;
}

void guard_free(struct guard *g)
{
	if (g == NULL)
		return;
	g->bus->guard = NULL;
	loop_timer_stop(g->bus->loop, &g->timer);
	lobby_fini(&g->lobby);
	keyring_fini(&g->keyring);
	generation_drop(g->bus, g->generation);
	mem_free(g->bus->mem, g);
}
