/*
 * The reader around inih.  Each trap of inih 55 has a test: with its settings as
 * Debian ships them the text would be read as something else, or not at all.
 */
#include "conf/conf_ini.h"
#include "unit/unit.h"

#include "base/err.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was read, a line each: "1 [name]", "2 key=value", "3 !text: problem". */
static char seen[1 << 16];
static size_t n_seen;

__attribute__((format(printf, 1, 2))) static void see(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(seen + n_seen, sizeof seen - n_seen, fmt, ap);
	va_end(ap);
	n_seen += (size_t)n;
	ck_assert_uint_lt(n_seen, sizeof seen);
}

static int see_section(void *ctx, unsigned line, const char *name, size_t n, const char *problem)
{
	(void)ctx;
	see("%u [%.*s]%s%s\n", line, (int)n, name, problem != NULL ? " !" : "",
		problem != NULL ? problem : "");
	return 0;
}

static int see_key(void *ctx, unsigned line, const char *key, const char *value)
{
	(void)ctx;
	see("%u %s=%s\n", line, key, value);
	return 0;
}

static int see_bad(void *ctx, unsigned line, const char *text, const char *problem)
{
	(void)ctx;
	see("%u !%s: %s\n", line, text != NULL ? text : "", problem);
	return 0;
}

static const struct conf_ini_handler seer = {
	.section = see_section, .key = see_key, .bad = see_bad};

static int read_bytes(const char *text, size_t n)
{
	struct conf_source src = {.file = "x", .text = text, .n = n};
	n_seen = 0;
	seen[0] = '\0';
	return conf_ini_read(&src, &seer);
}

#define UNCLOSED "expected a \"]\" after the section's name"
#define TRAILING "expected nothing but a comment after the \"]\""
#define GARBAGE "expected \"[section]\" or \"key=value\""

static const struct {
	const char *text, *want;
} texts[] = {
	{"", ""},
	{"\n\n", ""},
	{"[a]\nk=v\n", "1 [a]\n2 k=v\n"},
	/* case 66: the last line counts without a newline */
	{"[a]\nk=v", "1 [a]\n2 k=v\n"},
	{"k=v\n[a]", "1 k=v\n2 [a]\n"},
	{"[a]\r\nk=v\r\n\r\n", "1 [a]\n2 k=v\n"},
	{"\xef\xbb\xbf[a]\nk=v\n", "1 [a]\n2 k=v\n"},
	{"\xef\xbb\xbfk=v\n", "1 k=v\n"},
	{"\xff\xfe[\0a\0]\0", "1 !: the file is UTF-16; expected UTF-8\n"},
	/* sections without a key are seen */
	{"[a]\n[b]\n\n[c]\n", "1 [a]\n2 [b]\n4 [c]\n"},
	{"[]\n[ ]\n[ a b ]\n", "1 []\n2 []\n3 [a b]\n"},
	/* the form of Python's configparser */
	{"k: v\nbind:tcp://[::1]:1\n", "1 k=v\n2 bind=tcp://[::1]:1\n"},
	{" k  =  v \n", "1 k=v\n"},
	{"k=a=b:c\n", "1 k=a=b:c\n"},
	{"k=\nk=   \n", "1 k=\n2 k=\n"},
	/* comments: a line's, and behind a blank */
	{"; x\n# y\n  ; z=1\n\t# [a]\n", ""},
	{"k=v ; c\nk=v\t;c\nk=v;w\nk=v # w\n", "1 k=v\n2 k=v\n3 k=v;w\n4 k=v # w\n"},
	{"k= ; c\n", "1 k=\n"},
	{"[a] ; c\n[b];c\n[c;d]\n", "1 [a]\n2 [b]\n3 [c;d]\n"},
	{"[a ;b]\n", "1 [a] !" UNCLOSED "\n"},
	{"k ; = v\n", "1 !k: " GARBAGE "\n"},
	/* an indented line is no continuation of the one above */
	{"[a]\nk=v\n  l=w\n\tm=x\n", "1 [a]\n2 k=v\n3 l=w\n4 m=x\n"},
	{"[a]\nk=v\n  more\n", "1 [a]\n2 k=v\n3 !more: " GARBAGE "\n"},
	{"k=v\n  [b]\n", "1 k=v\n2 [b]\n"},
	/* every bad line is told, with its number, not only the first */
	{"x\n[a\n[b] k=v\n=v\ny\n", "1 !x: " GARBAGE "\n"
				    "2 [a] !" UNCLOSED "\n"
				    "3 [b] !" TRAILING "\n"
				    "4 !v: expected a key before the \"=\"\n"
				    "5 !y: " GARBAGE "\n"},
	{"[a] # c\n", "1 [a] !" TRAILING "\n"},
};

