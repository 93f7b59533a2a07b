#include "daemon/options.h"

#include "base/err.h"

#include <getopt.h>

const char *options_program(enum conf_role role)
{
	return role == CONF_CONTROLLER ? "controller" : "segment";
}

static const char *default_file(enum conf_role role)
{
	return role == CONF_CONTROLLER ? CLOUDBUS_SYSCONFDIR "/controller.ini"
				       : CLOUDBUS_SYSCONFDIR "/segment.ini";
}

int options_parse(struct options *opt, enum conf_role role, int argc, char **argv)
{
	static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
		{"test", no_argument, NULL, 't'}, {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	*opt = (struct options){.action = OPTIONS_RUN, .file = default_file(role)};
	for (int c; (c = getopt_long(argc, argv, "c:tVh", longs, NULL)) != -1;) {
		switch (c) {
		case 'c':
			opt->file = optarg;
			break;
		case 't':
			if (opt->action == OPTIONS_RUN)
				opt->action = OPTIONS_TEST;
			break;
		case 'V':
			opt->action = OPTIONS_VERSION;
			break;
		case 'h':
			opt->action = OPTIONS_HELP;
			break;
		default:
			goto usage;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "%s: unexpected argument '%s'\n", options_program(role), argv[optind]);
usage:
	fprintf(stderr, "Try '%s --help'.\n", options_program(role));
	return ERR_INVALID;
}

static void print_keys(FILE *to, enum conf_role role, unsigned where)
{
	size_t n;
	const struct conf_key *keys = conf_keys(&n);
	unsigned side = role == CONF_CONTROLLER ? CONF_FOR_CONTROLLER : CONF_FOR_SEGMENT;
	for (size_t i = 0; i < n; i++) {
		const struct conf_key *k = &keys[i];
		if (!(k->where & where) || !(k->where & side))
			continue;
		fprintf(to, "  %-16s %s\n", k->name, k->help);
		fprintf(to, "  %-16s   %s%s%s\n", "", k->expected,
			k->fallback != NULL ? "; default " : "",
			k->fallback != NULL ? k->fallback : "");
	}
}

void options_help(FILE *to, enum conf_role role)
{
	fprintf(to,
		"Usage: %s [-c FILE] [-t]\n"
		"\n"
		"  -c, --config FILE  the configuration (default %s)\n"
		"  -t, --test         check the configuration and exit\n"
		"  -V, --version      print the version and exit\n"
		"  -h, --help         print this and exit\n"
		"\n"
		"Runs in the foreground and logs to standard error.  SIGTERM and SIGINT let\n"
		"running sessions finish, then end it; a second one ends it at once.\n"
		"\n"
		"Keys in [Cloudbus]:\n",
		options_program(role), default_file(role));
	print_keys(to, role, CONF_IN_GLOBAL);
	fputs("\nKeys in the section of a service:\n", to);
	print_keys(to, role, CONF_IN_SERVICE);
}
