/*
 * resolver - c-ares inside the loop: its sockets, its timeouts, its channels.
 *
 * It carries questions and remembers nothing; names, their answers and how long these
 * live are the business of dns.h.  Nothing of c-ares may be called from inside one of its
 * callbacks, so a callback only notes what it was given.
 */
#ifndef CB_NET_RESOLVER_H
#define CB_NET_RESOLVER_H

#include "base/addr.h"
#include "base/mem.h"
#include "net/loop.h"

#include <ares.h>
#include <stddef.h>
#include <stdint.h>

enum { RESOLVER_SERVERS_MAX = 8 }; /* in resolver_options; of resolv.conf c-ares takes all */

struct resolver;

struct resolver_options {
	const struct addr *servers; /* with ports; none: hosts file and resolv.conf */
	size_t n_servers;
	const char *resolv_conf; /* another file than /etc/resolv.conf, or NULL */
	uint64_t timeout;        /* microseconds for all tries of one question at all servers */
};

/*
 * `mem` is the allocator the loop was made with.  0; ERR_NOMEM; or ERR_INVALID (a
 * server that is no IP address, too many of them, or c-ares refused; logged).
 */
int resolver_new(struct resolver **out, struct loop *loop, struct mem *mem,
	const struct resolver_options *opt);

/*
 * Every question still open is answered, from inside here, with ARES_EDESTRUCTION.
 * NULL does nothing.
 */
void resolver_free(struct resolver *r);

/*
 * Looks a name up in the hosts file, both families; does nothing with servers of our
 * own.  The callback comes before this returns.
 */
void resolver_hosts(
	struct resolver *r, const char *host, ares_addrinfo_callback callback, void *arg);

/*
 * Asks the servers for one family (AF_INET, AF_INET6).  The callback comes once, with
 * any ARES_ status and an answer to be freed with ares_freeaddrinfo() or NULL; possibly
 * before this returns.
 */
void resolver_ask(struct resolver *r, const char *host, int family, ares_addrinfo_callback callback,
	void *arg);

/*
 * What an ARES_ status means: 0; ERR_NOTFOUND (the servers say that there is no such
 * name or address); ERR_TIMEOUT; ERR_NOMEM; ERR_SYS (servers unreachable or broken).
 */
int resolver_err(int status);

/* Of two failures the one to report: "not found" only where nothing speaks against it. */
int resolver_worse(int a, int b);

/* Words for a failure; static storage. */
const char *resolver_words(int status);

#endif