START_TEST(reads_what_is_meant)
{
	size_t n = strlen(texts[_i].text);
	if (n == 3 && texts[_i].text[0] == '\xff') /* the one with NUL bytes */
		n = 8;
	ck_assert_int_eq(read_bytes(texts[_i].text, n), 0);
	ck_assert_str_eq(seen, texts[_i].want);
}
END_TEST

START_TEST(case_48_a_nul_byte_has_a_line_number)
{
	static const char text[] = "[a]\nk=v\0w\n[b\0]\nl=w\n\0";
	ck_assert_int_eq(read_bytes(text, sizeof text - 1), 0);
	ck_assert_str_eq(seen, "1 [a]\n"
			       "2 !: the line has a NUL byte; expected UTF-8 text\n"
			       "3 !: the line has a NUL byte; expected UTF-8 text\n"
			       "4 l=w\n"
			       "5 !: the line has a NUL byte; expected UTF-8 text\n");
}
END_TEST

START_TEST(lines_over_199_bytes_are_one_line)
{
	char text[1024], want[1024];
	for (int n = 180; n < 420; n++) {
		int len = snprintf(text, sizeof text, "k=%0*d\nl=w\n", n, 7);
		snprintf(want, sizeof want, "1 k=%0*d\n2 l=w\n", n, 7);
		ck_assert_int_eq(read_bytes(text, (size_t)len), 0);
		ck_assert_str_eq(seen, want);
	}
}
END_TEST

START_TEST(sections_over_49_bytes_are_not_cut)
{
	char text[1024], want[1024];
	for (int n = 1; n < 400; n++) {
		int len = snprintf(text, sizeof text, "[%0*d]\nk=v\n", n, 7);
		snprintf(want, sizeof want, "1 [%0*d]\n2 k=v\n", n, 7);
		ck_assert_int_eq(read_bytes(text, (size_t)len), 0);
		ck_assert_str_eq(seen, want);
	}
}
END_TEST

START_TEST(keys_over_49_bytes_are_not_cut)
{
	char text[256], want[256];
	int len = snprintf(text, sizeof text, "%0*d=v", 120, 7);
	snprintf(want, sizeof want, "1 %0*d=v\n", 120, 7);
	ck_assert_int_eq(read_bytes(text, (size_t)len), 0);
	ck_assert_str_eq(seen, want);
}
END_TEST

/* Puts a line of n bytes between two others and returns the text's length. */
static size_t around(char *text, size_t n, const char *start)
{
	size_t head = strlen(start);
	memcpy(text, "[a]\n", 4);
	memset(text + 4, 'x', n);
	memcpy(text + 4, start, head);
	memcpy(text + 4 + n, "\nl=w\n", 5);
	return n + 9;
}

static unsigned last_line;
static size_t value_length;

static int measure_key(void *ctx, unsigned line, const char *key, const char *value)
{
	(void)ctx;
	if (*key == 'k')
		value_length = strlen(value);
	last_line = line;
	return 0;
}

START_TEST(case_48_a_line_of_a_mebibyte_is_one_line)
{
	const struct conf_ini_handler to = {
		.section = see_section, .key = measure_key, .bad = see_bad};
	static const size_t sizes[] = {1 << 20, CONF_LINE_MAX - 1, CONF_LINE_MAX};
	char *text = malloc(CONF_LINE_MAX + 16);
	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct conf_source src = {.text = text, .n = around(text, sizes[i], "k=")};
		n_seen = 0;
		last_line = 0;
		ck_assert_int_eq(conf_ini_read(&src, &to), 0);
		ck_assert_str_eq(seen, "1 [a]\n");
		ck_assert_uint_eq(value_length, sizes[i] - 2);
		ck_assert_uint_eq(last_line, 3);
	}
	free(text);
}
END_TEST

