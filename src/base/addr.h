/*
 * addr - one socket address, as a value.
 *
 * IPv4, IPv6, Unix path or Unix abstract name.  No socket is touched here.
 */
#ifndef CB_BASE_ADDR_H
#define CB_BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct addr {
	socklen_t len; /* 0: no address */
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
};

/* Room for any address that addr_format() prints, with its NUL. */
enum { ADDR_TEXT_MAX = 128 };

/* The longest Unix path or abstract name, in bytes, without NUL or '@'. */
enum { ADDR_UNIX_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

/*
 * An IPv4 or IPv6 literal (no brackets, no zone), n bytes of `host`.
 * 0, or ERR_INVALID when it is neither.
 */
int addr_from_literal(struct addr *a, const char *host, size_t n, uint16_t port);

/* An address from 4 or 16 raw bytes in network order.  family: AF_INET, AF_INET6. */
void addr_from_bytes(struct addr *a, int family, const void *bytes, uint16_t port);

/* A Unix path, or an abstract name (without its '@').  ERR_LIMIT when too long or empty. */
int addr_from_unix(struct addr *a, const char *name, size_t n, bool abstract);

/* A kernel address as accept4() or getsockname() gave it. */
void addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t len);

/* AF_INET, AF_INET6 or AF_UNIX; AF_UNSPEC for no address. */
int addr_family(const struct addr *a);

/* The port in host order; 0 for Unix addresses. */
uint16_t addr_port(const struct addr *a);

/* Whether it is of this machine's loopback: 127.0.0.0/8, ::1, or the former in IPv6's clothes. */
bool addr_is_loopback(const struct addr *a);

bool addr_equal(const struct addr *a, const struct addr *b);

uint64_t addr_hash(const struct addr *a, uint64_t seed);

/*
 * "tcp://1.2.3.4:5", "tcp://[::1]:5", "unix:///path", "unix://@name", or "unix://"
 * for a socket without a name; the form that configuration files use.  Bytes of a
 * Unix name that do not print are shown as '?'.  Returns `text`.
 */
const char *addr_format(const struct addr *a, char text[static ADDR_TEXT_MAX]);

#endif
