#include "conf/conf_value.h"
#include "unit/unit.h"

#include "base/err.h"
#include "conf/conf_keys.h"

#include <stdio.h>
#include <string.h>

#define US UINT64_C(1)
#define SEC (1000000 * US)
#define BAD UINT64_MAX
#define UNIT "a unit after the number: ms, s, m, h or d"

static const struct {
	const char *key, *text;
	uint64_t want;
	const char *expected; /* what replaces the key's own words; NULL: nothing */
} numbers[] = {
	{"connect_timeout", "500ms", 500000, NULL},
	{"connect_timeout", "5s", 5 * SEC, NULL},
	{"connect_timeout", "2m", 120 * SEC, NULL},
	{"connect_timeout", "1h", 3600 * SEC, NULL},
	{"connect_timeout", "0000000000000000000000005s", 5 * SEC, NULL},
	{"connect_timeout", "10ms", 10000, NULL},
	{"connect_timeout", "9ms", BAD, NULL},
	{"connect_timeout", "0", BAD, UNIT},
	{"connect_timeout", "0s", BAD, NULL},
	{"connect_timeout", "61m", BAD, NULL},
	{"connect_timeout", "5", BAD, UNIT},
	{"connect_timeout", "", BAD, NULL},
	{"connect_timeout", "s", BAD, NULL},
	{"connect_timeout", "off", BAD, NULL},
	{"connect_timeout", "-5s", BAD, NULL},
	{"connect_timeout", "+5s", BAD, NULL},
	{"connect_timeout", "5 s", BAD, NULL},
	{"connect_timeout", "5S", BAD, NULL},
	{"connect_timeout", "5sec", BAD, NULL},
	{"connect_timeout", "1.5s", BAD, NULL},
	{"connect_timeout", "0x5s", BAD, NULL},
	{"connect_timeout", "5us", BAD, NULL},
	/* 2^64 and what wraps into the bounds when multiplied */
	{"connect_timeout", "18446744073709551616ms", BAD, NULL},
	{"connect_timeout", "18446744073709551617s", BAD, NULL},
	{"connect_timeout", "18446744073709551615d", BAD, NULL},
	{"connect_timeout", "18446744073709552s", BAD, NULL},
	{"connect_timeout", "99999999999999999999999999999999s", BAD, NULL},
	{"idle_timeout", "off", 0, NULL},
	{"idle_timeout", "OFF", 0, NULL},
	{"idle_timeout", "0", 0, NULL},
	{"idle_timeout", "0s", 0, NULL},
	{"idle_timeout", "99ms", BAD, NULL},
	{"idle_timeout", "7", BAD, UNIT},
	{"idle_timeout", "365d", 365 * 86400 * SEC, NULL},
	{"idle_timeout", "366d", BAD, NULL},
	{"drain_timeout", "0", 0, NULL},
	{"drain_timeout", "0ms", 0, NULL},
	{"drain_timeout", "off", BAD, NULL},
	{"drain_timeout", "7d", 7 * 86400 * SEC, NULL},
	{"memory", "1048576", 1 << 20, NULL},
	{"memory", "1M", 1 << 20, NULL},
	{"memory", "2m", 2 << 20, NULL},
	{"memory", "1024k", 1 << 20, NULL},
	{"memory", "1024G", UINT64_C(1) << 40, NULL},
	{"memory", "1025G", BAD, NULL},
	{"memory", "1T", BAD, NULL},
	{"memory", "1MB", BAD, NULL},
	{"memory", "1048575", BAD, NULL},
	{"memory", "17179869185G", BAD, NULL},
	{"memory", "5s", BAD, NULL},
	{"memory", "0", BAD, NULL},
	{"max_sessions", "0", 0, NULL},
	{"max_sessions", "1000000", 1000000, NULL},
	{"max_sessions", "1000001", BAD, NULL},
	{"max_sessions", "4294967297", BAD, NULL},
	{"max_sessions", "1K", BAD, NULL},
	{"max_sessions", "-1", BAD, NULL},
};

START_TEST(numbers_have_units_and_bounds)
{
	const struct conf_key *key = conf_keys_find(numbers[_i].key);
	const char *expected = NULL;
	uint64_t got = 12345;
	ck_assert_ptr_nonnull(key);
	int rc = conf_value_number(&got, key, numbers[_i].text, &expected);
	ck_assert_msg(
		rc == (numbers[_i].want == BAD ? ERR_INVALID : 0), "\"%s\"", numbers[_i].text);
	ck_assert_uint_eq(got, rc == 0 ? numbers[_i].want : 12345);
	ck_assert_pstr_eq(expected, numbers[_i].expected);
}
END_TEST

