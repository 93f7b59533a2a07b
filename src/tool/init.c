#include "tool/init.h"

#include "tool/files.h"
#include "tool/tool.h"

#include <errno.h>
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct options {
	const char *dir;
	const char *name; /* NULL: that of the folder */
};

static int parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"name", required_argument, NULL, 'n'}, {NULL, 0, NULL, 0}};
	*o = (struct options){NULL, NULL};
	for (int c; (c = getopt_long(argc, argv, "n:", longs, NULL)) != -1;) {
		if (c != 'n')
			return tool_usage();
		o->name = optarg;
	}
	if (optind + 1 != argc || argv[optind][0] == '\0') {
		fprintf(stderr, "%s: expected one folder\n", argv[0]);
		return tool_usage();
	}
	o->dir = argv[optind];
	return 0;
}

/* The bus's name, from the command line or the folder, which is there. */
static int name_of(char name[static NAME_ROOM], const struct options *o)
{
	char path[PATH_MAX];
	const char *from = o->name;
	if (from == NULL && realpath(o->dir, path) != NULL)
		from = strrchr(path, '/') + 1;
	if (from == NULL)
		return tool_fail(TOOL_EXIT_FAILED, "%s: cannot open: %s", o->dir, strerror(errno));
	if (!name_valid(from, strlen(from))) {
		(void)tool_fail(
			TOOL_EXIT_USAGE, "%s: no name for a bus; expected " NAME_EXPECTED, from);
		if (o->name == NULL)
			fputs("The folder's name was taken; give another with --name.\n", stderr);
		return TOOL_EXIT_USAGE;
	}
	strcpy(name, from);
	return 0;
}

/* The folder, of mode 0700 if it is not there. */
static int make_folder(const char *dir, bool *made)
{
	struct stat st;
	*made = mkdir(dir, 0700) == 0;
	if (*made)
		return 0;
	if (errno != EEXIST || stat(dir, &st) != 0)
		return tool_fail(
			TOOL_EXIT_FAILED, "%s: cannot make the folder: %s", dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return tool_fail(TOOL_EXIT_FAILED, "%s: is there and is no folder", dir);
	files_warn_of_folder(dir);
	return 0;
}

/* Neither may be there: half a bus is no bus. */
static int check_absent(const char *path)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return 0;
	return tool_fail(TOOL_EXIT_FAILED,
		"%s: is there already.  A bus is made once: all its tokens end with its cluster "
		"key.  Another bus needs another folder",
		path);
}

static int write_bus(struct files_secrets *s, const char *key, const char *trust)
{
	const struct secretfile_new files[] = {
		{key, s->text[0], keyfile_format_cluster(s->text[0], &s->cluster), SECRETFILE_NEW},
		{trust, s->text[1], keyfile_format_trust(s->text[1], &s->trust), SECRETFILE_NEW}};
	return files_write(files, 2);
}

static int make_bus(struct files_secrets *s, const char *dir, const char *name)
{
	char key[PATH_MAX], trust[PATH_MAX], quoted[WHY_MAX];
	const char *word = why_shell(quoted, dir);
	int status = files_path(key, dir, "cluster.key", "");
	if (status == 0)
		status = files_path(trust, dir, "trust", "");
	if (status == 0)
		status = check_absent(key);
	if (status == 0)
		status = check_absent(trust);
	if (status != 0)
		return status;
	randombytes_buf(s->random, sizeof s->random);
	keyfile_make_cluster(&s->cluster, name, s->random);
	strcpy(s->trust.bus, name);
	memcpy(s->trust.cluster[0], s->cluster.public, KEYFILE_KEY);
	randombytes_buf(s->trust.network[0], KEYFILE_KEY);
	s->trust.n_cluster = s->trust.n_network = 1;
	status = write_bus(s, key, trust);
	if (status == 0)
		printf("bus %s\n"
		       "  %s  signs tokens; SECRET: it stays here, and a copy in a safe place\n"
		       "  %s  for every node; SECRET too\n"
		       "Next, for each node:\n"
		       "  cloudbus issue -d %s NAME --role segment --serve PATTERN\n"
		       "  cloudbus issue -d %s NAME --role controller --open PATTERN\n",
			name, key, trust, word, word);
	return status;
}

int init_run(int argc, char **argv)
{
	struct options o;
	char name[NAME_ROOM];
	bool made = false;
	int status = parse(&o, argc, argv);
	if (status != 0)
		return status;
	status = make_folder(o.dir, &made);
	if (status == 0)
		status = name_of(name, &o);
	struct files_secrets *s = status == 0 ? files_secrets_new() : NULL;
	if (status == 0)
		status = s != NULL ? make_bus(s, o.dir, name) : TOOL_EXIT_FAILED;
	files_secrets_free(s);
	if (status != 0 && made)
		(void)rmdir(o.dir);
	return status;
}
