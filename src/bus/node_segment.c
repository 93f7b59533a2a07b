#include "bus/node_segment.h"

#include "base/err.h"
#include "base/log.h"
#include "conf/conf_equal.h"

#include <strings.h>

/* What becomes of one service. */
struct change {
	struct egress *e;
	struct egress_target *target;
	bool is_new;
};

/* What was there before, and what comes. */
struct segment_plan {
	struct node_step *step;
	struct hash by_name;             /* struct egress */
	struct hash by_address;          /* struct entrance, also the new ones */
	struct change *change;           /* one a service */
	struct directory_entry *entries; /* two a service: at its address, and for links */
	struct directory directory;      /* for links */
	struct uplink **uplink;          /* one a connect= */
	bool *is_new;                    /* whether that is new */
};

/* Without the entries, which may be the node's. */
static void plan_free(struct segment_plan *p)
{
	struct mem *mem = p->step->node->bus->mem;
	hash_fini(&p->by_name);
	hash_fini(&p->by_address);
	mem_free(mem, p->change);
	mem_free(mem, p->uplink);
	mem_free(mem, p->is_new);
	mem_free(mem, p);
}

/* NULL: no memory. */
static struct segment_plan *plan_new(struct node_step *step)
{
	struct bus *bus = step->node->bus;
	const struct conf *conf = step->conf;
	struct segment_plan *p = mem_zalloc(bus->mem, sizeof *p);
	if (p == NULL)
		return NULL;
	p->step = step;
	hash_init(&p->by_name, bus->mem);
	hash_init(&p->by_address, bus->mem);
	directory_init(&p->directory, bus);
	p->change = mem_zalloc(bus->mem, conf->n_services * sizeof *p->change);
	p->entries = mem_zalloc(bus->mem, conf->n_services * 2 * sizeof *p->entries);
	p->uplink = mem_zalloc(bus->mem, (conf->n_connects + 1) * sizeof *p->uplink);
	p->is_new = mem_zalloc(bus->mem, (conf->n_connects + 1) * sizeof *p->is_new);
	if (p->change != NULL && p->entries != NULL && p->uplink != NULL && p->is_new != NULL)
		return p;
	mem_free(bus->mem, p->entries);
	plan_free(p);
	return NULL;
}

/* --- what is there ----------------------------------------------------------------------- */

static int index_all(struct segment_plan *p)
{
	struct node *node = p->step->node;
	int rc = 0;
	list_each (n, &node->services) {
		struct egress *e = container_of(n, struct egress, node);
		if (!e->retired && !e->leaving && rc == 0)
			rc = hash_add(
				&p->by_name, &e->by_name, node_name_hash(node, e->conf->name));
	}
	list_each (n, &node->entrances) {
		struct entrance *en = container_of(n, struct entrance, node);
		en->wanted = false;
		if (!en->retired && rc == 0)
			rc = hash_add(&p->by_address, &en->by_address,
				addr_hash(&en->asked, node->bus->seed));
	}
	return rc;
}

static struct egress *find_egress(const struct segment_plan *p, const char *name)
{
	uint64_t hash = node_name_hash(p->step->node, name);
	for (struct hash_node *n = hash_find(&p->by_name, hash); n != NULL; n = hash_find_next(n)) {
		struct egress *e = container_of(n, struct egress, by_name);
		if (strcasecmp(e->conf->name, name) == 0)
			return e;
	}
	return NULL;
}

static struct entrance *find_entrance(
	const struct segment_plan *p, const struct addr *addr, uint64_t hash)
{
	for (struct hash_node *n = hash_find(&p->by_address, hash); n != NULL;
		n = hash_find_next(n)) {
		struct entrance *en = container_of(n, struct entrance, by_address);
		if (addr_equal(&en->asked, addr))
			return en;
	}
	return NULL;
}

static struct uplink *find_uplink(const struct node *node, const struct conf_endpoint *conf)
{
	list_each (n, &node->uplinks) {
		struct uplink *u = container_of(n, struct uplink, node);
		if (!u->retired && conf_equal_endpoint(u->conf, conf))
			return u;
	}
	return NULL;
}

