#include "conf/conf_field.h"

#include "config.h"

#include "base/err.h"
#include "conf/conf_value.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

int conf_field_copy(struct mem *mem, char **out, const char *s, size_t n)
{
	char *copy = mem_strndup(mem, s, n);
	if (copy == NULL)
		return ERR_NOMEM;
	mem_free(mem, *out);
	*out = copy;
	return 0;
}

void conf_field_free_endpoint(struct mem *mem, struct conf_endpoint *e)
{
	mem_free(mem, e->text);
	mem_free(mem, e->host);
	mem_free(mem, e->service);
}

void conf_field_fini(struct mem *mem, struct conf_service *s)
{
	conf_field_free_endpoint(mem, &s->bind);
	for (size_t i = 0; i < s->n_servers; i++)
		conf_field_free_endpoint(mem, &s->servers[i]);
	mem_free(mem, s->servers);
	if (s->service != s->name)
		mem_free(mem, s->service);
	mem_free(mem, s->name);
}

/* Whether the key's address is that of a node, for a node. */
static bool is_between_nodes(const struct conf_field *f)
{
	if (f->key->type == CONF_LISTEN || f->key->type == CONF_CONNECT)
		return true;
	return f->key->type == (f->conf->role == CONF_SEGMENT ? CONF_BIND : CONF_SERVER);
}

/* bus:NAME */
static int set_bus_name(const struct conf_field *f, struct conf_endpoint *out, const char *name,
	const char **expected)
{
	if (f->key->type != CONF_SERVER || f->conf->role != CONF_CONTROLLER) {
		*expected = "an address here; bus:SERVICE is a controller's server";
		return ERR_INVALID;
	}
	if (!conf_value_is_name(name, strlen(name))) {
		*expected = "a name of 1 to 255 bytes of UTF-8 after bus:";
		return ERR_INVALID;
	}
	return conf_field_bus(f->conf->mem, out, name, f->at->line);
}

int conf_field_bus(struct mem *mem, struct conf_endpoint *out, const char *name, unsigned line)
{
	struct conf_endpoint e = {.line = line};
	size_t n = strlen(name);
	int rc = conf_field_copy(mem, &e.service, name, n);
	if (rc == 0 && (e.text = mem_alloc(mem, n + sizeof "bus:")) == NULL) {
		mem_free(mem, e.service);
		rc = ERR_NOMEM;
	}
	if (rc != 0)
		return rc;
	memcpy(e.text, "bus:", 4);
	memcpy(e.text + 4, name, n + 1);
	*out = e;
	return 0;
}

static int set_endpoint(
	const struct conf_field *f, struct conf_endpoint *out, const char **expected)
{
	struct mem *mem = f->conf->mem;
	const char *text = f->at->value;
	struct conf_value_address a;
	const char *name = conf_value_bus_name(text);
	if (name != NULL)
		return set_bus_name(f, out, name, expected);
	int rc = conf_value_address(&a, f->key->type, text, expected);
	if (rc != 0)
		return rc;
	/* The other ends of a session are clients and servers, which know nothing of it. */
	if (a.secured && !is_between_nodes(f)) {
		*expected = "tcp:// or unix:// here; bus:// leads from node to node only";
		return ERR_INVALID;
	}
	struct conf_endpoint e = {
		.addr = a.addr, .port = a.port, .secured = a.secured, .line = f->at->line};
	if (a.host != NULL && (rc = conf_field_copy(mem, &e.host, a.host, a.host_n)) != 0)
		return rc;
	if ((rc = conf_field_copy(mem, &e.text, text, strlen(text))) != 0) {
		mem_free(mem, e.host);
		return rc;
	}
	for (char *c = e.host; c != NULL && *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	*out = e;
	return 0;
}

static bool same_endpoint(const struct conf_endpoint *a, const struct conf_endpoint *b)
{
	if (a->service != NULL || b->service != NULL)
		return a->service != NULL && b->service != NULL &&
		       strcasecmp(a->service, b->service) == 0;
	if (a->host != NULL && b->host != NULL)
		return a->port == b->port && strcmp(a->host, b->host) == 0;
	return a->host == NULL && b->host == NULL && addr_equal(&a->addr, &b->addr);
}

int conf_field_append(
	struct mem *mem, struct conf_endpoint **array, size_t *n, const struct conf_endpoint *e)
{
	/* Room grows by doubling: it is full whenever the number is a power of two. */
	if ((*n & (*n - 1)) == 0) {
		size_t room = *n > 0 ? 2 * *n : 1;
		void *grown = mem_resize(mem, *array, room * sizeof **array);
		if (grown == NULL)
			return ERR_NOMEM;
		*array = grown;
	}
	(*array)[(*n)++] = *e;
	return 0;
}

/* One more of a key that may be repeated, though not with the same value. */
static int add_to(const struct conf_field *f, struct conf_endpoint **array, size_t *n, size_t max,
	const char **expected)
{
	struct mem *mem = f->conf->mem;
	struct conf_endpoint e;
	if (*n == max) {
		conf_errors_add(f->errors, f->at, "expected at most %zu %ss in a section", max,
			f->key->name);
		return 0;
	}
	int rc = set_endpoint(f, &e, expected);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < *n; i++) {
		if (same_endpoint(&(*array)[i], &e)) {
			conf_errors_add(f->errors, f->at, "the same %s stands in line %u",
				f->key->name, (*array)[i].line);
			conf_field_free_endpoint(mem, &e);
			return 0;
		}
	}
	rc = conf_field_append(mem, array, n, &e);
	if (rc != 0)
		conf_field_free_endpoint(mem, &e);
	return rc;
}

