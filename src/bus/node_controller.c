#include "bus/node_controller.h"

#include "base/err.h"
#include "base/log.h"
#include "conf/conf_equal.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* What becomes of one service. */
struct change {
	struct ingress *in;
	struct listen *listen;
	struct server **server;
	bool is_new, binds; /* the ingress, the listener */
};

/* What was there before, and what comes. */
struct controller_plan {
	struct node_step *step;
	struct hash by_name;        /* struct ingress */
	struct hash by_address;     /* struct listen; those that are taken leave it */
	struct change *change;      /* one a service */
	struct acceptor **acceptor; /* one a listen=; new where `is_new` says so */
	bool *is_new;
};

static void plan_free(struct controller_plan *p)
{
	struct mem *mem = p->step->node->bus->mem;
	hash_fini(&p->by_name);
	hash_fini(&p->by_address);
	mem_free(mem, p->change);
	mem_free(mem, p->acceptor);
	mem_free(mem, p->is_new);
	mem_free(mem, p);
}

/* NULL: no memory. */
static struct controller_plan *plan_new(struct node_step *step)
{
	struct mem *mem = step->node->bus->mem;
	const struct conf *conf = step->conf;
	struct controller_plan *p = mem_zalloc(mem, sizeof *p);
	if (p == NULL)
		return NULL;
	p->step = step;
	hash_init(&p->by_name, mem);
	hash_init(&p->by_address, mem);
	p->change = mem_zalloc(mem, conf->n_services * sizeof *p->change);
	p->acceptor = mem_zalloc(mem, (conf->n_listens + 1) * sizeof *p->acceptor);
	p->is_new = mem_zalloc(mem, (conf->n_listens + 1) * sizeof *p->is_new);
	if (p->change != NULL && p->acceptor != NULL && p->is_new != NULL)
		return p;
	plan_free(p);
	return NULL;
}

/* --- what is there ----------------------------------------------------------------------- */

static int index_ingresses(struct controller_plan *p)
{
	struct node *node = p->step->node;
	int rc = 0;
	list_each (n, &node->ingresses) {
		struct ingress *in = container_of(n, struct ingress, node);
		if (in->retired || rc != 0)
			continue;
		rc = hash_add(&p->by_name, &in->by_name, node_name_hash(node, in->conf->name));
		if (rc == 0)
			rc = hash_add(&p->by_address, &in->listen->by_address,
				addr_hash(&in->listen->asked, node->bus->seed));
	}
	return rc;
}

static struct ingress *find_ingress(const struct controller_plan *p, const char *name)
{
	uint64_t hash = node_name_hash(p->step->node, name);
	for (struct hash_node *n = hash_find(&p->by_name, hash); n != NULL; n = hash_find_next(n)) {
		struct ingress *in = container_of(n, struct ingress, by_name);
		if (strcasecmp(in->conf->name, name) == 0)
			return in;
	}
	return NULL;
}

/* The listener on an address, which is the finder's from then on; or NULL. */
static struct listen *take_listen(struct controller_plan *p, const struct addr *addr)
{
	uint64_t hash = addr_hash(addr, p->step->node->bus->seed);
	for (struct hash_node *n = hash_find(&p->by_address, hash); n != NULL;
		n = hash_find_next(n)) {
		struct listen *l = container_of(n, struct listen, by_address);
		if (addr_equal(&l->asked, addr)) {
			hash_remove(&p->by_address, n);
			return l;
		}
	}
	return NULL;
}

static struct acceptor *find_acceptor(const struct node *node, const struct addr *addr)
{
	list_each (n, &node->acceptors) {
		struct acceptor *a = container_of(n, struct acceptor, node);
		if (addr_equal(&a->listen.asked, addr))
			return a;
	}
	return NULL;
}

/* --- what is to be ------------------------------------------------------------------------ */

static int prepare_service(
	struct controller_plan *p, const struct conf_service *conf, struct change *c)
{
	struct node *node = p->step->node;
	c->in = find_ingress(p, conf->name);
	if (c->in == NULL) {
		c->in = ingress_new(node->bus, conf);
		c->is_new = true;
	}
	if (c->in == NULL)
		return ERR_NOMEM;
	struct ingress_options opt = {
		.conf = conf, .links = &node->links, .registry = &node->registry};
	int rc = ingress_prepare(c->in, &opt, &c->server);
	if (rc != 0)
		return rc;
	c->listen = take_listen(p, &conf->bind.addr);
	if (c->listen != NULL)
		return 0;
	rc = ingress_listen(&c->listen, node->bus, &conf->bind.addr);
	c->binds = rc == 0;
	return rc;
}

static int prepare_acceptor(struct controller_plan *p, size_t i)
{
	struct node *node = p->step->node;
	const struct conf_endpoint *at = &p->step->conf->listens[i];
	p->acceptor[i] = find_acceptor(node, &at->addr);
	if (p->acceptor[i] != NULL)
		return 0;
	struct acceptor *a = mem_zalloc(node->bus->mem, sizeof *a);
	if (a == NULL)
		return ERR_NOMEM;
	struct acceptor_options opt = {.addr = at->addr,
		.secured = at->secured,
		.ops = registry_transport_ops(),
		.owner = &node->registry};
	int rc = acceptor_start(a, node->bus, &opt);
	if (rc != 0) {
		log_error("listen (line %u): cannot bind %s: %s", at->line, at->text,
			rc == ERR_SYS ? strerror(errno) : err_text(rc));
		mem_free(node->bus->mem, a);
		p->step->failed = rc;
		return 0;
	}
	list_init(&a->node);
	p->acceptor[i] = a;
	p->is_new[i] = true;
	return 0;
}

