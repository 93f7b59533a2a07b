#include "crypto/token.h"

#include "base/err.h"
#include "crypto/token_claims.h"

#include <jansson.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

enum {
	SIGNATURE = 64,
	SIGNATURE_TEXT = 86,                  /* bytes, in base64url */
	DECODED_MAX = TOKEN_TEXT_MAX / 4 * 3, /* bytes of any part */
	VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING,
};

/* The three parts, as they stand in the text. */
struct parts {
	const char *text; /* from its beginning, which is the header's */
	size_t header_n;
	const char *claims;
	size_t claims_n;
	size_t signed_n; /* header, dot, claims: what the signature is of */
	uint8_t signature[SIGNATURE];
};

const char *token_role_text(enum token_role role)
{
	return role == TOKEN_CONTROLLER ? "controller" : "segment";
}

int token_prepare(void)
{
	if (sodium_init() < 0)
		return ERR_SYS;
	/* Not 0, which would be a wish for a random one. */
	json_object_seed(1 + randombytes_uniform(UINT32_MAX));
	return 0;
}

/* --- the envelope ---------------------------------------------------------------------------- */

/* RFC 4648, 5; and the dots between the parts. */
static bool is_token_text(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
			c != '-' && c != '_' && c != '.')
			return false;
	}
	return true;
}

/* One of the parts. */
struct text {
	const char *name;
	const char *text;
	size_t n;
};

/* Its characters are those of base64url, but that is not all (RFC 4648, 3.5). */
static int decode(
	uint8_t *out, size_t room, size_t *n, const struct text *in, char why[static WHY_MAX])
{
	if (sodium_base642bin(out, room, in->text, in->n, NULL, n, NULL, VARIANT) == 0)
		return 0;
	if (in->n % 4 == 1)
		return why_say(why, ERR_INVALID,
			"%s: not base64url: no bytes become %zu characters; it was cut, or "
			"something was added",
			in->name, in->n);
	return why_say(why, ERR_INVALID,
		"%s: not base64url: bits of its last character that stand for nothing are not "
		"zero; it was changed, or written by a tool that is wrong",
		in->name);
}

static int split(struct parts *p, const char *text, size_t n, char why[static WHY_MAX])
{
	if (n > TOKEN_TEXT_MAX)
		return why_say(why, ERR_LIMIT, "%zu bytes; expected a token of at most %d", n,
			TOKEN_TEXT_MAX);
	const char *one = memchr(text, '.', n);
	const char *two = one != NULL ? memchr(one + 1, '.', n - (size_t)(one + 1 - text)) : NULL;
	if (two == NULL || memchr(two + 1, '.', n - (size_t)(two + 1 - text)) != NULL ||
		!is_token_text(text, n))
		return why_say(why, ERR_INVALID,
			"not a token: expected three parts in base64url without padding, dots "
			"between them, and nothing else");
	*p = (struct parts){.text = text,
		.header_n = (size_t)(one - text),
		.claims = one + 1,
		.claims_n = (size_t)(two - one - 1),
		.signed_n = (size_t)(two - text)};
	size_t got, len = n - p->signed_n - 1;
	if (len != SIGNATURE_TEXT)
		return why_say(why, ERR_INVALID,
			"signature: %zu characters; expected the %d of EdDSA, in base64url "
			"without padding",
			len, SIGNATURE_TEXT);
	const struct text signature = {"signature", two + 1, len};
	return decode(p->signature, SIGNATURE, &got, &signature, why);
}

/* Header and claims of what may or may not have a good signature. */
static int read_parts(
	struct token **out, const struct parts *p, struct mem *mem, char why[static WHY_MAX])
{
	const struct text header = {"header", p->text, p->header_n};
	const struct text claims = {"claims", p->claims, p->claims_n};
	uint8_t json[DECODED_MAX];
	size_t n;
	int rc = decode(json, sizeof json, &n, &header, why);
	if (rc == 0)
		rc = token_claims_header((const char *)json, n, why);
	if (rc == 0)
		rc = decode(json, sizeof json, &n, &claims, why);
	if (rc == 0)
		rc = token_claims_read(out, (const char *)json, n, mem, why);
	return rc;
}

static bool signed_by(const struct keyfile_trust *trust, const struct parts *p)
{
	for (size_t i = 0; i < trust->n_cluster; i++)
		if (crypto_sign_verify_detached(p->signature, (const uint8_t *)p->text, p->signed_n,
			    trust->cluster[i]) == 0)
			return true;
	return false;
}

/* --- reading --------------------------------------------------------------------------------- */

