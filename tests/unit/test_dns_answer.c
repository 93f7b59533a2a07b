#include "base/err.h"
#include "base/hash.h"
#include "net/dns_answer.h"
#include "unit.h"

#include <string.h>

enum { RECORDS_MAX = 2 * DNS_ADDRS_MAX };

static const struct dns_lifetime life = {
	.now = 100 * CLOCK_SEC, .min = 5 * CLOCK_SEC, .max = 3600 * CLOCK_SEC};

/* An answer as c-ares gives it, with room for its records. */
struct reply {
	struct ares_addrinfo ai;
	struct ares_addrinfo_node node[RECORDS_MAX];
	struct sockaddr_in6 in6[RECORDS_MAX];
	struct sockaddr_in in[RECORDS_MAX];
	size_t n;
};

static void reply_init(struct reply *r, char *origin)
{
	*r = (struct reply){.ai.name = origin};
}

static void push(struct reply *r, struct sockaddr *sa, int ttl)
{
	struct ares_addrinfo_node *node = &r->node[r->n++];
	*node = (struct ares_addrinfo_node){
		.ai_family = sa->sa_family, .ai_addr = sa, .ai_ttl = ttl, .ai_next = r->ai.nodes};
	r->ai.nodes = node;
}

/* 192.0.2.LAST or 2001:db8::LAST. */
static void reply_add(struct reply *r, int af, unsigned char last, int ttl)
{
	struct sockaddr_in *in = &r->in[r->n];
	struct sockaddr_in6 *in6 = &r->in6[r->n];
	if (af == AF_INET) {
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(0xC0000200U | last);
		push(r, (struct sockaddr *)in, ttl);
	} else {
		static const unsigned char net[4] = {0x20, 0x01, 0x0d, 0xb8};
		in6->sin6_family = AF_INET6;
		memcpy(in6->sin6_addr.s6_addr, net, sizeof net);
		in6->sin6_addr.s6_addr[15] = last;
		push(r, (struct sockaddr *)in6, ttl);
	}
}

static void note(struct dns_answer *a, int family, int status, const struct reply *r)
{
	dns_answer_note(&a->family[family], status, r == NULL ? NULL : &r->ai, &life);
}

/* The last bytes of the addresses in the order to use; IPv6 ones plus 1000. */
static size_t list_of(const struct dns_answer *a, unsigned *out)
{
	struct unit_mem m;
	struct addr *addrs = NULL;
	size_t n = 0;
	unit_mem_init(&m);
	ck_assert_int_eq(dns_answer_list(a, &m.mem, &addrs, &n), 0);
	for (size_t i = 0; i < n; i++) {
		if (addrs[i].sa.sa_family == AF_INET6)
			out[i] = 1000U + addrs[i].in6.sin6_addr.s6_addr[15];
		else
			out[i] = ntohl(addrs[i].in.sin_addr.s_addr) & 0xff;
	}
	mem_free(&m.mem, addrs);
	ck_assert_uint_eq(m.live, 0);
	return n;
}

START_TEST(families_take_turns_and_ipv6_is_first)
{
	struct dns_answer a;
	struct reply r;
	unsigned got[DNS_ADDRS_MAX];
	static const unsigned expected[] = {1001, 1, 1002, 2, 3, 4};
	dns_answer_init(&a);
	reply_init(&r, NULL);
	for (unsigned char i = 4; i >= 1; i--)
		reply_add(&r, AF_INET, i, 60);
	reply_add(&r, AF_INET6, 2, 60);
	reply_add(&r, AF_INET6, 1, 60);
	reply_add(&r, AF_INET, 3, 60); /* twice */
	note(&a, DNS_V6, ARES_SUCCESS, &r);
	ck_assert(!dns_answer_all_heard(&a));
	note(&a, DNS_V4, ARES_SUCCESS, &r);
	ck_assert(dns_answer_all_heard(&a));
	ck_assert_uint_eq(list_of(&a, got), 6);
	ck_assert_mem_eq(got, expected, sizeof expected);
}
END_TEST

START_TEST(of_too_many_the_same_are_kept_in_whatever_order)
{
	unsigned got[2][DNS_ADDRS_MAX];
	for (int way = 0; way < 2; way++) {
		struct dns_answer a;
		struct reply r;
		dns_answer_init(&a);
		reply_init(&r, NULL);
		for (unsigned i = 0; i < RECORDS_MAX; i++)
			reply_add(&r, AF_INET, (unsigned char)(way == 0 ? i : RECORDS_MAX - 1 - i),
				60);
		note(&a, DNS_V4, ARES_SUCCESS, &r);
		ck_assert_uint_eq(list_of(&a, got[way]), DNS_ADDRS_MAX);
	}
	ck_assert_mem_eq(got[0], got[1], sizeof got[0]);
	ck_assert_uint_eq(got[0][DNS_ADDRS_MAX - 1], DNS_ADDRS_MAX - 1);
}
END_TEST

