/* Who serves which names: versions, turns, limits, and every allocation failing. */
#include "base/err.h"
#include "bus/offers.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

static struct unit_mem um;
static struct offers of;
static struct offerer by[3];

static void setup(void)
{
	unit_mem_init(&um);
	offers_init(&of, &um.mem, 7);
	for (int i = 0; i < 3; i++)
		offerer_init(&by[i], &of);
}

static void teardown(void)
{
	for (int i = 0; i < 3; i++)
		offerer_clear(&by[i]);
	ck_assert_uint_eq(of.n + of.names.count + of.pairs.count, 0);
	offers_fini(&of);
	ck_assert_uint_eq(um.live, 0);
}

static struct wire_name name_of(const char *text)
{
	return (struct wire_name){.served = true, .n = (uint8_t)strlen(text), .name = text};
}

static int serve(struct offerer *o, const char *text, bool whole)
{
	struct wire_name name = name_of(text);
	return offerer_serve(o, &name, whole);
}

static size_t count(const char *text)
{
	struct offers_name *name = offers_ref(&of, text, strlen(text));
	size_t n = name->n_offers;
	offers_unref(&of, name);
	return n;
}

START_TEST(names_are_folded)
{
	ck_assert_int_eq(serve(&by[0], "Web", false), 0);
	ck_assert_int_eq(serve(&by[0], "wEB", false), 0);
	ck_assert_int_eq(serve(&by[1], "WEB", false), 0);
	ck_assert_uint_eq(count("web"), 2);
	ck_assert_uint_eq(count("we"), 0);
	ck_assert_uint_eq(of.names.count, 1);
	struct wire_name name = name_of("weB");
	offerer_withdraw(&by[2], &name);
	ck_assert_uint_eq(count("web"), 2);
	offerer_withdraw(&by[0], &name);
	ck_assert_uint_eq(count("web"), 1);
}
END_TEST

/* A name stays for who asks for it, served or not. */
START_TEST(a_name_outlives_its_offers)
{
	struct offers_name *name = offers_ref(&of, "a", 1);
	ck_assert_int_eq(serve(&by[0], "A", false), 0);
	ck_assert_uint_eq(name->n_offers, 1);
	offerer_clear(&by[0]);
	ck_assert_uint_eq(name->n_offers, 0);
	ck_assert_ptr_eq(offers_ref(&of, "A", 1), name);
	offers_unref(&of, name);
	offers_unref(&of, name);
	offers_unref(&of, NULL);
}
END_TEST

struct counter {
	struct offers_watch watch;
	int n;
};

static void on_up(struct offers_watch *w)
{
	container_of(w, struct counter, watch)->n++;
}

/* Each that comes is told of, none that was there already, and nobody after unwatching. */
START_TEST(who_watches_is_told)
{
	struct offers_name *name = offers_ref(&of, "a", 1);
	struct counter c[2] = {{.watch.up = on_up}, {.watch.up = on_up}};
	ck_assert_int_eq(serve(&by[0], "a", false), 0);
	offers_watch(name, &c[0].watch);
	offers_watch(name, &c[1].watch);
	ck_assert_int_eq(serve(&by[0], "A", true), 0);
	ck_assert_int_eq(serve(&by[0], "b", true), 0);
	ck_assert_int_eq(c[0].n, 0);
	ck_assert_int_eq(serve(&by[1], "A", true), 0);
	ck_assert_int_eq(c[0].n, 1);
	offers_unwatch(&c[0].watch);
	offerer_clear(&by[1]);
	ck_assert_int_eq(serve(&by[1], "a", false), 0);
	ck_assert_int_eq(c[0].n, 1);
	ck_assert_int_eq(c[1].n, 2);
	offers_unwatch(&c[1].watch);
	offers_unref(&of, name);
}
END_TEST

/* Its list is kept and changes, but no name leads to it. */
START_TEST(one_on_the_shelf)
{
	struct counter c = {.watch = {.up = on_up}};
	struct offers_name *name = offers_ref(&of, "a", 1);
	offers_watch(name, &c.watch);
	ck_assert_int_eq(serve(&by[0], "a", false), 0);
	ck_assert_int_eq(serve(&by[0], "b", false), 0);
	ck_assert_int_eq(serve(&by[1], "a", false), 0);
	ck_assert_int_eq(c.n, 2);
	offerer_shelve(&by[0]);
	offerer_shelve(&by[0]);
	ck_assert_uint_eq(count("a"), 1);
	ck_assert_uint_eq(count("b"), 0);
	ck_assert_uint_eq(by[0].n, 2);
	struct wire_name gone = name_of("b");
	offerer_withdraw(&by[0], &gone);
	ck_assert_int_eq(serve(&by[0], "c", false), 0);
	ck_assert_uint_eq(count("c"), 0);
	ck_assert_int_eq(c.n, 2);
	offerer_bring_back(&by[0]);
	offerer_bring_back(&by[0]);
	ck_assert_int_eq(c.n, 3);
	ck_assert_uint_eq(count("a"), 2);
	ck_assert_uint_eq(count("b"), 0);
	ck_assert_uint_eq(count("c"), 1);
	/* Cleared from there, it begins anew. */
	offerer_shelve(&by[0]);
	offerer_clear(&by[0]);
	ck_assert_int_eq(serve(&by[0], "c", false), 0);
	ck_assert_uint_eq(count("c"), 1);
	offers_unwatch(&c.watch);
	offers_unref(&of, name);
}
END_TEST

