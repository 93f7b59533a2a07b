#include "daemon/confine.h"

#include "config.h"

#include "base/err.h"

#include <errno.h>

#ifdef HAVE_LINUX_LANDLOCK_H

#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As the kernel has them; the system's headers may be older than the kernel. */
enum {
	ABI_REFER = 2,
	ABI_TRUNCATE = 3,
	ABI_NET = 4,
	ABI_IOCTL_DEV = 5,
	ABI_SCOPED = 6,
};
#define RIGHTS_1 ((UINT64_C(1) << 13) - 1) /* all of the first version */
#define RIGHT_REFER (UINT64_C(1) << 13)
#define RIGHT_TRUNCATE (UINT64_C(1) << 14)
#define RIGHT_IOCTL_DEV (UINT64_C(1) << 15)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

/*
 * Of the network nothing is handled: addresses come and go with a reload, and ports alone
 * say little.  Abstract Unix sockets are not scoped, since servers may be there; signals to
 * others are nobody's business here.
 */
struct attr {
	uint64_t fs, net, scoped;
};

static size_t attr_size(int abi)
{
	if (abi >= ABI_SCOPED)
		return sizeof(struct attr);
	return abi >= ABI_NET ? offsetof(struct attr, scoped) : offsetof(struct attr, net);
}

static uint64_t handled(int abi)
{
	uint64_t fs = RIGHTS_1;
	if (abi >= ABI_REFER)
		fs |= RIGHT_REFER;
	if (abi >= ABI_TRUNCATE)
		fs |= RIGHT_TRUNCATE;
	if (abi >= ABI_IOCTL_DEV)
		fs |= RIGHT_IOCTL_DEV;
	return fs;
}

int confine_init(struct confine *c)
{
	struct attr attr = {.fs = 0};
	*c = (struct confine){.fd = -1};
	long abi = syscall(
		SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return ERR_NOTFOUND;
	c->abi = (int)abi;
	attr.fs = handled(c->abi);
	attr.scoped = c->abi >= ABI_SCOPED ? SCOPE_SIGNAL : 0;
	c->fd = (int)syscall(SYS_landlock_create_ruleset, &attr, attr_size(c->abi), 0);
	return c->fd < 0 ? ERR_SYS : 0;
}

int confine_allow(struct confine *c, const char *folder, unsigned access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = 0};
	if (access & CONFINE_READ)
		rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	if (access & CONFINE_BIND)
		rule.allowed_access |= LANDLOCK_ACCESS_FS_MAKE_SOCK;
	if (access & CONFINE_REMOVE) /* the folder is locked, by a descriptor, to do it */
		rule.allowed_access |= LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	rule.parent_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return ERR_SYS;
	long rc = syscall(SYS_landlock_add_rule, c->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	int saved = errno;
	(void)close(rule.parent_fd);
	errno = saved;
	return rc == 0 ? 0 : ERR_SYS;
}

int confine_enter(struct confine *c)
{
	return syscall(SYS_landlock_restrict_self, c->fd, 0) == 0 ? 0 : ERR_SYS;
}

void confine_fini(struct confine *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
}

#else

int confine_init(struct confine *c)
{
	*c = (struct confine){.fd = -1};
	errno = 0;
	return ERR_NOTFOUND;
}

int confine_allow(struct confine *c, const char *folder, unsigned access)
{
	(void)c;
	(void)folder;
	(void)access;
	errno = ENOSYS;
	return ERR_SYS;
}

int confine_enter(struct confine *c)
{
	(void)c;
	errno = ENOSYS;
	return ERR_SYS;
}

void confine_fini(struct confine *c)
{
	(void)c;
}

#endif
