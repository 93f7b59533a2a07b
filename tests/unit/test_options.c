/* The command line, and what comes of it before anything runs. */
#include "daemon/options.h"

#include "base/err.h"
#include "daemon/daemon.h"
#include "unit/unit.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARGS_MAX = 8 };

static char said[65536]; /* on standard output and standard error */
static int saved_out, saved_err;
static FILE *catcher;

static void catch_output(void)
{
	fflush(stdout);
	fflush(stderr);
	catcher = tmpfile();
	ck_assert_ptr_nonnull(catcher);
	saved_out = dup(1);
	saved_err = dup(2);
	dup2(fileno(catcher), 1);
	dup2(fileno(catcher), 2);
}

static void release_output(void)
{
	fflush(stdout);
	fflush(stderr);
	dup2(saved_out, 1);
	dup2(saved_err, 2);
	close(saved_out);
	close(saved_err);
	rewind(catcher);
	size_t n = fread(said, 1, sizeof said - 1, catcher);
	said[n] = '\0';
	fclose(catcher);
}

/* Splits a command line at its spaces, as the shell would. */
static int split(char *line, char *argv[ARGS_MAX])
{
	int argc = 0;
	for (char *word; (word = strsep(&line, " ")) != NULL;)
		argv[argc++] = word;
	argv[argc] = NULL;
	optind = 0; /* getopt_long() starts afresh */
	return argc;
}

static int parse(struct options *opt, enum conf_role role, const char *line)
{
	char *argv[ARGS_MAX];
	static char copy[1000];
	(void)snprintf(copy, sizeof copy, "%s", line);
	int argc = split(copy, argv);
	catch_output();
	int rc = options_parse(opt, role, argc, argv);
	release_output();
	return rc;
}

static int run(enum conf_role role, const char *line)
{
	char *argv[ARGS_MAX], copy[1000];
	(void)snprintf(copy, sizeof copy, "%s", line);
	int argc = split(copy, argv);
	catch_output();
	int rc = daemon_main(role, argc, argv);
	release_output();
	return rc;
}

START_TEST(defaults)
{
	struct options opt;
	ck_assert_int_eq(parse(&opt, CONF_CONTROLLER, "controller"), 0);
	ck_assert_int_eq(opt.action, OPTIONS_RUN);
	ck_assert_str_eq(opt.file, CLOUDBUS_SYSCONFDIR "/controller.ini");
	ck_assert_int_eq(parse(&opt, CONF_SEGMENT, "segment"), 0);
	ck_assert_str_eq(opt.file, CLOUDBUS_SYSCONFDIR "/segment.ini");
	ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(short_and_long_forms)
{
	static const struct {
		const char *line, *file;
		enum options_action action;
	} table[] = {
		{"controller -c a.ini", "a.ini", OPTIONS_RUN},
		{"controller --config a.ini", "a.ini", OPTIONS_RUN},
		{"controller --config=a.ini", "a.ini", OPTIONS_RUN},
		{"controller -ca.ini -t", "a.ini", OPTIONS_TEST},
		{"controller -tca.ini", "a.ini", OPTIONS_TEST},
		{"controller --test --config a.ini", "a.ini", OPTIONS_TEST},
		{"controller -c a.ini -c b.ini", "b.ini", OPTIONS_RUN},
		{"controller -V", NULL, OPTIONS_VERSION},
		{"controller --version -t", NULL, OPTIONS_VERSION},
		{"controller -t -h", NULL, OPTIONS_HELP},
		{"controller --help", NULL, OPTIONS_HELP},
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct options opt;
		ck_assert_int_eq(parse(&opt, CONF_CONTROLLER, table[i].line), 0);
		ck_assert_int_eq(opt.action, table[i].action);
		if (table[i].file != NULL)
			ck_assert_str_eq(opt.file, table[i].file);
		ck_assert_str_eq(said, "");
	}
}
END_TEST

START_TEST(a_wrong_command_line_exits_64)
{
	static const char *const lines[] = {"segment -x", "segment --nonsense", "segment -c",
		"segment extra", "segment -t extra", "segment --test=1", "segment -c a.ini b.ini"};
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		struct options opt;
		ck_assert_int_eq(parse(&opt, CONF_SEGMENT, lines[i]), ERR_INVALID);
		ck_assert_ptr_nonnull(strstr(said, "Try 'segment --help'"));
		ck_assert_int_eq(run(CONF_SEGMENT, lines[i]), DAEMON_EXIT_USAGE);
	}
}
END_TEST