START_TEST(turns)
{
	struct offers_name *name = offers_ref(&of, "a", 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(serve(&by[i], "a", false), 0);
	for (int i = 0; i < 7; i++) {
		struct offer *o = container_of(name->list.next, struct offer, of_name);
		ck_assert_ptr_eq(o->by, &by[i % 3]);
		offers_turn(o);
	}
	offers_unref(&of, name);
}
END_TEST

/* A list in any order, beside changes: what the last version has not named goes. */
START_TEST(versions)
{
	ck_assert(offerer_begin(&by[0], 5));
	ck_assert_int_eq(serve(&by[0], "a", true), 0);
	ck_assert_int_eq(serve(&by[0], "b", true), 0);
	ck_assert(offerer_begin(&by[0], 5));
	ck_assert_int_eq(serve(&by[0], "c", true), 0);
	offerer_sweep(&by[0]);
	ck_assert_uint_eq(by[0].n, 3);
	ck_assert(!offerer_begin(&by[0], 4));
	ck_assert(offerer_begin(&by[0], 6));
	ck_assert_int_eq(serve(&by[0], "b", true), 0);
	ck_assert_int_eq(serve(&by[0], "d", false), 0);
	by[0].changed = false;
	offerer_sweep(&by[0]);
	ck_assert(by[0].changed);
	ck_assert_uint_eq(count("a") + count("c"), 0);
	ck_assert_uint_eq(count("b") + count("d"), 2);
	by[0].changed = false;
	ck_assert_int_eq(serve(&by[0], "d", true), 0);
	offerer_sweep(&by[0]);
	ck_assert(!by[0].changed);
}
END_TEST

static void fill(struct offerer *o, char kind)
{
	char text[16];
	for (int i = 0; i < WIRE_NAMES_MAX; i++) {
		(void)snprintf(text, sizeof text, "%c%d", kind, i);
		ck_assert_int_eq(serve(o, text, true), 0);
	}
}

/* Only what a whole list has not named yet makes room. */
START_TEST(limits)
{
	ck_assert(offerer_begin(&by[0], 1));
	fill(&by[0], 'a');
	ck_assert_int_eq(serve(&by[0], "more", true), ERR_LIMIT);
	ck_assert(offerer_begin(&by[0], 2));
	ck_assert_int_eq(serve(&by[0], "more", false), ERR_LIMIT);
	fill(&by[0], 'b');
	ck_assert_int_eq(serve(&by[0], "more", true), ERR_LIMIT);
	ck_assert_uint_eq(by[0].n, WIRE_NAMES_MAX);
	ck_assert_uint_eq(count("b16383"), 1);
	ck_assert_uint_eq(count("a0"), 0);
	ck_assert_int_eq(serve(&by[1], "more", false), 0);
	of.n = OFFERS_MAX;
	ck_assert_int_eq(serve(&by[1], "other", false), ERR_LIMIT);
	of.n = WIRE_NAMES_MAX + 1;
}
END_TEST

START_TEST(case_39_no_memory)
{
	int rc = ERR_NOMEM;
	for (size_t n = 1; rc != 0; n++) {
		ck_assert_uint_lt(n, 20);
		um.fail_at = um.calls + n;
		rc = serve(&by[0], "a", false);
		ck_assert(rc == 0 || (rc == ERR_NOMEM && of.names.count == 0 && by[0].n == 0));
	}
	um.fail_at = 0;
	ck_assert_uint_eq(count("a"), 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("offers");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, names_are_folded);
	tcase_add_test(t, a_name_outlives_its_offers);
	tcase_add_test(t, who_watches_is_told);
	tcase_add_test(t, one_on_the_shelf);
	tcase_add_test(t, turns);
	tcase_add_test(t, versions);
	tcase_add_test(t, limits);
	tcase_add_test(t, case_39_no_memory);
	suite_add_tcase(s, t);
	return unit_main(s);
}
