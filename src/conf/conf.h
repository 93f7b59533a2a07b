/*
 * conf - an INI text becomes one validated, immutable value.
 *
 * Pure: the text comes in as bytes; reading the file is the caller's.  All errors
 * of a text are reported, each with file, line, section, key, value and what was
 * expected; a text with any error gives no value.  The form is described in
 * cloudbus.ini(5); the keys stand in one table, conf_keys().
 */
#ifndef CB_CONF_CONF_H
#define CB_CONF_CONF_H

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CONF_FILE_MAX = 64 << 20,   /* bytes in a file */
	CONF_LINE_MAX = 2 << 20,    /* bytes in a line */
	CONF_NAME_MAX = 255,        /* bytes in a section's name, as OPEN carries it */
	CONF_SERVICES_MAX = 65536,  /* sections in a file */
	CONF_SERVERS_MAX = 64,      /* server= lines in a section */
	CONF_TRANSPORTS_MAX = 32,   /* transports= */
	CONF_DNS_MAX = 8,           /* dns= lines */
	CONF_LISTENS_MAX = 16,      /* listen= lines */
	CONF_CONNECTS_MAX = 16,     /* connect= lines */
	CONF_ANNOUNCED_MAX = 16384, /* sections of a segment with connect= */
	CONF_ERRORS_MAX = 100,      /* errors written out; a last line counts the others */
	CONF_HOST_MAX = 253,        /* bytes in a host name */
	CONF_PATH_MAX = 4095,       /* bytes in a file's path */
};

enum conf_role { CONF_CONTROLLER = 1, CONF_SEGMENT = 2 };

enum conf_mode { CONF_HALF_DUPLEX, CONF_FULL_DUPLEX };

/* A user= or group=. */
struct conf_account {
	char *name; /* as the user wrote it, which may be a number; NULL: not given */
	unsigned line;
};

/* How sessions are spread over the segments that serve a name. */
enum conf_balance { CONF_ROUND_ROBIN, CONF_LEAST_SESSIONS };

/* How many of them are members of one session. */
enum conf_fanout { CONF_FANOUT_ONE, CONF_FANOUT_ALL };

/* An address between nodes, or of a client's or server's side. */
struct conf_endpoint {
	char *text;       /* as the user wrote it */
	char *host;       /* a name in lower case for DNS to resolve, its last dot kept; or NULL */
	uint16_t port;    /* 1 .. 65535; 0 on Unix sockets */
	struct addr addr; /* the address where host is NULL */
	bool secured;     /* bus:// or bus+unix://: trust, identity and token are there */
	char *service;    /* bus:NAME: that name, and there is no address; otherwise NULL */
	unsigned line;
};

struct conf_service {
	char *name; /* the section's name as written */
	unsigned line;
	struct conf_endpoint bind;     /* without text on a segment: reached over links only */
	struct conf_endpoint *servers; /* 1 .. CONF_SERVERS_MAX; exactly 1 on a segment */
	size_t n_servers;
	char *service; /* the name to ask for; the section's own unless service= says so */
	enum conf_mode mode;
	enum conf_balance balance; /* both for servers that are bus:NAME */
	enum conf_fanout fanout;
	uint64_t connect_timeout; /* microseconds; all four likewise */
	uint64_t idle_timeout;    /* 0: off */
	uint64_t member_timeout;
	uint32_t max_sessions; /* 0: no limit of its own */
};

