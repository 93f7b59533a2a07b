/* Message 1 at the gate: strangers, stale ones, replays, and a cache that is full. */
#include "base/err.h"
#include "crypto/aead.h"
#include "crypto/gate.h"
#include "unit/unit.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NOW UINT64_C(1790000000000000)
#define SKEW ((uint64_t)GATE_SKEW)

struct message {
	uint8_t p[GATE_MESSAGE];
};

static uint8_t mac_key[GATE_KEY];
static uint64_t seed = 11;

static struct gate *gate_of(struct mem *mem, size_t seen_max)
{
	struct gate_setup setup = {.mem = mem, .seed = unit_random(&seed), .seen_max = seen_max};
	return gate_new(&setup);
}

/* A message of an ephemeral key of its own. */
static struct message stamped(uint64_t at)
{
	struct message m;
	for (int i = 0; i < GATE_NOISE; i++)
		m.p[i] = (uint8_t)unit_random(&seed);
	gate_stamp(m.p, mac_key, at);
	return m;
}

static int check(struct gate *g, const struct message *m, uint64_t now)
{
	/* Of its own size, so that a sanitizer sees a byte too far. */
	struct message *copy = malloc(sizeof *copy);
	ck_assert_ptr_nonnull(copy);
	*copy = *m;
	size_t before = gate_seen(g);
	int rc = gate_check(g, mac_key, copy->p, now);
	ck_assert(rc == 0 || gate_seen(g) <= before);
	free(copy);
	return rc;
}

/* What a second implementation computes, from the manual's words. */
START_TEST(layout)
{
	static const char mac_label[] = "cloudbus 1 message 1 mac", psk_label[] = "cloudbus 1 psk";
	static const uint8_t secret[GATE_SECRET] = {1, 2, 3};
	uint8_t mac[32], psk[32], want[32];
	gate_derive(secret, mac, psk);
	crypto_generichash(want, 32, (const uint8_t *)mac_label, 24, secret, 32);
	ck_assert_mem_eq(mac, want, 32);
	crypto_generichash(want, 32, (const uint8_t *)psk_label, 14, secret, 32);
	ck_assert_mem_eq(psk, want, 32);

	struct message m = {{0}};
	memset(m.p, 0xab, GATE_NOISE);
	gate_stamp(m.p, mac, 0x0102030405060708);
	for (int i = 0; i < 8; i++)
		ck_assert_uint_eq(m.p[48 + i], i + 1);
	crypto_generichash(want, 32, m.p, 56, mac, 32);
	ck_assert_mem_eq(m.p + 56, want, 32);
	ck_assert_uint_eq(sizeof m, 88);
	for (int i = 0; i < GATE_NOISE; i++)
		ck_assert_uint_eq(m.p[i], 0xab);
}
END_TEST

START_TEST(flipped)
{
	struct gate *g = gate_of(mem_system(), 0);
	struct message m = stamped(NOW);
	for (int bit = 0; bit < GATE_MESSAGE * 8; bit++) {
		m.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(check(g, &m, NOW), ERR_PROTOCOL);
		m.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_uint_eq(gate_seen(g), 0);
	ck_assert_int_eq(check(g, &m, NOW), 0);
	gate_free(g);
}
END_TEST

START_TEST(another_secret)
{
	struct gate *g = gate_of(mem_system(), 0);
	uint8_t other[GATE_KEY];
	memcpy(other, mac_key, sizeof other);
	other[31] ^= 1;
	struct message m = stamped(NOW), zero = {{0}};
	gate_stamp(m.p, other, NOW);
	ck_assert_int_eq(check(g, &m, NOW), ERR_PROTOCOL);
	/* The MAC is judged before anything else: also of a message that is stale as well. */
	gate_stamp(m.p, other, 0);
	ck_assert_int_eq(check(g, &m, NOW), ERR_PROTOCOL);
	ck_assert_int_eq(check(g, &zero, NOW), ERR_PROTOCOL);
	gate_free(g);
}
END_TEST

START_TEST(stale)
{
	static const struct {
		int64_t off;
		int want;
	} rows[] = {{0, 0}, {GATE_SKEW, 0}, {-GATE_SKEW, 0}, {GATE_SKEW + 1, ERR_TIMEOUT},
		{-GATE_SKEW - 1, ERR_TIMEOUT}, {INT64_MAX / 2, ERR_TIMEOUT}};
	struct gate *g = gate_of(mem_system(), 0);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct message m = stamped(NOW + (uint64_t)rows[i].off);
		ck_assert_int_eq(check(g, &m, NOW), rows[i].want);
	}
	struct message first = stamped(0), last = stamped(UINT64_MAX);
	ck_assert_int_eq(check(g, &first, NOW), ERR_TIMEOUT);
	ck_assert_int_eq(check(g, &last, NOW), ERR_TIMEOUT);
	gate_free(g);
	/* A machine without a clock of its own, just started; and the far end of time. */
	g = gate_of(mem_system(), 0);
	struct message m = stamped(1);
	ck_assert_int_eq(check(g, &m, 0), 0);
	ck_assert_int_eq(check(g, &m, 0), ERR_INVALID);
	ck_assert_int_eq(check(g, &last, UINT64_MAX), 0);
	ck_assert_int_eq(check(g, &last, UINT64_MAX), ERR_INVALID);
	gate_free(g);
}
END_TEST

