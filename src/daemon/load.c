#include "daemon/load.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MESSAGE_MAX = CONF_PATH_MAX + 256 }; /* bytes */

/* A file, and whom to tell what is wrong with it. */
struct source {
	const char *file;
	bool waits; /* for what is no ordinary file */
	conf_report *report;
	void *ctx;
};

static void say(const struct source *src, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const struct source *src, const char *fmt, ...)
{
	char text[MESSAGE_MAX];
	int n = snprintf(text, sizeof text, "%.*s: ", CONF_PATH_MAX, src->file);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
	va_end(ap);
	src->report(src->ctx, text);
}

/* Reads to the end of the file.  0 and *out, to be freed. */
static int read_all(const struct source *src, int fd, char **out, size_t *n)
{
	size_t room = 4096;
	char *text = malloc(room);
	int rc = text == NULL ? ERR_NOMEM : 0;
	*n = 0;
	while (rc == 0) {
		if (*n == room) {
			char *more = realloc(text, room *= 2);
			if (more == NULL) {
				rc = ERR_NOMEM;
				break;
			}
			text = more;
		}
		ssize_t got = read(fd, text + *n, room - *n);
		if (got == 0)
			break;
		if (got < 0) {
			say(src, "cannot read: %s", strerror(errno));
			rc = ERR_SYS;
			break;
		}
		*n += (size_t)got;
		if (*n > CONF_FILE_MAX) {
			say(src, "is too long (at most %d bytes)", CONF_FILE_MAX);
			rc = ERR_INVALID;
		}
	}
	if (rc == ERR_NOMEM)
		say(src, "cannot read: out of memory");
	if (rc != 0) {
		free(text);
		return rc;
	}
	*out = text;
	return 0;
}

/* The whole file in memory; n may be 0. */
static int read_file(const struct source *src, char **out, size_t *n)
{
	struct stat st;
	int rc = ERR_SYS;
	int fd = open(src->file, O_RDONLY | O_CLOEXEC | O_NOCTTY | (src->waits ? 0 : O_NONBLOCK));
	if (fd < 0 || fstat(fd, &st) != 0)
		say(src, "cannot open: %s", strerror(errno));
	else if (S_ISDIR(st.st_mode))
		say(src, "is a directory, expected a file");
	else if (!src->waits && !S_ISREG(st.st_mode))
		say(src, "is no ordinary file, and is not read again");
	else
		rc = read_all(src, fd, out, n);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

static int load(struct conf **out, enum conf_role role, const struct source *src)
{
	struct conf_source text = {.file = src->file};
	char *bytes;
	*out = NULL;
	int rc = read_file(src, &bytes, &text.n);
	if (rc != 0)
		return rc;
	text.text = bytes;
	rc = conf_parse(out, role, &text, mem_system(), src->report, src->ctx);
	free(bytes);
	return rc;
}

int load_file(
	struct conf **out, enum conf_role role, const char *file, conf_report *report, void *ctx)
{
	struct source src = {.file = file, .waits = true, .report = report, .ctx = ctx};
	return load(out, role, &src);
}

int load_file_again(
	struct conf **out, enum conf_role role, const char *file, conf_report *report, void *ctx)
{
	struct source src = {.file = file, .waits = false, .report = report, .ctx = ctx};
	return load(out, role, &src);
}
