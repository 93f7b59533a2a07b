#include "bus/keyring.h"

#include "base/err.h"

#include <sodium.h>
#include <string.h>

struct keyset *keyring_hold(struct keyring *k)
{
	k->now->refs++;
	return k->now;
}

void keyring_drop(struct keyset *set)
{
	if (set == NULL || --set->refs > 0)
		return;
	credentials_free(set->credentials);
	sodium_free(set); /* wipes it */
}

static int load(struct keyset **out, const struct credentials_source *source, char *why)
{
	struct keyset *set = sodium_malloc(sizeof *set);
	*out = NULL;
	if (set == NULL)
		return why_say(why, ERR_NOMEM, "no memory that can be locked for the keys");
	memset(set, 0, sizeof *set);
	set->refs = 1;
	int rc = credentials_load_keys(&set->credentials, source, why);
	if (rc != 0) {
		sodium_free(set);
		return rc;
	}
	for (size_t i = 0; i < set->credentials->trust.n_network; i++)
		gate_derive(set->credentials->trust.network[i], set->mac_key[i], set->psk[i]);
	*out = set;
	return 0;
}

/* Which of the old set's secrets this is; KEYFILE_TRUST_KEYS: none. */
static size_t same_secret(const struct keyset *old, const uint8_t mac_key[GATE_KEY])
{
	for (size_t i = 0; old != NULL && i < old->credentials->trust.n_network; i++) {
		if (sodium_memcmp(old->mac_key[i], mac_key, GATE_KEY) == 0)
			return i;
	}
	return KEYFILE_TRUST_KEYS;
}

/* Takes the set, with a gate for each of its secrets: the old one where it knows that secret. */
static int adopt(struct keyring *k, struct keyset *set)
{
	struct gate *gate[KEYFILE_TRUST_KEYS] = {NULL};
	size_t from[KEYFILE_TRUST_KEYS], n = set->credentials->trust.n_network;
	for (size_t i = 0; i < n; i++) {
		struct gate_setup setup = {.mem = k->source.mem, .seed = k->source.seed};
		from[i] = same_secret(k->now, set->mac_key[i]);
		if (from[i] == KEYFILE_TRUST_KEYS && (gate[i] = gate_new(&setup)) == NULL) {
			for (size_t j = 0; j < i; j++)
				gate_free(gate[j]);
			return ERR_NOMEM;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (from[i] == KEYFILE_TRUST_KEYS)
			continue;
		gate[i] = k->gate[from[i]];
		k->gate[from[i]] = NULL;
	}
	for (size_t i = 0; i < KEYFILE_TRUST_KEYS; i++) {
		gate_free(k->gate[i]);
		k->gate[i] = gate[i];
	}
	keyring_drop(k->now);
	k->now = set;
	locked_look(k->kit.locked, set, sizeof *set);
	locked_look(k->kit.locked, set->credentials, sizeof *set->credentials);
	return 0;
}

int keyring_init(
	struct keyring *k, const struct credentials_source *source, char why[static WHY_MAX])
{
	struct keyset *set;
	*k = (struct keyring){.source = *source};
	int rc = load(&set, &k->source, why);
	if (rc != 0)
		return rc;
	rc = credentials_load_list(&set->credentials->revoked, source, why);
	if (rc == 0 && (record_kit_init(&k->kit, source->mem) != 0 || adopt(k, set) != 0))
		rc = why_say(why, ERR_NOMEM, "out of memory");
	if (rc != 0) {
		keyring_drop(set);
		record_kit_fini(&k->kit);
	}
	return rc;
}

int keyring_reload_list(struct keyring *k, char why[static WHY_MAX])
{
	struct revoked *list;
	int rc = credentials_load_list(&list, &k->source, why);
	if (rc != 0)
		return rc;
	revoked_free(k->now->credentials->revoked);
	k->now->credentials->revoked = list;
	return 0;
}

int keyring_load_also(struct keyring *k, const char *path, char why[static WHY_MAX])
{
	struct revoked *list;
	struct credentials_source source = k->source;
	source.revoked = path;
	int rc = credentials_load_list(&list, &source, why);
	if (rc != 0)
		return rc;
	keyring_drop_also(k);
	k->now->credentials->also = list;
	return 0;
}

void keyring_drop_also(struct keyring *k)
{
	revoked_free(k->now->credentials->also);
	k->now->credentials->also = NULL;
}

static void move_lists(struct credentials *to, struct credentials *from)
{
	to->revoked = from->revoked;
	to->also = from->also;
	from->revoked = from->also = NULL;
}

static bool same_token(const struct credentials *a, const struct credentials *b)
{
	return a->token_n == b->token_n && memcmp(a->token_text, b->token_text, b->token_n) == 0;
}

int keyring_prepare(const struct keyring *k, struct keyset **set,
	const struct credentials_source *source, char why[static WHY_MAX])
{
	int rc = load(set, source, why);
	if (rc != 0 || same_token(k->now->credentials, (*set)->credentials))
		return rc;
	rc = token_check_time((*set)->credentials->token, source->now, why);
	if (rc == 0)
		return 0;
	why_prefix(why, "%s: ", source->token);
	keyring_drop(*set);
	*set = NULL;
	return rc;
}

int keyring_adopt(
	struct keyring *k, struct keyset *set, unsigned *changes, char why[static WHY_MAX])
{
	struct credentials *a = k->now->credentials, *b = set->credentials;
	bool same = same_token(a, b);
	bool same_key = memcmp(a->identity.public, b->identity.public, KEYFILE_KEY) == 0;
	bool same_name = strcmp(a->token->node, b->token->node) == 0 &&
			 strcmp(a->token->customer, b->token->customer) == 0;
	set->generation = k->now->generation + (same ? 0 : 1);
	move_lists(b, a);
	if (adopt(k, set) != 0) {
		move_lists(a, b);
		keyring_drop(set);
		return why_say(why, ERR_NOMEM, "out of memory");
	}
	*changes = (same ? 0u : KEYRING_TOKEN) | (same_key ? 0u : KEYRING_IDENTITY) |
		   (same_name ? 0u : KEYRING_NAME);
	return 0;
}

int keyring_reload(struct keyring *k, int64_t now, unsigned *changes, char why[static WHY_MAX])
{
	struct keyset *set;
	k->source.now = now;
	int rc = load(&set, &k->source, why);
	return rc != 0 ? rc : keyring_adopt(k, set, changes, why);
}

int keyring_check(struct keyring *k, const uint8_t *msg, uint64_t wall, size_t *which)
{
	int rc = ERR_PROTOCOL;
	for (size_t i = 0; i < KEYFILE_TRUST_KEYS && k->gate[i] != NULL; i++) {
		rc = gate_check(k->gate[i], k->now->mac_key[i], msg, wall);
		*which = i;
		if (rc != ERR_PROTOCOL)
			break; /* the MAC was made with this secret */
	}
	return rc;
}

void keyring_fini(struct keyring *k)
{
	for (size_t i = 0; i < KEYFILE_TRUST_KEYS; i++)
		gate_free(k->gate[i]);
	keyring_drop(k->now);
	record_kit_fini(&k->kit);
	*k = (struct keyring){.now = NULL};
}
