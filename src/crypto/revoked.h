/*
 * revoked - the nodes and tokens that are no longer believed.
 *
 * A text: a node's name or a token's id (jti) a line, blank lines and lines that begin with
 * '#' apart, and a comment may follow behind a blank and '#'.  Compared without regard to
 * the case of ASCII letters: rather one too many than one that slips through.
 */
#ifndef CB_CRYPTO_REVOKED_H
#define CB_CRYPTO_REVOKED_H

#include "crypto/keyfile.h"
#include "crypto/token.h"

enum {
	REVOKED_MAX = 65536,        /* entries */
	REVOKED_FILE_MAX = 8 << 20, /* bytes */
};

struct revoked;

/*
 * `seed` is random, so that nobody can choose entries that collide.  0; ERR_INVALID or
 * ERR_LIMIT with "NAME:LINE: ..." in why; ERR_NOMEM.
 */
int revoked_parse(struct revoked **out, const struct keyfile_text *in, uint64_t seed,
	struct mem *mem, char why[static WHY_MAX]);

/* Whether the token's node or its id is on the list; NULL is an empty list.  O(1). */
bool revoked_has(const struct revoked *r, const struct token *t);

size_t revoked_count(const struct revoked *r);

/* NULL does nothing. */
void revoked_free(struct revoked *r);

#endif
