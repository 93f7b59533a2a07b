/*
 * token_claims - the two JSON texts in a token, to and from values.  Used by token.c only.
 */
#ifndef CB_CRYPTO_TOKEN_CLAIMS_H
#define CB_CRYPTO_TOKEN_CLAIMS_H

#include "crypto/token.h"

/* What stands before every token that is signed here. */
#define TOKEN_CLAIMS_HEADER "{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}"

/* 0, or ERR_INVALID with words, for the text of a header. */
int token_claims_header(const char *json, size_t n, char why[static WHY_MAX]);

/* A token of its own from the text of its claims: 0, ERR_INVALID or ERR_NOMEM. */
int token_claims_read(
	struct token **out, const char *json, size_t n, struct mem *mem, char why[static WHY_MAX]);

/*
 * Writes the text of the claims into `room` bytes, without a NUL: 0, ERR_INVALID for what
 * token_claims_read would refuse, ERR_LIMIT where it does not fit, ERR_NOMEM.
 */
int token_claims_write(
	char *to, size_t room, size_t *n, const struct token *t, char why[static WHY_MAX]);

#endif
