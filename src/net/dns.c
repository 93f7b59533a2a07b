#include "net/dns.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "net/resolver.h"

#include <assert.h>
#include <string.h>

enum { IP_MAX = 16, V6 = 0, V4 = 1 };

/* What is known of one name in one address family. */
struct family {
	struct dns_name *name;
	int af;
	bool pending;         /* c-ares has the question; it holds the name's memory */
	bool heard;           /* answered since the last round began */
	bool early;           /* that answer is to a question from before the round */
	int status;           /* ARES_*, of the last answer */
	uint64_t origin;      /* hash of the name that had the records */
	uint64_t fresh_until; /* when they expire, or expired */
	size_t n;             /* addresses below, sorted, no two alike */
	unsigned char ip[DNS_ADDRS_MAX][IP_MAX]; /* network order; IPv4 has 4 bytes of it */
};

/*
 * A round is one question to the servers, from dns_resolve() to the moment at which
 * those who wait are told.  A family that is not heard by then goes on pending; its
 * answer is merged, or counts in the next round, where a failure is asked again.
 */
struct dns_name {
	struct dns *dns; /* NULL once the resolver is gone */
	struct mem *mem;
	struct hash_node node; /* dns.names, as long as users > 0 */
	size_t users;          /* references from outside */
	unsigned holds;        /* what of ours keeps the memory: questions pending, delivery */
	struct family family[2];
	bool round, known; /* a round is on; one has ended */
	int err, status;   /* of the last one that ended: where no address came of it */
	uint64_t expires;
	struct addr *addrs; /* n_addrs in the order to use */
	size_t n_addrs;
	struct timer timer; /* the round's end; parked at CLOCK_NEVER, so that moving cannot fail */
	struct list waiting; /* dns_query.node */
	struct list serving; /* those that are being told */
	struct list heard;   /* in dns.heard: an answer was noted */
	struct list ready;   /* in dns.ready: those who wait can be told */
	struct list orphan;  /* in dns.orphans: its question went with the old resolver */
	char host[];
};

struct dns {
	struct loop *loop;
	struct mem *mem;
	struct dns_options opt;
	struct resolver *resolver;
	struct hash names;
	struct list heard, ready, orphans;
	struct loop_work work;
};

/* --- a name's memory ------------------------------------------------------------------- */

static void hold(struct dns_name *name)
{
	name->holds++;
}

static void release(struct dns_name *name)
{
	if (--name->holds > 0 || name->users > 0)
		return;
	mem_free(name->mem, name->addrs);
	mem_free(name->mem, name);
}

static void cancel_all(struct list *queries)
{
	for (struct list *n; (n = list_first(queries)) != NULL;)
		dns_cancel(container_of(n, struct dns_query, node));
}

/* Takes the name out of everything of the resolver's. */
static void detach(struct dns_name *name)
{
	struct dns *dns = name->dns;
	cancel_all(&name->waiting);
	cancel_all(&name->serving);
	list_remove(&name->heard);
	list_remove(&name->ready);
	list_remove(&name->orphan);
	loop_timer_stop(dns->loop, &name->timer);
	hash_remove(&dns->names, &name->node);
	name->dns = NULL;
}

/* --- answers --------------------------------------------------------------------------- */

static size_t ip_len(const struct family *f)
{
	return f->af == AF_INET6 ? 16 : 4;
}

/* Keeps the set sorted, and of too many the least, whatever order they come in. */
static void insert_ip(struct family *f, const void *ip)
{
	size_t i = 0;
	int cmp = -1;
	while (i < f->n && (cmp = memcmp(f->ip[i], ip, ip_len(f))) < 0)
		i++;
	if (i == DNS_ADDRS_MAX || (i < f->n && cmp == 0))
		return;
	if (f->n < DNS_ADDRS_MAX)
		f->n++;
	memmove(f->ip[i + 1], f->ip[i], (f->n - 1 - i) * sizeof f->ip[0]);
	memcpy(f->ip[i], ip, ip_len(f));
}

static void insert_sockaddr(struct family *f, const struct sockaddr *sa)
{
	struct addr a;
	if (sa->sa_family != f->af)
		return;
	if (f->af == AF_INET6) {
		addr_from_sockaddr(&a, sa, sizeof a.in6);
		insert_ip(f, &a.in6.sin6_addr);
	} else {
		addr_from_sockaddr(&a, sa, sizeof a.in);
		insert_ip(f, &a.in.sin_addr);
	}
}

