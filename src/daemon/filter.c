#include "daemon/filter.h"

#include "config.h"

#include "base/err.h"

#include <errno.h>

#ifdef HAVE_SECCOMP

#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Whatever their arguments.  Those of the data path are all here: of such calls the kernel
 * keeps a bitmap, and runs no filter for them.  A call that an architecture does not have is
 * left out by libseccomp.
 */
static const int whole[] = {
	/* the loop and its signals */
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(signalfd4),
	/* streams */
	SCMP_SYS(close),
	SCMP_SYS(pipe2),
	SCMP_SYS(read),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(shutdown),
	SCMP_SYS(splice),
	SCMP_SYS(tee),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	/* sockets; socket() itself is further down */
	SCMP_SYS(accept4),
	SCMP_SYS(bind),
	SCMP_SYS(connect),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(listen),
	SCMP_SYS(setsockopt),
	/* the socket file of a bind, and files that are read */
	SCMP_SYS(flock),
	SCMP_SYS(fstat),
	SCMP_SYS(fstat64),
	SCMP_SYS(fstatat64),
	SCMP_SYS(lseek),
	SCMP_SYS(_llseek),
	SCMP_SYS(lstat),
	SCMP_SYS(lstat64),
	SCMP_SYS(newfstatat),
	SCMP_SYS(stat),
	SCMP_SYS(stat64),
	SCMP_SYS(statx),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	/* memory: malloc, and what libsodium locks for keys; mmap and mprotect are further down */
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(mlock),
	SCMP_SYS(mlock2),
	SCMP_SYS(mremap),
	SCMP_SYS(munlock),
	SCMP_SYS(munmap),
	/* clocks, where the vDSO has no answer, and random numbers */
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_gettime64),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_nanosleep_time64),
	SCMP_SYS(getrandom),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(nanosleep),
	SCMP_SYS(time),
	/* the C library's own: what it asks of the machine and the process, locks, the end */
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(futex),
	SCMP_SYS(futex_time64),
	SCMP_SYS(getegid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sysinfo),
	SCMP_SYS(uname),
};

/* Only with an argument in which these bits, of those in the mask, are set. */
struct part {
	int call;
	unsigned arg;
	uint64_t mask, bits;
};

#define ALL_BITS UINT64_C(0xffffffff) /* of an int: the upper half of the register is noise */
#define OPEN_BITS (O_ACCMODE | O_CREAT | O_TRUNC)

