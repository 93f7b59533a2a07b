#include "conf/conf.h"

#include "base/err.h"
#include "conf/conf_check.h"
#include "conf/conf_errors.h"
#include "conf/conf_field.h"
#include "conf/conf_ini.h"
#include "conf/conf_keys.h"
#include "conf/conf_value.h"

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
	unsigned global_tried; /* its keys, by index, given or meant to be */

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

/* Of these keys, by index, the section is not to be told that they are missing. */
static void note_tried(struct parse *p, unsigned keys)
{
	if (p->where == CONF_IN_SERVICE)
		p->checks[p->conf->n_services - 1].tried |= keys;
	else
		p->global_tried |= keys;
}

/* The service whose keys stand here; NULL in the section [Cloudbus]. */
static struct conf_service *service_here(const struct parse *p)
{
	return p->where == CONF_IN_SERVICE ? current_service(p) : NULL;
}

/* The table's defaults, by the way that the user's own values go. */
static int set_defaults(struct parse *p)
{
	size_t n;
	const struct conf_key *keys = conf_keys(&n);
	int rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (keys[i].fallback == NULL || (keys[i].where & p->where) == 0)
			continue;
		struct conf_place at = {.key = keys[i].name, .value = keys[i].fallback};
		rc = conf_field_set(&(struct conf_field){.conf = p->conf,
			.service = service_here(p),
			.key = &keys[i],
			.at = &at,
			.errors = &p->errors});
	}
	return rc;
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
	const char *word = NULL;
	if (!conf_errors_full(&p->errors))
		key = conf_keys_nearest(written, p->where, p->conf->role, &word);
	if (key == NULL) {
		conf_errors_add(&p->errors, at, "unknown key");
		return;
	}
	conf_errors_add(&p->errors, at, "unknown key; did you mean \"%s\"?", word);
	note_tried(p, 1u << conf_keys_index(key));
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
	note_tried(p, 1u << index);
	if (p->lines[index] != 0 && !key->repeatable) {
		conf_errors_add(
			&p->errors, &at, "the key stands already in line %u", p->lines[index]);
		return 0;
	}
	int rc = conf_field_set(&(struct conf_field){.conf = p->conf,
		.service = service_here(p),
		.key = key,
		.at = &at,
		.first = p->lines[index],
		.errors = &p->errors});
	if (p->lines[index] == 0)
		p->lines[index] = line;
	return rc;
}

static int take_bad(void *ctx, unsigned line, const char *text, const char *problem)
{
	struct parse *p = ctx;
	struct conf_place at = place(p, line);
	at.value = text;
	conf_errors_add(&p->errors, &at, "%s", problem);
	/* It may have been any key, so none is missing for certain. */
	note_tried(p, ~0u);
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
	if ((rc = conf_field_copy(p->mem, &current_service(p)->name, p->section, p->section_n)) !=
		0)
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
		rc = conf_check_services(p->conf, p->checks, p->global_tried, &p->errors);
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
	for (size_t i = 0; i < conf->n_services; i++)
		conf_field_fini(mem, &conf->services[i]);
	mem_free(mem, conf->services);
	for (size_t i = 0; i < conf->n_listens; i++)
		conf_field_free_endpoint(mem, &conf->listens[i]);
	mem_free(mem, conf->listens);
	for (size_t i = 0; i < conf->n_connects; i++)
		conf_field_free_endpoint(mem, &conf->connects[i]);
	mem_free(mem, conf->connects);
	mem_free(mem, conf->trust);
	mem_free(mem, conf->identity);
	mem_free(mem, conf->token);
	mem_free(mem, conf->revoked);
	conf_field_free_endpoint(mem, &conf->metrics);
	mem_free(mem, conf->user.name);
	mem_free(mem, conf->group.name);
	mem_free(mem, conf->dns);
	mem_free(mem, conf);
}
