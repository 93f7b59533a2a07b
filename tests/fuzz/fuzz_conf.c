/*
 * Any bytes as a configuration, for both roles: either a value that keeps its promises, or
 * an error with words.
 */
#include "conf/conf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define PROMISE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

static void hear(void *ctx, const char *message)
{
	size_t n = strlen(message);
	/* Nothing of a hostile file reaches a terminal raw. */
	for (size_t i = 0; i < n; i++)
		PROMISE((unsigned char)message[i] >= 0x20 && message[i] != 0x7f);
	++*(size_t *)ctx;
}

static void check_endpoint(const struct conf_endpoint *e)
{
	PROMISE(e->text != NULL && e->line > 0);
	if (e->host != NULL) {
		PROMISE(strlen(e->host) <= CONF_HOST_MAX && e->port > 0);
		return;
	}
	PROMISE(e->addr.len > 0 && e->addr.len <= sizeof(struct sockaddr_un));
	PROMISE(addr_port(&e->addr) == e->port);
	PROMISE((addr_family(&e->addr) == AF_UNIX) == (e->port == 0));
}

static void check_conf(const struct conf *c, enum conf_role role)
{
	PROMISE(c->n_services >= 1 && c->n_services <= CONF_SERVICES_MAX);
	PROMISE(c->n_dns <= CONF_DNS_MAX && c->log_level <= LOG_DEBUG);
	for (size_t i = 0; i < c->n_services; i++) {
		const struct conf_service *s = &c->services[i];
		PROMISE(strlen(s->name) >= 1 && strlen(s->name) <= CONF_NAME_MAX);
		PROMISE(strlen(s->service) >= 1 && strlen(s->service) <= CONF_NAME_MAX);
		PROMISE(s->n_servers >= 1 && s->n_servers <= CONF_SERVERS_MAX);
		PROMISE(role == CONF_CONTROLLER || s->n_servers == 1);
		PROMISE(s->bind.host == NULL && s->connect_timeout > 0);
		check_endpoint(&s->bind);
		for (size_t k = 0; k < s->n_servers; k++)
			check_endpoint(&s->servers[k]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const enum conf_role roles[] = {CONF_CONTROLLER, CONF_SEGMENT};
	struct conf_source src = {.file = "x.ini", .text = (const char *)data, .n = n};
	for (size_t i = 0; i < 2; i++) {
		struct conf *conf;
		size_t heard = 0;
		int rc = conf_parse(&conf, roles[i], &src, mem_system(), hear, &heard);
		PROMISE((rc == 0) == (conf != NULL) && (rc == 0) == (heard == 0));
		PROMISE(heard <= CONF_ERRORS_MAX + 1);
		if (conf != NULL)
			check_conf(conf, roles[i]);
		conf_free(conf);
	}
	return 0;
}