START_TEST(modes_levels_and_switches_are_words_in_any_case)
{
	static const char *const half[] = {
		"half duplex", "half_duplex", "Half Duplex", "HALF_DUPLEX"};
	static const char *const full[] = {
		"full duplex", "full_duplex", "fUll dUplex", "Full_Duplex"};
	static const char *const none[] = {
		"", "half", "duplex", "halfduplex", "full  duplex", "full-duplex"};
	enum conf_mode mode;
	enum log_level level;
	bool on;
	for (int i = 0; i < 4; i++) {
		mode = CONF_FULL_DUPLEX;
		ck_assert_int_eq(conf_value_mode(&mode, half[i]), 0);
		ck_assert_int_eq(mode, CONF_HALF_DUPLEX);
		ck_assert_int_eq(conf_value_mode(&mode, full[i]), 0);
		ck_assert_int_eq(mode, CONF_FULL_DUPLEX);
	}
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(conf_value_mode(&mode, none[i]), ERR_INVALID);
	ck_assert_int_eq(conf_value_level(&level, "error"), 0);
	ck_assert_int_eq(level, LOG_ERROR);
	ck_assert_int_eq(conf_value_level(&level, "Debug"), 0);
	ck_assert_int_eq(level, LOG_DEBUG);
	ck_assert_int_eq(conf_value_level(&level, "warn"), ERR_INVALID);
	ck_assert_int_eq(conf_value_level(&level, ""), ERR_INVALID);
	ck_assert_int_eq(conf_value_switch(&on, "On"), 0);
	ck_assert(on);
	ck_assert_int_eq(conf_value_switch(&on, "OFF"), 0);
	ck_assert(!on);
	ck_assert_int_eq(conf_value_switch(&on, "yes"), ERR_INVALID);
	ck_assert_int_eq(conf_value_switch(&on, ""), ERR_INVALID);
}
END_TEST

#define P107                                                                                       \
	"/234567890123456789012345678901234567890123456789012345678901234567890123456789012345678" \
	"9012345678901234567"
#define PORT "a port from 1 to 65535"
#define BRACKETS "an IPv6 address in brackets, as in tcp://[::1]:9000"
#define INSIDE "an IPv6 address between the brackets"
#define LABELS                                                                                     \
	"an address or a host name: labels of 1 to 63 letters, digits, '-' or '_', with dots "     \
	"between"
#define DOTTED "an IPv4 address of four numbers from 0 to 255"
#define NONAME "an IPv4 or [IPv6] address here, not a host name"
#define UNIXFORM "an absolute path, unix:///path, or an abstract name, unix://@name"

