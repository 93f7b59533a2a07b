/*
 * egress - a segment's service: sessions that come over a transport, and go to its backend.
 */
#ifndef CB_BUS_EGRESS_H
#define CB_BUS_EGRESS_H

#include "bus/backend.h"
#include "bus/session.h"

struct egress {
	const struct conf_service *conf;
	struct backend backend;
	size_t n_sessions;
};

/* 0 or ERR_NOMEM. */
int egress_init(struct egress *e, struct bus *bus, const struct conf_service *conf);

/* Its sessions must be over. */
void egress_fini(struct egress *e);

/* The peer opened a stream for this service: connects it to the backend, or refuses it. */
void egress_begin(struct egress *e, struct transport *t, struct mux_stream *stream,
	const struct wire_open *open);

#endif