static void note_ttl(struct family *f, uint64_t ttl)
{
	const struct dns *dns = f->name->dns;
	if (ttl < dns->opt.ttl_min)
		ttl = dns->opt.ttl_min;
	if (ttl > dns->opt.ttl_max)
		ttl = dns->opt.ttl_max;
	f->fresh_until = loop_now(dns->loop) + ttl;
}

/* Takes the addresses of the family; what was known stays where there are none. */
static bool take_records(struct family *f, const struct ares_addrinfo *ai)
{
	int ttl = INT32_MAX;
	bool any = false;
	for (const struct ares_addrinfo_node *n = ai->nodes; n != NULL; n = n->ai_next) {
		if (n->ai_family != f->af)
			continue;
		if (!any)
			f->n = 0;
		any = true;
		insert_sockaddr(f, n->ai_addr);
		ttl = n->ai_ttl < ttl ? n->ai_ttl : ttl;
	}
	for (const struct ares_addrinfo_cname *c = ai->cnames; c != NULL; c = c->next)
		ttl = c->ttl < ttl ? c->ttl : ttl;
	if (any)
		note_ttl(f, ttl > 0 ? (uint64_t)ttl * CLOCK_SEC : 0);
	return any;
}

/* Only notes the answer: nothing of c-ares or of a caller is called from here. */
static void note_answer(struct family *f, int status, const struct ares_addrinfo *ai)
{
	struct dns_name *name = f->name;
	if (status == ARES_SUCCESS && (ai == NULL || !take_records(f, ai)))
		status = ARES_ENODATA;
	if (status == ARES_SUCCESS)
		f->origin = ai->name == NULL ? 0 : hash_bytes(ai->name, strlen(ai->name), 0);
	f->status = status;
	f->heard = true;
	if (list_empty(&name->heard))
		list_append(&name->dns->heard, &name->heard);
	loop_defer(name->dns->loop, &name->dns->work);
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	struct family *f = arg;
	(void)timeouts;
	f->pending = false;
	if (f->name->dns != NULL && status != ARES_EDESTRUCTION && status != ARES_ECANCELLED)
		note_answer(f, status, ai);
	else if (f->name->dns != NULL && list_empty(&f->name->orphan))
		list_append(&f->name->dns->orphans, &f->name->orphan);
	ares_freeaddrinfo(ai);
	release(f->name);
}

/* The hosts file's channel calls this before ares_getaddrinfo() returns. */
static void on_hosts(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	struct dns_name *name = arg;
	(void)timeouts;
	if (status == ARES_SUCCESS && ai != NULL && ai->nodes != NULL) {
		note_answer(&name->family[V6], status, ai);
		note_answer(&name->family[V4], status, ai);
	}
	ares_freeaddrinfo(ai);
}

/* --- rounds ---------------------------------------------------------------------------- */

static bool is_localhost(const char *host)
{
	size_t n = strlen(host), m = strlen("localhost");
	return n >= m && memcmp(host + n - m, "localhost", m) == 0 &&
	       (n == m || host[n - m - 1] == '.');
}

static void answer_localhost(struct dns_name *name)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct ares_addrinfo_node v4 = {.ai_family = AF_INET, .ai_addr = (struct sockaddr *)&in};
	struct ares_addrinfo_node v6 = {
		.ai_family = AF_INET6, .ai_addr = (struct sockaddr *)&in6, .ai_next = &v4};
	struct ares_addrinfo ai = {.nodes = &v6};
	note_answer(&name->family[V6], ARES_SUCCESS, &ai);
	note_answer(&name->family[V4], ARES_SUCCESS, &ai);
}

static void ask_servers(struct family *f)
{
	f->heard = false;
	f->early = f->pending;
	if (f->pending)
		return;
	f->pending = true;
	hold(f->name);
	resolver_ask(f->name->dns->resolver, f->name->host, f->af, on_answer, f);
}

static bool all_heard(const struct dns_name *name)
{
	return name->family[V6].heard && name->family[V4].heard;
}

