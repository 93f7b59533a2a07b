#include "conf/conf_keys.h"

#include <assert.h>
#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* A bound is written once, as the user would write it, and is number and text. */
#define U_us UINT64_C(1)
#define U_ms (1000 * U_us)
#define U_s (1000 * U_ms)
#define U_m (60 * U_s)
#define U_h (60 * U_m)
#define U_d (24 * U_h)
#define U_K (UINT64_C(1) << 10)
#define U_M (UINT64_C(1) << 20)
#define U_G (UINT64_C(1) << 30)

#define DURATION(lo, lo_unit, hi, hi_unit)                                                         \
	.type = CONF_DURATION, .min = lo * U_##lo_unit, .max = hi * U_##hi_unit,                   \
	.expected = "a duration from " #lo #lo_unit " to " #hi #hi_unit
#define DURATION_OR_OFF(lo, lo_unit, hi, hi_unit)                                                  \
	.type = CONF_DURATION_OR_OFF, .min = lo * U_##lo_unit, .max = hi * U_##hi_unit,            \
	.expected = "off, or a duration from " #lo #lo_unit " to " #hi #hi_unit
#define SIZE(lo, lo_unit, hi, hi_unit)                                                             \
	.type = CONF_SIZE, .min = lo * U_##lo_unit, .max = hi * U_##hi_unit,                       \
	.expected = "a size from " #lo #lo_unit " to " #hi #hi_unit
#define COUNT(lo, hi)                                                                              \
	.type = CONF_COUNT, .min = lo, .max = hi, .expected = "a number from " #lo " to " #hi

#define FILE_NAME .type = CONF_PATH, .expected = "a file, of at most 4095 bytes"
#define SECURED ", and between nodes bus:// for tcp:// and bus+unix:// for unix://"

#define IN_CONF(member) .field = offsetof(struct conf, member)
#define IN_SERVICE(member) .field = offsetof(struct conf_service, member)

enum {
	BOTH = CONF_FOR_CONTROLLER | CONF_FOR_SEGMENT,
	GLOBAL = CONF_IN_GLOBAL | BOTH,
	SERVICE = CONF_IN_SERVICE | BOTH,
	CONTROLLER = CONF_IN_SERVICE | CONF_FOR_CONTROLLER,
};

