#include "bus/guard.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "bus/coverage.h"
#include "bus/dialer.h"
#include "bus/expiry.h"
#include "bus/vouch.h"
#include "conf/conf_equal.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static int64_t wall_now(void)
{
	return (int64_t)(clock_wall() / CLOCK_SEC);
}

static const struct token *own_token(const struct guard *g)
{
	return g->keyring.now->credentials->token;
}

enum token_role guard_peer_role(const struct bus *bus)
{
	return bus->conf->role == CONF_CONTROLLER ? TOKEN_SEGMENT : TOKEN_CONTROLLER;
}

/* What to do when ours has expired. */
#define ADVICE "; issue a fresh one and put it there, it is taken by itself"

/* --- our own token ------------------------------------------------------------------------- */

/* What is wrong, by its words; behind a semicolon there is advice, or the time of now. */
static uint64_t words_of(const char *why)
{
	return hash_bytes(why, strcspn(why, ";"), 1) | 1;
}

/* As words_of(), that our token does not count now; 0: it does. */
static uint64_t own_fault(const struct guard *g, int64_t now)
{
	char why[WHY_MAX];
	if (token_check_time(own_token(g), now, why) == 0)
		return 0;
	why_prefix(why, "%s: ", g->keyring.source.token);
	return words_of(why);
}

/* Whether a peer may still take it, as far as time goes. */
static bool may_dial(const struct guard *g, int64_t now)
{
	return !g->out_of_time && !(g->told && now >= own_token(g)->expires);
}

static void watch_own(struct guard *g, int64_t now)
{
	const struct token *token = own_token(g);
	char why[WHY_MAX], left[EXPIRY_ROOM];
	if (token_check_time(token, now, why) != 0) {
		if (!g->out_of_time)
			log_error("this node dials nobody, and peers end their links to it: "
				  "%s: %s%s",
				g->keyring.source.token, why, now >= token->expires ? ADVICE : "");
		g->out_of_time = true;
		return;
	}
	if (g->out_of_time)
		log_notice("%s: this node's token is valid now", g->keyring.source.token);
	g->out_of_time = false;
	if (may_dial(g, now))
		dialer_queue_release(g->bus);
	bool revoked = credentials_revoke(g->keyring.now->credentials, token);
	if (revoked && !g->revoked)
		log_error("%s: this node, or its token %s, is on its own revocation list; peers "
			  "that have the list refuse it",
			g->keyring.source.token, token->id);
	g->revoked = revoked;
	if (expiry_is_due(token, now, &g->warned))
		log_warning("%s: this node's token expires %s; issue a fresh one",
			g->keyring.source.token, expiry_left(left, token->expires - now));
}

bool guard_may_dial(struct bus *bus)
{
	struct guard *g = bus->guard;
	int64_t now = wall_now();
	watch_own(g, now);
	return may_dial(g, now);
}

void guard_hears_of_end(struct bus *bus)
{
	struct guard *g = bus->guard;
	g->told = g->told || wall_now() >= own_token(g)->expires;
}

bool guard_knows_why(struct bus *bus, char why[static WHY_MAX])
{
	struct guard *g = bus->guard;
	const struct token *token = own_token(g);
	char fault[WHY_MAX];
	int rc = token_check_time(token, wall_now(), fault);
	if (rc == 0 && credentials_revoke(g->keyring.now->credentials, token))
		rc = why_say(fault, ERR_INVALID, "it is on this node's own revocation list");
	uint64_t words = rc != 0 ? words_of(fault) : 0;
	bool news = words != g->confessed;
	g->confessed = words;
	why[0] = '\0';
	if (rc != 0 && news)
		(void)why_say(why, rc,
			"this node's token does not count, and peers go when they have seen it: "
			"%s: %s%s",
			g->keyring.source.token, fault, rc == ERR_TIMEOUT ? ADVICE : "");
	return rc != 0;
}

/* --- locked memory ------------------------------------------------------------------------- */

/* Once: the keys work all the same. */
static void watch_locked(struct guard *g)
{
	struct rlimit limit;
	if (g->unlocked || !locked_missed(g->keyring.kit.locked))
		return;
	g->unlocked = true;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		limit.rlim_cur = 0;
	log_warning("not all keys can be locked in memory, so they may reach swap: the limit is "
		    "%ju KiB (RLIMIT_MEMLOCK); to raise it: LimitMEMLOCK=8M in the unit of "
		    "systemd, or ulimit -l",
		(uintmax_t)limit.rlim_cur >> 10);
}

