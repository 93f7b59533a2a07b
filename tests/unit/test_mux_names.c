/* ANNOUNCE and TOKEN: one slot each, in order, ahead of what they concern. */
#include "session/budget.h"
#include "unit/mux_pair.h"

#include <string.h>

static struct pair p;

static void begin(const struct pair_way *way)
{
	pair_init(&p, way, NULL, NULL);
	pair_run(&p);
}

static uint64_t finish(void)
{
	uint64_t n = p.a.bytes_out > p.b.bytes_out ? p.a.bytes_out : p.b.bytes_out;
	ck_assert_int_eq(p.a.rc, 0);
	ck_assert_int_eq(p.b.rc, 0);
	pair_fini(&p);
	return n;
}

/* In both directions, beside a stream; each as soon as there is room. */
static uint64_t many(const struct pair_way *way)
{
	int rc;
	begin(way);
	struct end_stream *st = end_open(&p.a, &rc);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(end_announce(&p.a), 0);
		ck_assert_int_eq(end_announce(&p.b), 0);
		ck_assert_int_eq(end_token(&p.b), 0);
		end_give(st, 700, i == 4);
		pair_run(&p);
		ck_assert_uint_eq(p.b.heard, i + 1);
		ck_assert_uint_eq(p.a.heard, i + 1);
		ck_assert_uint_eq(p.a.token, i + 1);
	}
	ck_assert_uint_eq(end_find(&p.b, st->id)->got, 3500);
	return finish();
}

START_TEST(every_way)
{
	pair_every_way(many);
}
END_TEST

START_TEST(one_slot_each)
{
	begin(NULL);
	ck_assert_int_eq(end_announce(&p.a), 0);
	ck_assert(mux_has_output(p.a.mux));
	size_t live = p.a.mem.live;
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(end_announce(&p.a), ERR_AGAIN);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(end_token(&p.a), 0); /* the last replaces the others */
	ck_assert_uint_eq(p.a.mem.live, live + 1);
	pair_run(&p);
	ck_assert_uint_eq(p.b.heard, 1);
	ck_assert_uint_eq(p.b.token, 100);
	ck_assert_uint_eq(p.b.events[MUX_TOKEN], 1);
	ck_assert_uint_eq(p.a.mem.live, live - 1);
	finish();
}
END_TEST

START_TEST(what_waits_is_freed_with_the_mux)
{
	begin(NULL);
	ck_assert_int_eq(end_announce(&p.a), 0);
	ck_assert_int_eq(end_token(&p.a), 0);
	finish();
}
END_TEST

START_TEST(not_before_hello_nor_after_a_failure)
{
	pair_init(&p, NULL, NULL, NULL);
	ck_assert_int_eq(end_announce(&p.a), ERR_CLOSED);
	ck_assert_int_eq(end_token(&p.a), ERR_CLOSED);
	ck_assert_ptr_null(mux_peer(p.a.mux));
	pair_run(&p);
	ck_assert_uint_eq(mux_peer(p.a.mux)->role, WIRE_SEGMENT);
	p.now += 3600 * CLOCK_SEC;
	end_tick(&p.a);
	ck_assert_int_eq(p.a.rc, ERR_TIMEOUT);
	ck_assert_int_eq(end_announce(&p.a), ERR_CLOSED);
	ck_assert_int_eq(end_token(&p.a), ERR_CLOSED);
	pair_fini(&p);
}
END_TEST

/* A node that does not know the frames is not sent them. */
START_TEST(only_to_who_understands)
{
	for (uint32_t bits = 0; bits < 4; bits++) {
		struct end e;
		uint64_t now;
		uint8_t buf[MUX_CONTROL_ROOM];
		struct wire_hello v = {.version = WIRE_VERSION,
			.role = WIRE_CONTROLLER,
			.capabilities = bits | 0xfffffffc,
			.window = 4096};
		solo_init(&e, &now, NULL);
		end_feed(&e, buf, wire_put_hello(buf, &v));
		ck_assert_int_eq(end_announce(&e), bits & WIRE_KNOWS_ANNOUNCE ? 0 : ERR_CLOSED);
		ck_assert_int_eq(end_token(&e), bits & WIRE_KNOWS_TOKEN ? 0 : ERR_CLOSED);
		solo_drain(&e);
		ck_assert_uint_eq(e.frames[WIRE_ANNOUNCE], bits & WIRE_KNOWS_ANNOUNCE ? 1 : 0);
		ck_assert_uint_eq(e.frames[WIRE_TOKEN], bits & WIRE_KNOWS_TOKEN ? 1 : 0);
		solo_fini(&e);
	}
}
END_TEST

