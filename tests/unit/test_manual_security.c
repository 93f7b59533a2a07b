/* cloudbus-security(7) against the code: every limit of keys and tokens, in the page's table. */
#include "unit/manual.h"

#include "base/mem.h"
#include "bus/expiry.h"
#include "bus/guard.h"
#include "crypto/revoked.h"
#include "crypto/suite.h"
#include "crypto/token.h"
#include "daemon/exporter.h"
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
	{"revocation list", REVOKED_MAX, " entries"},
	{"file of a revocation list", REVOKED_FILE_MAX, " bytes"},
	{"first message", SUITE_MESSAGE_1, " bytes"},
	{"later message of a handshake", SUITE_MESSAGE_2_MAX, " bytes"},
	{"time for a handshake, waiting included", (long)(DOORMAN_HANDSHAKE / CLOCK_SEC),
		" seconds"},
	{"handshakes at once, of a source", DOORMAN_PER_SOURCE, ""},
	{"handshakes at once, in all", DOORMAN_MAX, ""},
	{"handshakes without a right first message", DOORMAN_UNPROVEN_MAX, ""},
	{"pause of a source after a wrong first message", (long)(DOORMAN_PENALTY_MIN / CLOCK_SEC),
		" to 60 seconds"},
	{"pause of a key after a refused token", (long)(DOORMAN_PENALTY_MIN / CLOCK_SEC),
		" to 60 seconds"},
	{"failures are forgotten after", (long)(DOORMAN_MEMORY / CLOCK_SEC), " seconds"},
	{"sources remembered for their failures", DOORMAN_SOURCES, ""},
	{"keys remembered for theirs", DOORMAN_KEYS, ""},
	{"connections that wait, of a source with links", DOORMAN_QUEUE_PER_SOURCE, ""},
	{"connections that wait, in all", DOORMAN_QUEUE, ""},
	{"first messages remembered against replays", GATE_SEEN_MAX, ""},
	{"log lines about refused connections", CHATTER_LINES, " a second"},
	{"log lines at once, of a peer, link or service", SAY_BURST, ""},
	{"log lines behind those", CHATTER_LINES, " a second"},
	{"connections to metrics at once", EXPORTER_CONNECTIONS, ""},
	{"request for metrics; the head of an answer", EXPORTER_MEMORY, " bytes"},
	{"bytes of an answer with metrics in the kernel", EXPORTER_SEND, ", or twice that"},
	{"silence of a connection to metrics", EXPORTER_TIMEOUT, " seconds"},
	{"texts of metrics made, at most", EXPORTER_RENDERS, " a second"},
	{"transports of a node to one address", CENSUS_OF_PEER, ""},
	{"transports accepted, of all nodes", BUS_TRANSPORTS_MAX, ""},
	{"bytes of frames in one record", RECORD_PLAIN_MAX, ""},
	{"records under one key", RECORD_REKEY, ""},
	{"tokens are looked at, at least every", (long)(GUARD_INTERVAL / CLOCK_SEC), " seconds"},
	{"the end of a token is warned of before it", (long)(EXPIRY_WARN_BEFORE / 86400), " days"},
	{"fresh token is looked for, from half life on", GUARD_LOOK_MAX, " seconds"},
};

START_TEST(limits_are_those_of_the_code)
{
	char row[256], *page = manual_load("man/cloudbus-security.7");
	ck_assert_uint_eq(DOORMAN_PENALTY_MAX, 60 * CLOCK_SEC);
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

/* An example is taken by the program as it is printed: every line of it. */
START_TEST(the_list_of_the_page_is_one)
{
	static const char begin[] = "\n.Bd -literal -offset indent\n";
	char why[WHY_MAX], *page = manual_load("man/cloudbus-security.7");
	const char *at = strstr(page, "\n.Sh REVOKING\n");
	ck_assert_ptr_nonnull(at);
	at = strstr(at, begin);
	ck_assert_ptr_nonnull(at);
	at += strlen(begin);
	const char *end = strstr(at, "\n.Ed\n");
	ck_assert_ptr_nonnull(end);
	struct revoked *list;
	const struct keyfile_text in = {"page", at, (size_t)(end - at)};
	ck_assert_msg(revoked_parse(&list, &in, 1, mem_system(), why) == 0, "%s", why);
	/* a node, and a token */
	ck_assert_uint_eq(revoked_count(list), 2);
	revoked_free(list);
	free(page);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("manual_security");
	TCase *tc = tcase_create("page");
	tcase_add_test(tc, limits_are_those_of_the_code);
	tcase_add_test(tc, the_page_of_the_program_has_its_limits);
	tcase_add_test(tc, the_list_of_the_page_is_one);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
