/* The limits before authentication, under a virtual clock. */
#include "bus/doorman.h"

#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

static struct unit_mem m;
static struct doorman d;
static uint64_t now;
static enum stats_away why;
static struct doorman_source *source;

static void setup(void)
{
	unit_mem_init(&m);
	doorman_init(&d, &m.mem, 3);
	now = CLOCK_SEC;
}

static void teardown(void)
{
	doorman_fini(&d);
	ck_assert_uint_eq(m.live, 0);
}

static struct addr address(const char *text)
{
	struct addr a;
	ck_assert_int_eq(addr_from_literal(&a, text, strlen(text), 9), 0);
	return a;
}

static enum doorman_answer arrive(const char *text)
{
	struct addr a = address(text);
	why = STATS_AWAYS;
	enum doorman_answer answer = doorman_arrive(&d, &a, now, &source, &why);
	ck_assert((answer == DOORMAN_REFUSE) == (source == NULL));
	ck_assert(answer != DOORMAN_REFUSE || why < STATS_AWAYS);
	return answer;
}

static void leave(struct doorman_source *s, enum doorman_end how)
{
	if (how == DOORMAN_PROVEN)
		doorman_prove(&d, s);
	doorman_leave(&d, s, how, now);
}

/* The source sends a wrong MAC. */
static void fail_once(const char *text)
{
	ck_assert_int_eq(arrive(text), DOORMAN_ENTER);
	leave(source, DOORMAN_STRANGER);
}

/* The source takes all its places; n of them have shown their MAC. */
static struct doorman_source *fill(const char *text, int n)
{
	for (int i = 0; i < DOORMAN_PER_SOURCE; i++) {
		ck_assert_int_eq(arrive(text), DOORMAN_ENTER);
		if (i < n)
			doorman_prove(&d, source);
	}
	return source;
}

/* All of one that is full of proven ones. */
static void empty(struct doorman_source *s)
{
	for (int i = 0; i < DOORMAN_PER_SOURCE; i++)
		doorman_leave(&d, s, DOORMAN_PROVEN, now);
}

START_TEST(a_source_has_eight_at_once)
{
	struct doorman_source *s = fill("192.0.2.1", 0);
	ck_assert_int_eq(arrive("192.0.2.2"), DOORMAN_ENTER);
	leave(source, DOORMAN_UNPROVEN);
	/* One leaves for each that comes; nothing has changed while none does. */
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_REPLACE);
		ck_assert_ptr_eq(source, s);
		ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_REPLACE);
		ck_assert_uint_eq(d.inside, DOORMAN_PER_SOURCE);
		leave(s, DOORMAN_UNPROVEN);
		ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_ENTER);
		ck_assert_uint_eq(s->unproven, DOORMAN_PER_SOURCE);
	}
	/* Who has proved himself stays, and at last all have. */
	for (int i = 0; i < DOORMAN_PER_SOURCE; i++) {
		ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_REPLACE);
		doorman_prove(&d, s);
	}
	ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_REFUSE);
	doorman_leave(&d, s, DOORMAN_PROVEN, now);
	ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_ENTER);
	doorman_prove(&d, s);
	empty(s);
	/* Nothing is left of who did no harm. */
	ck_assert_uint_eq(d.sources.count, 0);
	ck_assert_uint_eq(d.inside + d.unproven, 0);
}
END_TEST

static const struct {
	const char *a, *b;
	bool same;
} pairs[] = {
	{"192.0.2.1", "192.0.2.1", true},
	{"192.0.2.1", "192.0.2.2", false},
	{"192.0.2.1", "::ffff:192.0.2.1", true},
	{"2001:db8::1", "2001:db8::ffff:1", true},
	{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
	{"192.0.2.1", "2001:db8::1", false},
};

START_TEST(a_source_is_an_address_or_a_64)
{
	struct doorman_source *s;
	ck_assert_int_eq(arrive(pairs[_i].a), DOORMAN_ENTER);
	s = source;
	ck_assert_int_eq(arrive(pairs[_i].b), DOORMAN_ENTER);
	ck_assert_int_eq(s == source, pairs[_i].same);
	leave(s, DOORMAN_UNPROVEN);
	leave(source, DOORMAN_UNPROVEN);
}
END_TEST

START_TEST(pauses_grow_and_are_forgotten)
{
	uint64_t pause = DOORMAN_PENALTY_MIN;
	for (int i = 0; i < 12; i++) {
		fail_once("192.0.2.1");
		ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_REFUSE);
		now += pause - 1;
		ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_REFUSE);
		ck_assert_int_eq(arrive("192.0.2.2"), DOORMAN_ENTER);
		leave(source, DOORMAN_UNPROVEN);
		now += 1;
		pause = pause * 2 < DOORMAN_PENALTY_MAX ? pause * 2 : DOORMAN_PENALTY_MAX;
	}
	now += DOORMAN_MEMORY;
	fail_once("192.0.2.1");
	now += DOORMAN_PENALTY_MIN;
	ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_ENTER);
	leave(source, DOORMAN_UNPROVEN);
}
END_TEST

