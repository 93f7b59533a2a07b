#include "conf/conf_value.h"

#include "base/err.h"
#include "base/utf8.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

enum { DNS_PORT = 53, LABEL_MAX = 63 };

static const char expected_port[] = "a port from 1 to 65535";

bool conf_value_is_name(const char *s, size_t n)
{
	return n > 0 && n <= CONF_NAME_MAX && utf8_printable(s, n);
}

/* --- numbers ------------------------------------------------------------------ */

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit durations[] = {
	{"ms", 1000},
	{"s", 1000000},
	{"m", UINT64_C(60) * 1000000},
	{"h", UINT64_C(3600) * 1000000},
	{"d", UINT64_C(86400) * 1000000},
	{NULL, 0},
};
static const struct unit sizes[] = {
	{"", 1},
	{"K", UINT64_C(1) << 10},
	{"k", UINT64_C(1) << 10},
	{"M", UINT64_C(1) << 20},
	{"m", UINT64_C(1) << 20},
	{"G", UINT64_C(1) << 30},
	{"g", UINT64_C(1) << 30},
	{NULL, 0},
};
static const struct unit counts[] = {{"", 1}, {NULL, 0}};

static const struct unit *find_unit(const struct unit *u, const char *name)
{
	while (u->name != NULL && strcmp(u->name, name) != 0)
		u++;
	return u->name != NULL ? u : NULL;
}

/* The digits at *s, which moves behind them.  A number too great for 64 bits: ERR_INVALID. */
static int take_digits(uint64_t *out, const char **s)
{
	const char *p = *s;
	uint64_t v = 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return ERR_INVALID;
	}
	if (p == *s)
		return ERR_INVALID;
	*s = p;
	*out = v;
	return 0;
}

int conf_value_number(
	uint64_t *out, const struct conf_key *key, const char *text, const char **expected)
{
	bool duration = key->type == CONF_DURATION || key->type == CONF_DURATION_OR_OFF;
	const struct unit *units = duration ? durations : key->type == CONF_SIZE ? sizes : counts;
	uint64_t v;
	if (key->type == CONF_DURATION_OR_OFF && strcasecmp(text, "off") == 0) {
		*out = 0;
		return 0;
	}
	if (take_digits(&v, &text) != 0)
		return ERR_INVALID;
	bool zero_ok = key->min == 0 || key->type == CONF_DURATION_OR_OFF;
	const struct unit *unit = find_unit(units, text);
	if (unit == NULL) {
		if (duration && *text == '\0' && !(v == 0 && zero_ok))
			*expected = "a unit after the number: ms, s, m, h or d";
		if (!(v == 0 && zero_ok && *text == '\0'))
			return ERR_INVALID;
	} else if (__builtin_mul_overflow(v, unit->factor, &v)) {
		return ERR_INVALID;
	}
	if ((v < key->min && !(v == 0 && zero_ok)) || v > key->max)
		return ERR_INVALID;
	*out = v;
	return 0;
}

/* --- words -------------------------------------------------------------------- */

int conf_value_mode(enum conf_mode *out, const char *text)
{
	if (strcasecmp(text, "half duplex") == 0 || strcasecmp(text, "half_duplex") == 0)
		*out = CONF_HALF_DUPLEX;
	else if (strcasecmp(text, "full duplex") == 0 || strcasecmp(text, "full_duplex") == 0)
		*out = CONF_FULL_DUPLEX;
	else
		return ERR_INVALID;
	return 0;
}

int conf_value_switch(bool *out, const char *text)
{
	if (strcasecmp(text, "on") == 0)
		*out = true;
	else if (strcasecmp(text, "off") == 0)
		*out = false;
	else
		return ERR_INVALID;
	return 0;
}

int conf_value_balance(enum conf_balance *out, const char *text)
{
	if (strcasecmp(text, "round_robin") == 0 || strcasecmp(text, "round robin") == 0)
		*out = CONF_ROUND_ROBIN;
	else if (strcasecmp(text, "least_sessions") == 0 || strcasecmp(text, "least sessions") == 0)
		*out = CONF_LEAST_SESSIONS;
	else
		return ERR_INVALID;
	return 0;
}

int conf_value_fanout(enum conf_fanout *out, const char *text)
{
	if (strcasecmp(text, "one") == 0)
		*out = CONF_FANOUT_ONE;
	else if (strcasecmp(text, "all") == 0)
		*out = CONF_FANOUT_ALL;
	else
		return ERR_INVALID;
	return 0;
}

int conf_value_level(enum log_level *out, const char *text)
{
	for (unsigned i = LOG_ERROR; i <= LOG_DEBUG; i++) {
		if (strcasecmp(text, log_level_name((enum log_level)i)) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	}
	return ERR_INVALID;
}

/* --- addresses ---------------------------------------------------------------- */

static int parse_port(uint16_t *out, const char *text)
{
	uint64_t v;
	if (strnlen(text, 6) > 5 || take_digits(&v, &text) != 0 || *text != '\0' || v == 0 ||
		v > UINT16_MAX)
		return ERR_INVALID;
	*out = (uint16_t)v;
	return 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' ||
	       c == '_';
}

/* One label: not empty, not too long, no hyphen at an end (RFC 1123, section 2.1). */
static bool is_label(const char *s, size_t n)
{
	if (n == 0 || n > LABEL_MAX || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_host_char(s[i]))
			return false;
	}
	return true;
}

