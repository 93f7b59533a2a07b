#include "unit/cluster.h"

#include "base/clock.h"
#include "crypto/secretfile.h"
#include "unit/unit.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char why[WHY_MAX];

int64_t cluster_now(void)
{
	return (int64_t)(clock_wall() / CLOCK_SEC);
}

char *cluster_path(const struct cluster *c, char *to, const char *name, const char *suffix)
{
	ck_assert_int_lt(snprintf(to, CLUSTER_PATH, "%s/%s%s", c->dir, name, suffix), CLUSTER_PATH);
	return to;
}

void cluster_write(const struct cluster *c, const char *name, const char *text)
{
	char path[CLUSTER_PATH];
	const struct secretfile_new file = {
		cluster_path(c, path, name, ""), text, strlen(text), SECRETFILE_REPLACE};
	int rc = secretfile_write(&file, 1, why);
	ck_assert_msg(rc == 0, "%s", why);
}

void cluster_save_trust(struct cluster *c)
{
	char text[KEYFILE_FORMAT_MAX];
	keyfile_format_trust(text, &c->trust);
	cluster_write(c, "trust", text);
}

void cluster_init(struct cluster *c)
{
	uint8_t seed[KEYFILE_KEY];
	/* Every file is written with fsync, which costs nothing in memory. */
	*c = (struct cluster){.dir = "/dev/shm/cluster-XXXXXX"};
	ck_assert_int_eq(token_prepare(), 0);
	if (mkdtemp(c->dir) == NULL) {
		strcpy(c->dir, "/tmp/cluster-XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(c->dir));
	}
	randombytes_buf(seed, sizeof seed);
	keyfile_make_cluster(&c->key, "test-bus", seed);
	strcpy(c->trust.bus, "test-bus");
	c->trust.n_cluster = c->trust.n_network = 1;
	memcpy(c->trust.cluster[0], c->key.public, KEYFILE_KEY);
	randombytes_buf(c->trust.network[0], KEYFILE_KEY);
	cluster_save_trust(c);
}

void cluster_fini(struct cluster *c)
{
	char command[CLUSTER_PATH];
	snprintf(command, sizeof command, "rm -rf '%s'", c->dir);
	ck_assert_int_eq(system(command), 0);
	sodium_memzero(c, sizeof *c);
}

static void read_or_make_key(struct cluster *c, const char *name, struct keyfile_node *key)
{
	char path[CLUSTER_PATH], file[CLUSTER_PATH], text[KEYFILE_FORMAT_MAX];
	uint8_t secret[KEYFILE_KEY];
	snprintf(file, sizeof file, "%s.key", name);
	cluster_path(c, path, name, ".key");
	if (access(path, F_OK) != 0) {
		randombytes_buf(secret, sizeof secret);
		keyfile_make_node(key, secret);
		keyfile_format_node(text, key);
		cluster_write(c, file, text);
		return;
	}
	struct secretfile f;
	ck_assert_int_eq(
		secretfile_read(&f, path,
			&(struct secretfile_rules){.kind = SECRETFILE_SECRET, .max = KEYFILE_MAX},
			why),
		0);
	struct keyfile_text in = {path, f.text, f.n};
	ck_assert_int_eq(keyfile_parse_node(key, &in, why), 0);
	secretfile_wipe(&f);
}

void cluster_add(struct cluster *c, const struct cluster_node *node)
{
	static char text[TOKEN_TEXT_MAX + 1];
	struct keyfile_node key;
	struct keyfile_cluster signer = c->key;
	struct token t = {.role = node->role, .n_serve = 1, .n_open = 1};
	char file[CLUSTER_PATH];
	size_t n;
	read_or_make_key(c, node->name, &key);
	snprintf(t.bus, sizeof t.bus, "%s", node->bus != NULL ? node->bus : c->trust.bus);
	snprintf(t.node, sizeof t.node, "%s", node->name);
	snprintf(t.customer, sizeof t.customer, "%s", node->customer != NULL ? node->customer : "");
	if (node->id != NULL)
		snprintf(t.id, sizeof t.id, "%s", node->id);
	else
		snprintf(t.id, sizeof t.id, "id-%.60s", node->name);
	memcpy(t.key, key.public, KEYFILE_KEY);
	if (node->other_key) {
		uint8_t secret[KEYFILE_KEY];
		randombytes_buf(secret, sizeof secret);
		keyfile_make_node(&key, secret);
		memcpy(t.key, key.public, KEYFILE_KEY);
	}
	if (node->unsigned_by_us) {
		uint8_t seed[KEYFILE_KEY];
		randombytes_buf(seed, sizeof seed);
		keyfile_make_cluster(&signer, t.bus, seed);
	}
	snprintf(signer.bus, sizeof signer.bus, "%s", t.bus);
	t.serve[0] = node->serve != NULL ? node->serve : "*";
	t.open[0] = node->open != NULL ? node->open : "*";
	t.not_before = node->begins != 0 ? node->begins : cluster_now() - 86400;
	if (node->begins < 0)
		t.not_before = 0;
	t.expires = node->ends != 0 ? node->ends : cluster_now() + 86400;
	int rc = token_sign(text, &n, &t, &signer, why);
	ck_assert_msg(rc == 0, "%s", why);
	snprintf(file, sizeof file, "%s.token", node->name);
	cluster_write(c, file, text);
}

struct credentials_source cluster_source(
	const struct cluster *c, const char *name, enum token_role role, struct mem *mem)
{
	static char paths[8][3][CLUSTER_PATH];
	static unsigned turn;
	char(*path)[CLUSTER_PATH] = paths[turn++ % 8];
	return (struct credentials_source){.trust = cluster_path(c, path[0], "trust", ""),
		.identity = cluster_path(c, path[1], name, ".key"),
		.token = cluster_path(c, path[2], name, ".token"),
		.role = role,
		.now = cluster_now(),
		.seed = 7,
		.mem = mem};
}
