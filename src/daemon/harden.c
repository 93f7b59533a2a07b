#include "daemon/harden.h"

#include "config.h"

#include "base/err.h"
#include "base/log.h"
#include "daemon/confine.h"
#include "daemon/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The sanitizers trace the process from outside, read /proc and run programs at its end. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Goes on without what the kernel or the build does not have; errno says why. */
static void say_missing(const char *what, const char *how)
{
	log_notice("%s: no %s %s%s", what, how,
		errno == 0 ? "in this build" : "here: ", errno == 0 ? "" : strerror(errno));
}

/* --- files --------------------------------------------------------------------------------- */

static int allow_folder(struct confine *c, const char *folder, unsigned access)
{
	if (confine_allow(c, folder, access) == 0)
		return 0;
	/* Whoever needs it says so: a bind there cannot succeed either. */
	if (errno == ENOENT || errno == ENOTDIR || errno == EACCES)
		return 0;
	log_error("cannot restrict access to files: %s: %s", folder, strerror(errno));
	return ERR_SYS;
}

/* The folder of a path, which is cut for it. */
static const char *folder_of(char *path)
{
	char *slash = strrchr(path, '/');
	if (slash == NULL)
		return ".";
	if (slash == path)
		return "/";
	*slash = '\0';
	return path;
}

/*
 * A folder that is a link to one beside it is there to be switched to another: so those beside
 * it are allowed too.  Not all of the system, for a link in its root.
 */
static int allow_beside(struct confine *c, const char *folder)
{
	char real[PATH_MAX], above[PATH_MAX], real_above[PATH_MAX];
	struct stat st;
	size_t n = strlen(folder);
	if (lstat(folder, &st) != 0 || !S_ISLNK(st.st_mode) || realpath(folder, real) == NULL)
		return 0;
	memcpy(above, folder, n + 1);
	if (realpath(folder_of(above), real_above) == NULL || strcmp(real_above, "/") == 0 ||
		strcmp(folder_of(real), real_above) != 0)
		return 0;
	return allow_folder(c, real_above, CONFINE_READ);
}

/* A file, and each folder on the way to it, may be a link; either may be replaced. */
static int allow_file(struct confine *c, const char *file)
{
	char path[PATH_MAX];
	size_t n = strlen(file);
	int rc = 0;
	if (n >= sizeof path)
		return 0; /* nothing can open it */
	memcpy(path, file, n + 1);
	for (char *at = strchr(path + 1, '/'); at != NULL && rc == 0; at = strchr(at + 1, '/')) {
		*at = '\0';
		rc = allow_beside(c, path);
		*at = '/';
	}
	if (rc == 0)
		rc = allow_folder(c, folder_of(path), CONFINE_READ);
	if (rc == 0 && realpath(file, path) != NULL)
		rc = allow_folder(c, folder_of(path), CONFINE_READ);
	return rc;
}

/* What names are resolved with; c-ares looks for more than the two in /etc. */
static int allow_dns(struct confine *c)
{
	const char *hosts = getenv("CARES_HOSTS");
	int rc = allow_folder(c, "/etc", CONFINE_READ);
	if (rc == 0)
		rc = allow_file(c, "/etc/resolv.conf");
	if (rc == 0)
		rc = allow_file(c, "/etc/hosts");
	if (rc == 0 && hosts != NULL)
		rc = allow_file(c, hosts);
	return rc;
}

/* What the next key that names a file says; `at` begins with 0.  NULL: there is no more. */
static const char *next_named(const struct conf *conf, size_t *at)
{
	size_t n;
	const struct conf_key *keys = conf_keys(&n);
	while (*at < n) {
		const struct conf_key *key = &keys[(*at)++];
		const void *field = (const char *)conf + key->field;
		const char *const *file = field;
		if (key->type == CONF_PATH && (key->where & CONF_IN_GLOBAL) && *file != NULL)
			return *file;
	}
	return NULL;
}

static int allow_named(struct confine *c, const struct conf *conf)
{
	size_t at = 0;
	int rc = 0;
	for (const char *file; rc == 0 && (file = next_named(conf, &at)) != NULL;)
		rc = allow_file(c, file);
	return rc;
}