START_TEST(version_and_help)
{
	ck_assert_int_eq(run(CONF_SEGMENT, "segment -V"), DAEMON_EXIT_OK);
	ck_assert_ptr_nonnull(strstr(said, "segment (cloudbus) "));
	for (int role = CONF_CONTROLLER; role <= CONF_SEGMENT; role++) {
		ck_assert_int_eq(run((enum conf_role)role, "x --help"), DAEMON_EXIT_OK);
		size_t n;
		const struct conf_key *keys = conf_keys(&n);
		unsigned side = role == CONF_CONTROLLER ? CONF_FOR_CONTROLLER : CONF_FOR_SEGMENT;
		for (size_t i = 0; i < n; i++) {
			bool listed = strstr(said, keys[i].help) != NULL;
			ck_assert_msg(listed == ((keys[i].where & side) != 0), "%s", keys[i].name);
		}
	}
}
END_TEST

/* --- the file ------------------------------------------------------------------------------- */

static char path[64];

static void write_file(const char *text, size_t n)
{
	(void)snprintf(path, sizeof path, "/tmp/cloudbus-options-XXXXXX");
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
	close(fd);
}

static int test_file(const char *name)
{
	char line[200];
	(void)snprintf(line, sizeof line, "controller -t -c %s", name);
	return run(CONF_CONTROLLER, line);
}

START_TEST(a_good_file)
{
	static const char text[] = "[s]\nbind=tcp://127.0.0.1:1\nserver=tcp://127.0.0.1:2";
	write_file(text, sizeof text - 1);
	ck_assert_int_eq(test_file(path), DAEMON_EXIT_OK);
	ck_assert_ptr_nonnull(strstr(said, path));
	ck_assert_ptr_nonnull(strstr(said, "good (1 services)"));
	unlink(path);
}
END_TEST

START_TEST(case66_a_bad_file_exits_78_with_all_its_errors)
{
	static const char text[] = "[s]\nbind=nonsense\nserver=tcp://127.0.0.1:99999\n";
	write_file(text, sizeof text - 1);
	ck_assert_int_eq(test_file(path), DAEMON_EXIT_CONFIG);
	ck_assert_ptr_nonnull(strstr(said, "nonsense"));
	ck_assert_ptr_nonnull(strstr(said, "99999"));
	unlink(path);
}
END_TEST

START_TEST(what_is_no_file)
{
	static const char *const names[][2] = {
		{"/nonexistent/x.ini", "No such file"},
		{"/tmp", "is a directory"},
		{"/dev/null", "service"}, /* empty: no service in it */
		{"/dev/zero", "too long"},
		{"/proc/self/mem", "cannot read"},
	};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		ck_assert_int_eq(test_file(names[i][0]), DAEMON_EXIT_CONFIG);
		ck_assert_msg(strstr(said, names[i][0]) != NULL, "%s: %s", names[i][0], said);
		ck_assert_msg(strstr(said, names[i][1]) != NULL, "%s: %s", names[i][0], said);
	}
}
END_TEST

START_TEST(a_file_without_permission)
{
	if (geteuid() == 0) /* to whom everything is permitted */
		return;
	write_file("", 0);
	ck_assert_int_eq(chmod(path, 0), 0);
	ck_assert_int_eq(test_file(path), DAEMON_EXIT_CONFIG);
	ck_assert_ptr_nonnull(strstr(said, "Permission denied"));
	unlink(path);
}
END_TEST

START_TEST(a_file_just_above_the_limit)
{
	(void)snprintf(path, sizeof path, "/tmp/cloudbus-options-XXXXXX");
	int fd = mkstemp(path);
	ck_assert_int_eq(ftruncate(fd, (off_t)CONF_FILE_MAX + 1), 0);
	close(fd);
	ck_assert_int_eq(test_file(path), DAEMON_EXIT_CONFIG);
	ck_assert_ptr_nonnull(strstr(said, "too long"));
	unlink(path);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("options");
	TCase *tc = tcase_create("options");
	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, short_and_long_forms);
	tcase_add_test(tc, a_wrong_command_line_exits_64);
	tcase_add_test(tc, version_and_help);
	tcase_add_test(tc, a_good_file);
	tcase_add_test(tc, case66_a_bad_file_exits_78_with_all_its_errors);
	tcase_add_test(tc, what_is_no_file);
	tcase_add_test(tc, a_file_without_permission);
	tcase_add_test(tc, a_file_just_above_the_limit);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
