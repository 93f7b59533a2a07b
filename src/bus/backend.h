/*
 * backend - the server behind a segment's service: its addresses, whose turn it is, and
 * which of them are passed over because they refused.
 */
#ifndef CB_BUS_BACKEND_H
#define CB_BUS_BACKEND_H

#include "bus/bus.h"
#include "net/connector.h"

#define BACKEND_DOWN_MIN (1 * CLOCK_SEC)  /* how long an address that failed is tried last */
#define BACKEND_DOWN_MAX (30 * CLOCK_SEC) /* it doubles with every failure */

/* An address that failed lately. */
struct backend_down {
	struct addr addr;
	uint64_t until, pause;
};

struct backend {
	struct bus *bus;
	const struct conf_service *conf;
	struct dns_name *name; /* NULL where the address is fixed */
	size_t turn;
	struct backend_down down[DNS_ADDRS_MAX];
	size_t n_down;
};

/* One session's way to the backend.  Embed it; zeroed, it is idle. */
struct backend_connect {
	struct backend *backend;
	struct dns_query query;
	struct timer patience; /* while the name is being resolved */
	struct connector connector;
	struct addr *order; /* n of them, in the order to try */
	size_t n;
	uint64_t deadline;
	int broken; /* with success: as in struct connector_result */
	/*
	 * fd >= 0: connected, the callee's.  Otherwise the wire_code to reset with, and
	 * words.  It is idle by then and may be freed.
	 */
	void (*done)(struct backend_connect *bc, int fd, uint32_t code, const char *why);
};

/* 0 or ERR_NOMEM. */
int backend_init(struct backend *b, struct bus *bus, const struct conf_service *conf);
void backend_fini(struct backend *b);

/* Whether it is reached by TCP; else by a Unix socket. */
bool backend_is_tcp(const struct backend *b);

/* Resolves and connects within connect_timeout; done() is called later.  0 or ERR_NOMEM. */
int backend_connect(struct backend_connect *bc, struct backend *b,
	void (*done)(struct backend_connect *bc, int fd, uint32_t code, const char *why));

/* Gives it up: done() will not be called. */
void backend_cancel(struct backend_connect *bc);

#endif
