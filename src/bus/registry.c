#include "bus/registry.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/directory.h"
#include "bus/guard.h"

#include <sodium.h>
#include <string.h>

struct registry_name {
	struct hash_node node;
	struct list offers; /* struct offer, whose turn is next first */
	size_t n_offers, refs;
	uint8_t n;
	char name[]; /* folded */
};

/* One process. */
struct peer {
	struct hash_node node, named;
	struct registry *reg;
	struct list ready, leaving; /* struct lane; of those ready, whose turn is next first */
	struct list offers;
	size_t n_offers, n_marked; /* marked: named by the version that came last */
	uint32_t version;          /* of its list, the highest seen */
	unsigned complaints;
	bool superseded; /* a newer process of the same node has come */
	bool overfull;
	uint8_t instance[WIRE_ID];
	char *node_name; /* authenticated, or NULL */
	char text[NAME_ROOM + ADDR_TEXT_MAX + 4];
};

/* One transport. */
struct lane {
	struct list node;
	struct transport *t;
	struct peer *peer;
	bool ready;
};

/* A peer serves a name. */
struct offer {
	struct hash_node node; /* by both */
	struct list of_peer, of_name;
	struct peer *peer;
	struct registry_name *name;
	uint32_t version;
};

/* --- names ------------------------------------------------------------------------------- */

static struct registry_name *find_name(
	const struct registry *reg, const char *folded, size_t n, uint64_t hash)
{
	for (struct hash_node *node = hash_find(&reg->names, hash); node != NULL;
		node = hash_find_next(node)) {
		struct registry_name *rn = container_of(node, struct registry_name, node);
		if (rn->n == n && memcmp(rn->name, folded, n) == 0)
			return rn;
	}
	return NULL;
}

struct registry_name *registry_ref(struct registry *reg, const char *name, size_t n)
{
	char folded[CONF_NAME_MAX];
	uint64_t hash = hash_bytes(folded, directory_fold(folded, name, n), reg->bus->seed);
	struct registry_name *rn = find_name(reg, folded, n, hash);
	if (rn == NULL) {
		rn = mem_zalloc(reg->bus->mem, sizeof *rn + n);
		if (rn == NULL)
			return NULL;
		if (hash_add(&reg->names, &rn->node, hash) != 0) {
			mem_free(reg->bus->mem, rn);
			return NULL;
		}
		list_init(&rn->offers);
		rn->n = (uint8_t)n;
		memcpy(rn->name, folded, n);
	}
	rn->refs++;
	return rn;
}

void registry_unref(struct registry *reg, struct registry_name *name)
{
	if (name == NULL || --name->refs > 0)
		return;
	hash_remove(&reg->names, &name->node);
	mem_free(reg->bus->mem, name);
}

size_t registry_count(const struct registry_name *name)
{
	return name->n_offers;
}

/* --- offers ------------------------------------------------------------------------------- */

static uint64_t offer_hash(const struct peer *peer, const struct registry_name *name)
{
	return hash_u64((uint64_t)(uintptr_t)peer ^ name->node.hash, peer->reg->bus->seed);
}

static struct offer *find_offer(const struct peer *peer, const struct registry_name *name)
{
	for (struct hash_node *node = hash_find(&peer->reg->offers, offer_hash(peer, name));
		node != NULL; node = hash_find_next(node)) {
		struct offer *o = container_of(node, struct offer, node);
		if (o->peer == peer && o->name == name)
			return o;
	}
	return NULL;
}

static void drop(struct offer *o)
{
	struct peer *peer = o->peer;
	struct registry *reg = peer->reg;
	hash_remove(&reg->offers, &o->node);
	list_remove(&o->of_peer);
	list_remove(&o->of_name);
	o->name->n_offers--;
	peer->n_offers--;
	peer->n_marked -= o->version == peer->version;
	reg->n_offers--;
	registry_unref(reg, o->name);
	mem_free(reg->bus->mem, o);
}

static void drop_all(struct peer *peer)
{
	for (struct list *node; (node = list_first(&peer->offers)) != NULL;)
		drop(container_of(node, struct offer, of_peer));
}

/* Takes over the reference to the name.  Whether there was memory for it. */
static bool make_offer(struct peer *peer, struct registry_name *name)
{
	struct registry *reg = peer->reg;
	struct offer *o = mem_zalloc(reg->bus->mem, sizeof *o);
	if (o == NULL || hash_add(&reg->offers, &o->node, offer_hash(peer, name)) != 0) {
		mem_free(reg->bus->mem, o);
		return false;
	}
	o->peer = peer;
	o->name = name;
	o->version = peer->version;
	list_append(&peer->offers, &o->of_peer);
	list_append(&name->offers, &o->of_name);
	name->n_offers++;
	peer->n_offers++;
	peer->n_marked++;
	reg->n_offers++;
	return true;
}

