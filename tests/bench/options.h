/*
 * options - the command line of the load tool.
 */
#ifndef CB_BENCH_OPTIONS_H
#define CB_BENCH_OPTIONS_H

#include "endpoint.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPTIONS_ADDRESSES = 64 }; /* most of one kind */

enum role { ROLE_ECHO, ROLE_SINK, ROLE_QUIET, ROLE_SOURCE, ROLES };

struct options {
	const char *command;
	struct endpoint to[OPTIONS_ADDRESSES]; /* connections take them in turn */
	size_t to_count;
	const char *serve[ROLES][OPTIONS_ADDRESSES];
	size_t serve_count[ROLES];
	uint64_t conns, streams, members;
	uint64_t size;   /* bytes of an exchange; 0: the command's default */
	uint64_t number; /* UINT64_MAX: no bound */
	uint64_t enough; /* exchanges that count; UINT64_MAX: as long as the time lasts */
	uint64_t bytes;  /* per stream; UINT64_MAX: as long as the time lasts */
	bool down;
	double seconds, warmup, drain, timeout;
};

/* Does not return if the command line is wrong. */
struct options options_parse(int argc, char **argv);

#endif
