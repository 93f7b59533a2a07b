#include "bus/census.h"

#include "base/err.h"
#include "bus/bus.h"

#include <assert.h>
#include <string.h>

_Static_assert((int)CENSUS_OF_PEER >= 4 * (int)CONF_TRANSPORTS_MAX,
	"two processes of a node can replace all their transports");
_Static_assert((int)CENSUS_OF_PEER <= (int)BUS_TRANSPORTS_MAX / 16, "there is room for others");

static uint64_t hash_of(
	const struct census *c, const uint8_t key[static CENSUS_KEY], const struct addr *at)
{
	return hash_bytes(key, CENSUS_KEY, addr_hash(at, c->seed));
}

static struct census_peer *find(const struct census *c, const uint8_t key[static CENSUS_KEY],
	const struct addr *at, uint64_t hash)
{
	for (struct hash_node *n = hash_find(&c->peers, hash); n != NULL; n = hash_find_next(n)) {
		struct census_peer *p = container_of(n, struct census_peer, node);
		if (memcmp(p->key, key, CENSUS_KEY) == 0 && addr_equal(&p->at, at))
			return p;
	}
	return NULL;
}

/* A new one, without a transport. */
static struct census_peer *add(struct census *c, const uint8_t key[static CENSUS_KEY],
	const struct addr *at, uint64_t hash)
{
	struct census_peer *p = mem_zalloc(c->mem, sizeof *p);
	if (p == NULL)
		return NULL;
	p->at = *at;
	memcpy(p->key, key, CENSUS_KEY);
	if (hash_add(&c->peers, &p->node, hash) == 0)
		return p;
	mem_free(c->mem, p);
	return NULL;
}

int census_enter(struct census *c, const uint8_t key[static CENSUS_KEY], const struct addr *at,
	struct census_peer **peer)
{
	uint64_t hash = hash_of(c, key, at);
	struct census_peer *p = find(c, key, at, hash);
	*peer = NULL;
	if (p != NULL && p->n == CENSUS_OF_PEER)
		return ERR_LIMIT;
	if (p == NULL)
		p = add(c, key, at, hash);
	if (p == NULL)
		return ERR_NOMEM;
	p->n++;
	*peer = p;
	return 0;
}

void census_leave(struct census *c, struct census_peer *peer)
{
	assert(peer->n > 0);
	if (--peer->n > 0)
		return;
	hash_remove(&c->peers, &peer->node);
	mem_free(c->mem, peer);
}

void census_init(struct census *c, struct mem *mem, uint64_t seed)
{
	*c = (struct census){.mem = mem, .seed = seed};
	hash_init(&c->peers, mem);
}

void census_fini(struct census *c)
{
	assert(c->peers.count == 0);
	hash_fini(&c->peers);
}