const char *token_time_text(char to[static TOKEN_TIME_ROOM], int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;
	if (seconds < 0 || seconds > TOKEN_TIME_MAX || gmtime_r(&t, &tm) == NULL ||
		strftime(to, TOKEN_TIME_ROOM, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		strcpy(to, "no time");
	return to;
}

int token_check_time(const struct token *t, int64_t now, char why[static WHY_MAX])
{
	char then[TOKEN_TIME_ROOM], at[TOKEN_TIME_ROOM];
	token_time_text(at, now);
	if (now >= t->expires + TOKEN_SKEW)
		return why_say(why, ERR_TIMEOUT, "exp: expired at %s; it is %s here",
			token_time_text(then, t->expires), at);
	if (now < t->not_before - TOKEN_SKEW)
		return why_say(why, ERR_AGAIN,
			"nbf: not valid before %s; it is %s here: do the clocks agree?",
			token_time_text(then, t->not_before), at);
	return 0;
}

int token_verify(struct token **out, const char *text, size_t n, const struct token_rules *rules,
	char why[static WHY_MAX])
{
	struct parts p;
	struct token *t = NULL;
	*out = NULL;
	int rc = split(&p, text, n, why);
	if (rc == 0 && !signed_by(rules->trust, &p))
		rc = why_say(why, ERR_INVALID, "signature: not made by the cluster key of bus %s",
			rules->trust->bus);
	if (rc == 0)
		rc = read_parts(&t, &p, rules->mem, why);
	if (rc == 0 && strcmp(t->bus, rules->trust->bus) != 0)
		rc = why_say(why, ERR_INVALID, "iss: \"%s\"; expected %s, the bus of the trust",
			t->bus, rules->trust->bus);
	if (rc == 0)
		rc = token_check_time(t, rules->now, why);
	if (rc != 0) {
		token_free(t, rules->mem);
		t = NULL;
	}
	*out = t;
	return rc;
}

int token_parse(
	struct token **out, const char *text, size_t n, struct mem *mem, char why[static WHY_MAX])
{
	struct parts p;
	*out = NULL;
	int rc = split(&p, text, n, why);
	return rc != 0 ? rc : read_parts(out, &p, mem, why);
}

bool token_may_serve(const struct token *t, const char *name, size_t n)
{
	return pattern_match_any(t->serve, t->n_serve, name, n);
}

bool token_may_open(const struct token *t, const char *name, size_t n)
{
	return pattern_match_any(t->open, t->n_open, name, n);
}

struct token *token_hold(struct token *t)
{
	t->refs++;
	return t;
}

bool token_same_node(const struct token *a, const struct token *b)
{
	return memcmp(a->key, b->key, KEYFILE_KEY) == 0 && strcmp(a->node, b->node) == 0 &&
	       strcmp(a->customer, b->customer) == 0;
}

void token_free(struct token *t, struct mem *mem)
{
	if (t != NULL && t->refs > 0)
		t->refs--;
	else
		mem_free(mem, t);
}

/* --- writing --------------------------------------------------------------------------------- */

/* Appends n bytes in base64url, if they fit in; *at moves on.  0 or ERR_LIMIT. */
static int append(char out[static TOKEN_TEXT_MAX + 1], size_t *at, const void *bytes, size_t n)
{
	size_t len = sodium_base64_encoded_len(n, VARIANT); /* with the NUL */
	if (len > TOKEN_TEXT_MAX + 1 - *at)
		return ERR_LIMIT;
	sodium_bin2base64(out + *at, len, bytes, n, VARIANT);
	*at += len - 1;
	return 0;
}

int token_sign(char out[static TOKEN_TEXT_MAX + 1], size_t *n, const struct token *claims,
	const struct keyfile_cluster *cluster, char why[static WHY_MAX])
{
	char json[DECODED_MAX];
	uint8_t signature[SIGNATURE];
	size_t json_n, at = 0;
	*n = 0;
	out[0] = '\0';
	int rc = token_claims_write(json, sizeof json, &json_n, claims, why);
	if (rc != 0)
		return rc;
	rc = append(out, &at, TOKEN_CLAIMS_HEADER, strlen(TOKEN_CLAIMS_HEADER));
	if (rc == 0) {
		out[at++] = '.';
		rc = append(out, &at, json, json_n);
	}
	if (rc == 0 && at + 1 + SIGNATURE_TEXT > TOKEN_TEXT_MAX)
		rc = ERR_LIMIT;
	if (rc != 0) {
		out[0] = '\0';
		return why_say(why, rc,
			"the token is too long: it has at most %d bytes; fewer or shorter patterns "
			"may do",
			TOKEN_TEXT_MAX);
	}
	crypto_sign_detached(signature, NULL, (const uint8_t *)out, at, cluster->secret);
	out[at++] = '.';
	(void)append(out, &at, signature, sizeof signature);
	*n = at;
	return 0;
}
