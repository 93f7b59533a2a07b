/* Lines of the log, so many a second. */
#include "bus/chatter.h"

#include "base/clock.h"
#include "unit/unit.h"

#include <string.h>

static struct chatter c;
static char more[CHATTER_ROOM];

START_TEST(so_many_a_second)
{
	uint64_t now = 5 * CLOCK_SEC;
	c = (struct chatter){.lines = 0};
	for (int second = 0; second < 3; second++, now += CLOCK_SEC) {
		for (int i = 0; i < CHATTER_LINES + 7; i++) {
			bool may = chatter_may(&c, CHATTER_LINES, now + (uint64_t)i, more);
			ck_assert_int_eq(may, i < CHATTER_LINES);
			bool says = strcmp(more, " (and 7 more that were not logged)") == 0;
			ck_assert_int_eq(says, may && i == 0 && second > 0);
			ck_assert(says || more[0] == '\0');
		}
	}
}
END_TEST

START_TEST(any_number_has_room)
{
	c = (struct chatter){.left_out = UINT32_MAX};
	ck_assert(chatter_may(&c, 1, CLOCK_SEC, more));
	ck_assert_str_eq(more, " (and 4294967295 more that were not logged)");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("chatter");
	TCase *t = tcase_create("all");
	tcase_add_test(t, so_many_a_second);
	tcase_add_test(t, any_number_has_room);
	suite_add_tcase(s, t);
	return unit_main(s);
}
