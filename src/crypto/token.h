/*
 * token - a service token: who a node is and what it may do, signed by the cluster key.
 *
 * A standard JWT (RFC 7519) in compact serialisation (RFC 7515, 3.1), signed with EdDSA over
 * Ed25519 (RFC 8037, 3.1):
 *
 *	header	alg  "EdDSA", nothing else
 *		typ  "JWT" or "application/JWT" (RFC 7515, 4.1.9), in any case, or absent
 *		crit is refused; other members are ignored, keys in them above all
 *	claims	iss  the bus; the trust's bus
 *		sub  the node
 *		cnf  {"jwk": {"kty": "OKP", "crv": "X25519", "x": KEY}}, the node's public
 *		     key (RFC 7800, 3.2; RFC 8037, 2); no private half in it, and no jku,
 *		     jwe or x5t#S256 beside jwk: that would be another key
 *		role "controller" or "segment"
 *		customer  optional
 *		serve, open  arrays of patterns (pattern.h); absent is the same as empty
 *		nbf  optional, exp: whole seconds since 1970 (RFC 7519, 2)
 *		jti  1 to TOKEN_ID_MAX visible ASCII characters, none of them '#'
 *		aud  is refused (RFC 7519, 4.1.3); other claims are ignored
 *
 * Pure: the time, the trust and the memory are arguments.  JSON is jansson's, which uses
 * malloc whatever `mem` is (where that fails, a text may be called invalid that is not), and
 * which draws a seed for its tables at its first use, unless token_prepare gave it one.
 */
#ifndef CB_CRYPTO_TOKEN_H
#define CB_CRYPTO_TOKEN_H

#include "base/mem.h"
#include "crypto/keyfile.h"
#include "crypto/name.h"
#include "crypto/pattern.h"
#include "crypto/why.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TOKEN_TEXT_MAX = 4096,   /* bytes of a token's text */
	TOKEN_PATTERNS_MAX = 64, /* patterns in serve, and in open */
	TOKEN_ID_MAX = 64,       /* bytes of jti */
	TOKEN_SKEW = 30,         /* seconds by which clocks may differ */
	TOKEN_TIME_ROOM = 32,    /* bytes of a time's text, with the NUL */
};

#define TOKEN_TIME_MAX INT64_C(253402300799) /* the end of the year 9999 */

enum token_role { TOKEN_CONTROLLER, TOKEN_SEGMENT };

/* What a token says.  From token_verify and token_parse it is one block, strings and all. */
struct token {
	char bus[NAME_ROOM];
	char node[NAME_ROOM];
	char customer[NAME_ROOM]; /* "" for none */
	char id[TOKEN_ID_MAX + 1];
	uint8_t key[KEYFILE_KEY]; /* the node's X25519 public key */
	enum token_role role;
	int64_t not_before; /* seconds since 1970; 0 where the token names none */
	int64_t expires;
	size_t n_serve, n_open;
	const char *serve[TOKEN_PATTERNS_MAX]; /* valid patterns */
	const char *open[TOKEN_PATTERNS_MAX];
	unsigned refs; /* of token_hold() */
};

/* "controller" or "segment". */
const char *token_role_text(enum token_role role);

/* sodium_init, and jansson's seed.  0, or ERR_SYS.  Before anything else of this module. */
int token_prepare(void);

/*
 * Signs `claims` with an Ed25519 secret key into out[0 .. *n], NUL-terminated.  0;
 * ERR_INVALID for claims that token_parse would not take back; ERR_LIMIT for more than
 * TOKEN_TEXT_MAX bytes; ERR_NOMEM.
 */
int token_sign(char out[static TOKEN_TEXT_MAX + 1], size_t *n, const struct token *claims,
	const struct keyfile_cluster *cluster, char why[static WHY_MAX]);

/* What a token is held against. */
struct token_rules {
	const struct keyfile_trust *trust; /* the bus's name, and the keys that may have signed */
	int64_t now;                       /* seconds since 1970 */
	struct mem *mem;
};

/*
 * Believes the n bytes of text, or not.  The signature is checked before anything in them is
 * looked at.  On success *out is to be freed with token_free; else it is NULL, and:
 *
 *	ERR_LIMIT	longer than TOKEN_TEXT_MAX
 *	ERR_INVALID	not a token, not signed by this bus, or a claim is not as it should be
 *	ERR_TIMEOUT	expired, by more than TOKEN_SKEW
 *	ERR_AGAIN	not valid yet, by more than TOKEN_SKEW
 *	ERR_NOMEM
 *
 * `why` names the claim and what was expected.
 */
int token_verify(struct token **out, const char *text, size_t n, const struct token_rules *rules,
	char why[static WHY_MAX]);

/*
 * As token_verify, but neither signature nor issuer nor time is checked: to show a token.
 * Nothing in it is to be believed.
 */
int token_parse(
	struct token **out, const char *text, size_t n, struct mem *mem, char why[static WHY_MAX]);

/* 0, ERR_TIMEOUT or ERR_AGAIN, as token_verify has it. */
int token_check_time(const struct token *t, int64_t now, char why[static WHY_MAX]);

/* A time as 2026-11-21T12:00:00Z.  Returns to. */
const char *token_time_text(char to[static TOKEN_TIME_ROOM], int64_t seconds);

/* Whether the node may serve, or open, the service of this name. */
bool token_may_serve(const struct token *t, const char *name, size_t n);
bool token_may_open(const struct token *t, const char *name, size_t n);

/* One more token_free() is to come, with the same memory.  Returns t. */
struct token *token_hold(struct token *t);

/* Whether both are of one node: its key, its name and its customer. */
bool token_same_node(const struct token *a, const struct token *b);

/* Frees a token from token_verify or token_parse; NULL does nothing. */
void token_free(struct token *t, struct mem *mem);

#endif
