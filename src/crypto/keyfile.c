#include "crypto/keyfile.h"

#include "base/err.h"
#include "crypto/locked.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
	VERSION = 1,
	VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING,
};

static const char cluster_kind[] = "cloudbus-cluster-key";
static const char node_kind[] = "cloudbus-node-key";
static const char public_kind[] = "cloudbus-node-public";
static const char trust_kind[] = "cloudbus-trust";
static const char *const kinds[] = {cluster_kind, node_kind, public_kind, trust_kind};

/* A field that a file may have: a name, or up to `max` keys. */
struct field {
	const char *name;
	char *text;    /* NAME_ROOM bytes, or NULL */
	uint8_t *keys; /* max times KEYFILE_KEY bytes, or NULL */
	size_t max;
	size_t count; /* how many stand in the file */
};

struct reader {
	const struct keyfile_text *in;
	const char *kind;
	struct field *fields; /* up to one without a name */
	unsigned line;
	bool begun; /* the line that says what the file is was there */
	char *why;
};

/* --- lines ----------------------------------------------------------------------------------- */

/* A piece of a line. */
struct span {
	const char *s;
	size_t n;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(struct span s)
{
	while (s.n > 0 && is_blank(s.s[0])) {
		s.s++;
		s.n--;
	}
	while (s.n > 0 && is_blank(s.s[s.n - 1]))
		s.n--;
	return s;
}

/* Takes the first word off a trimmed line. */
static struct span word(struct span *line)
{
	struct span w = {line->s, 0};
	while (w.n < line->n && !is_blank(w.s[w.n]))
		w.n++;
	*line = trim((struct span){line->s + w.n, line->n - w.n});
	return w;
}

static bool is(struct span s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.s, text, s.n) == 0;
}

/*
 * Nothing of the file is quoted in a message: what looks like a word in the wrong place may
 * well be the secret.
 */
static int bad(const struct reader *r, const char *what)
{
	return why_say(r->why, ERR_INVALID, "%s:%u: %s", r->in->name, r->line, what);
}

static int read_begin(struct reader *r, struct span line)
{
	struct span kind = word(&line);
	r->begun = true;
	if (is(kind, r->kind) && is(line, "1"))
		return 0;
	if (is(kind, r->kind))
		return why_say(r->why, ERR_INVALID,
			"%s:%u: another version than %d, which is all that this program knows",
			r->in->name, r->line, VERSION);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (is(kind, kinds[i]))
			return why_say(r->why, ERR_INVALID, "%s:%u: this is a %s, expected a %s",
				r->in->name, r->line, kinds[i], r->kind);
	return why_say(r->why, ERR_INVALID, "%s:%u: expected \"%s %d\": is this the right file?",
		r->in->name, r->line, r->kind, VERSION);
}

static int read_value(struct reader *r, struct field *f, struct span value)
{
	if (f->count == f->max)
		return why_say(r->why, ERR_INVALID, "%s:%u: %s: expected %s", r->in->name, r->line,
			f->name, f->max == 1 ? "only once" : "at most twice");
	if (f->text != NULL) {
		if (!name_valid(value.s, value.n))
			return why_say(r->why, ERR_INVALID, "%s:%u: %s: expected " NAME_EXPECTED,
				r->in->name, r->line, f->name);
		memcpy(f->text, value.s, value.n);
		f->text[value.n] = '\0';
	} else {
		size_t n = 0;
		uint8_t *to = f->keys + f->count * KEYFILE_KEY;
		if (sodium_base642bin(to, KEYFILE_KEY, value.s, value.n, NULL, &n, NULL, VARIANT) !=
				0 ||
			n != KEYFILE_KEY)
			return why_say(r->why, ERR_INVALID,
				"%s:%u: %s: expected %d characters of base64url without padding",
				r->in->name, r->line, f->name, KEYFILE_KEY_ROOM - 1);
	}
	f->count++;
	return 0;
}

static int read_line(struct reader *r, struct span line)
{
	line = trim(line);
	if (line.n == 0 || line.s[0] == '#')
		return 0;
	if (!r->begun)
		return read_begin(r, line);
	struct span name = word(&line);
	for (struct field *f = r->fields; f->name != NULL; f++)
		if (is(name, f->name))
			return read_value(r, f, line);
	return bad(r, "unknown field");
}

