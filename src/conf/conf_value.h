/*
 * conf_value - one value's text becomes a value.
 *
 * Each function takes the text as the INI reader leaves it, NUL-terminated and
 * without blanks around it.  Each returns 0, or ERR_INVALID; where it takes
 * `expected`, it then may set *expected to words that fit the mistake better than
 * the key's own.  Nothing is allocated: what is returned points into the text or to
 * static storage.
 */
#ifndef CB_CONF_CONF_VALUE_H
#define CB_CONF_CONF_VALUE_H

#include "conf/conf.h"

/* Whether s is a service's name: 1 to CONF_NAME_MAX bytes of printable UTF-8. */
bool conf_value_is_name(const char *s, size_t n);

/* A duration, a size or a count, within the key's bounds. */
int conf_value_number(
	uint64_t *out, const struct conf_key *key, const char *text, const char **expected);

int conf_value_mode(enum conf_mode *out, const char *text);

int conf_value_balance(enum conf_balance *out, const char *text);

int conf_value_fanout(enum conf_fanout *out, const char *text);

int conf_value_level(enum log_level *out, const char *text);

/* "on" or "off", in any case. */
int conf_value_switch(bool *out, const char *text);

/* A parsed address; `host` points into the text, as written, and is NULL for a literal. */
struct conf_value_address {
	struct addr addr;
	const char *host;
	size_t host_n;
	uint16_t port;
	bool secured;
};

/* The name in bus:NAME, which is no address; NULL where the text is something else. */
const char *conf_value_bus_name(const char *text);

/*
 * An address; of CONF_BIND, CONF_LISTEN and CONF_METRICS a literal one, otherwise perhaps a host's
 * name.
 */
int conf_value_address(struct conf_value_address *out, enum conf_type type, const char *text,
	const char **expected);

/* A dns= address; port 53 unless it says otherwise. */
int conf_value_resolver(struct addr *out, const char *text, const char **expected);

#endif
