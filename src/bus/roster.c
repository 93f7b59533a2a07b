#include "bus/roster.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/directory.h"
#include "bus/permit.h"

#include <string.h>

struct roster_name {
	struct hash_node node;
	struct list place;
	uint32_t wanted; /* which of the wishes it was last part of */
	bool served;
	uint8_t n;
	char name[];
};

struct reader {
	struct list node;
	struct transport *t;
	struct list *at;  /* what is to be announced next; the list's head: all is */
	bool listing;     /* the whole list, whose end has not been sent yet */
	bool foreign;     /* it sees none of the names */
	uint32_t version; /* of what is announced next */
};

static uint64_t hash_of(const struct roster *r, const char *name, size_t n)
{
	char folded[CONF_NAME_MAX];
	return hash_bytes(folded, directory_fold(folded, name, n), r->bus->seed);
}

static struct roster_name *find(const struct roster *r, const char *name, size_t n)
{
	char want[CONF_NAME_MAX], have[CONF_NAME_MAX];
	directory_fold(want, name, n);
	for (struct hash_node *node = hash_find(&r->by_name, hash_of(r, name, n)); node != NULL;
		node = hash_find_next(node)) {
		struct roster_name *rn = container_of(node, struct roster_name, node);
		if (rn->n == n && memcmp(want, have, directory_fold(have, rn->name, n)) == 0)
			return rn;
	}
	return NULL;
}

/* A new name, not served yet, at the end of the list.  NULL when there is no memory. */
static struct roster_name *add(struct roster *r, const char *name, size_t n)
{
	struct roster_name *rn = mem_zalloc(r->bus->mem, sizeof *rn + n);
	if (rn == NULL)
		return NULL;
	rn->n = (uint8_t)n;
	memcpy(rn->name, name, n);
	if (hash_add(&r->by_name, &rn->node, hash_of(r, name, n)) != 0) {
		mem_free(r->bus->mem, rn);
		return NULL;
	}
	list_append(&r->names, &rn->place);
	return rn;
}

static void forget(struct roster *r, struct roster_name *rn)
{
	hash_remove(&r->by_name, &rn->node);
	list_remove(&rn->place);
	mem_free(r->bus->mem, rn);
}

/* --- what leaves ------------------------------------------------------------------------ */

static void begin(struct roster *r, struct reader *reader)
{
	reader->at = reader->foreign ? &r->names : r->names.next;
	reader->listing = true;
	reader->version = r->version;
}

/* Packs names from the reader's place on.  Where the next frame begins. */
static struct list *pack(
	const struct roster *r, const struct reader *reader, uint8_t *entries, size_t *used)
{
	struct list *at = reader->at;
	for (; at != &r->names; at = at->next) {
		const struct roster_name *rn = container_of(at, struct roster_name, place);
		struct wire_name name = {.served = rn->served, .n = rn->n, .name = rn->name};
		if (!rn->served && reader->listing)
			continue;
		size_t room = WIRE_LONG_MAX - WIRE_ANNOUNCE_MIN - *used;
		size_t n = wire_put_name(entries + *used, room, &name);
		if (n == 0)
			break;
		*used += n;
	}
	return at;
}

/* Sends the next part, if there is one and room for it. */
static void send_part(struct roster *r, struct reader *reader)
{
	uint8_t entries[WIRE_LONG_MAX];
	struct wire_announce v = {
		.version = reader->version, .kind = WIRE_CHANGES, .entries = entries};
	if (reader->at == &r->names && !reader->listing)
		return;
	struct list *next = pack(r, reader, entries, &v.n);
	if (reader->listing)
		v.kind = next == &r->names ? WIRE_LIST_END : WIRE_LIST;
	int rc = transport_announce(reader->t, &v);
	if (rc == ERR_AGAIN)
		return;
	if (rc == ERR_NOMEM) {
		log_error("a link ends: no memory to announce services on it");
		transport_goaway(reader->t, WIRE_INTERNAL);
	}
	/* One that cannot be told is done. */
	reader->at = rc == 0 ? next : &r->names;
	reader->listing = rc == 0 && v.kind == WIRE_LIST;
	if (reader->at == &r->names)
		transport_ask(reader->t);
}