static int check_host(const char *s, size_t n, const char **expected)
{
	const char *end = s + n;
	if (n > CONF_HOST_MAX) {
		*expected = "a host name of at most 253 bytes";
		return ERR_INVALID;
	}
	if (n > 0 && end[-1] == '.')
		end--;
	for (const char *label = s, *dot;; label = dot + 1) {
		dot = memchr(label, '.', (size_t)(end - label));
		size_t len = (size_t)((dot != NULL ? dot : end) - label);
		if (!is_label(label, len)) {
			*expected = "an address or a host name: labels of 1 to 63 letters, digits, "
				    "'-' or '_', with dots between";
			return ERR_INVALID;
		}
		if (dot != NULL)
			continue;
		/* No top-level domain is a number: this was to be an address. */
		if (strspn(label, "0123456789") >= len) {
			*expected = "an IPv4 address of four numbers from 0 to 255";
			return ERR_INVALID;
		}
		return 0;
	}
}

/* "host:port" or "[IPv6]:port". */
static int parse_tcp(struct conf_value_address *out, enum conf_type type, const char *text,
	const char **expected)
{
	const char *host = text, *end = strrchr(text, ':'), *port;
	bool brackets = text[0] == '[';
	if (brackets) {
		host++;
		end = strchr(host, ']');
		if (end == NULL) {
			*expected = "a closing ']' after the IPv6 address";
			return ERR_INVALID;
		}
		port = end[1] == ':' ? end + 2 : NULL;
	} else {
		if (end != NULL && end != strchr(text, ':')) {
			*expected = "an IPv6 address in brackets, as in tcp://[::1]:9000";
			return ERR_INVALID;
		}
		port = end != NULL ? end + 1 : NULL;
		end = end != NULL ? end : text + strlen(text);
	}
	size_t n = (size_t)(end - host);
	if (port == NULL || parse_port(&out->port, port) != 0) {
		*expected = expected_port;
		return ERR_INVALID;
	}
	bool literal = addr_from_literal(&out->addr, host, n, out->port) == 0;
	if (brackets) {
		if (literal && addr_family(&out->addr) == AF_INET6)
			return 0;
		*expected = "an IPv6 address between the brackets";
		return ERR_INVALID;
	}
	if (literal)
		return 0;
	if (check_host(host, n, expected) != 0)
		return ERR_INVALID;
	if (type == CONF_BIND || type == CONF_LISTEN || type == CONF_METRICS) {
		*expected = "an IPv4 or [IPv6] address here, not a host name";
		return ERR_INVALID;
	}
	out->host = host;
	out->host_n = n;
	return 0;
}

static_assert(ADDR_UNIX_MAX == 107, "as parse_unix() says");

/* "/path" or "@name". */
static int parse_unix(struct addr *out, const char *text, const char **expected)
{
	bool abstract = text[0] == '@';
	const char *name = text + (abstract ? 1 : 0);
	if (!abstract && text[0] != '/') {
		*expected = "an absolute path, unix:///path, or an abstract name, unix://@name";
		return ERR_INVALID;
	}
	for (const char *p = name; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			*expected = "a path or name without control characters";
			return ERR_INVALID;
		}
	}
	if (addr_from_unix(out, name, strnlen(name, ADDR_UNIX_MAX + 1), abstract) != 0) {
		*expected = abstract ? "an abstract name of 1 to 107 bytes"
				     : "a path of at most 107 bytes";
		return ERR_INVALID;
	}
	return 0;
}

const char *conf_value_bus_name(const char *text)
{
	bool is_name = strncasecmp(text, "bus:", 4) == 0 && strncmp(text + 4, "//", 2) != 0;
	return is_name ? text + 4 : NULL;
}

int conf_value_address(struct conf_value_address *out, enum conf_type type, const char *text,
	const char **expected)
{
	memset(out, 0, sizeof *out);
	out->secured = strncasecmp(text, "bus", 3) == 0;
	if (strncasecmp(text, "tcp://", 6) == 0 || strncasecmp(text, "bus://", 6) == 0)
		return parse_tcp(out, type, text + 6, expected);
	if (strncasecmp(text, "unix://", 7) == 0)
		return parse_unix(&out->addr, text + 7, expected);
	if (strncasecmp(text, "bus+unix://", 11) == 0)
		return parse_unix(&out->addr, text + 11, expected);
	return ERR_INVALID;
}

int conf_value_resolver(struct addr *out, const char *text, const char **expected)
{
	struct conf_value_address a = {.port = 0};
	size_t n = strlen(text);
	if (addr_from_literal(out, text, n, DNS_PORT) == 0)
		return 0;
	if (n >= 2 && text[0] == '[' && text[n - 1] == ']' &&
		addr_from_literal(out, text + 1, n - 2, DNS_PORT) == 0 &&
		addr_family(out) == AF_INET6)
		return 0;
	/* With a port it has bind='s form; without one, the key's own words say more. */
	const char *why = NULL;
	if (parse_tcp(&a, CONF_BIND, text, &why) != 0) {
		if (why == expected_port && strchr(text, ':') != NULL)
			*expected = why;
		return ERR_INVALID;
	}
	*out = a.addr;
	return 0;
}
