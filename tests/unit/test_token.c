/*
 * Tokens: what is signed is taken back, and everything else is refused with the words that
 * say which claim and what was expected.
 */
#include "crypto/token.h"
#include "unit/unit.h"

#include "base/err.h"

#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (int)(sizeof(a) / sizeof(a)[0])
#define NOW INT64_C(1800000000)
#define N16 "0123456789abcdef"
#define N64 N16 N16 N16 N16

static struct unit_mem m;
static struct keyfile_cluster cluster, other;
static struct keyfile_trust trust;
static struct token *token;
static char why[WHY_MAX];

static void set_up(void)
{
	static const uint8_t seed[KEYFILE_KEY] = {1}, seed2[KEYFILE_KEY] = {2};
	unit_mem_init(&m);
	ck_assert_int_eq(token_prepare(), 0);
	keyfile_make_cluster(&cluster, "example", seed);
	keyfile_make_cluster(&other, "example", seed2);
	memset(&trust, 0, sizeof trust);
	strcpy(trust.bus, "example");
	memcpy(trust.cluster[0], cluster.public, KEYFILE_KEY);
	trust.n_cluster = 1;
	token = NULL;
	why[0] = '\0';
}

static void tear_down(void)
{
	token_free(token, &m.mem);
	token = NULL;
	ck_assert_uint_eq(m.live, 0);
}

static int verify(const char *text, size_t n, int64_t now)
{
	const struct token_rules rules = {.trust = &trust, .now = now, .mem = &m.mem};
	token_free(token, &m.mem);
	return token_verify(&token, text, n, &rules, why);
}

/* --- signed and taken back ------------------------------------------------------------------- */

static struct token claims(void)
{
	struct token t = {.bus = "example",
		.node = "seg-1",
		.customer = "acme",
		.id = "0123456789abcdef0123456789abcdef",
		.role = TOKEN_SEGMENT,
		.not_before = NOW - 10,
		.expires = NOW + 100,
		.n_serve = 2,
		.serve = {"web", "db-*"},
		.n_open = 1,
		.open = {"b\xc3\xbc\"\\*"}};
	memset(t.key, 7, sizeof t.key);
	return t;
}

START_TEST(what_is_signed_is_taken_back)
{
	char text[TOKEN_TEXT_MAX + 1];
	size_t n;
	struct token t = claims();
	ck_assert_int_eq(token_sign(text, &n, &t, &cluster, why), 0);
	ck_assert_uint_eq(n, strlen(text));
	ck_assert_msg(verify(text, n, NOW) == 0, "%s", why);
	ck_assert_str_eq(token->bus, "example");
	ck_assert_str_eq(token->node, "seg-1");
	ck_assert_str_eq(token->customer, "acme");
	ck_assert_str_eq(token->id, t.id);
	ck_assert(memcmp(token->key, t.key, sizeof t.key) == 0);
	ck_assert_int_eq(token->role, TOKEN_SEGMENT);
	ck_assert_int_eq(token->not_before, t.not_before);
	ck_assert_int_eq(token->expires, t.expires);
	ck_assert_uint_eq(token->n_serve, 2);
	ck_assert_str_eq(token->serve[0], "web");
	ck_assert_str_eq(token->serve[1], "db-*");
	ck_assert_uint_eq(token->n_open, 1);
	ck_assert_str_eq(token->open[0], "b\xc3\xbc\"\\*");
	ck_assert(token_may_serve(token, "WEB", 3));
	ck_assert(token_may_serve(token, "db-2", 4));
	ck_assert(!token_may_serve(token, "db", 2));
	ck_assert(!token_may_open(token, "web", 3));
	/* nothing points into the text */
	memset(text, 0, sizeof text);
	ck_assert_str_eq(token->serve[1], "db-*");
}
END_TEST

START_TEST(a_token_without_patterns_may_do_nothing)
{
	char text[TOKEN_TEXT_MAX + 1];
	size_t n;
	struct token t = claims();
	t.n_serve = t.n_open = 0;
	t.role = TOKEN_CONTROLLER;
	t.customer[0] = '\0';
	ck_assert_int_eq(token_sign(text, &n, &t, &cluster, why), 0);
	ck_assert_int_eq(verify(text, n, NOW), 0);
	ck_assert_int_eq(token->role, TOKEN_CONTROLLER);
	ck_assert_str_eq(token->customer, "");
	ck_assert(!token_may_serve(token, "web", 3) && !token_may_open(token, "web", 3));
}
END_TEST

