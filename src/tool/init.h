/*
 * init - cloudbus init: makes a bus.
 */
#ifndef CB_TOOL_INIT_H
#define CB_TOOL_INIT_H

/* Returns the exit status. */
int init_run(int argc, char **argv);

#endif
