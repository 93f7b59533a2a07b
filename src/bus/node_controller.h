/*
 * node_controller - a controller's services and the addresses that segments dial to.
 */
#ifndef CB_BUS_NODE_CONTROLLER_H
#define CB_BUS_NODE_CONTROLLER_H

#include "bus/node_impl.h"

/* Prepares a configuration; step->failed says whether the step is to be abandoned. */
void node_controller_prepare(struct node_step *step);

/* One of the two must follow; bus->conf is the step's when it is put in force. */
void node_controller_commit(struct node_step *step);
void node_controller_abandon(struct node_step *step);

/* No new clients and segments. */
void node_controller_close(struct node *node);

/* Sessions and transports must be gone. */
void node_controller_fini(struct node *node);

#endif
