#include "bus/doorman.h"

#include <assert.h>
#include <string.h>

struct known_key {
	struct hash_node node;
	struct list list;
	struct doorman_record record;
	uint8_t key[DOORMAN_KEY];
};

/* --- failures ------------------------------------------------------------------------------ */

static bool is_paused(const struct doorman_record *r, uint64_t now)
{
	return r->failures > 0 && now < r->until;
}

static void note_failure(struct doorman_record *r, uint64_t now)
{
	if (r->failures > 0 && now - r->last >= DOORMAN_MEMORY)
		r->failures = 0;
	uint64_t pause = DOORMAN_PENALTY_MIN;
	for (unsigned i = 0; i < r->failures && pause < DOORMAN_PENALTY_MAX; i++)
		pause *= 2;
	if (pause > DOORMAN_PENALTY_MAX)
		pause = DOORMAN_PENALTY_MAX;
	else
		r->failures++;
	r->last = now;
	r->until = now + pause;
}

/* --- sources --------------------------------------------------------------------------------- */

/* An IPv4 address also where it comes as one of IPv6. */
static void name_of(uint8_t name[static DOORMAN_SOURCE], const struct addr *addr)
{
	memset(name, 0, DOORMAN_SOURCE);
	if (addr_family(addr) == AF_INET) {
		name[0] = 4;
		memcpy(name + 1, &addr->in.sin_addr, 4);
	} else if (addr_family(addr) == AF_INET6) {
		const uint8_t *bytes = addr->in6.sin6_addr.s6_addr;
		bool mapped = IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr);
		name[0] = mapped ? 4 : 6;
		memcpy(name + 1, mapped ? bytes + 12 : bytes, mapped ? 4 : 8);
	}
}

static struct doorman_source *find(
	const struct doorman *d, const uint8_t name[static DOORMAN_SOURCE], uint64_t hash)
{
	for (struct hash_node *n = hash_find(&d->sources, hash); n != NULL; n = hash_find_next(n)) {
		struct doorman_source *s = container_of(n, struct doorman_source, node);
		if (memcmp(s->name, name, DOORMAN_SOURCE) == 0)
			return s;
	}
	return NULL;
}

static void forget(struct doorman *d, struct doorman_source *s)
{
	assert(list_empty(&s->lots));
	if (!list_empty(&s->idle)) {
		list_remove(&s->idle);
		d->n_idle--;
	}
	hash_remove(&d->sources, &s->node);
	mem_free(d->mem, s);
}

static struct doorman_source *get(struct doorman *d, const struct addr *addr)
{
	uint8_t name[DOORMAN_SOURCE];
	name_of(name, addr);
	uint64_t hash = hash_bytes(name, sizeof name, d->seed);
	struct doorman_source *s = find(d, name, hash);
	if (s != NULL)
		return s;
	s = mem_zalloc(d->mem, sizeof *s);
	if (s == NULL)
		return NULL;
	list_init(&s->idle);
	list_init(&s->lots);
	memcpy(s->name, name, sizeof name);
	if (hash_add(&d->sources, &s->node, hash) == 0)
		return s;
	mem_free(d->mem, s);
	return NULL;
}

/* A source that nobody uses stays for its failures, as long as there is room. */
static void settle(struct doorman *d, struct doorman_source *s)
{
	if (s->inside + s->waiting + s->live > 0)
		return;
	if (s->record.failures == 0) {
		forget(d, s);
		return;
	}
	if (list_empty(&s->idle))
		d->n_idle++;
	else
		list_remove(&s->idle);
	list_append(&d->idle, &s->idle);
	if (d->n_idle > DOORMAN_SOURCES)
		forget(d, container_of(d->idle.next, struct doorman_source, idle));
}

static void use(struct doorman *d, struct doorman_source *s)
{
	if (list_empty(&s->idle))
		return;
	list_remove(&s->idle);
	list_init(&s->idle);
	d->n_idle--;
}

/* Lets it in, if there is a place or can be one. */
static enum doorman_answer admit(struct doorman *d, struct doorman_source *s)
{
	if (s->inside == DOORMAN_PER_SOURCE)
		return s->unproven > 0 ? DOORMAN_REPLACE : DOORMAN_WAIT;
	if (d->inside == DOORMAN_MAX)
		return DOORMAN_WAIT;
	use(d, s);
	s->inside++;
	s->unproven++;
	d->inside++;
	d->unproven++;
	return DOORMAN_ENTER;
}

/* Whether it may wait, if it may not enter; *why not. */
static bool may_wait(
	const struct doorman *d, const struct doorman_source *s, uint64_t now, enum stats_away *why)
{
	if (s->live == 0 && is_paused(&s->record, now))
		*why = STATS_AWAY_PAUSED;
	else if (s->live == 0 && s->inside >= DOORMAN_PER_SOURCE)
		*why = STATS_AWAY_SOURCE;
	else if (s->live == 0)
		*why = STATS_AWAY_CROWDED;
	else if (s->waiting >= DOORMAN_QUEUE_PER_SOURCE || d->waiting >= DOORMAN_QUEUE)
		*why = STATS_AWAY_QUEUE;
	else
		return true;
	return false;
}

