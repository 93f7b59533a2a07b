/*
 * issue - cloudbus issue: makes a node's key and token.
 */
#ifndef CB_TOOL_ISSUE_H
#define CB_TOOL_ISSUE_H

enum {
	ISSUE_TTL_DEFAULT = 90, /* days */
	ISSUE_TTL_MAX = 3650,   /* days */
};

/* Returns the exit status. */
int issue_run(int argc, char **argv);

#endif
