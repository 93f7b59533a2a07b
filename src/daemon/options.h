/*
 * options - the command line of both daemons.
 */
#ifndef CB_DAEMON_OPTIONS_H
#define CB_DAEMON_OPTIONS_H

#include "conf/conf.h"

#include <stdio.h>

enum options_action { OPTIONS_RUN, OPTIONS_TEST, OPTIONS_VERSION, OPTIONS_HELP };

struct options {
	enum options_action action;
	const char *file; /* the configuration */
};

/* "controller" or "segment". */
const char *options_program(enum conf_role role);

/* 0, or ERR_INVALID after saying on standard error what is wrong. */
int options_parse(struct options *opt, enum conf_role role, int argc, char **argv);

/* What -h prints: usage, and every key of the configuration. */
void options_help(FILE *to, enum conf_role role);

#endif