START_TEST(the_least_time_to_live_counts_within_bounds)
{
	static const struct {
		int record, cname;
		uint64_t expected;
	} rows[] = {
		{60, 0x7fffffff, 60 * CLOCK_SEC},
		{60, 30, 30 * CLOCK_SEC},
		{0, 60, 5 * CLOCK_SEC},
		{-1, 60, 5 * CLOCK_SEC},
		{0x7fffffff, 0x7fffffff, 3600 * CLOCK_SEC},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct ares_addrinfo_cname cname = {.ttl = rows[i].cname};
		struct dns_answer a;
		struct reply r;
		dns_answer_init(&a);
		reply_init(&r, NULL);
		r.ai.cnames = &cname;
		reply_add(&r, AF_INET, 1, 0x7fffffff);
		reply_add(&r, AF_INET, 2, rows[i].record);
		ck_assert_uint_eq(dns_answer_expires(&a), CLOCK_NEVER);
		note(&a, DNS_V4, ARES_SUCCESS, &r);
		ck_assert_uint_eq(dns_answer_expires(&a), life.now + rows[i].expected);
	}
}
END_TEST

/* A family that had an address and is asked again. */
static void known(struct dns_answer *a)
{
	struct reply r;
	dns_answer_init(a);
	reply_init(&r, NULL);
	reply_add(&r, AF_INET, 1, 60);
	note(a, DNS_V4, ARES_SUCCESS, &r);
	note(a, DNS_V6, ARES_ENODATA, NULL);
	dns_answer_judge(a, "host.example", life.now, 3600 * CLOCK_SEC);
	dns_answer_begin(a);
	ck_assert(!dns_answer_any_good(a));
}

START_TEST(without_an_answer_the_old_addresses_stay_for_a_while)
{
	static const int silent[] = {ARES_ETIMEOUT, ARES_ESERVFAIL, ARES_ECONNREFUSED};
	uint64_t expired = life.now + 60 * CLOCK_SEC;
	for (size_t i = 0; i <= sizeof silent / sizeof silent[0]; i++) {
		struct dns_answer a;
		unsigned got[DNS_ADDRS_MAX];
		known(&a);
		if (i > 0) /* and once without a word */
			note(&a, DNS_V4, silent[i - 1], NULL);
		dns_answer_judge(&a, "host.example", expired + 3599 * CLOCK_SEC, 3600 * CLOCK_SEC);
		ck_assert_uint_eq(list_of(&a, got), 1);
		ck_assert_int_ne(dns_answer_failure(&a), ARES_SUCCESS);
		dns_answer_judge(&a, "host.example", expired + 3600 * CLOCK_SEC, 3600 * CLOCK_SEC);
		ck_assert_uint_eq(list_of(&a, got), 0);
	}
}
END_TEST

START_TEST(a_name_that_is_gone_has_no_address_at_once)
{
	static const int gone[] = {ARES_ENOTFOUND, ARES_ENODATA, ARES_SUCCESS};
	for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
		struct dns_answer a;
		unsigned got[DNS_ADDRS_MAX];
		known(&a);
		note(&a, DNS_V4, gone[i], NULL); /* success without a record is none */
		dns_answer_judge(&a, "host.example", life.now, 3600 * CLOCK_SEC);
		ck_assert_uint_eq(list_of(&a, got), 0);
		ck_assert_int_ne(dns_answer_failure(&a), ARES_SUCCESS);
	}
}
END_TEST

START_TEST(families_of_different_names_do_not_mix)
{
	static const struct {
		const char *host, *v6, *v4;
		unsigned first; /* 0: both stay */
	} rows[] = {
		{"db.example", "db.example", "db.example", 0},
		{"db.example", "db.example", "db.example.lan", 1001},
		{"db.example", "db.example.lan", "db.example", 1},
		{"db", "db", "db.lan", 1},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct dns_answer a;
		struct reply v6, v4;
		unsigned got[DNS_ADDRS_MAX];
		dns_answer_init(&a);
		reply_init(&v6, (char *)rows[i].v6);
		reply_init(&v4, (char *)rows[i].v4);
		reply_add(&v6, AF_INET6, 1, 60);
		reply_add(&v4, AF_INET, 1, 60);
		note(&a, DNS_V6, ARES_SUCCESS, &v6);
		note(&a, DNS_V4, ARES_SUCCESS, &v4);
		dns_answer_judge(&a, rows[i].host, life.now, 0);
		ck_assert_uint_eq(list_of(&a, got), rows[i].first == 0 ? 2 : 1);
		ck_assert_uint_eq(got[0], rows[i].first == 0 ? 1001 : rows[i].first);
	}
}
END_TEST

START_TEST(without_memory_the_list_stays)
{
	struct unit_mem m;
	struct dns_answer a;
	struct addr *addrs = NULL, *before;
	size_t n = 0;
	unit_mem_init(&m);
	known(&a);
	ck_assert_int_eq(dns_answer_list(&a, &m.mem, &addrs, &n), 0);
	before = addrs;
	m.fail_at = m.calls + 1;
	ck_assert_int_eq(dns_answer_list(&a, &m.mem, &addrs, &n), ERR_NOMEM);
	ck_assert_ptr_eq(addrs, before);
	ck_assert_uint_eq(n, 1);
	mem_free(&m.mem, addrs);
	ck_assert_uint_eq(m.live, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dns_answer");
	TCase *tc = tcase_create("answer");
	tcase_add_test(tc, families_take_turns_and_ipv6_is_first);
	tcase_add_test(tc, of_too_many_the_same_are_kept_in_whatever_order);
	tcase_add_test(tc, the_least_time_to_live_counts_within_bounds);
	tcase_add_test(tc, without_an_answer_the_old_addresses_stay_for_a_while);
	tcase_add_test(tc, a_name_that_is_gone_has_no_address_at_once);
	tcase_add_test(tc, families_of_different_names_do_not_mix);
	tcase_add_test(tc, without_memory_the_list_stays);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
