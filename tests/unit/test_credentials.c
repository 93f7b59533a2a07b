/*
 * What a node loads at its start, from real files, and which peers it then lets in.
 */
#include "crypto/credentials.h"
#include "unit/unit.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW INT64_C(1800000000)

static struct unit_mem m;
static char dir[] = "/tmp/cloudbus-test.XXXXXX", why[WHY_MAX];
static struct keyfile_cluster cluster;
static struct keyfile_trust trust;
static struct keyfile_node node, stranger;
static struct credentials *c;

/* Four names: they are used side by side. */
static const char *path(const char *name)
{
	static char buffer[4][256];
	static unsigned next;
	char *to = buffer[next++ % 4];
	snprintf(to, sizeof buffer[0], "%s/%s", dir, name);
	return to;
}

static int write_one(const char *to, const char *text, enum secretfile_replace replace)
{
	return secretfile_write(&(struct secretfile_new){to, text, strlen(text), replace}, 1, why);
}

static void put(const char *name, const char *text)
{
	ck_assert_int_eq(write_one(path(name), text, SECRETFILE_REPLACE), 0);
}

static struct token claims(const char *name, enum token_role role)
{
	struct token t = {.bus = "b",
		.id = "id-1",
		.role = role,
		.not_before = NOW - 100,
		.expires = NOW + 100};
	strcpy(t.node, name);
	memcpy(t.key, node.public, KEYFILE_KEY);
	return t;
}

static const char *sign(const struct token *t)
{
	static char text[TOKEN_TEXT_MAX + 1];
	size_t n;
	ck_assert_int_eq(token_sign(text, &n, t, &cluster, why), 0);
	return text;
}

static void put_token(const struct token *t)
{
	char line[TOKEN_TEXT_MAX + 2];
	strcpy(stpcpy(line, sign(t)), "\n");
	put("token", line);
}

