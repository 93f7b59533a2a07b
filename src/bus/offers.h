/*
 * offers - who serves which names, and whose turn it is.
 *
 * An offerer is whoever announces names.  A name leads to those that serve it now, in the
 * order of their turns; finding it costs the same however many there are.  It is there while
 * somebody serves it or asks for it.  The case of ASCII letters in names does not matter.
 *
 * What an offerer announces has a version (cloudbus-protocol(7), ANNOUNCE): the names that
 * the present one has named are marked, and at the end of a whole list the others go.
 *
 * An offerer may be shelved: its list is kept, and kept up to date, but no name leads to it.
 */
#ifndef CB_BUS_OFFERS_H
#define CB_BUS_OFFERS_H

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "wire/wire.h"

#include <stdbool.h>

enum { OFFERS_MAX = 1 << 18 }; /* of all offerers together; of each, WIRE_NAMES_MAX */

struct offers {
	struct mem *mem;
	uint64_t seed;
	struct hash names, pairs; /* pairs of an offerer and a name */
	size_t n;                 /* of them */
};

/* Embed it. */
struct offerer {
	struct offers *offers;
	struct list list; /* struct offer, those that are marked behind the others */
	size_t n;
	uint32_t version; /* the highest seen */
	bool changed;     /* something came or went; the owner's to clear */
	bool shelved;     /* no name leads to it */
};

/* A name that is asked for or served. */
struct offers_name {
	struct hash_node node;
	struct list list;     /* struct offer, whose turn is next first */
	struct list watchers; /* struct offers_watch */
	size_t n_offers, refs;
	uint8_t n;
	char name[]; /* folded */
};

/* Embedded by whoever wants to know when somebody comes who serves the name. */
struct offers_watch {
	struct list node;
	/* One more serves it.  The name's offers and watchers are not to be changed meanwhile. */
	void (*up)(struct offers_watch *w);
};

/* One offerer serves one name. */
struct offer {
	struct hash_node node;
	struct list of_one, of_name; /* the latter unless its offerer is shelved */
	struct offerer *by;
	struct offers_name *name;
	uint32_t version; /* marked: it is the offerer's */
};

void offers_init(struct offers *of, struct mem *mem, uint64_t seed);

/* All offers and references must have gone. */
void offers_fini(struct offers *of);

/* The name, served or not: 1 .. WIRE_NAME_MAX bytes.  NULL when there is no memory. */
struct offers_name *offers_ref(struct offers *of, const char *name, size_t n);

/* Gives it back.  NULL does nothing. */
void offers_unref(struct offers *of, struct offers_name *name);

/* Is told from now on; its `up` is set.  To be unwatched before the reference is given back. */
void offers_watch(struct offers_name *name, struct offers_watch *w);
void offers_unwatch(struct offers_watch *w);

/* The offerer has had its turn, or cannot take it. */
void offers_turn(struct offer *o);

/* It is not served any more; *o is freed. */
void offers_drop(struct offer *o);

/* Serves nothing yet, in version 0. */
void offerer_init(struct offerer *by, struct offers *of);

/* Serves nothing any more, and begins anew with version 0; it is not shelved. */
void offerer_clear(struct offerer *by);

/* Whether names lead to it; watchers are told of one that comes back.  Cannot fail. */
void offerer_shelve(struct offerer *by);
void offerer_bring_back(struct offerer *by);

/* What follows is of this version.  False where a newer one has come already. */
bool offerer_begin(struct offerer *by, uint32_t version);

/*
 * The name is served, and marked.  `whole`: it is part of a whole list, and where there are
 * too many, one that is not marked makes room for it.  0; ERR_LIMIT or ERR_NOMEM: it is not.
 */
int offerer_serve(struct offerer *by, const struct wire_name *name, bool whole);

/* The name is not served any more, if it was. */
void offerer_withdraw(struct offerer *by, const struct wire_name *name);

/* The whole list is there: what is not marked goes. */
void offerer_sweep(struct offerer *by);

#endif
