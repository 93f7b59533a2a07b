/*
 * confine - which parts of the file system the process may still reach: Landlock.
 *
 * Rules name folders, not files: a file that is replaced, as editors and package managers
 * do it, is another file under the same name.  What is open already stays open, and so do
 * connections to Unix sockets anywhere: Landlock speaks of opening, making and removing.
 */
#ifndef CB_DAEMON_CONFINE_H
#define CB_DAEMON_CONFINE_H

enum confine_access {
	CONFINE_READ = 1 << 0,   /* files in the folder and below may be read */
	CONFINE_BIND = 1 << 1,   /* Unix sockets may be made there */
	CONFINE_REMOVE = 1 << 2, /* files may be removed: such sockets among them */
};

struct confine {
	int fd;  /* of the rules */
	int abi; /* of the kernel, from 1 */
};

/*
 * Begins: nothing is allowed.  0; ERR_NOTFOUND where there is no Landlock: with errno 0 in this
 * build, otherwise in this kernel (ENOSYS or EOPNOTSUPP) or for this process, by a filter that
 * others put around it (EPERM mostly); ERR_SYS with errno.
 */
int confine_init(struct confine *c);

/*
 * Allows `access`, of enum confine_access, in the folder, which a symbolic link may lead to.
 * 0, or ERR_SYS with errno.
 */
int confine_allow(struct confine *c, const char *folder, unsigned access);

/*
 * From now on that is all, for this process and what it may start; the process must have
 * no_new_privs.  0, or ERR_SYS with errno.
 */
int confine_enter(struct confine *c);

/* Frees the rules, also after confine_enter(), which stays in force. */
void confine_fini(struct confine *c);

#endif
