/*
 * coverage - whether this node's own token allows what its configuration wants.
 *
 * A token that was issued anew with an option forgotten is valid, and nobody would know before
 * clients are refused.
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

#endif
