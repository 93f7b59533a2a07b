#include "session/credit.h"

#include "base/clock.h"
#include "base/err.h"
#include "wire/wire.h"

#include <assert.h>

/*
 * Below this round trip the path is not what limits a stream but the turns of the
 * two loops, so windows grow as if it were this long.
 */
#define RTT_FLOOR (1 * CLOCK_MS)

void credit_tx_init(struct credit_tx *tx, uint32_t window)
{
	*tx = (struct credit_tx){.max = window};
}

uint64_t credit_tx_left(const struct credit_tx *tx)
{
	return tx->max - tx->sent;
}

void credit_tx_sent(struct credit_tx *tx, uint64_t n)
{
	assert(n <= credit_tx_left(tx));
	tx->sent += n;
}

int credit_tx_update(struct credit_tx *tx, uint64_t offset)
{
	if (offset < tx->max || offset > WIRE_OFFSET_MAX)
		return ERR_PROTOCOL;
	if (offset > tx->sent + WIRE_WINDOW_MAX)
		return ERR_PROTOCOL;
	tx->max = offset;
	return 0;
}

void credit_rx_init(struct credit_rx *rx, uint32_t window, uint64_t now)
{
	*rx = (struct credit_rx){.max = window, .window = window, .epoch = now};
}

int credit_rx_received(struct credit_rx *rx, uint64_t n)
{
	if (n > rx->max - rx->received)
		return ERR_PROTOCOL;
	rx->received += n;
	return 0;
}

bool credit_rx_consumed(struct credit_rx *rx, uint64_t n)
{
	assert(n <= credit_rx_held(rx));
	rx->consumed += n;
	uint64_t target = rx->consumed + rx->window;
	return target > rx->max && target - rx->max >= rx->window / 2;
}

uint64_t credit_rx_grant(struct credit_rx *rx, const struct credit_growth *growth)
{
	uint64_t rtt = growth->rtt > RTT_FLOOR ? growth->rtt : RTT_FLOOR;
	/* Where it is the reader that limits the stream, a wider window only holds more unread. */
	bool slow_reader = credit_rx_held(rx) - growth->coming >= rx->window / CREDIT_UNREAD;
	if (growth->now - rx->epoch < 2 * rtt && !slow_reader && rx->window < growth->ceiling)
		rx->window = rx->window <= growth->ceiling / 2 ? rx->window * 2 : growth->ceiling;
	rx->epoch = growth->now;
	if (rx->consumed + rx->window > rx->max)
		rx->max = rx->consumed + rx->window;
	return rx->max;
}

uint64_t credit_rx_held(const struct credit_rx *rx)
{
	return rx->received - rx->consumed;
}
