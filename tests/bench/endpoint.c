#include "endpoint.h"

#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct endpoint parse_unix(const char *path)
{
	struct endpoint e = {.length = sizeof e.un};
	e.un.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof e.un.sun_path)
		tool_die("path too long: %s", path);
	memcpy(e.un.sun_path, path, strlen(path) + 1);
	return e;
}

struct endpoint endpoint_parse(const char *text)
{
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5);

	char host[64], *rest;
	const char *colon = strrchr(text, ':');
	const char *begin = text, *end = colon;
	if (colon != NULL && *text == '[' && colon[-1] == ']') {
		begin++;
		end--;
	}
	if (colon == NULL || end < begin || (size_t)(end - begin) >= sizeof host)
		tool_die("bad address: %s", text);
	memcpy(host, begin, (size_t)(end - begin));
	host[end - begin] = 0;
	unsigned long port = strtoul(colon + 1, &rest, 10);
	if (colon[1] == 0 || *rest != 0 || port > 65535)
		tool_die("bad port: %s", text);

	struct endpoint e = {.length = 0};
	if (inet_pton(AF_INET, host, &e.in.sin_addr) == 1) {
		e.in.sin_family = AF_INET;
		e.in.sin_port = htons((uint16_t)port);
		e.length = sizeof e.in;
	} else if (inet_pton(AF_INET6, host, &e.in6.sin6_addr) == 1) {
		e.in6.sin6_family = AF_INET6;
		e.in6.sin6_port = htons((uint16_t)port);
		e.length = sizeof e.in6;
	} else {
		tool_die("not a numeric address: %s", text);
	}
	return e;
}

void endpoint_nodelay(int fd)
{
	int one = 1; /* fails on Unix sockets, where it does not matter */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static int open_socket(const struct endpoint *e)
{
	return socket(e->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int endpoint_listen(const struct endpoint *e)
{
	int one = 1;
	int fd = open_socket(e);
	if (fd < 0)
		tool_die("socket: %s", strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	struct stat st;
	if (e->sa.sa_family == AF_UNIX && lstat(e->un.sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(e->un.sun_path);
	if (bind(fd, &e->sa, e->length) < 0 || listen(fd, ENDPOINT_BACKLOG) < 0)
		tool_die("cannot listen: %s", strerror(errno));
	return fd;
}

void endpoint_name(int fd, char text[ENDPOINT_TEXT])
{
	struct endpoint e = {.length = sizeof e.un};
	char host[64];
	if (getsockname(fd, &e.sa, &e.length) < 0)
		tool_die("getsockname: %s", strerror(errno));
	if (e.sa.sa_family == AF_UNIX)
		snprintf(text, ENDPOINT_TEXT, "unix:%s", e.un.sun_path);
	else if (e.sa.sa_family == AF_INET)
		snprintf(text, ENDPOINT_TEXT, "%s:%u",
			inet_ntop(AF_INET, &e.in.sin_addr, host, sizeof host),
			ntohs(e.in.sin_port));
	else
		snprintf(text, ENDPOINT_TEXT, "[%s]:%u",
			inet_ntop(AF_INET6, &e.in6.sin6_addr, host, sizeof host),
			ntohs(e.in6.sin6_port));
}

int endpoint_connect(const struct endpoint *e)
{
	int fd = open_socket(e);
	if (fd < 0)
		return -1;
	endpoint_nodelay(fd);
	if (connect(fd, &e->sa, e->length) < 0 && errno != EINPROGRESS) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

bool endpoint_connected(int fd)
{
	int error = 0;
	socklen_t length = sizeof error;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
}
