/*
 * daemon - from the command line to a running node, and back to an exit status.
 */
#ifndef CB_DAEMON_DAEMON_H
#define CB_DAEMON_DAEMON_H

#include "conf/conf.h"

/* Exit statuses; 64 and 78 are those of sysexits.h. */
enum {
	DAEMON_EXIT_OK = 0,
	DAEMON_EXIT_FAILED = 1, /* cannot bind, cannot run, or sessions had to be cut off */
	DAEMON_EXIT_USAGE = 64,
	DAEMON_EXIT_CONFIG = 78,
};

/* All of main(): returns the exit status. */
int daemon_main(enum conf_role role, int argc, char **argv);

#endif
