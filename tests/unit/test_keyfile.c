/*
 * The files of keys, and the revocation list: what is written is read back, everything else
 * is refused with the line, and no secret is ever in the words.
 */
#include "crypto/keyfile.h"
#include "crypto/revoked.h"
#include "unit/unit.h"

#include "base/err.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (int)(sizeof(a) / sizeof(a)[0])

static char why[WHY_MAX];

static struct keyfile_text text_of(const char *s)
{
	return (struct keyfile_text){"f", s, strlen(s)};
}

/* --- written and read back ------------------------------------------------------------------- */

START_TEST(what_is_written_is_read_back)
{
	static const uint8_t seed[KEYFILE_KEY] = {1, 2, 3};
	char text[KEYFILE_FORMAT_MAX];
	struct keyfile_cluster c, c2;
	struct keyfile_node n, n2;
	struct keyfile_public p, p2;
	struct keyfile_trust t, t2;
	memset(&c, 0, sizeof c);
	keyfile_make_cluster(&c, "my.bus", seed);
	ck_assert_uint_eq(keyfile_format_cluster(text, &c), strlen(text));
	ck_assert_int_eq(
		keyfile_parse_cluster(&c2, &(struct keyfile_text){"f", text, strlen(text)}, why),
		0);
	ck_assert_str_eq(c2.bus, "my.bus");
	ck_assert(memcmp(c.secret, c2.secret, sizeof c.secret) == 0);
	ck_assert(memcmp(c.public, c2.public, sizeof c.public) == 0);

	keyfile_make_node(&n, seed);
	ck_assert_uint_eq(keyfile_format_node(text, &n), strlen(text));
	struct keyfile_text in = text_of(text);
	ck_assert_int_eq(keyfile_parse_node(&n2, &in, why), 0);
	ck_assert(memcmp(&n, &n2, sizeof n) == 0);

	memcpy(p.public, n.public, KEYFILE_KEY);
	ck_assert_uint_eq(keyfile_format_public(text, &p), strlen(text));
	in = text_of(text);
	ck_assert_int_eq(keyfile_parse_public(&p2, &in, why), 0);
	ck_assert(memcmp(&p, &p2, sizeof p) == 0);

	for (size_t k = 1; k <= KEYFILE_TRUST_KEYS; k++) {
		memset(&t, 0, sizeof t);
		strcpy(t.bus, "my.bus");
		t.n_cluster = k;
		t.n_network = KEYFILE_TRUST_KEYS + 1 - k;
		for (size_t i = 0; i < t.n_cluster; i++)
			memcpy(t.cluster[i], c.public, KEYFILE_KEY);
		for (size_t i = 0; i < t.n_network; i++)
			memset(t.network[i], 5 + (int)i, KEYFILE_KEY);
		ck_assert_uint_eq(keyfile_format_trust(text, &t), strlen(text));
		in = text_of(text);
		ck_assert_int_eq(keyfile_parse_trust(&t2, &in, why), 0);
		ck_assert(memcmp(&t, &t2, sizeof t) == 0);
	}
}
END_TEST

static void hex_to(uint8_t out[static KEYFILE_KEY], const char *hex)
{
	size_t n;
	ck_assert_int_eq(sodium_hex2bin(out, KEYFILE_KEY, hex, strlen(hex), NULL, &n, NULL), 0);
	ck_assert_uint_eq(n, KEYFILE_KEY);
}

