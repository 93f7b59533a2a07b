#include "bus/offers.h"

#include "base/err.h"
#include "bus/directory.h"

#include <string.h>

/* --- names ------------------------------------------------------------------------------- */

/* A name as it is compared. */
struct folded {
	uint64_t hash;
	size_t n;
	char name[WIRE_NAME_MAX];
};

static void fold(struct folded *to, const struct offers *of, const char *name, size_t n)
{
	to->n = directory_fold(to->name, name, n);
	to->hash = hash_bytes(to->name, n, of->seed);
}

static struct offers_name *find_name(const struct offers *of, const struct folded *want)
{
	for (struct hash_node *node = hash_find(&of->names, want->hash); node != NULL;
		node = hash_find_next(node)) {
		struct offers_name *name = container_of(node, struct offers_name, node);
		if (name->n == want->n && memcmp(name->name, want->name, want->n) == 0)
			return name;
	}
	return NULL;
}

static struct offers_name *new_name(struct offers *of, const struct folded *want)
{
	struct offers_name *name = mem_zalloc(of->mem, sizeof *name + want->n);
	if (name == NULL)
		return NULL;
	if (hash_add(&of->names, &name->node, want->hash) != 0) {
		mem_free(of->mem, name);
		return NULL;
	}
	list_init(&name->list);
	list_init(&name->watchers);
	name->n = (uint8_t)want->n;
	memcpy(name->name, want->name, want->n);
	return name;
}

struct offers_name *offers_ref(struct offers *of, const char *text, size_t n)
{
	struct folded want;
	fold(&want, of, text, n);
	struct offers_name *name = find_name(of, &want);
	if (name == NULL)
		name = new_name(of, &want);
	if (name != NULL)
		name->refs++;
	return name;
}

void offers_unref(struct offers *of, struct offers_name *name)
{
	if (name == NULL || --name->refs > 0)
		return;
	hash_remove(&of->names, &name->node);
	mem_free(of->mem, name);
}

void offers_watch(struct offers_name *name, struct offers_watch *w)
{
	list_append(&name->watchers, &w->node);
}

void offers_unwatch(struct offers_watch *w)
{
	list_remove(&w->node);
}

/* --- offers ------------------------------------------------------------------------------- */

static uint64_t pair_hash(const struct offerer *by, const struct offers_name *name)
{
	return hash_u64((uint64_t)(uintptr_t)by ^ name->node.hash, by->offers->seed);
}

static struct offer *find(const struct offerer *by, const struct offers_name *name)
{
	for (struct hash_node *node = hash_find(&by->offers->pairs, pair_hash(by, name));
		node != NULL; node = hash_find_next(node)) {
		struct offer *o = container_of(node, struct offer, node);
		if (o->by == by && o->name == name)
			return o;
	}
	return NULL;
}

void offers_turn(struct offer *o)
{
	list_remove(&o->of_name);
	list_append(&o->name->list, &o->of_name);
}

static void leave_name(struct offer *o)
{
	list_remove(&o->of_name);
	o->name->n_offers--;
}

static void join_name(struct offer *o)
{
	list_append(&o->name->list, &o->of_name);
	o->name->n_offers++;
	list_each (node, &o->name->watchers) {
		struct offers_watch *w = container_of(node, struct offers_watch, node);
		w->up(w);
	}
}

void offers_drop(struct offer *o)
{
	struct offerer *by = o->by;
	struct offers *of = by->offers;
	hash_remove(&of->pairs, &o->node);
	list_remove(&o->of_one);
	if (!by->shelved)
		leave_name(o);
	by->n--;
	by->changed = true;
	of->n--;
	offers_unref(of, o->name);
	mem_free(of->mem, o);
}

/* Takes over the reference to the name.  0 or ERR_NOMEM. */
static int add(struct offerer *by, struct offers_name *name)
{
	struct offers *of = by->offers;
	struct offer *o = mem_zalloc(of->mem, sizeof *o);
	if (o == NULL || hash_add(&of->pairs, &o->node, pair_hash(by, name)) != 0) {
		mem_free(of->mem, o);
		return ERR_NOMEM;
	}
	o->by = by;
	o->name = name;
	o->version = by->version;
	list_append(&by->list, &o->of_one);
	by->n++;
	by->changed = true;
	of->n++;
	if (!by->shelved)
		join_name(o);
	return 0;
}

/* --- what is announced -------------------------------------------------------------------- */

void offerer_init(struct offerer *by, struct offers *of)
{
	*by = (struct offerer){.offers = of};
	list_init(&by->list);
}

void offerer_clear(struct offerer *by)
{
	for (struct list *node; (node = list_first(&by->list)) != NULL;)
		offers_drop(container_of(node, struct offer, of_one));
	by->version = 0;
	by->shelved = false;
}

void offerer_shelve(struct offerer *by)
{
	if (by->shelved)
		return;
	by->shelved = true;
	list_each (node, &by->list)
		leave_name(container_of(node, struct offer, of_one));
}

void offerer_bring_back(struct offerer *by)
{
	if (!by->shelved)
		return;
	by->shelved = false;
	list_each (node, &by->list)
		join_name(container_of(node, struct offer, of_one));
}

bool offerer_begin(struct offerer *by, uint32_t version)
{
	if (version < by->version)
		return false;
	by->version = version;
	return true;
}

/* One that is not marked, or NULL. */
static struct offer *unmarked(const struct offerer *by)
{
	struct list *node = list_first(&by->list);
	struct offer *o = node != NULL ? container_of(node, struct offer, of_one) : NULL;
	return o != NULL && o->version != by->version ? o : NULL;
}

static bool has_room(struct offerer *by, bool whole)
{
	if (by->n < WIRE_NAMES_MAX && by->offers->n < OFFERS_MAX)
		return true;
	struct offer *o = whole ? unmarked(by) : NULL;
	if (o != NULL)
		offers_drop(o);
	return o != NULL;
}

int offerer_serve(struct offerer *by, const struct wire_name *served, bool whole)
{
	struct offers *of = by->offers;
	struct offers_name *name = offers_ref(of, served->name, served->n);
	if (name == NULL)
		return ERR_NOMEM;
	struct offer *o = find(by, name);
	int rc = 0;
	if (o != NULL) {
		o->version = by->version;
		list_remove(&o->of_one);
		list_append(&by->list, &o->of_one);
		offers_unref(of, name);
		return 0;
	}
	rc = has_room(by, whole) ? add(by, name) : ERR_LIMIT;
	if (rc != 0)
		offers_unref(of, name);
	return rc;
}

void offerer_withdraw(struct offerer *by, const struct wire_name *gone)
{
	struct folded want;
	fold(&want, by->offers, gone->name, gone->n);
	struct offers_name *name = find_name(by->offers, &want);
	struct offer *o = name != NULL ? find(by, name) : NULL;
	if (o != NULL)
		offers_drop(o);
}

void offerer_sweep(struct offerer *by)
{
	for (struct offer *o; (o = unmarked(by)) != NULL;)
		offers_drop(o);
}

/* --- life --------------------------------------------------------------------------------- */

void offers_init(struct offers *of, struct mem *mem, uint64_t seed)
{
	*of = (struct offers){.mem = mem, .seed = seed};
	hash_init(&of->names, mem);
	hash_init(&of->pairs, mem);
}

void offers_fini(struct offers *of)
{
	hash_fini(&of->names);
	hash_fini(&of->pairs);
}
