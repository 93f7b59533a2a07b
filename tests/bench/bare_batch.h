/*
 * bare_batch - of the floor: one connection over the link for all clients.
 *
 * A turn of the loop reads each session that is ready once, up to 64 KiB, and puts what
 * it read as a frame into one buffer, which one write then sends.  What comes over the
 * link is given to the sockets right from the buffer it was read into.  A frame without a
 * payload is an end.  The header: 4 bytes of length, 4 of the session's number.
 */
#ifndef CB_BENCH_BARE_BATCH_H
#define CB_BENCH_BARE_BATCH_H

#include <stdbool.h>

enum { BARE_BATCHES = 8, BARE_SESSIONS = 1 << 14 };

/*
 * near: listens at `in` for clients, and connects to `out`, where the far one has to
 * listen by the first client.  far: takes one connection at `in`, and connects to `out`
 * for each session.  At most BARE_BATCHES of them, each with BARE_SESSIONS at once.
 * Does not return if it cannot.
 */
void bare_batch(bool near, const char *in, const char *out);

/* Does the work of a turn.  Whether there is more of it, that no event will tell of. */
bool bare_batch_turn(void);

#endif
