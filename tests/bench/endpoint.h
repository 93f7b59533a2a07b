/*
 * endpoint - addresses and the sockets on them.
 *
 * An address is A.B.C.D:PORT, [IPV6]:PORT or unix:PATH.
 */
#ifndef CB_BENCH_ENDPOINT_H
#define CB_BENCH_ENDPOINT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { ENDPOINT_TEXT = 128, ENDPOINT_BACKLOG = 4096 };

struct endpoint {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
	socklen_t length;
};

/* Does not return if the text is no address. */
struct endpoint endpoint_parse(const char *text);

/* A non-blocking listener.  An older Unix socket file is replaced; what is no socket is
 * left and the tool ends, as it does if the address cannot be had. */
int endpoint_listen(const struct endpoint *e);

/* Writes where a socket listens, in the form that endpoint_parse takes. */
void endpoint_name(int fd, char text[ENDPOINT_TEXT]);

/* A non-blocking socket with a connect under way, or -1 with errno. */
int endpoint_connect(const struct endpoint *e);

/* Whether the connect under way on a socket that became writable has succeeded. */
bool endpoint_connected(int fd);

/* Small writes leave at once. */
void endpoint_nodelay(int fd);

#endif
