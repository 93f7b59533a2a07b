#include "net/dns.h"

#include "base/err.h"
#include "net/resolver.h"
#include "unit/nameserver.h"
#include "unit/unit.h"

#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE (10 * CLOCK_SEC)

static struct unit_mem m;
static struct loop *loop;
static struct nameserver ns;
static struct dns *dns;
static struct dns_options opt;

static void setup(void)
{
	unit_mem_init(&m);
	loop = loop_new(&m.mem);
	ck_assert_ptr_nonnull(loop);
	nameserver_start(&ns, loop);
	/* Only the tests of lateness shall depend on how fast this machine is. */
	opt = (struct dns_options){
		.servers = &ns.addr, .n_servers = 1, .seed = 7, .second_answer = PATIENCE};
	dns = NULL;
}

static void start(void)
{
	ck_assert_int_eq(dns_new(&dns, loop, &m.mem, &opt), 0);
}

static void teardown(void)
{
	dns_free(dns);
	nameserver_stop(&ns);
	loop_free(loop);
	ck_assert_uint_eq(m.live, 0);
}

/* --- questions ------------------------------------------------------------------------- */

struct asked {
	struct dns_query query;
	unsigned calls;
	int err;
	uint64_t at;
};

static void on_done(struct dns_query *query, int err)
{
	struct asked *a = container_of(query, struct asked, query);
	ck_assert_ptr_null(query->name);
	a->calls++;
	a->err = err;
	a->at = clock_now();
}

static void turn(uint64_t until)
{
	ck_assert_uint_lt(clock_now(), until);
	ck_assert_int_eq(loop_turn(loop, until), 0);
}

/* Asks and waits; returns what done() was given. */
static int ask(struct dns_name *name)
{
	struct asked a = {.query.done = on_done};
	uint64_t until = clock_now() + PATIENCE;
	dns_resolve(name, &a.query);
	ck_assert_uint_eq(a.calls, 0);
	while (a.calls == 0)
		turn(until);
	ck_assert_uint_eq(a.calls, 1);
	return a.err;
}

static void wait_until(uint64_t when)
{
	while (clock_now() <= when)
		ck_assert_int_eq(loop_turn(loop, when + 1), 0);
}

static void wait_to_expire(const struct dns_name *name)
{
	wait_until(dns_expires(name));
}

/* The addresses as one text, "a b c". */
static const char *addrs(const struct dns_name *name)
{
	static char text[DNS_ADDRS_MAX * 48];
	size_t n;
	const struct addr *a = dns_addrs(name, &n);
	text[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		char one[ADDR_TEXT_MAX];
		ck_assert_uint_eq(addr_port(&a[i]), 0);
		addr_format(&a[i], one);
		one[strlen(one) - strlen(":0")] = '\0';
		strcat(text, i == 0 ? "" : " ");
		strcat(text, one + strlen("tcp://"));
	}
	return text;
}

#define RULE(...) nameserver_set(&ns, (struct ns_rule){__VA_ARGS__})
#define A(...) .af = AF_INET, .ips = {__VA_ARGS__}
#define AAAA(...) .af = AF_INET6, .ips = {__VA_ARGS__}

START_TEST(both_families_in_turn_and_in_a_stable_order)
{
	start();
	RULE(.host = "a.test", A("10.0.0.3", "10.0.0.1", "10.0.0.2"), .ttl = 60);
	RULE(.host = "a.test", AAAA("2001:db8::2", "2001:db8::1"), .ttl = 60);
	RULE(.host = "b.test", A("10.0.0.2", "10.0.0.3", "10.0.0.1", "10.0.0.2"), .ttl = 60);
	RULE(.host = "b.test", AAAA("2001:db8::1", "2001:db8::2"), .ttl = 60);
	struct dns_name *a = dns_ref(dns, "a.test"), *b = dns_ref(dns, "b.test");
	ck_assert_uint_eq(dns_expires(a), CLOCK_NEVER);
	ck_assert_str_eq(addrs(a), "");
	ck_assert_int_eq(ask(a), 0);
	ck_assert_int_eq(ask(b), 0);
	ck_assert_str_eq(addrs(a), "[2001:db8::1] 10.0.0.1 [2001:db8::2] 10.0.0.2 10.0.0.3");
	ck_assert_str_eq(addrs(b), "[2001:db8::1] 10.0.0.1 [2001:db8::2] 10.0.0.2 10.0.0.3");
	ck_assert_str_eq(dns_failure(a), "no failure");
	ck_assert_str_eq(dns_host(a), "a.test");
	dns_unref(a);
	dns_unref(b);
}
END_TEST

START_TEST(one_name_is_asked_once_for_all_who_ask)
{
	start();
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60);
	struct dns_name *name = dns_ref(dns, "a.test"), *same = dns_ref(dns, "a.test");
	ck_assert_ptr_eq(name, same);
	struct asked a[3] = {0};
	uint64_t until = clock_now() + PATIENCE;
	for (int i = 0; i < 3; i++) {
		a[i].query.done = on_done;
		dns_resolve(name, &a[i].query);
		dns_resolve(name, &a[i].query); /* asked already: nothing */
	}
	while (a[0].calls + a[1].calls + a[2].calls < 3)
		turn(until);
	ck_assert_int_eq(a[0].err | a[1].err | a[2].err, 0);
	ck_assert_int_eq(ask(name), 0); /* fresh */
	ck_assert_uint_eq(ns.queries, 2);
	dns_unref(name);
	ck_assert_int_eq(ask(same), 0);
	dns_unref(same);
}
END_TEST