/* --- what is to be ------------------------------------------------------------------------ */

/* The entrance of an address, found or made; services with equal addresses share one. */
static int get_entrance(
	struct segment_plan *p, const struct conf_endpoint *at, struct entrance **out)
{
	struct node *node = p->step->node;
	uint64_t hash = addr_hash(&at->addr, node->bus->seed);
	struct entrance *en = find_entrance(p, &at->addr, hash);
	if (en == NULL) {
		int rc = entrance_new(&en, node->bus, at);
		if (rc != 0)
			return rc;
		rc = hash_add(&p->by_address, &en->by_address, hash);
		if (rc != 0) {
			entrance_free(en);
			return rc;
		}
		list_append(&node->entrances, &en->node);
	}
	if (!en->wanted)
		entrance_prepare(en, at->secured);
	en->wanted = true;
	*out = en;
	return 0;
}

static int prepare_service(struct segment_plan *p, size_t i)
{
	struct node *node = p->step->node;
	const struct conf_service *conf = &p->step->conf->services[i];
	struct change *c = &p->change[i];
	struct entrance *en;
	c->e = find_egress(p, conf->name);
	if (c->e == NULL)
		c->e = leaving_find(&node->leaving, conf->name);
	if (c->e == NULL) {
		c->e = egress_new(node->bus, conf);
		c->is_new = true;
	}
	if (c->e == NULL)
		return ERR_NOMEM;
	int rc = egress_prepare(c->e, conf, &c->target);
	if (rc == 0)
		rc = directory_add(&p->directory, &p->entries[2 * i], c->e);
	if (rc != 0 || conf->bind.text == NULL)
		return rc;
	rc = get_entrance(p, &conf->bind, &en);
	return rc != 0 ? rc : entrance_add(en, &p->entries[2 * i + 1], c->e);
}

/* Dials the controllers that are new. */
static int prepare_uplinks(struct segment_plan *p)
{
	struct node *node = p->step->node;
	const struct conf *conf = p->step->conf;
	int rc = 0;
	for (size_t i = 0; i < conf->n_connects && rc == 0; i++) {
		struct uplink_options opt = {.conf = &conf->connects[i],
			.directory = &node->directory,
			.roster = &node->roster,
			.stopped = &node->links.stopped};
		p->uplink[i] = find_uplink(node, opt.conf);
		if (p->uplink[i] != NULL)
			continue;
		rc = uplink_new(&p->uplink[i], node->bus, &opt);
		p->is_new[i] = rc == 0;
	}
	/* The last step that can fail: what it announces is there in the same turn. */
	if (rc == 0 && p->step->failed == 0 && conf->n_connects > 0)
		rc = roster_set(&node->roster, conf->services, conf->n_services);
	return rc;
}

void node_segment_prepare(struct node_step *step)
{
	struct segment_plan *p = step->segment = plan_new(step);
	if (p == NULL || index_all(p) != 0) {
		node_no_memory(step);
		return;
	}
	for (size_t i = 0; i < step->conf->n_services; i++) {
		int rc = prepare_service(p, i);
		if (rc != 0)
			node_complain(step, &step->conf->services[i], rc);
	}
	if (step->failed == 0 && prepare_uplinks(p) != 0)
		node_no_memory(step);
}

/* --- it is not to be ----------------------------------------------------------------------- */

void node_segment_abandon(struct node_step *step)
{
	struct segment_plan *p = step->segment;
	const struct conf *conf = step->conf;
	if (p == NULL)
		return;
	list_each_safe (n, &step->node->entrances) {
		struct entrance *en = container_of(n, struct entrance, node);
		if (en->is_new)
			entrance_free(en);
		else if (en->wanted)
			entrance_abandon(en);
	}
	directory_fini(&p->directory);
	for (size_t i = 0; i < conf->n_services; i++) {
		struct change *c = &p->change[i];
		if (c->e == NULL)
			continue;
		egress_abandon(c->e, c->target);
		if (c->is_new)
			egress_free(c->e);
	}
	for (size_t i = 0; i < conf->n_connects; i++) {
		if (p->is_new[i])
			uplink_retire(p->uplink[i]);
	}
	mem_free(step->node->bus->mem, p->entries);
	plan_free(p);
}