static const struct conf_key table[] = {
	{.name = "bind",
		.where = SERVICE,
		.required = true,
		.type = CONF_BIND,
		.expected =
			"tcp://IPv4:port, tcp://[IPv6]:port, unix:///path or unix://@name" SECURED,
		.help = "where the service accepts",
		IN_SERVICE(bind)},
	{.name = "server",
		.alias = "backend",
		.where = SERVICE,
		.repeatable = true,
		.required = true,
		.type = CONF_SERVER,
		.expected =
			"tcp://IPv4:port, tcp://[IPv6]:port, tcp://host:port, unix:///path "
			"or unix://@name" SECURED "; on a controller with listen= also bus:SERVICE",
		.help = "where its sessions lead; several make a fan-out",
		IN_SERVICE(servers)},
	{.name = "mode",
		.where = SERVICE,
		.type = CONF_MODE,
		.expected = "half duplex or full duplex",
		.fallback = "half duplex",
		.help = "whether the first member that answers has the session for itself",
		IN_SERVICE(mode)},
	{.name = "balance",
		.where = CONTROLLER,
		.type = CONF_BALANCE,
		.expected = "round_robin or least_sessions",
		.fallback = "round_robin",
		.help = "which of the segments that serve a bus:SERVICE has the next session",
		IN_SERVICE(balance)},
	{.name = "fanout",
		.where = CONTROLLER,
		.type = CONF_FANOUT,
		.expected = "one or all",
		.fallback = "one",
		.help = "how many of the segments that serve a bus:SERVICE have a session together",
		IN_SERVICE(fanout)},
	{.name = "service",
		.where = CONTROLLER,
		.type = CONF_NAME,
		.expected = "a name of 1 to 255 bytes of UTF-8 without control characters",
		.help = "the name to ask the segment for, where it is not the section's",
		IN_SERVICE(service)},
	{.name = "connect_timeout",
		.where = SERVICE,
		DURATION(10, ms, 1, h),
		.fallback = "5s",
		.help = "how long a new session may wait for its far side",
		IN_SERVICE(connect_timeout)},
	{.name = "idle_timeout",
		.where = SERVICE,
		DURATION_OR_OFF(100, ms, 365, d),
		.fallback = "off",
		.help = "ends a session on which no byte has moved for so long",
		IN_SERVICE(idle_timeout)},
	{.name = "member_timeout",
		.where = CONTROLLER,
		DURATION(100, ms, 1, d),
		.fallback = "30s",
		.help = "drops a fan-out member that takes no byte for so long",
		IN_SERVICE(member_timeout)},
	{.name = "max_sessions",
		.where = SERVICE,
		COUNT(0, 1000000),
		.fallback = "0",
		.help = "sessions of this service at a time; 0: no limit of its own",
		IN_SERVICE(max_sessions)},
	{.name = "listen",
		.where = CONF_IN_GLOBAL | CONF_FOR_CONTROLLER,
		.repeatable = true,
		.type = CONF_LISTEN,
		.expected =
			"tcp://IPv4:port, tcp://[IPv6]:port, unix:///path or unix://@name" SECURED,
		.help = "where segments that cannot be dialled dial to",
		IN_CONF(listens)},
	{.name = "connect",
		.where = CONF_IN_GLOBAL | CONF_FOR_SEGMENT,
		.repeatable = true,
		.type = CONF_CONNECT,
		.expected = "tcp://IPv4:port, tcp://[IPv6]:port, tcp://host:port, unix:///path "
			    "or unix://@name" SECURED,
		.help = "a controller to dial, and to serve over that link",
		IN_CONF(connects)},
	{.name = "dns",
		.where = GLOBAL,
		.repeatable = true,
		.type = CONF_RESOLVER,
		.expected = "IPv4, IPv4:port, IPv6 or [IPv6]:port",
		.help = "a name server to ask instead of the system's; port 53 unless given",
		IN_CONF(dns)},
	{.name = "drain_timeout",
		.where = GLOBAL,
		DURATION(0, s, 7, d),
		.fallback = "30s",
		.help = "how long open sessions may go on after SIGTERM",
		IN_CONF(drain_timeout)},
	{.name = "link_timeout",
		.where = GLOBAL,
		DURATION(100, ms, 1, h),
		.fallback = "30s",
		.help = "a transport that brings no byte for so long is dead",
		IN_CONF(link_timeout)},
	{.name = "memory",
		.where = GLOBAL,
		SIZE(1, M, 1024, G),
		.fallback = "256M",
		.help = "bytes that all sessions together may hold unread",
		IN_CONF(memory)},
	{.name = "max_window",
		.where = GLOBAL,
		SIZE(64, K, 1, G),
		.fallback = "16M",
		.help = "bytes that one session may have under way, at most",
		IN_CONF(max_window)},
	{.name = "transports",
		.where = GLOBAL,
		COUNT(1, 32),
		.fallback = "8",
		.help = "connections to one node that is dialled, over a path of more than 2 ms "
			"round trip",
		IN_CONF(transports)},
	{.name = "trust",
		.where = GLOBAL,
		FILE_NAME,
		.help = "what every node of the bus has, made by cloudbus init",
		IN_CONF(trust)},
	{.name = "identity",
		.where = GLOBAL,
		FILE_NAME,
		.help = "the key of this node, NAME.key",
		IN_CONF(identity)},
	{.name = "token",
		.where = GLOBAL,
		FILE_NAME,
		.help = "what this node may do, NAME.token, made by cloudbus issue",
		IN_CONF(token)},
	{.name = "revoked",
		.where = GLOBAL,
		FILE_NAME,
		.help = "tokens and nodes that count no more, one a line",
		IN_CONF(revoked)},
	{.name = "log",
		.where = GLOBAL,
		.type = CONF_LEVEL,
		.expected = "error, warning, notice, info or debug",
		.fallback = "info",
		.help = "the least important level that is logged",
		IN_CONF(log_level)},
	{.name = "metrics",
		.where = GLOBAL,
		.type = CONF_METRICS,
		.expected = "tcp://IPv4:port, tcp://[IPv6]:port, unix:///path or unix://@name",
		.help = "where GET /metrics is answered, for Prometheus",
		IN_CONF(metrics)},
	{.name = "user",
		.where = GLOBAL,
		.type = CONF_ACCOUNT,
		.expected = "the name or the number of a user",
		.help = "whom to become at the start; whatever is read or bound must be theirs",
		IN_CONF(user)},
	{.name = "group",
		.where = GLOBAL,
		.type = CONF_ACCOUNT,
		.expected = "the name or the number of a group",
		.help = "the group to run in; the user's own unless given",
		IN_CONF(group)},
	{.name = "hardening",
		.where = GLOBAL,
		.type = CONF_SWITCH,
		.expected = "on or off",
		.fallback = "on",
		.help = "whether the process gives up what it does not need; off to debug it",
		IN_CONF(hardening)},
};