START_TEST(a_fresh_answer_comes_in_the_same_turn_but_not_inside_resolve)
{
	start();
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60);
	struct dns_name *name = dns_ref(dns, "a.test");
	struct asked a = {.query.done = on_done};
	ck_assert_int_eq(ask(name), 0);
	dns_resolve(name, &a.query);
	ck_assert_uint_eq(a.calls, 0);
	ck_assert_int_eq(loop_turn(loop, CLOCK_NEVER), 0);
	ck_assert_uint_eq(a.calls, 1);
	/* Nothing is left that keeps the loop awake. */
	uint64_t until = clock_now() + 20 * CLOCK_MS;
	ck_assert_int_eq(loop_turn(loop, until), 0);
	ck_assert_uint_ge(clock_now(), until);
	dns_unref(name);
}
END_TEST

START_TEST(nxdomain_for_aaaa_beside_a_good_a)
{
	start();
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60);
	RULE(.host = "a.test", .af = AF_INET6, .kind = NS_NXDOMAIN);
	struct dns_name *name = dns_ref(dns, "a.test");
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "10.0.0.1");
	ck_assert_str_eq(dns_failure(name), "no failure");
	dns_unref(name);
}
END_TEST

START_TEST(no_address_in_either_family_is_not_found)
{
	start();
	RULE(.host = "a.test", .af = AF_INET);
	struct dns_name *name = dns_ref(dns, "a.test"), *bad = dns_ref(dns, "a..test");
	ck_assert_int_eq(ask(name), ERR_NOTFOUND);
	ck_assert_str_eq(addrs(name), "");
	ck_assert_int_eq(ask(bad), ERR_NOTFOUND);
	dns_unref(bad);
	dns_unref(name);
}
END_TEST

/* --- case 43 --------------------------------------------------------------------------- */

START_TEST(case_43_nxdomain_is_remembered_for_a_moment)
{
	opt.failure_ttl = 100 * CLOCK_MS;
	start();
	struct dns_name *name = dns_ref(dns, "gone.test");
	ck_assert_int_eq(ask(name), ERR_NOTFOUND);
	ck_assert_str_eq(dns_failure(name), "Domain name not found");
	ck_assert_int_eq(ask(name), ERR_NOTFOUND);
	ck_assert_uint_eq(ns.queries, 2);
	wait_to_expire(name);
	RULE(.host = "gone.test", A("10.0.0.1"), .ttl = 60);
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "10.0.0.1");
	dns_unref(name);
}
END_TEST

START_TEST(case_43_servfail_has_bounded_retries)
{
	start();
	RULE(.host = "a.test", .af = AF_INET, .kind = NS_SERVFAIL);
	RULE(.host = "a.test", .af = AF_INET6, .kind = NS_REFUSED);
	struct dns_name *name = dns_ref(dns, "a.test");
	ck_assert_int_eq(ask(name), ERR_SYS);
	ck_assert_str_eq(dns_failure(name), "No DNS server gave a usable answer");
	ck_assert_uint_ge(ns.queries, 2);
	ck_assert_uint_le(ns.queries, 6);
	dns_unref(name);
}
END_TEST

START_TEST(case_43_timeout_is_bounded_and_others_are_unaffected)
{
	opt.query_timeout = 400 * CLOCK_MS;
	start();
	RULE(.host = "dead.test", .af = AF_INET, .kind = NS_DROP);
	RULE(.host = "dead.test", .af = AF_INET6, .kind = NS_DROP);
	RULE(.host = "good.test", A("10.0.0.1"), .ttl = 60);
	struct dns_name *dead = dns_ref(dns, "dead.test"), *good = dns_ref(dns, "good.test");
	struct asked a = {.query.done = on_done};
	uint64_t began = clock_now();
	unsigned turns = 0;
	ck_assert_int_eq(loop_turn(loop, began), 0);
	dns_resolve(dead, &a.query);
	ck_assert_int_eq(ask(good), 0);
	ck_assert_uint_eq(a.calls, 0);
	for (; a.calls == 0; turns++)
		turn(began + PATIENCE);
	ck_assert_int_eq(a.err, ERR_TIMEOUT);
	ck_assert_str_eq(dns_failure(dead), "Timeout while contacting DNS servers");
	ck_assert_uint_ge(a.at - began, 300 * CLOCK_MS);
	ck_assert_uint_le(nameserver_asked(&ns, "dead.test", AF_INET), 3);
	ck_assert_uint_lt(turns, 40); /* tries, their timers, and no spinning between */
	dns_unref(dead);
	dns_unref(good);
}
END_TEST

START_TEST(case_43_a_server_that_is_not_there_fails_without_spinning)
{
	nameserver_refuse(&ns);
	opt.query_timeout = 400 * CLOCK_MS;
	start();
	struct dns_name *name = dns_ref(dns, "a.test");
	struct asked a = {.query.done = on_done};
	unsigned turns = 0;
	uint64_t until = clock_now() + PATIENCE;
	dns_resolve(name, &a.query);
	for (; a.calls == 0; turns++)
		turn(until);
	/* One refusal can tell c-ares of one question only; the other has to wait then. */
	ck_assert(a.err == ERR_SYS || a.err == ERR_TIMEOUT);
	ck_assert_uint_lt(turns, 40);
	dns_unref(name);
}
END_TEST