START_TEST(replayed)
{
	struct gate *g = gate_of(mem_system(), 0);
	struct message m = stamped(NOW), again = m;
	ck_assert_int_eq(check(g, &m, NOW), 0);
	for (uint64_t later = 0; later <= SKEW; later += SKEW / 10)
		ck_assert_int_eq(check(g, &m, NOW + later), ERR_INVALID);
	/* The same ephemeral key under a new time: nobody honest sends it. */
	gate_stamp(again.p, mac_key, NOW + 5);
	ck_assert_int_eq(check(g, &again, NOW), ERR_INVALID);
	ck_assert_int_eq(check(g, &m, NOW + SKEW + 1), ERR_TIMEOUT);
	gate_free(g);
}
END_TEST

/* Memory comes back with time; a clock that is set back opens nothing. */
START_TEST(forgotten)
{
	struct unit_mem mem;
	unit_mem_init(&mem);
	struct gate *g = gate_of(&mem.mem, 0);
	struct message old[50], m;
	for (int i = 0; i < 50; i++) {
		old[i] = stamped(NOW + (uint64_t)i);
		ck_assert_int_eq(check(g, &old[i], NOW), 0);
	}
	ck_assert_uint_eq(gate_seen(g), 50);
	m = stamped(NOW + 2 * SKEW);
	ck_assert_int_eq(check(g, &m, NOW + SKEW + 25), 0);
	ck_assert_uint_eq(gate_seen(g), 26);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(check(g, &old[i], NOW), i < 25 ? ERR_LIMIT : ERR_INVALID);
	m = stamped(NOW + 24);
	ck_assert_int_eq(check(g, &m, NOW), ERR_LIMIT);
	m = stamped(NOW + 25);
	ck_assert_int_eq(check(g, &m, NOW), 0);
	gate_free(g);
	ck_assert_uint_eq(mem.live, 0);
}
END_TEST

/* A cluster whose clocks were an hour ahead is not shut out for that hour. */
START_TEST(set_back)
{
	const uint64_t ahead = NOW + 100 * SKEW;
	struct gate *g = gate_of(mem_system(), 8);
	for (uint64_t i = 0; i < 20; i++) {
		struct message m = stamped(ahead + i);
		ck_assert_int_eq(check(g, &m, ahead), 0);
	}
	for (uint64_t i = 0; i < 20; i++) {
		struct message m = stamped(NOW + i);
		ck_assert_int_eq(check(g, &m, NOW), 0);
		ck_assert_int_eq(check(g, &m, NOW), ERR_INVALID);
	}
	/* Nor does a step forward that was a mistake. */
	struct message m = stamped(ahead);
	ck_assert_int_eq(check(g, &m, ahead), 0);
	m = stamped(NOW + SKEW / 2);
	ck_assert_int_eq(check(g, &m, NOW + SKEW / 2), 0);
	gate_free(g);
}
END_TEST

START_TEST(full)
{
	enum { ROOM = 8 };
	struct gate *g = gate_of(mem_system(), ROOM);
	struct message m[ROOM + 1], late;
	for (uint64_t i = 0; i <= ROOM; i++) {
		m[i] = stamped(NOW + 10 * i);
		ck_assert_int_eq(check(g, &m[i], NOW), 0);
		ck_assert_uint_eq(gate_seen(g), i < ROOM ? i + 1 : ROOM);
	}
	ck_assert_int_eq(check(g, &m[0], NOW), ERR_LIMIT);
	for (int i = 1; i <= ROOM; i++)
		ck_assert_int_eq(check(g, &m[i], NOW), ERR_INVALID);
	late = stamped(NOW);
	ck_assert_int_eq(check(g, &late, NOW), ERR_LIMIT);
	/* Older than all that it would have to displace: it is refused, and displaces none. */
	late = stamped(NOW + 5);
	ck_assert_int_eq(check(g, &late, NOW), ERR_LIMIT);
	ck_assert_uint_eq(gate_seen(g), ROOM);
	late = stamped(NOW + 15);
	ck_assert_int_eq(check(g, &late, NOW), 0);
	gate_free(g);
}
END_TEST

