/*
 * server_dial - a server that is dialled: a name or an address, and the links it leads to now.
 *
 * A name with several addresses is one server: new sessions take turns over those of its
 * links that are up.  When the answer's time to live has passed, the name is asked
 * anew; new sessions follow the new addresses, old ones stay where they are.
 */
#ifndef CB_BUS_SERVER_DIAL_H
#define CB_BUS_SERVER_DIAL_H

#include "bus/server.h"

/* As server_new(). */
int server_dial_new(struct server **out, const struct server_options *opt);

#endif
