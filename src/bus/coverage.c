#include "bus/coverage.h"

#include "base/log.h"

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

static bool any_secured(const struct conf_endpoint *e, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (e[i].secured)
			return true;
	}
	return false;
}

/* The first name that a controller asks for and may not open; NULL: there is none. */
static const char *not_opened(
	const struct conf *conf, const struct conf_service *s, const struct token *own)
{
	bool listens = any_secured(conf->listens, conf->n_listens);
	for (size_t i = 0; i < s->n_servers; i++) {
		const struct conf_endpoint *e = &s->servers[i];
		const char *name = e->service != NULL ? e->service : s->service;
		bool secured = e->service != NULL ? listens : e->secured;
		if (secured && !token_may_open(own, name, strlen(name)))
			return name;
	}
	return NULL;
}

/* The name of a segment's service, if others are to reach it and may not; or NULL. */
static const char *not_served(
	const struct conf *conf, const struct conf_service *s, const struct token *own)
{
	bool secured = s->bind.secured || any_secured(conf->connects, conf->n_connects);
	return secured && !token_may_serve(own, s->name, strlen(s->name)) ? s->name : NULL;
}

size_t coverage_check(const struct conf *conf, const struct token *own, const char *path)
{
	bool opens = conf->role == CONF_CONTROLLER;
	size_t n = 0;
	for (size_t i = 0; i < conf->n_services; i++) {
		const struct conf_service *s = &conf->services[i];
		const char *name = opens ? not_opened(conf, s, own) : not_served(conf, s, own);
		if (name == NULL || ++n > COVERAGE_LINES)
			continue;
		log_warning("service [%s] (line %u): %s does not let this node %s [%s]; issue it "
			    "anew with %s",
			s->name, s->line, path, opens ? "open" : "serve", name,
			opens ? "--open" : "--serve");
	}
	if (n > COVERAGE_LINES)
		log_warning("%s does not allow %zu further services", path, n - COVERAGE_LINES);
	return n;
}

static bool is_open(const struct conf_endpoint *e)
{
	return e->text != NULL && !e->secured && addr_family(&e->addr) != AF_UNIX;
}

/* Counts it, and says so unless there were many. */
static void complain(size_t *n, const struct conf_endpoint *e, const char *key, const char *what)
{
	if (++*n <= COVERAGE_LINES)
		log_warning("%s=%s (line %u) is plain, beside secured addresses: whoever %s, "
			    "without a token",
			key, e->text, e->line, what);
}

size_t coverage_check_plain(const struct conf *conf)
{
	size_t n = 0;
	if (!conf->secured)
		return 0;
	for (size_t i = 0; i < conf->n_listens; i++) {
		if (is_open(&conf->listens[i]))
			complain(&n, &conf->listens[i], "listen",
				"dials it may serve any name, and gets sessions of it");
	}
	for (size_t i = 0; i < conf->n_connects; i++) {
		if (is_open(&conf->connects[i]))
			complain(&n, &conf->connects[i], "connect",
				"answers there may open every service");
	}
	for (size_t i = 0; i < conf->n_services && conf->role == CONF_SEGMENT; i++) {
		if (is_open(&conf->services[i].bind))
			complain(&n, &conf->services[i].bind, "bind",
				"dials it may open its services");
	}
	if (n > COVERAGE_LINES)
		log_warning("%zu further addresses are plain", n - COVERAGE_LINES);
	return n;
}
