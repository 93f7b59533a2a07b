#include "options.h"

#include "tool.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn static void usage(void)
{
	fputs("usage: loadgen server [--echo ADDR] [--sink ADDR] [--quiet ADDR] [--source ADDR]\n"
	      "       loadgen bulk --to ADDR [-s STREAMS] [-t SECS] [--bytes N] [--drain SECS]\n"
	      "                    [--down | --members N]\n"
	      "       loadgen pingpong --to ADDR [-c CONNS] [-b SIZE] [-t SECS] [--warmup SECS]\n"
	      "                        [--enough N]\n"
	      "       loadgen mixed --to ADDR [-c CONNS] [-b SIZE] [-t SECS] [--warmup SECS]\n"
	      "                     [--enough N]\n"
	      "       loadgen connrate --to ADDR [-c CONNS] [-b SIZE] [-t SECS] [-n MAX]\n"
	      "       loadgen first --to ADDR [-n TIMES] [-b SIZE]\n"
	      "       loadgen idle --to ADDR -n CONNS [-c RAMP] [-t SECS]\n"
	      "       loadgen ready --to ADDR [-t SECS]\n"
	      "       (all clients: [--timeout SECS]; addresses may be given several times)\n"
	      "--enough N: ends before SECS where N exchanges of each kind were counted\n"
	      "ADDR: A.B.C.D:PORT, [IPV6]:PORT, unix:PATH; numbers may end in k, m, g\n",
		stderr);
	exit(2);
}

static double number(const char *s)
{
	char *rest;
	double v = strtod(s, &rest);
	if (rest == s)
		tool_die("not a number: %s", s);
	switch (*rest) {
	case 'k':
		v *= 1024;
		rest++;
		break;
	case 'm':
		v *= 1 << 20;
		rest++;
		break;
	case 'g':
		v *= 1 << 30;
		rest++;
		break;
	default:
		break;
	}
	if (*rest != 0 || !(v >= 0) || v > 1e15)
		tool_die("not a number: %s", s);
	return v;
}

static double seconds(const char *s)
{
	double v = number(s);
	if (v > 1e6)
		tool_die("too long: %s", s);
	return v;
}

static void add_target(struct options *o, const char *s)
{
	if (o->to_count == OPTIONS_ADDRESSES)
		tool_die("more than %d addresses", OPTIONS_ADDRESSES);
	o->to[o->to_count++] = endpoint_parse(s);
}

static void add_role(struct options *o, enum role role, const char *s)
{
	if (o->serve_count[role] == OPTIONS_ADDRESSES)
		tool_die("more than %d addresses", OPTIONS_ADDRESSES);
	o->serve[role][o->serve_count[role]++] = s;
}

enum {
	O_TO = 256,
	O_BYTES,
	O_DOWN,
	O_DRAIN,
	O_ENOUGH,
	O_MEMBERS,
	O_TIMEOUT,
	O_WARMUP,
	O_ROLE, /* and the roles behind it */
};

static const struct option long_options[] = {
	{"to", required_argument, NULL, O_TO},
	{"bytes", required_argument, NULL, O_BYTES},
	{"down", no_argument, NULL, O_DOWN},
	{"drain", required_argument, NULL, O_DRAIN},
	{"enough", required_argument, NULL, O_ENOUGH},
	{"members", required_argument, NULL, O_MEMBERS},
	{"timeout", required_argument, NULL, O_TIMEOUT},
	{"warmup", required_argument, NULL, O_WARMUP},
	{"echo", required_argument, NULL, O_ROLE + ROLE_ECHO},
	{"sink", required_argument, NULL, O_ROLE + ROLE_SINK},
	{"quiet", required_argument, NULL, O_ROLE + ROLE_QUIET},
	{"source", required_argument, NULL, O_ROLE + ROLE_SOURCE},
	{NULL, 0, NULL, 0},
};

static void take(struct options *o, int option, const char *s)
{
	switch (option) {
	case 's':
		o->streams = (uint64_t)number(s);
		break;
	case 'c':
		o->conns = (uint64_t)number(s);
		break;
	case 'b':
		o->size = (uint64_t)number(s);
		break;
	case 't':
		o->seconds = seconds(s);
		break;
	case 'n':
		o->number = (uint64_t)number(s);
		break;
	case O_TO:
		add_target(o, s);
		break;
	case O_BYTES:
		o->bytes = (uint64_t)number(s);
		break;
	case O_DOWN:
		o->down = true;
		break;
	case O_DRAIN:
		o->drain = seconds(s);
		break;
	case O_ENOUGH:
		o->enough = (uint64_t)number(s);
		break;
	case O_MEMBERS:
		o->members = (uint64_t)number(s);
		break;
	case O_TIMEOUT:
		o->timeout = seconds(s);
		break;
	case O_WARMUP:
		o->warmup = seconds(s);
		break;
	default:
		if (option < O_ROLE || option >= O_ROLE + ROLES)
			usage();
		add_role(o, (enum role)(option - O_ROLE), s);
	}
}

struct options options_parse(int argc, char **argv)
{
	struct options o = {
		.conns = 16,
		.streams = 1,
		.members = 1,
		.number = UINT64_MAX,
		.enough = UINT64_MAX,
		.bytes = UINT64_MAX,
		.seconds = 3,
		.drain = 10,
		.timeout = 5,
	};
	if (argc < 2)
		usage();
	o.command = argv[1];
	int option;
	while ((option = getopt_long(argc - 1, argv + 1, "s:c:b:t:n:", long_options, NULL)) != -1)
		take(&o, option, optarg);
	if (optind + 1 < argc || (o.down && o.members > 1))
		usage();
	if (o.streams == 0 || o.conns == 0 || o.members == 0 || o.number == 0)
		tool_die("nothing to do");
	return o;
}
