/*
 * Any bytes as a token.  As they stand, they are no token, or one whose value keeps its
 * promises and comes back the same when signed; nothing is believed without the signature.
 * And as claims that the right key did sign, which is how far an issuer's mistake gets.
 */
#include "crypto/token.h"

#include "base/err.h"
#include "crypto/token_claims.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define PROMISE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

static struct keyfile_cluster cluster;
static struct keyfile_trust trust;
static char why[WHY_MAX];

static void prepare(void)
{
	static const uint8_t seed[KEYFILE_KEY] = {1};
	if (trust.n_cluster > 0)
		return;
	PROMISE(token_prepare() == 0);
	keyfile_make_cluster(&cluster, "b", seed);
	strcpy(trust.bus, "b");
	memcpy(trust.cluster[0], cluster.public, KEYFILE_KEY);
	trust.n_cluster = 1;
}

/* Errors have words, and nothing of a hostile token reaches a terminal raw. */
static void check_failure(int rc)
{
	PROMISE(rc == ERR_INVALID || rc == ERR_LIMIT || rc == ERR_TIMEOUT || rc == ERR_AGAIN);
	PROMISE(why[0] != '\0' && strlen(why) < WHY_MAX);
	for (const char *c = why; *c != '\0'; c++)
		PROMISE((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_token(const struct token *t)
{
	PROMISE(name_valid(t->bus, strlen(t->bus)) && name_valid(t->node, strlen(t->node)));
	PROMISE(t->customer[0] == '\0' || name_valid(t->customer, strlen(t->customer)));
	PROMISE(strlen(t->id) >= 1 && strlen(t->id) <= TOKEN_ID_MAX);
	PROMISE(t->not_before >= 0 && t->not_before < t->expires && t->expires <= TOKEN_TIME_MAX);
	PROMISE(t->n_serve <= TOKEN_PATTERNS_MAX && t->n_open <= TOKEN_PATTERNS_MAX);
	for (size_t i = 0; i < t->n_serve; i++)
		PROMISE(pattern_valid(t->serve[i], strlen(t->serve[i])));
	for (size_t i = 0; i < t->n_open; i++)
		PROMISE(pattern_valid(t->open[i], strlen(t->open[i])));
}

/* What was read can be signed again and is read the same; unless it grew, with nbf put in. */
static void check_again(const struct token *t)
{
	char text[TOKEN_TEXT_MAX + 1];
	size_t n;
	struct token *again;
	int rc = token_sign(text, &n, t, &cluster, why);
	if (rc == ERR_LIMIT)
		return;
	PROMISE(rc == 0);
	PROMISE(token_parse(&again, text, n, mem_system(), why) == 0);
	PROMISE(strcmp(again->node, t->node) == 0 && strcmp(again->id, t->id) == 0);
	PROMISE(again->n_open == t->n_open && again->n_serve == t->n_serve);
	PROMISE(again->expires == t->expires && again->role == t->role);
	PROMISE(memcmp(again->key, t->key, sizeof t->key) == 0);
	token_free(again, mem_system());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct token *t;
	prepare();
	why[0] = '\0';
	int rc = token_parse(&t, (const char *)data, n, mem_system(), why);
	PROMISE((rc == 0) == (t != NULL));
	if (t != NULL)
		check_token(t);
	else
		check_failure(rc);
	token_free(t, mem_system());

	const struct token_rules rules = {&trust, INT64_C(1800000000), mem_system()};
	rc = token_verify(&t, (const char *)data, n, &rules, why);
	PROMISE((rc == 0) == (t != NULL));
	if (t == NULL)
		check_failure(rc);
	token_free(t, mem_system());

	/* As the JSON in it. */
	if (n > TOKEN_TEXT_MAX)
		return 0;
	rc = token_claims_header((const char *)data, n, why);
	PROMISE(rc == 0 || rc == ERR_INVALID);
	rc = token_claims_read(&t, (const char *)data, n, mem_system(), why);
	PROMISE((rc == 0) == (t != NULL));
	if (t != NULL) {
		check_token(t);
		check_again(t);
	} else {
		check_failure(rc);
	}
	token_free(t, mem_system());
	return 0;
}