/* Many messages of one time leave together, and all stay refused. */
START_TEST(full_of_one_time)
{
	enum { ROOM = 16 };
	struct gate *g = gate_of(mem_system(), ROOM);
	struct message m[ROOM], next;
	for (int i = 0; i < ROOM; i++) {
		m[i] = stamped(NOW);
		ck_assert_int_eq(check(g, &m[i], NOW), 0);
	}
	next = stamped(NOW + 1);
	ck_assert_int_eq(check(g, &next, NOW), 0);
	ck_assert_uint_eq(gate_seen(g), 1);
	for (int i = 0; i < ROOM; i++)
		ck_assert_int_eq(check(g, &m[i], NOW), ERR_LIMIT);
	gate_free(g);
}
END_TEST

/* Whatever the order and small steps of the clock, no message passes twice. */
START_TEST(never_twice)
{
	enum { MESSAGES = 300, STEPS = 20000 };
	static struct message m[MESSAGES];
	static bool passed[MESSAGES];
	size_t room = 1 + unit_below(&seed, 40), let_in = 0;
	uint64_t now = NOW;
	struct gate *g = gate_of(mem_system(), room);
	for (int i = 0; i < MESSAGES; i++) {
		m[i] = stamped(NOW + unit_below(&seed, 6 * SKEW) / 1000 * 1000);
		passed[i] = false;
	}
	for (int step = 0; step < STEPS; step++) {
		size_t i = unit_below(&seed, MESSAGES);
		int rc = check(g, &m[i], now);
		ck_assert(rc == 0 || rc == ERR_TIMEOUT || rc == ERR_LIMIT || rc == ERR_INVALID);
		ck_assert(rc != 0 || !passed[i]);
		ck_assert_uint_le(gate_seen(g), room);
		let_in += rc == 0;
		passed[i] = passed[i] || rc == 0;
		now += unit_below(&seed, SKEW / 1000);
		if (unit_below(&seed, 200) == 0)
			now -= unit_below(&seed, now - NOW < SKEW ? now - NOW + 1 : SKEW);
	}
	ck_assert_uint_gt(let_in, 0);
	gate_free(g);
}
END_TEST

START_TEST(no_memory)
{
	struct unit_mem mem;
	gate_free(NULL);
	for (size_t at = 1;; at++) {
		unit_mem_init(&mem);
		mem.fail_at = at;
		struct gate *g = gate_of(&mem.mem, 0);
		for (uint64_t i = 0; g != NULL && i < 20; i++) {
			struct message m = stamped(NOW + i);
			size_t before = gate_seen(g);
			int rc = check(g, &m, NOW);
			ck_assert(rc == 0 || (rc == ERR_NOMEM && mem.failed));
			if (rc != 0) {
				ck_assert_uint_eq(gate_seen(g), before);
				ck_assert_int_eq(check(g, &m, NOW), 0);
			}
			ck_assert_int_eq(check(g, &m, NOW), ERR_INVALID);
		}
		ck_assert(g != NULL || mem.failed);
		gate_free(g);
		ck_assert_uint_eq(mem.live, 0);
		if (!mem.failed)
			break;
	}
}
END_TEST

START_TEST(bounded)
{
	struct gate *g = gate_of(mem_system(), 0);
	for (uint64_t i = 0; i < GATE_SEEN_MAX + 100; i++) {
		struct message m = stamped(NOW + i);
		ck_assert_int_eq(check(g, &m, NOW), 0);
	}
	ck_assert_uint_eq(gate_seen(g), GATE_SEEN_MAX);
	gate_free(g);
}
END_TEST

int main(void)
{
	if (aead_init() != 0)
		return 1;
	for (size_t i = 0; i < sizeof mac_key; i++)
		mac_key[i] = (uint8_t)unit_random(&seed);
	Suite *s = suite_create("gate");
	TCase *t = tcase_create("all");
	tcase_add_test(t, layout);
	tcase_add_test(t, flipped);
	tcase_add_test(t, another_secret);
	tcase_add_test(t, stale);
	tcase_add_test(t, replayed);
	tcase_add_test(t, forgotten);
	tcase_add_test(t, set_back);
	tcase_add_test(t, full);
	tcase_add_test(t, full_of_one_time);
	tcase_add_loop_test(t, never_twice, 0, 10);
	tcase_add_test(t, no_memory);
	tcase_add_test(t, bounded);
	suite_add_tcase(s, t);
	return unit_main(s);
}
