#include "tool/node_key.h"

#include "crypto/credentials.h"
#include "tool/tool.h"

#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

/* The key that the token is for. */
struct known {
	enum {
		KNOWN_NOTHING, /* there is no token */
		KNOWN_DAMAGED, /* there is something, and it is no token */
		KNOWN_KEY
	} what;
	uint8_t key[KEYFILE_KEY];
};

static bool is_there(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

/* By no signature: whoever can write here could also take the token away. */
static void read_known(struct known *known, const char *path)
{
	static const struct secretfile_rules any = {SECRETFILE_ANY, KEYFILE_MAX, 0};
	char text[TOKEN_TEXT_MAX + 1], why[WHY_MAX];
	size_t n;
	struct token *token = NULL;
	known->what = is_there(path) ? KNOWN_DAMAGED : KNOWN_NOTHING;
	if (credentials_read_token(text, &n, path, &any, why) != 0 ||
		token_parse(&token, text, n, mem_system(), why) != 0)
		return;
	known->what = KNOWN_KEY;
	memcpy(known->key, token->key, KEYFILE_KEY);
	token_free(token, mem_system());
}

static bool same(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, KEYFILE_KEY) == 0;
}

static int find_elsewhere(
	struct node_key *out, struct files_secrets *s, const struct node_key_search *search)
{
	struct keyfile_public public;
	out->source = NODE_KEY_ELSEWHERE;
	int status = files_read_public(&public, search->public_file);
	if (status == 0 && is_there(search->key))
		status = files_read_node(&s->node, search->key);
	if (status != 0)
		return status;
	memcpy(out->public, public.public, KEYFILE_KEY);
	out->left_over = is_there(search->key) && !same(s->node.public, public.public);
	if (!out->left_over || search->change)
		return 0;
	return tool_fail(TOOL_EXIT_FAILED,
		"%s: the node's key is here, and another than that of %s; leave out --public to "
		"keep it, or add --new-key, and the node has the one of %s from now on",
		search->key, search->public_file, search->public_file);
}

static int find_here(
	struct node_key *out, struct files_secrets *s, const struct node_key_search *search)
{
	int status = 0;
	out->source = is_there(search->key) && !search->change ? NODE_KEY_KEPT : NODE_KEY_NEW;
	if (out->source == NODE_KEY_KEPT) {
		status = files_read_node(&s->node, search->key);
	} else if ((status = files_spare_bus(search->key)) == 0) {
		randombytes_buf(s->random, sizeof s->random);
		keyfile_make_node(&s->node, s->random);
	}
	memcpy(out->public, s->node.public, KEYFILE_KEY);
	return status;
}

/* Whether it is the key that the node has, as far as its token tells. */
static int compare(const struct node_key *key, const struct node_key_search *search)
{
	struct known known;
	char text[KEYFILE_KEY_ROOM] = "";
	read_known(&known, search->token);
	if (known.what == KNOWN_NOTHING ||
		(known.what == KNOWN_KEY && same(known.key, key->public)))
		return 0;
	/* What it was for is not known, and the key is not made up: it is as good as any. */
	if (known.what == KNOWN_DAMAGED && key->source != NODE_KEY_NEW)
		return 0;
	if (known.what == KNOWN_KEY)
		keyfile_key_text(text, known.key);
	switch (key->source) {
	case NODE_KEY_ELSEWHERE:
		return tool_fail(TOOL_EXIT_FAILED,
			"%s: is for another key (%s) than that of %s; with --new-key the node "
			"has the one of %s from now on",
			search->token, text, search->public_file, search->public_file);
	case NODE_KEY_KEPT:
		return tool_fail(TOOL_EXIT_FAILED,
			"%s: is for another key (%s) than that in %s; to renew it give --public "
			"with the file of that key, to issue for the key in %s remove the token "
			"first",
			search->token, text, search->key, search->key);
	case NODE_KEY_NEW:
		break;
	}
	return tool_fail(TOOL_EXIT_FAILED,
		"%s: is there, but not the node's key, %s: one made elsewhere%s%s?  To renew it "
		"give "
		"--public with the file of that key; with --new-key the node has a new one from "
		"now on",
		search->token, search->key, text[0] != '\0' ? ", " : "", text);
}

int node_key_find(
	struct node_key *out, struct files_secrets *s, const struct node_key_search *search)
{
	*out = (struct node_key){.left_over = false};
	int status = search->public_file != NULL ? find_elsewhere(out, s, search)
						 : find_here(out, s, search);
	if (status == 0 && !search->change)
		status = compare(out, search);
	return status;
}
