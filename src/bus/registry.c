#include "bus/registry.h"

#include "base/err.h"
#include "bus/permit.h"
#include "bus/registry_impl.h"
#include "bus/say.h"

#include <stdio.h>
#include <string.h>

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
	return hash_add(&reg->nodes, &peer->named, hash_bytes(node_name, n, reg->bus->seed));
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
	offerer_init(&peer->offerer, &reg->offers);
	memcpy(peer->instance, instance, WIRE_ID);
	const char *addr = say_where(&t->peer, t->sealed != NULL);
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

/* --- several processes of one node --------------------------------------------------------- */

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
	offerer_clear(&peer->offerer);
	peer->spoke = peer->listed = peer->overfull = false;
	return true;
}

/* Newer sessions go to the newer process of the node; older ones stay where they are. */
static void supersede(struct peer *old)
{
	if (old->standing == FORGOTTEN || list_empty(&old->ready))
		return;
	if (old->standing == IN_FORCE)
		say_about(old->reg->bus, old->node_name, LOG_NOTICE,
			"segment %s: a newer process of it takes over", old->text);
	if (old->standing == IN_FORCE && old->spoke) {
		old->standing = SHELVED;
		offerer_shelve(&old->offerer);
	} else {
		old->standing = FORGOTTEN;
		offerer_clear(&old->offerer);
	}
}

/*
 * What it serves is not known any more: its links are ended, so that it dials and announces
 * anew.
 */
static void recall(struct peer *old)
{
	if (old->standing != FORGOTTEN || list_empty(&old->ready))
		return;
	say_about(old->reg->bus, old->node_name, LOG_NOTICE,
		"segment %s: the newer process of it is gone; it is to come back", old->text);
	for (struct list *node; (node = list_first(&old->ready)) != NULL;) {
		struct lane *lane = container_of(node, struct lane, node);
		transport_goaway(lane->t, WIRE_REPLACED);
		(void)leave(lane);
	}
}

static void each_other_of_the_node(const struct peer *peer, void (*what)(struct peer *other))
{
	if (peer->node_name == NULL)
		return;
	for (struct hash_node *node = hash_find(&peer->reg->nodes, peer->named.hash); node != NULL;
		node = hash_find_next(node)) {
		struct peer *other = container_of(node, struct peer, named);
		if (other != peer && strcmp(other->node_name, peer->node_name) == 0)
			what(other);
	}
}

/* Another process of the node that has announced its names, and has that standing; or NULL. */
static struct peer *other_of_the_node(const struct peer *peer, enum standing standing)
{
	if (peer->node_name == NULL)
		return NULL;
	for (struct hash_node *node = hash_find(&peer->reg->nodes, peer->named.hash); node != NULL;
		node = hash_find_next(node)) {
		struct peer *other = container_of(node, struct peer, named);
		if (other != peer && strcmp(other->node_name, peer->node_name) == 0 &&
			other->standing == standing && other->spoke)
			return other;
	}
	return NULL;
}

static void comes_up(struct peer *peer, const struct transport *t)
{
	say_peer(t, LOG_NOTICE, "segment %s: up", peer->text);
	peer->standing = IN_FORCE;
}

/* Only now, as until then the older process serves what the newer one has not named yet. */
static void first_names(struct peer *peer)
{
	peer->spoke = true;
	if (peer->standing == IN_FORCE)
		each_other_of_the_node(peer, supersede);
}

static void goes_down(struct peer *peer)
{
	if (peer->standing != IN_FORCE || other_of_the_node(peer, IN_FORCE) != NULL)
		return;                                      /* another one serves */
	struct peer *old = other_of_the_node(peer, SHELVED); /* the only one */
	if (old == NULL) {
		each_other_of_the_node(peer, recall);
		return;
	}
	say_about(old->reg->bus, old->node_name, LOG_NOTICE,
		"segment %s: the newer process of it is gone; it serves %zu services again",
		old->text, old->offerer.n);
	old->standing = IN_FORCE;
	offerer_bring_back(&old->offerer);
}

/* --- what is announced ------------------------------------------------------------------------ */