/* What comes behind a right MAC is the key's fault, not the site's. */
START_TEST(only_a_wrong_mac_is_held_against_a_source)
{
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_ENTER);
		leave(source, i % 2 ? DOORMAN_PROVEN : DOORMAN_UNPROVEN);
	}
}
END_TEST

/* A source with an authenticated link. */
static struct doorman_source *link_up(const char *text)
{
	ck_assert_int_eq(arrive(text), DOORMAN_ENTER);
	doorman_up(&d, source);
	leave(source, DOORMAN_PROVEN);
	return source;
}

START_TEST(a_source_with_links_waits_and_is_not_refused)
{
	struct doorman_source *live = link_up("192.0.2.1");
	ck_assert_ptr_eq(fill("192.0.2.1", DOORMAN_PER_SOURCE), live);
	for (int i = 0; i < DOORMAN_QUEUE_PER_SOURCE; i++)
		ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_WAIT);
	ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_REFUSE);
	ck_assert_int_eq(doorman_call(&d, live), DOORMAN_WAIT);
	doorman_leave(&d, live, DOORMAN_PROVEN, now);
	/* Nobody overtakes, and who waited can be replaced by who waits. */
	ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_REFUSE);
	ck_assert_int_eq(doorman_call(&d, live), DOORMAN_ENTER);
	ck_assert_uint_eq(d.waiting, DOORMAN_QUEUE_PER_SOURCE - 1);
	ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_WAIT);
	ck_assert_int_eq(doorman_call(&d, live), DOORMAN_REPLACE);
	ck_assert_uint_eq(d.waiting, DOORMAN_QUEUE_PER_SOURCE);
	doorman_leave(&d, live, DOORMAN_UNPROVEN, now);
	ck_assert_int_eq(doorman_call(&d, live), DOORMAN_ENTER);
	doorman_prove(&d, live);
	ck_assert_int_eq(doorman_call(&d, live), DOORMAN_WAIT);
	for (int i = 1; i < DOORMAN_QUEUE_PER_SOURCE; i++)
		doorman_give_up(&d, live);
	ck_assert_uint_eq(d.waiting, 0);
	doorman_down(&d, live);
	empty(live);
	ck_assert_uint_eq(d.sources.count, 0);
}
END_TEST

/* Or a stranger could shut a site out that is linked, with a wrong MAC now and then. */
START_TEST(a_pause_is_not_for_a_source_with_links)
{
	struct doorman_source *live = link_up("192.0.2.1");
	for (int i = 0; i < 3; i++)
		fail_once("192.0.2.1");
	ck_assert_ptr_eq(fill("192.0.2.1", 0), live);
	ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_REPLACE);
	for (int i = 0; i < DOORMAN_PER_SOURCE; i++)
		leave(live, DOORMAN_UNPROVEN);
	ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_ENTER);
	leave(live, DOORMAN_UNPROVEN);
	doorman_down(&d, live);
	ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_REFUSE);
	now += 4 * DOORMAN_PENALTY_MIN;
	ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_ENTER);
	leave(source, DOORMAN_UNPROVEN);
}
END_TEST

START_TEST(the_queue_is_bounded_for_all_together)
{
	char text[32];
	struct doorman_source *live[16], *s[DOORMAN_QUEUE];
	int n = 0;
	for (int i = 0; i < 16; i++) {
		snprintf(text, sizeof text, "192.0.2.%d", i);
		live[i] = link_up(text);
		fill(text, DOORMAN_PER_SOURCE);
	}
	for (int i = 0; i < 16; i++) {
		snprintf(text, sizeof text, "192.0.2.%d", i);
		for (int k = 0; k < 8; k++) {
			if (arrive(text) == DOORMAN_WAIT)
				s[n++] = source;
		}
	}
	ck_assert_int_eq(n, DOORMAN_QUEUE);
	while (n > 0)
		doorman_give_up(&d, s[--n]);
	for (int i = 0; i < 16; i++) {
		empty(live[i]);
		doorman_down(&d, live[i]);
	}
}
END_TEST

