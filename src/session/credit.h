/*
 * credit - flow control arithmetic of one stream: cloudbus-protocol(7), CREDIT.
 *
 * Credit is an absolute offset in the stream: bytes before it may be sent.  It never
 * goes back.  The receiver's window grows while the sender uses it up within
 * two round trips and the reader takes it as fast, up to a ceiling; what was granted
 * is never taken back.
 */
#ifndef CB_SESSION_CREDIT_H
#define CB_SESSION_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

/* The sending side of one direction. */
struct credit_tx {
	uint64_t sent; /* bytes sent; sent <= max always */
	uint64_t max;  /* bytes the peer allows, from the start of the stream */
};

/* The receiving side of one direction.  consumed <= received <= max always. */
struct credit_rx {
	uint64_t received; /* bytes announced by DATA headers */
	uint64_t max;      /* granted to the peer */
	uint64_t consumed; /* bytes that left for good */
	uint64_t epoch;    /* when the credit now in force was granted; first: the stream opened */
	uint32_t window;   /* bytes; what is granted beyond `consumed` */
};

void credit_tx_init(struct credit_tx *tx, uint32_t window);

/* Bytes that may be sent now. */
uint64_t credit_tx_left(const struct credit_tx *tx);

/* n <= credit_tx_left() bytes were sent. */
void credit_tx_sent(struct credit_tx *tx, uint64_t n);

/*
 * The peer's CREDIT.  0, or ERR_PROTOCOL when the offset goes back or is beyond
 * what a stream can carry or a window can hold; nothing is changed then.
 */
int credit_tx_update(struct credit_tx *tx, uint64_t offset);

void credit_rx_init(struct credit_rx *rx, uint32_t window, uint64_t now);

/* DATA of n bytes begins.  0, or ERR_PROTOCOL when it overruns the credit. */
int credit_rx_received(struct credit_rx *rx, uint64_t n);

/*
 * n bytes left for good (n + consumed <= received).  Whether new credit is worth a
 * frame: half the window at least could be granted.
 */
bool credit_rx_consumed(struct credit_rx *rx, uint64_t n);

/* A reader that leaves this part of the window unread is slow. */
enum { CREDIT_UNREAD = 4 };

struct credit_growth {
	uint64_t now, rtt; /* microseconds; rtt 0: not known */
	uint32_t ceiling;  /* bytes; no growth beyond */
	uint32_t coming;   /* bytes of `received` that have not arrived yet */
};

/*
 * The offset to grant now; records it as granted.  Doubles the window first when
 * the last grant was used up within two round trips and the reader keeps up.
 */
uint64_t credit_rx_grant(struct credit_rx *rx, const struct credit_growth *growth);

/* Bytes received and not consumed. */
uint64_t credit_rx_held(const struct credit_rx *rx);

#endif