/* Whether the name is believed; if not, the line has both nodes, the service and the reason. */
static bool believe(struct peer *peer, const struct transport *t, const struct wire_name *name)
{
	const char *why = permit_doubts(t, name->name, name->n);
	if (why == NULL)
		return true;
	peer->reg->bus->stats.names_forbidden++;
	if (peer->complaints == REGISTRY_COMPLAINTS)
		return false;
	bool last = ++peer->complaints == REGISTRY_COMPLAINTS;
	say_peer(t, LOG_WARNING, "segment %s: may not serve [%.*s] to node %s: %s%s", peer->text,
		name->n, name->name, secure_own(t->sealed->secure)->node, why,
		last ? "; further names are refused silently" : "");
	return false;
}

static void overfull(struct peer *peer, const struct transport *t, const char *why)
{
	if (!peer->overfull)
		say_peer(t, LOG_WARNING, "segment %s: some of its services are left out: %s",
			peer->text, why);
	peer->overfull = true;
}

static void serve(
	struct peer *peer, const struct transport *t, const struct wire_name *name, bool whole)
{
	if (!believe(peer, t, name)) {
		/* An older transport of it, of another customer, may have been believed. */
		offerer_withdraw(&peer->offerer, name);
		return;
	}
	int rc = offerer_serve(&peer->offerer, name, whole);
	if (rc != 0)
		overfull(peer, t, rc == ERR_LIMIT ? "there are too many" : "out of memory");
}

/* What says only what was known is not worth a line. */
static void tell_changes(struct peer *peer, const struct transport *t)
{
	if (peer->offerer.changed)
		say_peer(t, LOG_INFO, "segment %s: serves %zu services", peer->text,
			peer->offerer.n);
	peer->offerer.changed = false;
}

static void list_ends(struct peer *peer, const struct transport *t)
{
	offerer_sweep(&peer->offerer);
	peer->offerer.changed |= !peer->listed;
	peer->listed = true;
	tell_changes(peer, t);
}

static void on_announce(struct transport *t, const struct wire_announce *v)
{
	const struct lane *lane = t->aside;
	struct wire_announce rest = *v;
	struct wire_name name;
	if (lane == NULL || !lane->ready || lane->peer->standing == FORGOTTEN)
		return;
	struct peer *peer = lane->peer;
	if (peer->foreign && !lane->foreign)
		return; /* it had another customer then */
	if (!offerer_begin(&peer->offerer, v->version))
		return; /* another transport has brought newer ones */
	/* One of another customer serves nothing, and so takes over from nobody. */
	if (!peer->spoke && !peer->foreign)
		first_names(peer);
	while (wire_next_name(&rest, &name)) {
		if (name.served)
			serve(peer, t, &name, v->kind != WIRE_CHANGES);
		else
			offerer_withdraw(&peer->offerer, &name);
	}
	if (v->kind == WIRE_LIST_END)
		list_ends(peer, t);
	else if (v->kind == WIRE_CHANGES && peer->listed)
		tell_changes(peer, t);
}

/* The peer's token is another one: what it does not allow any more is withdrawn. */
static void on_renewed(struct transport *t)
{
	const struct lane *lane = t->aside;
	if (lane == NULL)
		return;
	lane->peer->complaints = 0;
	list_each_safe (node, &lane->peer->offerer.list) {
		struct offer *o = container_of(node, struct offer, of_one);
		struct wire_name name = {.n = o->name->n, .name = o->name->name};
		if (!believe(lane->peer, t, &name))
			offers_drop(o);
	}
	tell_changes(lane->peer, t);
}

/* Its links are made anew when its key changes, and nothing else would say so. */
static void watch_key(struct peer *peer, const struct transport *t)
{
	const uint8_t *key = t->sealed != NULL ? secure_peer_key(t->sealed->secure) : NULL;
	if (key == NULL || memcmp(peer->key, key, KEYFILE_KEY) == 0)
		return;
	if (peer->keyed)
		say_peer(t, LOG_NOTICE,
			"segment %s: it has another key now; new sessions use links that are made "
			"with that",
			peer->text);
	memcpy(peer->key, key, KEYFILE_KEY);
	peer->keyed = true;
}

/* What an older transport has brought counts no more, if the new one is of another customer. */
static void watch_customer(struct peer *peer, const struct lane *lane)
{
	if (peer->foreign == lane->foreign)
		return;
	peer->foreign = lane->foreign;
	if (!lane->foreign)
		return;
	say_peer(lane->t, LOG_WARNING,
		"segment %s: is of another customer than this node: nothing that it serves is seen "
		"here",
		peer->text);
	list_each_safe (node, &peer->offerer.list)
		offers_drop(container_of(node, struct offer, of_one));
	tell_changes(peer, lane->t);
}