/* --- what changes ------------------------------------------------------------------------ */

/* Who has not read to the end begins anew, so that no withdrawn name is needed any more. */
static void settle(struct roster *r)
{
	list_each (node, &r->readers) {
		struct reader *reader = container_of(node, struct reader, node);
		if (reader->at != &r->names || reader->listing) {
			reader->at = NULL;
			reader->listing = true;
		}
	}
	list_each_safe (node, &r->names) {
		struct roster_name *rn = container_of(node, struct roster_name, place);
		if (!rn->served)
			forget(r, rn);
	}
}

/* Every service has a name in the list, marked as part of this wish.  0 or ERR_NOMEM. */
static int mark(struct roster *r, const struct conf_service *services, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(services[i].name);
		struct roster_name *rn = find(r, services[i].name, len);
		if (rn == NULL)
			rn = add(r, services[i].name, len);
		if (rn == NULL)
			return ERR_NOMEM;
		rn->wanted = r->wishes;
	}
	return 0;
}

/* Changes what is to be changed, and puts it last; the first of it, or NULL. */
static struct list *apply(struct roster *r)
{
	struct list changed;
	list_init(&changed);
	list_each_safe (node, &r->names) {
		struct roster_name *rn = container_of(node, struct roster_name, place);
		if (rn->served == (rn->wanted == r->wishes))
			continue;
		rn->served = !rn->served;
		list_remove(node);
		list_append(&changed, node);
	}
	struct list *first = list_first(&changed);
	list_splice(&r->names, &changed);
	return first;
}

int roster_set(struct roster *r, const struct conf_service *services, size_t n)
{
	if (n > WIRE_NAMES_MAX)
		return ERR_LIMIT;
	settle(r);
	r->wishes++;
	int rc = mark(r, services, n);
	struct list *first = rc == 0 ? apply(r) : NULL;
	if (rc != 0)
		settle(r); /* the names that were added are not served */
	if (first != NULL)
		r->version++;
	list_each (node, &r->readers) {
		struct reader *reader = container_of(node, struct reader, node);
		if (reader->at == NULL) {
			begin(r, reader);
		} else if (first != NULL && !reader->foreign) {
			reader->at = first;
			reader->version = r->version;
		}
		send_part(r, reader);
	}
	return rc;
}

void roster_repeat(struct roster *r, struct transport *t)
{
	struct reader *reader = t->aside;
	if (reader == NULL || reader->foreign)
		return;
	begin(r, reader);
	send_part(r, reader);
}

/* --- transports ------------------------------------------------------------------------- */

int roster_join(struct roster *r, struct transport *t)
{
	struct reader *reader = mem_zalloc(r->bus->mem, sizeof *reader);
	if (reader == NULL)
		return ERR_NOMEM;
	reader->t = t;
	reader->foreign = permit_is_foreign(t);
	t->aside = reader;
	list_append(&r->readers, &reader->node);
	begin(r, reader);
	send_part(r, reader);
	return 0;
}

void roster_renumber(struct roster *r)
{
	r->version++;
}

void roster_more(struct roster *r, struct transport *t)
{
	if (t->aside != NULL)
		send_part(r, t->aside);
}

void roster_leave(struct roster *r, struct transport *t)
{
	struct reader *reader = t->aside;
	if (reader == NULL)
		return;
	t->aside = NULL;
	list_remove(&reader->node);
	mem_free(r->bus->mem, reader);
}

void roster_init(struct roster *r, struct bus *bus)
{
	*r = (struct roster){.bus = bus};
	hash_init(&r->by_name, bus->mem);
	list_init(&r->names);
	list_init(&r->readers);
}

void roster_fini(struct roster *r)
{
	if (r->bus == NULL)
		return;
	for (struct list *node; (node = list_first(&r->names)) != NULL;)
		forget(r, container_of(node, struct roster_name, place));
	hash_fini(&r->by_name);
}
