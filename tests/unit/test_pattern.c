#include "crypto/name.h"
#include "crypto/pattern.h"
#include "unit/unit.h"

#include <string.h>

#define COUNT(a) (int)(sizeof(a) / sizeof(a)[0])
#define N16 "0123456789abcdef"
#define N64 N16 N16 N16 N16
#define N255 N64 N64 N64 N16 N16 N16 "0123456789abcde"

static const struct {
	const char *pattern, *name;
	bool want;
} matches[] = {
	{"web", "web", true},
	{"web", "WEB", true},
	{"WeB", "wEb", true},
	{"web", "we", false},
	{"web", "webs", false},
	{"web", "", false},
	{"web", "wex", false},
	{"*", "web", true},
	{"*", "", true},
	{"*", "*", true},
	{"web*", "web", true},
	{"web*", "web-1", true},
	{"web*", "WEB-1", true},
	{"WEB*", "web*", true},
	{"web*", "we", false},
	{"web*", "xweb", false},
	{"web.", "webx", false},
	{"w?b", "web", false},
	/* only letters of ASCII have two cases, and '[' is not '{' */
	{"b\xc3\xbc", "B\xc3\xbc", true},
	{"b\xc3\xbc", "b\xc3\x9c", false},
	{"[a", "{a", false},
	{"@", "`", false},
	{N255, N255, true},
	{N255, N255 "x", false},
};

START_TEST(a_pattern_is_a_name_or_a_beginning)
{
	const char *pattern = matches[_i].pattern, *name = matches[_i].name;
	ck_assert_msg(pattern_match(pattern, name, strlen(name)) == matches[_i].want, "%s %s",
		pattern, name);
}
END_TEST

START_TEST(a_name_is_not_read_past_its_end)
{
	ck_assert(pattern_match("web", "webcam", 3));
	ck_assert(!pattern_match("webc", "webcam", 3));
	ck_assert(!pattern_match("a", "a\0b", 3));
}
END_TEST

static const struct {
	const char *text;
	size_t n;
	bool want;
} valid[] = {
	{"", 0, false},
	{"a", 1, true},
	{"*", 1, true},
	{"a*", 2, true},
	{"**", 2, false},
	{"*a", 2, false},
	{"a*b", 3, false},
	{"a b", 3, true},
	{"a\tb", 3, false},
	{"a\0b", 3, false},
	{"\xc3\xbc*", 3, true},
	{"\xc3*", 2, false},
	{N255, 255, true},
	{N255 "x", 256, false},
};

START_TEST(a_star_stands_at_the_end)
{
	ck_assert_msg(
		pattern_valid(valid[_i].text, valid[_i].n) == valid[_i].want, "%s", valid[_i].text);
}
END_TEST

START_TEST(any_of_several)
{
	static const char *const patterns[] = {"a", "b*"};
	ck_assert(pattern_match_any(patterns, 2, "a", 1));
	ck_assert(pattern_match_any(patterns, 2, "bcd", 3));
	ck_assert(!pattern_match_any(patterns, 1, "bcd", 3));
	ck_assert(!pattern_match_any(patterns, 2, "c", 1));
	ck_assert(!pattern_match_any(patterns, 0, "a", 1));
	ck_assert(!pattern_match_any(NULL, 0, "a", 1));
}
END_TEST

START_TEST(names_are_plain)
{
	static const char *const good[] = {"a", "A", "0", "node-1", "a.b_c-D", "a-", "a..", N64};
	static const char *const bad[] = {
		"", ".", ".a", "-a", "_a", "a b", "a/b", "a\n", "a*", "\xc3\xbc", "a:b", N64 "x"};
	for (int i = 0; i < COUNT(good); i++)
		ck_assert_msg(name_valid(good[i], strlen(good[i])), "%s", good[i]);
	for (int i = 0; i < COUNT(bad); i++)
		ck_assert_msg(!name_valid(bad[i], strlen(bad[i])), "%s", bad[i]);
	ck_assert(!name_valid("a\0b", 3));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pattern");
	TCase *tc = tcase_create("pattern");
	tcase_add_loop_test(tc, a_pattern_is_a_name_or_a_beginning, 0, COUNT(matches));
	tcase_add_test(tc, a_name_is_not_read_past_its_end);
	tcase_add_loop_test(tc, a_star_stands_at_the_end, 0, COUNT(valid));
	tcase_add_test(tc, any_of_several);
	tcase_add_test(tc, names_are_plain);
	suite_add_tcase(suite, tc);
	return unit_main(suite);
}