/* 0, or ERR_INVALID with words; the fields may then be half filled. */
static int read_fields(struct field *fields, const char *kind, const struct keyfile_text *in,
	char why[static WHY_MAX])
{
	struct reader r = {.in = in, .kind = kind, .fields = fields, .why = why};
	if (in->n > KEYFILE_MAX)
		return why_say(why, ERR_INVALID, "%s: %zu bytes; expected at most %d", in->name,
			in->n, KEYFILE_MAX);
	if (in->n == 0)
		return why_say(why, ERR_INVALID, "%s: is empty", in->name);
	for (struct span rest = {in->text, in->n}; rest.n > 0;) {
		const char *end = memchr(rest.s, '\n', rest.n);
		size_t n = end != NULL ? (size_t)(end - rest.s) : rest.n;
		r.line++;
		int rc = read_line(&r, (struct span){rest.s, n});
		if (rc != 0)
			return rc;
		n += end != NULL;
		rest = (struct span){rest.s + n, rest.n - n};
	}
	if (!r.begun)
		return why_say(why, ERR_INVALID, "%s: expected \"%s %d\"", in->name, kind, VERSION);
	for (const struct field *f = fields; f->name != NULL; f++)
		if (f->count == 0)
			return why_say(why, ERR_INVALID, "%s: %s: the field is missing", in->name,
				f->name);
	return 0;
}

bool keyfile_is_of_bus(const struct keyfile_text *in)
{
	for (struct span rest = {in->text, in->n}; rest.n > 0;) {
		const char *end = memchr(rest.s, '\n', rest.n);
		size_t n = end != NULL ? (size_t)(end - rest.s) : rest.n;
		struct span line = trim((struct span){rest.s, n});
		struct span kind = word(&line);
		if (kind.n > 0 && kind.s[0] != '#')
			return is(kind, cluster_kind) || is(kind, trust_kind);
		n += end != NULL;
		rest = (struct span){rest.s + n, rest.n - n};
	}
	return false;
}

/* --- the four kinds -------------------------------------------------------------------------- */

bool keyfile_is_weak(const uint8_t public[static KEYFILE_KEY])
{
	static const uint8_t any[KEYFILE_KEY] = {8};
	uint8_t shared[KEYFILE_KEY];
	return crypto_scalarmult(shared, any, public) != 0;
}

int keyfile_parse_cluster(
	struct keyfile_cluster *out, const struct keyfile_text *in, char why[static WHY_MAX])
{
	struct keyfile_cluster got = {.bus = ""};
	uint8_t seed[KEYFILE_KEY];
	struct field fields[] = {{.name = "bus", .text = got.bus, .max = 1},
		{.name = "secret-key", .keys = seed, .max = 1}, {.name = NULL}};
	*out = got;
	int rc = read_fields(fields, cluster_kind, in, why);
	if (rc == 0)
		keyfile_make_cluster(out, got.bus, seed);
	sodium_memzero(seed, sizeof seed);
	sodium_stackzero(LOCKED_STACK);
	return rc;
}

int keyfile_parse_node(
	struct keyfile_node *out, const struct keyfile_text *in, char why[static WHY_MAX])
{
	uint8_t secret[KEYFILE_KEY];
	struct field fields[] = {{.name = "secret-key", .keys = secret, .max = 1}, {.name = NULL}};
	memset(out, 0, sizeof *out);
	int rc = read_fields(fields, node_kind, in, why);
	if (rc == 0)
		keyfile_make_node(out, secret);
	sodium_memzero(secret, sizeof secret);
	sodium_stackzero(LOCKED_STACK);
	return rc;
}

int keyfile_parse_public(
	struct keyfile_public *out, const struct keyfile_text *in, char why[static WHY_MAX])
{
	struct field fields[] = {
		{.name = "public-key", .keys = out->public, .max = 1}, {.name = NULL}};
	int rc = read_fields(fields, public_kind, in, why);
	if (rc == 0 && keyfile_is_weak(out->public))
		rc = why_say(why, ERR_INVALID, "%s: public-key: not one that a secret key has",
			in->name);
	if (rc != 0)
		memset(out, 0, sizeof *out);
	return rc;
}

int keyfile_parse_trust(
	struct keyfile_trust *out, const struct keyfile_text *in, char why[static WHY_MAX])
{
	memset(out, 0, sizeof *out);
	struct field fields[] = {{.name = "bus", .text = out->bus, .max = 1},
		{.name = "cluster-key", .keys = out->cluster[0], .max = KEYFILE_TRUST_KEYS},
		{.name = "network-secret", .keys = out->network[0], .max = KEYFILE_TRUST_KEYS},
		{.name = NULL}};
	int rc = read_fields(fields, trust_kind, in, why);
	out->n_cluster = fields[1].count;
	out->n_network = fields[2].count;
	for (size_t i = 0; rc == 0 && i < out->n_cluster; i++)
		if (crypto_core_ed25519_is_valid_point(out->cluster[i]) != 1)
			rc = why_say(why, ERR_INVALID,
				"%s: cluster-key: not one that a secret key has", in->name);
	if (rc != 0)
		sodium_memzero(out, sizeof *out);
	sodium_stackzero(LOCKED_STACK);
	return rc;
}

