/*
 * conf_field - a key's text goes into its field of struct conf or struct conf_service.
 */
#ifndef CB_CONF_CONF_FIELD_H
#define CB_CONF_CONF_FIELD_H

#include "conf/conf_errors.h"

struct conf_field {
	struct conf *conf;
	struct conf_service *service; /* of a service's key; else NULL */
	const struct conf_key *key;
	const struct conf_place *at; /* with the value's text */
	unsigned first;              /* the line in which the key stood before; 0: in none */
	struct conf_errors *errors;
};

/*
 * Sets the field, or adds to it where the key is repeatable; or adds an error and leaves
 * the field as it was.  0 in both cases, or ERR_NOMEM.
 */
int conf_field_set(const struct conf_field *f);

/* A copy of n bytes in place of *out, which is freed.  0 or ERR_NOMEM. */
int conf_field_copy(struct mem *mem, char **out, const char *s, size_t n);

/* The endpoint of bus:NAME.  0 or ERR_NOMEM. */
int conf_field_bus(struct mem *mem, struct conf_endpoint *out, const char *name, unsigned line);

/* Appends to an array, whose endpoint it becomes.  0 or ERR_NOMEM. */
int conf_field_append(
	struct mem *mem, struct conf_endpoint **array, size_t *n, const struct conf_endpoint *e);

/* Frees what it holds. */
void conf_field_free_endpoint(struct mem *mem, struct conf_endpoint *e);

/* Frees all that the service holds. */
void conf_field_fini(struct mem *mem, struct conf_service *service);

#endif
