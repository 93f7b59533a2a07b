/*
 * node_segment - a segment's services, the addresses that controllers dial to, and the links
 * to those that it dials itself.
 */
#ifndef CB_BUS_NODE_SEGMENT_H
#define CB_BUS_NODE_SEGMENT_H

#include "bus/node_impl.h"

/* Prepares a configuration; step->failed says whether the step is to be abandoned. */
void node_segment_prepare(struct node_step *step);

/* One of the two must follow; bus->conf is the step's when it is put in force. */
void node_segment_commit(struct node_step *step);
void node_segment_abandon(struct node_step *step);

/* No new transports. */
void node_segment_close(struct node *node);

/* Sessions and transports must be gone. */
void node_segment_fini(struct node *node);

#endif
