#include "bus/directory.h"

#include "bus/permit.h"
#include "bus/say.h"

#include <ctype.h>
#include <string.h>

size_t directory_fold(char *to, const char *name, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (char)tolower((unsigned char)name[i]);
	return n;
}

void directory_init(struct directory *dir, struct bus *bus)
{
	*dir = (struct directory){.bus = bus};
	hash_init(&dir->by_name, bus->mem);
}

void directory_fini(struct directory *dir)
{
	if (dir->bus == NULL)
		return;
	for (struct hash_node *n; (n = hash_any(&dir->by_name)) != NULL;)
		hash_remove(&dir->by_name, n);
	hash_fini(&dir->by_name);
	dir->only = NULL;
}

int directory_add(struct directory *dir, struct directory_entry *entry, struct egress *e)
{
	char folded[CONF_NAME_MAX];
	size_t n = directory_fold(folded, e->conf->name, strlen(e->conf->name));
	entry->egress = e;
	return hash_add(&dir->by_name, &entry->node, hash_bytes(folded, n, dir->bus->seed));
}

void directory_remove(struct directory *dir, struct directory_entry *entry)
{
	hash_remove(&dir->by_name, &entry->node);
}

struct egress *directory_find(const struct directory *dir, const char *name, size_t n)
{
	char want[CONF_NAME_MAX], have[CONF_NAME_MAX];
	directory_fold(want, name, n);
	uint64_t hash = hash_bytes(want, n, dir->bus->seed);
	for (struct hash_node *node = hash_find(&dir->by_name, hash); node != NULL;
		node = hash_find_next(node)) {
		struct egress *e = container_of(node, struct directory_entry, node)->egress;
		size_t len = strlen(e->conf->name);
		if (len == n && memcmp(want, have, directory_fold(have, e->conf->name, len)) == 0)
			return e;
	}
	return NULL;
}

void directory_open(const struct directory *dir, struct transport *t, struct mux_stream *stream,
	const struct wire_open *open)
{
	struct egress *e = t->sealed == NULL ? dir->only : NULL;
	bool may = permit_admits(t, open);
	if (e == NULL)
		e = directory_find(dir, open->name, open->name_len);
	if (e == NULL && dir->behind != NULL)
		e = directory_find(dir->behind, open->name, open->name_len);
	if (!may) {
		/* Whether there is such a service is none of the peer's business. */
		if (e != NULL)
			e->stats.refused[STATS_NOT_ALLOWED]++;
		transport_reject(t, stream, WIRE_NO_SERVICE);
	} else if (e == NULL) {
		t->bus->stats.unknown_services++;
		say_peer(t, LOG_WARNING, "session from %s refused: no service [%.*s] here",
			say_who(t), open->name_len, open->name);
		transport_refuse(t, stream, WIRE_NO_SERVICE);
	} else if (open->hops == 0) {
		say_peer(t, LOG_WARNING, "service [%s]: session refused: its hop limit is spent",
			e->conf->name);
		e->stats.refused[STATS_HOPS_SPENT]++;
		transport_refuse(t, stream, WIRE_HOPS_SPENT);
	} else {
		egress_begin(e, t, stream, open);
	}
}
