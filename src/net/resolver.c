#include "net/resolver.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <string.h>

/* A socket of c-ares.  One that was closed is kept for the next. */
struct resolver_socket {
	struct loop_fd lfd;
	struct resolver *owner;
	struct list node;
};

struct resolver {
	struct loop *loop;
	struct mem *mem;
	uint64_t timeout;
	ares_channel channel; /* asks servers only */
	ares_channel hosts;   /* looks into the hosts file only; NULL where that is not wanted */
	struct list sockets;
	struct timer timer; /* c-ares' next; parked at CLOCK_NEVER, so that moving cannot fail */
};

static void rearm(struct resolver *r)
{
	struct timeval tv;
	uint64_t at = CLOCK_NEVER;
	/* It counts in whole milliseconds, rounded down: one more, or the last would spin. */
	if (ares_timeout(r->channel, NULL, &tv) != NULL)
		at = clock_now() + (uint64_t)tv.tv_sec * CLOCK_SEC + (uint64_t)tv.tv_usec +
		     CLOCK_MS;
	(void)loop_timer_set(r->loop, &r->timer, at);
}

static void on_timer(struct timer *timer)
{
	struct resolver *r = container_of(timer, struct resolver, timer);
	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	rearm(r);
}

static void on_socket(struct loop_fd *lfd)
{
	struct resolver_socket *s = container_of(lfd, struct resolver_socket, lfd);
	unsigned ready = lfd->ready;
	int fd = lfd->fd;
	lfd->ready = 0;
	ares_process_fd(s->owner->channel, ready & LOOP_READABLE ? fd : ARES_SOCKET_BAD,
		ready & LOOP_WRITABLE ? fd : ARES_SOCKET_BAD);
	rearm(s->owner);
}

/* The socket that has this descriptor (-1: a free one), or NULL. */
static struct resolver_socket *find_socket(struct resolver *r, int fd)
{
	list_each (n, &r->sockets) {
		struct resolver_socket *s = container_of(n, struct resolver_socket, node);
		if (s->lfd.fd == fd)
			return s;
	}
	return NULL;
}

static struct resolver_socket *new_socket(struct resolver *r)
{
	struct resolver_socket *s = mem_zalloc(r->mem, sizeof *s);
	if (s == NULL)
		return NULL;
	loop_fd_init(&s->lfd, on_socket);
	s->owner = r;
	list_append(&r->sockets, &s->node);
	return s;
}

/* A socket that cannot be watched is left to c-ares' timeouts. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = arg;
	unsigned events = (readable ? LOOP_READABLE : 0u) | (writable ? LOOP_WRITABLE : 0u);
	struct resolver_socket *s = find_socket(r, fd);
	if (s == NULL && events == 0)
		return;
	if (s == NULL)
		s = find_socket(r, -1);
	if (s == NULL)
		s = new_socket(r);
	if (s == NULL || loop_watch(r->loop, &s->lfd, fd, events) != 0)
		log_warning("dns: cannot watch a socket; its question will time out");
}

/*
 * c-ares doubles the time it waits at each pass over the servers.  A little is left at
 * the end, so that its own verdict comes before the round's end.
 */
static void set_timeouts(struct ares_options *ao, uint64_t timeout, size_t n_servers)
{
	size_t n = n_servers > 0 ? n_servers : 1;
	ao->tries = n <= 2 ? 3 : 2;
	size_t units = n * ((1u << ao->tries) - 1);
	uint64_t ms = timeout / CLOCK_MS * 95 / 100 / units;
	ao->timeout = ms < 1 ? 1 : ms > 60000 ? 60000 : (int)ms;
}

/* In place of resolv.conf: no servers, no search list, no options. */
static const char no_conf[] = "/dev/null";

/* What a channel reads: resolv.conf (NULL: the system's) or no_conf, and "b", the servers, or "f",
 * the hosts. */
