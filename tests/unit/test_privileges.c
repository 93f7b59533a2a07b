/* Becoming another user, and never coming back.  The second half needs root. */
#include "daemon/privileges.h"

#include "base/err.h"
#include "unit/child.h"
#include "unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct passwd someone; /* not root; a user that every system has */

static int find(struct privileges *p, const char *user, const char *group, int *bad)
{
	struct conf conf = {
		.user = {(char *)(uintptr_t)user, 1}, .group = {(char *)(uintptr_t)group, 2}};
	const struct conf_account *account;
	int rc = privileges_find(p, &conf, &account);
	*bad = rc == 0 ? 0 : account == &conf.user ? 1 : 2;
	return rc;
}

/* --- who ----------------------------------------------------------------------------------- */

START_TEST(accounts_are_found_by_name_and_by_number)
{
	struct privileges p;
	char number[16];
	int bad;
	ck_assert_int_eq(find(&p, NULL, NULL, &bad), 0);
	ck_assert(!p.asked);
	ck_assert_int_eq(find(&p, someone.pw_name, NULL, &bad), 0);
	ck_assert(p.asked);
	ck_assert_uint_eq(p.uid, someone.pw_uid);
	ck_assert_uint_eq(p.gid, someone.pw_gid);
	ck_assert_uint_ge(p.n_groups, 1);
	snprintf(number, sizeof number, "%u", someone.pw_uid);
	ck_assert_int_eq(find(&p, number, NULL, &bad), 0);
	ck_assert_uint_eq(p.uid, someone.pw_uid);
	ck_assert_uint_eq(p.gid, someone.pw_gid);
	ck_assert_int_eq(find(&p, someone.pw_name, "4294967294", &bad), 0);
	ck_assert_uint_eq(p.gid, 4294967294);
	for (size_t i = 0; i < p.n_groups; i++)
		ck_assert_uint_ne(p.groups[i], someone.pw_gid);
	/* nobody has this number, but it may be used where the group is given */
	ck_assert_int_eq(find(&p, "4294967293", "4294967294", &bad), 0);
	ck_assert_uint_eq(p.uid, 4294967293);
	ck_assert_uint_eq(p.n_groups, 1);
	ck_assert_int_eq(find(&p, NULL, "root", &bad), 0);
	ck_assert_uint_eq(p.uid, geteuid());
	ck_assert_uint_eq(p.gid, 0);
}
END_TEST

START_TEST(what_there_is_not_is_told)
{
	static const struct {
		const char *user, *group;
		int bad;
	} wrong[] = {
		{"no-such-user", NULL, 1},
		{"4294967293", NULL, 1},
		{"4294967295", "0", 1}, /* (uid_t)-1 */
		{"99999999999", "0", 1},
		{"-1", "0", 1},
		{" 1", "0", 1},
		{"root", "no-such-group", 2},
		{NULL, "no-such-group", 2},
		{NULL, "4294967295", 2},
		{NULL, "0x0", 2},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct privileges p;
		int bad;
		ck_assert_int_eq(find(&p, wrong[i].user, wrong[i].group, &bad), ERR_INVALID);
		ck_assert_int_eq(bad, wrong[i].bad);
	}
}
END_TEST

/* --- there, and not back ------------------------------------------------------------------- */

/* A line of /proc/self/status, behind its colon. */
static const char *status_of(const char *name)
{
	static char line[256];
	FILE *f = fopen("/proc/self/status", "re");
	size_t n = strlen(name);
	CHILD_EXPECT(f != NULL);
	while (fgets(line, sizeof line, f) != NULL) {
		if (strncmp(line, name, n) == 0 && line[n] == ':') {
			fclose(f);
			line[strcspn(line, "\n")] = '\0';
			return line + n + 2;
		}
	}
	child_wrong(__FILE__, __LINE__, name);
}

static void expect_caps(const char *caps)
{
	static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		bool empty = i == 0 || i == 4;
		CHILD_EXPECT(strcmp(status_of(sets[i]), empty ? "0000000000000000" : caps) == 0);
	}
}