static int add_server(const struct conf_field *f, const char **expected)
{
	struct conf_service *s = f->service;
	assert(s != NULL);
	if (f->conf->role == CONF_SEGMENT && f->first != 0) {
		conf_errors_add(f->errors, f->at,
			"expected one server in a segment's service; it stands in line %u",
			f->first);
		return 0;
	}
	return add_to(f, &s->servers, &s->n_servers, CONF_SERVERS_MAX, expected);
}

static int add_resolver(const struct conf_field *f, const char **expected)
{
	struct conf *c = f->conf;
	struct addr a;
	if (c->n_dns == CONF_DNS_MAX) {
		conf_errors_add(f->errors, f->at, "expected at most %d name servers", CONF_DNS_MAX);
		return 0;
	}
	int rc = conf_value_resolver(&a, f->at->value, expected);
	if (rc != 0)
		return rc;
	if (c->dns == NULL && (c->dns = mem_alloc(c->mem, CONF_DNS_MAX * sizeof a)) == NULL)
		return ERR_NOMEM;
	c->dns[c->n_dns++] = a;
	return 0;
}

/* A relative path stands beside the file that is read, wherever the program was started. */
static int set_path(const struct conf_field *f, char **field)
{
	const char *text = f->at->value, *file = f->errors->file;
	const char *slash = text[0] != '/' ? strrchr(file, '/') : NULL;
	size_t folder = slash != NULL ? (size_t)(slash - file) + 1 : 0, n = strlen(text);
	if (n == 0 || folder + n > CONF_PATH_MAX)
		return ERR_INVALID;
	char *path = mem_alloc(f->conf->mem, folder + n + 1);
	if (path == NULL)
		return ERR_NOMEM;
	memcpy(path, file, folder);
	memcpy(path + folder, text, n + 1);
	mem_free(f->conf->mem, *field);
	*field = path;
	return 0;
}

static int set_account(const struct conf_field *f, struct conf_account *account)
{
	const char *text = f->at->value;
	if (!conf_value_is_name(text, strlen(text)))
		return ERR_INVALID;
	account->line = f->at->line;
	return conf_field_copy(f->conf->mem, &account->name, text, strlen(text));
}

static int set_number(const struct conf_field *f, void *field, const char **expected)
{
	uint64_t number;
	int rc = conf_value_number(&number, f->key, f->at->value, expected);
	if (rc != 0)
		return rc;
	if (f->key->type == CONF_COUNT)
		*(uint32_t *)field = (uint32_t)number;
	else
		*(uint64_t *)field = number;
	return 0;
}

static int set_metrics(const struct conf_field *f, struct conf_endpoint *out, const char **expected)
{
#ifdef HAVE_MICROHTTPD
	return set_endpoint(f, out, expected);
#else
	(void)out;
	(void)expected;
	conf_errors_add(f->errors, f->at,
		"this program was built without libmicrohttpd, which serves metrics (configure "
		"--without-metrics)");
	return 0;
#endif
}

/* As conf_field_set(), but ERR_INVALID where *expected says what was. */
static int set(const struct conf_field *f, const char **expected)
{
	void *base = f->service != NULL ? (void *)f->service : (void *)f->conf;
	void *field = (char *)base + f->key->field;
	const char *text = f->at->value;
	switch (f->key->type) {
	case CONF_BIND:
		return set_endpoint(f, field, expected);
	case CONF_SERVER:
		return add_server(f, expected);
	case CONF_LISTEN:
		return add_to(
			f, &f->conf->listens, &f->conf->n_listens, CONF_LISTENS_MAX, expected);
	case CONF_CONNECT:
		return add_to(
			f, &f->conf->connects, &f->conf->n_connects, CONF_CONNECTS_MAX, expected);
	case CONF_RESOLVER:
		return add_resolver(f, expected);
	case CONF_NAME:
		if (!conf_value_is_name(text, strlen(text)))
			return ERR_INVALID;
		return conf_field_copy(f->conf->mem, field, text, strlen(text));
	case CONF_PATH:
		return set_path(f, field);
	case CONF_METRICS:
		return set_metrics(f, field, expected);
	case CONF_ACCOUNT:
		return set_account(f, field);
	case CONF_SWITCH:
		return conf_value_switch(field, text);
	case CONF_MODE:
		return conf_value_mode(field, text);
	case CONF_BALANCE:
		return conf_value_balance(field, text);
	case CONF_FANOUT:
		return conf_value_fanout(field, text);
	case CONF_LEVEL:
		return conf_value_level(field, text);
	case CONF_DURATION:
	case CONF_DURATION_OR_OFF:
	case CONF_SIZE:
	case CONF_COUNT:
		return set_number(f, field, expected);
	}
	return ERR_INVALID;
}

int conf_field_set(const struct conf_field *f)
{
	const char *expected = f->key->expected;
	int rc = set(f, &expected);
	if (rc != ERR_INVALID)
		return rc;
	conf_errors_add(f->errors, f->at, "expected %s", expected);
	return 0;
}