START_TEST(our_hello_says_that_we_understand)
{
	struct end e;
	uint64_t now;
	struct wire_hello v;
	const char *why;
	solo_init(&e, &now, NULL);
	end_flush(&e, SIZE_MAX);
	ck_assert_int_eq(wire_get_hello(&v, e.out + WIRE_HEADER, WIRE_HELLO_MIN, &why), 0);
	ck_assert_uint_eq(v.capabilities, WIRE_KNOWS_ANNOUNCE | WIRE_KNOWS_TOKEN);
	solo_fini(&e);
}
END_TEST

/* A fresh token may allow what OPEN and ANNOUNCE ask for. */
START_TEST(token_goes_first)
{
	int rc;
	begin(NULL);
	ck_assert_int_eq(end_announce(&p.a), 0);
	ck_assert_ptr_nonnull(end_open(&p.a, &rc));
	ck_assert_int_eq(end_token(&p.a), 0);
	end_flush(&p.a, SIZE_MAX);
	ck_assert_uint_eq(p.a.last[2].type, WIRE_TOKEN);
	ck_assert_uint_eq(p.a.last[1].type, WIRE_OPEN);
	ck_assert_uint_eq(p.a.last[0].type, WIRE_ANNOUNCE);
	pair_run(&p);
	finish();
}
END_TEST

/* The PING is behind what waits, and the answer to an older one says nothing. */
START_TEST(asked_behind_what_was_sent)
{
	struct end e;
	uint64_t now;
	solo_init(&e, &now, NULL);
	solo_hello(&e, 10, 4096);
	end_flush(&e, SIZE_MAX);
	uint64_t opaque = wire_get_ping(e.out + e.out_len - 8);
	ck_assert_uint_eq(e.frames[WIRE_PING], 1);
	mux_ask(e.mux, now);
	mux_ask(e.mux, now);
	solo_ping(&e, opaque, true);
	ck_assert_uint_eq(e.events[MUX_HEARD], 0);
	mux_goaway(e.mux, WIRE_OK, now);
	end_flush(&e, SIZE_MAX);
	ck_assert_uint_eq(e.last[1].type, WIRE_GOAWAY);
	ck_assert_uint_eq(e.last[0].type, WIRE_PING);
	ck_assert_uint_eq(e.frames[WIRE_PING], 2);
	solo_ping(&e, opaque + 1, true);
	ck_assert_uint_eq(e.events[MUX_HEARD], 1);
	solo_drain(&e);
	ck_assert_uint_eq(e.frames[WIRE_GOAWAY], 2);
	solo_fini(&e);
}
END_TEST

START_TEST(heard_once_and_after_it)
{
	begin(NULL);
	ck_assert_int_eq(end_announce(&p.a), 0);
	mux_ask(p.a.mux, p.now);
	pair_run(&p);
	ck_assert_uint_eq(p.b.heard, 1);
	ck_assert_uint_eq(p.a.events[MUX_HEARD], 1);
	pair_run(&p);
	ck_assert_uint_eq(p.a.events[MUX_HEARD], 1);
	mux_ask(p.a.mux, p.now);
	pair_run(&p);
	ck_assert_uint_eq(p.a.events[MUX_HEARD], 2);
	ck_assert_uint_eq(p.b.events[MUX_HEARD], 0);
	finish();
}
END_TEST

/* The orderly end waits for them, and they do not stand in its way. */
START_TEST(during_goaway)
{
	begin(NULL);
	mux_goaway(p.a.mux, WIRE_OK, p.now);
	ck_assert_int_eq(end_announce(&p.a), 0);
	ck_assert_int_eq(end_token(&p.b), 0);
	pair_run(&p);
	ck_assert_uint_eq(p.b.heard, 1);
	ck_assert_uint_eq(p.a.token, 1);
	ck_assert(mux_is_finished(p.a.mux) && mux_is_finished(p.b.mux));
	ck_assert_int_eq(end_announce(&p.b), 0);
	ck_assert(!mux_is_finished(p.b.mux));
	pair_run(&p);
	ck_assert(mux_is_finished(p.b.mux));
	finish();
}
END_TEST