/* RFC 8032, 7.1, test 1, and RFC 7748, 6.1, Bob's: the keys are as everybody's. */
START_TEST(public_halves_are_those_of_the_rfcs)
{
	struct keyfile_cluster c;
	struct keyfile_node n;
	uint8_t secret[KEYFILE_KEY], want[KEYFILE_KEY];
	hex_to(secret, "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
	hex_to(want, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
	keyfile_make_cluster(&c, "x", secret);
	ck_assert(memcmp(c.public, want, sizeof want) == 0);
	hex_to(secret, "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
	hex_to(want, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
	keyfile_make_node(&n, secret);
	ck_assert(memcmp(n.public, want, sizeof want) == 0);
}
END_TEST

/* --- what is bad ----------------------------------------------------------------------------- */

#define K "AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define CLUSTER "cloudbus-cluster-key 1\n"
#define BASE64 "expected 43 characters of base64url without padding"

static const struct {
	const char *text, *why; /* NULL: good */
} clusters[] = {
	{CLUSTER "bus b\nsecret-key " K "\n", NULL},
	{CLUSTER "secret-key " K "\nbus b", NULL},
	{"\n# x\r\n\t# y\n \n  cloudbus-cluster-key \t1 \r\n\tbus\tb \r\nsecret-key " K " \r\n\r\n",
		NULL},
	{"", "f: is empty"},
	{"\n#\n", "f: expected \"cloudbus-cluster-key 1\""},
	{"bus b\n", "f:1: expected \"cloudbus-cluster-key 1\": is this the right file?"},
	{"\ncloudbus-trust 1\n", "f:2: this is a cloudbus-trust, expected a cloudbus-cluster-key"},
	{"cloudbus-cluster-key 2\n",
		"f:1: another version than 1, which is all that this program knows"},
	{"cloudbus-cluster-key\n",
		"f:1: another version than 1, which is all that this program knows"},
	{CLUSTER, "f: bus: the field is missing"},
	{CLUSTER "bus b\n", "f: secret-key: the field is missing"},
	{CLUSTER "bus b\nbus b\n", "f:3: bus: expected only once"},
	{CLUSTER "bus b\nsecret-key " K "\nsecret-key " K "\n",
		"f:4: secret-key: expected only once"},
	{CLUSTER "bus b c\n",
		"f:2: bus: expected 1 to 64 letters, digits, '.', '-' or '_', a letter or digit "
		"first"},
	{CLUSTER "bus\n",
		"f:2: bus: expected 1 to 64 letters, digits, '.', '-' or '_', a letter or digit "
		"first"},
	{CLUSTER "secret-key\n", "f:2: secret-key: " BASE64},
	{CLUSTER "secret-key " K "=\n", "f:2: secret-key: " BASE64},
	{CLUSTER "secret-key " K "A\n", "f:2: secret-key: " BASE64},
	{CLUSTER "secret-key AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
		"f:2: secret-key: " BASE64},
	/* the last character has two bits too many */
	{CLUSTER "secret-key AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\n",
		"f:2: secret-key: " BASE64},
	{CLUSTER "secret-key A+IDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
		"f:2: secret-key: " BASE64},
	{CLUSTER "secret_key " K "\n", "f:2: unknown field"},
	{CLUSTER K "\n", "f:2: unknown field"},
	{CLUSTER CLUSTER, "f:2: unknown field"},
};

START_TEST(a_bad_line_is_named_and_no_secret)
{
	struct keyfile_text in = text_of(clusters[_i].text);
	struct keyfile_cluster c, zero = {.bus = ""};
	memset(&zero, 0, sizeof zero);
	memset(&c, 1, sizeof c);
	int rc = keyfile_parse_cluster(&c, &in, why);
	ck_assert_int_eq(rc, clusters[_i].why == NULL ? 0 : ERR_INVALID);
	if (rc == 0) {
		ck_assert_str_eq(c.bus, "b");
		ck_assert_int_eq(c.secret[2], 3);
		return;
	}
	ck_assert_str_eq(why, clusters[_i].why);
	ck_assert(memcmp(&c, &zero, sizeof c) == 0);
	ck_assert(strstr(why, "AQID") == NULL);
}
END_TEST

#define TRUST "cloudbus-trust 1\nbus b\n"
#define P "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

static const struct {
	const char *text, *why;
} trusts[] = {
	{TRUST "cluster-key " P "\nnetwork-secret " K "\n", NULL},
	{TRUST "cluster-key " P "\nnetwork-secret " K "\ncluster-key " P "\nnetwork-secret " K "\n",
		NULL},
	{TRUST "cluster-key " P "\n", "f: network-secret: the field is missing"},
	{TRUST "network-secret " K "\n", "f: cluster-key: the field is missing"},
	{TRUST "cluster-key " P "\ncluster-key " P "\ncluster-key " P "\n",
		"f:5: cluster-key: expected at most twice"},
	{TRUST "network-secret " K "\nnetwork-secret " K "\nnetwork-secret " K "\n",
		"f:5: network-secret: expected at most twice"},
	/* no point of the curve; the neutral one; one of small order */
	{TRUST "cluster-key " K "\nnetwork-secret " K "\n",
		"f: cluster-key: not one that a secret key has"},
	{TRUST "cluster-key AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nnetwork-secret " K "\n",
		"f: cluster-key: not one that a secret key has"},
	{TRUST "cluster-key " P "\nnetwork-secret " K "\ncluster-key " K "\n",
		"f: cluster-key: not one that a secret key has"},
};

START_TEST(a_trust_has_one_or_two_of_each)
{
	struct keyfile_text in = text_of(trusts[_i].text);
	struct keyfile_trust t, zero;
	memset(&zero, 0, sizeof zero);
	int rc = keyfile_parse_trust(&t, &in, why);
	ck_assert_int_eq(rc, trusts[_i].why == NULL ? 0 : ERR_INVALID);
	if (rc != 0) {
		ck_assert_str_eq(why, trusts[_i].why);
		ck_assert(memcmp(&t, &zero, sizeof t) == 0);
	}
}
END_TEST

START_TEST(a_public_key_of_small_order_is_refused)
{
	struct keyfile_public p;
	struct keyfile_text in = text_of(
		"cloudbus-node-public 1\npublic-key AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
	ck_assert_int_eq(keyfile_parse_public(&p, &in, why), ERR_INVALID);
	ck_assert_str_eq(why, "f: public-key: not one that a secret key has");
	in = text_of(
		"cloudbus-node-public 1\npublic-key AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
	ck_assert_int_eq(keyfile_parse_public(&p, &in, why), ERR_INVALID);
	in = text_of("cloudbus-node-public 1\npublic-key " P "\n");
	ck_assert_int_eq(keyfile_parse_public(&p, &in, why), 0);
}
END_TEST

/* By its first line that is no comment, whatever is wrong behind that. */
START_TEST(what_is_of_the_bus_is_known_as_such)
{
	static const struct {
		const char *text;
		bool is;
	} texts[] = {
		{"cloudbus-cluster-key 1\n", true},
		{"# words\n\n \tcloudbus-trust 2", true},
		{"cloudbus-cluster-key\r\nnonsense\n", true},
		{"cloudbus-node-key 1\nsecret-key x\n", false},
		{"cloudbus-node-public 1\n", false},
		{"x\ncloudbus-trust 1\n", false},
		{"#cloudbus-trust 1\n", false},
		{"cloudbus-trusty 1\n", false},
		{"\n\n", false},
		{"", false},
	};
	for (int i = 0; i < COUNT(texts); i++) {
		struct keyfile_text in = text_of(texts[i].text);
		ck_assert_msg(keyfile_is_of_bus(&in) == texts[i].is, "%s", texts[i].text);
	}
}
END_TEST

START_TEST(every_truncation_is_refused_or_the_same)
{
	static const char whole[] = CLUSTER "bus b\nsecret-key " K;
	struct keyfile_cluster c;
	for (size_t n = 0; n < sizeof whole - 1; n++) {
		char *part = malloc(n + 1);
		memcpy(part, whole, n);
		struct keyfile_text in = {"f", part, n};
		ck_assert_int_eq(keyfile_parse_cluster(&c, &in, why), ERR_INVALID);
		free(part);
	}
	char *big = malloc(KEYFILE_MAX + 1);
	memset(big, '\n', KEYFILE_MAX + 1);
	struct keyfile_text in = {"f", big, KEYFILE_MAX + 1};
	ck_assert_int_eq(keyfile_parse_cluster(&c, &in, why), ERR_INVALID);
	ck_assert_str_eq(why, "f: 16385 bytes; expected at most 16384");
	free(big);
}
END_TEST

/* --- the revocation list --------------------------------------------------------------------- */

static struct unit_mem m;

static void set_up(void)
{
	ck_assert_int_ge(sodium_init(), 0);
	unit_mem_init(&m);
}

static void tear_down(void)
{
	ck_assert_uint_eq(m.live, 0);
}

static bool listed(const struct revoked *r, const char *node, const char *id)
{
	struct token t = {.n_serve = 0};
	strcpy(t.node, node);
	strcpy(t.id, id);
	return revoked_has(r, &t);
}

START_TEST(a_list_has_nodes_and_ids)
{
	struct keyfile_text in = text_of("# all of them\n\nseg-1\n  seg-2 \t\r\n\tAbC # why\n"
					 "seg-1\n#seg-3\n # seg-4\nlast");
	struct revoked *r;
	ck_assert_int_eq(revoked_parse(&r, &in, 7, &m.mem, why), 0);
	ck_assert_uint_eq(revoked_count(r), 4);
	ck_assert(listed(r, "seg-1", "x") && listed(r, "seg-2", "x") && listed(r, "last", "x"));
	ck_assert(listed(r, "SEG-1", "x") && listed(r, "x", "aBc") && listed(r, "abc", "x"));
	ck_assert(!listed(r, "seg-3", "x") && !listed(r, "seg-4", "x") && !listed(r, "seg", "-1"));
	ck_assert(!listed(r, "why", "#") && !listed(r, "seg-11", "seg"));
	revoked_free(r);
	ck_assert(!listed(NULL, "seg-1", "x"));
	ck_assert_uint_eq(revoked_count(NULL), 0);
	revoked_free(NULL);
	in.n = 0;
	ck_assert_int_eq(revoked_parse(&r, &in, 7, &m.mem, why), 0);
	ck_assert_uint_eq(revoked_count(r), 0);
	ck_assert(!listed(r, "seg-1", "x"));
	revoked_free(r);
}
END_TEST

#define ENTRY "expected the name of one node or the id (jti) of one token, at most 64 visible ASCII"

static const struct {
	const char *text, *why;
} bad_lists[] = {
	{"a b\n", "f:1: " ENTRY " characters"},
	{"a\nb, c\n", "f:2: " ENTRY " characters"},
	{"\n\na#b\n", "f:3: " ENTRY " characters"},
	{"a\x01\n", "f:1: " ENTRY " characters"},
	{"b\xc3\xbc\n", "f:1: " ENTRY " characters"},
	{"0123456789012345678901234567890123456789012345678901234567890123x\n",
		"f:1: " ENTRY " characters"},
};

START_TEST(a_line_that_might_mean_something_else_is_refused)
{
	struct keyfile_text in = text_of(bad_lists[_i].text);
	struct revoked *r;
	ck_assert_int_eq(revoked_parse(&r, &in, 7, &m.mem, why), ERR_INVALID);
	ck_assert_ptr_null(r);
	ck_assert_str_eq(why, bad_lists[_i].why);
}
END_TEST

START_TEST(a_list_has_65536_entries_at_most)
{
	size_t room = (REVOKED_MAX + 2) * 12, n = 0;
	char *text = malloc(room);
	struct revoked *r;
	for (int i = 0; i < REVOKED_MAX; i++)
		n += (size_t)sprintf(text + n, "n%d\n", i);
	struct keyfile_text in = {"f", text, n};
	ck_assert_int_eq(revoked_parse(&r, &in, 7, &m.mem, why), 0);
	ck_assert_uint_eq(revoked_count(r), REVOKED_MAX);
	for (int i = 0; i < REVOKED_MAX; i++) {
		char name[16];
		sprintf(name, "N%d", i);
		ck_assert(listed(r, name, "x"));
	}
	ck_assert(!listed(r, "n65536", "x"));
	revoked_free(r);
	/* One more, but only if it is another. */
	in.n = n + (size_t)sprintf(text + n, "n65536\n");
	ck_assert_int_eq(revoked_parse(&r, &in, 7, &m.mem, why), ERR_LIMIT);
	ck_assert_str_eq(why, "f:65537: expected at most 65536 entries");
	in.n = REVOKED_FILE_MAX + 1;
	ck_assert_int_eq(revoked_parse(&r, &in, 7, &m.mem, why), ERR_LIMIT);
	free(text);
}
END_TEST

START_TEST(case_39_every_allocation_may_fail)
{
	struct keyfile_text in = text_of("a\nb\nc\n");
	for (size_t at = 1;; at++) {
		struct revoked *r;
		m.calls = 0;
		m.fail_at = at;
		m.failed = 0;
		int rc = revoked_parse(&r, &in, 7, &m.mem, why);
		if (rc == 0) {
			/* A table that could not grow is slower, and that is all. */
			ck_assert(
				listed(r, "a", "x") && listed(r, "b", "x") && listed(r, "c", "x"));
			revoked_free(r);
		} else {
			ck_assert_int_eq(rc, ERR_NOMEM);
			ck_assert_ptr_null(r);
		}
		ck_assert_uint_eq(m.live, 0);
		if (!m.failed) {
			ck_assert_int_eq(rc, 0);
			ck_assert_uint_gt(at, 3);
			return;
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("keyfile");
	TCase *tc = tcase_create("files");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, what_is_written_is_read_back);
	tcase_add_test(tc, public_halves_are_those_of_the_rfcs);
	tcase_add_loop_test(tc, a_bad_line_is_named_and_no_secret, 0, COUNT(clusters));
	tcase_add_loop_test(tc, a_trust_has_one_or_two_of_each, 0, COUNT(trusts));
	tcase_add_test(tc, a_public_key_of_small_order_is_refused);
	tcase_add_test(tc, what_is_of_the_bus_is_known_as_such);
	tcase_add_test(tc, every_truncation_is_refused_or_the_same);
	suite_add_tcase(s, tc);
	tc = tcase_create("revoked");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_list_has_nodes_and_ids);
	tcase_add_loop_test(
		tc, a_line_that_might_mean_something_else_is_refused, 0, COUNT(bad_lists));
	tcase_add_test(tc, a_list_has_65536_entries_at_most);
	tcase_add_test(tc, case_39_every_allocation_may_fail);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
