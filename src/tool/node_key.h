/*
 * node_key - the key that a node's token is issued for.
 *
 * A node keeps its key when its token is renewed, unless --new-key says otherwise: a token for
 * another key than the node has keeps the node out, and a key that was replaced is gone.
 */
#ifndef CB_TOOL_NODE_KEY_H
#define CB_TOOL_NODE_KEY_H

#include "tool/files.h"

#include <stdbool.h>

enum node_key_source {
	NODE_KEY_NEW,      /* made just now; not written yet */
	NODE_KEY_KEPT,     /* NAME.key */
	NODE_KEY_ELSEWHERE /* --public: only its public half is here */
};

struct node_key {
	enum node_key_source source;
	uint8_t public[KEYFILE_KEY];
	bool left_over; /* NAME.key is there, and is another key, which the node has no more */
};

/* Where it may come from, and what it is held against. */
struct node_key_search {
	const char *key, *token; /* the paths of NAME.key and NAME.token, which need not be there */
	const char *public_file; /* NULL: no --public */
	bool change;             /* --new-key */
};

/*
 * 0, and s->node has the key unless it was made elsewhere; or an exit status, after a line on
 * standard error: a file cannot be read, or the key would be another than that of the token
 * or of NAME.key, without `change`; the line says what to do for either.
 */
int node_key_find(
	struct node_key *out, struct files_secrets *s, const struct node_key_search *search);

#endif
