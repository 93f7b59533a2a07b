/* A node as a whole: what it binds, whom it serves, and how it ends. */
#include "base/log.h"
#include "unit/nameserver.h"
#include "unit/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct rig r;
static int log_fd;
static char lines[65536];

static void setup(void)
{
	FILE *f = tmpfile();
	ck_assert_ptr_nonnull(f);
	log_fd = dup(fileno(f));
	fclose(f);
	log_set_level(LOG_INFO);
	log_set_fd(log_fd);
	rig_init(&r);
}

static void teardown(void)
{
	rig_fini(&r);
	log_set_fd(STDERR_FILENO);
	close(log_fd);
}

/* Whether the log has a line with both texts. */
static bool logged(const char *a, const char *b)
{
	ssize_t n = pread(log_fd, lines, sizeof lines - 1, 0);
	ck_assert_int_ge(n, 0);
	lines[n] = '\0';
	char *rest = lines;
	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		if (strstr(line, a) != NULL && strstr(line, b) != NULL)
			return true;
	}
	return false;
}

static struct rig_node *start_segment(int port, int backend)
{
	return rig_start(&r, CONF_SEGMENT,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n", port, backend);
}

static struct rig_node *start_controller(int port, int segment)
{
	return rig_start(&r, CONF_CONTROLLER,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n", port, segment);
}

static void exchange(int client, int backend)
{
	rig_send(&r, client, "ping", 4);
	rig_expect(&r, backend, "ping", 4);
	rig_send(&r, backend, "pong", 4);
	rig_expect(&r, client, "pong", 4);
}

static bool is_refused(int port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = connect(fd, (struct sockaddr *)&in, sizeof in);
	bool refused = rc != 0 && errno == ECONNREFUSED;
	close(fd);
	return refused;
}

/* --- binding -------------------------------------------------------------------------------- */

START_TEST(every_address_that_cannot_be_bound_is_named)
{
	int p[3] = {rig_port(&r), rig_port(&r), rig_port(&r)};
	int busy[2] = {rig_listen(p[0]), rig_listen(p[2])};
	char first[40], third[40];
	(void)snprintf(first, sizeof first, "tcp://127.0.0.1:%d", p[0]);
	(void)snprintf(third, sizeof third, "tcp://127.0.0.1:%d", p[2]);
	for (int role = CONF_CONTROLLER; role <= CONF_SEGMENT; role++) {
		ck_assert_int_eq(ftruncate(log_fd, 0), 0);
		ck_assert_int_eq(lseek(log_fd, 0, SEEK_SET), 0);
		struct rig_node *n = rig_try(&r, (enum conf_role)role,
			"[one]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:9\n"
			"[two]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:9\n"
			"[three]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:9\n",
			p[0], p[1], p[2]);
		ck_assert_int_ne(n->starts, 0);
		ck_assert_ptr_null(n->node);
		ck_assert(logged("[one]", first));
		ck_assert(logged("[three]", third));
		ck_assert(logged("[one]", strerror(EADDRINUSE)));
		/* The one that could be bound is free again. */
		ck_assert(is_refused(p[1]));
	}
	close(busy[0]);
	close(busy[1]);
}
END_TEST

START_TEST(socket_files_go_with_their_listeners)
{
	char dir[] = "/tmp/cloudbus-node-XXXXXX", path[2][64];
	struct stat st;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path[0], sizeof path[0], "%s/segment", dir);
	(void)snprintf(path[1], sizeof path[1], "%s/client", dir);
	for (int drain = 0; drain < 2; drain++) {
		struct rig_node *s = rig_start(&r, CONF_SEGMENT,
			"[s]\nbind=unix://%s\nserver=tcp://127.0.0.1:9\n", path[0]);
		struct rig_node *c = rig_start(&r, CONF_CONTROLLER,
			"[s]\nbind=unix://%s\nserver=unix://%s\n", path[1], path[0]);
		RIG_UNTIL(&r, s->bus.n_transports == 1);
		for (int i = 0; i < 2; i++)
			ck_assert_int_eq(stat(path[i], &st), 0);
		if (drain) {
			rig_drain(c);
			rig_drain(s);
			RIG_UNTIL(&r, c->drained && s->drained);
		}
		rig_stop(c);
		rig_stop(s);
		for (int i = 0; i < 2; i++)
			ck_assert_int_ne(stat(path[i], &st), 0);
	}
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(services_of_one_address_are_told_apart_by_name)
{
	int s = rig_port(&r), b[2], l[2], c[3];
	for (int i = 0; i < 2; i++)
		l[i] = rig_listen(b[i] = rig_port(&r));
	for (int i = 0; i < 3; i++)
		c[i] = rig_port(&r);
	struct rig_node *seg = rig_start(&r, CONF_SEGMENT,
		"[Alpha]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		"[beta]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
		s, b[0], s, b[1]);
	struct rig_node *con = rig_start(&r, CONF_CONTROLLER,
		"[aLPHA]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		"[other]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\nservice=BETA\n"
		"[gamma]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
		c[0], s, c[1], s, c[2], s);
	/* One address, one link. */
	RIG_UNTIL(&r, seg->bus.n_transports == 1);
	ck_assert_uint_eq(con->bus.n_transports, 1);
	for (int i = 0; i < 2; i++) {
		int client = rig_connect(c[i]), backend = rig_accept(&r, l[i]);
		exchange(client, backend);
		close(client);
		rig_expect_end(&r, backend);
		close(backend);
	}
	int client = rig_connect(c[2]);
	rig_expect_reset(&r, client);
	close(client);
	ck_assert(logged("no service [gamma]", "refused"));
	for (int i = 0; i < 2; i++)
		close(l[i]);
}
END_TEST

/* --- names ---------------------------------------------------------------------------------- */

START_TEST(who_waits_for_a_name_is_served_by_a_link_that_is_up)
{
	static struct nameserver ns;
	int s = rig_port(&r), b = rig_port(&r), l = rig_listen(b);
	int c[2] = {rig_port(&r), rig_port(&r)};
	nameserver_start(&ns, r.loop);
	nameserver_set(&ns, (struct ns_rule){.host = "segment.test",
				    .af = AF_INET,
				    .kind = NS_ANSWER,
				    .ips = {"127.0.0.1"},
				    .ttl = 60,
				    .delay = 300 * CLOCK_MS});
	(void)start_segment(s, b);
	struct rig_node *con = rig_start(&r, CONF_CONTROLLER,
		"[Cloudbus]\ndns=127.0.0.1:%d\n"
		"[one]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		"[two]\nbind=tcp://127.0.0.1:%d\nserver=tcp://segment.test:%d\n",
		addr_port(&ns.addr), c[0], s, c[1], s);
	int client = rig_connect(c[1]);
	RIG_UNTIL(&r, con->bus.n_sessions == 1 && con->bus.n_transports == 1);
	int backend = rig_accept(&r, l);
	exchange(client, backend);
	ck_assert_uint_eq(con->bus.n_transports, 1);
	close(client);
	close(backend);
	RIG_UNTIL(&r, con->bus.n_sessions == 0);
	rig_stop(con);
	nameserver_stop(&ns);
	close(l);
}
END_TEST

/* --- prepared, and not in force yet ------------------------------------------------------- */

static struct conf *parse(enum conf_role role, const char *text)
{
	struct conf *conf;
	struct conf_source src = {.file = "node", .text = text, .n = strlen(text)};
	ck_assert_int_eq(conf_parse(&conf, role, &src, mem_system(), NULL, NULL), 0);
	return conf;
}

/* Privileges are given up between the two steps: until the second nobody may be heard. */
START_TEST(what_is_prepared_is_bound_and_asks_nobody)
{
	static struct nameserver ns;
	int c = rig_port(&r), s = rig_port(&r), seg = rig_listen(s), fd;
	char text[256];
	struct node_step *step;
	struct node_changes changes;
	nameserver_start(&ns, r.loop);
	nameserver_set(&ns, (struct ns_rule){.host = "segment.test",
				    .af = AF_INET,
				    .kind = NS_ANSWER,
				    .ips = {"127.0.0.1"},
				    .ttl = 60});
	struct rig_node *con = rig_start(&r, CONF_CONTROLLER,
		"[Cloudbus]\ndns=127.0.0.1:%d\n"
		"[one]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:9\n",
		addr_port(&ns.addr), rig_port(&r));
	(void)snprintf(text, sizeof text,
		"[two]\nbind=tcp://127.0.0.1:%d\nserver=tcp://segment.test:%d\n"
		"server=tcp://127.0.0.1:%d\n",
		c, s, s);
	struct conf *conf = parse(CONF_CONTROLLER, text);
	for (int commit = 0; commit < 2; commit++) {
		int fds = rig_count_fds();
		ck_assert_int_eq(node_prepare(&step, con->node, conf), 0);
		ck_assert_int_eq(rig_count_fds(), fds + 1); /* no socket but the listener */
		fd = rig_connect(c);                        /* waits in the kernel */
		ck_assert_int_eq(recv(ns.udp.fd, text, 1, MSG_PEEK | MSG_DONTWAIT), -1);
		ck_assert_int_eq(accept4(seg, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), -1);
		if (commit)
			break;
		node_abandon(step);
		ck_assert(is_refused(c));
		close(fd);
	}
	node_commit(step, &changes);
	ck_assert_uint_eq(changes.added, 1);
	ck_assert_uint_eq(changes.removed, 1);
	RIG_UNTIL(&r, con->bus.n_sessions == 1 && ns.queries > 0);
	close(rig_accept(&r, seg));
	close(fd);
	rig_stop(con);
	nameserver_stop(&ns);
	close(seg);
}
END_TEST

/* Keys are loaded after the addresses are bound: where they are bad, all is given back. */
START_TEST(a_start_without_its_keys_leaves_no_address_bound)
{
	static const char *const keys = "trust=/nowhere/t\nidentity=/nowhere/i\ntoken=/nowhere/k\n";
	int port = rig_port(&r);
	struct rig_node *n = rig_try(&r, CONF_SEGMENT,
		"[Cloudbus]\n%s[s]\nbind=bus://127.0.0.1:%d\nserver=tcp://127.0.0.1:9\n", keys,
		port);
	ck_assert_int_ne(n->starts, 0);
	ck_assert(logged("listening", "127.0.0.1"));
	ck_assert(is_refused(port));
	n = rig_try(&r, CONF_CONTROLLER,
		"[Cloudbus]\n%slisten=bus://127.0.0.1:%d\n[s]\nbind=unix://@cloudbus-node-%d\n",
		keys, port, port);
	ck_assert_int_ne(n->starts, 0);
	ck_assert(is_refused(port));
}
END_TEST

/* --- the end -------------------------------------------------------------------------------- */

START_TEST(a_drain_without_sessions_is_over_at_once)
{
	int s = rig_port(&r), c = rig_port(&r);
	struct rig_node *seg = start_segment(s, 9), *con = start_controller(c, s);
	RIG_UNTIL(&r, seg->bus.n_transports == 1);
	rig_drain(seg);
	ck_assert(is_refused(s));
	RIG_UNTIL(&r, seg->drained);
	ck_assert_uint_eq(seg->cut, 0);
	rig_drain(con);
	RIG_UNTIL(&r, con->drained);
	ck_assert(is_refused(c));
	for (int i = 0; i < 10; i++)
		rig_turn(&r);
}
END_TEST

START_TEST(a_drain_waits_for_its_sessions)
{
	for (int who = 0; who < 2; who++) {
		int s = rig_port(&r), b = rig_port(&r), c = rig_port(&r), l = rig_listen(b);
		struct rig_node *seg = start_segment(s, b), *con = start_controller(c, s);
		struct rig_node *n = who == 0 ? seg : con;
		RIG_UNTIL(&r, seg->bus.n_transports == 1);
		int client = rig_connect(c), backend = rig_accept(&r, l);
		exchange(client, backend);
		rig_drain(n);
		uint64_t end = clock_now() + 1500 * CLOCK_MS; /* longer than GOAWAYs take */
		RIG_UNTIL(&r, clock_now() > end);
		ck_assert(!n->drained);
		exchange(client, backend);
		rig_send_pattern(&r, client, 0, 300000);
		rig_expect_pattern(&r, backend, 0, 300000);
		close(client);
		rig_expect_end(&r, backend);
		close(backend);
		RIG_UNTIL(&r, n->drained);
		ck_assert_uint_eq(n->cut, 0);
		close(l);
		rig_stop(con);
		rig_stop(seg);
	}
}
END_TEST

START_TEST(case26_new_sessions_go_to_the_segment_that_takes_over)
{
	int s = rig_port(&r), b = rig_port(&r), c = rig_port(&r), l = rig_listen(b);
	struct rig_node *old = start_segment(s, b), *con = start_controller(c, s);
	RIG_UNTIL(&r, old->bus.n_transports == 1);
	int client = rig_connect(c), backend = rig_accept(&r, l);
	exchange(client, backend);
	rig_drain(old);
	struct rig_node *young = start_segment(s, b);
	RIG_UNTIL(&r, young->bus.n_transports == 1);
	int client2 = rig_connect(c), backend2 = rig_accept(&r, l);
	exchange(client2, backend2);
	ck_assert_uint_eq(young->bus.n_sessions, 1);
	exchange(client, backend);
	close(client);
	rig_expect_end(&r, backend);
	close(backend);
	RIG_UNTIL(&r, old->drained);
	ck_assert_uint_eq(old->cut, 0);
	exchange(client2, backend2);
	close(client2);
	close(backend2);
	RIG_UNTIL(&r, con->bus.n_sessions == 0);
	close(l);
}
END_TEST

START_TEST(what_is_left_is_cut_off_and_counted)
{
	int s = rig_port(&r), b = rig_port(&r), c = rig_port(&r), l = rig_listen(b);
	struct rig_node *seg = start_segment(s, b), *con = start_controller(c, s);
	RIG_UNTIL(&r, seg->bus.n_transports == 1);
	int client[2], backend[2];
	for (int i = 0; i < 2; i++) {
		client[i] = rig_connect(c);
		backend[i] = rig_accept(&r, l);
		exchange(client[i], backend[i]);
	}
	rig_drain(con);
	node_cut(con->node);
	for (int i = 0; i < 2; i++) {
		rig_expect_reset(&r, client[i]);
		rig_expect_reset(&r, backend[i]);
		close(client[i]);
		close(backend[i]);
	}
	RIG_UNTIL(&r, con->drained);
	ck_assert_uint_eq(con->cut, 2);
	/* Said goodbye in order all the same. */
	RIG_UNTIL(&r, seg->bus.n_transports == 0);
	ck_assert(!logged("transport from", "lost"));
	close(l);
}
END_TEST

START_TEST(a_cut_does_not_wait_for_a_stranger)
{
	int s = rig_port(&r);
	struct rig_node *seg = start_segment(s, 9);
	int stranger = rig_connect(s);
	RIG_UNTIL(&r, seg->bus.n_transports == 1);
	rig_drain(seg);
	uint64_t begin = clock_now();
	node_cut(seg->node);
	RIG_UNTIL(&r, seg->drained);
	ck_assert_uint_lt(clock_now() - begin, 3 * CLOCK_SEC);
	ck_assert_uint_eq(seg->cut, 0);
	close(stranger);
}
END_TEST

START_TEST(freed_in_the_middle_of_everything)
{
	for (int turns = 0; turns < 12; turns++) {
		int s = rig_port(&r), b = rig_port(&r), c = rig_port(&r), l = rig_listen(b);
		struct rig_node *seg = start_segment(s, b), *con = start_controller(c, s);
		int client[4];
		for (int i = 0; i < 4; i++) {
			client[i] = rig_connect(c);
			(void)!write(client[i], "x", 1);
		}
		for (int i = 0; i < turns; i++)
			ck_assert_int_eq(loop_turn(r.loop, 0), 0);
		/* Neither was drained: both still listen, dial and wait. */
		rig_stop(turns % 2 ? seg : con);
		rig_stop(turns % 2 ? con : seg);
		for (int i = 0; i < 4; i++) {
			rig_expect_reset(&r, client[i]);
			close(client[i]);
		}
		close(l);
		rig_fini(&r);
		rig_init(&r);
	}
}
END_TEST

START_TEST(case35_no_descriptors_left)
{
	int s = rig_port(&r), b = rig_port(&r), c = rig_port(&r), l = rig_listen(b);
	struct rig_node *seg = start_segment(s, b), *con = start_controller(c, s);
	RIG_UNTIL(&r, seg->bus.n_transports == 1);
	struct rlimit before, low;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = 256;
	int client = rig_connect(c), hog[256], n = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	while ((hog[n] = dup(log_fd)) >= 0)
		n++;
	ck_assert_int_eq(errno, EMFILE);
	RIG_UNTIL(&r, logged("cannot accept", strerror(EMFILE)));
	/* It pauses: said once, and no work between the attempts. */
	uint64_t end = clock_now() + 3 * CLOCK_SEC / 10;
	int turns = 0;
	RIG_UNTIL(&r, (turns++, clock_now() > end));
	ck_assert_int_lt(turns, 100);
	while (n > 0)
		close(hog[--n]);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	int backend = rig_accept(&r, l);
	exchange(client, backend);
	close(client);
	close(backend);
	RIG_UNTIL(&r, con->bus.n_sessions == 0);
	close(l);
}
END_TEST

int main(void)
{
	if (sodium_init() < 0)
		return EXIT_FAILURE;
	Suite *s = suite_create("node");
	TCase *tc = tcase_create("node");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, every_address_that_cannot_be_bound_is_named);
	tcase_add_test(tc, socket_files_go_with_their_listeners);
	tcase_add_test(tc, services_of_one_address_are_told_apart_by_name);
	tcase_add_test(tc, who_waits_for_a_name_is_served_by_a_link_that_is_up);
	tcase_add_test(tc, what_is_prepared_is_bound_and_asks_nobody);
	tcase_add_test(tc, a_start_without_its_keys_leaves_no_address_bound);
	tcase_add_test(tc, a_drain_without_sessions_is_over_at_once);
	tcase_add_test(tc, a_drain_waits_for_its_sessions);
	tcase_add_test(tc, case26_new_sessions_go_to_the_segment_that_takes_over);
	tcase_add_test(tc, what_is_left_is_cut_off_and_counted);
	tcase_add_test(tc, a_cut_does_not_wait_for_a_stranger);
	tcase_add_test(tc, freed_in_the_middle_of_everything);
	tcase_add_test(tc, case35_no_descriptors_left);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
