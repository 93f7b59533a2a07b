/*
 * sock - what this program wants of every socket, said once.
 *
 * All sockets are streams, non-blocking and close-on-exec.  A TCP socket has
 * TCP_NODELAY, SO_KEEPALIVE, SO_OOBINLINE (an urgent byte is a byte like any other)
 * and SO_LINGER {1, 0}: until sock_linger_off(), closing it, or dying with it, sends
 * RST.  Where its address (the listener's, or the one connected to) is of the loopback
 * network, its congestion control is one that does not pace.  The options stand on the
 * listener, and accepted sockets inherit them.
 *
 * Where a function returns ERR_SYS, errno says why.
 */
#ifndef CB_NET_SOCK_H
#define CB_NET_SOCK_H

#include "base/addr.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How long sock_listen() waits for another process that is claiming a path beside it. */
enum { SOCK_CLAIM_MS = 200 };

/* A listening socket, and for a Unix path the file it made. */
struct sock_listener {
	int fd;
	struct addr addr; /* as bound: with the port the kernel chose, where it was 0 */
	dev_t dev;        /* the socket file's identity; both 0 where there is none */
	ino_t ino;
};

/*
 * Binds and listens.  TCP with SO_REUSEADDR; [::] takes IPv6 only, so that it can
 * stand beside 0.0.0.0.  `backlog` is cut by the kernel to net.core.somaxconn.
 *
 * A Unix path that exists already is replaced only if it is a socket that nobody
 * answers on (connect says ECONNREFUSED); otherwise, and where it is no socket,
 * ERR_SYS with EADDRINUSE.  Two processes that claim one path at once take turns by a
 * lock on its directory; that is the only wait, of at most SOCK_CLAIM_MS.
 *
 * 0 and *out, whose descriptor is the caller's; or ERR_SYS.
 */
int sock_listen(struct sock_listener *out, const struct addr *addr, int backlog);

struct sock_owner {
	uid_t uid;
	gid_t gid;
};

/*
 * Gives the socket file of a listener to another user and group, with its mode as it is; a
 * group that it has from its folder it keeps.  Only the file that sock_listen() made: whatever
 * may have taken its place by now is left alone, and is ESTALE.  Does nothing without a file.
 * 0 or ERR_SYS.
 */
int sock_give(const struct sock_listener *listener, const struct sock_owner *to);

/* Removes the socket file of a listener, if it is still the one that sock_listen() made. */
int sock_unlink(const struct sock_listener *listener);

enum sock_accepted {
	SOCK_ACCEPTED, /* *fd is the caller's */
	SOCK_EMPTY,    /* nobody waits: clear the readiness */
	SOCK_RETRY,    /* that one was lost (ECONNABORTED, EINTR and the like): call again */
	SOCK_NO_ROOM,  /* EMFILE, ENFILE, ENOBUFS, ENOMEM: pause; the queue is unchanged */
	SOCK_BROKEN,   /* not a listening socket any more; errno */
};

/* Takes one connection; `peer` (may be NULL) gets its address. */
enum sock_accepted sock_accept(int listener, int *fd, struct addr *peer);

/* What an errno of accept4() means. */
enum sock_accepted sock_accept_failure(int error);

/*
 * Begins to connect.  0: connected already; ERR_AGAIN: under way, wait until it is
 * writable and ask sock_connected(); *fd is the caller's in both cases.  ERR_SYS: no
 * descriptor is left; EAGAIN in errno means that a Unix listener's queue is full.
 */
int sock_connect(const struct addr *addr, int *fd);

/*
 * How an attempt stands.  0: connected; ERR_AGAIN: not decided; ERR_SYS: failed.  A
 * TCP socket that met itself (a port from the ephemeral range without a listener)
 * counts as ECONNREFUSED.
 */
int sock_connected(int fd);

/* The pending error, which is cleared by asking; 0: none. */
int sock_error(int fd);

/* From now on close() sends FIN and lets the kernel deliver the rest.  0 or ERR_SYS. */
int sock_linger_off(int fd);

/*
 * Bytes written that the peer's kernel has not acknowledged (TCP), or the memory of
 * what the peer has not read (Unix: more than the bytes, but 0 exactly when none are
 * left); -1 with errno when it cannot be told.
 */
int64_t sock_queued_out(int fd);

/* Bytes that can be read now; -1 with errno when it cannot be told. */
int64_t sock_queued_in(int fd);

/* Writable again only below this many unsent bytes; 0: the system's default.  0 or ERR_SYS. */
int sock_notsent_lowat(int fd, uint32_t bytes);

/*
 * A send buffer of at least so many bytes, beyond what the kernel grows it to by itself;
 * never a smaller one.  0, or ERR_SYS (EPERM without CAP_NET_ADMIN).
 */
int sock_widen(int fd, int bytes);

/* The address of the other end, of this end.  0, or ERR_SYS (ENOTCONN). */
int sock_peer_name(int fd, struct addr *addr);
int sock_local_name(int fd, struct addr *addr);

struct sock_path {
	uint32_t rtt;           /* microseconds, smoothed; 0 before the first sample */
	uint32_t min_rtt;       /* microseconds; 0 before the first sample */
	uint64_t delivery_rate; /* bytes a second, of the latest sample; 0 before it */
	bool app_limited;       /* that sample had too little to send to show the path's rate */
	uint32_t notsent;       /* bytes queued and not sent yet */
};

/* What the kernel measured of a TCP connection.  0, or ERR_SYS (EOPNOTSUPP on Unix). */
int sock_path(int fd, struct sock_path *path);

#endif
