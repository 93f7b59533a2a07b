#include "base/addr.h"

#include "base/err.h"
#include "base/hash.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

int addr_from_literal(struct addr *a, const char *host, size_t n, uint16_t port)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	if (n >= sizeof text || memchr(host, '\0', n) != NULL)
		return ERR_INVALID;
	memcpy(text, host, n);
	text[n] = '\0';
	if (inet_pton(AF_INET, text, bytes) == 1)
		addr_from_bytes(a, AF_INET, bytes, port);
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		addr_from_bytes(a, AF_INET6, bytes, port);
	else
		return ERR_INVALID;
	return 0;
}

void addr_from_bytes(struct addr *a, int family, const void *bytes, uint16_t port)
{
	memset(a, 0, sizeof *a);
	if (family == AF_INET) {
		a->len = sizeof a->in;
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(port);
		memcpy(&a->in.sin_addr, bytes, 4);
	} else {
		a->len = sizeof a->in6;
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons(port);
		memcpy(&a->in6.sin6_addr, bytes, 16);
	}
}

int addr_from_unix(struct addr *a, const char *name, size_t n, bool abstract)
{
	if (n == 0 || n > ADDR_UNIX_MAX)
		return ERR_LIMIT;
	memset(a, 0, sizeof *a);
	a->un.sun_family = AF_UNIX;
	memcpy(a->un.sun_path + (abstract ? 1 : 0), name, n);
	/* A path counts its NUL, an abstract name has its NUL in front. */
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return 0;
}

void addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t len)
{
	memset(a, 0, sizeof *a);
	if (len > sizeof a->un)
		len = sizeof a->un;
	memcpy(&a->sa, sa, len);
	a->len = len;
}

int addr_family(const struct addr *a)
{
	return a->len >= sizeof a->sa.sa_family ? a->sa.sa_family : AF_UNSPEC;
}

uint16_t addr_port(const struct addr *a)
{
	switch (addr_family(a)) {
	case AF_INET:
		return ntohs(a->in.sin_port);
	case AF_INET6:
		return ntohs(a->in6.sin6_port);
	default:
		return 0;
	}
}

bool addr_is_loopback(const struct addr *a)
{
	if (addr_family(a) == AF_INET)
		return ntohl(a->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	if (addr_family(a) != AF_INET6)
		return false;
	const struct in6_addr *in6 = &a->in6.sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(in6) ||
	       (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == IN_LOOPBACKNET);
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0;
}

uint64_t addr_hash(const struct addr *a, uint64_t seed)
{
	return hash_bytes(&a->sa, a->len, seed);
}

static void format_unix(const struct addr *a, char *text)
{
	size_t n = a->len - offsetof(struct sockaddr_un, sun_path);
	const char *name = a->un.sun_path;
	size_t pos = (size_t)sprintf(text, "unix://");
	if (a->len <= offsetof(struct sockaddr_un, sun_path))
		return;
	if (name[0] == '\0') {
		text[pos++] = '@';
		name++, n--;
	} else {
		n = strnlen(name, n);
	}
	for (size_t i = 0; i < n; i++)
		text[pos++] = name[i] > 0x20 && name[i] < 0x7f ? name[i] : '?';
	text[pos] = '\0';
}

const char *addr_format(const struct addr *a, char text[static ADDR_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN];
	switch (addr_family(a)) {
	case AF_INET:
		inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof host);
		snprintf(text, ADDR_TEXT_MAX, "tcp://%s:%u", host, addr_port(a));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof host);
		snprintf(text, ADDR_TEXT_MAX, "tcp://[%s]:%u", host, addr_port(a));
		break;
	case AF_UNIX:
		format_unix(a, text);
		break;
	default:
		snprintf(text, ADDR_TEXT_MAX, "(no address)");
	}
	return text;
}
