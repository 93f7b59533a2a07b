#include "daemon/privileges.h"

#include "base/err.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- who ----------------------------------------------------------------------------------- */

/* A decimal number that an id can be; (id_t)-1 means "leave it" to the system calls. */
static bool is_number(const char *text, id_t *id)
{
	char *end;
	if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
		return false;
	errno = 0;
	unsigned long n = strtoul(text, &end, 10);
	if (errno != 0 || n >= (id_t)-1)
		return false;
	*id = (id_t)n;
	return true;
}

/* Doubles the buffer of a getpwnam_r() that found it too small.  0, ERR_LIMIT or ERR_NOMEM. */
static int grow(char **buf, size_t *n)
{
	if (*n >= PRIVILEGES_RECORD_MAX)
		return ERR_LIMIT;
	char *more = realloc(*buf, *n * 2);
	if (more == NULL)
		return ERR_NOMEM;
	*buf = more;
	*n *= 2;
	return 0;
}

/* What an answer without an entry means: the databases say "no such" in several ways. */
static int missing(int error)
{
	if (error == 0 || error == ENOENT || error == ESRCH)
		return ERR_NOTFOUND;
	errno = error;
	return ERR_SYS;
}

/* Fills in the user's ids and groups.  0, ERR_NOTFOUND, ERR_SYS, ERR_LIMIT, ERR_NOMEM. */
static int find_user(struct privileges *p, const char *name)
{
	struct passwd entry, *found = NULL;
	size_t n = 1024;
	char *buf = malloc(n);
	int rc = buf == NULL ? ERR_NOMEM : 0, error = ERANGE;
	while (rc == 0) {
		error = getpwnam_r(name, &entry, buf, n, &found);
		id_t id;
		if (found == NULL && error != ERANGE && is_number(name, &id))
			error = getpwuid_r(id, &entry, buf, n, &found);
		if (error != ERANGE)
			break;
		rc = grow(&buf, &n);
	}
	if (rc == 0 && found == NULL)
		rc = missing(error);
	if (rc == 0) {
		int count = PRIVILEGES_GROUPS_MAX;
		p->uid = entry.pw_uid;
		p->gid = entry.pw_gid;
		if (getgrouplist(entry.pw_name, entry.pw_gid, p->groups, &count) < 0)
			rc = ERR_LIMIT;
		else
			p->n_groups = (size_t)count;
	}
	free(buf);
	return rc;
}

static int find_group(gid_t *gid, const char *name)
{
	struct group entry, *found = NULL;
	size_t n = 1024;
	char *buf = malloc(n);
	int rc = buf == NULL ? ERR_NOMEM : 0, error = ERANGE;
	while (rc == 0) {
		error = getgrnam_r(name, &entry, buf, n, &found);
		if (error != ERANGE)
			break;
		rc = grow(&buf, &n);
	}
	if (rc == 0 && found != NULL)
		*gid = entry.gr_gid;
	else if (rc == 0 && !is_number(name, gid))
		rc = missing(error);
	free(buf);
	return rc;
}

/* The group that was asked for takes the place of the user's own among the others. */
static int use_group(struct privileges *p, gid_t gid)
{
	gid_t own = p->gid;
	p->gid = gid;
	for (size_t i = 0; i < p->n_groups; i++) {
		if (p->groups[i] == own) {
			p->groups[i] = gid;
			return 0;
		}
	}
	if (p->n_groups == PRIVILEGES_GROUPS_MAX)
		return ERR_LIMIT;
	p->groups[p->n_groups++] = gid;
	return 0;
}

int privileges_find(struct privileges *p, const struct conf *conf, const struct conf_account **bad)
{
	const char *user = conf->user.name, *group = conf->group.name;
	gid_t gid;
	int rc;
	*p = (struct privileges){
		.uid = geteuid(), .gid = getegid(), .asked = user != NULL || group != NULL};
	*bad = &conf->user;
	if (user != NULL && (rc = find_user(p, user)) != 0) {
		if (rc != ERR_NOTFOUND)
			return rc;
		/* A number needs no entry, but then nobody knows its group. */
		if (!is_number(user, &p->uid) || group == NULL)
			return ERR_INVALID;
	}
	if (group == NULL)
		return 0;
	*bad = &conf->group;
	rc = find_group(&gid, group);
	if (rc != 0)
		return rc == ERR_NOTFOUND ? ERR_INVALID : rc;
	return use_group(p, gid);
}

/* --- there, and not back ------------------------------------------------------------------- */

#define BIND_SERVICE ((uint32_t)1 << CAP_NET_BIND_SERVICE)

static struct __user_cap_header_struct cap_header = {.version = _LINUX_CAPABILITY_VERSION_3};

/* The capabilities that are kept, of the first 32. */
static uint32_t keepable(void)
{
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	if (syscall(SYS_capget, &cap_header, data) != 0)
		return 0;
	return data[0].permitted & BIND_SERVICE;
}

static int keep_only(uint32_t caps)
{
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{.effective = caps, .permitted = caps}};
	return syscall(SYS_capset, &cap_header, data) == 0 ? 0 : ERR_SYS;
}

/* Not for this process, nor for what it would execute; needs CAP_SETPCAP, so it comes first. */
static void empty_bounding_set(uint32_t but)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (cap >= 32 || (but & (uint32_t)1 << cap) == 0)
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	}
}

/* Whether all of the ids are these already, so that nothing needs a privilege. */
static bool is_there(const struct privileges *p)
{
	uid_t u[3];
	gid_t g[3];
	if (getresuid(&u[0], &u[1], &u[2]) != 0 || getresgid(&g[0], &g[1], &g[2]) != 0)
		return false;
	for (int i = 0; i < 3; i++) {
		if (u[i] != p->uid || g[i] != p->gid)
			return false;
	}
	return true;
}

static int become(const struct privileges *p)
{
	if (is_there(p) && p->uid != 0)
		return 0;
	if (setgroups(p->n_groups, p->groups) != 0 || setresgid(p->gid, p->gid, p->gid) != 0 ||
		setresuid(p->uid, p->uid, p->uid) != 0)
		return ERR_SYS;
	return 0;
}

int privileges_drop(const struct privileges *p)
{
	if (!p->asked)
		return 0;
	if (p->uid == 0)
		return become(p); /* root's capabilities are what it was asked to keep */
	uint32_t caps = keepable();
	empty_bounding_set(caps);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || become(p) != 0 || keep_only(caps) != 0)
		return ERR_SYS;
	(void)prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* What must never be true is looked at, not hoped for. */
	if (!is_there(p) || setuid(0) == 0 || seteuid(0) == 0) {
		errno = EPERM;
		return ERR_SYS;
	}
	return 0;
}