/* --- transports ---------------------------------------------------------------------------- */

static uint64_t in_seconds(int64_t seconds)
{
	return seconds <= 0 ? 0 : (uint64_t)seconds * CLOCK_SEC;
}

/* One that has come, or its fresh token, may be what is to be looked at next. */
static void watch_sooner(struct transport *t)
{
	struct guard *g = t->bus->guard;
	uint64_t at = bus_now(t->bus) + in_seconds(vouch_until(t) - wall_now());
	if (timer_is_set(&g->timer) && g->timer.at <= at)
		return;
	if (loop_timer_set(t->bus->loop, &g->timer, at) != 0)
		log_error("no memory for the timer that watches tokens");
}

void guard_ready(struct transport *t)
{
	if (t->sealed == NULL)
		return;
	watch_locked(t->bus->guard);
	vouch_begin(t);
	watch_sooner(t);
}

void guard_look_again(struct transport *t)
{
	vouch_watch(t, wall_now());
}

bool guard_renew(struct transport *t, const uint8_t *text, size_t n)
{
	bool renewed = t->sealed != NULL && vouch_renew(t, text, n, wall_now());
	if (renewed)
		watch_sooner(t);
	return renewed;
}

/* --- fresh tokens -------------------------------------------------------------------------- */

/* When half its time is over, its file is looked at: often enough to be in time. */
static int64_t next_look(const struct guard *g, int64_t now)
{
	const struct token *token = own_token(g);
	int64_t begin = token->not_before > 0 ? token->not_before : g->loaded;
	int64_t half = begin + (token->expires - begin) / 2;
	if (own_fault(g, now) != 0)
		return now + GUARD_LOOK_EXPIRED;
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
		g->told = false;
	}
	if (changes & (KEYRING_IDENTITY | KEYRING_NAME))
		log_notice("%s: %s; links are made anew with it, and sessions that run stay on the "
			   "old ones",
			changes & KEYRING_IDENTITY ? g->keyring.source.identity
						   : g->keyring.source.token,
			changes & KEYRING_IDENTITY ? "a new key" : "another name or customer");
	else if (changes & KEYRING_TOKEN)
		log_notice("%s: a fresh token is in force", g->keyring.source.token);
	watch_locked(g);
	list_each_safe (node, &g->bus->transports) {
		struct transport *t = container_of(node, struct transport, node);
		if (t->sealed != NULL && !t->dead)
			vouch_judge(t, now);
	}
}

void guard_check_services(const struct guard *g)
{
	(void)coverage_check(g->bus->conf, own_token(g), g->keyring.source.token);
}

/* Whether it has a fresh token; silent where the file is as it was. */
static void look_for_fresh(struct guard *g, int64_t now)
{
	char why[WHY_MAX];
	unsigned changes;
	/* Both move on with the clock only, so they are later where that was set back. */
	if (g->loaded > now)
		g->loaded = now;
	int64_t soon = next_look(g, now);
	if (g->look > soon)
		g->look = soon;
	if (now < g->look)
		return;
	int rc = keyring_reload(&g->keyring, now, &changes, why);
	uint64_t complaint = rc != 0 ? words_of(why) : 0;
	g->bus->stats.key_reloads[rc == 0 ? STATS_OK : STATS_NOT_OK]++;
	if (rc == 0 && changes != 0) {
		adopted(g, changes, now);
		guard_check_services(g);
	} else if (rc != 0 && complaint != g->complaint && complaint != own_fault(g, now))
		log_error("looking for a fresh token: %s; the old ones stay in force", why);
	g->complaint = complaint;
	g->look = next_look(g, now);
}

/* --- the watch ----------------------------------------------------------------------------- */

