#include "net/sock.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void close_keeping_errno(int fd)
{
	int saved = errno;
	(void)close(fd);
	errno = saved;
}

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : ERR_SYS;
}

static int set_linger(int fd, bool abort_on_close)
{
	struct linger linger = {.l_onoff = abort_on_close, .l_linger = 0};
	int rc = setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	return rc == 0 ? 0 : ERR_SYS;
}

static bool is_tcp(const struct addr *addr)
{
	return addr_family(addr) == AF_INET || addr_family(addr) == AF_INET6;
}

static int set_tcp_options(int fd)
{
	if (set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1) != 0 ||
		set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1) != 0 ||
		set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1) != 0)
		return ERR_SYS;
	return set_linger(fd, true);
}

/*
 * Where the system's congestion control paces what it sends (bbr), a timer of the kernel
 * stands between every two segments, and on loopback there is no path to be gentle to.  It
 * must be chosen before the connection is there: pacing that has begun is not given up.
 */
static void do_not_pace(int fd)
{
	static const char plain[] = "reno"; /* in every kernel, and allowed to everybody */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, plain, sizeof plain - 1);
}

/* A descriptor with our options, or -1 with errno. */
static int open_stream(const struct addr *addr)
{
	int fd = socket(addr_family(addr), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && is_tcp(addr) && set_tcp_options(fd) != 0) {
		close_keeping_errno(fd);
		return -1;
	}
	if (fd >= 0 && addr_is_loopback(addr))
		do_not_pace(fd);
	return fd;
}

static int bind_tcp(int fd, const struct addr *addr)
{
	if (set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0)
		return ERR_SYS;
	if (addr_family(addr) == AF_INET6 && set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) != 0)
		return ERR_SYS;
	return bind(fd, &addr->sa, addr->len) == 0 ? 0 : ERR_SYS;
}

static bool has_path(const struct addr *addr)
{
	return addr_family(addr) == AF_UNIX && addr->len > offsetof(struct sockaddr_un, sun_path) &&
	       addr->un.sun_path[0] != '\0';
}

/* Copies the path, whose NUL the kernel does not insist on. */
static const char *copy_path(const struct addr *addr, char path[static ADDR_UNIX_MAX + 2])
{
	size_t n = addr->len - offsetof(struct sockaddr_un, sun_path);
	if (n > sizeof addr->un.sun_path)
		n = sizeof addr->un.sun_path;
	memcpy(path, addr->un.sun_path, n);
	path[n] = '\0';
	return path;
}

/*
 * Takes the claim on the path's directory: a descriptor to close when done.  Without
 * it (no read permission, somebody else's lock) the claim goes ahead all the same, and
 * -1 is returned: the lock only narrows a race of two starts.
 */
static int lock_directory(const char *path)
{
	char dir[ADDR_UNIX_MAX + 2];
	const char *slash = strrchr(path, '/');
	size_t n = slash == NULL ? 0 : (size_t)(slash - path);
	memcpy(dir, slash == NULL ? "." : path, n == 0 ? 1 : n);
	dir[n == 0 ? 1 : n] = '\0';
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	for (int ms = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; ms += 10) {
		if (errno != EWOULDBLOCK || ms >= SOCK_CLAIM_MS) {
			(void)close(fd);
			return -1;
		}
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	return fd;
}

/* Whether the path holds a socket that no process listens on. */
static bool is_stale(const struct addr *addr, const char *path)
{
	struct stat st;
	if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return false;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bool refused = connect(fd, &addr->sa, addr->len) != 0 && errno == ECONNREFUSED;
	(void)close(fd);
	return refused;
}

/*
 * Binds and listens while the lock is held, since a socket that is bound and does not
 * listen yet refuses connections, as a stale one does.
 */
static int claim_path(struct sock_listener *l, const struct addr *addr, int backlog)
{
	char path[ADDR_UNIX_MAX + 2];
	struct stat st;
	int lock = lock_directory(copy_path(addr, path));
	int rc = bind(l->fd, &addr->sa, addr->len);
	if (rc != 0 && errno == EADDRINUSE) {
		if (!is_stale(addr, path))
			errno = EADDRINUSE;
		else if (unlink(path) == 0)
			rc = bind(l->fd, &addr->sa, addr->len);
	}
	if (rc == 0 && lstat(path, &st) == 0) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	if (rc == 0)
		rc = listen(l->fd, backlog);
	if (lock >= 0)
		close_keeping_errno(lock);
	return rc == 0 ? 0 : ERR_SYS;
}

static int bind_and_listen(struct sock_listener *l, const struct addr *addr, int backlog)
{
	if (has_path(addr))
		return claim_path(l, addr, backlog);
	if (is_tcp(addr) && bind_tcp(l->fd, addr) != 0)
		return ERR_SYS;
	if (!is_tcp(addr) && bind(l->fd, &addr->sa, addr->len) != 0)
		return ERR_SYS;
	return listen(l->fd, backlog) == 0 ? 0 : ERR_SYS;
}

int sock_listen(struct sock_listener *out, const struct addr *addr, int backlog)
{
	struct sock_listener l = {.fd = open_stream(addr)};
	if (l.fd < 0)
		return ERR_SYS;
	if (bind_and_listen(&l, addr, backlog) != 0 || sock_local_name(l.fd, &l.addr) != 0) {
		int saved = errno;
		l.addr = *addr;
		(void)sock_unlink(&l);
		(void)close(l.fd);
		errno = saved;
		return ERR_SYS;
	}
	*out = l;
	return 0;
}

/*
 * Whoever may write in the folder can put anything in the file's place, such as a hard link to a
 * file of ours: so it is held by a descriptor, and must be the socket, with one name only.
 */
static int change_owner(int fd, const struct sock_listener *l, const struct sock_owner *to)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return ERR_SYS;
	if (!S_ISSOCK(st.st_mode) || st.st_nlink != 1 || st.st_dev != l->dev ||
		st.st_ino != l->ino) {
		errno = ESTALE;
		return ERR_SYS;
	}
	/* Where it is not the process's group, it is that of a folder with the bit for it. */
	gid_t gid = st.st_gid == getegid() ? to->gid : st.st_gid;
	return fchownat(fd, "", to->uid, gid, AT_EMPTY_PATH) == 0 ? 0 : ERR_SYS;
}

