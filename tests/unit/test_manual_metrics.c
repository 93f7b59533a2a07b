/* cloudbus-metrics(7) against the code: every metric, with its type, and every reason. */
#include "unit/manual.h"

#include "bus/stats.h"
#include "daemon/metrics.h"
#include "daemon/metrics_table.h"
#include "net/dns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void setup(void)
{
	manual_text = manual_load("man/cloudbus-metrics.7");
}

static void teardown(void)
{
	manual_close();
}

START_TEST(metrics_are_those_of_the_code)
{
	const struct metrics_row *rows = metrics_table();
	struct manual_part part = manual_part("Sh", "METRICS");
	const char *at = part.at;
	for (size_t i = 0; i < METRICS_IDS; i++) {
		char item[256];
		(void)snprintf(item, sizeof item, "\n.It Cm %s Pq %s", rows[i].name, rows[i].type);
		/* In the same order, so that nobody is missed and no other comes between. */
		at = strstr(at, "\n.It Cm ");
		ck_assert_msg(at != NULL && at < part.end, "%s is not in the manual", rows[i].name);
		ck_assert_msg(strncmp(at, item, strlen(item)) == 0, "expected %s: %.60s", item + 1,
			at + 1);
		at += strlen(item);
		ck_assert(*at == '\n' || strncmp(at, "; Ar ", 5) == 0);
		ck_assert_int_ne(rows[i].help[0], '\0');
		ck_assert_ptr_null(strpbrk(rows[i].help, "\\\n"));
	}
	at = strstr(at, "\n.It Cm ");
	ck_assert_msg(at == NULL || at >= part.end, "not in the code: %.60s", at + 1);
}
END_TEST

/* The words of a table, in the order of its enum. */
#define CHECK_REASONS(section, label_of, end)                                                      \
	do {                                                                                       \
		struct manual_part part = manual_part("Ss", section);                              \
		struct manual_row row;                                                             \
		for (unsigned i = 0; i < (end); i++) {                                             \
			ck_assert_msg(manual_row(&part, &row), "%s: no %s", section, label_of(i)); \
			ck_assert_str_eq(row.cell[0], label_of(i));                                \
		}                                                                                  \
		ck_assert_msg(!manual_row(&part, &row), "%s: %s?", section, row.cell[0]);          \
	} while (0)

START_TEST(reasons_are_those_of_the_code)
{
	CHECK_REASONS("Result of a reload", stats_result_label, STATS_RESULTS);
	CHECK_REASONS("Reason of a failure to accept", stats_accept_label, STATS_ACCEPTS);
	CHECK_REASONS("Reason of a refused session", stats_refusal_label, STATS_REFUSALS);
	CHECK_REASONS("Reason of an end", stats_end_label, STATS_ENDS);
	CHECK_REASONS("Reason of a transport's end", stats_closed_label, STATS_CLOSED);
	CHECK_REASONS("Reason of a failure to dial", stats_dial_label, STATS_DIALS);
	CHECK_REASONS("Reason of a connection turned away", stats_away_label, STATS_AWAYS);
	CHECK_REASONS("Result of a handshake", stats_handshake_label, STATS_SHAKES);
	CHECK_REASONS("Result of a question", dns_outcome_label, DNS_OUTCOMES);
}
END_TEST

/* Every metric of an example is one. */
START_TEST(examples_name_metrics)
{
	const struct metrics_row *rows = metrics_table();
	struct manual_part part = manual_part("Sh", "EXAMPLES");
	size_t n = 0;
	for (const char *p = part.at; (p = strstr(p, "cloudbus_")) != NULL && p < part.end; n++) {
		size_t length = strspn(p, "abcdefghijklmnopqrstuvwxyz_"), i = 0;
		while (i < METRICS_IDS &&
			(strlen(rows[i].name) != length || strncmp(rows[i].name, p, length) != 0))
			i++;
		ck_assert_msg(i < METRICS_IDS, "no such metric: %.50s", p);
		p += length;
	}
	ck_assert_uint_gt(n, 4);
}
END_TEST

START_TEST(limits_are_those_of_the_code)
{
	char text[64];
	(void)snprintf(text, sizeof text, "%d services", METRICS_FULL);
	ck_assert_ptr_nonnull(strstr(manual_text, text));
	(void)snprintf(text, sizeof text, "%d nodes", METRICS_NODES_MAX);
	ck_assert_ptr_nonnull(strstr(manual_text, text));
	(void)snprintf(text, sizeof text, "%d MiB", METRICS_MAX >> 20);
	ck_assert_ptr_nonnull(strstr(manual_text, text));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("manual_metrics");
	TCase *t = tcase_create("page");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, metrics_are_those_of_the_code);
	tcase_add_test(t, reasons_are_those_of_the_code);
	tcase_add_test(t, examples_name_metrics);
	tcase_add_test(t, limits_are_those_of_the_code);
	suite_add_tcase(s, t);
	return unit_main(s);
}