static int open_channel(struct resolver *r, ares_channel *out, const char *lookups,
	const char *conf, size_t n_servers)
{
	struct ares_options ao = {
		.lookups = (char *)lookups,
		.resolvconf_path = (char *)conf,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = r,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS |
		   ARES_OPT_TRIES;
	if (conf != NULL)
		mask |= ARES_OPT_RESOLVCONF;
	if (conf == no_conf)
		mask |= ARES_OPT_DOMAINS; /* none */
#ifdef ARES_OPT_QUERY_CACHE
	mask |= ARES_OPT_QUERY_CACHE; /* later versions have a cache of their own; size 0 */
#endif
	set_timeouts(&ao, r->timeout, n_servers);
	return ares_init_options(out, &ao, mask);
}

static size_t count_servers(ares_channel channel)
{
	struct ares_addr_port_node *servers = NULL;
	size_t n = 0;
	if (ares_get_servers_ports(channel, &servers) != ARES_SUCCESS)
		return 1;
	for (const struct ares_addr_port_node *s = servers; s != NULL; s = s->next)
		n++;
	ares_free_data(servers);
	return n;
}

/* The time for a try depends on how many servers there are, so the file is read twice. */
static int open_system(struct resolver *r, const char *conf)
{
	ares_channel probe;
	int rc = open_channel(r, &r->hosts, "f", no_conf, 1);
	if (rc == ARES_SUCCESS)
		rc = open_channel(r, &probe, "b", conf, 1);
	if (rc != ARES_SUCCESS)
		return rc;
	size_t n = count_servers(probe);
	ares_destroy(probe);
	return open_channel(r, &r->channel, "b", conf, n);
}

static int open_servers(struct resolver *r, const struct resolver_options *opt)
{
	struct ares_addr_port_node node[RESOLVER_SERVERS_MAX] = {0};
	const struct addr *servers = opt->servers;
	for (size_t i = 0; i < opt->n_servers; i++) {
		node[i].family = addr_family(&servers[i]);
		node[i].next = i + 1 < opt->n_servers ? &node[i + 1] : NULL;
		node[i].udp_port = node[i].tcp_port = addr_port(&servers[i]);
		if (node[i].family == AF_INET)
			node[i].addr.addr4 = servers[i].in.sin_addr;
		else if (node[i].family == AF_INET6)
			memcpy(&node[i].addr.addr6, &servers[i].in6.sin6_addr,
				sizeof node[i].addr.addr6);
		else
			return ARES_EBADFAMILY;
	}
	int rc = open_channel(r, &r->channel, "b", no_conf, opt->n_servers);
	return rc != ARES_SUCCESS ? rc : ares_set_servers_ports(r->channel, node);
}

static void close_channels(struct resolver *r)
{
	ares_destroy(r->channel);
	ares_destroy(r->hosts);
	ares_library_cleanup();
}

int resolver_new(struct resolver **out, struct loop *loop, struct mem *mem,
	const struct resolver_options *opt)
{
	int rc;
	if (opt->n_servers > RESOLVER_SERVERS_MAX) {
		log_error("dns: more than %d servers", RESOLVER_SERVERS_MAX);
		return ERR_INVALID;
	}
	struct resolver *r = mem_zalloc(mem, sizeof *r);
	if (r == NULL)
		return ERR_NOMEM;
	*r = (struct resolver){.loop = loop, .mem = mem, .timeout = opt->timeout};
	list_init(&r->sockets);
	r->timer.fire = on_timer;
	if ((rc = loop_timer_set(loop, &r->timer, CLOCK_NEVER)) != 0)
		goto err0;
	if ((rc = ares_library_init(ARES_LIB_INIT_ALL)) != ARES_SUCCESS)
		goto err1;
	if ((rc = opt->n_servers > 0 ? open_servers(r, opt) : open_system(r, opt->resolv_conf)) !=
		ARES_SUCCESS)
		goto err2;
	*out = r;
	return 0;
err2:
	close_channels(r);
err1:
	loop_timer_stop(loop, &r->timer);
	log_error("dns: cannot start: %s", ares_strerror(rc));
	rc = rc == ARES_ENOMEM ? ERR_NOMEM : ERR_INVALID;
err0:
	mem_free(mem, r);
	return rc;
}

void resolver_free(struct resolver *r)
{
	if (r == NULL)
		return;
	close_channels(r);
	loop_timer_stop(r->loop, &r->timer);
	for (struct list *n; (n = list_first(&r->sockets)) != NULL;) {
		list_remove(n);
		loop_free_later(r->loop, container_of(n, struct resolver_socket, node));
	}
	loop_free_later(r->loop, r);
}

void resolver_hosts(
	struct resolver *r, const char *host, ares_addrinfo_callback callback, void *arg)
{
	static const struct ares_addrinfo_hints hints = {
		.ai_flags = ARES_AI_NOSORT | ARES_AI_ENVHOSTS, .ai_family = AF_UNSPEC};
	if (r->hosts != NULL)
		ares_getaddrinfo(r->hosts, host, NULL, &hints, callback, arg);
}

void resolver_ask(struct resolver *r, const char *host, int family, ares_addrinfo_callback callback,
	void *arg)
{
	struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT, .ai_family = family};
	ares_getaddrinfo(r->channel, host, NULL, &hints, callback, arg);
	rearm(r);
}

int resolver_err(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return 0;
	case ARES_ENOTFOUND:
	case ARES_ENODATA:
	case ARES_EBADNAME:
		return ERR_NOTFOUND;
	case ARES_ETIMEOUT:
		return ERR_TIMEOUT;
	case ARES_ENOMEM:
		return ERR_NOMEM;
	default:
		return ERR_SYS;
	}
}

int resolver_worse(int a, int b)
{
	static const int order[] = {ERR_NOMEM, ERR_TIMEOUT, ERR_SYS, ERR_NOTFOUND};
	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
		if (resolver_err(a) == order[i])
			return a;
		if (resolver_err(b) == order[i])
			return b;
	}
	return ARES_SUCCESS;
}

const char *resolver_words(int status)
{
	/* What c-ares says when servers fail or refuse, not only when none is there. */
	if (status == ARES_ECONNREFUSED)
		return "No DNS server gave a usable answer";
	return ares_strerror(status);
}
