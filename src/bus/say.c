#include "bus/say.h"

#include "base/hash.h"
#include "bus/session.h"
#include "bus/transport.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* `who` is a hash of whom it is about. */
__attribute__((format(printf, 4, 0))) static void say(
	struct bus *bus, uint64_t who, enum log_level level, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX], more[CHATTER_ROOM];
	uint64_t source = hash_u64(who + (uint64_t)level, bus->seed) % SAY_SOURCES;
	if (!log_enabled(level) ||
		!chatter_may(&bus->say.of[source], SAY_BURST, bus_now(bus), more))
		return;
	(void)vsnprintf(line, sizeof line - CHATTER_ROOM, fmt, ap);
	log_write(level, "%s%s", line, more);
}

static uint64_t by_name(const struct bus *bus, const char *name)
{
	return hash_bytes(name, strlen(name), bus->seed);
}

/* An IPv4 address also where it comes as one of IPv6. */
static uint64_t by_address(const struct bus *bus, const struct addr *at)
{
	const uint8_t *bytes = NULL;
	size_t n = 0;
	if (addr_family(at) == AF_INET) {
		bytes = (const uint8_t *)&at->in.sin_addr;
		n = 4;
	} else if (addr_family(at) == AF_INET6) {
		bool mapped = IN6_IS_ADDR_V4MAPPED(&at->in6.sin6_addr);
		bytes = at->in6.sin6_addr.s6_addr + (mapped ? 12 : 0);
		n = mapped ? 4 : 8;
	}
	return hash_bytes(bytes != NULL ? bytes : (const uint8_t *)"", n, bus->seed);
}

void say_about(struct bus *bus, const char *name, enum log_level level, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(bus, by_name(bus, name), level, fmt, ap);
	va_end(ap);
}

void say_session(const struct session *s, enum log_level level, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(s->bus, by_name(s->bus, s->service->name), level, fmt, ap);
	va_end(ap);
}

void say_address(struct bus *bus, const struct addr *at, enum log_level level, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(bus, by_address(bus, at), level, fmt, ap);
	va_end(ap);
}

void say_peer(const struct transport *t, enum log_level level, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	uint64_t who = t->sealed != NULL ? by_name(t->bus, secure_peer(t->sealed->secure)->node)
					 : by_address(t->bus, &t->peer);
	say(t->bus, who, level, fmt, ap);
	va_end(ap);
}

const char *say_where(const struct addr *at, bool secured)
{
	static char text[sizeof "bus+" + ADDR_TEXT_MAX];
	char plain[ADDR_TEXT_MAX];
	addr_format(at, plain);
	bool tcp = strncmp(plain, "tcp:", 4) == 0;
	if (!secured)
		(void)snprintf(text, sizeof text, "%s", plain);
	else
		(void)snprintf(
			text, sizeof text, "%s%s", tcp ? "bus" : "bus+", plain + (tcp ? 3 : 0));
	return text;
}

const char *say_who(const struct transport *t)
{
	static char text[ADDR_TEXT_MAX + NAME_ROOM + sizeof "node bus+ ()"];
	const char *addr = say_where(&t->peer, t->sealed != NULL);
	if (t->sealed == NULL)
		snprintf(text, sizeof text, "%s", addr);
	else
		snprintf(text, sizeof text, "%s (%s)", secure_peer_name(t->sealed->secure), addr);
	return text;
}