enum { ROWS = sizeof table / sizeof table[0] };
static_assert((int)ROWS <= (int)CONF_KEYS_MAX, "a set of keys must fit in 32 bits");

const struct conf_key *conf_keys(size_t *n)
{
	*n = ROWS;
	return table;
}

const struct conf_key *conf_keys_find(const char *name)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (strcasecmp(table[i].name, name) == 0 ||
			(table[i].alias != NULL && strcasecmp(table[i].alias, name) == 0))
			return &table[i];
	}
	return NULL;
}

unsigned conf_keys_index(const struct conf_key *key)
{
	return (unsigned)(key - table);
}

bool conf_keys_allowed(const struct conf_key *key, enum conf_where section, enum conf_role role)
{
	unsigned file = role == CONF_CONTROLLER ? CONF_FOR_CONTROLLER : CONF_FOR_SEGMENT;
	return (key->where & section) != 0 && (key->where & file) != 0;
}

enum { WORD_MAX = 32 }; /* bytes; nothing longer is near to any key */

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;
	return m < c ? m : c;
}

/* Letters to insert, delete or change to make b (lower case) of a (any case). */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1];
	size_t nb = strlen(b);
	assert(nb <= WORD_MAX);
	for (size_t j = 0; j <= nb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		unsigned diagonal = row[0];
		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < nb; j++) {
			unsigned change = diagonal + (tolower((unsigned char)a[i]) != b[j]);
			diagonal = row[j + 1];
			row[j + 1] = least(change, diagonal + 1, row[j] + 1);
		}
	}
	return row[nb];
}

const struct conf_key *conf_keys_nearest(
	const char *name, enum conf_where section, enum conf_role role, const char **word)
{
	size_t n = strnlen(name, WORD_MAX + 1);
	if (n > WORD_MAX)
		return NULL;
	/* Two errors in a word of three letters would make any word of any other. */
	unsigned best = n <= 3 ? 2 : 3;
	const struct conf_key *nearest = NULL;
	for (size_t i = 0; i < ROWS; i++) {
		const char *names[] = {table[i].name, table[i].alias};
		for (size_t k = 0; k < 2 && names[k] != NULL; k++) {
			if (!conf_keys_allowed(&table[i], section, role))
				continue;
			unsigned d = distance(name, names[k]);
			if (d < best) {
				best = d;
				nearest = &table[i];
				*word = names[k];
			}
		}
	}
	return nearest;
}