static void begin_round(struct dns_name *name)
{
	struct dns *dns = name->dns;
	name->round = true;
	name->family[V6].heard = name->family[V4].heard = false;
	(void)loop_timer_set(dns->loop, &name->timer, loop_now(dns->loop) + dns->opt.query_timeout);
	resolver_hosts(dns->resolver, name->host, on_hosts, name);
	if (!all_heard(name) && is_localhost(name->host))
		answer_localhost(name);
	if (all_heard(name))
		return;
	ask_servers(&name->family[V6]);
	ask_servers(&name->family[V4]);
}

static bool is_good(const struct family *f)
{
	return f->heard && f->status == ARES_SUCCESS;
}

/* What the family has to give after a round: new addresses, old ones, or none. */
static void judge_family(struct family *f)
{
	const struct dns *dns = f->name->dns;
	if (is_good(f))
		return;
	if (f->heard && resolver_err(f->status) == ERR_NOTFOUND)
		f->n = 0;
	if (f->n > 0 && loop_now(dns->loop) >= f->fresh_until + dns->opt.stale_max)
		f->n = 0;
}

/*
 * The search list can lead A and AAAA to different names.  The name as it was asked
 * for wins where it is not a bare label; IPv4 otherwise.
 */
static void drop_stranger(struct dns_name *name)
{
	struct family *v6 = &name->family[V6], *v4 = &name->family[V4];
	if (v6->n == 0 || v4->n == 0 || v6->origin == v4->origin)
		return;
	bool exact = v6->origin == hash_bytes(name->host, strlen(name->host), 0);
	if (exact && strchr(name->host, '.') != NULL)
		v4->n = 0;
	else
		v6->n = 0;
}

/* IPv6 and IPv4 in turn.  0, or ERR_NOMEM: the old list stays. */
static int rebuild(struct dns_name *name)
{
	const struct family *f = name->family;
	size_t n = f[V6].n + f[V4].n, used[2] = {0, 0};
	struct addr *addrs = NULL;
	if (n > DNS_ADDRS_MAX)
		n = DNS_ADDRS_MAX;
	if (n > 0 && (addrs = mem_alloc(name->mem, n * sizeof *addrs)) == NULL)
		return ERR_NOMEM;
	for (size_t i = 0, turn = V6; i < n; turn = !turn) {
		if (used[turn] < f[turn].n)
			addr_from_bytes(&addrs[i++], f[turn].af, f[turn].ip[used[turn]++], 0);
	}
	mem_free(name->mem, name->addrs);
	name->addrs = addrs;
	name->n_addrs = n;
	return 0;
}

static int failure_of(const struct dns_name *name)
{
	const struct family *f = name->family;
	if (is_good(&f[V6]) || is_good(&f[V4]))
		return ARES_SUCCESS;
	return resolver_worse(f[V6].heard ? f[V6].status : ARES_ETIMEOUT,
		f[V4].heard ? f[V4].status : ARES_ETIMEOUT);
}

static uint64_t expiry_of(const struct dns_name *name)
{
	const struct dns *dns = name->dns;
	uint64_t at = CLOCK_NEVER;
	for (int i = 0; i < 2; i++) {
		const struct family *f = &name->family[i];
		if (is_good(f) && f->fresh_until < at)
			at = f->fresh_until;
	}
	return at != CLOCK_NEVER ? at : loop_now(dns->loop) + dns->opt.failure_ttl;
}

/* Works out what the name stands for now; a late answer does it again. */
static void judge(struct dns_name *name)
{
	judge_family(&name->family[V6]);
	judge_family(&name->family[V4]);
	drop_stranger(name);
	name->known = true;
	name->status = failure_of(name);
	name->expires = expiry_of(name);
	if (rebuild(name) != 0) {
		name->status = ARES_ENOMEM;
		name->expires = loop_now(name->dns->loop) + name->dns->opt.failure_ttl;
	}
	name->err = resolver_err(name->status);
	log_debug("dns: %s: %zu addresses, %s", name->host, name->n_addrs, dns_failure(name));
}

static void make_ready(struct dns_name *name)
{
	if (list_empty(&name->ready))
		list_append(&name->dns->ready, &name->ready);
	loop_defer(name->dns->loop, &name->dns->work);
}

