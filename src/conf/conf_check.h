/*
 * conf_check - what only all services together can show.
 *
 * A section twice, a required key that stands nowhere, two services of a controller on one
 * address, a secured address without what it takes, a service that nothing leads to.  Costs
 * O(services).
 */
#ifndef CB_CONF_CONF_CHECK_H
#define CB_CONF_CONF_CHECK_H

#include "base/hash.h"
#include "conf/conf_errors.h"

/* What the reading leaves behind about a service. */
struct conf_check {
	unsigned tried; /* keys, by index, that the section seems to have meant to give */
	bool readable;  /* its name is what the user meant */
	struct hash_node by_name, by_bind;
};

/*
 * Adds the errors, and gives each service without service= its own name for it, and one
 * without a server that name on the bus, where there is one.
 * `checks` has one for each service and stays where it is; `tried` are the keys of
 * [Cloudbus], by index, that the text seems to have meant to give.  0 or ERR_NOMEM.
 */
int conf_check_services(
	struct conf *conf, struct conf_check *checks, unsigned tried, struct conf_errors *errors);

#endif
