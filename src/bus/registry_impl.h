/*
 * registry_impl - what registry and turns share: who has dialled, and by which transports.
 */
#ifndef CB_BUS_REGISTRY_IMPL_H
#define CB_BUS_REGISTRY_IMPL_H

#include "bus/registry.h"
#include "bus/secure.h"

/* A node may have several processes, of which the latest to announce names serves them. */
enum standing {
	IN_FORCE,
	SHELVED,  /* a newer one has taken over, from this one; its list is kept */
	FORGOTTEN /* the same, and it is not: one list more of a node is enough */
};

/* One process. */
struct peer {
	struct hash_node node, named;
	struct registry *reg;
	struct list ready, leaving; /* struct lane; of those ready, whose turn is next first */
	struct offerer offerer;
	unsigned complaints;
	enum standing standing;
	bool spoke;    /* it has announced something since it came up */
	bool listed;   /* its whole list was there once */
	bool overfull; /* and said so */
	bool foreign;  /* by its latest transport it is of another customer: it serves nothing */
	bool keyed;    /* its key is known */
	uint8_t key[KEYFILE_KEY]; /* of its latest transport */
	uint8_t instance[WIRE_ID];
	char *node_name; /* authenticated, or NULL */
	char text[NAME_ROOM + ADDR_TEXT_MAX + sizeof "bus+ ()"];
};

/* One transport. */
struct lane {
	struct list node;
	struct transport *t;
	struct peer *peer;
	bool ready, foreign;
	bool doubted; /* a newer one has come, and nothing from this one since */
};

#endif
