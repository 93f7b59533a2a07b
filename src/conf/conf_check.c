#include "conf/conf_check.h"

#include "base/err.h"
#include "base/list.h"
#include "conf/conf_keys.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Names come from the administrator's own file: the seed need not be secret. */
enum { SEED = 0x636f6e66 };

struct state {
	struct conf *conf;
	struct conf_check *checks;
	struct conf_errors *errors;
	struct hash names, binds;
	bool secured; /* a secured address was seen */
};

static struct conf_place place(const struct conf_service *s, unsigned line)
{
	return (struct conf_place){.line = line, .section = s->name, .section_n = strlen(s->name)};
}

static uint64_t name_hash(const char *name)
{
	char folded[CONF_NAME_MAX];
	size_t n = 0;
	for (; n < sizeof folded && name[n] != '\0'; n++)
		folded[n] = (char)tolower((unsigned char)name[n]);
	return hash_bytes(folded, n, SEED);
}

/* *first gets the earlier service of the same name, or NULL. */
static int find_name(struct state *st, size_t i, const struct conf_service **first)
{
	const struct conf_service *s = &st->conf->services[i];
	uint64_t hash = name_hash(s->name);
	*first = NULL;
	for (struct hash_node *n = hash_find(&st->names, hash); n != NULL; n = hash_find_next(n)) {
		size_t k = (size_t)(container_of(n, struct conf_check, by_name) - st->checks);
		if (strcasecmp(st->conf->services[k].name, s->name) == 0) {
			*first = &st->conf->services[k];
			return 0;
		}
	}
	return hash_add(&st->names, &st->checks[i].by_name, hash);
}

/* *first gets the earlier service on the same address, or NULL. */
static int find_bind(struct state *st, size_t i, const struct conf_service **first)
{
	const struct conf_service *s = &st->conf->services[i];
	uint64_t hash = addr_hash(&s->bind.addr, SEED);
	*first = NULL;
	for (struct hash_node *n = hash_find(&st->binds, hash); n != NULL; n = hash_find_next(n)) {
		size_t k = (size_t)(container_of(n, struct conf_check, by_bind) - st->checks);
		if (addr_equal(&st->conf->services[k].bind.addr, &s->bind.addr)) {
			*first = &st->conf->services[k];
			return 0;
		}
	}
	return hash_add(&st->binds, &st->checks[i].by_bind, hash);
}

static void check_required(struct state *st, size_t i)
{
	size_t n;
	const struct conf_key *keys = conf_keys(&n);
	const struct conf_service *s = &st->conf->services[i];
	for (size_t k = 0; k < n; k++) {
		if (!keys[k].required || (st->checks[i].tried & 1u << k) != 0)
			continue;
		struct conf_place at = place(s, s->line);
		at.key = keys[k].name;
		conf_errors_add(
			st->errors, &at, "the key is missing; expected %s", keys[k].expected);
	}
}

/* What a secured address takes; said of the first of them, once for each file. */
static void need_files(struct state *st, const struct conf_service *s, const char *key,
	const struct conf_endpoint *e)
{
	const struct conf *c = st->conf;
	const struct {
		const char *file, *key;
	} needed[] = {{c->trust, "trust"}, {c->identity, "identity"}, {c->token, "token"}};
	struct conf_place at = place(s, e->line);
	at.key = key;
	at.value = e->text;
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
		if (needed[i].file == NULL)
			conf_errors_add(st->errors, &at, "expected %s= in [Cloudbus] for it",
				needed[i].key);
	}
	st->secured = true;
}

static void check_secured(struct state *st, const struct conf_service *s)
{
	if (!st->secured && s->bind.secured)
		need_files(st, s, "bind", &s->bind);
	for (size_t i = 0; i < s->n_servers && !st->secured; i++) {
		if (s->servers[i].secured)
			need_files(st, s, "server", &s->servers[i]);
	}
}

static int check_service(struct state *st, size_t i)
{
	struct conf_service *s = &st->conf->services[i];
	const struct conf_service *first = NULL;
	int rc = 0;
	if (s->service == NULL)
		s->service = s->name;
	if (st->checks[i].readable && (rc = find_name(st, i, &first)) != 0)
		return rc;
	if (first != NULL) {
		/* What is missing in one may stand in the other. */
		struct conf_place at = place(s, s->line);
		conf_errors_add(
			st->errors, &at, "the section stands already in line %u", first->line);
		return 0;
	}
	check_required(st, i);
	check_secured(st, s);
	if (s->bind.text == NULL)
		return 0;
	if ((rc = find_bind(st, i, &first)) != 0)
		return rc;
	bool alike = first != NULL && first->bind.secured == s->bind.secured;
	if (first == NULL || (alike && st->conf->role == CONF_SEGMENT))
		return 0;
	struct conf_place at = place(s, s->bind.line);
	at.key = "bind";
	at.value = s->bind.text;
	conf_errors_add(st->errors, &at,
		alike ? "another service binds it in line %u"
		      : "the same address stands in line %u with the other scheme, bus or not",
		first->bind.line);
	return 0;
}

int conf_check_services(struct conf *conf, struct conf_check *checks, struct conf_errors *errors)
{
	struct state st = {.conf = conf, .checks = checks, .errors = errors};
	int rc = 0;
	hash_init(&st.names, conf->mem);
	hash_init(&st.binds, conf->mem);
	for (size_t i = 0; i < conf->n_services && rc == 0; i++)
		rc = check_service(&st, i);
	conf->secured = st.secured;
	hash_fini(&st.names);
	hash_fini(&st.binds);
	return rc;
}
