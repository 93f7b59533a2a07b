/*
 * credentials - all that a node needs to prove who it is and to judge its peers: trust,
 * identity, token and revocation list, loaded together and checked against one another.
 *
 * Trust, identity and token are one thing, as they must fit each other: a value that does not
 * change.  A reload makes another, and the old one is freed when no handshake uses it any more.
 * The list is another thing, and exchanged as a whole.  Secrets are locked in memory and wiped.
 */
#ifndef CB_CRYPTO_CREDENTIALS_H
#define CB_CRYPTO_CREDENTIALS_H

#include "crypto/keyfile.h"
#include "crypto/revoked.h"
#include "crypto/secretfile.h"
#include "crypto/token.h"

#include <stdbool.h>

struct credentials {
	struct keyfile_trust trust;
	struct keyfile_node identity;
	struct token *token;                 /* our own */
	size_t token_n;                      /* bytes of token_text, without a NUL */
	char token_text[TOKEN_TEXT_MAX + 1]; /* as it is sent to peers */
	struct revoked *revoked;             /* NULL without a list */
	struct revoked *also;                /* another that counts beside it, or NULL */
	struct mem *mem;
};

/* Which files, and what they must fit. */
struct credentials_source {
	const char *trust, *identity, *token; /* paths */
	const char *revoked;                  /* a path, or NULL */
	enum token_role role;                 /* of this program */
	int64_t now;                          /* seconds since 1970 */
	bool any_time;                        /* the token may have expired, or not be valid yet */
	uint64_t seed;                        /* random, for the revocation list's table */
	uid_t owner; /* whose the files may be, beside root's and the running user's */
	struct mem *mem;
};

/*
 * 0, and *out is to be freed with credentials_free; else *out is NULL and why has a line
 * that begins with the file's path.  ERR_INVALID: a file is refused (secretfile.h), is not
 * what it should be, or the token is not for this identity, bus or role; ERR_TIMEOUT and
 * ERR_AGAIN: the token has expired, or is not valid yet (any_time: neither); ERR_SYS, ERR_LIMIT,
 * ERR_NOMEM. token_prepare must have been called.
 */
int credentials_load(
	struct credentials **out, const struct credentials_source *src, char why[static WHY_MAX]);

/* As credentials_load, but for the list, of which there is none then. */
int credentials_load_keys(
	struct credentials **out, const struct credentials_source *src, char why[static WHY_MAX]);

/*
 * The list alone: 0 and *out, for revoked_free, which is NULL where no path is named; or an error
 * as of credentials_load, and *out is NULL.
 */
int credentials_load_list(
	struct revoked **out, const struct credentials_source *src, char why[static WHY_MAX]);

/*
 * Reads the text of a token, without the blanks and newlines around it: 0, or as
 * secretfile_read.
 */
int credentials_read_token(char text[static TOKEN_TEXT_MAX + 1], size_t *n, const char *path,
	const struct secretfile_rules *rules, char why[static WHY_MAX]);

/* What a handshake, or a TOKEN frame, brought. */
struct credentials_peer {
	const char *text; /* the token; text_n bytes */
	size_t text_n;
	const uint8_t *key;   /* KEYFILE_KEY bytes: the static key that was proved; NULL: any */
	enum token_role role; /* what the peer must be */
	int64_t now;          /* seconds since 1970 */
};

/*
 * Whether the peer is let in: its token is believed (token_verify), is for the key that
 * it has proved to have, is of the role, and not revoked.  0 and the token, to be freed with
 * token_free and `mem`; else an error as token_verify's, ERR_CLOSED for a revoked one.  `why`
 * names the node where the token is the bus's and says what a token says.
 */
int credentials_admit(struct token **out, const struct credentials *c,
	const struct credentials_peer *peer, struct mem *mem, char why[static WHY_MAX]);

/* Whether the token is on a list. */
bool credentials_revoke(const struct credentials *c, const struct token *t);

/* NULL does nothing. */
void credentials_free(struct credentials *c);

#endif