START_TEST(case_43_the_second_server_answers_for_the_first)
{
	struct nameserver other;
	struct addr servers[2] = {ns.addr};
	nameserver_start(&other, loop);
	servers[1] = other.addr;
	opt.servers = servers;
	opt.n_servers = 2;
	start();
	RULE(.host = "a.test", .af = AF_INET, .kind = NS_SERVFAIL);
	RULE(.host = "a.test", .af = AF_INET6, .kind = NS_SERVFAIL);
	nameserver_set(&other, (struct ns_rule){.host = "a.test", A("10.0.0.9"), .ttl = 60});
	struct dns_name *name = dns_ref(dns, "a.test");
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "10.0.0.9");
	nameserver_refuse(&ns);
	struct dns_name *next = dns_ref(dns, "b.test");
	nameserver_set(&other, (struct ns_rule){.host = "b.test", A("10.0.0.8"), .ttl = 60});
	ck_assert_int_eq(ask(next), 0);
	ck_assert_str_eq(addrs(next), "10.0.0.8");
	dns_unref(name);
	dns_unref(next);
	nameserver_stop(&other);
}
END_TEST

/* --- one family late ------------------------------------------------------------------- */

START_TEST(a_family_that_hangs_does_not_hold_back_the_other)
{
	opt.second_answer = 0; /* the constant */
	for (int i = 0; i < 2; i++) {
		start();
		int dead = i == 0 ? AF_INET6 : AF_INET;
		RULE(.host = "a.test", .af = dead, .kind = NS_DROP);
		if (dead == AF_INET6)
			RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60);
		else
			RULE(.host = "a.test", AAAA("2001:db8::1"), .ttl = 60);
		struct dns_name *name = dns_ref(dns, "a.test");
		uint64_t began = clock_now();
		ck_assert_int_eq(ask(name), 0);
		ck_assert_uint_ge(clock_now() - began, DNS_SECOND_ANSWER);
		ck_assert_uint_lt(clock_now() - began, 2 * CLOCK_SEC);
		ck_assert_str_eq(addrs(name), i == 0 ? "10.0.0.1" : "[2001:db8::1]");
		dns_unref(name);
		dns_free(dns);
		dns = NULL;
	}
}
END_TEST

START_TEST(a_second_answer_in_time_is_waited_for)
{
	start();
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60);
	RULE(.host = "a.test", AAAA("2001:db8::1"), .ttl = 60, .delay = 30 * CLOCK_MS);
	struct dns_name *name = dns_ref(dns, "a.test");
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "[2001:db8::1] 10.0.0.1");
	dns_unref(name);
}
END_TEST

START_TEST(a_late_second_answer_is_merged)
{
	opt.second_answer = 1;
	opt.query_timeout = 5 * CLOCK_SEC;
	start();
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60);
	RULE(.host = "a.test", AAAA("2001:db8::1"), .ttl = 30, .delay = 100 * CLOCK_MS);
	struct dns_name *name = dns_ref(dns, "a.test");
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "10.0.0.1");
	uint64_t before = dns_expires(name), until = clock_now() + PATIENCE;
	while (strcmp(addrs(name), "[2001:db8::1] 10.0.0.1") != 0)
		turn(until);
	ck_assert_uint_lt(dns_expires(name), before); /* the shorter life of the two */
	ck_assert_int_eq(ask(name), 0);
	ck_assert_uint_eq(ns.queries, 2);
	dns_unref(name);
}
END_TEST

START_TEST(a_family_without_data_waits_for_the_other)
{
	opt.second_answer = 1;
	start();
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60, .delay = 50 * CLOCK_MS);
	struct dns_name *name = dns_ref(dns, "a.test");
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "10.0.0.1");
	dns_unref(name);
}
END_TEST

START_TEST(an_answer_after_the_end_of_the_round_still_counts)
{
	/* c-ares cannot be quicker than 1 + 2 + 4 ms, so it is still asking by then. */
	opt.query_timeout = 1 * CLOCK_MS;
	opt.failure_ttl = PATIENCE;
	start();
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60, .delay = 3 * CLOCK_MS);
	struct dns_name *name = dns_ref(dns, "a.test");
	uint64_t until = clock_now() + PATIENCE;
	ck_assert_int_eq(ask(name), ERR_TIMEOUT);
	while (strcmp(addrs(name), "10.0.0.1") != 0)
		turn(until);
	ck_assert_uint_gt(dns_expires(name), loop_now(loop) + 30 * CLOCK_SEC);
	ck_assert_int_eq(ask(name), 0);
	dns_unref(name);
}
END_TEST

/* A name whose AAAA is still awaited when its A has been told and has expired. */
static struct dns_name *make_late(void)
{
	opt.second_answer = 1;
	opt.ttl_min = opt.ttl_max = 10 * CLOCK_MS;
	opt.query_timeout = 2 * CLOCK_SEC; /* c-ares' first try takes a seventh of it */
	start();
	struct dns_name *name = dns_ref(dns, "a.test");
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "10.0.0.1");
	wait_to_expire(name);
	return name;
}

START_TEST(a_question_under_way_is_not_asked_twice)
{
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60);
	RULE(.host = "a.test", AAAA("2001:db8::1"), .ttl = 60, .delay = 150 * CLOCK_MS);
	struct dns_name *name = make_late();
	ck_assert_int_eq(ask(name), 0);
	if (strcmp(addrs(name), "10.0.0.1") == 0) { /* or the machine was slow */
		ck_assert_uint_eq(nameserver_asked(&ns, "a.test", AF_INET), 2);
		ck_assert_uint_eq(nameserver_asked(&ns, "a.test", AF_INET6), 1);
	}
	dns_unref(name);
}
END_TEST