void keyfile_make_cluster(
	struct keyfile_cluster *out, const char *bus, const uint8_t seed[static KEYFILE_KEY])
{
	snprintf(out->bus, sizeof out->bus, "%s", bus);
	crypto_sign_seed_keypair(out->public, out->secret, seed);
	sodium_stackzero(LOCKED_STACK);
}

void keyfile_make_node(struct keyfile_node *out, const uint8_t secret[static KEYFILE_KEY])
{
	memcpy(out->secret, secret, KEYFILE_KEY);
	crypto_scalarmult_base(out->public, secret);
	sodium_stackzero(LOCKED_STACK);
}

/* --- writing --------------------------------------------------------------------------------- */

const char *keyfile_key_text(
	char to[static KEYFILE_KEY_ROOM], const uint8_t key[static KEYFILE_KEY])
{
	return sodium_bin2base64(to, KEYFILE_KEY_ROOM, key, KEYFILE_KEY, VARIANT);
}

size_t keyfile_format_cluster(
	char out[static KEYFILE_FORMAT_MAX], const struct keyfile_cluster *key)
{
	char secret[KEYFILE_KEY_ROOM];
	keyfile_key_text(secret, key->secret);
	int n = snprintf(out, KEYFILE_FORMAT_MAX,
		"# The cluster key of a Cloudbus.  SECRET: who has it makes tokens for any node.\n"
		"# No node needs it.  Keep it where tokens are issued, and a copy in a safe "
		"place.\n"
		"%s %d\n"
		"bus %s\n"
		"secret-key %s\n",
		cluster_kind, VERSION, key->bus, secret);
	sodium_memzero(secret, sizeof secret);
	return (size_t)n;
}

size_t keyfile_format_node(char out[static KEYFILE_FORMAT_MAX], const struct keyfile_node *key)
{
	char secret[KEYFILE_KEY_ROOM], public[KEYFILE_KEY_ROOM];
	keyfile_key_text(secret, key->secret);
	int n = snprintf(out, KEYFILE_FORMAT_MAX,
		"# The key of one node of a Cloudbus.  SECRET: it belongs on that node only.\n"
		"# Its public key is %s\n"
		"%s %d\n"
		"secret-key %s\n",
		keyfile_key_text(public, key->public), node_kind, VERSION, secret);
	sodium_memzero(secret, sizeof secret);
	return (size_t)n;
}

size_t keyfile_format_public(char out[static KEYFILE_FORMAT_MAX], const struct keyfile_public *key)
{
	char public[KEYFILE_KEY_ROOM];
	int n = snprintf(out, KEYFILE_FORMAT_MAX,
		"# The public key of one node of a Cloudbus, for: cloudbus issue --public FILE\n"
		"%s %d\n"
		"public-key %s\n",
		public_kind, VERSION, keyfile_key_text(public, key->public));
	return (size_t)n;
}

/* The lines of one field, behind what `out` has already. */
static size_t put_keys(char out[static KEYFILE_FORMAT_MAX], size_t at, const char *field,
	const uint8_t (*keys)[KEYFILE_KEY], size_t n)
{
	char text[KEYFILE_KEY_ROOM];
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(out + at, KEYFILE_FORMAT_MAX - at, "%s %s\n", field,
			keyfile_key_text(text, keys[i]));
	sodium_memzero(text, sizeof text);
	return at;
}

size_t keyfile_format_trust(char out[static KEYFILE_FORMAT_MAX], const struct keyfile_trust *trust)
{
	int n = snprintf(out, KEYFILE_FORMAT_MAX,
		"# What every node of a Cloudbus has.  SECRET, for the network-secret in it.\n"
		"# Either key may stand twice while it is changed: see cloudbus-security(7).\n"
		"%s %d\n"
		"bus %s\n",
		trust_kind, VERSION, trust->bus);
	size_t at = put_keys(out, (size_t)n, "cluster-key", trust->cluster, trust->n_cluster);
	return put_keys(out, at, "network-secret", trust->network, trust->n_network);
}
