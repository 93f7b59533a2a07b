/*
 * stats - what a node counts: cloudbus-metrics(7).
 *
 * Each number is counted by whoever sees the thing happen, as a plain field, and read by
 * nobody but those who show it.  Numbers only grow, but for those that are said to be of now.
 * A reason is an index, and its label is in a table: there is none without.
 */
#ifndef CB_BUS_STATS_H
#define CB_BUS_STATS_H

#include <stdint.h>

/* Why a session did not begin: no byte of it has moved. */
enum stats_refusal {
	STATS_MAX_SESSIONS,        /* the service's own limit */
	STATS_MEMORY,              /* memory= is used up */
	STATS_NOT_ALLOWED,         /* by a token, ours or the peer's */
	STATS_NOBODY,              /* no segment serves it now */
	STATS_PEERS_FULL,          /* those that do allow no more streams */
	STATS_NO_LINK,             /* none came up within connect_timeout */
	STATS_NO_STREAM,           /* there was a link, but no stream could be opened on it */
	STATS_BACKEND_REFUSED,     /* refused the connection */
	STATS_BACKEND_UNREACHABLE, /* no route, no address, no such name */
	STATS_BACKEND_TIMED_OUT,   /* no answer within connect_timeout */
	STATS_HOPS_SPENT,          /* its hop limit was 0 */
	STATS_GIVEN_UP,            /* whoever asked for it went away first */
	STATS_DRAINED,             /* the node's drain_timeout was over first */
	STATS_NO_RESOURCES,        /* descriptors, memory or ports of this machine */
	STATS_REFUSALS,
};

/* How one that has begun came to its end. */
enum stats_end {
	STATS_CLEAN,
	STATS_LOCAL_RESET,     /* the connection here: a controller's client, a segment's backend */
	STATS_REMOTE_RESET,    /* the one at the other node */
	STATS_BACKEND_FAILED,  /* the other node did not reach its backend */
	STATS_REFUSED_BY_PEER, /* or could not go on: no such service, a limit, no memory */
	STATS_LINK_LOST,       /* its transport died */
	STATS_IDLE,            /* idle_timeout, of either node */
	STATS_LATCH_LOST,      /* another member answered first */
	STATS_SLOW,            /* member_timeout, of the other node */
	STATS_MEMBER_LOST,     /* full duplex: all went on without one, and the end says so */
	STATS_EVICTED,         /* memory= was used up, and it held the most */
	STATS_CUT,             /* drain_timeout, of either node */
	STATS_FAILED,          /* memory, or the like, of this process */
	STATS_ENDS,
};

/* Of one service; it outlives reloads as the service does. */
struct service_stats {
	uint64_t waiting; /* of now: sessions that have not begun */
	uint64_t opened;
	uint64_t refused[STATS_REFUSALS];
	uint64_t ended[STATS_ENDS];
	uint64_t received, sent; /* bytes, from and to the local sockets */
	uint64_t latches;        /* sessions of several members that one of them got */
	uint64_t members_slow;   /* members dropped for member_timeout */
	uint64_t members_lost;   /* members that went while others were left */
};

/* How a transport came to its end. */
enum stats_closed {
	STATS_CLOSED_CLEAN,     /* both had said goodbye */
	STATS_CLOSED_LOST,      /* the connection broke, or ended without a goodbye */
	STATS_CLOSED_TIMED_OUT, /* silent for link_timeout, or no HELLO in time */
	STATS_CLOSED_PROTOCOL,  /* the peer broke the protocol, or is of the same role */
	STATS_CLOSED_FLOOD,     /* the peer spent its budget of useless frames */
	STATS_CLOSED_RECORD,    /* a record does not open */
	STATS_CLOSED_EXPIRED,   /* a token has expired, and drain_timeout is over */
	STATS_CLOSED_UNWELCOME, /* a token is revoked, or not believed any more */
	STATS_CLOSED_FAILED,    /* memory, or the like, of this process */
	STATS_CLOSED_EXIT,      /* this process ended first */
	STATS_CLOSED,
};

/* What an attempt to make a transport failed of. */
enum stats_dial {
	STATS_DIAL_NAME,      /* its name does not resolve */
	STATS_DIAL_CONNECT,   /* no connection */
	STATS_DIAL_HANDSHAKE, /* the keys, on either side */
	STATS_DIAL_HELLO,     /* it ended before both had said HELLO */
	STATS_DIAL_FAILED,    /* memory, or the like, of this process */
	STATS_DIALS,
};

