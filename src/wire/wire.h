/*
 * wire - the frames of cloudbus-protocol(7): bytes in, values out.
 *
 * Pure functions and tables.  A frame is checked in two stages: here by itself
 * (wire_check), and by the session layer against the state of its stream.  All
 * integers on the wire are big-endian.
 */
#ifndef CB_WIRE_WIRE_H
#define CB_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sizes and limits: cloudbus-protocol(7), LIMITS. */
enum {
	WIRE_VERSION = 1,
	WIRE_HEADER = 8,             /* bytes in a frame's header */
	WIRE_DATA_MAX = 1 << 20,     /* bytes of payload in one DATA */
	WIRE_CONTROL_MAX = 1024,     /* bytes of payload in any other known frame, but for */
	WIRE_LONG_MAX = 4096,        /* ANNOUNCE and TOKEN */
	WIRE_IGNORED_MAX = 64 << 10, /* bytes of payload in an unknown, ignorable frame */
	WIRE_ID = 16,                /* bytes in a session id or instance id */
	WIRE_NAME_MAX = 255,         /* bytes in a service name */
	WIRE_HELLO_MIN = 40,
	WIRE_OPEN_MIN = 42,
	WIRE_ANNOUNCE_MIN = 5,
	WIRE_NAMES_MAX = 16384,           /* names that a node may announce as served */
	WIRE_HOPS = 8,                    /* the hop limit a first opener sends */
	WIRE_WINDOW_MIN = 1 << 10,        /* bytes, smallest initial window */
	WIRE_WINDOW_DEFAULT = 256 << 10,  /* bytes, initial window */
	WIRE_WINDOW_MAX = 1 << 30,        /* bytes, largest window */
	WIRE_STREAMS_DEFAULT = 128 << 10, /* streams a peer may have open on a transport */
};
#define WIRE_MAGIC "CLOUDBUS"
#define WIRE_STREAM_MAX UINT32_C(0x7fffffff)  /* the last id that may be opened */
#define WIRE_GOAWAY_OPEN UINT32_C(0xffffffff) /* GOAWAY's last id: announced, not yet known */
#define WIRE_OFFSET_MAX (UINT64_C(1) << 62)   /* no stream carries more bytes than this */

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_OPEN = 2,
	WIRE_DATA = 3,
	WIRE_RESET = 4,
	WIRE_CREDIT = 5,
	WIRE_PING = 6,
	WIRE_GOAWAY = 7,
	WIRE_LIMITS = 8,
	WIRE_ANNOUNCE = 9,
	WIRE_TOKEN = 10,
	WIRE_TYPES = 32, /* five bits */
};

enum wire_flag {
	WIRE_FIN = 1,       /* DATA: the stream's last byte is in here */
	WIRE_ACK = 2,       /* PING, LIMITS: the answer to one */
	WIRE_IGNORABLE = 4, /* a receiver that does not know the type skips the frame */
};

/* Why a stream or a transport ends: RESET and GOAWAY. */
enum wire_code {
	WIRE_OK = 0,          /* GOAWAY: shutting down in order */
	WIRE_ABORTED = 1,     /* client or backend reset its connection */
	WIRE_REFUSED = 2,     /* the backend refused the connection */
	WIRE_UNREACHABLE = 3, /* no route, no address, or the name does not resolve */
	WIRE_TIMED_OUT = 4,   /* the backend, or the peer itself, did not answer in time */
	WIRE_NO_SERVICE = 5,  /* nothing here has that name */
	WIRE_BUSY = 6,        /* a limit on sessions or memory */
	WIRE_LATCHED = 7,     /* another member answered first */
	WIRE_SLOW = 8,        /* member_timeout */
	WIRE_IDLE = 9,        /* idle_timeout */
	WIRE_DRAINING = 10,   /* shutting down, and out of time */
	WIRE_PROTOCOL = 11,   /* the peer broke the protocol */
	WIRE_FLOOD = 12,      /* the peer spent its budget of frames without use */
	WIRE_INTERNAL = 13,   /* descriptors, memory, or the like ran out */
	WIRE_LINK_LOST = 14,  /* the transport died; never sent on it */
	WIRE_HOPS_SPENT = 15, /* the hop limit reached 0 */
	WIRE_SAME_ROLE = 16,  /* both nodes are controllers, or both are segments */
	WIRE_EXPIRED = 17,    /* the token of who receives this has expired */
	WIRE_REVOKED = 18,    /* it is revoked, or not believed any more: cut off with this */
	WIRE_REPLACED = 19,   /* GOAWAY: another transport takes its place */
	WIRE_UNUSED = 20,     /* GOAWAY: the configuration has no use for it any more */
	WIRE_CODES
};

enum wire_role { WIRE_CONTROLLER = 1, WIRE_SEGMENT = 2 };

/* Frames that their sender understands: HELLO's capabilities. */
enum wire_capability { WIRE_KNOWS_ANNOUNCE = 1, WIRE_KNOWS_TOKEN = 2 };

struct wire_header {
	uint32_t length; /* bytes of payload, 24 bits */
	uint8_t type;    /* enum wire_type, or one not known */
	uint8_t flags;   /* enum wire_flag */
	uint32_t stream;
};

