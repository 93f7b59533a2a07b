/*
 * relay - the moving of a session's bytes.  See session.h.
 */
#ifndef CB_BUS_RELAY_H
#define CB_BUS_RELAY_H

#include "bus/session.h"

enum {
	RELAY_MUCH = 32 << 10, /* bytes that make a read a great one, */
	RELAY_ROOM = 4 << 10,  /* or filling all its room, if it is so great */
	RELAY_BULK = 4,        /* great reads, less the others, that make a session bulk */
};

/* Local socket to streams: something may be readable. */
void relay_read(struct session *s);

/*
 * One read from the local socket, and the same into an empty pipe.  > 0: bytes; 0: nothing
 * now, or, from the first of them, the end (s->end_in), or an error that will be dealt with in
 * the next turn.
 */
size_t relay_read_local(struct session *s, uint8_t *to, size_t room);
size_t relay_read_pipe(struct session *s, struct pipe *pipe, size_t room);

/* The members' streams have something to send. */
void relay_wake(struct session *s);

/* What a member's stream sends next: transport_stream_ops.pull. */
size_t relay_pull(struct transport_stream *ts, uint8_t *to, size_t room, enum mux_more *more);

/* Whether the local socket has been giving all it was asked for. */
bool relay_is_bulk(const struct transport_stream *ts);

/* As relay_pull(), into an empty pipe. */
size_t relay_pull_pipe(
	struct transport_stream *ts, struct pipe *pipe, size_t room, enum mux_more *more);

/*
 * Takes up to n bytes that came for a member from the transport's socket, by way of a
 * pipe.  Bytes; 0: not now.
 */
size_t relay_take(struct member *m, int fd, size_t n);

/* MUX_DATA came from a member: to the local socket, or held.  False: the session is over. */
bool relay_deliver(struct member *m, const struct mux_event *ev);

/* Writes what is held to the local socket, as far as it takes it. */
void relay_flush(struct session *s);

/* Whether bytes from a member, or from any, wait for the local socket. */
bool relay_member_holds(const struct member *m);
bool relay_holds(const struct session *s);

/* Drops what is held from a member. */
void relay_discard(struct member *m);

#endif
