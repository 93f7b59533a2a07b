#include "crypto/token_claims.h"

#include "base/err.h"

#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>

#define TIME_EXPECTED "expected whole seconds since 1970, up to the end of the year 9999"

/* --- values: what must hold however they came ------------------------------------------------ */

static int check_name(const char *claim, const char *name, char why[static WHY_MAX])
{
	char quote[WHY_QUOTE_ROOM];
	size_t n = strnlen(name, NAME_ROOM);
	if (name_valid(name, n))
		return 0;
	return why_say(why, ERR_INVALID, "%s: \"%s\": expected " NAME_EXPECTED, claim,
		why_quote(quote, name, n));
}

static int check_key(const uint8_t key[static KEYFILE_KEY], char why[static WHY_MAX])
{
	if (!keyfile_is_weak(key))
		return 0;
	return why_say(why, ERR_INVALID,
		"cnf.jwk.x: of low order; expected a public key that a secret key has");
}

static int check_id(const char *id, char why[static WHY_MAX])
{
	size_t n = strnlen(id, TOKEN_ID_MAX + 1);
	bool good = n > 0 && n <= TOKEN_ID_MAX;
	for (size_t i = 0; good && i < n; i++)
		good = id[i] > ' ' && id[i] < 0x7f && id[i] != '#';
	if (good)
		return 0;
	return why_say(why, ERR_INVALID,
		"jti: expected 1 to %d visible ASCII characters, none of them '#'", TOKEN_ID_MAX);
}

static int check_patterns(
	const char *claim, const char *const *patterns, size_t n, char why[static WHY_MAX])
{
	char quote[WHY_QUOTE_ROOM];
	if (n > TOKEN_PATTERNS_MAX)
		return why_say(why, ERR_INVALID, "%s: %zu patterns, expected at most %d", claim, n,
			TOKEN_PATTERNS_MAX);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(patterns[i]);
		if (!pattern_valid(patterns[i], len))
			return why_say(why, ERR_INVALID, "%s: \"%s\": expected " PATTERN_EXPECTED,
				claim, why_quote(quote, patterns[i], len));
	}
	return 0;
}

static int check_times(const struct token *t, char why[static WHY_MAX])
{
	if (t->not_before < 0 || t->not_before > TOKEN_TIME_MAX)
		return why_say(why, ERR_INVALID, "nbf: %" PRId64 ": " TIME_EXPECTED, t->not_before);
	if (t->expires < 0 || t->expires > TOKEN_TIME_MAX)
		return why_say(why, ERR_INVALID, "exp: %" PRId64 ": " TIME_EXPECTED, t->expires);
	if (t->expires <= t->not_before)
		return why_say(
			why, ERR_INVALID, "exp: %" PRId64 ": expected later than nbf", t->expires);
	return 0;
}

static int check(const struct token *t, char why[static WHY_MAX])
{
	int rc = check_name("iss", t->bus, why);
	if (rc == 0)
		rc = check_name("sub", t->node, why);
	if (rc == 0 && t->customer[0] != '\0')
		rc = check_name("customer", t->customer, why);
	if (rc == 0)
		rc = check_key(t->key, why);
	if (rc == 0)
		rc = check_id(t->id, why);
	if (rc == 0)
		rc = check_patterns("serve", t->serve, t->n_serve, why);
	if (rc == 0)
		rc = check_patterns("open", t->open, t->n_open, why);
	if (rc == 0)
		rc = check_times(t, why);
	return rc;
}

/* --- from JSON ------------------------------------------------------------------------------- */

static const char *type_text(const json_t *j)
{
	switch (j != NULL ? json_typeof(j) : JSON_NULL) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a number";
	case JSON_REAL:
		return "a number that is not whole";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a truth value";
	case JSON_NULL:
		break;
	}
	return "null";
}

/* j is what stands where `expected` should: ERR_INVALID. */
static int unlike(
	const char *claim, const json_t *j, const char *expected, char why[static WHY_MAX])
{
	if (j == NULL)
		return why_say(why, ERR_INVALID, "%s: missing; expected %s", claim, expected);
	return why_say(why, ERR_INVALID, "%s: %s; expected %s", claim, type_text(j), expected);
}