/* --- it is to be --------------------------------------------------------------------------- */

static void commit_entrances(struct segment_plan *p)
{
	list_each_safe (n, &p->step->node->entrances) {
		struct entrance *en = container_of(n, struct entrance, node);
		if (en->retired)
			continue;
		if (en->wanted)
			entrance_commit(en);
		else
			entrance_retire(en);
	}
}

static void commit_services(struct segment_plan *p)
{
	struct node *node = p->step->node;
	const struct conf *conf = p->step->conf;
	for (size_t i = 0; i < conf->n_services; i++) {
		struct change *c = &p->change[i];
		bool was_here = !c->is_new && !c->e->leaving;
		node_count(p->step, was_here ? c->e->conf : NULL, &conf->services[i]);
		if (c->is_new)
			list_append(&node->services, &c->e->node);
		else if (c->e->leaving)
			leaving_take_back(&node->leaving, c->e);
		else
			hash_remove(&p->by_name, &c->e->by_name);
		egress_commit(c->e, &conf->services[i], c->target);
	}
	/* Whoever is not named any more is still in the table. */
	for (struct hash_node *n; (n = hash_any(&p->by_name)) != NULL;) {
		hash_remove(&p->by_name, n);
		struct egress *e = container_of(n, struct egress, by_name);
		if (e->n_sessions > 0)
			log_info("service [%s]: removed; its %zu sessions may finish",
				e->conf->name, e->n_sessions);
		p->step->changes.removed++;
		if (list_empty(&node->uplinks))
			egress_retire(e);
		else
			leaving_add(&node->leaving, e);
	}
}

static void commit_uplinks(struct segment_plan *p)
{
	struct node *node = p->step->node;
	const struct conf *conf = p->step->conf;
	list_each (n, &node->uplinks) {
		container_of(n, struct uplink, node)->wanted = false;
	}
	for (size_t i = 0; i < conf->n_connects; i++) {
		if (p->is_new[i])
			list_append(&node->uplinks, &p->uplink[i]->node);
		p->uplink[i]->wanted = true;
		uplink_commit(p->uplink[i], &conf->connects[i]);
	}
	list_each_safe (n, &node->uplinks) {
		struct uplink *u = container_of(n, struct uplink, node);
		if (!u->wanted && !u->retired)
			uplink_retire(u);
	}
}

void node_segment_commit(struct node_step *step)
{
	struct segment_plan *p = step->segment;
	struct node *node = step->node;
	commit_entrances(p);
	directory_fini(&node->directory);
	node->directory = p->directory;
	node->directory.behind = &node->leaving.directory;
	mem_free(node->bus->mem, node->entries);
	node->entries = p->entries;
	commit_services(p);
	commit_uplinks(p);
	plan_free(p);
}

/* --- the end ------------------------------------------------------------------------------- */

void node_segment_close(struct node *node)
{
	list_each (n, &node->entrances) {
		entrance_close(container_of(n, struct entrance, node));
	}
}

void node_segment_fini(struct node *node)
{
	for (struct list *n; (n = list_first(&node->entrances)) != NULL;)
		entrance_free(container_of(n, struct entrance, node));
	for (struct list *n; (n = list_first(&node->uplinks)) != NULL;)
		uplink_free(container_of(n, struct uplink, node));
	directory_fini(&node->directory);
	leaving_fini(&node->leaving);
	roster_fini(&node->roster);
	for (struct list *n; (n = list_first(&node->services)) != NULL;)
		egress_free(container_of(n, struct egress, node));
	mem_free(node->bus->mem, node->entries);
}
