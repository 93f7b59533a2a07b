#include "conf/conf.h"

#include "base/err.h"
#include "conf/conf_check.h"
#include "conf/conf_errors.h"
#include "conf/conf_ini.h"
#include "conf/conf_keys.h"
#include "conf/conf_value.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char global_name[] = "cloudbus";

/* A text on its way to becoming a struct conf. */
struct parse {
	struct conf *conf;
	struct mem *mem;
	struct conf_errors errors;
	struct conf_check *checks; /* one a service */
	size_t services_room;
	size_t sections; /* headers of services, readable or not */
	unsigned global_line;

	/* The section that the lines belong to. */
	enum conf_where where; /* 0 before the first, and behind one that is one too many */
	const char *section;
	size_t section_n;
	unsigned lines[CONF_KEYS_MAX]; /* where each key stood first; 0: nowhere yet */
};

static struct conf_place place(const struct parse *p, unsigned line)
{
	return (struct conf_place){.line = line, .section = p->section, .section_n = p->section_n};
}

static struct conf_service *current_service(const struct parse *p)
{
	return &p->conf->services[p->conf->n_services - 1];
}

static struct conf_check *current_check(const struct parse *p)
{
	return p->where == CONF_IN_SERVICE ? &p->checks[p->conf->n_services - 1] : NULL;
}

/* --- values into fields ------------------------------------------------------- */

static int copy_text(struct parse *p, char **out, const char *s, size_t n)
{
	char *copy = mem_strndup(p->mem, s, n);
	if (copy == NULL)
		return ERR_NOMEM;
	mem_free(p->mem, *out);
	*out = copy;
	return 0;
}

