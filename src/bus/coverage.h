/*
 * coverage - whether tokens cover what the configuration wants: this node's own, and at all.
 *
 * A token that was issued anew with an option forgotten is valid, and nobody would know before
 * clients are refused.  A plain address that was left beside secured ones asks for none, and
 * nobody would know at all.
 */
#ifndef CB_BUS_COVERAGE_H
#define CB_BUS_COVERAGE_H

#include "conf/conf.h"
#include "crypto/token.h"

#include <stddef.h>

enum { COVERAGE_LINES = 16 }; /* services that are named in one look */

/*
 * A warning for each service that leads over a secured link and that the token does not let this
 * node serve, or open; one more for those beyond COVERAGE_LINES.  path: of the token, for the log.
 * Returns how many there are.
 */
size_t coverage_check(const struct conf *conf, const struct token *own, const char *path);

/*
 * A warning for each address of the kind of TCP of a configuration with secured ones by which
 * others come in, or are dialled as controllers, without a token; and for those beyond
 * COVERAGE_LINES.  Returns how many there are.  (The file of a Unix socket has permissions, and a
 * server that is to be plain is a matter of its own section.)
 */
size_t coverage_check_plain(const struct conf *conf);

#endif
