#include "bus/survey.h"

#include "base/err.h"
#include "bus/expiry.h"
#include "bus/node_impl.h"

#include <stdio.h>
#include <string.h>

#define NOWHERE SIZE_MAX /* a dialer that has no place in the survey */

/* Room for n; one at least, as there is no block of none. */
static void *room(struct survey *s, size_t n, size_t size)
{
	return mem_zalloc(s->mem, (n + 1) * size);
}

static size_t length(const struct list *list)
{
	size_t n = 0;
	list_each (node, list)
		n++;
	return n;
}

/* --- services ----------------------------------------------------------------------------- */

static void add_service(
	struct survey *s, const char *name, size_t sessions, const struct service_stats *stats)
{
	s->services[s->n_services++] =
		(struct survey_service){.name = name, .sessions = sessions, .stats = stats};
}

static int take_services(struct survey *s, const struct node *node)
{
	size_t most = length(&node->ingresses) + length(&node->services);
	s->services = room(s, most, sizeof *s->services);
	if (s->services == NULL)
		return ERR_NOMEM;
	list_each (n, &node->ingresses) {
		const struct ingress *in = container_of(n, struct ingress, node);
		if (!in->retired)
			add_service(s, in->conf->name, in->n_sessions, &in->stats);
	}
	list_each (n, &node->services) {
		const struct egress *e = container_of(n, struct egress, node);
		if (!e->retired && !e->leaving)
			add_service(s, e->conf->name, e->n_sessions, &e->stats);
	}
	return 0;
}

/* --- links -------------------------------------------------------------------------------- */

static uint64_t round_trip(const struct dialer *d)
{
	uint64_t least = 0;
	for (unsigned i = 0; i < d->n_ready; i++) {
		uint64_t rtt = mux_rtt(d->ready[i]->mux);
		if (rtt != 0 && (least == 0 || rtt < least))
			least = rtt;
	}
	return least;
}

static void add_dialer(struct survey_link *link, const struct dialer *d)
{
	uint64_t rtt = round_trip(d);
	link->ready += d->n_ready;
	link->transports += d->n_transports;
	link->failures += d->failures;
	link->received += d->received;
	link->sent += d->sent;
	if (rtt != 0 && (link->round_trip == 0 || rtt < link->round_trip))
		link->round_trip = rtt;
}

static struct survey_link *find_link(const struct hash *texts, const char *text, uint64_t hash)
{
	for (struct hash_node *n = hash_find(texts, hash); n != NULL; n = hash_find_next(n)) {
		struct survey_link *one = container_of(n, struct survey_link, node);
		if (strcmp(one->text, text) == 0)
			return one;
	}
	return NULL;
}

/* What a text does not show of an address, such as a blank, makes two of them one link here. */
static int add_link(struct survey *s, struct hash *texts, struct dialer *d)
{
	struct survey_link *link = &s->links[s->n_links], *same;
	(void)snprintf(link->text, sizeof link->text, "%s", d->ops->text(d));
	uint64_t hash = hash_bytes(link->text, strlen(link->text), s->seed);
	same = find_link(texts, link->text, hash);
	if (same != NULL)
		link = same;
	else if (hash_add(texts, &link->node, hash) != 0)
		return ERR_NOMEM;
	else
		s->n_links++;
	d->place = (size_t)(link - s->links);
	add_dialer(link, d);
	return 0;
}

static int add_links(struct survey *s, struct hash *texts, const struct node *node)
{
	struct hash_node *at = NULL;
	int rc = 0;
	list_each (n, &node->uplinks) {
		struct uplink *u = container_of(n, struct uplink, node);
		u->dialer.place = NOWHERE;
		if (!u->retired && rc == 0)
			rc = add_link(s, texts, &u->dialer);
	}
	while ((at = hash_next(&node->links.table, at)) != NULL) {
		struct dialer *d = &container_of(at, struct link, node)->dialer;
		d->place = NOWHERE;
		if (d->in_use && rc == 0)
			rc = add_link(s, texts, d);
	}
	return rc;
}

static int take_links(struct survey *s, const struct node *node)
{
	struct hash texts;
	s->links = room(s, node->links.table.count + length(&node->uplinks), sizeof *s->links);
	if (s->links == NULL)
		return ERR_NOMEM;
	hash_init(&texts, s->mem);
	int rc = add_links(s, &texts, node);
	hash_fini(&texts);
	return rc;
}

/* --- transports and who is at their other end --------------------------------------------- */

static void add_transport(struct survey *s, const struct transport *t)
{
	const struct dialer *d = t->owner;
	s->transports[t->side][t->sealed != NULL]++;
	s->received += t->received;
	s->sent += t->sent;
	if (t->side != STATS_DIALLED || s->links == NULL || d->place == NOWHERE)
		return;
	s->links[d->place].received += t->received;
	s->links[d->place].sent += t->sent;
}

static struct survey_node *find_node(const struct hash *names, const char *name, uint64_t hash)
{
	for (struct hash_node *n = hash_find(names, hash); n != NULL; n = hash_find_next(n)) {
		struct survey_node *one = container_of(n, struct survey_node, node);
		if (strcmp(one->name, name) == 0)
			return one;
	}
	return NULL;
}

/* The entry of a name, found or made; NULL: no memory. */
static struct survey_node *get_node(struct survey *s, struct hash *names, const char *name)
{
	uint64_t hash = hash_bytes(name, strlen(name), s->seed);
	struct survey_node *one = find_node(names, name, hash);
	if (one != NULL)
		return one;
	one = &s->nodes[s->n_nodes];
	if (hash_add(names, &one->node, hash) != 0)
		return NULL;
	one->name = name;
	s->n_nodes++;
	return one;
}

static int add_token(struct survey *s, struct hash *names, const struct token *token, int64_t now)
{
	struct survey_node *node = get_node(s, names, token->node);
	if (node == NULL)
		return ERR_NOMEM;
	if (node->transports == 0 || token->expires < node->expires)
		node->expires = token->expires;
	node->transports++;
	if (s->tokens == 0 || token->expires < s->expires)
		s->expires = token->expires;
	s->tokens++;
	s->tokens_near_end += expiry_is_near(token->expires, now);
	return 0;
}

static int take_transports(struct survey *s, const struct bus *bus, int64_t now)
{
	struct hash names;
	int rc = 0;
	s->nodes = room(s, bus->n_transports, sizeof *s->nodes);
	if (s->nodes == NULL)
		return ERR_NOMEM;
	hash_init(&names, s->mem);
	s->received = bus->stats.wire_received;
	s->sent = bus->stats.wire_sent;
	list_each (n, &bus->transports) {
		const struct transport *t = container_of(n, struct transport, node);
		add_transport(s, t);
		if (rc == 0 && t->sealed != NULL && !t->dead)
			rc = add_token(s, &names, secure_peer(t->sealed->secure), now);
	}
	hash_fini(&names);
	return rc;
}

/* --- all of it ---------------------------------------------------------------------------- */

int survey_take(struct survey *s, struct bus *bus, int64_t now)
{
	const struct node *node = bus->owner;
	*s = (struct survey){.mem = bus->mem, .seed = bus->seed};
	int rc = node != NULL ? take_services(s, node) : 0;
	if (rc == 0 && node != NULL)
		rc = take_links(s, node);
	if (rc == 0)
		rc = take_transports(s, bus, now);
	if (rc != 0)
		survey_free(s);
	return rc;
}

void survey_free(struct survey *s)
{
	mem_free(s->mem, s->services);
	mem_free(s->mem, s->links);
	mem_free(s->mem, s->nodes);
	*s = (struct survey){.mem = NULL};
}
