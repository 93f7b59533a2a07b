#include "base/log.h"
#include "base/utf8.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int ends[2]; /* a pipe: the log writes to [1] */

static void close_pipe(void)
{
	log_set_fd(STDERR_FILENO);
	close(ends[0]);
	close(ends[1]);
}

/* What is in the pipe, as a string. */
static const char *drain(void)
{
	static char text[1 << 17];
	size_t n = 0;
	ssize_t r;
	while ((r = read(ends[0], text + n, sizeof text - 1 - n)) > 0)
		n += (size_t)r;
	text[n] = '\0';
	return text;
}

static void open_pipe(void)
{
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_ge(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	log_set_fd(ends[1]);
	log_set_level(LOG_INFO);
	/* What an earlier test lost is told here, and not in a test's own lines. */
	log_info("start");
	drain();
}

static size_t count_lines(const char *text)
{
	size_t n = 0;
	while ((text = strchr(text, '\n')) != NULL)
		text++, n++;
	return n;
}

START_TEST(a_line_has_time_level_and_text)
{
	log_warning("session %d: %s", 7, "gone");
	const char *line = drain();
	int year, month, day, hour, minute, second, ms, at = 0;
	ck_assert_int_eq(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &year, &month, &day, &hour,
				 &minute, &second, &ms, &at),
		7);
	ck_assert_str_eq(line + at, "warning: session 7: gone\n");
}
END_TEST

START_TEST(levels_are_a_threshold)
{
	for (unsigned level = LOG_ERROR; level <= LOG_DEBUG; level++) {
		log_set_level((enum log_level)level);
		for (unsigned k = LOG_ERROR; k <= LOG_DEBUG; k++) {
			ck_assert_int_eq(log_enabled((enum log_level)k), k <= level);
			log_write((enum log_level)k, "x");
		}
		ck_assert_uint_eq(count_lines(drain()), level + 1);
	}
	log_set_level(LOG_INFO);
	log_debug("%d", 1);
	ck_assert_str_eq(drain(), "");
}
END_TEST

START_TEST(control_characters_do_not_get_through)
{
	log_info("a%sb", "\n2000-01-01 error: forged\x1b[2J\x7f\t");
	const char *line = drain();
	ck_assert_ptr_nonnull(strstr(line, "info: a?2000-01-01 error: forged?[2J??b\n"));
	ck_assert_uint_eq(count_lines(line), 1);
}
END_TEST

/* Otherwise grep takes the log for a binary file, and a terminal for one of its commands. */
START_TEST(what_is_not_utf8_does_not_get_through)
{
	static const struct {
		const char *in, *out;
	} texts[] = {
		{"Z\xc3\xbcrich \xe2\x82\xac", "Z\xc3\xbcrich \xe2\x82\xac"},
		{"\xff", "?"},
		{"a\x80\x9b"
		 "b",
			"a??b"},
		{"\xc2\x9b"
		 "2J",
			"??2J"}, /* CSI */
		{"\xc0\xaf", "??"},
		{"\xe2\x82", "??"},
		{"\xed\xa0\x80", "???"},
	};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		char want[64];
		(void)snprintf(want, sizeof want, "info: [%s]\n", texts[i].out);
		log_info("[%s]", texts[i].in);
		ck_assert_ptr_nonnull(strstr(drain(), want));
	}
}
END_TEST

/* Where that is in the middle of a character, none of it is left. */
START_TEST(a_long_line_is_cut_between_characters)
{
	char text[3 * LOG_LINE_MAX] = "";
	for (size_t shift = 0; shift < 3; shift++) {
		memset(text, 'x', shift);
		for (size_t i = shift; i + 3 < sizeof text; i += 3)
			memcpy(text + i, "\xe2\x82\xac", 4);
		log_info("%s", text);
		const char *line = drain();
		size_t n = strlen(line);
		ck_assert_uint_eq(n, LOG_LINE_MAX);
		ck_assert(utf8_printable(line, n - 1));
	}
}
END_TEST

START_TEST(a_long_line_is_cut)
{
	char text[3 * LOG_LINE_MAX];
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	log_info("%s", text);
	const char *line = drain();
	ck_assert_uint_eq(strlen(line), LOG_LINE_MAX);
	ck_assert_uint_eq(count_lines(line), 1);
}
END_TEST

START_TEST(errno_is_kept)
{
	errno = ENOTTY;
	log_info("x");
	ck_assert_int_eq(errno, ENOTTY);
	close(ends[0]);
	log_set_fd(ends[0]);
	log_info("to a descriptor that is closed");
	ck_assert_int_eq(errno, ENOTTY);
	ends[0] = -1;
}
END_TEST

START_TEST(case_40_a_full_disk_drops_and_counts)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(full, 0);
	uint64_t before = log_dropped();
	log_set_fd(full);
	for (int i = 0; i < 3; i++)
		log_info("lost");
	ck_assert_uint_eq(log_dropped() - before, 3);
	log_set_fd(ends[1]);
	log_info("there is room again");
	const char *text = drain();
	const char *lost = strstr(text, "warning: 3 log lines were lost\n");
	ck_assert_ptr_nonnull(lost);
	ck_assert_ptr_nonnull(strstr(lost, "info: there is room again\n"));
	ck_assert_uint_eq(count_lines(text), 2);
	log_info("said once");
	ck_assert_uint_eq(count_lines(drain()), 1);
	ck_assert_uint_eq(log_dropped() - before, 3);
	close(full);
}
END_TEST

/* The descriptor blocks, so that a log that waits for room would hang here. */
START_TEST(case_40_a_full_pipe_does_not_block)
{
	uint64_t before = log_dropped();
	size_t written = 0;
	alarm(30);
	for (; log_dropped() == before; written++)
		log_info("line %zu", written);
	for (int i = 0; i < 9; i++)
		log_info("lost");
	ck_assert_uint_eq(log_dropped() - before, 10);
	const char *text = drain();
	ck_assert_uint_eq(count_lines(text), written - 1);
	ck_assert_int_eq(text[strlen(text) - 1], '\n');
	log_info("after");
	ck_assert_ptr_nonnull(strstr(drain(), "warning: 10 log lines were lost\n"));
	alarm(0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");
	tcase_add_checked_fixture(t, open_pipe, close_pipe);
	tcase_add_test(t, a_line_has_time_level_and_text);
	tcase_add_test(t, levels_are_a_threshold);
	tcase_add_test(t, control_characters_do_not_get_through);
	tcase_add_test(t, what_is_not_utf8_does_not_get_through);
	tcase_add_test(t, a_long_line_is_cut_between_characters);
	tcase_add_test(t, a_long_line_is_cut);
	tcase_add_test(t, errno_is_kept);
	tcase_add_test(t, case_40_a_full_disk_drops_and_counts);
	tcase_add_test(t, case_40_a_full_pipe_does_not_block);
	suite_add_tcase(s, t);
	return unit_main(s);
}
