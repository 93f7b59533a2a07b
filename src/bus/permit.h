/*
 * permit - what the tokens of two nodes let them do with each other's services.
 *
 * A transport that is not secured allows everything.  On one that is, each node is judged by
 * the token that the other has of it, so that both sides come to the same; the wall clock is
 * looked at anew each time.  A refusal is one line of the log, with both nodes, the service and
 * the reason (say.h), and counted.  cloudbus-security(7), AUTHORISATION.
 */
#ifndef CB_BUS_PERMIT_H
#define CB_BUS_PERMIT_H

#include "wire/wire.h"

#include <stdbool.h>
#include <stddef.h>

struct transport;

/* Whether the peer may open this stream here. */
bool permit_admits(const struct transport *t, const struct wire_open *open);

/* Whether a session may be opened at the peer; the name has n bytes. */
bool permit_may_open(const struct transport *t, const char *name, size_t n);

/*
 * Whether the peer is of another customer, by the tokens the transport was made with: a fresh one
 * of another customer is not taken on it.  Such a node sees no service of this one.
 */
bool permit_is_foreign(const struct transport *t);

/* Why the peer's token does not let it serve this name, for us; NULL: it does.  Says nothing. */
const char *permit_doubts(const struct transport *t, const char *name, size_t n);

#endif
