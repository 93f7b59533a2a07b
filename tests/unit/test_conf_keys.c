/* The key table by itself, and against cloudbus.ini(5). */
#include "conf/conf_keys.h"
#include "unit/unit.h"

#include "conf/conf_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(no_name_stands_twice)
{
	size_t n;
	const struct conf_key *keys = conf_keys(&n);
	for (size_t i = 0; i < n; i++) {
		ck_assert_ptr_eq(conf_keys_find(keys[i].name), &keys[i]);
		if (keys[i].alias != NULL)
			ck_assert_ptr_eq(conf_keys_find(keys[i].alias), &keys[i]);
		ck_assert_uint_eq(conf_keys_index(&keys[i]), i);
	}
}
END_TEST

START_TEST(every_row_is_complete)
{
	size_t n;
	const struct conf_key *keys = conf_keys(&n);
	for (size_t i = 0; i < n; i++) {
		const struct conf_key *k = &keys[i];
		bool in_global = k->where & CONF_IN_GLOBAL, in_service = k->where & CONF_IN_SERVICE;
		ck_assert(in_global != in_service);
		ck_assert((k->where & (CONF_FOR_CONTROLLER | CONF_FOR_SEGMENT)) != 0);
		ck_assert(k->expected != NULL && *k->expected != '\0');
		ck_assert(k->help != NULL && *k->help != '\0');
		ck_assert(!k->required || k->fallback == NULL);
		ck_assert(
			k->field < (in_global ? sizeof(struct conf) : sizeof(struct conf_service)));
		ck_assert_uint_le(k->min, k->max);
		ck_assert_uint_eq(strspn(k->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(k->name));
	}
}
END_TEST

/* The bounds in a key's words are its bounds: each can be given, and nothing beyond. */
START_TEST(bounds_are_as_their_words_say)
{
	size_t n;
	const struct conf_key *keys = conf_keys(&n);
	int checked = 0;
	for (size_t i = 0; i < n; i++) {
		const struct conf_key *k = &keys[i];
		char lo[32], hi[32], from[64];
		const char *words = strstr(k->expected, "from ");
		const char *why = NULL;
		uint64_t v;
		if (k->type < CONF_DURATION)
			continue;
		ck_assert_ptr_nonnull(words);
		snprintf(from, sizeof from, "%s", words);
		ck_assert_int_eq(sscanf(from, "from %31s to %31s", lo, hi), 2);
		ck_assert_int_eq(conf_value_number(&v, k, lo, &why), 0);
		ck_assert_uint_eq(v, k->min);
		ck_assert_int_eq(conf_value_number(&v, k, hi, &why), 0);
		ck_assert_uint_eq(v, k->max);
		checked++;
	}
	ck_assert_int_ge(checked, 6);
}
END_TEST

static const struct {
	const char *typed;
	enum conf_where where;
	enum conf_role role;
	const char *meant;
} typos[] = {
	{"bnid", CONF_IN_SERVICE, CONF_CONTROLLER, "bind"},
	{"BINDS", CONF_IN_SERVICE, CONF_SEGMENT, "bind"},
	{"sever", CONF_IN_SERVICE, CONF_CONTROLLER, "server"},
	{"servers", CONF_IN_SERVICE, CONF_CONTROLLER, "server"},
	{"bakend", CONF_IN_SERVICE, CONF_CONTROLLER, "backend"},
	{"connect-timeout", CONF_IN_SERVICE, CONF_SEGMENT, "connect_timeout"},
	{"max_session", CONF_IN_SERVICE, CONF_SEGMENT, "max_sessions"},
	{"lag", CONF_IN_GLOBAL, CONF_SEGMENT, "log"},
	{"dn", CONF_IN_GLOBAL, CONF_SEGMENT, "dns"},
	{"servise", CONF_IN_SERVICE, CONF_CONTROLLER, "service"},
	/* not what may not stand there */
	{"servise", CONF_IN_SERVICE, CONF_SEGMENT, NULL},
	{"bnid", CONF_IN_GLOBAL, CONF_CONTROLLER, NULL},
	{"xyz", CONF_IN_GLOBAL, CONF_CONTROLLER, NULL},
	{"do", CONF_IN_GLOBAL, CONF_CONTROLLER, NULL},
	{"timeout", CONF_IN_SERVICE, CONF_CONTROLLER, NULL},
	{"", CONF_IN_SERVICE, CONF_CONTROLLER, NULL},
	{"an_endless_name_that_is_near_to_nothing", CONF_IN_SERVICE, CONF_CONTROLLER, NULL},
};

START_TEST(a_typing_error_finds_its_key)
{
	const char *word = NULL;
	const struct conf_key *key =
		conf_keys_nearest(typos[_i].typed, typos[_i].where, typos[_i].role, &word);
	ck_assert_pstr_eq(word, typos[_i].meant);
	ck_assert_ptr_eq(key, word != NULL ? conf_keys_find(word) : NULL);
}
END_TEST

/* --- the manual ----------------------------------------------------------------- */

static char *page;

static void load_page(void)
{
	FILE *f = fopen(UNIT_SRCDIR "/man/cloudbus.ini.5", "r");
	enum { ROOM = 1 << 17 };
	ck_assert_ptr_nonnull(f);
	page = malloc(ROOM);
	ck_assert_ptr_nonnull(page);
	size_t n = fread(page, 1, ROOM - 1, f);
	ck_assert_uint_lt(n, ROOM - 1);
	page[n] = '\0';
	fclose(f);
}

static void drop_page(void)
{
	free(page);
}

#define ITEM "\n.It Cm "

/* A key's item, up to the next item or the end of the list; to be freed. */
static char *item_of(const char *name)
{
	char head[64];
	snprintf(head, sizeof head, ITEM "%s ", name);
	const char *start = strstr(page, head);
	ck_assert_msg(start != NULL, "cloudbus.ini(5) does not document %s", name);
	ck_assert_msg(strstr(start + 1, head) == NULL, "cloudbus.ini(5) has %s twice", name);
	const char *next = strstr(start + 1, ITEM), *end = strstr(start, "\n.El");
	ck_assert_ptr_nonnull(end);
	if (next != NULL && next < end)
		end = next;
	char *item = malloc((size_t)(end - start) + 2);
	ck_assert_ptr_nonnull(item);
	memcpy(item, start, (size_t)(end - start) + 1);
	item[end - start + 1] = '\0';
	return item;
}

/* The item has, or has not, a line; it may end with a further sentence's newline only. */
static void check_line(const char *name, const char *item, bool wanted, const char *line)
{
	char whole[512];
	int n = snprintf(whole, sizeof whole, "\n%s\n", line);
	ck_assert_int_lt(n, (int)sizeof whole);
	ck_assert_msg((strstr(item, whole) != NULL) == wanted,
		"cloudbus.ini(5), %s: the line \"%s\" %s", name, line,
		wanted ? "is missing" : "should not be there");
}

START_TEST(the_manual_has_every_key_as_the_table_has_it)
{
	size_t n;
	const struct conf_key *keys = conf_keys(&n);
	const char *global = strstr(page, "\n.Ss The section [Cloudbus]");
	const char *services = strstr(page, "\n.Ss Sections of services");
	ck_assert(services != NULL && global != NULL && services < global);
	for (size_t i = 0; i < n; i++) {
		const struct conf_key *k = &keys[i];
		char line[512], head[64];
		char *item = item_of(k->name);
		snprintf(head, sizeof head, ITEM "%s ", k->name);
		const char *at = strstr(page, head);
		ck_assert_msg(at > ((k->where & CONF_IN_GLOBAL) ? global : services) &&
				      (at > global) == ((k->where & CONF_IN_GLOBAL) != 0),
			"%s is in the wrong part of cloudbus.ini(5)", k->name);
		snprintf(line, sizeof line, "Value: %s.", k->expected);
		check_line(k->name, item, true, line);
		check_line(k->name, item, k->required, "Required.");
		check_line(k->name, item, k->repeatable, "May be given more than once.");
		check_line(k->name, item, (k->where & CONF_FOR_SEGMENT) == 0,
			"In the file of a controller only.");
		if (k->fallback != NULL) {
			snprintf(line, sizeof line, "Default: %s.", k->fallback);
			check_line(k->name, item, true, line);
		} else {
			ck_assert_msg((strstr(item, "\nDefault: ") != NULL) == !k->required,
				"cloudbus.ini(5), %s: has its default to be told?", k->name);
		}
		if (k->alias != NULL) {
			snprintf(line, sizeof line, ".Cm %s", k->alias);
			ck_assert_msg(strstr(item, line) != NULL, "%s is not told", k->alias);
		}
		free(item);
	}
}
END_TEST

START_TEST(the_manual_has_no_key_that_there_is_not)
{
	int items = 0;
	size_t n;
	conf_keys(&n);
	for (const char *at = page; (at = strstr(at, ITEM)) != NULL; items++) {
		char name[64];
		at += strlen(ITEM);
		size_t len = strcspn(at, " \n");
		ck_assert_uint_lt(len, sizeof name);
		memcpy(name, at, len);
		name[len] = '\0';
		const struct conf_key *k = conf_keys_find(name);
		ck_assert_msg(k != NULL && strcmp(k->name, name) == 0,
			"cloudbus.ini(5) documents %s, which is no key", name);
	}
	ck_assert_int_eq(items, (int)n);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("conf_keys");
	TCase *t = tcase_create("table");
	tcase_add_test(t, no_name_stands_twice);
	tcase_add_test(t, every_row_is_complete);
	tcase_add_test(t, bounds_are_as_their_words_say);
	tcase_add_loop_test(
		t, a_typing_error_finds_its_key, 0, (int)(sizeof typos / sizeof typos[0]));
	suite_add_tcase(s, t);
	t = tcase_create("manual");
	tcase_add_checked_fixture(t, load_page, drop_page);
	tcase_add_test(t, the_manual_has_every_key_as_the_table_has_it);
	tcase_add_test(t, the_manual_has_no_key_that_there_is_not);
	suite_add_tcase(s, t);
	return unit_main(s);
}
