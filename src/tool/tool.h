/*
 * tool - the administrator's program, cloudbus: its commands, help and exit statuses.
 */
#ifndef CB_TOOL_TOOL_H
#define CB_TOOL_TOOL_H

/* As the daemons' (daemon.h); 64 and 78 are those of sysexits.h. */
enum {
	TOOL_EXIT_OK = 0,
	TOOL_EXIT_FAILED = 1, /* cannot write, or the token that is shown is not valid now */
	TOOL_EXIT_USAGE = 64,
	TOOL_EXIT_FILE = 78, /* a file that is read is missing, refused or not what it should be */
};

/* All of main(): returns the exit status. */
int tool_main(int argc, char **argv);

/* "cloudbus: " and a line on standard error; returns `status`. */
int tool_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* After a command line that is wrong: where to look.  Returns TOOL_EXIT_USAGE. */
int tool_usage(void);

#endif
