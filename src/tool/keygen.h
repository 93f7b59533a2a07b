/*
 * keygen - cloudbus keygen: makes a node's key, on the node.
 */
#ifndef CB_TOOL_KEYGEN_H
#define CB_TOOL_KEYGEN_H

/* Returns the exit status. */
int keygen_run(int argc, char **argv);

#endif
