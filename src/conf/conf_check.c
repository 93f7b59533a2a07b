#include "conf/conf_check.h"

#include "base/err.h"
#include "base/list.h"
#include "conf/conf_field.h"
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
	bool links;   /* segments dial controllers: a service may be reached without an address */
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

static bool was_tried(unsigned tried, const char *key)
{
	return (tried & 1u << conf_keys_index(conf_keys_find(key))) != 0;
}

/* Over links that segments dial, a service is reached without an address of its own. */
static bool may_be_left_out(const struct state *st, const struct conf_key *key)
{
	enum conf_type type = st->conf->role == CONF_SEGMENT ? CONF_BIND : CONF_SERVER;
	return st->links && key->type == type;
}

static void check_required(struct state *st, size_t i)
{
	size_t n;
	const struct conf_key *keys = conf_keys(&n);
	const struct conf_service *s = &st->conf->services[i];
	for (size_t k = 0; k < n; k++) {
		if (!keys[k].required || (st->checks[i].tried & 1u << k) != 0 ||
			may_be_left_out(st, &keys[k]))
			continue;
		struct conf_place at = place(s, s->line);
		at.key = keys[k].name;
		conf_errors_add(
			st->errors, &at, "the key is missing; expected %s", keys[k].expected);
	}
}

/* What a secured address takes; said of the first of them, once for each file. */
static void need_files(
	struct state *st, struct conf_place at, const char *key, const struct conf_endpoint *e)
{
	const struct conf *c = st->conf;
	const struct {
		const char *file, *key;
	} needed[] = {{c->trust, "trust"}, {c->identity, "identity"}, {c->token, "token"}};
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
		need_files(st, place(s, s->bind.line), "bind", &s->bind);
	for (size_t i = 0; i < s->n_servers && !st->secured; i++) {
		if (s->servers[i].secured)
			need_files(st, place(s, s->servers[i].line), "server", &s->servers[i]);
	}
}

static const char global_name[] = "Cloudbus";

static struct conf_place global_place(unsigned line)
{
	return (struct conf_place){
		.line = line, .section = global_name, .section_n = sizeof global_name - 1};
}

/* Nobody else of the file may have the address of the metrics. */
static void check_metrics(struct state *st)
{
	const struct conf *c = st->conf;
	struct conf_place at = global_place(c->metrics.line);
	at.key = "metrics";
	at.value = c->metrics.text;
	if (c->metrics.text == NULL)
		return;
	for (size_t i = 0; i < c->n_listens; i++) {
		if (addr_equal(&c->listens[i].addr, &c->metrics.addr))
			conf_errors_add(st->errors, &at, "segments dial to it, as line %u says",
				c->listens[i].line);
	}
	for (size_t i = 0; i < c->n_services; i++) {
		const struct conf_endpoint *bind = &c->services[i].bind;
		if (bind->text == NULL || !addr_equal(&bind->addr, &c->metrics.addr))
			continue;
		conf_errors_add(st->errors, &at, "a service binds it in line %u", bind->line);
		return;
	}
}

static void check_global(struct state *st)
{
	const struct conf *c = st->conf;
	for (size_t i = 0; i < c->n_listens && !st->secured; i++) {
		if (c->listens[i].secured)
			need_files(st, global_place(c->listens[i].line), "listen", &c->listens[i]);
	}
	for (size_t i = 0; i < c->n_connects && !st->secured; i++) {
		if (c->connects[i].secured)
			need_files(
				st, global_place(c->connects[i].line), "connect", &c->connects[i]);
	}
	if (c->n_connects > 0 && c->n_services > CONF_ANNOUNCED_MAX) {
		struct conf_place at = global_place(c->connects[0].line);
		at.key = "connect";
		conf_errors_add(st->errors, &at,
			"expected at most %d services with it; there are %zu", CONF_ANNOUNCED_MAX,
			c->n_services);
	}
}

/* Names on the bus need segments that dial, and only with them some keys have a meaning. */
static void check_bus_names(struct state *st, size_t i)
{
	static const char *const keys[] = {"balance", "fanout"};
	const struct conf_service *s = &st->conf->services[i];
	bool any = s->n_servers == 0;
	for (size_t k = 0; k < s->n_servers; k++) {
		struct conf_place at = place(s, s->servers[k].line);
		if (s->servers[k].service == NULL)
			continue;
		any = true;
		at.key = "server";
		at.value = s->servers[k].text;
		if (!st->links)
			conf_errors_add(st->errors, &at,
				"expected listen= in [Cloudbus] for it: segments that serve a "
				"name dial there");
	}
	if (any || st->checks[i].tried == ~0u)
		return;
	for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
		struct conf_place at = place(s, s->line);
		at.key = keys[k];
		if (was_tried(st->checks[i].tried, keys[k]))
			conf_errors_add(
				st->errors, &at, "expected only where a server is bus:SERVICE");
	}
}

/* Without a server its own name leads on.  0 or ERR_NOMEM. */
static int add_own_name(struct state *st, struct conf_service *s, size_t i)
{
	struct conf_endpoint e;
	if (st->conf->role != CONF_CONTROLLER || !st->links || s->n_servers > 0 ||
		was_tried(st->checks[i].tried, "server"))
		return 0;
	int rc = conf_field_bus(st->conf->mem, &e, s->service, s->line);
	if (rc != 0)
		return rc;
	rc = conf_field_append(st->conf->mem, &s->servers, &s->n_servers, &e);
	if (rc != 0)
		conf_field_free_endpoint(st->conf->mem, &e);
	return rc;
}

/* A controller's service must not be where segments dial to. */
static void check_listens(struct state *st, const struct conf_service *s)
{
	for (size_t k = 0; k < st->conf->n_listens; k++) {
		struct conf_place at = place(s, s->bind.line);
		at.key = "bind";
		at.value = s->bind.text;
		if (addr_equal(&st->conf->listens[k].addr, &s->bind.addr))
			conf_errors_add(st->errors, &at, "segments dial to it, as line %u says",
				st->conf->listens[k].line);
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
	check_bus_names(st, i);
	if ((rc = add_own_name(st, s, i)) != 0)
		return rc;
	if (s->bind.text == NULL)
		return 0;
	check_listens(st, s);
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

int conf_check_services(
	struct conf *conf, struct conf_check *checks, unsigned tried, struct conf_errors *errors)
{
	struct state st = {.conf = conf, .checks = checks, .errors = errors};
	int rc = 0;
	/* One that is wrong has its own error, and needs no other. */
	st.links = was_tried(tried, conf->role == CONF_SEGMENT ? "connect" : "listen");
	hash_init(&st.names, conf->mem);
	hash_init(&st.binds, conf->mem);
	for (size_t i = 0; i < conf->n_services && rc == 0; i++)
		rc = check_service(&st, i);
	if (rc == 0) {
		check_global(&st);
		check_metrics(&st);
	}
	conf->secured = st.secured;
	hash_fini(&st.names);
	hash_fini(&st.binds);
	return rc;
}
