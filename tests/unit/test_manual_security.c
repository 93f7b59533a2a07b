/* cloudbus-security(7) against the code: every limit of keys and tokens, in the page's table. */
#include "unit/manual.h"

#include "crypto/revoked.h"
#include "crypto/token.h"
#include "tool/issue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *what;
	long limit;
	const char *unit;
} limits[] = {
	{"token", TOKEN_TEXT_MAX, " bytes"},
	{"patterns in serve, and in open", TOKEN_PATTERNS_MAX, ""},
	{"pattern", PATTERN_MAX, " bytes"},
	{"name of bus, node, customer", NAME_MAX_BYTES, " bytes"},
	{"id of a token", TOKEN_ID_MAX, " bytes"},
	{"time of a token, made by cloudbus(1)", ISSUE_TTL_MAX, " days"},
	{"difference of clocks", TOKEN_SKEW, " seconds"},
	{"key file, trust file, token file", KEYFILE_MAX, " bytes"},
	{"cluster keys in a trust file", KEYFILE_TRUST_KEYS, ""},
	{"network secrets in a trust file", KEYFILE_TRUST_KEYS, ""},
	{"revocation list", REVOKED_MAX, " entries, 8388608 bytes"},
};

START_TEST(limits_are_those_of_the_code)
{
	char row[256], *page = manual_load("man/cloudbus-security.7");
	ck_assert_int_eq(REVOKED_FILE_MAX, 8388608);
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		snprintf(row, sizeof row, "\n.It %s Ta %ld%s\n", limits[i].what, limits[i].limit,
			limits[i].unit);
		ck_assert_msg(strstr(page, row) != NULL, "not in LIMITS: %s", row + 1);
	}
	free(page);
}
END_TEST

START_TEST(the_page_of_the_program_has_its_limits)
{
	char text[64], *page = manual_load("man/cloudbus.1");
	snprintf(text, sizeof text, "from 1m to %dd.", ISSUE_TTL_MAX);
	ck_assert_ptr_nonnull(strstr(page, text));
	snprintf(text, sizeof text, "By default %dd.", ISSUE_TTL_DEFAULT);
	ck_assert_ptr_nonnull(strstr(page, text));
	snprintf(text, sizeof text, "up to %d times.", TOKEN_PATTERNS_MAX);
	ck_assert_ptr_nonnull(strstr(page, text));
	free(page);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("manual_security");
	TCase *tc = tcase_create("page");
	tcase_add_test(tc, limits_are_those_of_the_code);
	tcase_add_test(tc, the_page_of_the_program_has_its_limits);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