/* Whether a port below 1024 can be bound; one that is free is looked for. */
static bool binds_low_port(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = -1;
	for (uint16_t port = 1023; port > 511 && rc != 0; port--) {
		struct sockaddr_in in = {.sin_family = AF_INET,
			.sin_port = htons(port),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		rc = bind(fd, (struct sockaddr *)&in, sizeof in);
		if (rc != 0 && errno != EADDRINUSE)
			break;
	}
	close(fd);
	return rc == 0;
}

static void expect_no_way_back(const struct privileges *p)
{
	uid_t u[3];
	gid_t g[3], groups[PRIVILEGES_GROUPS_MAX];
	CHILD_EXPECT(getresuid(&u[0], &u[1], &u[2]) == 0 && getresgid(&g[0], &g[1], &g[2]) == 0);
	for (int i = 0; i < 3; i++)
		CHILD_EXPECT(u[i] == p->uid && g[i] == p->gid);
	int n = getgroups(PRIVILEGES_GROUPS_MAX, groups);
	CHILD_EXPECT(n == (int)p->n_groups && memcmp(groups, p->groups, n * sizeof *groups) == 0);
	CHILD_EXPECT(setuid(0) != 0 && errno == EPERM);
	CHILD_EXPECT(seteuid(0) != 0 && setresuid(0, 0, 0) != 0);
	CHILD_EXPECT(setgid(0) != 0 && setgroups(0, NULL) != 0);
	CHILD_EXPECT(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 0);
}

static int drop_to_someone(const void *ctx)
{
	const struct privileges *p = ctx;
	CHILD_EXPECT(privileges_drop(p) == 0);
	expect_no_way_back(p);
	expect_caps("0000000000000400"); /* CAP_NET_BIND_SERVICE */
	CHILD_EXPECT(binds_low_port());
	CHILD_EXPECT(privileges_drop(p) == 0); /* it is that user already */
	return 0;
}

START_TEST(root_becomes_the_user_for_good_and_binds_low_ports)
{
	struct privileges p;
	int bad;
	ck_assert_int_eq(find(&p, someone.pw_name, NULL, &bad), 0);
	ck_assert_int_eq(child_run(drop_to_someone, &p), 0);
	ck_assert_int_eq(find(&p, someone.pw_name, "4294967294", &bad), 0);
	ck_assert_int_eq(child_run(drop_to_someone, &p), 0);
}
END_TEST

/* Started by a service manager that has taken the capability away: it does not come back. */
static int drop_without_the_capability(const void *ctx)
{
	const struct privileges *p = ctx;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	CHILD_EXPECT(syscall(SYS_capget, &header, data) == 0);
	data[0].effective &= ~((uint32_t)1 << CAP_NET_BIND_SERVICE);
	data[0].permitted &= ~((uint32_t)1 << CAP_NET_BIND_SERVICE);
	CHILD_EXPECT(syscall(SYS_capset, &header, data) == 0);
	CHILD_EXPECT(privileges_drop(p) == 0);
	expect_no_way_back(p);
	expect_caps("0000000000000000");
	return 0;
}

START_TEST(a_capability_that_was_not_there_is_not_made)
{
	struct privileges p;
	int bad;
	ck_assert_int_eq(find(&p, someone.pw_name, NULL, &bad), 0);
	ck_assert_int_eq(child_run(drop_without_the_capability, &p), 0);
}
END_TEST

static int drop_nothing(const void *ctx)
{
	CHILD_EXPECT(privileges_drop(ctx) == 0);
	CHILD_EXPECT(getuid() == 0 && geteuid() == 0);
	return 0;
}

static int become_root_from(const void *ctx)
{
	struct privileges root;
	int bad;
	CHILD_EXPECT(privileges_drop(ctx) == 0);
	CHILD_EXPECT(find(&root, "root", NULL, &bad) == 0);
	CHILD_EXPECT(privileges_drop(&root) == ERR_SYS && errno == EPERM);
	return 0;
}

START_TEST(what_was_not_asked_or_is_not_allowed_is_not_done)
{
	struct privileges p;
	int bad;
	ck_assert_int_eq(find(&p, NULL, NULL, &bad), 0);
	ck_assert_int_eq(child_run(drop_nothing, &p), 0);
	ck_assert_int_eq(find(&p, "root", NULL, &bad), 0);
	ck_assert_int_eq(child_run(drop_nothing, &p), 0);
	ck_assert_int_eq(find(&p, someone.pw_name, NULL, &bad), 0);
	ck_assert_int_eq(child_run(become_root_from, &p), 0);
}
END_TEST

static bool find_someone(void)
{
	for (struct passwd *pw; (pw = getpwent()) != NULL;) {
		if (pw->pw_uid != 0 && pw->pw_gid != 0) {
			someone = *pw;
			someone.pw_name = strdup(pw->pw_name);
			break;
		}
	}
	endpwent();
	return someone.pw_name != NULL;
}

int main(void)
{
	if (!find_someone())
		return child_skip("there is no user but root");
	bool root = geteuid() == 0;
	Suite *s = suite_create("privileges");
	TCase *t = tcase_create("who");
	tcase_add_test(t, accounts_are_found_by_name_and_by_number);
	tcase_add_test(t, what_there_is_not_is_told);
	suite_add_tcase(s, t);
	if (root) {
		t = tcase_create("there");
		tcase_add_test(t, root_becomes_the_user_for_good_and_binds_low_ports);
		tcase_add_test(t, a_capability_that_was_not_there_is_not_made);
		tcase_add_test(t, what_was_not_asked_or_is_not_allowed_is_not_done);
		suite_add_tcase(s, t);
	}
	int status = unit_main(s);
	free(someone.pw_name);
	if (status == EXIT_SUCCESS && !root)
		return child_skip("only root can become somebody else; looking up was tested");
	return status;
}