START_TEST(a_failure_from_before_the_round_is_asked_again)
{
	uint64_t until = clock_now() + PATIENCE;
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60);
	RULE(.host = "a.test", .af = AF_INET6, .kind = NS_DROP);
	struct dns_name *name = make_late();
	struct asked a = {.query.done = on_done};
	/* The new round has only the old AAAA to wait for, and its last try fails. */
	RULE(.host = "a.test", .af = AF_INET, .kind = NS_NXDOMAIN);
	dns_resolve(name, &a.query);
	while (nameserver_asked(&ns, "a.test", AF_INET) < 2)
		turn(until);
	RULE(.host = "a.test", .af = AF_INET6, .kind = NS_SERVFAIL);
	while (nameserver_asked(&ns, "a.test", AF_INET6) < 3)
		turn(until);
	RULE(.host = "a.test", AAAA("2001:db8::1"), .ttl = 60);
	while (a.calls == 0)
		turn(until);
	ck_assert_int_eq(a.err, 0);
	ck_assert_str_eq(addrs(name), "[2001:db8::1]");
	dns_unref(name);
}
END_TEST

/* --- time to live ---------------------------------------------------------------------- */

/* How long the answer lives, in whole seconds, rounded up. */
static uint64_t life(const struct dns_name *name)
{
	return (dns_expires(name) - loop_now(loop) + CLOCK_SEC - 1) / CLOCK_SEC;
}

START_TEST(the_least_ttl_counts_within_bounds)
{
	static const struct {
		uint32_t a, aaaa;
		uint64_t life;
	} rows[] = {{60, 30, 30}, {20, 300, 20}, {0, 60, 5}, {1, 1, 5}, {86400, 90000, 3600},
		{0x80000000u, 60, 5}};
	start();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char host[] = "0.test";
		host[0] = (char)('a' + i);
		RULE(.host = strdup(host), A("10.0.0.1"), .ttl = rows[i].a);
		RULE(.host = strdup(host), AAAA("2001:db8::1"), .ttl = rows[i].aaaa);
		struct dns_name *name = dns_ref(dns, host);
		ck_assert_int_eq(ask(name), 0);
		ck_assert_uint_eq(life(name), rows[i].life);
		dns_unref(name);
	}
	for (size_t i = 0; i < NS_RULES_MAX; i++)
		free((char *)ns.rules[i].host);
}
END_TEST

START_TEST(the_ttl_of_an_alias_counts_too)
{
	start();
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 600, .cname = "real.test", .cname_ttl = 20);
	struct dns_name *name = dns_ref(dns, "a.test");
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "10.0.0.1");
	ck_assert_uint_eq(life(name), 20);
	dns_unref(name);
}
END_TEST

START_TEST(case_45_addresses_change_when_the_ttl_has_passed)
{
	opt.ttl_max = 100 * CLOCK_MS;
	opt.ttl_min = 1;
	start();
	RULE(.host = "a.test", A("10.0.0.1", "10.0.0.2"), .ttl = 60);
	struct dns_name *name = dns_ref(dns, "a.test");
	ck_assert_int_eq(ask(name), 0);
	RULE(.host = "a.test", A("10.0.0.2", "10.0.0.3"), .ttl = 60);
	ck_assert_int_eq(ask(name), 0);
	if (nameserver_asked(&ns, "a.test", AF_INET) == 1) /* or the machine was slow */
		ck_assert_str_eq(addrs(name), "10.0.0.1 10.0.0.2");
	wait_to_expire(name);
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "10.0.0.2 10.0.0.3");
	dns_unref(name);
}
END_TEST

/* --- stale addresses ------------------------------------------------------------------- */

static struct dns_name *make_stale(const char *host)
{
	opt.ttl_max = opt.ttl_min = 20 * CLOCK_MS;
	opt.query_timeout = 500 * CLOCK_MS;
	opt.failure_ttl = 20 * CLOCK_MS;
	start();
	RULE(.host = host, A("10.0.0.1"), .ttl = 60);
	RULE(.host = host, AAAA("2001:db8::1"), .ttl = 60);
	struct dns_name *name = dns_ref(dns, host);
	ck_assert_int_eq(ask(name), 0);
	wait_to_expire(name);
	return name;
}

START_TEST(old_addresses_stay_in_use_while_servers_fail)
{
	struct dns_name *name = make_stale("a.test");
	RULE(.host = "a.test", .af = AF_INET, .kind = NS_DROP);
	RULE(.host = "a.test", .af = AF_INET6, .kind = NS_SERVFAIL);
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "[2001:db8::1] 10.0.0.1");
	ck_assert_str_eq(dns_failure(name), "Timeout while contacting DNS servers");
	RULE(.host = "a.test", A("10.0.0.7"), .ttl = 60);
	/* The dropped question may be c-ares' for as long as a round lasts, or more. */
	uint64_t until = clock_now() + PATIENCE;
	do {
		ck_assert_uint_lt(clock_now(), until);
		wait_to_expire(name);
		ck_assert_int_eq(ask(name), 0);
	} while (strcmp(addrs(name), "[2001:db8::1] 10.0.0.1") == 0);
	ck_assert_str_eq(addrs(name), "[2001:db8::1] 10.0.0.7");
	ck_assert_str_eq(dns_failure(name), "no failure");
	dns_unref(name);
}
END_TEST