static int allow_bind(struct confine *c, const struct conf_endpoint *bind)
{
	const struct sockaddr_un *un = &bind->addr.un;
	char path[sizeof un->sun_path + 1];
	if (addr_family(&bind->addr) != AF_UNIX || un->sun_path[0] == '\0')
		return 0;
	memcpy(path, un->sun_path, sizeof un->sun_path);
	path[sizeof un->sun_path] = '\0';
	return allow_folder(c, folder_of(path), CONFINE_REMOVE);
}

static int allow_all(struct confine *c, const struct conf *conf, const char *file)
{
	int rc = allow_file(c, file);
	if (rc == 0)
		rc = allow_named(c, conf);
	if (rc == 0)
		rc = allow_dns(c);
	/* A reload may bring a socket in any folder; to remove files in it takes a restart. */
	if (rc == 0)
		rc = allow_folder(c, "/", CONFINE_BIND);
	for (size_t i = 0; i < conf->n_services && rc == 0; i++)
		rc = allow_bind(c, &conf->services[i].bind);
	for (size_t i = 0; i < conf->n_listens && rc == 0; i++)
		rc = allow_bind(c, &conf->listens[i]);
	if (rc == 0)
		rc = allow_bind(c, &conf->metrics);
	return rc;
}

static int restrict_files(const struct conf *conf, const char *file)
{
	struct confine c;
	int rc = confine_init(&c);
	if (rc == ERR_NOTFOUND) {
		say_missing("access to files is not restricted", "Landlock");
		return 0;
	}
	if (rc != 0) {
		log_error("cannot restrict access to files: %s", strerror(errno));
		return rc;
	}
	rc = allow_all(&c, conf, file);
	if (rc == 0 && (rc = confine_enter(&c)) != 0)
		log_error("cannot restrict access to files: %s", strerror(errno));
	if (rc == 0)
		log_debug("access to files is restricted: Landlock, version %d", c.abi);
	confine_fini(&c);
	return rc;
}

/* --- system calls, and the rest ------------------------------------------------------------ */

static int restrict_calls(void)
{
	int rc = filter_install();
	if (rc == 0) {
		log_debug("system calls are restricted");
	} else if (rc == ERR_NOTFOUND) {
		say_missing("system calls are not restricted", "seccomp");
		rc = 0;
	} else {
		log_error("cannot restrict system calls: %s",
			rc == ERR_SYS ? strerror(errno) : err_text(rc));
	}
	return rc;
}

static int restrict_process(void)
{
	const struct rlimit none = {0, 0};
	if (setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		return 0;
	log_error("cannot give up privileges: %s", strerror(errno));
	return ERR_SYS;
}

int harden_process(const struct conf *conf, const char *file)
{
	if (!conf->hardening) {
		log_warning("hardening=off: the process can do all that its user can");
		return 0;
	}
	if (SANITIZED) {
		log_debug("not hardened: built with sanitizers");
		return 0;
	}
	tzset(); /* reads a file, the first time */
	int rc = restrict_process();
	if (rc == 0)
		rc = restrict_files(conf, file);
	return rc != 0 ? rc : restrict_calls();
}

/* --- and what comes of it -------------------------------------------------------------------- */

/* By its mode and owner; looking at them is not restricted. */
static bool may_read(const struct stat *st)
{
	return geteuid() == 0 || (st->st_uid == geteuid() && (st->st_mode & S_IRUSR)) ||
	       (st->st_mode & S_IROTH);
}

static void explain(const char *file)
{
	struct stat st;
	/* Not to wait for whoever opens the other end of a FIFO. */
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int error = errno;
	if (fd >= 0)
		(void)close(fd);
	else if (error == EACCES && stat(file, &st) == 0 && may_read(&st))
		log_error("%s: this process may read files only in the folders that its "
			  "configuration named when it started (Landlock), and this is in another: "
			  "that takes a restart",
			file);
}

void harden_explain(const struct conf *conf, const char *file)
{
	size_t at = 0;
	explain(file);
	for (const char *named; conf != NULL && (named = next_named(conf, &at)) != NULL;)
		explain(named);
}