static void set_up(void)
{
	static const uint8_t one[KEYFILE_KEY] = {0, 1}, two[KEYFILE_KEY] = {0, 2};
	char text[KEYFILE_FORMAT_MAX];
	unit_mem_init(&m);
	ck_assert_int_eq(token_prepare(), 0);
	strcpy(dir + sizeof dir - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	keyfile_make_cluster(&cluster, "b", one);
	keyfile_make_node(&node, one);
	keyfile_make_node(&stranger, two);
	memset(&trust, 0, sizeof trust);
	strcpy(trust.bus, "b");
	memcpy(trust.cluster[0], cluster.public, KEYFILE_KEY);
	trust.n_cluster = trust.n_network = 1;
	keyfile_format_trust(text, &trust);
	put("trust", text);
	keyfile_format_node(text, &node);
	put("key", text);
	struct token t = claims("seg-1", TOKEN_SEGMENT);
	put_token(&t);
	c = NULL;
	why[0] = '\0';
}

static void tear_down(void)
{
	static const char *const names[] = {
		"trust", "key", "token", "revoked", "link", "fifo", "new"};
	credentials_free(c);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		(void)unlink(path(names[i]));
	/* So nothing else is there: no temporary file stays behind. */
	ck_assert_int_eq(rmdir(dir), 0);
	ck_assert_uint_eq(m.live, 0);
}

static struct credentials_source source_at(int64_t now, const char *revoked)
{
	return (struct credentials_source){.trust = path("trust"),
		.identity = path("key"),
		.token = path("token"),
		.revoked = revoked,
		.role = TOKEN_SEGMENT,
		.now = now,
		.seed = 5,
		.mem = &m.mem};
}

static int load_at(int64_t now, const char *revoked)
{
	const struct credentials_source src = source_at(now, revoked);
	credentials_free(c);
	return credentials_load(&c, &src, why);
}

/* load fails so, and the words begin with the path of the file and have `part` in them */
static void refused(int rc, const char *file, const char *part)
{
	ck_assert_int_eq(load_at(NOW, NULL), rc);
	ck_assert_ptr_null(c);
	ck_assert_msg(strncmp(why, path(file), strlen(path(file))) == 0, "%s", why);
	ck_assert_msg(strstr(why, part) != NULL, "%s", why);
}

/* --- loading --------------------------------------------------------------------------------- */

START_TEST(what_fits_together_is_loaded)
{
	ck_assert_msg(load_at(NOW, NULL) == 0, "%s", why);
	ck_assert_str_eq(c->trust.bus, "b");
	ck_assert(memcmp(&c->identity, &node, sizeof node) == 0);
	ck_assert_str_eq(c->token->node, "seg-1");
	struct token t = claims("seg-1", TOKEN_SEGMENT);
	ck_assert_str_eq(c->token_text, sign(&t));
	ck_assert_uint_eq(c->token_n, strlen(c->token_text));
	ck_assert_ptr_null(c->revoked);
	put("revoked", "seg-9\n");
	ck_assert_int_eq(load_at(NOW, path("revoked")), 0);
	ck_assert_uint_eq(revoked_count(c->revoked), 1);
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
	char text[KEYFILE_FORMAT_MAX];
	struct token t = claims("seg-1", TOKEN_CONTROLLER);
	put_token(&t);
	refused(ERR_INVALID, "token", "role: a token of a controller; expected one of a segment");
	t = claims("seg-1", TOKEN_SEGMENT);
	strcpy(t.bus, "other");
	put_token(&t);
	refused(ERR_INVALID, "token", "iss: a token of bus other; expected b, as in ");
	t = claims("seg-1", TOKEN_SEGMENT);
	memcpy(t.key, stranger.public, KEYFILE_KEY);
	put_token(&t);
	refused(ERR_INVALID, "token", "cnf: a token for another key than that in ");
	put("token", "no token");
	refused(ERR_INVALID, "token", "not a token");
	put("token", "\n");
	refused(ERR_INVALID, "token", "not a token");
	t = claims("seg-1", TOKEN_SEGMENT);
	cluster.secret[0] ^= 1;
	put_token(&t);
	refused(ERR_INVALID, "token", "signature: not made by the cluster key of bus b");
	keyfile_format_trust(text, &trust);
	put("key", text);
	refused(ERR_INVALID, "key", ":3: this is a cloudbus-trust, expected a cloudbus-node-key");
	put("trust", "x");
	refused(ERR_INVALID, "trust", ":1: expected \"cloudbus-trust 1\"");
	ck_assert_int_eq(unlink(path("trust")), 0);
	refused(ERR_SYS, "trust", "cannot open: No such file");
}
END_TEST

START_TEST(the_token_must_be_valid_now)
{
	ck_assert_int_eq(load_at(NOW - 131, NULL), ERR_AGAIN);
	ck_assert_ptr_nonnull(strstr(why, "/token: nbf: "));
	ck_assert_int_eq(load_at(NOW + 130, NULL), ERR_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(why, "/token: exp: expired"));
}
END_TEST

START_TEST(a_bad_list_is_named)
{
	put("revoked", "seg-9\na b\n");
	ck_assert_int_eq(load_at(NOW, path("revoked")), ERR_INVALID);
	ck_assert_ptr_null(c);
	ck_assert_ptr_nonnull(strstr(why, "/revoked:2: "));
	/* The keys are good. */
	struct credentials_source src = source_at(NOW, path("revoked"));
	struct revoked *list;
	ck_assert_int_eq(credentials_load_keys(&c, &src, why), 0);
	ck_assert_ptr_null(c->revoked);
	ck_assert_int_eq(credentials_load_list(&list, &src, why), ERR_INVALID);
	ck_assert_ptr_null(list);
	/* And the list may be, where the keys are not. */
	put("revoked", "seg-9\n");
	put("token", "no token");
	credentials_free(c);
	ck_assert_int_eq(credentials_load_keys(&c, &src, why), ERR_INVALID);
	ck_assert_ptr_null(c);
	ck_assert_int_eq(credentials_load_list(&list, &src, why), 0);
	ck_assert_uint_eq(revoked_count(list), 1);
	revoked_free(list);
	src.revoked = NULL;
	ck_assert_int_eq(credentials_load_list(&list, &src, why), 0);
	ck_assert_ptr_null(list);
}
END_TEST

START_TEST(others_may_not_read_a_secret)
{
	static const mode_t modes[] = {0640, 0604, 0660, 0601, 0610, 0644, 0777};
	static const char *const secrets[] = {"trust", "key"};
	char mend[300];
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < sizeof modes / sizeof *modes; k++) {
			ck_assert_int_eq(chmod(path(secrets[i]), modes[k]), 0);
			snprintf(mend, sizeof mend, "to mend it: chmod 600 %s", path(secrets[i]));
			refused(ERR_INVALID, secrets[i], mend);
		}
		ck_assert_int_eq(chmod(path(secrets[i]), 0400), 0);
		ck_assert_int_eq(load_at(NOW, NULL), 0);
	}
	/* The token is no secret, but nobody else may write it. */
	ck_assert_int_eq(chmod(path("token"), 0644), 0);
	ck_assert_int_eq(load_at(NOW, NULL), 0);
	ck_assert_int_eq(chmod(path("token"), 0664), 0);
	refused(ERR_INVALID, "token", "to mend it: chmod go-w ");
}
END_TEST

