/*
 * conf_equal - whether two configurations say the same of something.
 *
 * How it was written, and in which line, does not count.
 */
#ifndef CB_CONF_CONF_EQUAL_H
#define CB_CONF_CONF_EQUAL_H

#include "conf/conf.h"

/* The same address or name, with the same scheme; or both are none. */
bool conf_equal_endpoint(const struct conf_endpoint *a, const struct conf_endpoint *b);

/* Everything but the name of the section. */
bool conf_equal_service(const struct conf_service *a, const struct conf_service *b);

/* The revocation list's file. */
bool conf_equal_revoked(const struct conf *a, const struct conf *b);

/* The addresses of listen=, of connect=, in whatever order. */
bool conf_equal_links(const struct conf *a, const struct conf *b);

/* The user, the group, the hardening: what only a start can change. */
bool conf_equal_process(const struct conf *a, const struct conf *b);

#endif