/*
 * Perhaps it has come in the place of the older ones, which are lost and we do not know it:
 * they get no new sessions until they have answered, or nobody else can.
 */
static void doubt_older(struct peer *peer)
{
	list_each (node, &peer->ready) {
		struct lane *lane = container_of(node, struct lane, node);
		lane->doubted = true;
		transport_ask(lane->t);
	}
}

/* --- what a transport tells ---------------------------------------------------------- */

static void on_ready(struct transport *t)
{
	struct registry *reg = t->owner;
	struct peer *peer = find_peer(reg, mux_peer(t->mux)->instance, node_of(t));
	struct lane *lane = mem_zalloc(reg->bus->mem, sizeof *lane);
	if (peer == NULL && lane != NULL)
		peer = peer_new(reg, t);
	if (peer == NULL || lane == NULL) {
		mem_free(reg->bus->mem, lane);
		ending_now(t, STATS_CLOSED_FAILED, "out of memory");
		return;
	}
	*lane = (struct lane){.t = t, .peer = peer, .ready = true, .foreign = permit_is_foreign(t)};
	t->aside = lane;
	bool was_up = !list_empty(&peer->ready);
	doubt_older(peer);
	list_append(&peer->ready, &lane->node);
	if (!was_up)
		comes_up(peer, t);
	watch_key(peer, t);
	watch_customer(peer, lane);
}

static void on_open(struct transport *t, struct mux_stream *stream, const struct wire_open *open)
{
	say_peer(t, LOG_WARNING,
		"transport from %s: session refused: the segment opened [%.*s] here, where no "
		"service is",
		say_where(&t->peer, t->sealed != NULL), open->name_len, open->name);
	transport_reject(t, stream, WIRE_NO_SERVICE);
}

static void on_goaway(struct transport *t, uint32_t code)
{
	struct lane *lane = t->aside;
	if (lane == NULL)
		return;
	struct peer *peer = lane->peer;
	bool down = leave(lane);
	if (down && !t->bus->draining)
		say_peer(t, LOG_NOTICE, "segment %s: goes away (%s); running sessions finish",
			peer->text, wire_code_text(code));
	else if (!wire_code_is_usual(code))
		say_peer(t, LOG_NOTICE, "segment %s: a transport of it goes away (%s)", peer->text,
			wire_code_text(code));
	if (down)
		goes_down(peer);
}

static void on_dismissed(struct transport *t)
{
	struct lane *lane = t->aside;
	if (lane == NULL || !leave(lane))
		return;
	say_peer(t, LOG_NOTICE, "segment %s: sent away; running sessions finish", lane->peer->text);
	goes_down(lane->peer);
}

static void on_heard(struct transport *t)
{
	struct lane *lane = t->aside;
	if (lane != NULL)
		lane->doubted = false;
}

static void on_closed(struct transport *t, const char *why)
{
	struct lane *lane = t->aside;
	if (lane == NULL) {
		say_peer(t, LOG_NOTICE, "transport from %s: lost: %s",
			say_where(&t->peer, t->sealed != NULL),
			why != NULL ? why : "closed in order");
		return;
	}
	struct peer *peer = lane->peer;
	if (leave(lane)) {
		say_peer(t, LOG_NOTICE, "segment %s: down: %s", peer->text,
			why != NULL ? why : "closed in order");
		goes_down(peer);
	} else if (why != NULL) {
		say_peer(t, LOG_NOTICE, "segment %s: a transport was lost: %s", peer->text, why);
	}
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
		.dismissed = on_dismissed,
		.announce = on_announce,
		.renewed = on_renewed,
		.heard = on_heard,
		.closed = on_closed};
	return &ops;
}

/* --- life ----------------------------------------------------------------------------- */

void registry_init(struct registry *reg, struct bus *bus)
{
	*reg = (struct registry){.bus = bus};
	hash_init(&reg->peers, bus->mem);
	hash_init(&reg->nodes, bus->mem);
	offers_init(&reg->offers, bus->mem, bus->seed);
}

void registry_fini(struct registry *reg)
{
	hash_fini(&reg->peers);
	hash_fini(&reg->nodes);
	offers_fini(&reg->offers);
}
