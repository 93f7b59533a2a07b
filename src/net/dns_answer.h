/*
 * dns_answer - what is known of one name: its addresses in both families.
 *
 * Pure: the time is an argument.  A round (dns.h) asks for each family by itself, so each
 * has an answer, a status and a time to live of its own; what the name stands for is
 * worked out of both, when the round ends and once more when an answer comes late.
 * DNS_ADDRS_MAX addresses are kept of a family, and as many of a name.  Private to dns.
 */
#ifndef CB_NET_DNS_ANSWER_H
#define CB_NET_DNS_ANSWER_H

#include "base/addr.h"
#include "base/mem.h"
#include "net/dns.h"

#include <ares.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dns_family_index { DNS_V6, DNS_V4 };

enum { DNS_IP_MAX = 16 };

/* Of one family. */
struct dns_family {
	int af;
	bool heard;                                  /* answered since the last round began */
	int status;                                  /* ARES_*, of the last answer */
	uint64_t origin;                             /* hash of the name that had the records */
	uint64_t fresh_until;                        /* when they expire, or expired */
	size_t n;                                    /* addresses below, sorted, no two alike */
	unsigned char ip[DNS_ADDRS_MAX][DNS_IP_MAX]; /* network order; IPv4 has 4 bytes of it */
};

struct dns_answer {
	struct dns_family family[2]; /* by enum dns_family_index */
};

/* The time, and between which bounds a time to live counts; microseconds. */
struct dns_lifetime {
	uint64_t now, min, max;
};

void dns_answer_init(struct dns_answer *a);

/* A round begins: nothing is heard yet.  What was known stays. */
void dns_answer_begin(struct dns_answer *a);

/*
 * Takes an answer of c-ares: the records of this family in `ai`, which may be NULL.  Success
 * without any is ARES_ENODATA; where there are none, what was known stays until judged.
 */
void dns_answer_note(struct dns_family *f, int status, const struct ares_addrinfo *ai,
	const struct dns_lifetime *life);

bool dns_answer_all_heard(const struct dns_answer *a);

/* Whether any family has addresses from this round. */
bool dns_answer_any_good(const struct dns_answer *a);

/*
 * What counts now: a family that was not heard, or failed, keeps what it had until stale_max
 * after it expired; one without such a name or address has nothing (RFC 8767, section 4).
 * Where the search list led the families to different names, one of them is dropped: the
 * name as it was asked for wins, where it is no bare label; IPv4 otherwise.
 */
void dns_answer_judge(struct dns_answer *a, const char *host, uint64_t now, uint64_t stale_max);

/* ARES_SUCCESS where any family is good, or the failure to report. */
int dns_answer_failure(const struct dns_answer *a);

/* When the first of the good families expires; CLOCK_NEVER where there is none. */
uint64_t dns_answer_expires(const struct dns_answer *a);

/*
 * The addresses in the order to use, IPv6 and IPv4 in turn (RFC 8305, section 4), port 0:
 * *addrs of `mem`, or NULL where *n is 0, takes the place of what was there, which is
 * freed.  0, or ERR_NOMEM: nothing has changed.
 */
int dns_answer_list(const struct dns_answer *a, struct mem *mem, struct addr **addrs, size_t *n);

#endif
