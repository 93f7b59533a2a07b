/*
 * privileges - whom the process runs as, and that there is no way back.
 *
 * The account is looked up before anything runs, since that may read files and load
 * libraries; becoming it comes when the addresses of the start are bound, and before a key is
 * read or anybody is heard, so that all else that works at the start works at a reload too.
 */
#ifndef CB_DAEMON_PRIVILEGES_H
#define CB_DAEMON_PRIVILEGES_H

#include "conf/conf.h"

#include <stdbool.h>
#include <sys/types.h>

enum {
	PRIVILEGES_GROUPS_MAX = 256,    /* groups of one user that are kept */
	PRIVILEGES_RECORD_MAX = 1 << 20 /* bytes of an entry in the databases of accounts */
};

struct privileges {
	uid_t uid;
	gid_t gid;
	gid_t groups[PRIVILEGES_GROUPS_MAX]; /* supplementary */
	size_t n_groups;
	bool asked; /* user= or group= is there; nothing else counts otherwise */
};

/*
 * Looks up user= and group=, names first, then numbers.  0; ERR_INVALID, and *bad is the
 * one of them that there is not (a user's number without an entry needs a group=);
 * ERR_SYS with errno, ERR_LIMIT or ERR_NOMEM, where it could not be told, *bad likewise.
 */
int privileges_find(struct privileges *p, const struct conf *conf, const struct conf_account **bad);

/*
 * Becomes that user, in those groups, for good: real, effective and saved ids, and no
 * capability is left but CAP_NET_BIND_SERVICE, where it was.  Does nothing where nothing was
 * asked.  0, or ERR_SYS with errno; the process must end then, as it may be half done.
 */
int privileges_drop(const struct privileges *p);

#endif