/* What became of a handshake. */
enum stats_handshake {
	STATS_SHAKEN,
	STATS_SHAKE_STRANGER,  /* another network secret, or none */
	STATS_SHAKE_LATE,      /* its time is off, or it was seen before */
	STATS_SHAKE_BROKEN,    /* a message that does not hold */
	STATS_SHAKE_UNWELCOME, /* the peer's token is refused */
	STATS_SHAKE_PAUSED,    /* the peer's key has a pause, for one that was */
	STATS_SHAKE_TIMED_OUT, /* not over in time */
	STATS_SHAKE_LOST,      /* the connection ended in the middle of it */
	STATS_SHAKE_FAILED,    /* memory, or the like, of this process */
	STATS_SHAKES,
};

/* Why a connection of another node was turned away, but for what its handshake failed of. */
enum stats_away {
	STATS_AWAY_TRANSPORTS, /* BUS_TRANSPORTS_MAX */
	STATS_AWAY_NODE,       /* as many as CENSUS_OF_PEER of its node are there */
	STATS_AWAY_PAUSED,     /* its address has a pause */
	STATS_AWAY_SOURCE,     /* its address has too many handshakes under way */
	STATS_AWAY_CROWDED,    /* all together have */
	STATS_AWAY_QUEUE,      /* too many wait */
	STATS_AWAY_WAITED,     /* it has waited too long */
	STATS_AWAY_LOT,        /* too many strangers: it was drawn by lot */
	STATS_AWAY_REPLACED,   /* it was silent, others came from its address: likewise */
	STATS_AWAY_FAILED,     /* memory, or the like, of this process */
	STATS_AWAYS,
};

/* Why a connection was not accepted, for the moment. */
enum stats_accept {
	STATS_ACCEPT_FILES, /* EMFILE, ENFILE */
	STATS_ACCEPT_MEMORY,
	STATS_ACCEPT_OTHER,
	STATS_ACCEPTS,
};

/* Whether something was done. */
enum stats_result { STATS_OK, STATS_NOT_OK, STATS_RESULTS };

/* Who asked for a connection, or for a session. */
enum stats_side { STATS_DIALLED, STATS_ACCEPTED, STATS_SIDES };

/* Of a process; in struct bus. */
struct bus_stats {
	uint64_t started, reloaded;           /* of now: seconds since 1970 */
	uint64_t reloads[STATS_RESULTS];      /* of the configuration */
	uint64_t key_reloads[STATS_RESULTS];  /* of trust, identity and token */
	uint64_t list_reloads[STATS_RESULTS]; /* of the revocation list */
	uint64_t accept_failures[STATS_ACCEPTS];
	uint64_t paused;           /* of now: listeners that wait for descriptors or memory */
	uint64_t no_port;          /* connections not begun: EADDRNOTAVAIL */
	uint64_t memory_refused;   /* sessions, for memory=; */
	uint64_t memory_evicted;   /* those that were reset for it */
	uint64_t unknown_services; /* sessions that a peer opened, of no service here */
	uint64_t transports[STATS_SIDES][2]; /* made; the latter index: secured */
	uint64_t closed[STATS_CLOSED];
	uint64_t wire_received, wire_sent; /* bytes of transports that are no more */
	uint64_t dials[STATS_DIALS];       /* that failed */
	uint64_t shakes[STATS_SIDES][STATS_SHAKES];
	uint64_t away[STATS_AWAYS];
	uint64_t forbidden[STATS_SIDES]; /* sessions that tokens do not allow: opened here, there */
	uint64_t names_forbidden;        /* names announced, likewise */
};

/* The label of a reason, as it stands in the manual; static storage. */
const char *stats_refusal_label(enum stats_refusal why);
const char *stats_end_label(enum stats_end how);
const char *stats_closed_label(enum stats_closed how);
const char *stats_dial_label(enum stats_dial why);
const char *stats_handshake_label(enum stats_handshake how);
const char *stats_away_label(enum stats_away why);
const char *stats_accept_label(enum stats_accept why);
const char *stats_result_label(enum stats_result how);
const char *stats_side_label(enum stats_side side);

/* What the code (enum wire_code) with which a peer resets a stream makes of its session. */
enum stats_end stats_end_by_peer(uint32_t code);

/* The code of mux_failure(): how its transport ends. */
enum stats_closed stats_closed_by_failure(uint32_t code);

/* The code with which a backend was given up: why its session does not begin. */
enum stats_refusal stats_refusal_by_backend(uint32_t code);

#endif
