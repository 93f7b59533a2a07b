#include "crypto/credentials.h"

#include "base/err.h"
#include "crypto/secretfile.h"

#include <sodium.h>
#include <string.h>

static int load_trust(
	struct credentials *c, const struct credentials_source *src, char why[static WHY_MAX])
{
	const struct secretfile_rules rules = {SECRETFILE_SECRET, KEYFILE_MAX, src->owner};
	struct secretfile f;
	int rc = secretfile_read(&f, src->trust, &rules, why);
	if (rc == 0)
		rc = keyfile_parse_trust(
			&c->trust, &(struct keyfile_text){src->trust, f.text, f.n}, why);
	secretfile_wipe(&f);
	return rc;
}

static int load_identity(
	struct credentials *c, const struct credentials_source *src, char why[static WHY_MAX])
{
	const struct secretfile_rules rules = {SECRETFILE_SECRET, KEYFILE_MAX, src->owner};
	struct secretfile f;
	int rc = secretfile_read(&f, src->identity, &rules, why);
	if (rc == 0)
		rc = keyfile_parse_node(
			&c->identity, &(struct keyfile_text){src->identity, f.text, f.n}, why);
	secretfile_wipe(&f);
	return rc;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int credentials_read_token(char text[static TOKEN_TEXT_MAX + 1], size_t *n, const char *path,
	const struct secretfile_rules *rules, char why[static WHY_MAX])
{
	struct secretfile f;
	int rc = secretfile_read(&f, path, rules, why);
	if (rc != 0)
		return rc;
	size_t begin = 0, end = f.n;
	while (begin < end && is_space(f.text[begin]))
		begin++;
	while (end > begin && is_space(f.text[end - 1]))
		end--;
	*n = end - begin;
	if (*n > TOKEN_TEXT_MAX) {
		rc = why_say(why, ERR_LIMIT, "%s: %zu bytes; expected a token of at most %d", path,
			*n, TOKEN_TEXT_MAX);
	} else {
		memcpy(text, f.text + begin, *n);
		text[*n] = '\0';
	}
	secretfile_wipe(&f);
	return rc;
}

/*
 * It is our own, so it is looked at before its signature is: "of another bus" tells more than
 * "not signed by this one".
 */
static int judge_token(
	struct credentials *c, const struct credentials_source *src, char why[static WHY_MAX])
{
	struct token *t;
	int rc = token_parse(&t, c->token_text, c->token_n, c->mem, why);
	if (rc != 0)
		return rc;
	if (strcmp(t->bus, c->trust.bus) != 0)
		rc = why_say(why, ERR_INVALID, "iss: a token of bus %s; expected %s, as in %s",
			t->bus, c->trust.bus, src->trust);
	else if (t->role != src->role)
		rc = why_say(why, ERR_INVALID, "role: a token of a %s; expected one of a %s",
			token_role_text(t->role), token_role_text(src->role));
	else if (memcmp(t->key, c->identity.public, KEYFILE_KEY) != 0)
		rc = why_say(why, ERR_INVALID,
			"cnf: a token for another key than that in %s; expected them to be issued "
			"together, or with issue --public",
			src->identity);
	int64_t now = src->any_time ? t->expires : src->now;
	token_free(t, c->mem);
	if (rc != 0)
		return rc;
	const struct token_rules rules = {.trust = &c->trust, .now = now, .mem = c->mem};
	return token_verify(&c->token, c->token_text, c->token_n, &rules, why);
}

static int load_token(
	struct credentials *c, const struct credentials_source *src, char why[static WHY_MAX])
{
	const struct secretfile_rules rules = {SECRETFILE_PUBLIC, KEYFILE_MAX, src->owner};
	int rc = credentials_read_token(c->token_text, &c->token_n, src->token, &rules, why);
	if (rc != 0)
		return rc;
	rc = judge_token(c, src, why);
	if (rc != 0)
		why_prefix(why, "%s: ", src->token);
	return rc;
}

int credentials_load_list(
	struct revoked **out, const struct credentials_source *src, char why[static WHY_MAX])
{
	const struct secretfile_rules rules = {SECRETFILE_PUBLIC, REVOKED_FILE_MAX, src->owner};
	struct secretfile f;
	*out = NULL;
	if (src->revoked == NULL)
		return 0;
	int rc = secretfile_read(&f, src->revoked, &rules, why);
	if (rc == 0)
		rc = revoked_parse(out, &(struct keyfile_text){src->revoked, f.text, f.n},
			src->seed, src->mem, why);
	secretfile_wipe(&f);
	return rc;
}

int credentials_load_keys(
	struct credentials **out, const struct credentials_source *src, char why[static WHY_MAX])
{
	*out = NULL;
	struct credentials *c = sodium_malloc(sizeof *c);
	if (c == NULL)
		return why_say(why, ERR_NOMEM, "%s: out of memory", src->trust);
	memset(c, 0, sizeof *c);
	c->mem = src->mem;
	int rc = load_trust(c, src, why);
	if (rc == 0)
		rc = load_identity(c, src, why);
	if (rc == 0)
		rc = load_token(c, src, why);
	if (rc != 0) {
		credentials_free(c);
		c = NULL;
	}
	*out = c;
	return rc;
}

int credentials_load(
	struct credentials **out, const struct credentials_source *src, char why[static WHY_MAX])
{
	int rc = credentials_load_keys(out, src, why);
	if (rc == 0)
		rc = credentials_load_list(&(*out)->revoked, src, why);
	if (rc != 0) {
		credentials_free(*out);
		*out = NULL;
	}
	return rc;
}

/* A token that is refused for its times alone was signed: what name it says is true. */
static void name_node(
	const struct credentials_peer *peer, struct mem *mem, char why[static WHY_MAX])
{
	char unused[WHY_MAX];
	struct token *t;
	if (token_parse(&t, peer->text, peer->text_n, mem, unused) == 0)
		why_prefix(why, "node %s: ", t->node);
	token_free(t, mem);
}

int credentials_admit(struct token **out, const struct credentials *c,
	const struct credentials_peer *peer, struct mem *mem, char why[static WHY_MAX])
{
	const struct token_rules rules = {.trust = &c->trust, .now = peer->now, .mem = mem};
	struct token *t;
	*out = NULL;
	int rc = token_verify(&t, peer->text, peer->text_n, &rules, why);
	if (rc == ERR_TIMEOUT || rc == ERR_AGAIN)
		name_node(peer, mem, why);
	if (rc != 0)
		return rc;
	if (peer->key != NULL && memcmp(t->key, peer->key, KEYFILE_KEY) != 0)
		rc = why_say(why, ERR_INVALID,
			"cnf: the token of node %s, shown by one that has another key", t->node);
	else if (t->role != peer->role)
		rc = why_say(why, ERR_INVALID, "role: node %s is a %s; expected a %s", t->node,
			token_role_text(t->role), token_role_text(peer->role));
	else if (credentials_revoke(c, t))
		rc = why_say(why, ERR_CLOSED, "node %s, token %s: revoked", t->node, t->id);
	if (rc != 0) {
		token_free(t, mem);
		t = NULL;
	}
	*out = t;
	return rc;
}

bool credentials_revoke(const struct credentials *c, const struct token *t)
{
	return revoked_has(c->revoked, t) || revoked_has(c->also, t);
}

void credentials_free(struct credentials *c)
{
	if (c == NULL)
		return;
	token_free(c->token, c->mem);
	revoked_free(c->revoked);
	revoked_free(c->also);
	sodium_free(c); /* which wipes it */
}