START_TEST(the_crowd_of_strangers_is_bounded)
{
	char text[32];
	struct doorman_source *s[DOORMAN_MAX];
	for (int i = 0; i < DOORMAN_MAX; i++) {
		snprintf(text, sizeof text, "10.0.%d.1", i);
		ck_assert_int_eq(arrive(text), DOORMAN_ENTER);
		s[i] = source;
		ck_assert_int_eq(doorman_is_crowded(&d), i >= DOORMAN_UNPROVEN_MAX);
	}
	ck_assert_int_eq(arrive("10.1.0.1"), DOORMAN_REFUSE);
	for (int i = 0; i < DOORMAN_MAX; i++)
		leave(s[i], i % 2 ? DOORMAN_PROVEN : DOORMAN_UNPROVEN);
	ck_assert(!doorman_is_crowded(&d));
	ck_assert_uint_eq(d.unproven, 0);
}
END_TEST

START_TEST(sources_are_forgotten_the_oldest_first)
{
	char text[32];
	for (int i = 0; i < DOORMAN_SOURCES + 100; i++) {
		snprintf(text, sizeof text, "10.%d.%d.1", i / 256, i % 256);
		fail_once(text);
	}
	ck_assert_uint_eq(d.sources.count, DOORMAN_SOURCES);
	ck_assert_int_eq(arrive("10.0.99.1"), DOORMAN_ENTER);
	leave(source, DOORMAN_UNPROVEN);
	ck_assert_int_eq(arrive("10.0.101.1"), DOORMAN_REFUSE);
	ck_assert_uint_le(d.sources.count, DOORMAN_SOURCES);
}
END_TEST

START_TEST(a_key_has_pauses_of_its_own)
{
	uint8_t key[DOORMAN_KEY] = {1}, other[DOORMAN_KEY] = {2};
	ck_assert(doorman_knows_no_harm(&d, key, now));
	doorman_key_failed(&d, key, now);
	ck_assert(!doorman_knows_no_harm(&d, key, now));
	ck_assert(doorman_knows_no_harm(&d, other, now));
	now += DOORMAN_PENALTY_MIN;
	ck_assert(doorman_knows_no_harm(&d, key, now));
	doorman_key_failed(&d, key, now);
	now += DOORMAN_PENALTY_MIN;
	ck_assert(!doorman_knows_no_harm(&d, key, now));
	doorman_key_passed(&d, key);
	ck_assert(doorman_knows_no_harm(&d, key, now));
	ck_assert_uint_eq(d.n_keys, 0);
	for (int i = 0; i < DOORMAN_KEYS + 10; i++) {
		memcpy(key, &i, sizeof i);
		doorman_key_failed(&d, key, now);
	}
	ck_assert_uint_eq(d.n_keys, DOORMAN_KEYS);
	int gone = 5, kept = 10;
	memcpy(key, &gone, sizeof gone);
	ck_assert(doorman_knows_no_harm(&d, key, now));
	memcpy(key, &kept, sizeof kept);
	ck_assert(!doorman_knows_no_harm(&d, key, now));
}
END_TEST

START_TEST(case_39_without_memory_nobody_comes_in)
{
	uint8_t key[DOORMAN_KEY] = {1};
	for (size_t at = 1; at <= 2; at++) {
		m.calls = 0;
		m.fail_at = at;
		ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_REFUSE);
		ck_assert_uint_eq(d.sources.count, 0);
		m.calls = 0;
		doorman_key_failed(&d, key, now);
		ck_assert_uint_eq(d.n_keys, 0);
	}
	m.fail_at = 0;
	ck_assert_int_eq(arrive("192.0.2.1"), DOORMAN_ENTER);
	leave(source, DOORMAN_UNPROVEN);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("doorman");
	TCase *t = tcase_create("doorman");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_source_has_eight_at_once);
	tcase_add_loop_test(t, a_source_is_an_address_or_a_64, 0, sizeof pairs / sizeof *pairs);
	tcase_add_test(t, pauses_grow_and_are_forgotten);
	tcase_add_test(t, only_a_wrong_mac_is_held_against_a_source);
	tcase_add_test(t, a_source_with_links_waits_and_is_not_refused);
	tcase_add_test(t, a_pause_is_not_for_a_source_with_links);
	tcase_add_test(t, the_queue_is_bounded_for_all_together);
	tcase_add_test(t, the_crowd_of_strangers_is_bounded);
	tcase_add_test(t, sources_are_forgotten_the_oldest_first);
	tcase_add_test(t, a_key_has_pauses_of_its_own);
	tcase_add_test(t, case_39_without_memory_nobody_comes_in);
	suite_add_tcase(s, t);
	return unit_main(s);
}
