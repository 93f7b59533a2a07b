/*
 * conf_keys - the key table and how a name is looked up in it.
 *
 * conf.h has the row; conf_keys() gives the whole table.
 */
#ifndef CB_CONF_CONF_KEYS_H
#define CB_CONF_CONF_KEYS_H

#include "conf/conf.h"

enum { CONF_KEYS_MAX = 32 }; /* rows, so that a set of them fits in 32 bits */

/* The row of a name or alias, in any case; NULL when there is none. */
const struct conf_key *conf_keys_find(const char *name);

/* A row's place in the table. */
unsigned conf_keys_index(const struct conf_key *key);

/* Whether the row may stand in this kind of section of this role's file. */
bool conf_keys_allowed(const struct conf_key *key, enum conf_where section, enum conf_role role);

/*
 * The allowed row whose name or alias is at most two typing errors away, one where the word
 * is of three letters or less; *word is then that name.  NULL when there is none.
 */
const struct conf_key *conf_keys_nearest(
	const char *name, enum conf_where section, enum conf_role role, const char **word);

#endif
