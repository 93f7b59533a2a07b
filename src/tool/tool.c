#include "tool/tool.h"

#include "config.h"

#include "base/standard.h"
#include "crypto/token.h"
#include "tool/init.h"
#include "tool/issue.h"
#include "tool/keygen.h"
#include "tool/show.h"

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* What a command is called, and what it is; argv[0] is then "cloudbus COMMAND". */
static const struct command {
	const char *first, *second; /* second: NULL for one word */
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"init", NULL, "cloudbus init", init_run},
	{"issue", NULL, "cloudbus issue", issue_run},
	{"keygen", NULL, "cloudbus keygen", keygen_run},
	{"token", "show", "cloudbus token show", show_run},
};

static const char help[] =
	"Usage: cloudbus init DIR [--name BUS]\n"
	"       cloudbus issue [-d DIR] NAME --role controller|segment [--serve PATTERN]...\n"
	"                      [--open PATTERN]... [--customer NAME] [--ttl 90d]\n"
	"                      [--public FILE] [--force] [--new-key]\n"
	"       cloudbus keygen FILE [--force]\n"
	"       cloudbus token show FILE [--trust FILE] [--revoked FILE]\n"
	"\n"
	"  init        makes a bus: DIR/cluster.key, which signs tokens and stays here, and\n"
	"              DIR/trust, which every node gets\n"
	"    -n, --name BUS          its name (that of the folder)\n"
	"\n"
	"  issue       makes DIR/NAME.key, unless it is there, and DIR/NAME.token\n"
	"    -d, --dir DIR           where cluster.key and trust are (here)\n"
	"    -r, --role ROLE         controller or segment\n"
	"    -s, --serve PATTERN     a service that the node may serve; repeatable\n"
	"    -o, --open PATTERN      a service that the node may open; repeatable\n"
	"    -c, --customer NAME     whose node it is (nobody's)\n"
	"    -t, --ttl TIME          how long the token is valid, in s, m, h or d (90d)\n"
	"    -p, --public FILE       for the key that keygen made on the node\n"
	"    -f, --force             replaces a token that is there, for the same key\n"
	"    -k, --new-key           gives the node another key; the one before it is gone\n"
	"              A PATTERN is a name, or its beginning and '*'; quote it for the shell.\n"
	"              Without --serve or --open the node may serve or open nothing.\n"
	"\n"
	"  keygen      makes FILE, a node's key, and FILE.pub, for issue --public\n"
	"    -f, --force             replaces files that are there\n"
	"\n"
	"  token show  prints what a token says, and whether it is valid now\n"
	"    -t, --trust FILE        checks its signature (the file trust beside it, if any)\n"
	"    -r, --revoked FILE      looks whether it is on this list\n"
	"\n"
	"  -h, --help     prints this and exits\n"
	"  -V, --version  prints the version and exits\n";

int tool_fail(int status, const char *fmt, ...)
{
	va_list ap;
	fputs("cloudbus: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

int tool_usage(void)
{
	fputs("Try 'cloudbus --help'.\n", stderr);
	return TOOL_EXIT_USAGE;
}

/*
 * No secret in a core file or for a debugger, and no file that others can read; and a limit on
 * the size of files is an error, so that what was begun is taken away again.
 */
static void guard(void)
{
	static const struct rlimit none = {0, 0};
	umask(077);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)signal(SIGXFSZ, SIG_IGN);
}

/* What was printed is there, or it was not done. */
static int flushed(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return tool_fail(TOOL_EXIT_FAILED, "cannot write to standard output");
}

/* Whether help is asked for behind a command. */
static bool asks_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

static int print_help(void)
{
	fputs(help, stdout);
	return flushed(TOOL_EXIT_OK);
}

static const struct command *find(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		const struct command *c = &commands[i];
		if (strcmp(argv[1], c->first) == 0 &&
			(c->second == NULL || (argc > 2 && strcmp(argv[2], c->second) == 0)))
			return c;
	}
	return NULL;
}

int tool_main(int argc, char **argv)
{
	if (standard_hold() != 0)
		return TOOL_EXIT_FAILED; /* and there may be nobody to tell */
	if (argc < 2) {
		fputs("cloudbus: expected a command\n", stderr);
		return tool_usage();
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0 ||
		strcmp(argv[1], "help") == 0)
		return print_help();
	if (strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "--version") == 0) {
		puts("cloudbus " PACKAGE_VERSION);
		return flushed(TOOL_EXIT_OK);
	}
	const struct command *c = find(argc, argv);
	if (c == NULL) {
		if (strcmp(argv[1], "token") == 0 && asks_help(argc - 2, argv + 2))
			return print_help();
		if (strcmp(argv[1], "token") == 0)
			fputs("cloudbus token: expected show\n", stderr);
		else
			fprintf(stderr, "cloudbus: '%s' is no command\n", argv[1]);
		return tool_usage();
	}
	int words = c->second != NULL ? 2 : 1;
	if (asks_help(argc - words - 1, argv + words + 1))
		return print_help();
	guard();
	if (token_prepare() != 0)
		return tool_fail(TOOL_EXIT_FAILED, "no random numbers from the system");
	char name[32];
	snprintf(name, sizeof name, "%s", c->name);
	argv[words] = name;
	return flushed(c->run(argc - words, argv + words));
}
