#include "crypto/gate.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/timers.h"
#include "crypto/locked.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

enum { EPHEMERAL = 32, MAC_AT = GATE_NOISE + GATE_STAMP };

struct seen {
	struct hash_node node;
	struct timer timer; /* at the time in the message */
	struct gate *gate;
	uint8_t ephemeral[EPHEMERAL];
};

struct gate {
	struct mem *mem;
	struct hash seen;
	struct timers times; /* of those in `seen`, the oldest first */
	uint64_t seed;
	uint64_t floor;  /* what was forgotten had at most this time */
	uint64_t latest; /* the clock of the last message with a right MAC */
	size_t seen_max;
};

static void derive(uint8_t *key, const char *label, const uint8_t *secret)
{
	crypto_generichash(
		key, GATE_KEY, (const uint8_t *)label, strlen(label), secret, GATE_SECRET);
}

void gate_derive(const uint8_t secret[static GATE_SECRET], uint8_t mac_key[static GATE_KEY],
	uint8_t psk[static GATE_KEY])
{
	derive(mac_key, GATE_LABEL_MAC, secret);
	derive(psk, GATE_LABEL_PSK, secret);
	sodium_stackzero(LOCKED_STACK);
}

static void mac_of(uint8_t mac[GATE_MAC], const uint8_t *msg, const uint8_t *key)
{
	crypto_generichash(mac, GATE_MAC, msg, MAC_AT, key, GATE_KEY);
	sodium_stackzero(LOCKED_STACK);
}

void gate_stamp(
	uint8_t msg[static GATE_MESSAGE], const uint8_t mac_key[static GATE_KEY], uint64_t now)
{
	for (int i = 0; i < GATE_STAMP; i++)
		msg[GATE_NOISE + i] = (uint8_t)(now >> (8 * (GATE_STAMP - 1 - i)));
	mac_of(msg + MAC_AT, msg, mac_key);
}

static uint64_t stamp_of(const uint8_t *msg)
{
	uint64_t v = 0;
	for (int i = 0; i < GATE_STAMP; i++)
		v = v << 8 | msg[GATE_NOISE + i];
	return v;
}

struct gate *gate_new(const struct gate_setup *setup)
{
	struct gate *g = mem_zalloc(setup->mem, sizeof *g);
	if (g == NULL)
		return NULL;
	g->mem = setup->mem;
	hash_init(&g->seen, g->mem);
	timers_init(&g->times, g->mem);
	g->seed = setup->seed;
	g->seen_max = setup->seen_max != 0 ? setup->seen_max : GATE_SEEN_MAX;
	return g;
}

void gate_free(struct gate *g)
{
	if (g == NULL)
		return;
	timers_run(&g->times, UINT64_MAX);
	timers_fini(&g->times);
	hash_fini(&g->seen);
	mem_free(g->mem, g);
}

size_t gate_seen(const struct gate *g)
{
	return g->seen.count;
}

/* What is forgotten raises the floor, so that it stays refused whatever the clock does. */
static void forget(struct timer *timer)
{
	struct seen *s = container_of(timer, struct seen, timer);
	struct gate *g = s->gate;
	if (timer->at > g->floor)
		g->floor = timer->at;
	hash_remove(&g->seen, &s->node);
	mem_free(g->mem, s);
}

/* The clock was set back: what it has been shown is of a time still to come. */
static void begin_anew(struct gate *g)
{
	timers_run(&g->times, UINT64_MAX);
	g->floor = 0;
}

static struct seen *find(const struct gate *g, const uint8_t *ephemeral, uint64_t hash)
{
	struct hash_node *n = hash_find(&g->seen, hash);
	while (n != NULL) {
		struct seen *s = container_of(n, struct seen, node);
		if (memcmp(s->ephemeral, ephemeral, EPHEMERAL) == 0)
			return s;
		n = hash_find_next(n);
	}
	return NULL;
}

static int remember(struct gate *g, const uint8_t *ephemeral, uint64_t hash, uint64_t stamp)
{
	struct seen *s = mem_zalloc(g->mem, sizeof *s);
	if (s == NULL)
		return ERR_NOMEM;
	s->gate = g;
	s->timer.fire = forget;
	memcpy(s->ephemeral, ephemeral, EPHEMERAL);
	int rc = timers_set(&g->times, &s->timer, stamp);
	if (rc == 0)
		rc = hash_add(&g->seen, &s->node, hash);
	if (rc != 0) {
		timers_stop(&g->times, &s->timer);
		mem_free(g->mem, s);
	}
	return rc;
}

int gate_check(struct gate *g, const uint8_t mac_key[static GATE_KEY],
	const uint8_t msg[static GATE_MESSAGE], uint64_t now)
{
	uint8_t mac[GATE_MAC];
	mac_of(mac, msg, mac_key);
	bool genuine = sodium_memcmp(mac, msg + MAC_AT, GATE_MAC) == 0;
	sodium_memzero(mac, sizeof mac); /* a stranger's message would pass with it */
	if (!genuine)
		return ERR_PROTOCOL;

	if (g->latest > now && g->latest - now > 2 * GATE_SKEW)
		begin_anew(g);
	g->latest = now;
	uint64_t stamp = stamp_of(msg);
	if (stamp > now ? stamp - now > GATE_SKEW : now - stamp > GATE_SKEW)
		return ERR_TIMEOUT;
	if (now > GATE_SKEW)
		timers_run(&g->times, now - GATE_SKEW - 1);
	if (stamp <= g->floor)
		return ERR_LIMIT;
	uint64_t hash = hash_bytes(msg, EPHEMERAL, g->seed);
	if (find(g, msg, hash) != NULL)
		return ERR_INVALID;
	if (g->seen.count >= g->seen_max) {
		/* One that is older than all that are remembered is itself what has to go. */
		if (stamp <= timers_next(&g->times))
			return ERR_LIMIT;
		timers_run(&g->times, timers_next(&g->times));
	}
	return remember(g, msg, hash, stamp);
}
