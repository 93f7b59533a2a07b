#include "net/dns_answer.h"

#include "base/err.h"
#include "base/hash.h"
#include "net/resolver.h"

#include <string.h>

void dns_answer_init(struct dns_answer *a)
{
	*a = (struct dns_answer){
		.family = {[DNS_V6] = {.af = AF_INET6}, [DNS_V4] = {.af = AF_INET}}};
}

void dns_answer_begin(struct dns_answer *a)
{
	a->family[DNS_V6].heard = a->family[DNS_V4].heard = false;
}

/* --- records ----------------------------------------------------------------------------- */

static size_t ip_len(const struct dns_family *f)
{
	return f->af == AF_INET6 ? 16 : 4;
}

/* Keeps the set sorted, and of too many the least, whatever order they come in. */
static void insert_ip(struct dns_family *f, const void *ip)
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

static void insert_sockaddr(struct dns_family *f, const struct sockaddr *sa)
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

static void note_ttl(struct dns_family *f, int seconds, const struct dns_lifetime *life)
{
	uint64_t ttl = seconds > 0 ? (uint64_t)seconds * CLOCK_SEC : 0;
	if (ttl < life->min)
		ttl = life->min;
	if (ttl > life->max)
		ttl = life->max;
	f->fresh_until = life->now + ttl;
}

/* Takes the addresses of the family; what was known stays where there are none. */
static bool take_records(
	struct dns_family *f, const struct ares_addrinfo *ai, const struct dns_lifetime *life)
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
		note_ttl(f, ttl, life);
	return any;
}

void dns_answer_note(struct dns_family *f, int status, const struct ares_addrinfo *ai,
	const struct dns_lifetime *life)
{
	if (status == ARES_SUCCESS && (ai == NULL || !take_records(f, ai, life)))
		status = ARES_ENODATA;
	if (status == ARES_SUCCESS)
		f->origin = ai->name == NULL ? 0 : hash_bytes(ai->name, strlen(ai->name), 0);
	f->status = status;
	f->heard = true;
}

/* --- what they amount to ----------------------------------------------------------------- */

bool dns_answer_all_heard(const struct dns_answer *a)
{
	return a->family[DNS_V6].heard && a->family[DNS_V4].heard;
}

static bool is_good(const struct dns_family *f)
{
	return f->heard && f->status == ARES_SUCCESS;
}

bool dns_answer_any_good(const struct dns_answer *a)
{
	return is_good(&a->family[DNS_V6]) || is_good(&a->family[DNS_V4]);
}

/* What the family has to give after a round: new addresses, old ones, or none. */
static void judge_family(struct dns_family *f, uint64_t now, uint64_t stale_max)
{
	if (is_good(f))
		return;
	if (f->heard && resolver_err(f->status) == ERR_NOTFOUND)
		f->n = 0;
	if (f->n > 0 && now >= f->fresh_until + stale_max)
		f->n = 0;
}

static void drop_stranger(struct dns_answer *a, const char *host)
{
	struct dns_family *v6 = &a->family[DNS_V6], *v4 = &a->family[DNS_V4];
	if (v6->n == 0 || v4->n == 0 || v6->origin == v4->origin)
		return;
	bool exact = v6->origin == hash_bytes(host, strlen(host), 0);
	if (exact && strchr(host, '.') != NULL)
		v4->n = 0;
	else
		v6->n = 0;
}

void dns_answer_judge(struct dns_answer *a, const char *host, uint64_t now, uint64_t stale_max)
{
	judge_family(&a->family[DNS_V6], now, stale_max);
	judge_family(&a->family[DNS_V4], now, stale_max);
	drop_stranger(a, host);
}

static int heard_status(const struct dns_family *f)
{
	return f->heard ? f->status : ARES_ETIMEOUT;
}

int dns_answer_failure(const struct dns_answer *a)
{
	if (dns_answer_any_good(a))
		return ARES_SUCCESS;
	return resolver_worse(heard_status(&a->family[DNS_V6]), heard_status(&a->family[DNS_V4]));
}

uint64_t dns_answer_expires(const struct dns_answer *a)
{
	uint64_t at = CLOCK_NEVER;
	for (int i = 0; i < 2; i++) {
		const struct dns_family *f = &a->family[i];
		if (is_good(f) && f->fresh_until < at)
			at = f->fresh_until;
	}
	return at;
}

int dns_answer_list(const struct dns_answer *a, struct mem *mem, struct addr **addrs, size_t *n)
{
	const struct dns_family *f = a->family;
	size_t total = f[DNS_V6].n + f[DNS_V4].n, used[2] = {0, 0};
	struct addr *list = NULL;
	if (total > DNS_ADDRS_MAX)
		total = DNS_ADDRS_MAX;
	if (total > 0 && (list = mem_alloc(mem, total * sizeof *list)) == NULL)
		return ERR_NOMEM;
	for (size_t i = 0, turn = DNS_V6; i < total; turn = !turn) {
		if (used[turn] < f[turn].n)
			addr_from_bytes(&list[i++], f[turn].af, f[turn].ip[used[turn]++], 0);
	}
	mem_free(mem, *addrs);
	*addrs = list;
	*n = total;
	return 0;
}
