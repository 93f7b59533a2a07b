/*
 * say - lines of the log that a peer or a client can cause: SAY_BURST at once and CHATTER_LINES
 * a second of each level about each peer, link or service, so that a loud one neither fills the
 * log nor hides what is said of the others.  The next line says how many were left out.
 *
 * There are SAY_SOURCES of these bounds.  Which of them counts for whom is by chance, so that
 * nobody can choose to share one with somebody else.
 *
 * What this node does by itself, or its administrator, is logged with log.h.
 */
#ifndef CB_BUS_SAY_H
#define CB_BUS_SAY_H

#include "base/addr.h"
#include "base/log.h"
#include "bus/chatter.h"

enum {
	SAY_BURST = 256,
	SAY_SOURCES = 256,
};

struct bus;
struct session;
struct transport;

/* Zeroed, nothing was said yet. */
struct say {
	struct chatter of[SAY_SOURCES];
};

/* As log_write(): about what has this name, of a service or a link; */
void say_about(struct bus *bus, const char *name, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* about the session, which is to say about its service; */
void say_session(const struct session *s, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* about whoever is at this address, whatever port it has; of IPv6, at this /64; */
void say_address(struct bus *bus, const struct addr *at, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* about the peer: the authenticated node, where it is one, or its address. */
void say_peer(const struct transport *t, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * An address as the configuration writes it: bus:// where what is there is secured.  Static
 * storage.
 */
const char *say_where(const struct addr *at, bool secured);

/* Who is at the other end: "node NAME (ADDRESS)", or the address; static storage. */
const char *say_who(const struct transport *t);

#endif
