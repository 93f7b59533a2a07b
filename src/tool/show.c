#include "tool/show.h"

#include "base/err.h"
#include "crypto/credentials.h"
#include "tool/files.h"
#include "tool/tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

struct options {
	const char *file, *revoked;
	const char *trust; /* NULL: the signature is not checked */
	char beside[PATH_MAX];
};

/* What is held against the token. */
struct context {
	char text[TOKEN_TEXT_MAX + 1];
	size_t text_n;
	struct token *token;
	struct keyfile_trust *trust; /* locked; NULL: none */
	struct revoked *revoked;
	int64_t now;
};

static int parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {{"trust", required_argument, NULL, 't'},
		{"revoked", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
	*o = (struct options){.file = NULL};
	for (int c; (c = getopt_long(argc, argv, "t:r:", longs, NULL)) != -1;) {
		if (c == 't')
			o->trust = optarg;
		else if (c == 'r')
			o->revoked = optarg;
		else
			return tool_usage();
	}
	if (optind + 1 != argc || argv[optind][0] == '\0') {
		fprintf(stderr, "%s: expected one file\n", argv[0]);
		return tool_usage();
	}
	o->file = argv[optind];
	const char *slash = strrchr(o->file, '/');
	int dir = slash != NULL ? (int)(slash - o->file) + 1 : 0;
	if (o->trust == NULL &&
		snprintf(o->beside, PATH_MAX, "%.*strust", dir, o->file) < PATH_MAX &&
		access(o->beside, F_OK) == 0)
		o->trust = o->beside;
	return 0;
}

/* --- what is read ---------------------------------------------------------------------------- */

static int read_token(struct context *c, const char *path)
{
	static const struct secretfile_rules any = {SECRETFILE_ANY, KEYFILE_MAX, 0};
	char why[WHY_MAX];
	int rc = credentials_read_token(c->text, &c->text_n, path, &any, why);
	if (rc != 0)
		return tool_fail(TOOL_EXIT_FILE, "%s", why);
	rc = token_parse(&c->token, c->text, c->text_n, mem_system(), why);
	return rc == 0 ? 0 : tool_fail(TOOL_EXIT_FILE, "%s: %s", path, why);
}

static int read_trust(struct context *c, const char *path)
{
	if (path == NULL)
		return 0;
	c->trust = sodium_malloc(sizeof *c->trust);
	if (c->trust == NULL)
		return tool_fail(TOOL_EXIT_FAILED, "out of memory");
	return files_read_trust(c->trust, path);
}

static int read_revoked(struct context *c, const char *path)
{
	static const struct secretfile_rules rules = {SECRETFILE_ANY, REVOKED_FILE_MAX, 0};
	char why[WHY_MAX];
	struct secretfile f;
	uint64_t seed;
	if (path == NULL)
		return 0;
	randombytes_buf(&seed, sizeof seed);
	int rc = secretfile_read(&f, path, &rules, why);
	if (rc == 0)
		rc = revoked_parse(&c->revoked, &(struct keyfile_text){path, f.text, f.n}, seed,
			mem_system(), why);
	secretfile_wipe(&f);
	return rc == 0 ? 0 : tool_fail(TOOL_EXIT_FILE, "%s", why);
}

/* --- what is printed ------------------------------------------------------------------------- */

static void print_patterns(const char *what, const char *const *patterns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("  %-10s%s\n", i == 0 ? what : "", patterns[i]);
	if (n == 0)
		printf("  %-10snothing\n", what);
}

/* "in 3 days", "5 hours ago"; whole units, of which there are two or more, or seconds. */
static void print_time(const char *what, int64_t at, int64_t now)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{DAY, "days"}, {HOUR, "hours"}, {MINUTE, "minutes"}, {1, "seconds"}};
	char text[TOKEN_TIME_ROOM];
	int64_t away = at > now ? at - now : now - at;
	size_t i = 0;
	while (units[i].seconds > 1 && away < 2 * units[i].seconds)
		i++;
	printf("  %-10s%s  (%s%" PRId64 " %s%s)\n", what, token_time_text(text, at),
		at > now ? "in " : "", away / units[i].seconds, units[i].name,
		at > now ? "" : " ago");
}

static void print_claims(const struct context *c)
{
	const struct token *t = c->token;
	char key[KEYFILE_KEY_ROOM];
	printf("token %s\n", t->id);
	printf("  %-10s%s\n", "bus", t->bus);
	printf("  %-10s%s, a %s\n", "node", t->node, token_role_text(t->role));
	printf("  %-10s%s\n", "customer", t->customer[0] != '\0' ? t->customer : "none");
	printf("  %-10s%s\n", "key", keyfile_key_text(key, t->key));
	print_patterns("serves", t->serve, t->n_serve);
	print_patterns("opens", t->open, t->n_open);
	if (t->not_before > 0)
		print_time("from", t->not_before, c->now);
	print_time("until", t->expires, c->now);
}

/* The last line, and the exit status: the first thing that is wrong. */
static int judge(const struct context *c, const struct options *o)
{
	char why[WHY_MAX];
	int rc;
	if (c->trust != NULL && strcmp(c->trust->bus, c->token->bus) != 0) {
		rc = why_say(why, ERR_INVALID, "iss: a token of bus %s; %s is of bus %s",
			c->token->bus, o->trust, c->trust->bus);
	} else if (c->trust != NULL) {
		const struct token_rules rules = {c->trust, c->now, mem_system()};
		struct token *again;
		rc = token_verify(&again, c->text, c->text_n, &rules, why);
		token_free(again, mem_system());
	} else {
		rc = token_check_time(c->token, c->now, why);
	}
	if (rc == 0 && revoked_has(c->revoked, c->token))
		rc = why_say(why, ERR_CLOSED, "it is on the list %s", o->revoked);
	if (rc != 0)
		printf("NOT VALID NOW: %s\n", why);
	else if (c->trust != NULL)
		printf("valid now; signed by the cluster key in %s\n", o->trust);
	else
		puts("valid now, if it is genuine: the signature was NOT checked, which takes "
		     "--trust FILE");
	return rc == 0 ? TOOL_EXIT_OK : TOOL_EXIT_FAILED;
}

int show_run(int argc, char **argv)
{
	struct options o;
	struct context c = {.now = time(NULL)};
	int status = parse(&o, argc, argv);
	if (status == 0)
		status = read_token(&c, o.file);
	if (status == 0)
		status = read_trust(&c, o.trust);
	if (status == 0)
		status = read_revoked(&c, o.revoked);
	if (status == 0) {
		print_claims(&c);
		status = judge(&c, &o);
	}
	token_free(c.token, mem_system());
	revoked_free(c.revoked);
	sodium_free(c.trust);
	return status;
}