START_TEST(a_secret_belongs_to_the_user_or_root)
{
	/* Only root can give files away; another user's tests do without. */
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chown(path("key"), 4711, (gid_t)-1), 0);
	refused(ERR_INVALID, "key", "belongs to another user; to mend it: chown 0 ");
	const struct secretfile_rules rules = {SECRETFILE_SECRET, KEYFILE_MAX, 4711};
	struct secretfile f;
	ck_assert_int_eq(secretfile_read(&f, path("key"), &rules, why), 0);
	secretfile_wipe(&f);
	ck_assert_int_eq(secretfile_read(&f, path("trust"), &rules, why), 0);
	secretfile_wipe(&f);
}
END_TEST

/* --- reading and writing ---------------------------------------------------------------------- */

START_TEST(only_files_are_read)
{
	const struct secretfile_rules rules = {SECRETFILE_SECRET, 10, 0};
	struct secretfile f;
	ck_assert_int_eq(secretfile_read(&f, dir, &rules, why), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, "is a folder"));
	ck_assert_int_eq(mkfifo(path("fifo"), 0600), 0);
	ck_assert_int_eq(secretfile_read(&f, path("fifo"), &rules, why), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, "no ordinary file"));
	ck_assert_int_eq(secretfile_read(&f, path("new"), &rules, why), ERR_SYS);
	ck_assert_int_eq(errno, ENOENT);
	put("new", "0123456789");
	ck_assert_int_eq(secretfile_read(&f, path("new"), &rules, why), 0);
	ck_assert_uint_eq(f.n, 10);
	ck_assert_str_eq(f.text, "0123456789");
	secretfile_wipe(&f);
	ck_assert_ptr_null(f.text);
	secretfile_wipe(&f);
	put("new", "0123456789a");
	ck_assert_int_eq(secretfile_read(&f, path("new"), &rules, why), ERR_LIMIT);
	ck_assert_ptr_null(f.text);
	put("new", "");
	ck_assert_int_eq(secretfile_read(&f, path("new"), &rules, why), 0);
	ck_assert_uint_eq(f.n, 0);
	secretfile_wipe(&f);
	/* a link to a good file is as good, which is how secrets are often mounted */
	ck_assert_int_eq(symlink(path("new"), path("link")), 0);
	ck_assert_int_eq(secretfile_read(&f, path("link"), &rules, why), 0);
	secretfile_wipe(&f);
}
END_TEST

