/*
 * survey - what a running node has at this moment, as arrays: its services, the peers that it
 * dials, and the nodes that have proved who they are.  For whoever shows it.
 *
 * What it points to stays as long as the loop does not turn.  It takes time and memory in
 * proportion to what there is.
 */
#ifndef CB_BUS_SURVEY_H
#define CB_BUS_SURVEY_H

#include "base/hash.h"
#include "bus/bus.h"

enum { SURVEY_LINK_MAX = 320 }; /* bytes of a link's text, with the NUL: a scheme and a name fit */

/* In the configuration now. */
struct survey_service {
	const char *name;
	size_t sessions; /* those that wait among them */
	const struct service_stats *stats;
};

/* An address that it dials, or a connect= line; no two have the same text. */
struct survey_link {
	struct hash_node node;
	char text[SURVEY_LINK_MAX];
	size_t ready;            /* transports that take new sessions */
	size_t transports;       /* with those on their way in and out */
	uint64_t round_trip;     /* the least of them lately, in microseconds; 0: not known */
	uint64_t failures;       /* attempts that came to nothing */
	uint64_t received, sent; /* bytes, since it is dialled */
};

/* A node at the other end of secured transports; no two have the same name. */
struct survey_node {
	struct hash_node node;
	const char *name;
	size_t transports;
	int64_t expires; /* the token that ends first, seconds since 1970 */
};

struct survey {
	struct mem *mem;
	uint64_t seed;
	struct survey_service *services;
	struct survey_link *links;
	struct survey_node *nodes;
	size_t n_services, n_links, n_nodes;
	uint64_t transports[STATS_SIDES][2]; /* now; the latter index: secured */
	uint64_t received, sent;             /* bytes of all transports there ever were */
	size_t tokens;                       /* secured transports whose peer's token is known, */
	size_t tokens_near_end;              /* and those where it is near its end */
	int64_t expires;                     /* the first of them to end */
};

/*
 * now: seconds since 1970.  A bus without a node has no services and links.  0, or ERR_NOMEM
 * and nothing is to be freed.
 */
int survey_take(struct survey *s, struct bus *bus, int64_t now);

void survey_free(struct survey *s);

#endif