static const struct part parts[] = {
	/* nothing is opened to be written to, and nothing created */
	{SCMP_SYS(open), 1, OPEN_BITS, O_RDONLY},
	{SCMP_SYS(openat), 2, OPEN_BITS, O_RDONLY},
	/* no memory becomes code */
	{SCMP_SYS(mmap), 2, PROT_EXEC, 0},
	{SCMP_SYS(mmap2), 2, PROT_EXEC, 0},
	{SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
	/* no signals from descriptors, no leases; locks and notices neither */
	{SCMP_SYS(fcntl), 1, ALL_BITS, F_GETFD},
	{SCMP_SYS(fcntl), 1, ALL_BITS, F_SETFD},
	{SCMP_SYS(fcntl), 1, ALL_BITS, F_GETFL},
	{SCMP_SYS(fcntl), 1, ALL_BITS, F_SETFL},
	{SCMP_SYS(fcntl), 1, ALL_BITS, F_SETPIPE_SZ},
	{SCMP_SYS(fcntl), 1, ALL_BITS, F_GETPIPE_SZ},
	{SCMP_SYS(fcntl64), 1, ALL_BITS, F_GETFD},
	{SCMP_SYS(fcntl64), 1, ALL_BITS, F_SETFD},
	{SCMP_SYS(fcntl64), 1, ALL_BITS, F_GETFL},
	{SCMP_SYS(fcntl64), 1, ALL_BITS, F_SETFL},
	{SCMP_SYS(fcntl64), 1, ALL_BITS, F_SETPIPE_SZ},
	{SCMP_SYS(fcntl64), 1, ALL_BITS, F_GETPIPE_SZ},
	/* how much waits in a socket; stdio's question whether it is a terminal; IPv6 scopes */
	{SCMP_SYS(ioctl), 1, ALL_BITS, SIOCINQ},
	{SCMP_SYS(ioctl), 1, ALL_BITS, SIOCOUTQ},
	{SCMP_SYS(ioctl), 1, ALL_BITS, FIONBIO},
	{SCMP_SYS(ioctl), 1, ALL_BITS, TCGETS},
	{SCMP_SYS(ioctl), 1, ALL_BITS, SIOCGIFNAME},
	{SCMP_SYS(ioctl), 1, ALL_BITS, SIOCGIFINDEX},
};

static const struct {
	int domain, type;
} kinds[] = {
	{AF_INET, SOCK_STREAM}, {AF_INET6, SOCK_STREAM}, {AF_UNIX, SOCK_STREAM},
	{AF_INET, SOCK_DGRAM},                         /* the two of the DNS */
	{AF_INET6, SOCK_DGRAM}, {AF_UNIX, SOCK_DGRAM}, /* if_indextoname() */
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int allow(scmp_filter_ctx ctx, int call, unsigned n, const struct scmp_arg_cmp *args)
{
	int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, n, args);
	/* Calls that only other architectures have. */
	return rc == -EDOM ? 0 : rc;
}

static int add_rules(scmp_filter_ctx ctx)
{
	int rc = 0;
	for (size_t i = 0; i < COUNT(whole) && rc == 0; i++)
		rc = allow(ctx, whole[i], 0, NULL);
	for (size_t i = 0; i < COUNT(parts) && rc == 0; i++) {
		struct scmp_arg_cmp arg =
			SCMP_CMP64(parts[i].arg, SCMP_CMP_MASKED_EQ, parts[i].mask, parts[i].bits);
		rc = allow(ctx, parts[i].call, 1, &arg);
	}
	for (size_t i = 0; i < COUNT(kinds) && rc == 0; i++) {
		uint64_t type = (uint64_t) ~(SOCK_NONBLOCK | SOCK_CLOEXEC) & ALL_BITS;
		struct scmp_arg_cmp args[] = {
			SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, ALL_BITS, (uint64_t)kinds[i].domain),
			SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, type, (uint64_t)kinds[i].type),
		};
		rc = allow(ctx, SCMP_SYS(socket), COUNT(args), args);
	}
	/* Its own limits may be read, not set; abort() may signal nobody else. */
	struct scmp_arg_cmp mine = SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, ALL_BITS, (uint64_t)getpid());
	struct scmp_arg_cmp limit[] = {
		SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, ALL_BITS, 0), SCMP_CMP64(2, SCMP_CMP_EQ, 0, 0)};
	if (rc == 0)
		rc = allow(ctx, SCMP_SYS(tgkill), 1, &mine);
	if (rc == 0)
		rc = allow(ctx, SCMP_SYS(prlimit64), COUNT(limit), limit);
	if (rc == 0)
		rc = allow(ctx, SCMP_SYS(getrlimit), 0, NULL);
	return rc;
}

/*
 * Asked of the kernel: libseccomp says of what is not there that memory ran out.  Whatever the
 * error, a filter would not have been installed either.
 */
static bool is_there(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

int filter_install(void)
{
	if (!is_there())
		return ERR_NOTFOUND;
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (ctx == NULL)
		return ERR_NOMEM;
	/* A call of another architecture (i386, x32) does not even reach the list. */
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (rc == 0)
		rc = add_rules(ctx);
	/*
	 * Older kernels would slow all memory of a filtered process down against code of others
	 * that runs inside it; none does here.  Where it cannot be said, it stays slow.
	 */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_SSB, 1);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc == 0)
		return 0;
	errno = -rc;
	return rc == -ENOMEM ? ERR_NOMEM : ERR_SYS;
}

#else

int filter_install(void)
{
	errno = 0;
	return ERR_NOTFOUND;
}

#endif