START_TEST(what_is_written_is_private_and_new)
{
	struct stat st;
	umask(0);
	ck_assert_int_eq(write_one(path("new"), "a", SECRETFILE_NEW), 0);
	ck_assert_int_eq(stat(path("new"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777u, 0600);
	ck_assert_int_eq(write_one(path("new"), "bc", SECRETFILE_NEW), ERR_CLOSED);
	ck_assert_ptr_nonnull(strstr(why, "is there already"));
	ck_assert_int_eq(stat(path("new"), &st), 0);
	ck_assert_int_eq(st.st_size, 1);
	ck_assert_int_eq(chmod(path("new"), 0644), 0);
	ck_assert_int_eq(write_one(path("new"), "bc", SECRETFILE_REPLACE), 0);
	ck_assert_int_eq(stat(path("new"), &st), 0);
	ck_assert_int_eq(st.st_size, 2);
	ck_assert_uint_eq(st.st_mode & 07777u, 0600);
	ck_assert_int_eq(write_one("/nonexistent/x", "a", SECRETFILE_NEW), ERR_SYS);
	ck_assert_int_eq(errno, ENOENT);
	/* a link to nowhere is there too */
	ck_assert_int_eq(symlink("nowhere", path("link")), 0);
	ck_assert_int_eq(write_one(path("link"), "a", SECRETFILE_NEW), ERR_CLOSED);
}
END_TEST

START_TEST(what_is_written_its_owner_can_read)
{
	struct stat st;
	mode_t before = umask(0777);
	ck_assert_int_eq(write_one(path("new"), "a", SECRETFILE_NEW), 0);
	umask(before);
	ck_assert_int_eq(stat(path("new"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777u, 0600);
}
END_TEST

/* A folder that can be written but not read cannot be synced: then nothing is left in it. */
START_TEST(what_cannot_be_made_lasting_is_not_made)
{
	enum { NOBODY = 65534 };
	bool root = geteuid() == 0;
	struct stat st;
	put("link", "old");
	ck_assert_int_eq(root ? chown(dir, NOBODY, (gid_t)-1) : 0, 0);
	ck_assert_int_eq(chmod(dir, 0300), 0);
	ck_assert_int_eq(root ? seteuid(NOBODY) : 0, 0);
	int rc = write_one(path("new"), "a", SECRETFILE_NEW), saved = errno;
	int rc2 = write_one(path("link"), "new", SECRETFILE_REPLACE);
	ck_assert_int_eq(root ? seteuid(0) : 0, 0);
	ck_assert_int_eq(chmod(dir, 0700), 0);
	ck_assert_int_eq(rc, ERR_SYS);
	ck_assert_int_eq(saved, EACCES);
	ck_assert_int_eq(stat(path("new"), &st), -1);
	ck_assert_int_eq(rc2, ERR_SYS);
	struct secretfile f;
	const struct secretfile_rules rules = {SECRETFILE_ANY, 10, 0};
	ck_assert_int_eq(secretfile_read(&f, path("link"), &rules, why), 0);
	ck_assert_str_eq(f.text, "old");
	secretfile_wipe(&f);
}
END_TEST

START_TEST(paths_in_commands_are_one_word)
{
	static const struct {
		const char *path, *word;
	} rows[] = {{"bus/a-1.key", "bus/a-1.key"}, {"/x y", "'/x y'"}, {"", "''"},
		{"it's", "'it'\\''s'"}, {"-f", "./'-f'"}, {"a\nb", "'a\nb'"},
		{"\xc3\xbc", "'\xc3\xbc'"}};
	char to[WHY_MAX], longest[2 * WHY_MAX];
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		ck_assert_str_eq(why_shell(to, rows[i].path), rows[i].word);
	/* at every length about the end of the room: whole, or not at all */
	for (size_t n = WHY_MAX - 20; n < WHY_MAX + 5; n++) {
		for (int quote = 0; quote < 2; quote++) {
			memset(longest, ' ', n);
			longest[n - 1] = quote ? '\'' : ' ';
			longest[n] = '\0';
			const char *word = why_shell(to, longest);
			size_t want = n + 2 + (quote ? 3 : 0);
			ck_assert(word == longest || (word == to && strlen(to) == want));
			ck_assert(n > WHY_MAX - 15 || word == to);
		}
	}
}
END_TEST

/* --- peers ----------------------------------------------------------------------------------- */

static int admit(const struct token *t, const uint8_t *key, struct token **out)
{
	const char *text = sign(t);
	const struct credentials_peer peer = {.text = text,
		.text_n = strlen(text),
		.key = key,
		.role = TOKEN_CONTROLLER,
		.now = NOW};
	return credentials_admit(out, c, &peer, &m.mem, why);
}

START_TEST(a_peer_is_let_in_with_its_own_token_only)
{
	struct token *got, t = claims("ctl-1", TOKEN_CONTROLLER);
	put("revoked", "ctl-7\nID-7\n");
	ck_assert_int_eq(load_at(NOW, path("revoked")), 0);
	ck_assert_int_eq(admit(&t, node.public, &got), 0);
	ck_assert_str_eq(got->node, "ctl-1");
	token_free(got, &m.mem);
	/* somebody else's key: the token was copied */
	ck_assert_int_eq(admit(&t, stranger.public, &got), ERR_INVALID);
	ck_assert_ptr_null(got);
	ck_assert_str_eq(why, "cnf: the token of node ctl-1, shown by one that has another key");
	t = claims("seg-2", TOKEN_SEGMENT);
	ck_assert_int_eq(admit(&t, node.public, &got), ERR_INVALID);
	ck_assert_str_eq(why, "role: node seg-2 is a segment; expected a controller");
	t = claims("ctl-7", TOKEN_CONTROLLER);
	ck_assert_int_eq(admit(&t, node.public, &got), ERR_CLOSED);
	ck_assert_str_eq(why, "node ctl-7, token id-1: revoked");
	t = claims("ctl-8", TOKEN_CONTROLLER);
	strcpy(t.id, "id-7");
	ck_assert_int_eq(admit(&t, node.public, &got), ERR_CLOSED);
	ck_assert_ptr_null(got);
	t = claims("ctl-1", TOKEN_CONTROLLER);
	t.expires = NOW - 30;
	ck_assert_int_eq(admit(&t, node.public, &got), ERR_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(why, "node ctl-1: exp: expired at "));
	t = claims("ctl-1", TOKEN_CONTROLLER);
	t.not_before = NOW + 31;
	ck_assert_int_eq(admit(&t, node.public, &got), ERR_AGAIN);
	ck_assert_ptr_nonnull(strstr(why, "node ctl-1: nbf: not valid before "));
	t = claims("ctl-1", TOKEN_CONTROLLER);
	strcpy(t.bus, "other");
	ck_assert_int_eq(admit(&t, node.public, &got), ERR_INVALID);
	ck_assert_str_eq(why, "iss: \"other\"; expected b, the bus of the trust");
	cluster.secret[0] ^= 1;
	t = claims("ctl-1", TOKEN_CONTROLLER);
	ck_assert_int_eq(admit(&t, node.public, &got), ERR_INVALID);
	ck_assert_ptr_null(got);
}
END_TEST

START_TEST(case_39_every_allocation_may_fail)
{
	put("revoked", "a\nb\n");
	for (m.fail_at = 1;; m.fail_at++) {
		m.calls = 0;
		m.failed = 0;
		int rc = load_at(NOW, path("revoked"));
		ck_assert(rc == 0 || (rc == ERR_NOMEM && c == NULL && m.live == 0));
		if (!m.failed) {
			ck_assert_int_eq(rc, 0);
			ck_assert_uint_gt(m.fail_at, 4);
			break;
		}
	}
	m.fail_at = 0;
	struct token *got, t = claims("ctl-1", TOKEN_CONTROLLER);
	m.fail_at = m.calls + 1;
	ck_assert_int_eq(admit(&t, node.public, &got), ERR_NOMEM);
	m.fail_at = 0;
}
END_TEST

int main(void)
{
	Suite *s = suite_create("credentials");
	TCase *tc = tcase_create("credentials");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, what_fits_together_is_loaded);
	tcase_add_test(tc, what_does_not_fit_is_named);
	tcase_add_test(tc, the_token_must_be_valid_now);
	tcase_add_test(tc, a_bad_list_is_named);
	tcase_add_test(tc, others_may_not_read_a_secret);
	tcase_add_test(tc, a_secret_belongs_to_the_user_or_root);
	tcase_add_test(tc, only_files_are_read);
	tcase_add_test(tc, what_is_written_is_private_and_new);
	tcase_add_test(tc, what_is_written_its_owner_can_read);
	tcase_add_test(tc, what_cannot_be_made_lasting_is_not_made);
	tcase_add_test(tc, paths_in_commands_are_one_word);
	tcase_add_test(tc, a_peer_is_let_in_with_its_own_token_only);
	tcase_add_test(tc, case_39_every_allocation_may_fail);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
