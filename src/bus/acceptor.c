#include "bus/acceptor.h"

#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void on_accepted(struct listen *l, int fd, const struct addr *peer)
{
	struct acceptor *a = container_of(l, struct acceptor, listen);
	char text[ADDR_TEXT_MAX];
	if (a->bus->n_transports >= BUS_TRANSPORTS_MAX) {
		log_warning("transport from %s refused: there are %d already",
			addr_format(peer, text), BUS_TRANSPORTS_MAX);
		(void)close(fd); /* with SO_LINGER {1, 0}: a reset */
		return;
	}
	struct transport *t;
	struct transport_options opt = {
		.ops = a->ops, .owner = a->owner, .fd = fd, .side = MUX_ACCEPTED};
	int rc = transport_new(&t, a->bus, &opt);
	if (rc != 0)
		log_error("transport from %s refused: %s", addr_format(peer, text),
			rc == ERR_SYS ? strerror(errno) : err_text(rc));
}

int acceptor_start(struct acceptor *a, struct bus *bus, const struct acceptor_options *opt)
{
	*a = (struct acceptor){.bus = bus, .ops = opt->ops, .owner = opt->owner};
	return listen_start(&a->listen, bus, &opt->addr, on_accepted);
}

void acceptor_close(struct acceptor *a)
{
	listen_stop(&a->listen);
}