START_TEST(malformed)
{
	static const char *const bad[] = {"\0\0\0\1\3", "\0\0\0\1\0\2\1a", "\0\0\0\1\1\0\1a"};
	static const size_t length[] = {5, 8, 8};
	for (size_t i = 0; i < 3; i++) {
		struct end e;
		uint64_t now;
		uint8_t buf[64];
		struct wire_header h = {(uint32_t)length[i], WIRE_ANNOUNCE, 0, 0};
		solo_init(&e, &now, NULL);
		solo_hello(&e, 10, 4096);
		wire_put_header(buf, &h);
		memcpy(buf + WIRE_HEADER, bad[i], length[i]);
		end_feed(&e, buf, WIRE_HEADER + length[i]);
		solo_failed(&e, ERR_PROTOCOL, WIRE_PROTOCOL);
		ck_assert_uint_eq(e.events[MUX_ANNOUNCE], 0);
		solo_fini(&e);
	}
}
END_TEST

/* Of so many points, what a peer may send of these before it is one too many. */
static uint32_t sent_until_flood(size_t length, const uint8_t *frame)
{
	struct end e;
	uint64_t now;
	uint32_t n = 0;
	solo_init(&e, &now, NULL);
	solo_hello(&e, 10, 4096);
	for (; e.rc == 0 && n <= BUDGET_POINTS; n++)
		end_feed(&e, frame, length);
	solo_failed(&e, ERR_LIMIT, WIRE_FLOOD);
	solo_fini(&e);
	return n - 1;
}

/* What takes work is dear: a signature, and many names in a frame. */
START_TEST(work_is_paid)
{
	uint8_t buf[WIRE_HEADER + WIRE_LONG_MAX], entries[256];
	struct wire_name name = {.served = true, .n = 1, .name = "a"};
	struct wire_announce v = {.kind = WIRE_CHANGES, .entries = entries};
	size_t n = wire_put_token(buf, "token", 5);
	ck_assert_uint_eq(sent_until_flood(n, buf), BUDGET_POINTS / BUDGET_TOKEN_PRICE);
	for (uint32_t names = 0; names <= 2 * BUDGET_NAMES_EACH; names++) {
		n = wire_put_announce(buf, &v);
		ck_assert_uint_eq(
			sent_until_flood(n, buf), BUDGET_POINTS / (1 + names / BUDGET_NAMES_EACH));
		v.n += wire_put_name(entries + v.n, sizeof entries - v.n, &name);
	}
}
END_TEST

START_TEST(case_39_no_memory)
{
	begin(NULL);
	p.a.mem.fail_at = p.a.mem.calls + 1;
	ck_assert_int_eq(end_announce(&p.a), ERR_NOMEM);
	p.a.mem.fail_at = p.a.mem.calls + 2;
	ck_assert_int_eq(end_token(&p.a), 0);
	ck_assert_int_eq(end_token(&p.a), ERR_NOMEM); /* the one before stays */
	ck_assert_int_eq(end_announce(&p.a), 0);
	pair_run(&p);
	ck_assert_uint_eq(p.b.token, 1);
	ck_assert_uint_eq(p.b.heard, 1);
	finish();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mux_names");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, every_way);
	tcase_add_test(t, one_slot_each);
	tcase_add_test(t, what_waits_is_freed_with_the_mux);
	tcase_add_test(t, not_before_hello_nor_after_a_failure);
	tcase_add_test(t, only_to_who_understands);
	tcase_add_test(t, our_hello_says_that_we_understand);
	tcase_add_test(t, token_goes_first);
	tcase_add_test(t, asked_behind_what_was_sent);
	tcase_add_test(t, heard_once_and_after_it);
	tcase_add_test(t, during_goaway);
	tcase_add_test(t, malformed);
	tcase_add_test(t, work_is_paid);
	tcase_add_test(t, case_39_no_memory);
	suite_add_tcase(s, t);
	return unit_main(s);
}