static void end_round(struct dns_name *name)
{
	name->round = false;
	(void)loop_timer_set(name->dns->loop, &name->timer, CLOCK_NEVER);
	judge(name);
	make_ready(name);
}

static void on_name_timer(struct timer *timer)
{
	end_round(container_of(timer, struct dns_name, timer));
}

/* A question from an earlier round may have failed of what is over by now. */
static void ask_again(struct family *f)
{
	if (f->heard && f->early && f->status != ARES_SUCCESS &&
		resolver_err(f->status) != ERR_NOTFOUND)
		ask_servers(f);
}

/* An answer was noted: is that all, or is the other family worth waiting for? */
static void settle(struct dns_name *name)
{
	struct loop *loop = name->dns->loop;
	if (name->round) {
		ask_again(&name->family[V6]);
		ask_again(&name->family[V4]);
	}
	if (!name->round) {
		judge(name);
	} else if (all_heard(name)) {
		end_round(name);
	} else if (is_good(&name->family[V6]) || is_good(&name->family[V4])) {
		uint64_t at = loop_now(loop) + name->dns->opt.second_answer;
		if (at < name->timer.at)
			(void)loop_timer_set(loop, &name->timer, at);
	}
}

/* Anything may happen inside done(): the name or the resolver may be gone after it. */
static void deliver(struct dns_name *name)
{
	hold(name);
	list_splice(&name->serving, &name->waiting);
	for (struct list *n; (n = list_first(&name->serving)) != NULL;) {
		struct dns_query *query = container_of(n, struct dns_query, node);
		dns_cancel(query);
		query->done(query, name->n_addrs > 0 ? 0 : name->err);
	}
	release(name);
}

/* dns_free() in a done() empties the lists; the struct itself lives to the turn's end. */
static void run_work(struct loop_work *work)
{
	struct dns *dns = container_of(work, struct dns, work);
	struct list batch;
	for (struct list *n; (n = list_first(&dns->heard)) != NULL;) {
		list_remove(n);
		settle(container_of(n, struct dns_name, heard));
	}
	list_init(&batch);
	list_splice(&batch, &dns->ready);
	for (struct list *n; (n = list_first(&batch)) != NULL;) {
		list_remove(n);
		deliver(container_of(n, struct dns_name, ready));
	}
}

/* --- the resolver ---------------------------------------------------------------------- */

static uint64_t or_default(uint64_t value, uint64_t fallback)
{
	return value != 0 ? value : fallback;
}

static void set_defaults(struct dns_options *opt)
{
	opt->ttl_min = or_default(opt->ttl_min, DNS_TTL_MIN);
	opt->ttl_max = or_default(opt->ttl_max, DNS_TTL_MAX);
	opt->failure_ttl = or_default(opt->failure_ttl, DNS_FAILURE_TTL);
	opt->stale_max = or_default(opt->stale_max, DNS_STALE_MAX);
	opt->query_timeout = or_default(opt->query_timeout, DNS_QUERY_TIMEOUT);
	opt->second_answer = or_default(opt->second_answer, DNS_SECOND_ANSWER);
}

int dns_prepare(struct dns *dns, struct resolver **out, const struct dns_options *opt)
{
	struct resolver_options ro = {
		.servers = opt->servers,
		.n_servers = opt->n_servers,
		.resolv_conf = opt->resolv_conf,
		.timeout = dns->opt.query_timeout,
	};
	return resolver_new(out, dns->loop, dns->mem, &ro);
}

/* What a round still waits for is asked anew. */
static void ask_orphan(struct dns_name *name)
{
	list_remove(&name->orphan);
	for (int i = 0; name->round && i < 2; i++) {
		struct family *f = &name->family[i];
		if (!f->heard && !f->pending)
			ask_servers(f);
	}
}

void dns_commit(struct dns *dns, struct resolver *next)
{
	struct resolver *old = dns->resolver;
	struct list orphans;
	dns->resolver = next;
	resolver_free(old);
	list_init(&orphans);
	list_splice(&orphans, &dns->orphans);
	for (struct list *n; (n = list_first(&orphans)) != NULL;)
		ask_orphan(container_of(n, struct dns_name, orphan));
}

