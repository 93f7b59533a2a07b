#include "base/utf8.h"
#include "unit/unit.h"

#include <stdint.h>
#include <string.h>

/* Every code point goes in as a correct encoder writes it; every other form is refused. */
static size_t encode(uint32_t c, size_t len, char *s)
{
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	if (len == 1) {
		s[0] = (char)c;
		return 1;
	}
	for (size_t i = len - 1; i > 0; i--, c >>= 6)
		s[i] = (char)(0x80 | (c & 0x3f));
	s[0] = (char)(lead[len] | c);
	return len;
}

START_TEST(runes_are_utf_8_that_prints)
{
	char s[8];
	for (uint32_t c = 0; c < 0x200000; c++) {
		size_t least = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		bool prints = c >= 0x20 && !(c >= 0x7f && c < 0xa0) &&
			      !(c >= 0xd800 && c < 0xe000) && c <= 0x10ffff;
		for (size_t len = least; len <= 4; len++) {
			size_t n = encode(c, len, s);
			ck_assert_msg(utf8_rune(s, n) == (prints && len == least ? n : 0),
				"U+%04X in %zu bytes", c, len);
			if (c % 97 == 0) {
				ck_assert_uint_eq(utf8_rune(s, n - 1), 0);
				s[n - 1] = 'x';
				ck_assert(len == 1 || utf8_rune(s, n) == 0);
			}
		}
	}
}
END_TEST

START_TEST(text_is_printable_or_not)
{
	ck_assert(utf8_printable("", 0));
	ck_assert(utf8_printable("gr\xc3\xbc\xc3\x9f", 6));
	ck_assert(!utf8_printable("gr\xc3\xbc\xc3\x9f", 5));
	ck_assert(!utf8_printable("a\nb", 3));
	ck_assert(!utf8_printable("a\0b", 3));
}
END_TEST

static const struct {
	const char *text;
	size_t n, room, show;
	const char *want;
} escapes[] = {
	{"", 0, 8, 8, ""}, {"abc", 3, 4, 8, "abc"}, {"abc", 3, 3, 8, "ab"}, {"abc", 3, 1, 8, ""},
	{"abc", 3, 8, 3, "abc"}, {"abcd", 4, 8, 3, "abc..."}, {"a\"\\", 3, 16, 8, "a\\\"\\\\"},
	{"\n\x1b\x7f", 3, 16, 8, "\\x0a\\x1b\\x7f"}, {"a\0b", 3, 16, 8, "a\\x00b"},
	{"\xc3\xbc", 2, 16, 8, "\xc3\xbc"}, {"\xc3\xbc", 2, 2, 8, ""}, /* never half a character */
	{"a\xc3\xbc", 3, 16, 2, "a..."},                               /* nor here */
	{"\xc3", 1, 16, 8, "\\xc3"},
	{"\xc2\x9b", 2, 16, 8, "\\xc2\\x9b"}, /* a control character in two bytes */
};

START_TEST(what_does_not_print_is_escaped)
{
	char to[16];
	for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++) {
		memset(to, '#', sizeof to);
		ck_assert_str_eq(utf8_escape(to, escapes[i].room, escapes[i].text, escapes[i].n,
					 escapes[i].show),
			escapes[i].want);
		for (size_t k = escapes[i].room; k < sizeof to; k++)
			ck_assert(to[k] == '#');
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("utf8");
	TCase *tc = tcase_create("utf8");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, runes_are_utf_8_that_prints);
	tcase_add_test(tc, text_is_printable_or_not);
	tcase_add_test(tc, what_does_not_print_is_escaped);
	suite_add_tcase(suite, tc);
	return unit_main(suite);
}