START_TEST(old_addresses_go_when_the_server_says_so)
{
	struct dns_name *name = make_stale("a.test");
	RULE(.host = "a.test", .af = AF_INET6, .kind = NS_NXDOMAIN);
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "10.0.0.1");
	wait_to_expire(name);
	RULE(.host = "a.test", .af = AF_INET, .kind = NS_NXDOMAIN);
	ck_assert_int_eq(ask(name), ERR_NOTFOUND);
	ck_assert_str_eq(addrs(name), "");
	dns_unref(name);
}
END_TEST

START_TEST(old_addresses_go_after_their_time)
{
	opt.stale_max = 1;
	struct dns_name *name = make_stale("a.test");
	RULE(.host = "a.test", .af = AF_INET, .kind = NS_SERVFAIL);
	RULE(.host = "a.test", .af = AF_INET6, .kind = NS_SERVFAIL);
	ck_assert_int_eq(ask(name), ERR_SYS);
	ck_assert_str_eq(addrs(name), "");
	dns_unref(name);
}
END_TEST

/* --- case 46 --------------------------------------------------------------------------- */

static struct asked *watched;
static struct dns_name *victim;

static void free_in_done(struct dns_query *query, int err)
{
	on_done(query, err);
	dns_free(dns);
	dns = NULL;
}

static void unref_in_done(struct dns_query *query, int err)
{
	on_done(query, err);
	dns_unref(victim);
}

static void cancel_in_done(struct dns_query *query, int err)
{
	on_done(query, err);
	dns_cancel(&watched->query);
}

static void ask_again_in_done(struct dns_query *query, int err)
{
	struct asked *a = container_of(query, struct asked, query);
	on_done(query, err);
	if (a->calls < 3)
		dns_resolve(victim, query);
}

/* Asks twice with `done` first; returns how often the second question was answered. */
static unsigned two_ask(void (*done)(struct dns_query *query, int err))
{
	struct asked a = {.query.done = done}, b = {.query.done = on_done};
	uint64_t until = clock_now() + PATIENCE;
	watched = &b;
	dns_resolve(victim, &a.query);
	dns_resolve(victim, &b.query);
	while (a.calls == 0)
		turn(until);
	ck_assert_int_eq(loop_turn(loop, clock_now()), 0);
	ck_assert_uint_ge(a.calls, 1);
	return b.calls;
}

START_TEST(case_46_the_resolver_is_freed_during_a_query)
{
	start();
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60, .delay = 20 * CLOCK_MS);
	RULE(.host = "a.test", .af = AF_INET6, .kind = NS_DROP);
	struct dns_name *name = dns_ref(dns, "a.test");
	struct asked a = {.query.done = on_done};
	dns_resolve(name, &a.query);
	ck_assert_int_eq(loop_turn(loop, clock_now()), 0);
	dns_free(dns);
	dns = NULL;
	ck_assert_ptr_null(a.query.name);
	dns_resolve(name, &a.query); /* nothing: the resolver is gone */
	ck_assert_ptr_null(a.query.name);
	wait_until(clock_now() + 40 * CLOCK_MS);
	ck_assert_uint_eq(a.calls, 0);
	dns_unref(name);
	dns_unref(NULL);
}
END_TEST

/* As at a reload: who asked the old servers, in vain, gets the answer of the new ones. */
START_TEST(case_46_other_servers_are_taken_during_a_query)
{
	struct nameserver other;
	struct resolver *next;
	start();
	RULE(.host = "a.test", .kind = NS_DROP, .af = AF_INET);
	RULE(.host = "a.test", .kind = NS_DROP, .af = AF_INET6);
	nameserver_start(&other, loop);
	nameserver_set(&other, (struct ns_rule){.host = "a.test", A("10.0.0.2"), .ttl = 60});
	nameserver_set(&other, (struct ns_rule){.host = "a.test", AAAA("fd00::2"), .ttl = 60});
	struct dns_name *name = dns_ref(dns, "a.test"), *gone = dns_ref(dns, "gone.test");
	struct asked a = {.query.done = on_done}, b = {.query.done = on_done};
	dns_resolve(name, &a.query);
	dns_resolve(gone, &b.query);
	ck_assert_int_eq(loop_turn(loop, clock_now() + 20 * CLOCK_MS), 0);
	dns_unref(gone); /* its question is still under way */
	struct dns_options to = {.servers = &other.addr, .n_servers = 1};
	ck_assert_int_eq(dns_prepare(dns, &next, &to), 0);
	resolver_free(next); /* not to be, and then it is */
	ck_assert_int_eq(dns_prepare(dns, &next, &to), 0);
	dns_commit(dns, next);
	uint64_t end = clock_now() + PATIENCE / 4; /* sooner than the question's own end */
	while (a.calls == 0)
		turn(end);
	ck_assert_int_eq(a.err, 0);
	ck_assert_str_eq(addrs(name), "[fd00::2] 10.0.0.2");
	dns_unref(name);
	nameserver_stop(&other);
}
END_TEST

