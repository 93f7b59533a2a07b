#include "conf/conf_field.h"

#include "base/err.h"
#include "conf/conf_value.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

int conf_field_copy(struct mem *mem, char **out, const char *s, size_t n)
{
	char *copy = mem_strndup(mem, s, n);
	if (copy == NULL)
		return ERR_NOMEM;
	mem_free(mem, *out);
	*out = copy;
	return 0;
}

static void free_endpoint(struct mem *mem, struct conf_endpoint *e)
{
	mem_free(mem, e->text);
	mem_free(mem, e->host);
}

void conf_field_fini(struct mem *mem, struct conf_service *s)
{
	free_endpoint(mem, &s->bind);
	for (size_t i = 0; i < s->n_servers; i++)
		free_endpoint(mem, &s->servers[i]);
	mem_free(mem, s->servers);
	if (s->service != s->name)
		mem_free(mem, s->service);
	mem_free(mem, s->name);
}

/* Whether the key's address is that of a node, for a node. */
static bool is_between_nodes(const struct conf_field *f)
{
	return f->key->type == (f->conf->role == CONF_SEGMENT ? CONF_BIND : CONF_SERVER);
}

static int set_endpoint(
	const struct conf_field *f, struct conf_endpoint *out, const char **expected)
{
	struct mem *mem = f->conf->mem;
	const char *text = f->at->value;
	struct conf_value_address a;
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
	if (a->host != NULL && b->host != NULL)
		return a->port == b->port && strcmp(a->host, b->host) == 0;
	return a->host == NULL && b->host == NULL && addr_equal(&a->addr, &b->addr);
}

/* Appends; the endpoint becomes the service's.  0 or ERR_NOMEM. */
static int append_server(struct mem *mem, struct conf_service *s, const struct conf_endpoint *e)
{
	/* Room grows by doubling: it is full whenever the number is a power of two. */
	if ((s->n_servers & (s->n_servers - 1)) == 0) {
		size_t room = s->n_servers > 0 ? 2 * s->n_servers : 1;
		void *grown = mem_resize(mem, s->servers, room * sizeof *s->servers);
		if (grown == NULL)
			return ERR_NOMEM;
		s->servers = grown;
	}
	s->servers[s->n_servers++] = *e;
	return 0;
}

static int add_server(const struct conf_field *f, const char **expected)
{
	struct mem *mem = f->conf->mem;
	struct conf_service *s = f->service;
	struct conf_endpoint e;
	assert(s != NULL);
	if (f->conf->role == CONF_SEGMENT && f->first != 0) {
		conf_errors_add(f->errors, f->at,
			"expected one server in a segment's service; it stands in line %u",
			f->first);
		return 0;
	}
	if (s->n_servers == CONF_SERVERS_MAX) {
		conf_errors_add(f->errors, f->at, "expected at most %d servers in a section",
			CONF_SERVERS_MAX);
		return 0;
	}
	int rc = set_endpoint(f, &e, expected);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < s->n_servers; i++) {
		if (same_endpoint(&s->servers[i], &e)) {
			conf_errors_add(f->errors, f->at, "the same server stands in line %u",
				s->servers[i].line);
			free_endpoint(mem, &e);
			return 0;
		}
	}
	rc = append_server(mem, s, &e);
	if (rc != 0)
		free_endpoint(mem, &e);
	return rc;
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
	case CONF_RESOLVER:
		return add_resolver(f, expected);
	case CONF_NAME:
		if (!conf_value_is_name(text, strlen(text)))
			return ERR_INVALID;
		return conf_field_copy(f->conf->mem, field, text, strlen(text));
	case CONF_PATH:
		return set_path(f, field);
	case CONF_ACCOUNT:
		return set_account(f, field);
	case CONF_SWITCH:
		return conf_value_switch(field, text);
	case CONF_MODE:
		return conf_value_mode(field, text);
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
