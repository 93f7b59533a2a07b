/*
 * loadgen - load generator and test server for stream proxies: single-threaded, epoll.
 *
 * A client prints lines of key=value pairs and exits 0 only if nothing failed: no refused
 * or reset connection, no time-out, no lost and no corrupt byte.  2: it could not try.
 */
#include "bulk.h"
#include "ev.h"
#include "idle.h"
#include "options.h"
#include "pattern.h"
#include "rates.h"
#include "server.h"
#include "tool.h"

#include <stdio.h>
#include <string.h>

static const struct command {
	const char *name;
	int (*run)(const struct options *o);
} clients[] = {
	{"bulk", bulk_run},
	{"pingpong", rates_pingpong},
	{"mixed", rates_mixed},
	{"connrate", rates_connrate},
	{"first", rates_first},
	{"idle", idle_run},
	{"ready", idle_ready},
};

int main(int argc, char **argv)
{
	struct options o = options_parse(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	pattern_init();
	ev_init();
	if (strcmp(o.command, "server") == 0)
		return server_run(&o);
	for (size_t i = 0; i < sizeof clients / sizeof *clients; i++) {
		if (strcmp(o.command, clients[i].name) != 0)
			continue;
		if (o.to_count == 0)
			tool_die("%s needs --to", o.command);
		return clients[i].run(&o);
	}
	tool_die("no command %s", o.command);
}