int sock_give(const struct sock_listener *listener, const struct sock_owner *to)
{
	char path[ADDR_UNIX_MAX + 2];
	if (listener->ino == 0 || !has_path(&listener->addr))
		return 0;
	int fd = open(copy_path(&listener->addr, path), O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return ERR_SYS;
	int rc = change_owner(fd, listener, to);
	close_keeping_errno(fd);
	return rc;
}

int sock_unlink(const struct sock_listener *listener)
{
	char path[ADDR_UNIX_MAX + 2];
	struct stat st;
	if (listener->ino == 0 || !has_path(&listener->addr))
		return 0;
	copy_path(&listener->addr, path);
	if (lstat(path, &st) == 0 && st.st_dev == listener->dev && st.st_ino == listener->ino)
		return unlink(path) == 0 ? 0 : ERR_SYS;
	return 0;
}

enum sock_accepted sock_accept(int listener, int *fd, struct addr *peer)
{
	struct addr a = {.len = 0};
	socklen_t len = sizeof a.un;
	int got = accept4(listener, &a.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (got >= 0) {
		*fd = got;
		if (peer != NULL)
			addr_from_sockaddr(peer, &a.sa, len);
		return SOCK_ACCEPTED;
	}
	return sock_accept_failure(errno);
}

enum sock_accepted sock_accept_failure(int error)
{
	switch (error) {
	case EAGAIN:
		return SOCK_EMPTY;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return SOCK_NO_ROOM;
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
	case EFAULT:
		return SOCK_BROKEN;
	default:
		/* Linux hands over errors that the connection had before it was accepted. */
		return SOCK_RETRY;
	}
}

int sock_connect(const struct addr *addr, int *fd)
{
	int rc, s = open_stream(addr);
	if (s < 0)
		return ERR_SYS;
	do
		rc = connect(s, &addr->sa, addr->len);
	while (rc != 0 && errno == EINTR && !is_tcp(addr));
	if (rc != 0 && errno != EINPROGRESS && errno != EINTR) {
		close_keeping_errno(s);
		return ERR_SYS;
	}
	*fd = s;
	return rc == 0 && !is_tcp(addr) ? 0 : ERR_AGAIN;
}

int sock_connected(int fd)
{
	struct addr local, peer;
	errno = sock_error(fd);
	if (errno != 0)
		return ERR_SYS;
	if (sock_peer_name(fd, &peer) != 0)
		return errno == ENOTCONN ? ERR_AGAIN : ERR_SYS;
	if (is_tcp(&peer) && sock_local_name(fd, &local) == 0 && addr_equal(&local, &peer)) {
		errno = ECONNREFUSED;
		return ERR_SYS;
	}
	return 0;
}

int sock_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof error;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		return errno;
	return error;
}

int sock_linger_off(int fd)
{
	return set_linger(fd, false);
}

int64_t sock_queued_out(int fd)
{
	int bytes;
	return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : -1;
}

int64_t sock_queued_in(int fd)
{
	int bytes;
	return ioctl(fd, SIOCINQ, &bytes) == 0 ? bytes : -1;
}

int sock_widen(int fd, int bytes)
{
	int have;
	socklen_t len = sizeof have;
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &have, &len) != 0)
		return ERR_SYS;
	if (have >= bytes)
		return 0;
	/* Unlike SO_SNDBUF it is not cut to wmem_max, which is below what the kernel grows to. */
	int rc = setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
	return rc == 0 ? 0 : ERR_SYS;
}

int sock_notsent_lowat(int fd, uint32_t bytes)
{
	int rc = setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
	return rc == 0 ? 0 : ERR_SYS;
}

static int get_name(int fd, struct addr *addr, int (*get)(int, struct sockaddr *, socklen_t *))
{
	struct addr a = {.len = 0};
	socklen_t len = sizeof a.un;
	if (get(fd, &a.sa, &len) != 0)
		return ERR_SYS;
	addr_from_sockaddr(addr, &a.sa, len);
	return 0;
}

int sock_peer_name(int fd, struct addr *addr)
{
	return get_name(fd, addr, getpeername);
}

int sock_local_name(int fd, struct addr *addr)
{
	return get_name(fd, addr, getsockname);
}

int sock_path(int fd, struct sock_path *path)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return ERR_SYS;
	/* The kernel says "no sample yet" of the least round trip with all bits set. */
	*path = (struct sock_path){
		.rtt = info.tcpi_rtt,
		.min_rtt = info.tcpi_min_rtt == UINT32_MAX ? 0 : info.tcpi_min_rtt,
		.delivery_rate = info.tcpi_delivery_rate,
		.app_limited = info.tcpi_delivery_rate_app_limited,
		.notsent = info.tcpi_notsent_bytes,
	};
	return 0;
}
