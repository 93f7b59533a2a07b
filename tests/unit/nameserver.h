/*
 * nameserver - a scripted DNS server on a loopback port, in the test's own loop.
 *
 * UDP, and TCP on the same port for answers that were truncated.  What it says of a
 * name is a rule a family; rules can be changed at any time.
 */
#ifndef CB_TESTS_NAMESERVER_H
#define CB_TESTS_NAMESERVER_H

#include "base/addr.h"
#include "base/timers.h"
#include "net/loop.h"

#include <stddef.h>
#include <stdint.h>

enum {
	NS_RULES_MAX = 16,
	NS_PENDING_MAX = 32,
	NS_CONNS_MAX = 8,
	NS_IPS_MAX = 100,
	NS_PACKET_MAX = 4096
};

enum ns_kind { NS_ANSWER, NS_NXDOMAIN, NS_SERVFAIL, NS_REFUSED, NS_DROP };

struct ns_rule {
	const char *host; /* static; NULL: unused */
	int af;           /* AF_INET or AF_INET6 */
	enum ns_kind kind;
	const char *ips[NS_IPS_MAX]; /* static; none: an answer without data */
	uint32_t ttl;                /* seconds */
	const char *cname;           /* static: the name that has the records, or NULL */
	uint32_t cname_ttl;
	uint64_t delay; /* microseconds */
	unsigned asked; /* counts, kept when the rule is changed */
};

struct ns_pending {
	struct nameserver *ns;
	struct timer timer;
	struct addr to;
	size_t n;
	unsigned char packet[NS_PACKET_MAX];
};

struct ns_conn {
	struct nameserver *ns;
	struct loop_fd lfd;
	size_t n;
	unsigned char buf[1024];
};

struct nameserver {
	struct loop *loop;
	struct loop_fd udp, tcp;
	struct addr addr;
	struct ns_rule rules[NS_RULES_MAX];
	struct ns_pending pending[NS_PENDING_MAX];
	struct ns_conn conns[NS_CONNS_MAX];
	unsigned queries, tcp_queries; /* all that came; those of them over TCP */
};

/* On a port of the kernel's choice; fails the test when none can be had. */
void nameserver_start(struct nameserver *ns, struct loop *loop);

/* On a port of the test's choice, which had better be free. */
void nameserver_start_at(struct nameserver *ns, struct loop *loop, uint16_t port);

void nameserver_stop(struct nameserver *ns);

/* Its UDP port refuses from now on, as though nobody were there, and is nobody else's either. */
void nameserver_refuse(struct nameserver *ns);

/*
 * Sets what is said of rule.host in rule.af.  A name without any rule does not exist;
 * one with a rule for the other family only has no data here.
 */
void nameserver_set(struct nameserver *ns, struct ns_rule rule);

/* How often a name was asked for in a family. */
unsigned nameserver_asked(const struct nameserver *ns, const char *host, int af);

#endif