static uint64_t soonest(const struct guard *g, int64_t now)
{
	uint64_t pause = GUARD_INTERVAL;
	const struct token *token = own_token(g);
	int64_t own = token->expires + TOKEN_SKEW - now, look = g->look - now;
	int64_t begin = token->not_before - TOKEN_SKEW - now;
	if (own > 0 && in_seconds(own) < pause)
		pause = in_seconds(own);
	if (begin > 0 && in_seconds(begin) < pause)
		pause = in_seconds(begin);
	if (in_seconds(look) < pause)
		pause = in_seconds(look);
	list_each (node, &g->bus->transports) {
		const struct transport *t = container_of(node, struct transport, node);
		if (t->sealed == NULL)
			continue;
		int64_t left = vouch_until(t) - now;
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
		if (t->sealed != NULL && !t->dead)
			vouch_watch(t, now);
	}
	set_timer(g, now);
}

static void list_loaded(struct guard *g, int rc, const char *why)
{
	g->bus->stats.list_reloads[rc == 0 ? STATS_OK : STATS_NOT_OK]++;
	if (rc != 0)
		log_error("the revocation list was not reloaded, the old one stays in force: %s",
			why);
}

static int load_list(struct guard *g)
{
	char why[WHY_MAX];
	int rc = keyring_reload_list(&g->keyring, why);
	list_loaded(g, rc, why);
	return rc;
}

/* What guard_prepare() has loaded, or the files as they are now. */
static int load_keys(struct guard *g, int64_t now, unsigned *changes, char why[static WHY_MAX])
{
	struct keyset *set = g->next;
	g->next = NULL;
	if (set != NULL)
		return keyring_adopt(&g->keyring, set, changes, why);
	return keyring_reload(&g->keyring, now, changes, why);
}

/* Neither waits for the other: see keyring.h. */
void guard_reload(struct guard *g)
{
	char why[WHY_MAX];
	unsigned changes = 0;
	int64_t now = wall_now();
	int rc = load_keys(g, now, &changes, why);
	g->bus->stats.key_reloads[rc == 0 ? STATS_OK : STATS_NOT_OK]++;
	g->complaint = rc != 0 ? words_of(why) : 0;
	if (rc == 0)
		g->look = next_look(g, now);
	else
		log_error("the keys and tokens were not reloaded, the old ones stay in force: %s",
			why);
	if (load_list(g) == 0)
		keyring_drop_also(&g->keyring);
	adopted(g, changes, now);
	guard_check_services(g);
	watch_own(g, now);
	set_timer(g, now);
}

void guard_reload_list(struct guard *g, const struct conf *refused)
{
	char why[WHY_MAX];
	int64_t now = wall_now();
	(void)load_list(g);
	if (refused != NULL && refused->revoked != NULL &&
		!conf_equal_revoked(g->bus->conf, refused))
		list_loaded(g, keyring_load_also(&g->keyring, refused->revoked, why), why);
	adopted(g, 0, now);
	watch_own(g, now);
}

/* --- life ---------------------------------------------------------------------------------- */

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

static bool names_all(const struct conf *conf)
{
	return conf->trust != NULL && conf->identity != NULL && conf->token != NULL;
}

int guard_prepare(struct guard *g, const struct conf *conf, char why[static WHY_MAX])
{
	struct bus *bus = g->bus;
	struct credentials_source source = guard_source(conf, bus->mem);
	struct revoked *list = NULL;
	if (!names_all(conf))
		return 0;
	source.any_time = true;
	int rc = keyring_prepare(&g->keyring, &g->next, &source, why);
	if (rc != 0)
		bus->stats.key_reloads[STATS_NOT_OK]++;
	if (rc == 0 && !conf_equal_revoked(bus->conf, conf))
		rc = credentials_load_list(&list, &source, why);
	revoked_free(list);
	if (rc != 0)
		guard_abandon(g);
	return rc;
}

void guard_abandon(struct guard *g)
{
	keyring_drop(g->next);
	g->next = NULL;
}

void guard_use(struct guard *g)
{
	struct bus *bus = g->bus;
	if (!names_all(bus->conf))
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
	source.any_time = true;
	int rc = keyring_init(&g->keyring, &source, why);
	if (rc != 0) {
		mem_free(bus->mem, g);
		return rc;
	}
	g->keyring.source.any_time = false;
	g->bus = bus;
	g->loaded = now;
	g->timer.fire = on_timer;
	lobby_init(&g->lobby, bus);
	bus->guard = g;
	g->look = next_look(g, now);
	watch_locked(g);
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
	guard_abandon(g);
	keyring_fini(&g->keyring);
	generation_drop(g->bus, g->generation);
	mem_free(g->bus->mem, g);
}
