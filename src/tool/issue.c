#include "tool/issue.h"

#include "conf/conf_value.h"
#include "crypto/token.h"
#include "tool/node_key.h"
#include "tool/tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

enum { DAY = 86400, ID_BYTES = 16 };

static const int64_t second = 1000000; /* microseconds */

struct options {
	const char *dir, *public_file;
	enum secretfile_replace replace;
	bool has_role, new_key;
	int64_t ttl;         /* seconds */
	struct token claims; /* as far as the command line says */
};

/* --- the command line ------------------------------------------------------------------------ */

static int bad(const char *option, const char *value, const char *expected)
{
	char quote[WHY_QUOTE_ROOM];
	(void)tool_fail(TOOL_EXIT_USAGE, "%s: \"%s\": expected %s", option,
		why_quote(quote, value, strlen(value)), expected);
	return tool_usage();
}

static int set_name(char to[static NAME_ROOM], const char *option, const char *value)
{
	if (!name_valid(value, strlen(value)))
		return bad(option, value, NAME_EXPECTED);
	strcpy(to, value);
	return 0;
}

static int set_role(struct options *o, const char *value)
{
	o->has_role = true;
	o->claims.role = TOKEN_SEGMENT;
	if (strcmp(value, "segment") == 0)
		return 0;
	o->claims.role = TOKEN_CONTROLLER;
	return strcmp(value, "controller") == 0 ? 0 : bad("--role", value, "controller or segment");
}

static int add_pattern(const char **to, size_t *n, const char *option, const char *value)
{
	if (!pattern_valid(value, strlen(value)))
		return bad(option, value, PATTERN_EXPECTED);
	if (*n == TOKEN_PATTERNS_MAX)
		return bad(option, value, "at most 64 of them");
	to[(*n)++] = value;
	return 0;
}

static int set_ttl(struct options *o, const char *value)
{
	static const struct conf_key key = {.type = CONF_DURATION,
		.min = UINT64_C(60) * 1000000,
		.max = UINT64_C(1000000) * DAY * ISSUE_TTL_MAX};
	const char *unused;
	uint64_t us;
	size_t n = strlen(value);
	/* Milliseconds are for configurations; a token has whole seconds. */
	bool ms = n >= 2 && strcasecmp(value + n - 2, "ms") == 0;
	if (ms || conf_value_number(&us, &key, value, &unused) != 0)
		return bad("--ttl", value, "a number and s, m, h or d, from 1m to 3650d");
	o->ttl = (int64_t)us / second;
	return 0;
}

static int set(struct options *o, int c, const char *value)
{
	struct token *t = &o->claims;
	switch (c) {
	case 'd':
		o->dir = value;
		return value[0] != '\0' ? 0 : bad("--dir", value, "the folder of the bus");
	case 'p':
		o->public_file = value;
		return 0;
	case 'f':
		o->replace = SECRETFILE_REPLACE;
		return 0;
	case 'k':
		o->new_key = true;
		o->replace = SECRETFILE_REPLACE;
		return 0;
	case 'r':
		return set_role(o, value);
	case 's':
		return add_pattern(t->serve, &t->n_serve, "--serve", value);
	case 'o':
		return add_pattern(t->open, &t->n_open, "--open", value);
	case 'c':
		return set_name(t->customer, "--customer", value);
	case 't':
		return set_ttl(o, value);
	default:
		return tool_usage();
	}
}

static int parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {{"dir", required_argument, NULL, 'd'},
		{"role", required_argument, NULL, 'r'}, {"serve", required_argument, NULL, 's'},
		{"open", required_argument, NULL, 'o'}, {"customer", required_argument, NULL, 'c'},
		{"ttl", required_argument, NULL, 't'}, {"public", required_argument, NULL, 'p'},
		{"force", no_argument, NULL, 'f'}, {"new-key", no_argument, NULL, 'k'},
		{NULL, 0, NULL, 0}};
	int status = 0;
	*o = (struct options){
		.dir = ".", .replace = SECRETFILE_NEW, .ttl = (int64_t)ISSUE_TTL_DEFAULT * DAY};
	for (int c; (c = getopt_long(argc, argv, "d:r:s:o:c:t:p:fk", longs, NULL)) != -1;)
		if ((status = set(o, c, optarg)) != 0)
			return status;
	if (optind + 1 != argc) {
		fprintf(stderr, "%s: expected the name of one node%s\n", argv[0],
			optind < argc ? "; quote a pattern for the shell: '*'" : "");
		return tool_usage();
	}
	if (!o->has_role) {
		fprintf(stderr, "%s: expected --role controller or --role segment\n", argv[0]);
		return tool_usage();
	}
	/* Its key would be that of the bus. */
	if (strcasecmp(argv[optind], "cluster") == 0)
		return bad("NAME", argv[optind], "another name: cluster.key is the key of the bus");
	return set_name(o->claims.node, "NAME", argv[optind]);
}

