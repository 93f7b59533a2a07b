#include "tool/files.h"

#include "base/err.h"
#include "tool/tool.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct files_secrets *files_secrets_new(void)
{
	struct files_secrets *s = sodium_malloc(sizeof *s);
	if (s == NULL)
		(void)tool_fail(TOOL_EXIT_FAILED, "out of memory");
	else
		memset(s, 0, sizeof *s);
	return s;
}

void files_secrets_free(struct files_secrets *s)
{
	sodium_free(s);
}

int files_path(char path[static PATH_MAX], const char *dir, const char *name, const char *suffix)
{
	size_t n = strlen(dir);
	const char *slash = n > 0 && dir[n - 1] == '/' ? "" : "/";
	if (strcmp(dir, ".") == 0)
		dir = slash = "";
	if (snprintf(path, PATH_MAX, "%s%s%s%s", dir, slash, name, suffix) < PATH_MAX)
		return 0;
	return tool_fail(TOOL_EXIT_FAILED, "%s: the name of the folder is too long", dir);
}

/* --- reading --------------------------------------------------------------------------------- */

static const struct secretfile_rules secret = {SECRETFILE_SECRET, KEYFILE_MAX, 0};
static const struct secretfile_rules any = {SECRETFILE_ANY, KEYFILE_MAX, 0};

/* A file that is being read, between take and finish. */
struct input {
	struct secretfile file;
	struct keyfile_text text;
	char why[WHY_MAX];
};

static int take(struct input *in, const char *path, const struct secretfile_rules *rules)
{
	int rc = secretfile_read(&in->file, path, rules, in->why);
	in->text = (struct keyfile_text){path, in->file.text, in->file.n};
	return rc;
}

static int finish(struct input *in, int rc)
{
	secretfile_wipe(&in->file);
	return rc == 0 ? 0 : tool_fail(TOOL_EXIT_FILE, "%s", in->why);
}

static int read_cluster(struct keyfile_cluster *out, const char *path)
{
	struct input in;
	int rc = take(&in, path, &secret);
	if (rc == 0)
		rc = keyfile_parse_cluster(out, &in.text, in.why);
	return finish(&in, rc);
}

int files_read_trust(struct keyfile_trust *out, const char *path)
{
	struct input in;
	int rc = take(&in, path, &secret);
	if (rc == 0)
		rc = keyfile_parse_trust(out, &in.text, in.why);
	return finish(&in, rc);
}

int files_read_node(struct keyfile_node *out, const char *path)
{
	struct input in;
	int rc = take(&in, path, &secret);
	if (rc == 0)
		rc = keyfile_parse_node(out, &in.text, in.why);
	return finish(&in, rc);
}

int files_read_public(struct keyfile_public *out, const char *path)
{
	struct input in;
	int rc = take(&in, path, &any);
	if (rc == 0)
		rc = keyfile_parse_public(out, &in.text, in.why);
	return finish(&in, rc);
}

int files_read_bus(struct files_secrets *s, const char *dir)
{
	char key[PATH_MAX], trust[PATH_MAX];
	int status = files_path(key, dir, "cluster.key", "");
	if (status == 0)
		status = files_path(trust, dir, "trust", "");
	if (status == 0)
		status = read_cluster(&s->cluster, key);
	if (status == 0)
		status = files_read_trust(&s->trust, trust);
	if (status != 0)
		return status;
	if (strcmp(s->cluster.bus, s->trust.bus) != 0)
		return tool_fail(TOOL_EXIT_FILE,
			"%s: the key of bus %s, but %s is of bus %s: they do not belong together",
			key, s->cluster.bus, trust, s->trust.bus);
	for (size_t i = 0; i < s->trust.n_cluster; i++)
		if (memcmp(s->trust.cluster[i], s->cluster.public, KEYFILE_KEY) == 0)
			return 0;
	return tool_fail(TOOL_EXIT_FILE,
		"%s: its public half is not the cluster-key in %s: no node would believe its "
		"tokens",
		key, trust);
}

/* --- writing --------------------------------------------------------------------------------- */

int files_write(const struct secretfile_new *files, size_t n)
{
	char why[WHY_MAX];
	if (secretfile_write(files, n, why) == 0)
		return 0;
	return tool_fail(TOOL_EXIT_FAILED, "%s", why);
}

int files_spare_bus(const char *path)
{
	struct secretfile f;
	struct stat st;
	char why[WHY_MAX];
	int rc = secretfile_read(&f, path, &any, why);
	if (rc != 0) {
		/* None of the bus's is so long.  Of a link nothing is lost but the link. */
		if (rc == ERR_LIMIT || lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
			return 0;
		return tool_fail(TOOL_EXIT_FAILED,
			"%s; it may be of the bus, and is not replaced unread", why);
	}
	bool is = keyfile_is_of_bus(&(struct keyfile_text){path, f.text, f.n});
	secretfile_wipe(&f);
	if (!is)
		return 0;
	return tool_fail(TOOL_EXIT_FAILED,
		"%s: is of the bus, which would end with it; what is of a node needs another file",
		path);
}

void files_warn_of_folder(const char *dir)
{
	char quoted[WHY_MAX];
	struct stat st;
	if (stat(dir, &st) == 0 && (st.st_mode & 022) != 0)
		fprintf(stderr,
			"cloudbus: %s: others may write into this folder (mode %03o); to "
			"mend it: chmod 700 %s\n",
			dir, st.st_mode & 0777u, why_shell(quoted, dir));
}