static const struct {
	const char *text;
	const char *want; /* of a server: the address or "host port"; NULL: an error */
	const char *why;  /* the words for the error, or for the one in a bind= */
} addresses[] = {
	{"tcp://127.0.0.1:9000", "tcp://127.0.0.1:9000", NULL},
	{"TCP://0.0.0.0:1", "tcp://0.0.0.0:1", NULL},
	{"tcp://[::]:65535", "tcp://[::]:65535", NULL},
	{"tcp://[2001:DB8::7]:9001", "tcp://[2001:db8::7]:9001", NULL},
	{"tcp://localhost:80", "localhost 80", NONAME},
	{"tcp://Segment.Example:9001", "Segment.Example 9001", NONAME},
	{"tcp://segment.example.:9001", "segment.example. 9001", NONAME},
	{"tcp://_srv.a-b.x2:1", "_srv.a-b.x2 1", NONAME},
	{"tcp://3com.example:1", "3com.example 1", NONAME},
	{"tcp://1.2.3.4x:1", "1.2.3.4x 1", NONAME},
	{"bus://127.0.0.1:9000", "tcp://127.0.0.1:9000", NULL},
	{"Bus://[::1]:9000", "tcp://[::1]:9000", NULL},
	{"bus://h:9000", "h 9000", NONAME},
	{"bus+unix:///s", "unix:///s", NULL},
	{"BUS+UNIX://@s", "unix://@s", NULL},
	{"bus+unix://s", NULL, UNIXFORM},
	{"bus://h", NULL, PORT},
	{"bus+tcp://h:1", NULL, NULL},
	{"tcp://127.0.0.1", NULL, PORT},
	{"tcp://127.0.0.1:", NULL, PORT},
	{"tcp://127.0.0.1:0", NULL, PORT},
	{"tcp://127.0.0.1:65536", NULL, PORT},
	{"tcp://127.0.0.1:655360", NULL, PORT},
	{"tcp://127.0.0.1:18446744073709551617", NULL, PORT},
	{"tcp://127.0.0.1:http", NULL, PORT},
	{"tcp://127.0.0.1:80/", NULL, PORT},
	{"tcp://127.0.0.1:+80", NULL, PORT},
	{"tcp://127.0.0.1: 80", NULL, PORT},
	{"tcp://host", NULL, PORT},
	{"tcp://", NULL, PORT},
	{"tcp://[::1]", NULL, PORT},
	{"tcp://[::1]80", NULL, PORT},
	{"tcp://:80", NULL, LABELS},
	{"tcp://.:80", NULL, LABELS},
	{"tcp://a..b:80", NULL, LABELS},
	{"tcp://.a:80", NULL, LABELS},
	{"tcp://a..:80", NULL, LABELS},
	{"tcp://-a:80", NULL, LABELS},
	{"tcp://a-.b:80", NULL, LABELS},
	{"tcp://a b:80", NULL, LABELS},
	{"tcp://a*:80", NULL, LABELS},
	{"tcp://user@host:80", NULL, LABELS},
	{"tcp://b\xc3\xbc"
	 "cher.example:80",
		NULL, LABELS},
	{"tcp://256.1.1.1:80", NULL, DOTTED},
	{"tcp://10.1:80", NULL, DOTTED},
	{"tcp://8080:80", NULL, DOTTED},
	{"tcp://10.0.0.1.:80", NULL, DOTTED},
	{"tcp://::1:80", NULL, BRACKETS},
	{"tcp://2001:db8::7", NULL, BRACKETS},
	{"tcp://[::1:80", NULL, "a closing ']' after the IPv6 address"},
	{"tcp://[]:80", NULL, INSIDE},
	{"tcp://[127.0.0.1]:80", NULL, INSIDE},
	{"tcp://[host]:80", NULL, INSIDE},
	{"tcp://[fe80::1%lo]:80", NULL, INSIDE},
	{"unix:///run/x.sock", "unix:///run/x.sock", NULL},
	{"UNIX:///run/x.sock", "unix:///run/x.sock", NULL},
	{"unix:///run/a b", "unix:///run/a?b", NULL},
	{"unix://@bus", "unix://@bus", NULL},
	{"unix://" P107, "unix://" P107, NULL},
	{"unix://@" P107, "unix://@" P107, NULL},
	{"unix://" P107 "8", NULL, "a path of at most 107 bytes"},
	{"unix://@" P107 "8", NULL, "an abstract name of 1 to 107 bytes"},
	{"unix://@", NULL, "an abstract name of 1 to 107 bytes"},
	{"unix://", NULL, UNIXFORM},
	{"unix://run/x.sock", NULL, UNIXFORM},
	{"unix:///a\tb", NULL, "a path or name without control characters"},
	{"unix://@a\x7f", NULL, "a path or name without control characters"},
	{"", NULL, NULL},
	{"127.0.0.1:9000", NULL, NULL},
	{"http://host:80", NULL, NULL},
	{"tcp:/127.0.0.1:9", NULL, NULL},
	{"unix:/run/x", NULL, NULL},
	{" tcp://127.0.0.1:9", NULL, NULL},
};

static const char *words(const struct conf_value_address *a, char text[static 512])
{
	char addr[ADDR_TEXT_MAX];
	if (a->host == NULL)
		snprintf(text, 512, "%s", addr_format(&a->addr, addr));
	else
		snprintf(text, 512, "%.*s %u", (int)a->host_n, a->host, a->port);
	return text;
}

START_TEST(addresses_are_literals_names_paths_and_abstract_names)
{
	struct conf_value_address a;
	char text[512];
	const char *expected = NULL;
	int rc = conf_value_address(&a, CONF_SERVER, addresses[_i].text, &expected);
	if (addresses[_i].want == NULL) {
		ck_assert_msg(rc == ERR_INVALID, "\"%s\"", addresses[_i].text);
		ck_assert_pstr_eq(expected, addresses[_i].why);
	} else {
		ck_assert_msg(rc == 0, "\"%s\"", addresses[_i].text);
		ck_assert_str_eq(words(&a, text), addresses[_i].want);
		ck_assert_ptr_null(expected);
	}
	expected = NULL;
	rc = conf_value_address(&a, CONF_BIND, addresses[_i].text, &expected);
	ck_assert_int_eq(
		rc, addresses[_i].why != NULL || addresses[_i].want == NULL ? ERR_INVALID : 0);
	ck_assert_pstr_eq(expected, addresses[_i].why);
}
END_TEST

