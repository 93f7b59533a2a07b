#include "tool/keygen.h"

#include "tool/files.h"
#include "tool/tool.h"

#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct options {
	const char *file;
	enum secretfile_replace replace;
};

static int parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"force", no_argument, NULL, 'f'}, {NULL, 0, NULL, 0}};
	*o = (struct options){NULL, SECRETFILE_NEW};
	for (int c; (c = getopt_long(argc, argv, "f", longs, NULL)) != -1;) {
		if (c != 'f')
			return tool_usage();
		o->replace = SECRETFILE_REPLACE;
	}
	if (optind + 1 != argc || argv[optind][0] == '\0') {
		fprintf(stderr, "%s: expected one file\n", argv[0]);
		return tool_usage();
	}
	o->file = argv[optind];
	return 0;
}

/*
 * The public half first: whoever is stopped between the two has the old key still, and a node
 * with a token for it goes on.
 */
static int write_files(struct files_secrets *s, const struct options *o, const char *pub)
{
	struct keyfile_public public;
	memcpy(public.public, s->node.public, KEYFILE_KEY);
	const struct secretfile_new files[] = {
		{pub, s->text[0], keyfile_format_public(s->text[0], &public), o->replace},
		{o->file, s->text[1], keyfile_format_node(s->text[1], &s->node), o->replace}};
	return files_write(files, 2);
}

static int make(struct files_secrets *s, const struct options *o)
{
	char pub[PATH_MAX], text[KEYFILE_KEY_ROOM];
	struct stat st;
	if (snprintf(pub, sizeof pub, "%s.pub", o->file) >= PATH_MAX)
		return tool_fail(TOOL_EXIT_FAILED, "%s: the name is too long", o->file);
	if (o->replace == SECRETFILE_NEW && lstat(pub, &st) == 0)
		return tool_fail(
			TOOL_EXIT_FAILED, "%s: is there already; --force replaces it", pub);
	if (o->replace == SECRETFILE_NEW && lstat(o->file, &st) == 0)
		return tool_fail(
			TOOL_EXIT_FAILED, "%s: is there already; --force replaces it", o->file);
	int status = files_spare_bus(pub);
	if (status == 0)
		status = files_spare_bus(o->file);
	if (status != 0)
		return status;
	randombytes_buf(s->random, sizeof s->random);
	keyfile_make_node(&s->node, s->random);
	status = write_files(s, o, pub);
	if (status == 0)
		printf("%s  the key of this node; SECRET: it stays here\n"
		       "%s  for whoever issues its token: cloudbus issue --public\n"
		       "public key %s\n",
			o->file, pub, keyfile_key_text(text, s->node.public));
	return status;
}

int keygen_run(int argc, char **argv)
{
	struct options o;
	int status = parse(&o, argc, argv);
	if (status != 0)
		return status;
	struct files_secrets *s = files_secrets_new();
	status = s != NULL ? make(s, &o) : TOOL_EXIT_FAILED;
	files_secrets_free(s);
	return status;
}
