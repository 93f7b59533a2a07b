#include "crypto/secretfile.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- reading --------------------------------------------------------------------------------- */

static int judge(const char *path, const struct stat *st, const struct secretfile_rules *rules,
	char why[static WHY_MAX])
{
	enum secretfile_kind kind = rules->kind;
	uid_t me = rules->owner != 0 ? rules->owner : geteuid();
	char quoted[WHY_MAX];
	const char *word = why_shell(quoted, path);
	if (!S_ISREG(st->st_mode))
		return why_say(why, ERR_INVALID, "%s: %s, expected a file", path,
			S_ISDIR(st->st_mode) ? "is a folder" : "is no ordinary file");
	if (kind != SECRETFILE_ANY && st->st_uid != 0 && st->st_uid != me &&
		st->st_uid != geteuid())
		return why_say(why, ERR_INVALID,
			"%s: belongs to another user; to mend it: chown %ju %s", path,
			(uintmax_t)me, word);
	if (kind == SECRETFILE_SECRET && (st->st_mode & 077) != 0)
		return why_say(why, ERR_INVALID,
			"%s: holds a secret that others may read or write (mode %03o); to mend it: "
			"chmod 600 %s",
			path, st->st_mode & 0777u, word);
	if (kind == SECRETFILE_PUBLIC && (st->st_mode & 022) != 0)
		return why_say(why, ERR_INVALID,
			"%s: others may write it (mode %03o); to mend it: chmod go-w %s", path,
			st->st_mode & 0777u, word);
	if (st->st_size > (off_t)rules->max)
		return why_say(why, ERR_LIMIT, "%s: %jd bytes; expected at most %zu", path,
			(intmax_t)st->st_size, rules->max);
	return 0;
}

/* The n bytes that the file is long, and a NUL. */
static int take(
	struct secretfile *out, int fd, const char *path, size_t n, char why[static WHY_MAX])
{
	char *text = sodium_malloc(n + 1);
	if (text == NULL)
		return why_say(why, ERR_NOMEM, "%s: cannot read: out of memory", path);
	size_t at = 0;
	ssize_t got = 1;
	while (at <= n && got != 0) {
		/* One byte further than it is long: it may have grown. */
		got = read(fd, text + at, n + 1 - at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		at += (size_t)got;
	}
	if (got == 0 && at == n) {
		text[n] = '\0';
		*out = (struct secretfile){text, n};
		return 0;
	}
	sodium_free(text);
	if (got < 0)
		return why_say(why, ERR_SYS, "%s: cannot read: %s", path, strerror(errno));
	return why_say(why, ERR_INVALID, "%s: changed while it was read; try again", path);
}

int secretfile_read(struct secretfile *out, const char *path, const struct secretfile_rules *rules,
	char why[static WHY_MAX])
{
	struct stat st;
	*out = (struct secretfile){NULL, 0};
	/* Not to wait for whoever opens the other end of a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return why_say(why, ERR_SYS, "%s: cannot open: %s", path, strerror(errno));
	int rc;
	if (fstat(fd, &st) != 0)
		rc = why_say(why, ERR_SYS, "%s: cannot read: %s", path, strerror(errno));
	else
		rc = judge(path, &st, rules, why);
	if (rc == 0)
		rc = take(out, fd, path, (size_t)st.st_size, why);
	int saved = errno;
	(void)close(fd);
	errno = saved;
	return rc;
}

void secretfile_wipe(struct secretfile *f)
{
	sodium_free(f->text);
	*f = (struct secretfile){NULL, 0};
}

/* --- writing --------------------------------------------------------------------------------- */

static int write_all(int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t put = write(fd, text, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		text += put;
		n -= (size_t)put;
	}
	return fsync(fd);
}

/* Gives the file its name: 0, or -1 and errno. */
static int move(const char *from, const char *to, enum secretfile_replace replace)
{
	if (replace == SECRETFILE_REPLACE)
		return rename(from, to);
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* A file system that has not heard of it, such as NFS. */
	if (link(from, to) != 0)
		return -1;
	(void)unlink(from);
	return 0;
}

/* The folder that a file is in, to be synced; or -1 and errno. */
static int open_folder(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	if (slash == NULL)
		strcpy(folder, ".");
	else
		snprintf(folder, sizeof folder, "%.*s", (int)(slash - path + 1), path);
	return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* So that a crash does not take the name back. */
static int sync_folder(int fd)
{
	/* There are file systems where a folder cannot be. */
	return fsync(fd) == 0 || errno == EINVAL ? 0 : -1;
}

/* Makes the file `temporary`, from its template, with all that is to be in it. */
static int write_temporary(char *temporary, const char *text, size_t n)
{
	int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -1;
	/* mkostemp lets the umask take what the owner may do. */
	int rc = fchmod(fd, S_IRUSR | S_IWUSR);
	if (rc == 0)
		rc = write_all(fd, text, n);
	int saved = errno;
	if (close(fd) != 0 && rc == 0) {
		saved = errno;
		rc = -1;
	}
	if (rc != 0)
		(void)unlink(temporary);
	errno = saved;
	return rc;
}

/* Makes the file in the open folder and gives it its name; on failure it is not there. */
static int make(
	const char *path, int folder, const char *text, size_t n, enum secretfile_replace replace)
{
	char temporary[PATH_MAX];
	if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (write_temporary(temporary, text, n) != 0)
		return -1;
	const char *made = temporary;
	int rc = move(temporary, path, replace);
	if (rc == 0) {
		rc = sync_folder(folder);
		/* What was replaced does not come back, so then the new one is better than none. */
		made = replace == SECRETFILE_NEW ? path : NULL;
	}
	int saved = errno;
	if (rc != 0 && made != NULL)
		(void)unlink(made);
	errno = saved;
	return rc;
}

int secretfile_write(const char *path, const char *text, size_t n, enum secretfile_replace replace,
	char why[static WHY_MAX])
{
	/* Before the file, so that one that cannot be synced is not made. */
	int folder = open_folder(path);
	int rc = folder >= 0 ? make(path, folder, text, n, replace) : -1;
	int saved = errno;
	if (folder >= 0)
		(void)close(folder);
	errno = saved;
	if (rc == 0)
		return 0;
	if (saved == EEXIST && replace == SECRETFILE_NEW)
		return why_say(why, ERR_CLOSED, "%s: is there already", path);
	return why_say(why, ERR_SYS, "%s: cannot write: %s", path, strerror(saved));
}
