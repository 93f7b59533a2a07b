/*
 * show - cloudbus token show: what a token says, and whether it is valid now.
 */
#ifndef CB_TOOL_SHOW_H
#define CB_TOOL_SHOW_H

/* Returns the exit status. */
int show_run(int argc, char **argv);

#endif