START_TEST(what_would_be_refused_is_not_signed)
{
	char text[TOKEN_TEXT_MAX + 1];
	size_t n;
	struct token t[10];
	for (int i = 0; i < COUNT(t); i++)
		t[i] = claims();
	t[0].bus[0] = '\0';
	strcpy(t[1].node, "a b");
	strcpy(t[2].customer, "/");
	strcpy(t[3].id, "a#b");
	t[4].serve[1] = "a*b";
	t[5].expires = t[5].not_before;
	t[6].expires = TOKEN_TIME_MAX + 1;
	t[7].not_before = -1;
	t[8].n_open = TOKEN_PATTERNS_MAX + 1;
	memset(t[9].key, 0, sizeof t[9].key);
	for (int i = 0; i < COUNT(t); i++) {
		why[0] = '\0';
		ck_assert_int_eq(token_sign(text, &n, &t[i], &cluster, why), ERR_INVALID);
		ck_assert(n == 0 && text[0] == '\0' && why[0] != '\0');
	}
}
END_TEST

/* Every length of claims about the limit: signed and taken back, or refused when signed. */
START_TEST(a_token_has_at_most_4_kib)
{
	char text[TOKEN_TEXT_MAX + 1], patterns[TOKEN_PATTERNS_MAX][PATTERN_MAX + 1];
	size_t n, longest = 0;
	bool refused = false;
	for (size_t total = 2300; total < 3100; total++) {
		struct token t = claims();
		t.n_open = t.n_serve = 0;
		for (size_t left = total; left > 0; t.n_open++) {
			size_t len = left < PATTERN_MAX ? left : PATTERN_MAX;
			memset(patterns[t.n_open], 'p', len);
			patterns[t.n_open][len] = '\0';
			t.open[t.n_open] = patterns[t.n_open];
			left -= len;
		}
		int rc = token_sign(text, &n, &t, &cluster, why);
		ck_assert(rc == 0 || rc == ERR_LIMIT);
		ck_assert(!refused || rc == ERR_LIMIT);
		refused = rc == ERR_LIMIT;
		if (rc == 0) {
			ck_assert_uint_eq(n, strlen(text));
			ck_assert_int_eq(verify(text, n, NOW), 0);
			longest = n;
		}
	}
	ck_assert(refused && longest > TOKEN_TEXT_MAX - 4 && longest <= TOKEN_TEXT_MAX);
	char big[TOKEN_TEXT_MAX + 1];
	memset(big, 'A', sizeof big);
	ck_assert_int_eq(verify(big, sizeof big, NOW), ERR_LIMIT);
}
END_TEST

/* --- texts that are signed as they stand ----------------------------------------------------- */

#define HEADER "{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}"
#define X43 "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"
#define ZERO43 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define JWK "\"jwk\":{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" X43 "\"}"
#define CNF "\"cnf\":{" JWK "}"
#define ISS "\"iss\":\"example\""
#define SUB "\"sub\":\"seg-1\""
#define ROLE "\"role\":\"segment\""
#define EXP "\"exp\":1800000100"
#define JTI "\"jti\":\"id-1\""
#define REST "," CNF "," ROLE "," EXP "," JTI "}"
#define LEAST "{" ISS "," SUB REST
#define AND(more) "{" ISS "," SUB "," more REST