static int set_endpoint(struct parse *p, struct conf_endpoint *out, const struct conf_key *key,
	const char *text, const char **expected)
{
	struct conf_value_address a;
	int rc = conf_value_address(&a, key->type, text, expected);
	if (rc != 0)
		return rc;
	struct conf_endpoint e = {.addr = a.addr, .port = a.port};
	if (a.host != NULL && (rc = copy_text(p, &e.host, a.host, a.host_n)) != 0)
		return rc;
	if ((rc = copy_text(p, &e.text, text, strlen(text))) != 0) {
		mem_free(p->mem, e.host);
		return rc;
	}
	for (char *c = e.host; c != NULL && *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	*out = e;
	return 0;
}

static void free_endpoint(struct mem *mem, struct conf_endpoint *e)
{
	mem_free(mem, e->text);
	mem_free(mem, e->host);
}

static bool same_endpoint(const struct conf_endpoint *a, const struct conf_endpoint *b)
{
	if (a->host != NULL && b->host != NULL)
		return a->port == b->port && strcmp(a->host, b->host) == 0;
	return a->host == NULL && b->host == NULL && addr_equal(&a->addr, &b->addr);
}

/* The line of the one server that a segment's service may have; 0 while it has none. */
static unsigned only_server(const struct parse *p, const struct conf_key *key)
{
	return p->conf->role == CONF_SEGMENT ? p->lines[conf_keys_index(key)] : 0;
}

static int add_server(struct parse *p, const struct conf_place *at, const struct conf_key *key,
	const char **expected)
{
	struct conf_service *s = current_service(p);
	unsigned first = only_server(p, key);
	if (first != 0) {
		conf_errors_add(&p->errors, at,
			"expected one server in a segment's service; it stands in line %u", first);
		return 0;
	}
	if (s->n_servers == CONF_SERVERS_MAX) {
		conf_errors_add(&p->errors, at, "expected at most %d servers in a section",
			CONF_SERVERS_MAX);
		return 0;
	}
	struct conf_endpoint e;
	int rc = set_endpoint(p, &e, key, at->value, expected);
	if (rc != 0)
		return rc;
	e.line = at->line;
	for (size_t i = 0; i < s->n_servers; i++) {
		if (same_endpoint(&s->servers[i], &e)) {
			conf_errors_add(&p->errors, at, "the same server stands in line %u",
				s->servers[i].line);
			free_endpoint(p->mem, &e);
			return 0;
		}
	}
	/* Room grows by doubling: it is full whenever the number is a power of two. */
	if ((s->n_servers & (s->n_servers - 1)) == 0) {
		size_t room = s->n_servers > 0 ? 2 * s->n_servers : 1;
		void *grown = mem_resize(p->mem, s->servers, room * sizeof *s->servers);
		if (grown == NULL) {
			free_endpoint(p->mem, &e);
			return ERR_NOMEM;
		}
		s->servers = grown;
	}
	s->servers[s->n_servers++] = e;
	return 0;
}

static int add_resolver(struct parse *p, const struct conf_place *at, const char **expected)
{
	struct conf *c = p->conf;
	struct addr a;
	if (c->n_dns == CONF_DNS_MAX) {
		conf_errors_add(&p->errors, at, "expected at most %d name servers", CONF_DNS_MAX);
		return 0;
	}
	int rc = conf_value_resolver(&a, at->value, expected);
	if (rc != 0)
		return rc;
	if (c->dns == NULL && (c->dns = mem_alloc(p->mem, CONF_DNS_MAX * sizeof a)) == NULL)
		return ERR_NOMEM;
	c->dns[c->n_dns++] = a;
	return 0;
}

/*
 * Sets a key's field.  0 also where an error was added; ERR_INVALID where the value
 * is not of the key's form, *expected then perhaps saying why; ERR_NOMEM.
 */
static int set_field(struct parse *p, const struct conf_key *key, const struct conf_place *at,
	const char **expected)
{
	void *base = p->where == CONF_IN_GLOBAL ? (void *)p->conf : (void *)current_service(p);
	void *field = (char *)base + key->field;
	const char *text = at->value;
	uint64_t number;
	int rc;
	switch (key->type) {
	case CONF_BIND:
		rc = set_endpoint(p, field, key, text, expected);
		if (rc == 0)
			((struct conf_endpoint *)field)->line = at->line;
		return rc;
	case CONF_SERVER:
		return add_server(p, at, key, expected);
	case CONF_RESOLVER:
		return add_resolver(p, at, expected);
	case CONF_NAME:
		if (!conf_value_is_name(text, strlen(text)))
			return ERR_INVALID;
		return copy_text(p, field, text, strlen(text));
	case CONF_MODE:
		return conf_value_mode(field, text);
	case CONF_LEVEL:
		return conf_value_level(field, text);
	case CONF_DURATION:
	case CONF_DURATION_OR_OFF:
	case CONF_SIZE:
	case CONF_COUNT:
		rc = conf_value_number(&number, key, text, expected);
		if (rc == 0 && key->type == CONF_COUNT)
			*(uint32_t *)field = (uint32_t)number;
		else if (rc == 0)
			*(uint64_t *)field = number;
		return rc;
	}
	return ERR_INVALID;
}

/* The table's defaults, by the way that the user's own values go. */
static int set_defaults(struct parse *p)
{
	size_t n;
	const struct conf_key *keys = conf_keys(&n);
	for (size_t i = 0; i < n; i++) {
		const char *expected = NULL;
		struct conf_place at = {.value = keys[i].fallback};
		if (at.value == NULL || (keys[i].where & p->where) == 0)
			continue;
		int rc = set_field(p, &keys[i], &at, &expected);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* --- lines -------------------------------------------------------------------- */

/* Says why a key may not stand here. */
static void report_misplaced(struct parse *p, const struct conf_place *at, const char *written)
{
	const struct conf_key *key = conf_keys_find(written);
	if (key != NULL && (key->where & p->where) == 0) {
		conf_errors_add(&p->errors, at, "expected only in %s",
			p->where == CONF_IN_GLOBAL ? "the section of a service"
						   : "the section [Cloudbus]");
		return;
	}
	if (key != NULL) {
		conf_errors_add(&p->errors, at, "expected only in the file of a %s",
			p->conf->role == CONF_SEGMENT ? "controller" : "segment");
		return;
	}
	const char *nearest = conf_errors_full(&p->errors)
				      ? NULL
				      : conf_keys_nearest(written, p->where, p->conf->role);
	if (nearest == NULL) {
		conf_errors_add(&p->errors, at, "unknown key");
		return;
	}
	conf_errors_add(&p->errors, at, "unknown key; did you mean \"%s\"?", nearest);
	if (p->where == CONF_IN_SERVICE)
		current_check(p)->tried |= 1u << conf_keys_index(conf_keys_find(nearest));
}

static int take_key(void *ctx, unsigned line, const char *written, const char *value)
{
	struct parse *p = ctx;
	struct conf_place at = place(p, line);
	at.key = written;
	at.value = value;
	if (p->where == 0) {
		if (p->section == NULL)
			conf_errors_add(&p->errors, &at, "expected a section's header before it");
		return 0;
	}
	const struct conf_key *key = conf_keys_find(written);
	if (key == NULL || !conf_keys_allowed(key, p->where, p->conf->role)) {
		report_misplaced(p, &at, written);
		return 0;
	}
	unsigned index = conf_keys_index(key);
	if (p->where == CONF_IN_SERVICE)
		current_check(p)->tried |= 1u << index;
	if (p->lines[index] != 0 && !key->repeatable) {
		conf_errors_add(
			&p->errors, &at, "the key stands already in line %u", p->lines[index]);
		return 0;
	}
	const char *expected = key->expected;
	int rc = set_field(p, key, &at, &expected);
	if (rc == ERR_INVALID)
		conf_errors_add(&p->errors, &at, "expected %s", expected);
	if (p->lines[index] == 0)
		p->lines[index] = line;
	return rc == ERR_NOMEM ? rc : 0;
}

static int take_bad(void *ctx, unsigned line, const char *text, const char *problem)
{
	struct parse *p = ctx;
	struct conf_place at = place(p, line);
	at.value = text;
	conf_errors_add(&p->errors, &at, "%s", problem);
	/* It may have been any key, so none is missing for certain. */
	if (current_check(p) != NULL)
		current_check(p)->tried = ~0u;
	return 0;
}

static int grow_services(struct parse *p)
{
	struct conf *c = p->conf;
	if (c->n_services < p->services_room)
		return 0;
	size_t room = p->services_room > 0 ? 2 * p->services_room : 8;
	void *services = mem_resize(p->mem, c->services, room * sizeof *c->services);
	if (services == NULL)
		return ERR_NOMEM;
	c->services = services;
	void *checks = mem_resize(p->mem, p->checks, room * sizeof *p->checks);
	if (checks == NULL)
		return ERR_NOMEM;
	p->checks = checks;
	p->services_room = room;
	return 0;
}

static int begin_service(struct parse *p, unsigned line, bool readable)
{
	struct conf *c = p->conf;
	if (c->n_services == CONF_SERVICES_MAX) {
		p->where = 0;
		if (p->sections == CONF_SERVICES_MAX + 1) {
			struct conf_place at = place(p, line);
			conf_errors_add(
				&p->errors, &at, "expected at most %d services", CONF_SERVICES_MAX);
		}
		return 0;
	}
	int rc = grow_services(p);
	if (rc != 0)
		return rc;
	p->checks[c->n_services] = (struct conf_check){.readable = readable};
	c->services[c->n_services++] = (struct conf_service){.line = line};
	if ((rc = copy_text(p, &current_service(p)->name, p->section, p->section_n)) != 0)
		return rc;
	return set_defaults(p);
}

static int begin_global(struct parse *p, unsigned line)
{
	struct conf_place at = place(p, line);
	if (p->global_line != 0)
		conf_errors_add(
			&p->errors, &at, "the section stands already in line %u", p->global_line);
	else
		p->global_line = line;
	return 0;
}

static int take_section(void *ctx, unsigned line, const char *name, size_t n, const char *problem)
{
	struct parse *p = ctx;
	p->section = name;
	p->section_n = n;
	memset(p->lines, 0, sizeof p->lines);
	if (problem == NULL && !conf_value_is_name(name, n))
		problem = "expected a name of 1 to 255 bytes of UTF-8 without control characters";
	if (problem != NULL) {
		struct conf_place at = place(p, line);
		conf_errors_add(&p->errors, &at, "%s", problem);
	}
	bool global = n == sizeof global_name - 1 && strncasecmp(name, global_name, n) == 0;
	p->where = global ? CONF_IN_GLOBAL : CONF_IN_SERVICE;
	if (global)
		return begin_global(p, line);
	p->sections++;
	return begin_service(p, line, problem == NULL);
}

/* --- the whole ---------------------------------------------------------------- */

static int read_text(struct parse *p, const struct conf_source *src)
{
	struct conf_ini_handler to = {
		.section = take_section, .key = take_key, .bad = take_bad, .ctx = p};
	struct conf_place whole = {.line = 0};
	if (src->n > CONF_FILE_MAX) {
		conf_errors_add(&p->errors, &whole,
			"the file is too long; expected at most %d bytes", CONF_FILE_MAX);
		return 0;
	}
	p->where = CONF_IN_GLOBAL;
	int rc = set_defaults(p);
	p->where = 0;
	if (rc == 0)
		rc = conf_ini_read(src, &to);
	if (rc == 0 && p->sections == 0 && p->errors.count == 0)
		conf_errors_add(
			&p->errors, &whole, "expected a service: a section with bind= and server=");
	if (rc == 0)
		rc = conf_check_services(p->conf, p->checks, &p->errors);
	return rc;
}

int conf_parse(struct conf **out, enum conf_role role, const struct conf_source *src,
	struct mem *mem, conf_report *report, void *ctx)
{
	struct parse p = {
		.mem = mem,
		.errors = {.file = src->file, .report = report, .ctx = ctx},
	};
	int rc = ERR_NOMEM;
	*out = NULL;
	p.conf = mem_zalloc(mem, sizeof *p.conf);
	if (p.conf != NULL) {
		p.conf->role = role;
		p.conf->mem = mem;
		rc = read_text(&p, src);
	}
	conf_errors_end(&p.errors);
	if (rc == 0 && p.errors.count > 0)
		rc = ERR_INVALID;
	if (rc == ERR_NOMEM) {
		p.errors.count = 0;
		conf_errors_add(&p.errors, &(struct conf_place){.line = 0}, "out of memory");
	}
	mem_free(mem, p.checks);
	if (rc == 0)
		*out = p.conf;
	else
		conf_free(p.conf);
	return rc;
}

void conf_free(struct conf *conf)
{
	if (conf == NULL)
		return;
	struct mem *mem = conf->mem;
	for (size_t i = 0; i < conf->n_services; i++) {
		struct conf_service *s = &conf->services[i];
		free_endpoint(mem, &s->bind);
		for (size_t k = 0; k < s->n_servers; k++)
			free_endpoint(mem, &s->servers[k]);
		mem_free(mem, s->servers);
		if (s->service != s->name)
			mem_free(mem, s->service);
		mem_free(mem, s->name);
	}
	mem_free(mem, conf->services);
	mem_free(mem, conf->dns);
	mem_free(mem, conf);
}