struct conf {
	enum conf_role role;
	struct conf_service *services; /* at least 1, in the order of the file */
	size_t n_services;
	struct conf_endpoint *listens; /* a controller's: where segments dial to */
	size_t n_listens;
	struct conf_endpoint *connects; /* a segment's: controllers that it dials */
	size_t n_connects;
	char *trust, *identity, *token; /* files; NULL where not given */
	char *revoked;                  /* likewise */
	struct addr *dns;               /* resolvers; none: the system's */
	size_t n_dns;
	uint64_t drain_timeout, link_timeout; /* microseconds */
	uint64_t memory;                      /* bytes that all sessions together may hold unread */
	uint64_t max_window;                  /* bytes, a stream's ceiling */
	uint32_t transports;                  /* of one link over a long path */
	enum log_level log_level;
	struct conf_endpoint metrics;    /* where they are served; without text: nowhere */
	struct conf_account user, group; /* whom to run as */
	bool hardening;                  /* false: for debugging */
	bool secured;                    /* an address of it is */
	struct mem *mem;                 /* what conf_free() gives all of it back to */
};

/* Takes one finished line of text about one error; no newline. */
typedef void conf_report(void *ctx, const char *message);

struct conf_source {
	const char *file; /* the name to use in messages */
	const char *text; /* n bytes, not NUL-terminated, may hold anything */
	size_t n;
};

/*
 * Parses and validates.  On success 0 and *out, to be freed with conf_free().
 * ERR_INVALID after at least one report(), one for each error, up to
 * CONF_ERRORS_MAX and a line that counts the rest; ERR_NOMEM (reported too).  *out is
 * NULL unless 0 is returned.  Not for two threads at once: inih, which splits the
 * lines, keeps its settings in globals.
 */
int conf_parse(struct conf **out, enum conf_role role, const struct conf_source *src,
	struct mem *mem, conf_report *report, void *ctx);

/* Frees all of it.  NULL does nothing. */
void conf_free(struct conf *conf);

/* Which binary's file, and which kind of section, may hold a key. */
enum conf_where {
	CONF_IN_GLOBAL = 1 << 0,
	CONF_IN_SERVICE = 1 << 1,
	CONF_FOR_CONTROLLER = 1 << 2,
	CONF_FOR_SEGMENT = 1 << 3,
};

/* What a value is; says also what stands at the field's place. */
enum conf_type {
	CONF_BIND,            /* struct conf_endpoint, a literal address */
	CONF_SERVER,          /* appended to servers; host names too, and a controller's bus:NAME */
	CONF_LISTEN,          /* appended to listens, a literal address */
	CONF_CONNECT,         /* appended to connects; host names too */
	CONF_RESOLVER,        /* appended to dns */
	CONF_NAME,            /* char *, 1 .. CONF_NAME_MAX bytes of UTF-8 */
	CONF_PATH,            /* char *, a file; beside the text's own where it is relative */
	CONF_METRICS,         /* struct conf_endpoint, a literal address, never bus:// */
	CONF_ACCOUNT,         /* struct conf_account */
	CONF_SWITCH,          /* bool */
	CONF_MODE,            /* enum conf_mode */
	CONF_BALANCE,         /* enum conf_balance */
	CONF_FANOUT,          /* enum conf_fanout */
	CONF_LEVEL,           /* enum log_level */
	CONF_DURATION,        /* uint64_t, microseconds */
	CONF_DURATION_OR_OFF, /* the same, and 0 stands for "off" */
	CONF_SIZE,            /* uint64_t, bytes */
	CONF_COUNT,           /* uint32_t */
};

/* One row of the key table: what the parser, --help and the manual's check share. */
struct conf_key {
	const char *name;     /* lower case */
	const char *alias;    /* another name of the same key, or NULL */
	unsigned where;       /* enum conf_where */
	bool repeatable;      /* may stand more than once in a section */
	bool required;        /* must stand in every section of its kind */
	const char *expected; /* what a value looks like, for messages and the manual */
	const char *fallback; /* the default as it would be written; NULL: none */
	const char *help;     /* one line */
	enum conf_type type;
	uint64_t min, max; /* of a duration, a size or a count, both allowed */
	size_t field;      /* offset in struct conf or struct conf_service, by `where` */
};

/* All keys, in the order of the manual; *n gets their number. */
const struct conf_key *conf_keys(size_t *n);

#endif