enum doorman_answer doorman_arrive(struct doorman *d, const struct addr *addr, uint64_t now,
	struct doorman_source **source, enum stats_away *why)
{
	struct doorman_source *s = get(d, addr);
	*source = s;
	if (s == NULL) {
		*why = STATS_AWAY_FAILED;
		return DOORMAN_REFUSE;
	}
	enum doorman_answer answer = DOORMAN_WAIT;
	/* Nobody overtakes those that wait. */
	if (s->waiting == 0 && (s->live > 0 || !is_paused(&s->record, now)))
		answer = admit(d, s);
	if (answer != DOORMAN_WAIT)
		return answer;
	if (may_wait(d, s, now, why)) {
		use(d, s);
		s->waiting++;
		d->waiting++;
		return DOORMAN_WAIT;
	}
	*source = NULL;
	/* Not settle(): who only knocks again does not become the last one to be forgotten. */
	if (s->inside + s->waiting + s->live == 0 && s->record.failures == 0)
		forget(d, s);
	return DOORMAN_REFUSE;
}

enum doorman_answer doorman_call(struct doorman *d, struct doorman_source *source)
{
	enum doorman_answer answer = admit(d, source);
	if (answer == DOORMAN_ENTER) {
		source->waiting--;
		d->waiting--;
	}
	return answer;
}

void doorman_give_up(struct doorman *d, struct doorman_source *source)
{
	source->waiting--;
	d->waiting--;
	settle(d, source);
}

bool doorman_is_crowded(const struct doorman *d)
{
	return d->unproven > DOORMAN_UNPROVEN_MAX;
}

void doorman_prove(struct doorman *d, struct doorman_source *source)
{
	assert(source->unproven > 0);
	source->unproven--;
	d->unproven--;
}

void doorman_leave(
	struct doorman *d, struct doorman_source *source, enum doorman_end end, uint64_t now)
{
	assert(source->inside > 0);
	source->inside--;
	d->inside--;
	if (end != DOORMAN_PROVEN)
		doorman_prove(d, source); /* it is none of those any more */
	if (end == DOORMAN_STRANGER)
		note_failure(&source->record, now);
	settle(d, source);
}

void doorman_up(struct doorman *d, struct doorman_source *source)
{
	use(d, source);
	source->live++;
}

void doorman_down(struct doorman *d, struct doorman_source *source)
{
	source->live--;
	settle(d, source);
}

/* --- keys --------------------------------------------------------------------------------------
 */

static struct known_key *find_key(
	const struct doorman *d, const uint8_t key[static DOORMAN_KEY], uint64_t hash)
{
	for (struct hash_node *n = hash_find(&d->keys, hash); n != NULL; n = hash_find_next(n)) {
		struct known_key *k = container_of(n, struct known_key, node);
		if (memcmp(k->key, key, DOORMAN_KEY) == 0)
			return k;
	}
	return NULL;
}

static void forget_key(struct doorman *d, struct known_key *k)
{
	list_remove(&k->list);
	d->n_keys--;
	hash_remove(&d->keys, &k->node);
	mem_free(d->mem, k);
}

bool doorman_knows_no_harm(struct doorman *d, const uint8_t key[static DOORMAN_KEY], uint64_t now)
{
	struct known_key *k = find_key(d, key, hash_bytes(key, DOORMAN_KEY, d->seed));
	return k == NULL || !is_paused(&k->record, now);
}

void doorman_key_failed(struct doorman *d, const uint8_t key[static DOORMAN_KEY], uint64_t now)
{
	uint64_t hash = hash_bytes(key, DOORMAN_KEY, d->seed);
	struct known_key *k = find_key(d, key, hash);
	if (k != NULL) {
		list_remove(&k->list);
		d->n_keys--;
	} else {
		k = mem_zalloc(d->mem, sizeof *k);
		if (k == NULL)
			return;
		memcpy(k->key, key, DOORMAN_KEY);
		if (hash_add(&d->keys, &k->node, hash) != 0) {
			mem_free(d->mem, k);
			return;
		}
	}
	list_append(&d->known_keys, &k->list);
	d->n_keys++;
	note_failure(&k->record, now);
	if (d->n_keys > DOORMAN_KEYS)
		forget_key(d, container_of(d->known_keys.next, struct known_key, list));
}

void doorman_key_passed(struct doorman *d, const uint8_t key[static DOORMAN_KEY])
{
	struct known_key *k = find_key(d, key, hash_bytes(key, DOORMAN_KEY, d->seed));
	if (k != NULL)
		forget_key(d, k);
}

/* --- life ----------------------------------------------------------------------------------------
 */

void doorman_init(struct doorman *d, struct mem *mem, uint64_t seed)
{
	*d = (struct doorman){.mem = mem, .seed = seed};
	hash_init(&d->sources, mem);
	hash_init(&d->keys, mem);
	list_init(&d->idle);
	list_init(&d->known_keys);
}

void doorman_fini(struct doorman *d)
{
	for (struct list *node; (node = list_first(&d->idle)) != NULL;)
		forget(d, container_of(node, struct doorman_source, idle));
	for (struct list *node; (node = list_first(&d->known_keys)) != NULL;)
		forget_key(d, container_of(node, struct known_key, list));
	assert(d->sources.count == 0);
	hash_fini(&d->sources);
	hash_fini(&d->keys);
}
