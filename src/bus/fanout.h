/*
 * fanout - the members of a session and their fates: cloudbus.ini(5), mode.
 *
 * Half duplex: the first member to send data latches the session, the others are
 * closed.  Full duplex: all members' bytes are merged.  A session with one
 * member is the common case of both.
 */
#ifndef CB_BUS_FANOUT_H
#define CB_BUS_FANOUT_H

#include "bus/session.h"

/* What a member's stream calls. */
const struct transport_stream_ops *fanout_ops(void);

/* The member is lost, or dropped: the rest go on, the last one resets the local socket. */
void fanout_lost(struct member *m, uint32_t code);

/*
 * Bytes were delivered, or a member's FIN came: a member whose FIN came after its last
 * byte was delivered has ended, and with the last of them the far side as a whole.
 */
void fanout_check_end(struct session *s);

/* Drops members that have made no progress for member_timeout. */
void fanout_drop_slow(struct session *s);

/* When fanout_drop_slow() is to be called next; CLOCK_NEVER if no member has bytes waiting. */
uint64_t fanout_deadline(const struct session *s);

#endif