void node_controller_prepare(struct node_step *step)
{
	struct controller_plan *p = step->controller = plan_new(step);
	const struct conf *conf = step->conf;
	if (p == NULL || index_ingresses(p) != 0) {
		node_no_memory(step);
		return;
	}
	for (size_t i = 0; i < conf->n_services; i++) {
		int rc = prepare_service(p, &conf->services[i], &p->change[i]);
		if (rc != 0)
			node_complain(step, &conf->services[i], rc);
	}
	for (size_t i = 0; i < conf->n_listens; i++) {
		if (prepare_acceptor(p, i) != 0)
			node_no_memory(step);
	}
}

/* --- it is not to be ----------------------------------------------------------------------- */

static void drop_listen(struct bus *bus, struct listen *l)
{
	listen_stop(l);
	loop_free_later(bus->loop, l);
}

static void drop_acceptor(struct bus *bus, struct acceptor *a)
{
	acceptor_close(a);
	list_remove(&a->node);
	loop_free_later(bus->loop, a);
}

void node_controller_abandon(struct node_step *step)
{
	struct controller_plan *p = step->controller;
	struct bus *bus = step->node->bus;
	const struct conf *conf = step->conf;
	if (p == NULL)
		return;
	for (size_t i = 0; i < conf->n_services; i++) {
		struct change *c = &p->change[i];
		if (c->binds)
			drop_listen(bus, c->listen);
		if (c->server != NULL)
			ingress_abandon(c->in, &conf->services[i], c->server);
		if (c->is_new && c->in != NULL)
			ingress_free(c->in);
	}
	for (size_t i = 0; i < conf->n_listens; i++) {
		if (p->is_new[i])
			drop_acceptor(bus, p->acceptor[i]);
	}
	plan_free(p);
}

/* --- it is to be --------------------------------------------------------------------------- */

/* Whoever is not named any more: what is still in the tables. */
static void retire_rest(struct controller_plan *p)
{
	struct bus *bus = p->step->node->bus;
	for (struct hash_node *n; (n = hash_any(&p->by_address)) != NULL;) {
		hash_remove(&p->by_address, n);
		struct listen *l = container_of(n, struct listen, by_address);
		struct ingress *in = l->owner;
		if (in->listen == l)
			in->listen = NULL;
		drop_listen(bus, l);
	}
	for (struct hash_node *n; (n = hash_any(&p->by_name)) != NULL;) {
		hash_remove(&p->by_name, n);
		struct ingress *in = container_of(n, struct ingress, by_name);
		in->listen = NULL; /* stopped, or another's by now */
		if (in->n_sessions > 0)
			log_info("service [%s]: removed; its %zu sessions may finish",
				in->conf->name, in->n_sessions);
		p->step->changes.removed++;
		ingress_retire(in);
	}
}

static bool is_wanted(const struct controller_plan *p, const struct acceptor *a)
{
	for (size_t i = 0; i < p->step->conf->n_listens; i++) {
		if (p->acceptor[i] == a)
			return true;
	}
	return false;
}

static void commit_acceptors(struct controller_plan *p)
{
	struct node *node = p->step->node;
	list_each_safe (n, &node->acceptors) {
		struct acceptor *a = container_of(n, struct acceptor, node);
		if (is_wanted(p, a))
			continue;
		acceptor_retire(a);
		drop_acceptor(node->bus, a);
	}
	for (size_t i = 0; i < p->step->conf->n_listens; i++) {
		if (p->is_new[i])
			list_append(&node->acceptors, &p->acceptor[i]->node);
		acceptor_set_secured(p->acceptor[i], p->step->conf->listens[i].secured);
	}
}

void node_controller_commit(struct node_step *step)
{
	struct controller_plan *p = step->controller;
	struct node *node = step->node;
	const struct conf *conf = step->conf;
	for (size_t i = 0; i < conf->n_services; i++) {
		struct change *c = &p->change[i];
		node_count(step, c->is_new ? NULL : c->in->conf, &conf->services[i]);
		if (c->is_new)
			list_append(&node->ingresses, &c->in->node);
		else
			hash_remove(&p->by_name, &c->in->by_name);
	}
	retire_rest(p);
	for (size_t i = 0; i < conf->n_services; i++) {
		struct change *c = &p->change[i];
		c->in->listen = c->listen;
		c->listen->owner = c->in;
		ingress_commit(c->in, &conf->services[i], c->server);
	}
	commit_acceptors(p);
	plan_free(p);
}

/* --- the end ------------------------------------------------------------------------------- */

void node_controller_close(struct node *node)
{
	list_each (n, &node->ingresses) {
		struct ingress *in = container_of(n, struct ingress, node);
		if (in->listen != NULL)
			listen_stop(in->listen);
	}
	list_each (n, &node->acceptors) {
		acceptor_close(container_of(n, struct acceptor, node));
	}
}

void node_controller_fini(struct node *node)
{
	struct bus *bus = node->bus;
	for (struct list *n; (n = list_first(&node->ingresses)) != NULL;) {
		struct ingress *in = container_of(n, struct ingress, node);
		if (in->listen != NULL)
			drop_listen(bus, in->listen);
		ingress_free(in);
	}
	for (struct list *n; (n = list_first(&node->acceptors)) != NULL;)
		drop_acceptor(bus, container_of(n, struct acceptor, node));
}
