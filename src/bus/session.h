/*
 * session - one client's byte stream, both directions, as one node sees it: a local
 * socket (the client's, or the backend's) and one stream per member.
 *
 * The two nodes run the same machine.  One-to-one is a session with one member: what
 * the local socket has is read straight into the transport's output, and what the
 * stream brings is written straight to the socket; bytes are held only while the
 * socket does not take them.  With several members the client's bytes are held
 * once, in a feed from which every member's stream takes them at its own pace, and the
 * slowest one sets the pace of reading.
 *
 * Files: session.c has the life and the ends, relay.c moves bytes, feed.c holds them for
 * several members, fanout.c decides the members' fates.
 */
#ifndef CB_BUS_SESSION_H
#define CB_BUS_SESSION_H

#include "bus/bus.h"
#include "bus/transport.h"

enum session_state {
	SESSION_WAITING,  /* no member yet (client's side), or no backend yet */
	SESSION_OPEN,     /* bytes move */
	SESSION_FLUSHING, /* a reset is due; what came before it is being delivered */
	SESSION_CLOSED,
};

enum member_state {
	MEMBER_OPEN,
	MEMBER_ENDED, /* sent all it had and FIN, and that is delivered */
	MEMBER_GONE,  /* reset, lost, dropped, or a loser of the latch */
};

struct feed;
struct unread;
struct session;

struct member {
	struct transport_stream ts;
	struct unread
		*unread; /* came from it and is not written to the local socket yet, or NULL */
	uint8_t index;   /* in session.members */
	uint8_t state;   /* enum member_state */
	bool fin_in;     /* its FIN came */
	bool fin_out;    /* our FIN went */
};

/* Embedded in whatever owns sessions; another may take one over, which sets s->owner. */
struct session_owner {
	struct service_stats *stats; /* of the service that they are of */
	/* It is over: the last call; the session is freed at the end of the turn. */
	void (*closed)(struct session *s);
};

struct session {
	struct loop_fd local;
	struct bus *bus;
	const struct conf_service *service;
	struct generation *generation; /* whose the service is */
	struct session_owner *owner;
	struct list node; /* in bus->sessions */
	struct timer timer;
	struct feed *feed; /* NULL: it has one member */
	uint8_t id[WIRE_ID];
	uint64_t active;   /* when a byte last moved */
	uint64_t deadline; /* of the state, or 0 */
	int error;         /* errno of the local socket, sticky */
	bool dry;          /* it has failed, and nothing it had sent is left to read */
	uint8_t state;     /* enum session_state */
	bool full_duplex;
	bool latched;
	bool local_tcp;
	uint8_t bulk;              /* 0 .. RELAY_BULK: how much it gives at a read */
	bool end_in;               /* the local socket's end was read */
	bool end_out;              /* our end was put on the local socket */
	bool lost;                 /* a member was lost */
	bool reset_due;            /* the far side has reset it before the backend was there */
	uint8_t n_members, n_live; /* live: not MEMBER_GONE */
	struct member members[];
};

struct session_options {
	struct session_owner *owner;
	const struct conf_service *service;
	struct generation *generation; /* whose that is: held from here on */
	const uint8_t *id;             /* WIRE_ID bytes, or NULL: a new random one */
	size_t n_members;              /* 1 .. CONF_SERVERS_MAX */
	bool full_duplex;
};

/*
 * A session in SESSION_WAITING, without a local socket and without streams.  NULL when there is
 * no memory.
 */
struct session *session_new(struct bus *bus, const struct session_options *opt);

/* Gives it its local socket; on failure the descriptor is closed.  0, ERR_SYS with errno. */
int session_set_local(struct session *s, int fd, bool is_tcp);

/* The session of a member. */
static inline struct session *session_of(const struct member *m)
{
	return container_of(m - m->index, struct session, members);
}

/* It has all it needs: bytes move from now on.  The members not given a stream are gone. */
void session_start(struct session *s);

/* Fails or ends it at once: streams get RESET with the code, a local TCP socket RST. */
void session_abort(struct session *s, uint32_t code);

/* The same of one in SESSION_WAITING: it does not begin, and that is counted. */
void session_refuse(struct session *s, enum stats_refusal why, uint32_t code);

/* The far side is gone: what it sent is delivered (for a second at most), then the
 * local socket is reset.  `how` is counted. */
void session_reset_local(struct session *s, uint32_t code, enum stats_end how);

/* Sets the one timer to the earliest of what the state waits for. */
void session_arm(struct session *s);

/* The process holds too much, and this session most of it: so many bytes. */
void session_evict(struct session *s, uint64_t bytes);

/* "3f2a... (service)" for logs; static storage, valid until the next call. */
const char *session_text(const struct session *s);

/* The numbers of its service. */
static inline struct service_stats *session_stats(const struct session *s)
{
	return s->owner->stats;
}

/* --- between the session's own files ------------------------------------------------ */

/* The local socket failed with this errno (0: with none of its own): sticky; handled in the next
 * turn. */
void session_fail_later(struct session *s, int error);

/* The ends of both directions: what is due is done. */
void session_check_end(struct session *s);

#endif
