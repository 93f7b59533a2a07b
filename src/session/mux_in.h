/*
 * mux_in - the receiving half of mux.  Private to the session layer.
 */
#ifndef CB_SESSION_MUX_IN_H
#define CB_SESSION_MUX_IN_H

#include "session/mux_impl.h"

/* As mux_receive(), but for the failure, which the caller keeps. */
int mux_in_next(struct mux *m, const uint8_t **p, size_t *n, uint64_t now, struct mux_event *ev);

/* Why a peer whose last GOAWAY has this code ends the transport (static); NULL: in order. */
const char *mux_in_reason(uint32_t code);

#endif