START_TEST(case_46_the_resolver_is_freed_with_an_answer_not_yet_told)
{
	start();
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60);
	struct dns_name *name = dns_ref(dns, "a.test");
	struct asked a = {.query.done = on_done};
	ck_assert_int_eq(ask(name), 0);
	dns_resolve(name, &a.query);
	dns_free(dns);
	dns = NULL;
	ck_assert_int_eq(loop_turn(loop, clock_now()), 0);
	ck_assert_uint_eq(a.calls, 0);
	ck_assert_str_eq(addrs(name), "10.0.0.1");
	dns_unref(name);
}
END_TEST

START_TEST(case_46_anything_may_happen_inside_done)
{
	start();
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60);
	victim = dns_ref(dns, "a.test");
	ck_assert_uint_eq(two_ask(cancel_in_done), 0);
	ck_assert_uint_eq(two_ask(ask_again_in_done), 1);
	ck_assert_uint_eq(two_ask(unref_in_done), 0);
	victim = dns_ref(dns, "a.test");
	ck_assert_uint_eq(two_ask(free_in_done), 0);
	dns_unref(victim);
	start();
	victim = dns_ref(dns, "gone.test"); /* a round that ends there and then */
	ck_assert_uint_eq(two_ask(free_in_done), 0);
	dns_unref(victim);
}
END_TEST

START_TEST(case_46_a_name_is_dropped_during_its_query)
{
	start();
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60, .delay = 20 * CLOCK_MS);
	struct asked a = {.query.done = on_done}, b = {.query.done = on_done};
	struct dns_name *name = dns_ref(dns, "a.test");
	dns_resolve(name, &a.query);
	dns_unref(name);
	ck_assert_ptr_null(a.query.name);
	name = dns_ref(dns, "a.test"); /* anew, while the old question is under way */
	dns_resolve(name, &b.query);
	uint64_t until = clock_now() + PATIENCE;
	while (b.calls == 0)
		turn(until);
	ck_assert_int_eq(b.err, 0);
	ck_assert_uint_eq(a.calls, 0);
	dns_unref(name);
}
END_TEST

START_TEST(a_cancelled_question_is_not_answered)
{
	start();
	RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60);
	struct dns_name *name = dns_ref(dns, "a.test");
	struct asked a = {.query.done = on_done};
	dns_cancel(&a.query);
	dns_resolve(name, &a.query);
	dns_cancel(&a.query);
	ck_assert_int_eq(ask(name), 0);
	ck_assert_uint_eq(a.calls, 0);
	dns_resolve(name, &a.query);
	dns_cancel(&a.query);
	ck_assert_int_eq(loop_turn(loop, clock_now()), 0);
	ck_assert_uint_eq(a.calls, 0);
	dns_unref(name);
}
END_TEST

/* --- where answers come from ----------------------------------------------------------- */

static char hosts_path[64];

static void write_hosts(const char *text)
{
	strcpy(hosts_path, "/tmp/cb-test-dns-XXXXXX");
	int fd = mkstemp(hosts_path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	ck_assert_int_eq(setenv("CARES_HOSTS", hosts_path, 1), 0);
}

static void remove_hosts(void)
{
	unsetenv("CARES_HOSTS");
	unlink(hosts_path);
}

START_TEST(the_hosts_file_answers_without_servers_of_our_own)
{
	write_hosts("10.9.9.9 pinned.test\n2001:db8::9 pinned.test alias.test\n");
	opt.n_servers = 0;
	start();
	struct dns_name *name = dns_ref(dns, "pinned.test"), *alias = dns_ref(dns, "alias.test");
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "[2001:db8::9] 10.9.9.9");
	ck_assert_uint_eq(life(name), 5);
	ck_assert_int_eq(ask(alias), 0);
	ck_assert_str_eq(addrs(alias), "[2001:db8::9]"); /* and no A from elsewhere */
	dns_unref(name);
	dns_unref(alias);
	remove_hosts();
}
END_TEST

START_TEST(the_hosts_file_is_not_consulted_with_servers_of_our_own)
{
	write_hosts("10.9.9.9 pinned.test\n");
	start();
	RULE(.host = "pinned.test", A("10.0.0.1"), .ttl = 60);
	struct dns_name *name = dns_ref(dns, "pinned.test");
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "10.0.0.1");
	dns_unref(name);
	remove_hosts();
}
END_TEST

START_TEST(localhost_needs_nobody)
{
	start();
	struct dns_name *name = dns_ref(dns, "localhost"), *sub = dns_ref(dns, "x.localhost");
	struct dns_name *not = dns_ref(dns, "notlocalhost");
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), "[::1] 127.0.0.1");
	ck_assert_int_eq(ask(sub), 0);
	ck_assert_str_eq(addrs(sub), "[::1] 127.0.0.1");
	ck_assert_uint_eq(ns.queries, 0);
	ck_assert_int_eq(ask(not ), ERR_NOTFOUND);
	dns_unref(name);
	dns_unref(sub);
	dns_unref(not );
}
END_TEST

START_TEST(a_bare_name_is_asked_as_it_stands)
{
	ck_assert_int_eq(setenv("LOCALDOMAIN", "search.test", 1), 0);
	start();
	unsetenv("LOCALDOMAIN");
	RULE(.host = "bare", A("10.0.0.1"), .ttl = 60);
	struct dns_name *name = dns_ref(dns, "bare");
	ck_assert_int_eq(ask(name), 0);
	ck_assert_uint_eq(ns.queries, 2);
	dns_unref(name);
}
END_TEST

/*
 * resolv.conf has no ports, so its server must have port 53: in a network of our own.
 * Returns false where there is none to be had.
 */
