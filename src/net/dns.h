/*
 * dns - names to addresses, asynchronously, over c-ares inside the loop.
 *
 * One resolver a process.  A struct dns_name stands for one host name; everyone
 * who asks for the same name shares it, its answer and its time to live.  A and
 * AAAA are asked as two queries, so that one that fails or hangs does not hold
 * back the other.  No c-ares function is called from inside a c-ares callback, and
 * no callback of ours runs from inside dns_resolve().
 *
 * Time to live: that of the answer, clamped to DNS_TTL_MIN .. DNS_TTL_MAX.  When it
 * has passed, the next dns_resolve() asks again; if that fails, the old addresses
 * stay in use for DNS_STALE_MAX from the moment they expired.  A failure without
 * old addresses is remembered for DNS_FAILURE_TTL.
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
enum { DNS_ADDRS_MAX = 64 };              /* addresses kept of one name */

struct dns;
struct dns_name;

/* One caller's question.  Embed it; it is in a list of the name while it waits. */
struct dns_query {
	struct list node;
	struct dns_name *name; /* NULL while nothing is asked */
	/*
	 * Called from the loop, never from inside dns_resolve().  0: dns_addrs() has at
	 * least one address.  Otherwise ERR_NOTFOUND, ERR_TIMEOUT, ERR_NOMEM or ERR_SYS
	 * (servers unreachable or broken); dns_failure() has words for it.
	 */
	void (*done)(struct dns_query *query, int err);
};

struct dns_options {
	const struct addr *servers; /* resolvers with ports; none: the system's files */
	size_t n_servers;
	uint64_t seed; /* random, for the names' table */
};

/* 0, or ERR_NOMEM, or ERR_INVALID (c-ares refused; logged). */
int dns_new(struct dns **out, struct loop *loop, struct mem *mem, const struct dns_options *opt);

/* Cancels everything: no done() is called.  NULL does nothing. */
void dns_free(struct dns *dns);

/*
 * A reference to the name (at most 253 bytes, lower case), created on first use.
 * NULL when there is no memory.  Given back with dns_unref().
 */
struct dns_name *dns_ref(struct dns *dns, const char *host);
void dns_unref(struct dns_name *name);

/*
 * Asks: done() is called at the end of this turn when the answer is known and
 * fresh (or a failure is), later when it must be fetched.  A query asked already is
 * left as it is.
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

/* Words for the last failure, e.g. "Domain name not found"; static storage. */
const char *dns_failure(const struct dns_name *name);

#endif