/* --- the token ------------------------------------------------------------------------------- */

static void print_patterns(const char *what, const char *const *patterns, size_t n)
{
	printf("  %-9s", what);
	for (size_t i = 0; i < n; i++)
		printf("%s%s", i > 0 ? ", " : "", patterns[i]);
	puts(n == 0 ? "nothing" : "");
}

static void report(
	const struct options *o, const char *key, const char *token, const struct node_key *from)
{
	static const char *const sources[] = {"new; SECRET: for this node only",
		"was there already, and stays", "made elsewhere"};
	const struct token *t = &o->claims;
	char until[TOKEN_TIME_ROOM], text[KEYFILE_KEY_ROOM];
	printf("node %s, a %s of bus %s\n", t->node, token_role_text(t->role), t->bus);
	if (from->source == NODE_KEY_ELSEWHERE)
		printf("  %-9s%s  (%s)\n", "key", keyfile_key_text(text, t->key),
			sources[from->source]);
	else
		printf("  %-9s%s  (%s)\n", "key", key, sources[from->source]);
	printf("  %-9s%s\n", "token", token);
	printf("  %-9s%s\n", "id", t->id);
	if (t->customer[0] != '\0')
		printf("  %-9s%s\n", "customer", t->customer);
	print_patterns("serves", t->serve, t->n_serve);
	print_patterns("opens", t->open, t->n_open);
	printf("  %-9s%s\n", "until", token_time_text(until, t->expires));
	if (from->left_over)
		printf("%s is another key, which the node has no more: remove it.\n", key);
	if (t->role == TOKEN_SEGMENT && t->n_serve == 0)
		puts("It may serve nothing, so no link with it is of use: issue it again with "
		     "--force and --serve NAME, or --serve '*' for every service.");
	if (t->role == TOKEN_CONTROLLER && t->n_open == 0)
		puts("It may open nothing, so no client gets through it: issue it again with "
		     "--force and --open NAME, or --open '*' for every service.");
}

/* The key first: without its token it is of use to the next issue, unlike the reverse. */
static int write_files(const struct options *o, struct files_secrets *s, const char *key,
	const char *token, const struct node_key *from)
{
	char text[TOKEN_TEXT_MAX + 2], why[WHY_MAX];
	size_t n;
	if (token_sign(text, &n, &o->claims, &s->cluster, why) != 0)
		return tool_fail(TOOL_EXIT_FAILED, "%s: cannot make it: %s", token, why);
	text[n] = '\n';
	const struct secretfile_new files[] = {
		{key, s->text[0], keyfile_format_node(s->text[0], &s->node),
			o->new_key ? SECRETFILE_REPLACE : SECRETFILE_NEW},
		{token, text, n + 1, o->replace}};
	return from->source == NODE_KEY_NEW ? files_write(files, 2) : files_write(files + 1, 1);
}

static int issue(struct options *o, struct files_secrets *s)
{
	char key[PATH_MAX], token[PATH_MAX];
	uint8_t id[ID_BYTES];
	struct stat st;
	struct node_key from;
	struct node_key_search search = {key, token, o->public_file, o->new_key};
	int status = files_path(key, o->dir, o->claims.node, ".key");
	if (status == 0)
		status = files_path(token, o->dir, o->claims.node, ".token");
	if (status == 0)
		status = files_read_bus(s, o->dir);
	if (status != 0)
		return status;
	files_warn_of_folder(o->dir);
	if (o->replace == SECRETFILE_NEW && lstat(token, &st) == 0)
		return tool_fail(TOOL_EXIT_FAILED,
			"%s: is there already; --force replaces it, and the key stays", token);
	strcpy(o->claims.bus, s->cluster.bus);
	o->claims.not_before = time(NULL);
	o->claims.expires = o->claims.not_before + o->ttl;
	randombytes_buf(id, sizeof id);
	sodium_bin2hex(o->claims.id, sizeof o->claims.id, id, sizeof id);
	status = node_key_find(&from, s, &search);
	memcpy(o->claims.key, from.public, KEYFILE_KEY);
	if (status == 0)
		status = files_spare_bus(token);
	if (status == 0)
		status = write_files(o, s, key, token, &from);
	if (status == 0)
		report(o, key, token, &from);
	return status;
}

int issue_run(int argc, char **argv)
{
	struct options o;
	int status = parse(&o, argc, argv);
	if (status != 0)
		return status;
	struct files_secrets *s = files_secrets_new();
	status = s != NULL ? issue(&o, s) : TOOL_EXIT_FAILED;
	files_secrets_free(s);
	return status;
}
