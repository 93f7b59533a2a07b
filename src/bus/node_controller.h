/*
 * node_controller - a controller's services and the addresses that segments dial to.
 */
#ifndef CB_BUS_NODE_CONTROLLER_H
#define CB_BUS_NODE_CONTROLLER_H

#include "bus/node_impl.h"

/* Applies a configuration; step->failed says whether nothing has changed. */
void node_controller_apply(struct node_step *step);

/* No new clients and segments. */
void node_controller_close(struct node *node);

/* Sessions and transports must be gone. */
void node_controller_fini(struct node *node);

#endif