/* What does not fit into `room` bytes with the NUL is no value that check would take. */
static int read_string(char *to, size_t room, const json_t *j, const char *claim,
	const char *expected, char why[static WHY_MAX])
{
	if (!json_is_string(j))
		return unlike(claim, j, expected, why);
	size_t n = json_string_length(j);
	if (n >= room)
		return why_say(why, ERR_INVALID, "%s: %zu bytes; expected %s", claim, n, expected);
	memcpy(to, json_string_value(j), n + 1);
	return 0;
}

/* A member that can only have one value. */
static int read_fixed(const json_t *object, const char *member, const char *claim,
	const char *value, char why[static WHY_MAX])
{
	const json_t *j = json_object_get(object, member);
	char quote[WHY_QUOTE_ROOM];
	if (!json_is_string(j))
		return unlike(claim, j, value, why);
	if (strcmp(json_string_value(j), value) == 0)
		return 0;
	return why_say(why, ERR_INVALID, "%s: \"%s\"; expected %s", claim,
		why_quote(quote, json_string_value(j), json_string_length(j)), value);
}

/* RFC 7800, 3.1: cnf is of one key only.  What else there may be, such as kid, is of that key. */
static int check_alone(const json_t *cnf, char why[static WHY_MAX])
{
	static const char *const others[] = {"jku", "jwe", "x5t#S256"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (json_object_get(cnf, others[i]) != NULL)
			return why_say(why, ERR_INVALID,
				"cnf.%s: the token is for another key as well; expected jwk alone",
				others[i]);
	return 0;
}

static int read_key(struct token *t, const json_t *claims, char why[static WHY_MAX])
{
	const json_t *cnf = json_object_get(claims, "cnf");
	if (!json_is_object(cnf))
		return unlike("cnf", cnf, "an object with jwk in it", why);
	int rc = check_alone(cnf, why);
	if (rc != 0)
		return rc;
	const json_t *jwk = json_object_get(cnf, "jwk");
	if (!json_is_object(jwk))
		return unlike("cnf.jwk", jwk, "an object with kty, crv and x in it", why);
	if (json_object_get(jwk, "d") != NULL)
		return why_say(why, ERR_INVALID,
			"cnf.jwk.d: a private key; expected the public half only");
	rc = read_fixed(jwk, "kty", "cnf.jwk.kty", "OKP", why);
	if (rc == 0)
		rc = read_fixed(jwk, "crv", "cnf.jwk.crv", "X25519", why);
	if (rc != 0)
		return rc;
	const json_t *x = json_object_get(jwk, "x");
	if (!json_is_string(x))
		return unlike("cnf.jwk.x", x, "32 bytes in base64url", why);
	size_t n = 0;
	if (sodium_base642bin(t->key, sizeof t->key, json_string_value(x), json_string_length(x),
		    NULL, &n, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
		n != sizeof t->key)
		return why_say(why, ERR_INVALID,
			"cnf.jwk.x: expected 32 bytes in base64url without padding");
	return 0;
}

static int read_role(struct token *t, const json_t *claims, char why[static WHY_MAX])
{
	static const enum token_role roles[] = {TOKEN_CONTROLLER, TOKEN_SEGMENT};
	const json_t *j = json_object_get(claims, "role");
	char quote[WHY_QUOTE_ROOM];
	if (!json_is_string(j))
		return unlike("role", j, "controller or segment", why);
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		if (strcmp(json_string_value(j), token_role_text(roles[i])) == 0) {
			t->role = roles[i];
			return 0;
		}
	}
	return why_say(why, ERR_INVALID, "role: \"%s\"; expected controller or segment",
		why_quote(quote, json_string_value(j), json_string_length(j)));
}

/* The patterns stay where jansson has them. */
static int read_patterns(const char **to, size_t *n, const json_t *claims, const char *claim,
	char why[static WHY_MAX])
{
	const json_t *j = json_object_get(claims, claim);
	*n = 0;
	if (j == NULL)
		return 0;
	if (!json_is_array(j))
		return unlike(claim, j, "an array of patterns", why);
	size_t count = json_array_size(j);
	if (count > TOKEN_PATTERNS_MAX)
		return why_say(why, ERR_INVALID, "%s: %zu patterns, expected at most %d", claim,
			count, TOKEN_PATTERNS_MAX);
	for (size_t i = 0; i < count; i++) {
		const json_t *one = json_array_get(j, i);
		if (!json_is_string(one))
			return why_say(why, ERR_INVALID,
				"%s[%zu]: %s; expected a pattern, which is a string", claim, i,
				type_text(one));
		to[i] = json_string_value(one);
	}
	*n = count;
	return 0;
}

static int read_time(int64_t *to, const json_t *claims, const char *claim, char why[static WHY_MAX])
{
	const json_t *j = json_object_get(claims, claim);
	if (!json_is_integer(j))
		return unlike(claim, j, "whole seconds since 1970", why);
	*to = json_integer_value(j);
	return 0;
}

static int read_claims(struct token *t, const json_t *claims, char why[static WHY_MAX])
{
	static const char node[] = "a node's name, " NAME_EXPECTED;
	static const char bus[] = "a bus's name, " NAME_EXPECTED;
	static const char customer[] = "a customer's name, " NAME_EXPECTED;
	const json_t *j;
	int rc =
		read_string(t->bus, sizeof t->bus, json_object_get(claims, "iss"), "iss", bus, why);
	if (rc == 0)
		rc = read_string(
			t->node, sizeof t->node, json_object_get(claims, "sub"), "sub", node, why);
	if (rc == 0)
		rc = read_key(t, claims, why);
	if (rc == 0)
		rc = read_role(t, claims, why);
	if (rc == 0 && (j = json_object_get(claims, "customer")) != NULL) {
		rc = read_string(t->customer, sizeof t->customer, j, "customer", customer, why);
		if (rc == 0 && t->customer[0] == '\0')
			rc = check_name("customer", t->customer, why);
	}
	if (rc == 0)
		rc = read_patterns(t->serve, &t->n_serve, claims, "serve", why);
	if (rc == 0)
		rc = read_patterns(t->open, &t->n_open, claims, "open", why);
	if (rc == 0 && json_object_get(claims, "nbf") != NULL)
		rc = read_time(&t->not_before, claims, "nbf", why);
	if (rc == 0)
		rc = read_time(&t->expires, claims, "exp", why);
	if (rc == 0)
		rc = read_string(t->id, sizeof t->id, json_object_get(claims, "jti"), "jti",
			"a string of 1 to 64 characters", why);
	if (rc == 0 && json_object_get(claims, "aud") != NULL)
		rc = why_say(why, ERR_INVALID, "aud: the token is for others; expected none");
	return rc;
}

/* A copy in one block, with the strings that `from` only points to. */
static struct token *copy(const struct token *from, struct mem *mem)
{
	size_t n = sizeof *from;
	for (size_t i = 0; i < from->n_serve; i++)
		n += strlen(from->serve[i]) + 1;
	for (size_t i = 0; i < from->n_open; i++)
		n += strlen(from->open[i]) + 1;
	struct token *t = mem_alloc(mem, n);
	if (t == NULL)
		return NULL;
	*t = *from;
	char *at = (char *)(t + 1);
	for (size_t i = 0; i < t->n_serve; i++) {
		t->serve[i] = at;
		at = stpcpy(at, from->serve[i]) + 1;
	}
	for (size_t i = 0; i < t->n_open; i++) {
		t->open[i] = at;
		at = stpcpy(at, from->open[i]) + 1;
	}
	return t;
}

/* The library's words, without what they quote: a token's text is nothing for a log. */
static const char *words_of(char to[static WHY_QUOTE_ROOM], const char *text)
{
	const char *near = strstr(text, " near "), *byte = strstr(text, " byte ");
	size_t n = strlen(text);
	if (near != NULL)
		n = (size_t)(near - text);
	if (byte != NULL && (size_t)(byte - text) < n)
		n = (size_t)(byte - text) + strlen(" byte");
	return why_quote(to, text, n);
}

/* An object, to be given back with json_decref; NULL, with words. */
static json_t *load(const char *part, const char *json, size_t n, int *rc, char why[static WHY_MAX])
{
	json_error_t e = {.line = -1};
	char quote[WHY_QUOTE_ROOM];
	json_t *j = json_loadb(json, n, JSON_REJECT_DUPLICATES, &e);
	*rc = 0;
	if (j == NULL && e.text[0] == '\0')
		*rc = why_say(why, ERR_NOMEM, "%s: out of memory", part);
	else if (j == NULL)
		*rc = why_say(why, ERR_INVALID, "%s: not JSON as expected: %s", part,
			words_of(quote, e.text));
	else if (!json_is_object(j))
		*rc = why_say(
			why, ERR_INVALID, "%s: %s; expected a JSON object", part, type_text(j));
	if (*rc != 0) {
		json_decref(j);
		j = NULL;
	}
	return j;
}

int token_claims_read(
	struct token **out, const char *json, size_t n, struct mem *mem, char why[static WHY_MAX])
{
	int rc;
	struct token t = {.n_serve = 0};
	*out = NULL;
	json_t *claims = load("claims", json, n, &rc, why);
	if (claims == NULL)
		return rc;
	rc = read_claims(&t, claims, why);
	if (rc == 0)
		rc = check(&t, why);
	if (rc == 0 && (*out = copy(&t, mem)) == NULL)
		rc = why_say(why, ERR_NOMEM, "out of memory");
	json_decref(claims);
	return rc;
}

int token_claims_header(const char *json, size_t n, char why[static WHY_MAX])
{
	int rc;
	char quote[WHY_QUOTE_ROOM];
	json_t *header = load("header", json, n, &rc, why);
	if (header == NULL)
		return rc;
	rc = read_fixed(header, "alg", "alg", "EdDSA", why);
	const json_t *typ = json_object_get(header, "typ");
	if (rc == 0 && typ != NULL) {
		if (!json_is_string(typ))
			rc = unlike("typ", typ, "JWT", why);
		else if (strcasecmp(json_string_value(typ), "JWT") != 0 &&
			 strcasecmp(json_string_value(typ), "application/JWT") != 0)
			rc = why_say(why, ERR_INVALID, "typ: \"%s\"; expected JWT",
				why_quote(quote, json_string_value(typ), json_string_length(typ)));
	}
	if (rc == 0 && json_object_get(header, "crit") != NULL)
		rc = why_say(why, ERR_INVALID,
			"crit: the token asks for what this version does not know");
	json_decref(header);
	return rc;
}

/* --- to JSON --------------------------------------------------------------------------------- */

/* NULL where there is no memory. */
static json_t *array_of(const char *const *patterns, size_t n)
{
	json_t *array = json_array();
	for (size_t i = 0; array != NULL && i < n; i++) {
		if (json_array_append_new(array, json_string(patterns[i])) != 0) {
			json_decref(array);
			array = NULL;
		}
	}
	return array;
}

/* The references to the arrays are given away, also on failure. */
static json_t *pack(const struct token *t, json_t *serve, json_t *open)
{
	char x[sodium_base64_ENCODED_LEN(KEYFILE_KEY, sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
	sodium_bin2base64(
		x, sizeof x, t->key, sizeof t->key, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	json_t *o = json_pack("{s:s, s:s, s:s, s:{s:{s:s, s:s, s:s}}, s:o, s:o, s:I, s:I, s:s}",
		"iss", t->bus, "sub", t->node, "role", token_role_text(t->role), "cnf", "jwk",
		"kty", "OKP", "crv", "X25519", "x", x, "serve", serve, "open", open, "nbf",
		(json_int_t)t->not_before, "exp", (json_int_t)t->expires, "jti", t->id);
	if (o != NULL && t->customer[0] != '\0' &&
		json_object_set_new(o, "customer", json_string(t->customer)) != 0) {
		json_decref(o);
		o = NULL;
	}
	return o;
}

int token_claims_write(
	char *to, size_t room, size_t *n, const struct token *t, char why[static WHY_MAX])
{
	int rc = check(t, why);
	if (rc != 0)
		return rc;
	json_t *serve = array_of(t->serve, t->n_serve);
	json_t *open = array_of(t->open, t->n_open);
	json_t *claims = NULL;
	if (serve != NULL && open != NULL) {
		claims = pack(t, serve, open);
	} else {
		json_decref(serve);
		json_decref(open);
	}
	*n = claims != NULL ? json_dumpb(claims, to, room, JSON_COMPACT) : 0;
	if (*n == 0)
		rc = why_say(why, ERR_NOMEM, "out of memory");
	else if (*n > room)
		rc = why_say(why, ERR_LIMIT,
			"the claims are too long: a token has at most %d bytes; fewer or shorter "
			"patterns may do",
			TOKEN_TEXT_MAX);
	json_decref(claims);
	return rc;
}
