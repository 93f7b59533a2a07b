/*
 * secretfile - reads and writes the files that keys and tokens are kept in.
 *
 * The one part of this layer that does I/O.
 */
#ifndef CB_CRYPTO_SECRETFILE_H
#define CB_CRYPTO_SECRETFILE_H

#include "crypto/why.h"

#include <stddef.h>
#include <sys/types.h>

enum secretfile_kind {
	SECRETFILE_SECRET, /* nobody but its owner may read it */
	SECRETFILE_PUBLIC, /* others may read it, but not write it */
	SECRETFILE_ANY,    /* whoever owns it and whatever its mode */
};

struct secretfile_rules {
	enum secretfile_kind kind;
	size_t max;  /* bytes in the file */
	uid_t owner; /* whose it may be, beside root's and the running user's */
};

struct secretfile {
	char *text; /* n bytes and a NUL, locked in memory; of sodium_malloc */
	size_t n;
};

/*
 * Reads a regular file that the rules allow; a link is followed.  0; ERR_SYS (see errno) where
 * it cannot be opened or read; ERR_INVALID where it is something else than such a file, belongs
 * to somebody else, or where others may read (or, if public, write) it: `why` then has the
 * command that mends it; ERR_LIMIT; ERR_NOMEM.  sodium_init must have been called.
 */
int secretfile_read(struct secretfile *out, const char *path, const struct secretfile_rules *rules,
	char why[static WHY_MAX]);

/* Wipes and frees; leaves it empty.  An empty one may be wiped. */
void secretfile_wipe(struct secretfile *f);

enum { SECRETFILE_TOGETHER = 2 };

enum secretfile_replace { SECRETFILE_NEW, SECRETFILE_REPLACE };

/* A file to be written: n bytes of text. */
struct secretfile_new {
	const char *path;
	const char *text;
	size_t n;
	enum secretfile_replace replace;
};

/*
 * Writes 1 to SECRETFILE_TOGETHER files of mode 0600, all or none: each under another name in
 * its folder, with fsync, and only when all are there each gets its own name, in the order
 * given; then the folders are synced.  On failure everything is as it was.  With SECRETFILE_NEW a
 * file that is there already stays, and ERR_CLOSED is returned, whoever made it meanwhile.
 * ERR_SYS otherwise.  A link at a path is replaced, never followed.
 *
 * Who is killed between two names leaves the first file new and the second old; what the
 * first replaced is then beside it, under its name, a dot and six letters.  So the one that
 * would be missed goes last.  (A file system without RENAME_EXCHANGE, such as NFS, keeps
 * nothing, and cannot give back the first where the second is refused.)
 */
int secretfile_write(const struct secretfile_new *files, size_t n, char why[static WHY_MAX]);

#endif
