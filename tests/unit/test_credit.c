/* The arithmetic of credit. */
#include "base/clock.h"
#include "base/err.h"
#include "session/credit.h"
#include "unit/unit.h"
#include "wire/wire.h"

START_TEST(sending)
{
	struct credit_tx tx;
	credit_tx_init(&tx, 1024);
	ck_assert_uint_eq(credit_tx_left(&tx), 1024);
	credit_tx_sent(&tx, 1000);
	credit_tx_sent(&tx, 24);
	ck_assert_uint_eq(credit_tx_left(&tx), 0);
	ck_assert_int_eq(credit_tx_update(&tx, 1024), 0); /* the same again */
	ck_assert_uint_eq(credit_tx_left(&tx), 0);
	ck_assert_int_eq(credit_tx_update(&tx, 1025), 0);
	ck_assert_uint_eq(credit_tx_left(&tx), 1);
}
END_TEST

START_TEST(case_17_credit_that_goes_back_or_overflows)
{
	static const uint64_t bad[] = {0, 1, 4095, 100 + (UINT64_C(1) << 30) + 1, WIRE_OFFSET_MAX,
		WIRE_OFFSET_MAX + 1, UINT64_MAX - 1, UINT64_MAX};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct credit_tx tx;
		credit_tx_init(&tx, 4096);
		credit_tx_sent(&tx, 100);
		ck_assert_int_eq(credit_tx_update(&tx, bad[i]), ERR_PROTOCOL);
		ck_assert_uint_eq(tx.max, 4096);
		ck_assert_uint_eq(tx.sent, 100);
	}
	struct credit_tx tx;
	credit_tx_init(&tx, 4096);
	credit_tx_sent(&tx, 100);
	ck_assert_int_eq(credit_tx_update(&tx, 100 + WIRE_WINDOW_MAX), 0);
}
END_TEST

START_TEST(the_last_offset)
{
	struct credit_tx tx = {.sent = WIRE_OFFSET_MAX - 10, .max = WIRE_OFFSET_MAX - 10};
	ck_assert_int_eq(credit_tx_update(&tx, WIRE_OFFSET_MAX + 1), ERR_PROTOCOL);
	ck_assert_int_eq(credit_tx_update(&tx, WIRE_OFFSET_MAX), 0);
	credit_tx_sent(&tx, 10);
	ck_assert_uint_eq(credit_tx_left(&tx), 0);
}
END_TEST

START_TEST(case_16_overrun_by_one_byte)
{
	struct credit_rx rx;
	credit_rx_init(&rx, 1024, 0);
	ck_assert_int_eq(credit_rx_received(&rx, 1025), ERR_PROTOCOL);
	ck_assert_int_eq(credit_rx_received(&rx, 1000), 0);
	ck_assert_int_eq(credit_rx_received(&rx, 25), ERR_PROTOCOL);
	ck_assert_int_eq(credit_rx_received(&rx, UINT64_MAX), ERR_PROTOCOL);
	ck_assert_uint_eq(credit_rx_held(&rx), 1000);
	ck_assert_int_eq(credit_rx_received(&rx, 24), 0);
	ck_assert_int_eq(credit_rx_received(&rx, 1), ERR_PROTOCOL);
	ck_assert_int_eq(credit_rx_received(&rx, 0), 0); /* an end of its own needs none */
}
END_TEST

START_TEST(credit_is_worth_a_frame_from_half_a_window)
{
	for (uint32_t window = WIRE_WINDOW_MIN; window < WIRE_WINDOW_MIN + 3; window++) {
		struct credit_rx rx;
		credit_rx_init(&rx, window, 0);
		ck_assert_int_eq(credit_rx_received(&rx, window), 0);
		ck_assert(!credit_rx_consumed(&rx, window / 2 - 1));
		ck_assert(credit_rx_consumed(&rx, 1));
		struct credit_growth g = {.now = CLOCK_SEC, .ceiling = 0};
		uint64_t granted = credit_rx_grant(&rx, &g);
		ck_assert_uint_eq(granted, window + window / 2);
		ck_assert(!credit_rx_consumed(&rx, 1)); /* counted anew */
	}
}
END_TEST

/* Uses up half of a window, `after` microseconds after the last grant; the window then. */
static uint32_t grow(
	struct credit_rx *rx, uint64_t *now, uint64_t after, uint64_t rtt, uint32_t top)
{
	uint64_t half = rx->window / 2;
	*now += after;
	ck_assert_int_eq(credit_rx_received(rx, half), 0);
	ck_assert(credit_rx_consumed(rx, half));
	struct credit_growth g = {.now = *now, .rtt = rtt, .ceiling = top};
	uint64_t before = rx->max, max = credit_rx_grant(rx, &g);
	ck_assert_uint_ge(max, before);
	ck_assert_uint_eq(max - rx->consumed, rx->window);
	return rx->window;
}