/* --- what is announced ------------------------------------------------------------------------ */

static void complain(struct peer *peer, const struct wire_name *name)
{
	if (peer->complaints == REGISTRY_COMPLAINTS)
		return;
	bool last = ++peer->complaints == REGISTRY_COMPLAINTS;
	log_warning("segment %s: may not serve [%.*s]: its token does not say so%s", peer->text,
		name->n, name->name, last ? "; further names are refused silently" : "");
}

static void overfull(struct peer *peer, const char *why)
{
	if (!peer->overfull)
		log_warning("segment %s: some of its services are left out: %s", peer->text, why);
	peer->overfull = true;
}

static void serve(struct peer *peer, const struct transport *t, const struct wire_name *name)
{
	struct registry *reg = peer->reg;
	if (!guard_believes(t, name->name, name->n)) {
		complain(peer, name);
		return;
	}
	struct registry_name *rn = registry_ref(reg, name->name, name->n);
	struct offer *o = rn != NULL ? find_offer(peer, rn) : NULL;
	if (rn == NULL) {
		overfull(peer, "out of memory");
	} else if (o != NULL) {
		registry_unref(reg, rn);
		peer->n_marked += o->version != peer->version;
		o->version = peer->version;
	} else if (peer->n_offers == WIRE_NAMES_MAX || reg->n_offers == REGISTRY_OFFERS_MAX) {
		registry_unref(reg, rn);
		overfull(peer, "there are too many");
	} else if (!make_offer(peer, rn)) {
		registry_unref(reg, rn);
		overfull(peer, "out of memory");
	}
}

static void withdraw(struct peer *peer, const struct wire_name *name)
{
	struct registry *reg = peer->reg;
	char folded[CONF_NAME_MAX];
	uint64_t hash =
		hash_bytes(folded, directory_fold(folded, name->name, name->n), reg->bus->seed);
	struct registry_name *rn = find_name(reg, folded, name->n, hash);
	struct offer *o = rn != NULL ? find_offer(peer, rn) : NULL;
	if (o != NULL)
		drop(o);
}

/*
 * The names that this version has not named go.  Only where there are some: what is left has
 * been paid for by the peer, name by name.
 */
static void sweep(struct peer *peer)
{
	if (peer->n_marked < peer->n_offers) {
		list_each_safe (node, &peer->offers) {
			struct offer *o = container_of(node, struct offer, of_peer);
			if (o->version != peer->version)
				drop(o);
		}
	}
	log_info("segment %s: serves %zu services", peer->text, peer->n_offers);
}

static void on_announce(struct transport *t, const struct wire_announce *v)
{
	const struct lane *lane = t->aside;
	struct wire_announce rest = *v;
	struct wire_name name;
	if (lane == NULL || !lane->ready || lane->peer->superseded)
		return;
	struct peer *peer = lane->peer;
	if (v->version < peer->version)
		return; /* another transport has brought newer ones */
	if (v->version > peer->version)
		peer->n_marked = 0;
	peer->version = v->version;
	while (wire_next_name(&rest, &name)) {
		if (name.served)
			serve(peer, t, &name);
		else
			withdraw(peer, &name);
	}
	if (v->kind == WIRE_LIST_END)
		sweep(peer);
}

/* The peer's token is another one: what it does not allow any more is withdrawn. */
static void on_renewed(struct transport *t)
{
	const struct lane *lane = t->aside;
	if (lane == NULL)
		return;
	lane->peer->complaints = 0;
	list_each_safe (node, &lane->peer->offers) {
		struct offer *o = container_of(node, struct offer, of_peer);
		if (!guard_believes(t, o->name->name, o->name->n)) {
			struct wire_name name = {.n = o->name->n, .name = o->name->name};
			complain(lane->peer, &name);
			drop(o);
		}
	}
}

/* --- peers ----------------------------------------------------------------------------- */

