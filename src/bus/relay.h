/*
 * relay - the moving of a session's bytes.  See session.h.
 */
#ifndef CB_BUS_RELAY_H
#define CB_BUS_RELAY_H

#include "bus/session.h"

/* Local socket to streams: something may be readable. */
void relay_read(struct session *s);

/* What a member's stream sends next: transport_stream_ops.pull. */
size_t relay_pull(struct transport_stream *ts, uint8_t *to, size_t room, enum mux_more *more);

/* n bytes came from a member: to the local socket, or held.  False: the session is over. */
bool relay_deliver(struct member *m, const uint8_t *p, size_t n);

/* Writes what is held to the local socket, as far as it takes it. */
void relay_flush(struct session *s);

/* Whether bytes from members wait for the local socket. */
bool relay_holds(const struct session *s);

/* Drops what is held from a member. */
void relay_discard(struct member *m);

/* Frees ring bytes that every member has had. */
void relay_release_ring(struct session *s);

#endif