static size_t b64(char *to, const void *bytes, size_t n)
{
	size_t room = sodium_base64_encoded_len(n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_bin2base64(to, room, bytes, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	return room - 1;
}

/* A token of these very bytes; returns its length. */
static size_t make(char text[static 2 * TOKEN_TEXT_MAX], const char *header, const char *body,
	const struct keyfile_cluster *by)
{
	uint8_t signature[64];
	size_t n = b64(text, header, strlen(header));
	text[n++] = '.';
	n += b64(text + n, body, strlen(body));
	crypto_sign_detached(signature, NULL, (uint8_t *)text, n, by->secret);
	text[n++] = '.';
	return n + b64(text + n, signature, sizeof signature);
}

static const char *const good_claims[] = {
	LEAST,
	AND("\"customer\":\"acme\""),
	AND("\"serve\":[],\"open\":[]"),
	AND("\"nbf\":0"),
	AND("\"nbf\":1800000000"),
	/* what is not known is let be (RFC 7519, 4) */
	AND("\"iat\":\"never\",\"x\":{\"y\":[null,1.5,true]}"),
	" \n{\"iss\" : \"ex\\u0061mple\" , " SUB REST " ",
	"{" ISS "," SUB ",\"cnf\":{\"kid\":\"1\"," JWK "}," ROLE "," EXP "," JTI "}",
};

START_TEST(the_least_claims_are_enough)
{
	char text[2 * TOKEN_TEXT_MAX];
	size_t n = make(text, HEADER, good_claims[_i], &cluster);
	ck_assert_msg(verify(text, n, NOW) == 0, "%s: %s", good_claims[_i], why);
	ck_assert_str_eq(token->node, "seg-1");
	ck_assert_str_eq(token->bus, "example");
}
END_TEST

#define A_NAME "1 to 64 letters, digits, '.', '-' or '_', a letter or digit first"
#define SECONDS "whole seconds since 1970"

static const struct {
	const char *claims, *why;
} bad_claims[] = {
	/* missing */
	{"{" SUB REST, "iss: missing; expected a bus's name, " A_NAME},
	{"{" ISS REST, "sub: missing; expected a node's name, " A_NAME},
	{"{" ISS "," SUB "," ROLE "," EXP "," JTI "}",
		"cnf: missing; expected an object with jwk in it"},
	{"{" ISS "," SUB "," CNF "," EXP "," JTI "}",
		"role: missing; expected controller or segment"},
	{"{" ISS "," SUB "," CNF "," ROLE "," JTI "}", "exp: missing; expected " SECONDS},
	{"{" ISS "," SUB "," CNF "," ROLE "," EXP "}",
		"jti: missing; expected a string of 1 to 64 characters"},
	/* of a wrong type */
	{"{\"iss\":1," SUB REST, "iss: a number; expected a bus's name, " A_NAME},
	{"{\"iss\":null," SUB REST, "iss: null; expected a bus's name, " A_NAME},
	{"{" ISS ",\"sub\":[\"seg-1\"]" REST, "sub: an array; expected a node's name, " A_NAME},
	{"{" ISS "," SUB ",\"cnf\":\"" X43 "\"," ROLE "," EXP "," JTI "}",
		"cnf: a string; expected an object with jwk in it"},
	{"{" ISS "," SUB "," CNF ",\"role\":0," EXP "," JTI "}",
		"role: a number; expected controller or segment"},
	{"{" ISS "," SUB "," CNF "," ROLE ",\"exp\":\"1800000100\"," JTI "}",
		"exp: a string; expected " SECONDS},
	{"{" ISS "," SUB "," CNF "," ROLE ",\"exp\":1800000100.5," JTI "}",
		"exp: a number that is not whole; expected " SECONDS},
	{"{" ISS "," SUB "," CNF "," ROLE ",\"exp\":1e308," JTI "}",
		"exp: a number that is not whole; expected " SECONDS},
	{"{" ISS "," SUB "," CNF "," ROLE ",\"exp\":-0," JTI "}",
		"exp: 0: expected later than nbf"},
	{"{" ISS "," SUB "," CNF "," ROLE ",\"exp\":true," JTI "}",
		"exp: a truth value; expected " SECONDS},
	{"{" ISS "," SUB "," CNF "," ROLE "," EXP ",\"jti\":7}",
		"jti: a number; expected a string of 1 to 64 characters"},
	{AND("\"nbf\":null"), "nbf: null; expected " SECONDS},
	{AND("\"customer\":false"), "customer: a truth value; expected a customer's name, " A_NAME},
	{AND("\"customer\":null"), "customer: null; expected a customer's name, " A_NAME},
	{AND("\"serve\":\"*\""), "serve: a string; expected an array of patterns"},
	{AND("\"open\":{}"), "open: an object; expected an array of patterns"},
	{AND("\"open\":[\"a\",1]"), "open[1]: a number; expected a pattern, which is a string"},
	/* out of range */
	{"{\"iss\":\"\"," SUB REST, "iss: \"\": expected " A_NAME},
	{"{" ISS ",\"sub\":\"a/b\"" REST, "sub: \"a/b\": expected " A_NAME},
	{"{" ISS ",\"sub\":\"a\\nb\"" REST, "sub: \"a\\x0ab\": expected " A_NAME},
	{"{" ISS ",\"sub\":\"" N64 "x\"" REST, "sub: 65 bytes; expected a node's name, " A_NAME},
	{AND("\"customer\":\"\""), "customer: \"\": expected " A_NAME},
	{"{" ISS "," SUB "," CNF ",\"role\":\"Segment\"," EXP "," JTI "}",
		"role: \"Segment\"; expected controller or segment"},
	{"{" ISS "," SUB "," CNF "," ROLE ",\"exp\":-1," JTI "}",
		"exp: -1: expected whole seconds since 1970, up to the end of the year 9999"},
	{"{" ISS "," SUB "," CNF "," ROLE ",\"exp\":253402300800," JTI "}",
		"exp: 253402300800: expected whole seconds since 1970, up to the end of the year "
		"9999"},
	{"{" ISS "," SUB "," CNF "," ROLE ",\"exp\":9223372036854775807," JTI "}",
		"exp: 9223372036854775807: expected whole seconds since 1970, up to the end of the "
		"year 9999"},
	{AND("\"nbf\":-1"),
		"nbf: -1: expected whole seconds since 1970, up to the end of the year 9999"},
	{AND("\"nbf\":1800000100"), "exp: 1800000100: expected later than nbf"},
	{"{" ISS "," SUB "," CNF "," ROLE "," EXP ",\"jti\":\"\"}",
		"jti: expected 1 to 64 visible ASCII characters, none of them '#'"},
	{"{" ISS "," SUB "," CNF "," ROLE "," EXP ",\"jti\":\"a b\"}",
		"jti: expected 1 to 64 visible ASCII characters, none of them '#'"},
	{"{" ISS "," SUB "," CNF "," ROLE "," EXP ",\"jti\":\"" N64 "x\"}",
		"jti: 65 bytes; expected a string of 1 to 64 characters"},
	{AND("\"serve\":[\"\"]"), "serve: \"\": expected " PATTERN_EXPECTED},
	{AND("\"serve\":[\"ok\",\"a*b\"]"), "serve: \"a*b\": expected " PATTERN_EXPECTED},
	{AND("\"aud\":\"example\""), "aud: the token is for others; expected none"},
	/* the key */
	{"{" ISS "," SUB ",\"cnf\":{}," ROLE "," EXP "," JTI "}",
		"cnf.jwk: missing; expected an object with kty, crv and x in it"},
	{"{" ISS "," SUB ",\"cnf\":{\"jwk\":{}}," ROLE "," EXP "," JTI "}",
		"cnf.jwk.kty: missing; expected OKP"},
	{"{" ISS "," SUB ",\"cnf\":{" JWK ",\"jku\":\"https://h/\"}," ROLE "," EXP "," JTI "}",
		"cnf.jku: the token is for another key as well; expected jwk alone"},
	{"{" ISS "," SUB ",\"cnf\":{\"jwe\":\"a.b.c.d.e\"," JWK "}," ROLE "," EXP "," JTI "}",
		"cnf.jwe: the token is for another key as well; expected jwk alone"},
	{"{" ISS "," SUB ",\"cnf\":{" JWK ",\"x5t#S256\":\"AA\"}," ROLE "," EXP "," JTI "}",
		"cnf.x5t#S256: the token is for another key as well; expected jwk alone"},
	{"{" ISS "," SUB ",\"cnf\":{\"jwk\":{\"kty\":\"EC\",\"crv\":\"X25519\",\"x\":\"" X43
	 "\"}}," ROLE "," EXP "," JTI "}",
		"cnf.jwk.kty: \"EC\"; expected OKP"},
	{"{" ISS "," SUB ",\"cnf\":{\"jwk\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X43
	 "\"}}," ROLE "," EXP "," JTI "}",
		"cnf.jwk.crv: \"Ed25519\"; expected X25519"},
	{"{" ISS "," SUB ",\"cnf\":{\"jwk\":{\"kty\":\"OKP\",\"crv\":\"X25519\"}}," ROLE "," EXP
	 "," JTI "}",
		"cnf.jwk.x: missing; expected 32 bytes in base64url"},
	{"{" ISS "," SUB
	 ",\"cnf\":{\"jwk\":{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"BwcH\"}}," ROLE "," EXP
	 "," JTI "}",
		"cnf.jwk.x: expected 32 bytes in base64url without padding"},
	{"{" ISS "," SUB ",\"cnf\":{\"jwk\":{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" X43
	 "=\"}}," ROLE "," EXP "," JTI "}",
		"cnf.jwk.x: expected 32 bytes in base64url without padding"},
	{"{" ISS "," SUB ",\"cnf\":{\"jwk\":{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" X43
	 "\",\"d\":\"" X43 "\"}}," ROLE "," EXP "," JTI "}",
		"cnf.jwk.d: a private key; expected the public half only"},
	{"{" ISS "," SUB ",\"cnf\":{\"jwk\":{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ZERO43
	 "\"}}," ROLE "," EXP "," JTI "}",
		"cnf.jwk.x: of low order; expected a public key that a secret key has"},
	/* the bus, and what is no object */
	{"{\"iss\":\"Example\"," SUB REST,
		"iss: \"Example\"; expected example, the bus of the trust"},
	{"{}", "iss: missing; expected a bus's name, " A_NAME},
	{"[]", "claims: an array; expected a JSON object"},
};

START_TEST(a_bad_claim_is_named)
{
	char text[2 * TOKEN_TEXT_MAX];
	size_t n = make(text, HEADER, bad_claims[_i].claims, &cluster);
	why[0] = '\0';
	ck_assert_int_eq(verify(text, n, NOW), ERR_INVALID);
	ck_assert_ptr_null(token);
	ck_assert_str_eq(why, bad_claims[_i].why);
}
END_TEST

/* In jansson's words, of which only ours are held to the letter. */
static const char *const no_json[] = {
	"",
	"x",
	"{",
	LEAST "x",
	"\"iss\"",
	"{" ISS "," ISS "," SUB REST,                    /* twice */
	"{" ISS "," SUB ",\"x\":{\"a\":1,\"a\":2}" REST, /* twice, further down */
	"{" ISS ",\"sub\":\"seg-1\\u0000\"" REST,        /* an end in the middle */
	"{" ISS ",\"sub\":\"\xff\"" REST,
	AND("\"nbf\":99999999999999999999"),
	AND("\"nbf\":01"),
	AND("\"nbf\":1e400"),
	AND("\"x\":near"),
	AND("\"x\":\"near\",\"y\":nonsense"),
};

START_TEST(what_is_not_strict_json_is_refused)
{
	char text[2 * TOKEN_TEXT_MAX];
	size_t n = make(text, HEADER, no_json[_i], &cluster);
	why[0] = '\0';
	ck_assert_int_eq(verify(text, n, NOW), ERR_INVALID);
	ck_assert_msg(strncmp(why, "claims: ", 8) == 0, "%s", why);
	for (const char *c = why; *c != '\0'; c++)
		ck_assert(*c >= 0x20 && *c < 0x7f);
	/* And none of the token's. */
	ck_assert_ptr_null(strstr(why, "near"));
	ck_assert_ptr_null(strstr(why, "nonsense"));
	ck_assert_ptr_null(strstr(why, "99999"));
	ck_assert_ptr_null(strstr(why, "0x"));
}
END_TEST

START_TEST(patterns_are_64_at_most)
{
	char text[2 * TOKEN_TEXT_MAX], body[1024];
	for (int n = 63; n <= 66; n++) {
		int at = sprintf(body, "{" ISS "," SUB ",\"open\":[");
		for (int i = 0; i < n; i++)
			at += sprintf(body + at, "%s\"p\"", i > 0 ? "," : "");
		sprintf(body + at, "]" REST);
		int rc = verify(text, make(text, HEADER, body, &cluster), NOW);
		ck_assert_int_eq(rc, n <= 64 ? 0 : ERR_INVALID);
		if (rc == 0)
			ck_assert_uint_eq(token->n_open, (size_t)n);
	}
	ck_assert_str_eq(why, "open: 66 patterns, expected at most 64");
}
END_TEST

/* Depth without end does not get to the end of the stack. */
START_TEST(deep_claims_are_refused)
{
	char text[2 * TOKEN_TEXT_MAX], body[2900];
	memset(body, '[', sizeof body - 1);
	body[sizeof body - 1] = '\0';
	ck_assert_int_eq(verify(text, make(text, HEADER, body, &cluster), NOW), ERR_INVALID);
}
END_TEST

/* --- the header ------------------------------------------------------------------------------ */

static const struct {
	const char *header, *why; /* NULL: good */
} headers[] = {
	{HEADER, NULL},
	{"{\"typ\":\"JWT\",\"alg\":\"EdDSA\"}", NULL},
	{"{\"alg\":\"EdDSA\"}", NULL},
	{"{\"alg\":\"EdDSA\",\"typ\":\"jwt\",\"kid\":\"1\"}", NULL},
	{"{\"alg\":\"EdDSA\",\"typ\":\"application/JWT\"}", NULL},
	{"{\"typ\":\"JWT\"}", "alg: missing; expected EdDSA"},
	{"{\"alg\":\"none\"}", "alg: \"none\"; expected EdDSA"},
	{"{\"alg\":\"HS256\",\"typ\":\"JWT\"}", "alg: \"HS256\"; expected EdDSA"},
	{"{\"alg\":\"eddsa\"}", "alg: \"eddsa\"; expected EdDSA"},
	{"{\"alg\":\"EdDSA \"}", "alg: \"EdDSA \"; expected EdDSA"},
	{"{\"alg\":null}", "alg: null; expected EdDSA"},
	{"{\"alg\":[\"EdDSA\"]}", "alg: an array; expected EdDSA"},
	{"{\"alg\":\"EdDSA\",\"typ\":\"JWE\"}", "typ: \"JWE\"; expected JWT"},
	{"{\"alg\":\"EdDSA\",\"typ\":1}", "typ: a number; expected JWT"},
	{"{\"alg\":\"EdDSA\",\"crit\":[\"b64\"],\"b64\":false}",
		"crit: the token asks for what this version does not know"},
	{"{\"alg\":\"EdDSA\",\"crit\":null}",
		"crit: the token asks for what this version does not know"},
	{"[\"EdDSA\"]", "header: an array; expected a JSON object"},
	{"{\"alg\":\"EdDSA\",\"alg\":\"EdDSA\"}", ""},
	{"{\"alg\":\"none\",\"alg\":\"EdDSA\"}", ""},
	{"{}x", ""},
	{"", ""},
};

/* Although the right key signed it. */
START_TEST(the_algorithm_is_eddsa)
{
	char text[2 * TOKEN_TEXT_MAX];
	size_t n = make(text, headers[_i].header, LEAST, &cluster);
	int rc = verify(text, n, NOW);
	ck_assert_int_eq(rc, headers[_i].why == NULL ? 0 : ERR_INVALID);
	if (rc != 0 && headers[_i].why[0] != '\0')
		ck_assert_str_eq(why, headers[_i].why);
	struct token *parsed;
	ck_assert_int_eq(token_parse(&parsed, text, n, &m.mem, why), rc);
	ck_assert((parsed != NULL) == (rc == 0));
	token_free(parsed, &m.mem);
}
END_TEST

/* The classic: the public key, which is known, as the key of a MAC. */
START_TEST(a_mac_with_the_public_key_is_no_signature)
{
	char text[2 * TOKEN_TEXT_MAX];
	uint8_t mac[crypto_auth_hmacsha256_BYTES];
	size_t n = b64(text, "{\"alg\":\"HS256\"}", 15);
	text[n++] = '.';
	n += b64(text + n, LEAST, strlen(LEAST));
	crypto_auth_hmacsha256(mac, (uint8_t *)text, n, cluster.public);
	text[n++] = '.';
	n += b64(text + n, mac, sizeof mac);
	ck_assert_int_eq(verify(text, n, NOW), ERR_INVALID);
	ck_assert_str_eq(why, "signature: 43 characters; expected the 86 of EdDSA, in base64url "
			      "without padding");
}
END_TEST

/* 86 characters are four bits more than 64 bytes: one signature has one text (RFC 4648, 3.5). */
START_TEST(a_signature_has_one_text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char text[2 * TOKEN_TEXT_MAX];
	size_t n = make(text, HEADER, LEAST, &cluster);
	const char *last = strchr(digits, text[n - 1]);
	ck_assert_int_eq((last - digits) % 16, 0);
	for (int more = 1; more < 16; more++) {
		text[n - 1] = last[more];
		ck_assert_int_eq(verify(text, n, NOW), ERR_INVALID);
		ck_assert_str_eq(why,
			"signature: not base64url: bits of its last character that stand for "
			"nothing are not zero; it was changed, or written by a tool that is wrong");
	}
	text[n - 1] = *last;
	ck_assert_int_eq(verify(text, n, NOW), 0);
	/* a fourth part, however long it makes the third */
	text[n - 40] = '.';
	ck_assert_int_eq(verify(text, n, NOW), ERR_INVALID);
	ck_assert_str_eq(why, "not a token: expected three parts in base64url without padding, "
			      "dots between them, and nothing else");
}
END_TEST

START_TEST(no_signature_is_no_token)
{
	char text[2 * TOKEN_TEXT_MAX];
	size_t n = b64(text, "{\"alg\":\"none\"}", 14);
	text[n++] = '.';
	n += b64(text + n, LEAST, strlen(LEAST));
	ck_assert_int_eq(verify(text, n, NOW), ERR_INVALID);
	text[n++] = '.';
	ck_assert_int_eq(verify(text, n, NOW), ERR_INVALID);
	ck_assert_int_eq(token_parse(&token, text, n, &m.mem, why), ERR_INVALID);
}
END_TEST

START_TEST(another_cluster_key_is_not_this_one)
{
	char text[2 * TOKEN_TEXT_MAX];
	size_t n = make(text, HEADER, LEAST, &other);
	ck_assert_int_eq(verify(text, n, NOW), ERR_INVALID);
	ck_assert_str_eq(why, "signature: not made by the cluster key of bus example");
	/* unless the trust has both, in either order */
	memcpy(trust.cluster[1], other.public, KEYFILE_KEY);
	trust.n_cluster = 2;
	ck_assert_int_eq(verify(text, n, NOW), 0);
	n = make(text, HEADER, LEAST, &cluster);
	ck_assert_int_eq(verify(text, n, NOW), 0);
	trust.n_cluster = 0;
	ck_assert_int_eq(verify(text, n, NOW), ERR_INVALID);
}
END_TEST

/* --- the text -------------------------------------------------------------------------------- */

START_TEST(case_32_every_bit_of_every_byte_counts)
{
	char text[2 * TOKEN_TEXT_MAX];
	size_t n = make(text, HEADER, LEAST, &cluster);
	ck_assert_int_eq(verify(text, n, NOW), 0);
	for (size_t i = 0; i < n; i++) {
		for (int bit = 0; bit < 8; bit++) {
			text[i] = (char)(text[i] ^ 1 << bit);
			ck_assert_msg(verify(text, n, NOW) == ERR_INVALID, "byte %zu", i);
			ck_assert_ptr_null(token);
			text[i] = (char)(text[i] ^ 1 << bit);
		}
	}
	/* another byte that base64 would read as the same bits, or skip */
	for (size_t i = 0; i < n; i++) {
		char was = text[i];
		for (int c = 0; c < 256; c++) {
			text[i] = (char)c;
			ck_assert_int_eq(verify(text, n, NOW), (char)c == was ? 0 : ERR_INVALID);
		}
		text[i] = was;
	}
}
END_TEST

START_TEST(every_length_but_the_right_one_is_refused)
{
	char text[2 * TOKEN_TEXT_MAX];
	size_t n = make(text, HEADER, LEAST, &cluster);
	for (size_t k = 0; k < n; k++) {
		char *part = malloc(k + 1); /* of the very size, for the sanitizer */
		memcpy(part, text, k);
		ck_assert_int_eq(verify(part, k, NOW), ERR_INVALID);
		ck_assert_int_eq(token_parse(&token, part, k, &m.mem, why), ERR_INVALID);
		free(part);
	}
	static const char *const tails[] = {"=", "==", ".", "\n", " ", "A", ".A", "."};
	for (int i = 0; i < COUNT(tails); i++) {
		strcpy(text + n, tails[i]);
		ck_assert_int_eq(verify(text, n + strlen(tails[i]), NOW), ERR_INVALID);
	}
	memmove(text + 1, text, n);
	text[0] = ' ';
	ck_assert_int_eq(verify(text, n + 1, NOW), ERR_INVALID);
}
END_TEST

/* --- time ------------------------------------------------------------------------------------ */

START_TEST(clocks_may_differ_by_30_seconds)
{
	char text[TOKEN_TEXT_MAX + 1];
	size_t n;
	struct token t = claims();
	ck_assert_int_eq(token_sign(text, &n, &t, &cluster, why), 0);
	ck_assert_int_eq(verify(text, n, t.not_before - 30), 0);
	ck_assert_int_eq(verify(text, n, t.not_before - 31), ERR_AGAIN);
	ck_assert_str_eq(why, "nbf: not valid before 2027-01-15T07:59:50Z; it is "
			      "2027-01-15T07:59:19Z here: do the clocks agree?");
	ck_assert_ptr_null(token);
	ck_assert_int_eq(verify(text, n, t.expires + 29), 0);
	ck_assert_int_eq(verify(text, n, t.expires + 30), ERR_TIMEOUT);
	ck_assert_str_eq(why, "exp: expired at 2027-01-15T08:01:40Z; it is "
			      "2027-01-15T08:02:10Z here");
	ck_assert_ptr_null(token);
	ck_assert_int_eq(verify(text, n, INT64_MAX), ERR_TIMEOUT);
	ck_assert_int_eq(verify(text, n, INT64_MIN), ERR_AGAIN);
	/* to show it, time does not matter */
	ck_assert_int_eq(token_parse(&token, text, n, &m.mem, why), 0);
	ck_assert_int_eq(token_check_time(token, t.expires + 30, why), ERR_TIMEOUT);
}
END_TEST

START_TEST(times_are_written_in_utc)
{
	char text[TOKEN_TIME_ROOM];
	ck_assert_str_eq(token_time_text(text, 0), "1970-01-01T00:00:00Z");
	ck_assert_str_eq(token_time_text(text, TOKEN_TIME_MAX), "9999-12-31T23:59:59Z");
	ck_assert_str_eq(token_time_text(text, TOKEN_TIME_MAX + 1), "no time");
	ck_assert_str_eq(token_time_text(text, -1), "no time");
}
END_TEST

/* --- memory ---------------------------------------------------------------------------------- */

/* jansson's allocator is malloc; here the Nth call fails, and what is live is counted. */
static size_t json_calls, json_fail_at, json_live;

static void *json_alloc(size_t n)
{
	if (++json_calls == json_fail_at)
		return NULL;
	json_live++;
	return malloc(n);
}

static void json_release(void *p)
{
	json_live -= p != NULL;
	free(p);
}

START_TEST(case_39_every_allocation_may_fail)
{
	char text[TOKEN_TEXT_MAX + 1], again[TOKEN_TEXT_MAX + 1];
	size_t n, k;
	struct token t = claims();
	ck_assert_int_eq(token_sign(text, &n, &t, &cluster, why), 0);
	m.fail_at = m.calls + 1;
	ck_assert_int_eq(verify(text, n, NOW), ERR_NOMEM);
	m.fail_at = 0;

	json_set_alloc_funcs(json_alloc, json_release);
	for (json_fail_at = 1;; json_fail_at++) {
		json_calls = 0;
		int rc = verify(text, n, NOW);
		ck_assert(rc == 0 || ((rc == ERR_NOMEM || rc == ERR_INVALID) && token == NULL));
		ck_assert_uint_eq(json_live, 0);
		if (json_calls < json_fail_at) {
			ck_assert_int_eq(rc, 0);
			break;
		}
	}
	ck_assert_uint_gt(json_fail_at, 20);
	for (json_fail_at = 1;; json_fail_at++) {
		json_calls = 0;
		int rc = token_sign(again, &k, &t, &cluster, why);
		ck_assert_uint_eq(json_live, 0);
		/* A token with less in it than was asked for must not come of it. */
		ck_assert(rc == ERR_NOMEM || strcmp(text, again) == 0);
		if (json_calls < json_fail_at) {
			ck_assert_int_eq(rc, 0);
			break;
		}
	}
	ck_assert_uint_gt(json_fail_at, 20);
	json_set_alloc_funcs(malloc, free);
}
END_TEST

/* RFC 8037, A.4: their key and signature, so that it is EdDSA as others have it. */
START_TEST(the_signature_is_that_of_rfc_8037)
{
	static const char key[] = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
	static const char text[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
				   "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylG"
				   "jg5BhVsPt9g7sVvpAr_MuM0KAg";
	ck_assert_int_eq(sodium_base642bin(trust.cluster[0], KEYFILE_KEY, key, strlen(key), NULL,
				 NULL, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
		0);
	/* Signature and header are taken; that it has no claims comes after. */
	ck_assert_int_eq(verify(text, strlen(text), NOW), ERR_INVALID);
	ck_assert_msg(strncmp(why, "claims: not JSON", 16) == 0, "%s", why);
}
END_TEST

static TCase *add_case(Suite *s, const char *name)
{
	TCase *tc = tcase_create(name);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 300);
	suite_add_tcase(s, tc);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("token");
	TCase *tc = add_case(s, "signed");
	tcase_add_test(tc, what_is_signed_is_taken_back);
	tcase_add_test(tc, a_token_without_patterns_may_do_nothing);
	tcase_add_test(tc, what_would_be_refused_is_not_signed);
	tcase_add_test(tc, a_token_has_at_most_4_kib);
	tc = add_case(s, "claims");
	tcase_add_loop_test(tc, the_least_claims_are_enough, 0, COUNT(good_claims));
	tcase_add_loop_test(tc, a_bad_claim_is_named, 0, COUNT(bad_claims));
	tcase_add_loop_test(tc, what_is_not_strict_json_is_refused, 0, COUNT(no_json));
	tcase_add_test(tc, patterns_are_64_at_most);
	tcase_add_test(tc, deep_claims_are_refused);
	tc = add_case(s, "envelope");
	tcase_add_loop_test(tc, the_algorithm_is_eddsa, 0, COUNT(headers));
	tcase_add_test(tc, a_mac_with_the_public_key_is_no_signature);
	tcase_add_test(tc, a_signature_has_one_text);
	tcase_add_test(tc, no_signature_is_no_token);
	tcase_add_test(tc, another_cluster_key_is_not_this_one);
	tcase_add_test(tc, case_32_every_bit_of_every_byte_counts);
	tcase_add_test(tc, every_length_but_the_right_one_is_refused);
	tcase_add_test(tc, the_signature_is_that_of_rfc_8037);
	tc = add_case(s, "time");
	tcase_add_test(tc, clocks_may_differ_by_30_seconds);
	tcase_add_test(tc, times_are_written_in_utc);
	tc = add_case(s, "memory");
	tcase_add_test(tc, case_39_every_allocation_may_fail);
	return unit_main(s);
}
