#include "net/dns.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "net/dns_answer.h"
#include "net/resolver.h"

#include <assert.h>
#include <string.h>

/* How far a question for one family of a name is. */
struct question {
	struct dns_name *name;
	struct dns_family *family; /* of name->answer */
	bool pending;              /* c-ares has it; it holds the name's memory */
	bool early;                /* it is from before the round */
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
	struct dns_answer answer;
	struct question question[2]; /* by enum dns_family_index */
	bool round, known;           /* a round is on; one has ended */
	int err, status;             /* of the last one that ended: where no address came of it */
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
	struct dns_stats stats;
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

/* Only notes the answer: nothing of c-ares or of a caller is called from here. */
static void note_answer(
	struct dns_name *name, struct dns_family *f, int status, const struct ares_addrinfo *ai)
{
	struct dns *dns = name->dns;
	struct dns_lifetime life = {
		.now = loop_now(dns->loop), .min = dns->opt.ttl_min, .max = dns->opt.ttl_max};
	dns_answer_note(f, status, ai, &life);
	if (list_empty(&name->heard))
		list_append(&dns->heard, &name->heard);
	loop_defer(dns->loop, &dns->work);
}

static void note_both(struct dns_name *name, const struct ares_addrinfo *ai)
{
	note_answer(name, &name->answer.family[DNS_V6], ARES_SUCCESS, ai);
	note_answer(name, &name->answer.family[DNS_V4], ARES_SUCCESS, ai);
}

static enum dns_outcome outcome_of(int status, const struct ares_addrinfo *ai)
{
	switch (resolver_err(status)) {
	case 0:
		return ai != NULL && ai->nodes != NULL ? DNS_ANSWERED : DNS_NOT_FOUND;
	case ERR_NOTFOUND:
		return DNS_NOT_FOUND;
	case ERR_TIMEOUT:
		return DNS_TIMED_OUT;
	default:
		return DNS_FAILED;
	}
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	struct question *q = arg;
	struct dns_name *name = q->name;
	(void)timeouts;
	q->pending = false;
	if (name->dns != NULL && status != ARES_EDESTRUCTION && status != ARES_ECANCELLED) {
		name->dns->stats.answers[outcome_of(status, ai)]++;
		note_answer(name, q->family, status, ai);
	} else if (name->dns != NULL && list_empty(&name->orphan)) {
		list_append(&name->dns->orphans, &name->orphan);
	}
	ares_freeaddrinfo(ai);
	release(name);
}

/* The hosts file's channel calls this before ares_getaddrinfo() returns. */
static void on_hosts(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	struct dns_name *name = arg;
	(void)timeouts;
	if (status == ARES_SUCCESS && ai != NULL && ai->nodes != NULL)
		note_both(name, ai);
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
	note_both(name, &ai);
}

static void ask_servers(struct question *q)
{
	q->family->heard = false;
	q->early = q->pending;
	if (q->pending)
		return;
	q->pending = true;
	hold(q->name);
	q->name->dns->stats.queries++;
	resolver_ask(q->name->dns->resolver, q->name->host, q->family->af, on_answer, q);
}

static void begin_round(struct dns_name *name)
{
	struct dns *dns = name->dns;
	name->round = true;
	dns_answer_begin(&name->answer);
	(void)loop_timer_set(dns->loop, &name->timer, loop_now(dns->loop) + dns->opt.query_timeout);
	resolver_hosts(dns->resolver, name->host, on_hosts, name);
	if (!dns_answer_all_heard(&name->answer) && is_localhost(name->host))
		answer_localhost(name);
	if (dns_answer_all_heard(&name->answer))
		return;
	ask_servers(&name->question[DNS_V6]);
	ask_servers(&name->question[DNS_V4]);
}

/* Works out what the name stands for now; a late answer does it again. */
static void judge(struct dns_name *name)
{
	const struct dns *dns = name->dns;
	uint64_t again = loop_now(dns->loop) + dns->opt.failure_ttl;
	dns_answer_judge(&name->answer, name->host, loop_now(dns->loop), dns->opt.stale_max);
	name->known = true;
	name->status = dns_answer_failure(&name->answer);
	name->expires = dns_answer_expires(&name->answer);
	if (dns_answer_list(&name->answer, name->mem, &name->addrs, &name->n_addrs) != 0)
		name->status = ARES_ENOMEM;
	if (name->status != ARES_SUCCESS)
		name->expires = again;
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
static void ask_again(struct question *q)
{
	const struct dns_family *f = q->family;
	if (f->heard && q->early && f->status != ARES_SUCCESS &&
		resolver_err(f->status) != ERR_NOTFOUND)
		ask_servers(q);
}

/* An answer was noted: is that all, or is the other family worth waiting for? */
static void settle(struct dns_name *name)
{
	struct loop *loop = name->dns->loop;
	if (name->round) {
		ask_again(&name->question[DNS_V6]);
		ask_again(&name->question[DNS_V4]);
	}
	if (!name->round) {
		judge(name);
	} else if (dns_answer_all_heard(&name->answer)) {
		end_round(name);
	} else if (dns_answer_any_good(&name->answer)) {
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
		struct question *q = &name->question[i];
		if (!q->family->heard && !q->pending)
			ask_servers(q);
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
	dns_answer_init(&name->answer);
	for (int i = 0; i < 2; i++)
		name->question[i] =
			(struct question){.name = name, .family = &name->answer.family[i]};
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

const struct dns_stats *dns_stats(const struct dns *dns)
{
	return &dns->stats;
}

const char *dns_outcome_label(enum dns_outcome outcome)
{
	static const char *const label[] = {"answered", "not_found", "timed_out", "failed"};
	_Static_assert(sizeof label / sizeof *label == DNS_OUTCOMES, "a label for each outcome");
	return label[outcome];
}

const char *dns_failure(const struct dns_name *name)
{
	return name->status == ARES_SUCCESS ? "no failure" : resolver_words(name->status);
}