static bool same_node(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static uint64_t instance_hash(const struct registry *reg, const uint8_t *instance)
{
	return hash_bytes(instance, WIRE_ID, reg->bus->seed);
}

static struct peer *find_peer(
	const struct registry *reg, const uint8_t *instance, const char *node_name)
{
	for (struct hash_node *node = hash_find(&reg->peers, instance_hash(reg, instance));
		node != NULL; node = hash_find_next(node)) {
		struct peer *peer = container_of(node, struct peer, node);
		if (memcmp(peer->instance, instance, WIRE_ID) == 0 &&
			same_node(peer->node_name, node_name))
			return peer;
	}
	return NULL;
}

/* Newer sessions go to the newer process of the node; older ones stay where they are. */
static void supersede(struct registry *reg, const char *node_name, uint64_t hash)
{
	for (struct hash_node *node = hash_find(&reg->nodes, hash); node != NULL;
		node = hash_find_next(node)) {
		struct peer *old = container_of(node, struct peer, named);
		if (strcmp(old->node_name, node_name) != 0 || old->superseded)
			continue;
		log_notice("segment %s: a newer process of it takes over", old->text);
		old->superseded = true;
		drop_all(old);
	}
}

static void peer_free(struct peer *peer)
{
	mem_free(peer->reg->bus->mem, peer->node_name);
	mem_free(peer->reg->bus->mem, peer);
}

/* Into the table of authenticated nodes, if it is one.  0 or ERR_NOMEM. */
static int register_node(struct peer *peer, const char *node_name)
{
	struct registry *reg = peer->reg;
	size_t n = node_name != NULL ? strlen(node_name) : 0;
	if (node_name == NULL)
		return 0;
	peer->node_name = mem_strndup(reg->bus->mem, node_name, n);
	if (peer->node_name == NULL)
		return ERR_NOMEM;
	uint64_t hash = hash_bytes(node_name, n, reg->bus->seed);
	supersede(reg, node_name, hash);
	return hash_add(&reg->nodes, &peer->named, hash);
}

/* The authenticated name of the transport's peer; NULL: it is plain. */
static const char *node_of(const struct transport *t)
{
	return t->sealed != NULL ? secure_peer(t->sealed->secure)->node : NULL;
}

static struct peer *peer_new(struct registry *reg, const struct transport *t)
{
	const uint8_t *instance = mux_peer(t->mux)->instance;
	struct peer *peer = mem_zalloc(reg->bus->mem, sizeof *peer);
	if (peer == NULL)
		return NULL;
	peer->reg = reg;
	list_init(&peer->ready);
	list_init(&peer->leaving);
	list_init(&peer->offers);
	memcpy(peer->instance, instance, WIRE_ID);
	char addr[ADDR_TEXT_MAX];
	addr_format(&t->peer, addr);
	if (node_of(t) == NULL)
		(void)snprintf(peer->text, sizeof peer->text, "%s", addr);
	else
		(void)snprintf(peer->text, sizeof peer->text, "%s (%s)", node_of(t), addr);
	if (hash_add(&reg->peers, &peer->node, instance_hash(reg, instance)) != 0) {
		peer_free(peer);
		return NULL;
	}
	if (register_node(peer, node_of(t)) != 0) {
		hash_remove(&reg->peers, &peer->node);
		peer_free(peer);
		return NULL;
	}
	return peer;
}

static void free_if_gone(struct peer *peer)
{
	if (!list_empty(&peer->ready) || !list_empty(&peer->leaving))
		return;
	if (peer->node_name != NULL)
		hash_remove(&peer->reg->nodes, &peer->named);
	hash_remove(&peer->reg->peers, &peer->node);
	peer_free(peer);
}

/* --- what a transport tells ------------------------------------------------------------- */

static void on_ready(struct transport *t)
{
	struct registry *reg = t->owner;
	struct peer *peer = find_peer(reg, mux_peer(t->mux)->instance, node_of(t));
	bool known = peer != NULL;
	struct lane *lane = mem_zalloc(reg->bus->mem, sizeof *lane);
	if (peer == NULL && lane != NULL)
		peer = peer_new(reg, t);
	if (peer == NULL || lane == NULL) {
		mem_free(reg->bus->mem, lane);
		transport_kill(t, "out of memory");
		return;
	}
	*lane = (struct lane){.t = t, .peer = peer, .ready = true};
	t->aside = lane;
	list_append(&peer->ready, &lane->node);
	if (!known)
		log_notice("segment %s: up", peer->text);
}

static void on_open(struct transport *t, struct mux_stream *stream, const struct wire_open *open)
{
	char text[ADDR_TEXT_MAX];
	log_warning("transport from %s: session refused: the segment opened [%.*s] here, where no "
		    "service is",
		addr_format(&t->peer, text), open->name_len, open->name);
	transport_refuse(t, stream, WIRE_NO_SERVICE);
}

/* No new sessions on it.  Whether it was the last of its peer. */
static bool leave(struct lane *lane)
{
	struct peer *peer = lane->peer;
	if (!lane->ready)
		return false;
	lane->ready = false;
	list_remove(&lane->node);
	list_append(&peer->leaving, &lane->node);
	if (!list_empty(&peer->ready))
		return false;
	drop_all(peer);
	peer->version = 0;
	peer->n_marked = 0;
	return true;
}

static void on_goaway(struct transport *t, uint32_t code)
{
	struct lane *lane = t->aside;
	if (lane == NULL || !leave(lane) || t->bus->draining)
		return;
	log_notice("segment %s: goes away (%s); running sessions finish", lane->peer->text,
		wire_code_text(code));
}

static void on_closed(struct transport *t, const char *why)
{
	struct lane *lane = t->aside;
	char text[ADDR_TEXT_MAX];
	if (lane == NULL) {
		log_notice("transport from %s: lost: %s", addr_format(&t->peer, text),
			why != NULL ? why : "closed in order");
		return;
	}
	struct peer *peer = lane->peer;
	if (leave(lane))
		log_notice(
			"segment %s: down: %s", peer->text, why != NULL ? why : "closed in order");
	else if (why != NULL)
		log_notice("segment %s: a transport was lost: %s", peer->text, why);
	list_remove(&lane->node);
	mem_free(t->bus->mem, lane);
	t->aside = NULL;
	free_if_gone(peer);
}

const struct transport_ops *registry_transport_ops(void)
{
	static const struct transport_ops ops = {.ready = on_ready,
		.open = on_open,
		.goaway = on_goaway,
		.announce = on_announce,
		.renewed = on_renewed,
		.closed = on_closed};
	return &ops;
}

/* --- new sessions ------------------------------------------------------------------------ */

static void to_the_end(struct list *head, struct list *node)
{
	list_remove(node);
	list_append(head, node);
}

/* Its transports take turns. */
static struct transport *transport_of(struct peer *peer)
{
	for (struct list *node = peer->ready.next; node != &peer->ready; node = node->next) {
		struct transport *t = container_of(node, struct lane, node)->t;
		if (!transport_can_open(t))
			continue;
		to_the_end(&peer->ready, node);
		return t;
	}
	return NULL;
}

static size_t load_of(const struct peer *peer)
{
	size_t n = 0;
	list_each (node, &peer->ready)
		n += mux_count(container_of(node, struct lane, node)->t->mux);
	list_each (node, &peer->leaving)
		n += mux_count(container_of(node, struct lane, node)->t->mux);
	return n;
}

static struct transport *next_in_turn(struct registry_name *name)
{
	for (size_t i = 0; i < name->n_offers && i < REGISTRY_SCAN; i++) {
		struct offer *o = container_of(name->offers.next, struct offer, of_name);
		to_the_end(&name->offers, &o->of_name);
		struct transport *t = transport_of(o->peer);
		if (t != NULL)
			return t;
	}
	return NULL;
}

static bool can_open(const struct peer *peer)
{
	list_each (node, &peer->ready) {
		if (transport_can_open(container_of(node, struct lane, node)->t))
			return true;
	}
	return false;
}

/* Of those with equally few, the one whose turn it is. */
static struct transport *least_loaded(struct registry_name *name)
{
	struct offer *best = NULL;
	size_t least = 0, looked = 0;
	list_each (node, &name->offers) {
		struct offer *o = container_of(node, struct offer, of_name);
		if (looked++ == REGISTRY_SCAN)
			break;
		if (!can_open(o->peer))
			continue;
		size_t load = load_of(o->peer);
		if (best == NULL || load < least) {
			best = o;
			least = load;
		}
	}
	if (best == NULL)
		return NULL;
	to_the_end(&name->offers, &best->of_name);
	return transport_of(best->peer);
}

struct transport *registry_next(struct registry_name *name, enum conf_balance balance)
{
	return balance == CONF_LEAST_SESSIONS ? least_loaded(name) : next_in_turn(name);
}

size_t registry_all(struct registry_name *name, struct transport **t, size_t room)
{
	size_t n = 0, looked = 0;
	list_each (node, &name->offers) {
		if (n == room || looked++ == REGISTRY_SCAN)
			break;
		t[n] = transport_of(container_of(node, struct offer, of_name)->peer);
		n += t[n] != NULL;
	}
	return n;
}

/* --- life -------------------------------------------------------------------------------- */

void registry_init(struct registry *reg, struct bus *bus)
{
	*reg = (struct registry){.bus = bus};
	hash_init(&reg->peers, bus->mem);
	hash_init(&reg->nodes, bus->mem);
	hash_init(&reg->names, bus->mem);
	hash_init(&reg->offers, bus->mem);
}

void registry_fini(struct registry *reg)
{
	hash_fini(&reg->peers);
	hash_fini(&reg->nodes);
	hash_fini(&reg->names);
	hash_fini(&reg->offers);
}
