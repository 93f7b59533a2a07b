/*
 * server_bus - server=bus:SERVICE: the segments that have dialled this controller and serve
 * the name now.  Sessions take turns over them, or go to the one with the fewest, or have all
 * of them as members.  Nobody waits for a name that nobody serves; but who waits for a server
 * that is dialled, beside it, is told of the first segment that comes and serves it.
 */
#ifndef CB_BUS_SERVER_BUS_H
#define CB_BUS_SERVER_BUS_H

#include "bus/server.h"

/* As server_new(). */
int server_bus_new(struct server **out, const struct server_options *opt);

#endif