static bool own_network(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return false;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = s < 0 ? -1 : ioctl(s, SIOCSIFFLAGS, &ifr);
	close(s);
	return rc == 0;
}

static void check_name(const char *host, const char *want)
{
	struct dns_name *name = dns_ref(dns, host);
	ck_assert_int_eq(ask(name), 0);
	ck_assert_str_eq(addrs(name), want);
	dns_unref(name);
}

static void search_list(void)
{
	char conf[] = "/tmp/cb-test-dns-XXXXXX";
	static const char text[] = "nameserver 127.0.0.1\nsearch one.test two.test\n";
	int fd = mkstemp(conf);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	write_hosts("10.9.9.9 pinned\n");
	loop_free(loop); /* its epoll set is shared with the parent */
	loop = loop_new(&m.mem);
	nameserver_start_at(&ns, loop, 53);
	opt.n_servers = 0;
	opt.resolv_conf = conf;
	start();
	unlink(conf);
	RULE(.host = "here.one.test", A("10.0.0.1"), .ttl = 60);
	RULE(.host = "there.two.test", A("10.0.0.2"), .ttl = 60);
	check_name("pinned", "10.9.9.9");
	ck_assert_uint_eq(ns.queries, 0);
	check_name("here", "10.0.0.1");
	check_name("there", "10.0.0.2");
	/* The families end up at different names: only one of them is meant. */
	RULE(.host = "mixed.one.test", A("10.0.0.3"), .ttl = 60);
	RULE(.host = "mixed.two.test", AAAA("2001:db8::3"), .ttl = 60);
	check_name("mixed", "10.0.0.3");
	RULE(.host = "a.b", AAAA("2001:db8::4"), .ttl = 60);
	RULE(.host = "a.b.one.test", A("10.0.0.4"), .ttl = 60);
	check_name("a.b", "[2001:db8::4]");
	remove_hosts();
	dns_free(dns);
	nameserver_stop(&ns);
}

