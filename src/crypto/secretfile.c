#include "crypto/secretfile.h"

#include "base/err.h"

#include <assert.h>
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

/* A file that is being made. */
struct draft {
	const struct secretfile_new *file;
	int folder; /* that it is in, to be synced; -1: none yet */
	enum {
		DRAFT_NOTHING,
		DRAFT_WRITTEN, /* under its temporary name */
		DRAFT_NAMED,   /* and nothing was at its path */
		DRAFT_SWAPPED, /* what was there is under the temporary name now */
		DRAFT_REPLACED /* what was there is gone */
	} stage;
	char temporary[PATH_MAX];
};

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

/* All that can go wrong before anything is seen of it.  0, or -1 and errno. */
static int prepare(struct draft *d)
{
	const char *path = d->file->path;
	struct stat st;
	bool there = lstat(path, &st) == 0;
	if (there && d->file->replace == SECRETFILE_NEW) {
		errno = EEXIST;
		return -1;
	}
	if (there && S_ISDIR(st.st_mode)) {
		errno = EISDIR; /* which could be swapped */
		return -1;
	}
	d->folder = open_folder(path);
	if (d->folder < 0)
		return -1;
	if (snprintf(d->temporary, sizeof d->temporary, "%s.XXXXXX", path) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (write_temporary(d->temporary, d->file->text, d->file->n) != 0)
		return -1;
	d->stage = DRAFT_WRITTEN;
	return 0;
}

/* Where nothing is there.  0, or -1 and errno. */
static int name_new(struct draft *d)
{
	const char *from = d->temporary, *to = d->file->path;
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0) {
		if (errno != EINVAL && errno != ENOSYS)
			return -1;
		/* A file system that has not heard of it, such as NFS. */
		if (link(from, to) != 0)
			return -1;
		(void)unlink(from);
	}
	d->stage = DRAFT_NAMED;
	return 0;
}

/* Gives the file its name, so that it can be taken back.  0, or -1 and errno. */
static int give_name(struct draft *d)
{
	const char *from = d->temporary, *to = d->file->path;
	struct stat st;
	if (d->file->replace == SECRETFILE_NEW || lstat(to, &st) != 0)
		return name_new(d);
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0) {
		d->stage = DRAFT_SWAPPED;
		return 0;
	}
	if ((errno != EINVAL && errno != ENOSYS) || rename(from, to) != 0)
		return -1;
	d->stage = DRAFT_REPLACED;
	return 0;
}

/* As if it had never been. */
static void take_back(struct draft *d)
{
	if (d->stage == DRAFT_WRITTEN)
		(void)unlink(d->temporary);
	else if (d->stage == DRAFT_NAMED)
		(void)unlink(d->file->path);
	else if (d->stage == DRAFT_SWAPPED)
		(void)rename(d->temporary, d->file->path);
	d->stage = DRAFT_NOTHING;
}

/* Each step for all before the next one for any.  The number of those that are done. */
static size_t each(struct draft *drafts, size_t n, int (*step)(struct draft *d))
{
	size_t i = 0;
	while (i < n && step(&drafts[i]) == 0)
		i++;
	return i;
}

static int make_lasting(struct draft *d)
{
	return sync_folder(d->folder);
}

int secretfile_write(const struct secretfile_new *files, size_t n, char why[static WHY_MAX])
{
	static int (*const steps[])(struct draft * d) = {prepare, give_name, make_lasting};
	struct draft drafts[SECRETFILE_TOGETHER];
	size_t done = n;
	assert(n <= SECRETFILE_TOGETHER);
	for (size_t i = 0; i < n; i++) {
		drafts[i].file = &files[i];
		drafts[i].folder = -1;
		drafts[i].stage = DRAFT_NOTHING;
	}
	for (size_t i = 0; done == n && i < sizeof steps / sizeof *steps; i++)
		done = each(drafts, n, steps[i]);
	int saved = errno;
	for (size_t i = n; i-- > 0;) {
		if (done < n)
			take_back(&drafts[i]);
		else if (drafts[i].stage == DRAFT_SWAPPED)
			(void)unlink(drafts[i].temporary);
		if (drafts[i].folder >= 0)
			(void)close(drafts[i].folder);
	}
	errno = saved;
	if (done == n)
		return 0;
	const struct secretfile_new *failed = &files[done];
	if (saved == EEXIST && failed->replace == SECRETFILE_NEW)
		return why_say(why, ERR_CLOSED, "%s: is there already", failed->path);
	return why_say(why, ERR_SYS, "%s: cannot write: %s", failed->path, strerror(saved));
}
