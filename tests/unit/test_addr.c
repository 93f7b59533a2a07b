#include "base/addr.h"
#include "unit/unit.h"

#include "base/err.h"

#include <string.h>

static const struct {
	const char *host;
	const char *text; /* with port 9000; NULL: no literal */
	int family;
} literals[] = {
	{"127.0.0.1", "tcp://127.0.0.1:9000", AF_INET},
	{"0.0.0.0", "tcp://0.0.0.0:9000", AF_INET},
	{"255.255.255.255", "tcp://255.255.255.255:9000", AF_INET},
	{"::", "tcp://[::]:9000", AF_INET6},
	{"::1", "tcp://[::1]:9000", AF_INET6},
	{"2001:DB8:0:0::7", "tcp://[2001:db8::7]:9000", AF_INET6},
	{"::ffff:192.0.2.1", "tcp://[::ffff:192.0.2.1]:9000", AF_INET6},
	{"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
		"tcp://[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:9000", AF_INET6},
	{"", NULL, 0},
	{"localhost", NULL, 0},
	{"127.0.0", NULL, 0},
	{"127.0.0.256", NULL, 0},
	{"127.0.0.1 ", NULL, 0},
	{"[::1]", NULL, 0},
	{"fe80::1%lo", NULL, 0},
	{"1:2:3:4:5:6:7:8:9", NULL, 0},
	{"0000000000000000000000000000000000000000000000000000000000000001", NULL, 0},
};

START_TEST(literals_go_in_and_come_out)
{
	struct addr a;
	char text[ADDR_TEXT_MAX];
	const char *host = literals[_i].host;
	int rc = addr_from_literal(&a, host, strlen(host), 9000);
	if (literals[_i].text == NULL) {
		ck_assert_int_eq(rc, ERR_INVALID);
		return;
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(addr_family(&a), literals[_i].family);
	ck_assert_uint_eq(addr_port(&a), 9000);
	ck_assert_str_eq(addr_format(&a, text), literals[_i].text);
}
END_TEST

START_TEST(a_literal_is_counted_not_terminated)
{
	struct addr a;
	char text[ADDR_TEXT_MAX];
	ck_assert_int_eq(addr_from_literal(&a, "10.0.0.12345", 9, 1), 0);
	ck_assert_str_eq(addr_format(&a, text), "tcp://10.0.0.12:1");
	ck_assert_int_eq(addr_from_literal(&a, "10.0.0.1\0x", 10, 1), ERR_INVALID);
}
END_TEST

START_TEST(bytes_and_kernel_addresses_are_equal_to_literals)
{
	struct addr a, b, c;
	unsigned char v6[16] = {[15] = 1};
	ck_assert_int_eq(addr_from_literal(&a, "::1", 3, 53), 0);
	addr_from_bytes(&b, AF_INET6, v6, 53);
	ck_assert(addr_equal(&a, &b));
	addr_from_sockaddr(&c, &a.sa, a.len);
	ck_assert(addr_equal(&a, &c));
	ck_assert_uint_eq(addr_hash(&a, 9), addr_hash(&c, 9));
	ck_assert_uint_ne(addr_hash(&a, 9), addr_hash(&a, 10));
	addr_from_bytes(&b, AF_INET6, v6, 54);
	ck_assert(!addr_equal(&a, &b));
	addr_from_bytes(&b, AF_INET, v6, 53);
	ck_assert(!addr_equal(&a, &b));
}
END_TEST

START_TEST(loopback_is_a_network_and_in_both_families)
{
	static const char *const in[] = {"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.1.2.3"};
	static const char *const out[] = {"0.0.0.0", "126.255.255.255", "128.0.0.1", "10.0.0.127",
		"::", "::2", "::ffff:10.0.0.1", "7f00::1"};
	struct addr a;
	for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
		ck_assert_int_eq(addr_from_literal(&a, in[i], strlen(in[i]), 1), 0);
		ck_assert_msg(addr_is_loopback(&a), "%s", in[i]);
	}
	for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
		ck_assert_int_eq(addr_from_literal(&a, out[i], strlen(out[i]), 1), 0);
		ck_assert_msg(!addr_is_loopback(&a), "%s", out[i]);
	}
	ck_assert_int_eq(addr_from_unix(&a, "/a", 2, false), 0);
	ck_assert(!addr_is_loopback(&a));
	ck_assert(!addr_is_loopback(&(struct addr){0}));
}
END_TEST

START_TEST(unix_addresses_have_a_path_or_an_abstract_name)
{
	struct addr path, name;
	char text[ADDR_TEXT_MAX];
	ck_assert_int_eq(addr_from_unix(&path, "/run/a b", 8, false), 0);
	ck_assert_int_eq(addr_from_unix(&name, "/run/a b", 8, true), 0);
	ck_assert_int_eq(addr_family(&path), AF_UNIX);
	ck_assert_uint_eq(addr_port(&path), 0);
	ck_assert(!addr_equal(&path, &name));
	ck_assert_str_eq(addr_format(&path, text), "unix:///run/a?b");
	ck_assert_str_eq(addr_format(&name, text), "unix://@/run/a?b");
	ck_assert_int_eq(name.un.sun_path[0], '\0');
}
END_TEST

START_TEST(unix_addresses_have_a_length)
{
	struct addr a;
	char longest[ADDR_UNIX_MAX + 1], text[ADDR_TEXT_MAX];
	memset(longest, '/', sizeof longest);
	for (int abstract = 0; abstract < 2; abstract++) {
		ck_assert_int_eq(addr_from_unix(&a, longest, 0, abstract), ERR_LIMIT);
		ck_assert_int_eq(addr_from_unix(&a, longest, ADDR_UNIX_MAX, abstract), 0);
		ck_assert_uint_le(a.len, sizeof(struct sockaddr_un));
		ck_assert_uint_eq(
			strlen(addr_format(&a, text)), 7 + (size_t)abstract + ADDR_UNIX_MAX);
		ck_assert_int_eq(
			addr_from_unix(&a, longest, ADDR_UNIX_MAX + 1, abstract), ERR_LIMIT);
	}
}
END_TEST

START_TEST(no_address_has_words_too)
{
	struct addr a = {.len = 0};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char text[ADDR_TEXT_MAX];
	ck_assert_int_eq(addr_family(&a), AF_UNSPEC);
	ck_assert_uint_eq(addr_port(&a), 0);
	ck_assert_str_eq(addr_format(&a, text), "(no address)");
	addr_from_sockaddr(&a, (struct sockaddr *)&un, sizeof un.sun_family);
	ck_assert_str_eq(addr_format(&a, text), "unix://");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("addr");
	TCase *t = tcase_create("addr");
	tcase_add_loop_test(
		t, literals_go_in_and_come_out, 0, (int)(sizeof literals / sizeof literals[0]));
	tcase_add_test(t, a_literal_is_counted_not_terminated);
	tcase_add_test(t, bytes_and_kernel_addresses_are_equal_to_literals);
	tcase_add_test(t, loopback_is_a_network_and_in_both_families);
	tcase_add_test(t, unix_addresses_have_a_path_or_an_abstract_name);
	tcase_add_test(t, unix_addresses_have_a_length);
	tcase_add_test(t, no_address_has_words_too);
	suite_add_tcase(s, t);
	return unit_main(s);
}