int dns_new(struct dns **out, struct loop *loop, struct mem *mem, const struct dns_options *opt)
{
	struct dns *dns = mem_zalloc(mem, sizeof *dns);
	if (dns == NULL)
		return ERR_NOMEM;
	*dns = (struct dns){.loop = loop, .mem = mem, .opt = *opt};
	set_defaults(&dns->opt);
	hash_init(&dns->names, mem);
	list_init(&dns->heard);
	list_init(&dns->ready);
	list_init(&dns->orphans);
	loop_work_init(&dns->work, run_work);
	int rc = dns_prepare(dns, &dns->resolver, opt);
	if (rc != 0) {
		mem_free(mem, dns);
		return rc;
	}
	*out = dns;
	return 0;
}

void dns_free(struct dns *dns)
{
	if (dns == NULL)
		return;
	for (struct hash_node *n; (n = hash_any(&dns->names)) != NULL;)
		detach(container_of(n, struct dns_name, node));
	resolver_free(dns->resolver);
	loop_cancel(&dns->work);
	hash_fini(&dns->names);
	loop_free_later(dns->loop, dns);
}

/* --- names ----------------------------------------------------------------------------- */

static struct dns_name *find_name(struct dns *dns, const char *host, uint64_t hash)
{
	for (struct hash_node *n = hash_find(&dns->names, hash); n != NULL; n = hash_find_next(n)) {
		struct dns_name *name = container_of(n, struct dns_name, node);
		if (strcmp(name->host, host) == 0)
			return name;
	}
	return NULL;
}

static struct dns_name *new_name(struct dns *dns, const char *host, uint64_t hash)
{
	size_t n = strlen(host);
	struct dns_name *name = mem_zalloc(dns->mem, sizeof *name + n + 1);
	if (name == NULL)
		return NULL;
	name->dns = dns;
	name->mem = dns->mem;
	name->expires = CLOCK_NEVER;
	name->timer.fire = on_name_timer;
	memcpy(name->host, host, n);
	name->family[V6] = (struct family){.name = name, .af = AF_INET6};
	name->family[V4] = (struct family){.name = name, .af = AF_INET};
	list_init(&name->waiting);
	list_init(&name->serving);
	list_init(&name->heard);
	list_init(&name->ready);
	list_init(&name->orphan);
	if (loop_timer_set(dns->loop, &name->timer, CLOCK_NEVER) != 0)
		goto err0;
	if (hash_add(&dns->names, &name->node, hash) != 0)
		goto err1;
	return name;
err1:
	loop_timer_stop(dns->loop, &name->timer);
err0:
	mem_free(dns->mem, name);
	return NULL;
}

struct dns_name *dns_ref(struct dns *dns, const char *host)
{
	size_t n = strnlen(host, DNS_HOST_MAX + 1);
	if (n == 0 || n > DNS_HOST_MAX)
		return NULL;
	uint64_t hash = hash_bytes(host, n, dns->opt.seed);
	struct dns_name *name = find_name(dns, host, hash);
	if (name == NULL)
		name = new_name(dns, host, hash);
	if (name != NULL)
		name->users++;
	return name;
}

void dns_unref(struct dns_name *name)
{
	if (name == NULL)
		return;
	assert(name->users > 0);
	hold(name);
	if (--name->users == 0 && name->dns != NULL)
		detach(name);
	release(name);
}

void dns_resolve(struct dns_name *name, struct dns_query *query)
{
	if (query->name != NULL || name->dns == NULL)
		return;
	query->name = name;
	list_init(&query->node);
	list_append(&name->waiting, &query->node);
	if (name->round)
		return;
	if (name->known && loop_now(name->dns->loop) < name->expires)
		make_ready(name);
	else
		begin_round(name);
}

void dns_cancel(struct dns_query *query)
{
	if (query->name == NULL)
		return;
	list_remove(&query->node);
	query->name = NULL;
}

const struct addr *dns_addrs(const struct dns_name *name, size_t *n)
{
	*n = name->n_addrs;
	return name->addrs;
}

uint64_t dns_expires(const struct dns_name *name)
{
	return name->expires;
}

const char *dns_host(const struct dns_name *name)
{
	return name->host;
}

const char *dns_failure(const struct dns_name *name)
{
	return name->status == ARES_SUCCESS ? "no failure" : resolver_words(name->status);
}
