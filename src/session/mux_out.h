/*
 * mux_out - the control frames that mux has to send, one at a time.  Private to the
 * session layer.
 */
#ifndef CB_SESSION_MUX_OUT_H
#define CB_SESSION_MUX_OUT_H

#include "session/mux_impl.h"

/*
 * One pending frame of the transport itself, or an OPEN, to buf (MUX_CONTROL_ROOM
 * bytes); returns its length, 0 for none.  OPENs leave after the answer to LIMITS, which
 * sets their window, and after TOKEN, which may allow them; and before PONG and GOAWAY,
 * which tell the peer that no more are under way.
 */
size_t mux_out_own(struct mux *m, uint8_t *buf, uint64_t now);

/* One pending frame, not OPEN, of a stream that has a slot taken. */
size_t mux_out_slot(struct mux_stream *s, uint8_t *buf, uint64_t now);

#endif
