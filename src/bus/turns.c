#include "bus/turns.h"

#include "bus/registry_impl.h"

static void to_the_end(struct list *head, struct list *node)
{
	list_remove(node);
	list_append(head, node);
}

/* One between two customers may be beside one that is not, until it has gone. */
static bool is_open(const struct lane *lane)
{
	return !lane->foreign && transport_can_open(lane->t);
}

/* Its transports take turns. */
static struct transport *transport_of(struct peer *peer)
{
	struct list *doubted = NULL, *node = peer->ready.next;
	for (; node != &peer->ready; node = node->next) {
		const struct lane *lane = container_of(node, struct lane, node);
		if (!is_open(lane))
			continue;
		if (!lane->doubted)
			break;
		if (doubted == NULL)
			doubted = node;
	}
	if (node == &peer->ready)
		node = doubted;
	if (node == NULL)
		return NULL;
	to_the_end(&peer->ready, node);
	return container_of(node, struct lane, node)->t;
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

static struct peer *peer_of(const struct offer *o)
{
	return container_of(o->by, struct peer, offerer);
}

static struct transport *next_in_turn(struct offers_name *name)
{
	for (size_t i = 0; i < name->n_offers && i < TURNS_SCAN; i++) {
		struct offer *o = container_of(name->list.next, struct offer, of_name);
		offers_turn(o);
		struct transport *t = transport_of(peer_of(o));
		if (t != NULL)
			return t;
	}
	return NULL;
}

static bool can_open(const struct peer *peer)
{
	list_each (node, &peer->ready) {
		if (is_open(container_of(node, struct lane, node)))
			return true;
	}
	return false;
}

/*
 * Of those with equally few, the one whose turn it is.  Who cannot goes to the end, so that
 * the others come to be looked at, however many cannot.
 */
static struct transport *least_loaded(struct offers_name *name)
{
	struct offer *best = NULL;
	size_t least = 0, left = name->n_offers < TURNS_SCAN ? name->n_offers : TURNS_SCAN;
	list_each_safe (node, &name->list) {
		struct offer *o = container_of(node, struct offer, of_name);
		if (left-- == 0)
			break;
		if (!can_open(peer_of(o))) {
			offers_turn(o);
			continue;
		}
		size_t load = load_of(peer_of(o));
		if (best == NULL || load < least) {
			best = o;
			least = load;
		}
	}
	if (best == NULL)
		return NULL;
	offers_turn(best);
	return transport_of(peer_of(best));
}

struct transport *turns_next(struct offers_name *name, enum conf_balance balance)
{
	return balance == CONF_LEAST_SESSIONS ? least_loaded(name) : next_in_turn(name);
}

size_t turns_all(struct offers_name *name, struct transport **t, size_t room)
{
	size_t n = 0, left = name->n_offers < TURNS_SCAN ? name->n_offers : TURNS_SCAN;
	list_each_safe (node, &name->list) {
		struct offer *o = container_of(node, struct offer, of_name);
		if (n == room || left-- == 0)
			break;
		t[n] = transport_of(peer_of(o));
		if (t[n] != NULL)
			n++;
		else
			offers_turn(o);
	}
	return n;
}