START_TEST(windows_grow_to_the_ceiling)
{
	struct credit_rx rx;
	uint64_t now = CLOCK_SEC;
	credit_rx_init(&rx, 1024, now);
	ck_assert_uint_eq(grow(&rx, &now, 19999, 10000, 5000), 2048);
	ck_assert_uint_eq(grow(&rx, &now, 20000, 10000, 5000), 2048); /* too slow */
	ck_assert_uint_eq(grow(&rx, &now, 19999, 10000, 5000), 4096);
	ck_assert_uint_eq(grow(&rx, &now, 0, 10000, 5000), 5000);
	ck_assert_uint_eq(grow(&rx, &now, 0, 10000, 5000), 5000);
	ck_assert_uint_eq(grow(&rx, &now, 0, 10000, 0), 5000);   /* never taken back */
	ck_assert_uint_eq(grow(&rx, &now, 1999, 0, 9000), 9000); /* no round trip known */
}
END_TEST

START_TEST(a_slow_reader_gets_no_wider_window)
{
	struct credit_growth g = {.now = CLOCK_SEC, .rtt = 10000, .ceiling = 1 << 20};
	struct credit_rx rx;
	credit_rx_init(&rx, 1024, g.now);
	ck_assert_int_eq(credit_rx_received(&rx, 1024), 0);
	ck_assert(credit_rx_consumed(&rx, 1024 - 1024 / CREDIT_UNREAD));
	(void)credit_rx_grant(&rx, &g); /* a quarter is unread */
	ck_assert_uint_eq(rx.window, 1024);
	ck_assert_int_eq(credit_rx_received(&rx, 511), 0);
	ck_assert(credit_rx_consumed(&rx, 512));
	(void)credit_rx_grant(&rx, &g); /* and now one byte less */
	ck_assert_uint_eq(rx.window, 2048);
}
END_TEST

START_TEST(what_has_not_arrived_is_not_the_readers_fault)
{
	struct credit_growth g = {.now = CLOCK_SEC, .rtt = 10000, .ceiling = 1 << 20};
	struct credit_rx rx;
	credit_rx_init(&rx, 1024, g.now);
	ck_assert_int_eq(credit_rx_received(&rx, 1024), 0);
	ck_assert(credit_rx_consumed(&rx, 512));
	g.coming = 512;
	(void)credit_rx_grant(&rx, &g);
	ck_assert_uint_eq(rx.window, 2048);
}
END_TEST

START_TEST(growth_does_not_wrap)
{
	struct credit_rx rx;
	uint64_t now = CLOCK_SEC;
	credit_rx_init(&rx, 1u << 29, now);
	ck_assert_uint_eq(grow(&rx, &now, 0, 1, WIRE_WINDOW_MAX), WIRE_WINDOW_MAX);
	ck_assert_uint_eq(grow(&rx, &now, 0, 1, WIRE_WINDOW_MAX), WIRE_WINDOW_MAX);
	/* A round trip of days: the window is what bounds it. */
	credit_rx_init(&rx, 1024, now);
	for (int i = 0; i < 40; i++)
		ck_assert_uint_le(
			grow(&rx, &now, 3600 * CLOCK_SEC, 86400 * CLOCK_SEC, 1 << 24), 1 << 24);
}
END_TEST

/* Any order of receiving and consuming keeps consumed <= received <= max. */
START_TEST(random_walk)
{
	uint64_t r = 3;
	for (int round = 0; round < 200; round++) {
		struct credit_rx rx;
		struct credit_tx tx;
		uint32_t window = 1024 + (uint32_t)unit_below(&r, 5000);
		uint64_t now = 0;
		credit_rx_init(&rx, window, now);
		credit_tx_init(&tx, window);
		for (int i = 0; i < 500; i++) {
			uint64_t n = unit_below(&r, credit_tx_left(&tx) + 1);
			credit_tx_sent(&tx, n);
			ck_assert_int_eq(credit_rx_received(&rx, n), 0);
			now += unit_below(&r, 3000);
			if (credit_rx_consumed(&rx, unit_below(&r, credit_rx_held(&rx) + 1))) {
				struct credit_growth g = {now, 1000, 1 << 15, 0};
				ck_assert_int_eq(
					credit_tx_update(&tx, credit_rx_grant(&rx, &g)), 0);
			}
			ck_assert_uint_le(rx.consumed, rx.received);
			ck_assert_uint_le(rx.received, rx.max);
			ck_assert_uint_le(credit_rx_held(&rx), rx.window);
			ck_assert_uint_eq(rx.max, tx.max);
			/* All consumed is never blocked. */
			ck_assert(credit_rx_held(&rx) > 0 || credit_tx_left(&tx) > 0);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("credit");
	TCase *t = tcase_create("all");
	tcase_add_test(t, sending);
	tcase_add_test(t, case_17_credit_that_goes_back_or_overflows);
	tcase_add_test(t, the_last_offset);
	tcase_add_test(t, case_16_overrun_by_one_byte);
	tcase_add_test(t, credit_is_worth_a_frame_from_half_a_window);
	tcase_add_test(t, windows_grow_to_the_ceiling);
	tcase_add_test(t, a_slow_reader_gets_no_wider_window);
	tcase_add_test(t, what_has_not_arrived_is_not_the_readers_fault);
	tcase_add_test(t, growth_does_not_wrap);
	tcase_add_test(t, random_walk);
	suite_add_tcase(s, t);
	return unit_main(s);
}
