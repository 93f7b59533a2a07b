/*
 * node_segment - a segment's services, the addresses that controllers dial to, and the links
 * to those that it dials itself.
 */
#ifndef CB_BUS_NODE_SEGMENT_H
#define CB_BUS_NODE_SEGMENT_H

#include "bus/node_impl.h"

/* Applies a configuration; step->failed says whether nothing has changed. */
void node_segment_apply(struct node_step *step);

/* No new transports. */
void node_segment_close(struct node *node);

/* Sessions and transports must be gone. */
void node_segment_fini(struct node *node);

#endif