static int server(const char *host)
{
	char text[1024];
	struct conf_value_address a;
	const char *expected = NULL;
	snprintf(text, sizeof text, "tcp://%s:1", host);
	return conf_value_address(&a, CONF_SERVER, text, &expected);
}

START_TEST(host_names_have_the_lengths_of_dns)
{
	char host[400], label[65];
	memset(label, 'a', sizeof label);
	for (int n = 1; n <= 64; n++) {
		snprintf(host, sizeof host, "x.%.*s", n, label);
		ck_assert_int_eq(server(host), n <= 63 ? 0 : ERR_INVALID);
	}
	for (int n = 1; n <= 63; n++) {
		snprintf(
			host, sizeof host, "%.63s.%.63s.%.63s.%.*s", label, label, label, n, label);
		ck_assert_int_eq(server(host), strlen(host) <= CONF_HOST_MAX ? 0 : ERR_INVALID);
	}
}
END_TEST

static const struct {
	const char *text, *want, *why;
} resolvers[] = {
	{"192.0.2.1", "tcp://192.0.2.1:53", NULL},
	{"192.0.2.1:5353", "tcp://192.0.2.1:5353", NULL},
	{"2001:db8::1", "tcp://[2001:db8::1]:53", NULL},
	{"[2001:db8::1]", "tcp://[2001:db8::1]:53", NULL},
	{"[2001:db8::1]:5353", "tcp://[2001:db8::1]:5353", NULL},
	/* without brackets it is all address */
	{"2001:db8::1:53", "tcp://[2001:db8::1:53]:53", NULL},
	{"", NULL, NULL},
	{"dns.example", NULL, NULL},
	{"dns.example:53", NULL, NULL},
	{"192.0.2.1:", NULL, PORT},
	{"192.0.2.1:0", NULL, PORT},
	{"192.0.2.1:65536", NULL, PORT},
	{"[192.0.2.1]", NULL, NULL},
	{"[192.0.2.1]:53", NULL, NULL},
	{"[::1", NULL, NULL},
	{"[]", NULL, NULL},
	{"[", NULL, NULL},
	{"tcp://192.0.2.1:53", NULL, NULL},
	{"192.0.2", NULL, NULL},
};

START_TEST(resolvers_have_port_53_unless_told)
{
	struct addr a;
	char text[ADDR_TEXT_MAX];
	const char *expected = NULL;
	int rc = conf_value_resolver(&a, resolvers[_i].text, &expected);
	ck_assert_msg(
		rc == (resolvers[_i].want != NULL ? 0 : ERR_INVALID), "\"%s\"", resolvers[_i].text);
	if (rc == 0)
		ck_assert_str_eq(addr_format(&a, text), resolvers[_i].want);
	ck_assert_pstr_eq(expected, resolvers[_i].why);
}
END_TEST

START_TEST(names_are_1_to_255_bytes)
{
	char name[300];
	memset(name, 'n', sizeof name);
	ck_assert(!conf_value_is_name(name, 0));
	ck_assert(conf_value_is_name(name, 1));
	ck_assert(conf_value_is_name(name, CONF_NAME_MAX));
	ck_assert(!conf_value_is_name(name, CONF_NAME_MAX + 1));
	ck_assert(conf_value_is_name("B\xc3\xbc"
				     "cher \xe6\x9c\xac",
		11));
	ck_assert(!conf_value_is_name("B\xc3\xbc"
				      "cher \xe6\x9c\xac",
		10));
	ck_assert(!conf_value_is_name("a\tb", 3));
	ck_assert(!conf_value_is_name("a\xff", 2));
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof(a)[0])

int main(void)
{
	Suite *s = suite_create("conf_value");
	TCase *t = tcase_create("conf_value");
	tcase_add_loop_test(t, numbers_have_units_and_bounds, 0, COUNT(numbers));
	tcase_add_test(t, modes_levels_and_switches_are_words_in_any_case);
	tcase_add_loop_test(
		t, addresses_are_literals_names_paths_and_abstract_names, 0, COUNT(addresses));
	tcase_add_test(t, host_names_have_the_lengths_of_dns);
	tcase_add_loop_test(t, resolvers_have_port_53_unless_told, 0, COUNT(resolvers));
	tcase_add_test(t, names_are_1_to_255_bytes);
	suite_add_tcase(s, t);
	return unit_main(s);
}