START_TEST(a_line_over_the_limit_is_an_error_whatever_it_holds)
{
	static const char *const starts[] = {"k=", "[b", "; ", ""};
	char *text = malloc(CONF_LINE_MAX + 16);
	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
		size_t n = around(text, CONF_LINE_MAX + 1, starts[i]);
		ck_assert_int_eq(read_bytes(text, n), 0);
		ck_assert_str_eq(seen, "1 [a]\n2 !: the line is too long; expected at most 2097152 "
				       "bytes\n3 l=w\n");
	}
	free(text);
}
END_TEST

static int stop_at_two(void *ctx, unsigned line, const char *key, const char *value)
{
	(void)key;
	(void)value;
	++*(int *)ctx;
	return line == 2 ? ERR_NOMEM : 0;
}

START_TEST(the_handler_can_end_the_reading)
{
	int calls = 0;
	const struct conf_ini_handler to = {
		.section = see_section, .key = stop_at_two, .bad = see_bad, .ctx = &calls};
	struct conf_source src = {.text = "k=1\nk=2\nk=3\n[a]\n", .n = 16};
	n_seen = 0;
	seen[0] = '\0';
	ck_assert_int_eq(conf_ini_read(&src, &to), ERR_NOMEM);
	ck_assert_int_eq(calls, 2);
	ck_assert_str_eq(seen, "");
}
END_TEST

/* Every length of every prefix of every text: no crash, no line number past the end. */
START_TEST(any_prefix_can_be_read)
{
	for (size_t n = strlen(texts[_i].text);; n--) {
		/* The exact size, so that a sanitizer sees one byte too many. */
		char *copy = malloc(n > 0 ? n : 1);
		ck_assert_ptr_nonnull(copy);
		memcpy(copy, texts[_i].text, n);
		ck_assert_int_eq(read_bytes(copy, n), 0);
		free(copy);
		if (n == 0)
			break;
	}
}
END_TEST

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_OWN_MALLOC
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAS_OWN_MALLOC
#endif

#if !defined(HAS_OWN_MALLOC) && defined(__GLIBC__)
/* inih has its line buffer from malloc(): here, one that refuses a large block. */
static size_t refused = SIZE_MAX;
static int called; /* not under valgrind, which has one of its own */

void *malloc(size_t n)
{
	static void *(*next)(size_t);
	if (next == NULL)
		next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	called = 1;
	return n >= refused ? NULL : next(n);
}

START_TEST(without_a_line_buffer_it_is_out_of_memory)
{
	char *text = malloc(CONF_LINE_MAX + 16);
	ck_assert_ptr_nonnull(text);
	size_t n = around(text, 1 << 20, "k=");
	if (!called) {
		free(text);
		return;
	}
	refused = 1 << 20;
	int rc = read_bytes(text, n);
	refused = SIZE_MAX;
	ck_assert_int_eq(rc, ERR_NOMEM);
	free(text);
}
END_TEST
#endif

int main(void)
{
	int n = (int)(sizeof texts / sizeof texts[0]);
	Suite *s = suite_create("conf_ini");
	TCase *t = tcase_create("conf_ini");
	tcase_add_loop_test(t, reads_what_is_meant, 0, n);
	tcase_add_loop_test(t, any_prefix_can_be_read, 0, n);
	tcase_add_test(t, case_48_a_nul_byte_has_a_line_number);
	tcase_add_test(t, case_48_a_line_of_a_mebibyte_is_one_line);
	tcase_add_test(t, lines_over_199_bytes_are_one_line);
	tcase_add_test(t, sections_over_49_bytes_are_not_cut);
	tcase_add_test(t, keys_over_49_bytes_are_not_cut);
	tcase_add_test(t, a_line_over_the_limit_is_an_error_whatever_it_holds);
	tcase_add_test(t, the_handler_can_end_the_reading);
#if !defined(HAS_OWN_MALLOC) && defined(__GLIBC__)
	tcase_add_test(t, without_a_line_buffer_it_is_out_of_memory);
#endif
	suite_add_tcase(s, t);
	return unit_main(s);
}
