/*
 * dns - names to addresses, asynchronously, over c-ares inside the loop.
 *
 * One resolver a process.  A struct dns_name stands for one host name; everyone
 * who asks for the same name shares it, its answer and its time to live.  A and
 * AAAA are asked as two queries, so that one that fails or hangs does not hold
 * back the other.  No c-ares function is called from inside a c-ares callback, and
 * no callback of ours runs from inside dns_resolve().
 *
 * Where the answer comes from: with servers given, they alone are asked, for the name
 * as it stands.  Otherwise the hosts file ($CARES_HOSTS, or /etc/hosts) goes first, for
 * both families; a name that it does not have goes to the servers of /etc/resolv.conf,
 * with its search list.  resolv.conf is read once, by dns_new(); the hosts file at
 * every question.  "localhost" and the names below it are never asked of a server: they
 * are the loopback addresses (RFC 6761, section 6.3).
 *
 * When: at the first family's addresses the other has DNS_SECOND_ANSWER to follow; a
 * later answer is merged when it comes, in time for the next question.  Where the search
 * list led the families to different names, only one family's addresses are taken.
 *
 * Time to live: the least of the records in use, clamped to DNS_TTL_MIN ..
 * DNS_TTL_MAX.  When it has passed, the next dns_resolve() asks again.  If the servers
 * do not answer then, the old addresses stay in use for DNS_STALE_MAX from the moment
 * they expired, each family for itself; if they answer that there is no such name or
 * address, the old ones are dropped (RFC 8767, section 4).  A failure is remembered
 * for DNS_FAILURE_TTL.
 *
 * Order: IPv6 and IPv4 in turn, IPv6 first (RFC 8305, section 4), each by its bytes.
 */
#ifndef CB_NET_DNS_H
#define CB_NET_DNS_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/loop.h"

#include <stddef.h>
#include <stdint.h>

#define DNS_TTL_MIN (5 * CLOCK_SEC)
#define DNS_TTL_MAX (3600 * CLOCK_SEC)
#define DNS_FAILURE_TTL (1 * CLOCK_SEC)
#define DNS_STALE_MAX (3600 * CLOCK_SEC)
#define DNS_QUERY_TIMEOUT (5 * CLOCK_SEC) /* all tries of one query together */
#define DNS_SECOND_ANSWER (50 * CLOCK_MS) /* how long the first family waits for the other */

enum {
	DNS_ADDRS_MAX = 64, /* addresses kept of one name */
	DNS_HOST_MAX = 253, /* bytes in a name */
};

struct dns;
struct dns_name;

/* One caller's question.  Embed it; zeroed but for done(), it asks nothing. */
struct dns_query {
	struct list node;
	struct dns_name *name; /* NULL while nothing is asked */
	/*
	 * Called from the loop, never from inside dns_resolve(); the question is over by
	 * then, so it may be asked anew, and anything here may be freed, the resolver
	 * too.  0: dns_addrs() has at least one address.  Otherwise ERR_NOTFOUND,
	 * ERR_TIMEOUT, ERR_NOMEM or ERR_SYS (servers unreachable or broken);
	 * dns_failure() has words for it.
	 */
	void (*done)(struct dns_query *query, int err);
};

/* What was asked of servers; one question for each address family. */
enum dns_outcome {
	DNS_ANSWERED,  /* with addresses */
	DNS_NOT_FOUND, /* the servers say that there is no such name or address */
	DNS_TIMED_OUT,
	DNS_FAILED, /* servers unreachable or broken, or no memory */
	DNS_OUTCOMES,
};

struct dns_stats {
	uint64_t queries;
	uint64_t answers[DNS_OUTCOMES];
};

struct dns_options {
	const struct addr *servers; /* RESOLVER_SERVERS_MAX at most; none: the system's files */
	size_t n_servers;
	const char *resolv_conf; /* another file than /etc/resolv.conf, or NULL */
	uint64_t seed;           /* random, for the names' table */
	/* Microseconds; 0: the constant of that name. */
	uint64_t ttl_min, ttl_max, failure_ttl, stale_max, query_timeout, second_answer;
};

/*
 * `mem` is the allocator the loop was made with (c-ares has its own).  0; ERR_NOMEM; or
 * ERR_INVALID (a server that is no IP address, too many of them, or c-ares refused;
 * logged).
 */
int dns_new(struct dns **out, struct loop *loop, struct mem *mem, const struct dns_options *opt);

struct resolver;

/*
 * Another resolver, for other servers or for what the system's files say now.  0 and *out,
 * for dns_commit() or resolver_free(); or as dns_new().  Of the options only where to ask
 * counts.
 */
int dns_prepare(struct dns *dns, struct resolver **out, const struct dns_options *opt);

/*
 * Asks there from now on; what is being asked is asked anew, and what is known stays so for
 * its time to live.  Not from inside done().
 */
void dns_commit(struct dns *dns, struct resolver *next);

/*
 * Cancels everything: no done() is called.  Safe in the middle of a query and inside
 * done().  Names still referenced stay readable until dns_unref(); asking them does
 * nothing.  NULL does nothing.
 */
void dns_free(struct dns *dns);

/*
 * A reference to the name (1 .. DNS_HOST_MAX bytes, lower case, not numeric), created
 * on first use.  NULL when it is too long or there is no memory.
 */
struct dns_name *dns_ref(struct dns *dns, const char *host);

/*
 * Gives a reference back.  With the last one the name and what is known of it are
 * forgotten, and questions that still wait are taken back.  NULL does nothing.
 */
void dns_unref(struct dns_name *name);

/*
 * Asks: done() is called at the end of this turn (of the next one, when asked from
 * deferred work) when the answer is known and fresh (or a failure is), later when it
 * must be fetched: within DNS_QUERY_TIMEOUT.  A query asked already is left as it is.
 */
void dns_resolve(struct dns_name *name, struct dns_query *query);

/* Takes a question back; its done() will not be called. */
void dns_cancel(struct dns_query *query);

/*
 * The last known addresses (port 0), without duplicates, in an order that does not
 * depend on the order of the answer; possibly stale.  Valid until the loop runs.
 */
const struct addr *dns_addrs(const struct dns_name *name, size_t *n);

/* When the answer (or the remembered failure) expires; CLOCK_NEVER before the first. */
uint64_t dns_expires(const struct dns_name *name);

const char *dns_host(const struct dns_name *name);

/* Counted since dns_new(). */
const struct dns_stats *dns_stats(const struct dns *dns);

/* Of an outcome, for dns_stats(); static storage. */
const char *dns_outcome_label(enum dns_outcome outcome);

/*
 * Words for why the last question failed, e.g. "Domain name not found", or why the
 * addresses are stale; "no failure" if it did not.  Static storage.
 */
const char *dns_failure(const struct dns_name *name);

#endif