START_TEST(resolv_conf_its_servers_and_its_search_list)
{
	int status;
	nameserver_stop(&ns);
	fflush(NULL);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (!own_network())
			_exit(77);
		search_list();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		fprintf(stderr, "resolv.conf skipped: no network namespace to be had\n");
	else
		ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(a_truncated_answer_is_fetched_over_tcp_and_cut_to_the_limit)
{
	static char text[NS_IPS_MAX][16];
	struct ns_rule rule = {.host = "many.test", .af = AF_INET, .ttl = 60};
	for (int i = 0; i < NS_IPS_MAX; i++) {
		snprintf(text[i], sizeof text[i], "10.0.0.%d", NS_IPS_MAX - i);
		rule.ips[i] = text[i];
	}
	start();
	nameserver_set(&ns, rule);
	RULE(.host = "many.test", AAAA("2001:db8::1"), .ttl = 60);
	struct dns_name *name = dns_ref(dns, "many.test");
	size_t n;
	char got[ADDR_TEXT_MAX];
	ck_assert_int_eq(ask(name), 0);
	ck_assert_uint_ge(ns.tcp_queries, 1);
	const struct addr *a = dns_addrs(name, &n);
	ck_assert_uint_eq(n, DNS_ADDRS_MAX);
	ck_assert_str_eq(addr_format(&a[0], got), "tcp://[2001:db8::1]:0");
	ck_assert_str_eq(addr_format(&a[1], got), "tcp://10.0.0.1:0");
	ck_assert_str_eq(addr_format(&a[n - 1], got), "tcp://10.0.0.63:0");
	dns_unref(name);
}
END_TEST

/* --- bounds ---------------------------------------------------------------------------- */

START_TEST(bad_servers_are_refused)
{
	struct addr many[RESOLVER_SERVERS_MAX + 1], path;
	for (size_t i = 0; i <= RESOLVER_SERVERS_MAX; i++)
		many[i] = ns.addr;
	opt.servers = many;
	opt.n_servers = RESOLVER_SERVERS_MAX + 1;
	ck_assert_int_eq(dns_new(&dns, loop, &m.mem, &opt), ERR_INVALID);
	ck_assert_int_eq(addr_from_unix(&path, "/x", 2, false), 0);
	opt.servers = &path;
	opt.n_servers = 1;
	ck_assert_int_eq(dns_new(&dns, loop, &m.mem, &opt), ERR_INVALID);
	opt.servers = many;
	opt.n_servers = RESOLVER_SERVERS_MAX;
	start();
}
END_TEST

START_TEST(names_have_bounds)
{
	char host[DNS_HOST_MAX + 2];
	start();
	memset(host, 'a', sizeof host);
	host[DNS_HOST_MAX + 1] = '\0';
	ck_assert_ptr_null(dns_ref(dns, host));
	ck_assert_ptr_null(dns_ref(dns, ""));
	host[DNS_HOST_MAX] = '\0';
	struct dns_name *name = dns_ref(dns, host);
	ck_assert_ptr_nonnull(name);
	ck_assert_int_eq(ask(name), ERR_NOTFOUND); /* a label of 253 bytes */
	dns_unref(name);
}
END_TEST

START_TEST(many_names_at_once)
{
	enum { N = 100 };
	struct dns_name *names[N];
	struct asked a[N] = {0};
	unsigned done = 0;
	uint64_t until = clock_now() + PATIENCE;
	start();
	for (int i = 0; i < N; i++) {
		char host[32];
		snprintf(host, sizeof host, "n%d.test", i);
		names[i] = dns_ref(dns, host);
		ck_assert_ptr_nonnull(names[i]);
		a[i].query.done = on_done;
		dns_resolve(names[i], &a[i].query);
	}
	while (done < N) {
		turn(until);
		done = 0;
		for (int i = 0; i < N; i++)
			done += a[i].calls;
	}
	for (int i = 0; i < N; i++) {
		ck_assert_uint_eq(a[i].calls, 1);
		ck_assert_int_eq(a[i].err, ERR_NOTFOUND);
		dns_unref(names[i]);
	}
}
END_TEST

/* One run with a failing allocation: everything ends, nothing is lost, nothing crashes. */
static void run_short_of_memory(void)
{
	if (dns_new(&dns, loop, &m.mem, &opt) != 0) {
		ck_assert(m.failed);
		dns = NULL;
		return;
	}
	struct dns_name *name = dns_ref(dns, "a.test");
	if (name == NULL) {
		ck_assert(m.failed);
		return;
	}
	int err = ask(name);
	if (err == 0)
		ck_assert_str_eq(addrs(name), "[2001:db8::1] 10.0.0.1");
	else
		ck_assert(m.failed && (err == ERR_NOMEM || err == ERR_TIMEOUT));
	wait_to_expire(name);
	RULE(.host = "a.test", A("10.0.0.2"), .ttl = 60);
	err = ask(name);
	if (err == 0 && !m.failed)
		ck_assert_str_eq(addrs(name), "[2001:db8::1] 10.0.0.2");
	dns_unref(name);
}

START_TEST(case_39_every_allocation_fails_in_turn)
{
	opt.ttl_min = opt.ttl_max = opt.failure_ttl = 10 * CLOCK_MS;
	opt.query_timeout = 1 * CLOCK_SEC;
	for (size_t at = 1;; at++) {
		RULE(.host = "a.test", A("10.0.0.1"), .ttl = 60);
		RULE(.host = "a.test", AAAA("2001:db8::1"), .ttl = 60);
		m.failed = 0;
		m.fail_at = m.calls + at;
		run_short_of_memory();
		m.fail_at = 0;
		dns_free(dns);
		dns = NULL;
		ck_assert_int_eq(loop_turn(loop, clock_now()), 0);
		if (!m.failed)
			break;
		ck_assert_uint_lt(at, 100);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dns");
	TCase *t = tcase_create("dns");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, both_families_in_turn_and_in_a_stable_order);
	tcase_add_test(t, one_name_is_asked_once_for_all_who_ask);
	tcase_add_test(t, a_fresh_answer_comes_in_the_same_turn_but_not_inside_resolve);
	tcase_add_test(t, nxdomain_for_aaaa_beside_a_good_a);
	tcase_add_test(t, no_address_in_either_family_is_not_found);
	tcase_add_test(t, case_43_nxdomain_is_remembered_for_a_moment);
	tcase_add_test(t, case_43_servfail_has_bounded_retries);
	tcase_add_test(t, case_43_timeout_is_bounded_and_others_are_unaffected);
	tcase_add_test(t, case_43_a_server_that_is_not_there_fails_without_spinning);
	tcase_add_test(t, case_43_the_second_server_answers_for_the_first);
	tcase_add_test(t, a_family_that_hangs_does_not_hold_back_the_other);
	tcase_add_test(t, a_second_answer_in_time_is_waited_for);
	tcase_add_test(t, a_late_second_answer_is_merged);
	tcase_add_test(t, a_family_without_data_waits_for_the_other);
	tcase_add_test(t, an_answer_after_the_end_of_the_round_still_counts);
	tcase_add_test(t, a_question_under_way_is_not_asked_twice);
	tcase_add_test(t, a_failure_from_before_the_round_is_asked_again);
	tcase_add_test(t, the_least_ttl_counts_within_bounds);
	tcase_add_test(t, the_ttl_of_an_alias_counts_too);
	tcase_add_test(t, case_45_addresses_change_when_the_ttl_has_passed);
	tcase_add_test(t, old_addresses_stay_in_use_while_servers_fail);
	tcase_add_test(t, old_addresses_go_when_the_server_says_so);
	tcase_add_test(t, old_addresses_go_after_their_time);
	tcase_add_test(t, case_46_the_resolver_is_freed_during_a_query);
	tcase_add_test(t, case_46_other_servers_are_taken_during_a_query);
	tcase_add_test(t, case_46_the_resolver_is_freed_with_an_answer_not_yet_told);
	tcase_add_test(t, case_46_anything_may_happen_inside_done);
	tcase_add_test(t, case_46_a_name_is_dropped_during_its_query);
	tcase_add_test(t, a_cancelled_question_is_not_answered);
	tcase_add_test(t, the_hosts_file_answers_without_servers_of_our_own);
	tcase_add_test(t, the_hosts_file_is_not_consulted_with_servers_of_our_own);
	tcase_add_test(t, localhost_needs_nobody);
	tcase_add_test(t, a_bare_name_is_asked_as_it_stands);
	tcase_add_test(t, resolv_conf_its_servers_and_its_search_list);
	tcase_add_test(t, a_truncated_answer_is_fetched_over_tcp_and_cut_to_the_limit);
	tcase_add_test(t, bad_servers_are_refused);
	tcase_add_test(t, names_have_bounds);
	tcase_add_test(t, many_names_at_once);
	tcase_add_test(t, case_39_every_allocation_fails_in_turn);
	suite_add_tcase(s, t);
	return unit_main(s);
}
