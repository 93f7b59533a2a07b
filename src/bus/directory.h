/*
 * directory - services of a segment by name, and what becomes of a stream that is opened.
 *
 * Shared by all ways in: an address that transports come to, and the links that the segment
 * has dialled itself.  Names are compared without regard to the case of ASCII letters.
 */
#ifndef CB_BUS_DIRECTORY_H
#define CB_BUS_DIRECTORY_H

#include "base/hash.h"
#include "bus/egress.h"

struct directory {
	struct bus *bus;
	struct hash by_name;
	const struct directory *behind; /* where to look for what is not here, or NULL */
	struct egress *only; /* takes any name on plain transports; NULL: the name must match */
};

/* A service in a directory; embedded, as a service may be in several. */
struct directory_entry {
	struct hash_node node;
	struct egress *egress;
};

/* Lower case, ASCII letters only: to[n], n <= CONF_NAME_MAX.  Returns n. */
size_t directory_fold(char *to, const char *name, size_t n);

void directory_init(struct directory *dir, struct bus *bus);

/* Forgets the entries, which are the caller's. */
void directory_fini(struct directory *dir);

/* Adds a service whose name is new to it.  0 or ERR_NOMEM. */
int directory_add(struct directory *dir, struct directory_entry *entry, struct egress *e);

/* It must be there. */
void directory_remove(struct directory *dir, struct directory_entry *entry);

/* The service of a name, or NULL. */
struct egress *directory_find(const struct directory *dir, const char *name, size_t n);

/*
 * The peer opened a stream: begins its session at the service it names, or refuses it.  On a
 * secured transport its token decides, and as that is about names the name must match.
 */
void directory_open(const struct directory *dir, struct transport *t, struct mux_stream *stream,
	const struct wire_open *open);

#endif
