#include "conf/conf_equal.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool conf_equal_endpoint(const struct conf_endpoint *a, const struct conf_endpoint *b)
{
	return a->secured == b->secured && a->port == b->port && addr_equal(&a->addr, &b->addr) &&
	       same_text(a->host, b->host) && same_text(a->service, b->service);
}

static bool same_servers(const struct conf_service *a, const struct conf_service *b)
{
	if (a->n_servers != b->n_servers)
		return false;
	for (size_t i = 0; i < a->n_servers; i++) {
		if (!conf_equal_endpoint(&a->servers[i], &b->servers[i]))
			return false;
	}
	return true;
}

bool conf_equal_service(const struct conf_service *a, const struct conf_service *b)
{
	return conf_equal_endpoint(&a->bind, &b->bind) && same_servers(a, b) &&
	       same_text(a->service, b->service) && a->mode == b->mode &&
	       a->balance == b->balance && a->fanout == b->fanout &&
	       a->connect_timeout == b->connect_timeout && a->idle_timeout == b->idle_timeout &&
	       a->member_timeout == b->member_timeout && a->max_sessions == b->max_sessions;
}

bool conf_equal_revoked(const struct conf *a, const struct conf *b)
{
	return same_text(a->revoked, b->revoked);
}

static bool has(const struct conf_endpoint *all, size_t n, const struct conf_endpoint *one)
{
	for (size_t i = 0; i < n; i++) {
		if (conf_equal_endpoint(&all[i], one))
			return true;
	}
	return false;
}

/* No address stands twice in a list: conf_field.c sees to that. */
static bool same_addresses(
	const struct conf_endpoint *a, size_t n_a, const struct conf_endpoint *b, size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++) {
		if (!has(b, n_b, &a[i]))
			return false;
	}
	return true;
}

bool conf_equal_links(const struct conf *a, const struct conf *b)
{
	return same_addresses(a->listens, a->n_listens, b->listens, b->n_listens) &&
	       same_addresses(a->connects, a->n_connects, b->connects, b->n_connects);
}

bool conf_equal_process(const struct conf *a, const struct conf *b)
{
	return same_text(a->user.name, b->user.name) && same_text(a->group.name, b->group.name) &&
	       a->hardening == b->hardening;
}