/* One row of the table of frames. */
struct wire_rule {
	const char *name;  /* NULL: no such type */
	uint32_t min, max; /* bounds of the payload's length */
	uint8_t flags;     /* flags that may be set */
	bool on_stream;    /* stream id must not be 0; otherwise it must be */
};

struct wire_hello {
	uint16_t version;
	uint8_t role; /* enum wire_role */
	uint32_t capabilities;
	uint8_t instance[WIRE_ID];
	uint32_t max_streams; /* the receiver of this may have so many open */
	uint32_t window;      /* initial credit for what the receiver of this sends */
};

struct wire_open {
	uint8_t session[WIRE_ID];
	uint32_t window; /* initial credit for the accepting side */
	uint8_t hops;
	uint8_t family; /* 0: no address, 4 or 6 */
	uint16_t port;  /* host order */
	uint8_t address[16];
	uint8_t name_len; /* 1 .. WIRE_NAME_MAX */
	char name[WIRE_NAME_MAX];
};

struct wire_goaway {
	uint32_t last; /* the last id accepted, or WIRE_GOAWAY_OPEN */
	uint32_t code;
};

struct wire_limits {
	uint32_t max_streams;
	uint32_t window;
};

enum wire_announce_kind {
	WIRE_CHANGES = 0,  /* names come and go, the others stay */
	WIRE_LIST = 1,     /* part of the whole list; more follows */
	WIRE_LIST_END = 2, /* its last part: what this version did not name is not served */
};

/* The entries are packed with wire_put_name() and read with wire_next_name(). */
struct wire_announce {
	uint32_t version; /* of the sender's list; higher is newer */
	uint8_t kind;     /* enum wire_announce_kind */
	const uint8_t *entries;
	size_t n; /* bytes of them */
};

/* One entry of ANNOUNCE. */
struct wire_name {
	bool served;      /* or withdrawn */
	uint8_t n;        /* 1 .. WIRE_NAME_MAX */
	const char *name; /* n bytes, no NUL among or behind them */
};

/* The rule of a type, 0 .. WIRE_TYPES - 1; its name is NULL where it is not known. */
const struct wire_rule *wire_rule(unsigned type);

/* "DATA", or "unknown frame"; static storage. */
const char *wire_type_name(unsigned type);

/* Words for a code, e.g. "connection refused by the backend"; static storage. */
const char *wire_code_text(uint32_t code);

/* Whether a GOAWAY with this code is of a node that shuts down or is configured anew, no more. */
static inline bool wire_code_is_usual(uint32_t code)
{
	return code == WIRE_OK || code == WIRE_REPLACED || code == WIRE_UNUSED;
}

void wire_put_header(uint8_t out[static WIRE_HEADER], const struct wire_header *h);
void wire_get_header(struct wire_header *h, const uint8_t in[static WIRE_HEADER]);

/*
 * The first stage: known type, length within bounds, only its own flags, stream id
 * zero or not as the type wants.  An unknown type passes when flagged ignorable
 * and at most WIRE_IGNORED_MAX long.  0, or ERR_PROTOCOL with *why set.
 */
int wire_check(const struct wire_header *h, const char **why);

/*
 * Packing: a whole frame, header included, to `out`; returns its length in bytes.
 * The room needed is WIRE_HEADER plus the frame's greatest payload.
 */
size_t wire_put_hello(uint8_t *out, const struct wire_hello *v);
size_t wire_put_open(uint8_t *out, uint32_t stream, const struct wire_open *v);
size_t wire_put_reset(uint8_t *out, uint32_t stream, uint32_t code);
size_t wire_put_credit(uint8_t *out, uint32_t stream, uint64_t offset);
size_t wire_put_ping(uint8_t *out, uint64_t opaque, bool ack);
size_t wire_put_goaway(uint8_t *out, const struct wire_goaway *v);
size_t wire_put_limits(uint8_t *out, const struct wire_limits *v, bool ack);
size_t wire_put_announce(uint8_t *out, const struct wire_announce *v);
size_t wire_put_token(uint8_t *out, const void *text, size_t n);

/* An entry of ANNOUNCE to `out`; returns its length, or 0 where `room` bytes are too few. */
size_t wire_put_name(uint8_t *out, size_t room, const struct wire_name *v);

/*
 * Unpacking: the payload of a frame whose header passed wire_check(), n bytes.
 * Options after the fixed part are skipped, but must be well formed.  0, or
 * ERR_PROTOCOL with *why set.
 */
int wire_get_hello(struct wire_hello *v, const uint8_t *p, size_t n, const char **why);
int wire_get_open(struct wire_open *v, const uint8_t *p, size_t n, const char **why);
int wire_get_limits(struct wire_limits *v, const uint8_t *p, const char **why);
int wire_get_announce(struct wire_announce *v, const uint8_t *p, size_t n, const char **why);
uint32_t wire_get_reset(const uint8_t *p);
uint64_t wire_get_credit(const uint8_t *p);
uint64_t wire_get_ping(const uint8_t *p);
void wire_get_goaway(struct wire_goaway *v, const uint8_t *p);

/*
 * Takes the next entry out of an ANNOUNCE that wire_get_announce() has passed: v's entries
 * move on.  False when there is none left.
 */
bool wire_next_name(struct wire_announce *v, struct wire_name *out);

#endif
