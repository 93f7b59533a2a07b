/*
 * cluster - a bus of one's own for a test: trust, identities and tokens, in a folder that is
 * removed at the end.
 */
#ifndef CB_TESTS_CLUSTER_H
#define CB_TESTS_CLUSTER_H

#include "crypto/credentials.h"

#include <stdbool.h>

enum { CLUSTER_PATH = 256 };

struct cluster {
	char dir[64];
	struct keyfile_cluster key;
	struct keyfile_trust trust;
};

/* What a token is to say; zeroed, it is as good as can be. */
struct cluster_node {
	const char *name;
	enum token_role role;
	const char *customer;     /* NULL: none */
	const char *serve, *open; /* one pattern; NULL: "*" */
	const char *bus;          /* NULL: the cluster's */
	int64_t begins, ends;     /* seconds since 1970; 0: yesterday, tomorrow; -1: it says none */
	const char *id;           /* NULL: "id-NAME" */
	bool other_key;           /* the token is for a key that is not the node's */
	bool unsigned_by_us;      /* signed by a cluster key that nobody trusts */
};

/* Makes DIR/trust.  Aborts the test on any failure. */
void cluster_init(struct cluster *c);

/* Removes all of it. */
void cluster_fini(struct cluster *c);

/* Writes DIR/trust anew. */
void cluster_save_trust(struct cluster *c);

/* Makes DIR/NAME.key, unless it is there, and DIR/NAME.token. */
void cluster_add(struct cluster *c, const struct cluster_node *node);

/* "DIR/NAME", in a buffer of CLUSTER_PATH bytes. */
char *cluster_path(const struct cluster *c, char *to, const char *name, const char *suffix);

/* Where a node finds its files; the strings are static until the next call of it but 7. */
struct credentials_source cluster_source(
	const struct cluster *c, const char *name, enum token_role role, struct mem *mem);

/* Writes DIR/NAME, replacing it. */
void cluster_write(const struct cluster *c, const char *name, const char *text);

/* Seconds since 1970, now. */
int64_t cluster_now(void);

#endif
