/*
 * feed - the client's bytes on their way to several members: held once, read by each
 * member's stream at its own pace, given up when the slowest has had them.
 *
 * They lie in a ring; or, where the session is bulk, in pipes, one for each member, all of
 * which refer to the same pages (tee(2)), so that long payloads do not enter this process.
 * A batch in pipes is followed by the next reading only when every member has had it.
 */
#ifndef CB_BUS_FEED_H
#define CB_BUS_FEED_H

#include "base/ring.h"
#include "bus/quota.h"
#include "bus/session.h"

struct feed_member {
	uint64_t sent;     /* its place in the stream: bytes given to its stream */
	uint64_t progress; /* when that last moved, or bytes for it came after none waited */
	struct pipe *pipe; /* what lies before the ring and was not sent to it, if anything */
};

/* A place is an offset in the client's stream; head <= sent of every live member. */
struct feed {
	struct session *session;
	struct quota_holder quota;
	struct ring ring;
	uint64_t head; /* what was before it has been sent to all; ring.head: ends the pipes */
	struct feed_member members[]; /* as session.members */
};

/* For a session that has its bus.  NULL: no memory. */
struct feed *feed_new(struct session *s, size_t n_members);

/* Of a session that is over. */
void feed_free(struct session *s);

/* Reads the local socket until nothing more is to be held or had; wakes the streams. */
void feed_read(struct session *s);

/* Whether a member's stream has yet to be given bytes; whether any live one's has. */
bool feed_waits(const struct member *m);
bool feed_holds(const struct session *s);

/* Since when a member that waits has had nothing. */
uint64_t feed_progress(const struct member *m);

/* The next bytes for a member, up to room of them: transport_stream_ops.pull and pull_pipe. */
size_t feed_pull(struct member *m, uint8_t *to, size_t room);
size_t feed_pull_pipe(struct member *m, struct pipe *pipe, size_t room);

/* Whether what waits for the member is in a pipe. */
bool feed_is_piped(const struct member *m);

/* The member is gone: nothing is held for its sake any more. */
void feed_leave(struct member *m);

#endif
