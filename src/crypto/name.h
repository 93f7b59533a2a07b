/*
 * name - the names of buses, nodes and customers.
 *
 * They become file names, lines of a revocation list and words of a log, so they are plain:
 * 1 to NAME_MAX_BYTES letters, digits, '.', '-' and '_' of ASCII, the first a letter or a
 * digit.  They are compared byte by byte.  (Names of services are another matter: see
 * pattern.h.)
 */
#ifndef CB_CRYPTO_NAME_H
#define CB_CRYPTO_NAME_H

#include <stdbool.h>
#include <stddef.h>

enum { NAME_MAX_BYTES = 64, NAME_ROOM = NAME_MAX_BYTES + 1 };

/* What name_valid asks for, as it stands in messages. */
#define NAME_EXPECTED "1 to 64 letters, digits, '.', '-' or '_', a letter or digit first"

bool name_valid(const char *s, size_t n);

#endif
