/* Segments that dial: whole nodes, and a list of names that changes under way. */
#include "base/err.h"
#include "base/log.h"
#include "bus/node_impl.h"
#include "bus/uplink.h"
#include "unit/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig r;

static void setup(void)
{
	log_set_level(LOG_ERROR);
	rig_init(&r);
}

static void teardown(void)
{
	rig_fini(&r);
}

static struct rig_node *start_controller(int hub, const int *client)
{
	return rig_start(&r, CONF_CONTROLLER,
		"[Cloudbus]\nlisten=tcp://127.0.0.1:%d\n[A]\nbind=tcp://127.0.0.1:%d\n"
		"[b]\nbind=tcp://127.0.0.1:%d\n",
		hub, client[0], client[1]);
}

/* Whether a client of the port is taken to a backend, or refused. */
static bool is_served(int port, int listener)
{
	int client = rig_connect(port), backend = -1;
	char c;
	ssize_t got = -1;
	RIG_UNTIL(&r, (backend = accept(listener, NULL, NULL)) >= 0 ||
			      (got = rig_read(client, &c, 1)) >= 0 || errno != EAGAIN);
	if (backend >= 0)
		close(backend);
	close(client);
	return backend >= 0;
}

/* What a reload does: the difference is announced, and nothing else changes. */
START_TEST(the_roster_changes)
{
	static const struct {
		const char *names[3];
		size_t n;
	} sets[] = {{{"a"}, 1}, {{"a", "B"}, 2}, {{"b", "c"}, 2}, {{NULL}, 0}, {{"A"}, 1}};
	int hub = rig_port(&r), client[2] = {rig_port(&r), rig_port(&r)}, b = rig_port(&r);
	int listener = rig_listen(b);
	ck_assert_int_eq(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
	struct rig_node *con = start_controller(hub, client);
	struct rig_node *seg = rig_start(&r, CONF_SEGMENT,
		"[Cloudbus]\nlink_timeout=30s\n"
		"[a]\nbind=unix://@nat-%d\nserver=tcp://127.0.0.1:%d\n"
		"[b]\nbind=unix://@nat-%d\nserver=tcp://127.0.0.1:%d\n",
		hub, b, hub, b);
	struct egress *e[2];
	struct egress_target *target;
	static struct directory_entry entry[2];
	static struct directory dir;
	static struct roster roster;
	struct uplink *up;
	static bool stopped;
	static struct conf_endpoint at = {.text = (char *)"hub"};
	struct bus *bus = &seg->bus;
	ck_assert_int_eq(addr_from_literal(&at.addr, "127.0.0.1", 9, (uint16_t)hub), 0);
	directory_init(&dir, bus);
	roster_init(&roster, bus);
	for (int i = 0; i < 2; i++) {
		e[i] = egress_new(bus, &seg->conf->services[i]);
		ck_assert_ptr_nonnull(e[i]);
		ck_assert_int_eq(egress_prepare(e[i], e[i]->conf, &target), 0);
		egress_commit(e[i], e[i]->conf, target);
		ck_assert_int_eq(directory_add(&dir, &entry[i], e[i]), 0);
	}
	struct uplink_options opt = {
		.conf = &at, .directory = &dir, .roster = &roster, .stopped = &stopped};
	ck_assert_int_eq(uplink_new(&up, bus, &opt), 0);
	RIG_UNTIL(&r, bus->n_transports == 1 && con->bus.n_transports == 1);
	for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
		struct conf_service s[3] = {{.name = NULL}};
		bool want[2] = {false, false};
		for (size_t k = 0; k < sets[i].n; k++) {
			s[k].name = (char *)sets[i].names[k];
			want[0] = want[0] || strcasecmp(s[k].name, "a") == 0;
			want[1] = want[1] || strcasecmp(s[k].name, "b") == 0;
		}
		ck_assert_int_eq(roster_set(&roster, s, sets[i].n), 0);
		uint32_t version = roster.version;
		ck_assert_int_eq(roster_set(&roster, s, sets[i].n), 0);
		ck_assert_uint_eq(roster.version, version); /* no change, no announcement */
		for (int k = 0; k < 2; k++)
			RIG_UNTIL(&r, is_served(client[k], listener) == want[k]);
	}
	ck_assert_int_eq(roster_set(&roster, seg->conf->services, WIRE_NAMES_MAX + 1), ERR_LIMIT);
	stopped = true;
	RIG_UNTIL(&r, bus->n_sessions == 0 && con->bus.n_sessions == 0);
	rig_stop(con);
	RIG_UNTIL(&r, bus->n_transports == 0);
	uplink_free(up);
	directory_fini(&dir);
	roster_fini(&roster);
	egress_free(e[0]);
	egress_free(e[1]);
	close(listener);
}
END_TEST

/* A client waits for a server that is dialled, and a segment comes that serves it. */
START_TEST(who_waits_is_told_of_whoever_comes)
{
	static const char *const names[][2] = {{"x", "a"}, {"a", "x"}};
	int hub = rig_port(&r), bind = rig_port(&r), nobody = rig_port(&r), b = rig_port(&r);
	int listener = rig_listen(b), clients[3];
	struct rig_node *con = rig_start(&r, CONF_CONTROLLER,
		"[Cloudbus]\nlisten=tcp://127.0.0.1:%d\n"
		"[web]\nbind=tcp://127.0.0.1:%d\nconnect_timeout=1h\n"
		"server=bus:%s\nserver=tcp://127.0.0.1:%d\nserver=bus:%s\n",
		hub, bind, names[_i][0], nobody, names[_i][1]);
	for (int i = 0; i < 3; i++)
		clients[i] = rig_connect(bind);
	RIG_UNTIL(&r, con->bus.n_sessions == 3);
	(void)rig_start(&r, CONF_SEGMENT,
		"[Cloudbus]\nconnect=tcp://127.0.0.1:%d\n[a]\nserver=tcp://127.0.0.1:%d\n", hub, b);
	for (int i = 0; i < 3; i++) {
		int backend = rig_accept(&r, listener);
		rig_send(&r, backend, "here", 4);
		close(backend);
	}
	for (int i = 0; i < 3; i++) {
		rig_expect(&r, clients[i], "here", 4);
		rig_expect_end(&r, clients[i]);
		close(clients[i]);
	}
	close(listener);
}
END_TEST

/*
 * A service that a reload takes away stays reachable over links for a moment, comes back as itself
 * in between, and is gone in the end.  Without memory it is gone at once.
 */
START_TEST(a_service_leaves)
{
	int hub = rig_port(&r);
	struct node_changes changes;
	struct rig_node *seg = rig_start(&r, CONF_SEGMENT,
		"[Cloudbus]\nconnect=tcp://127.0.0.1:%d\n[a]\nserver=tcp://127.0.0.1:9\n", hub);
	struct node *node = seg->node;
	const struct directory *leaving = &node->leaving.directory;
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(rig_reload(seg, &changes,
					 "[Cloudbus]\nconnect=tcp://127.0.0.1:%d\n"
					 "[b]\nserver=tcp://127.0.0.1:9\n",
					 hub),
			0);
		ck_assert_ptr_null(directory_find(&node->directory, "a", 1));
		struct egress *a = directory_find(leaving, "A", 1);
		ck_assert_ptr_nonnull(a);
		ck_assert_ptr_eq(node->directory.behind, leaving);
		ck_assert_int_eq(rig_reload(seg, &changes,
					 "[Cloudbus]\nconnect=tcp://127.0.0.1:%d\n"
					 "[a]\nserver=tcp://127.0.0.1:9\n",
					 hub),
			0);
		ck_assert_int_eq((int)changes.added, 1);
		ck_assert_ptr_eq(directory_find(&node->directory, "a", 1), a);
		ck_assert_ptr_null(directory_find(leaving, "a", 1));
		ck_assert(!a->leaving && a->conf == seg->bus.conf->services);
	}
	uint64_t since = clock_now();
	RIG_UNTIL(&r, list_empty(&node->leaving.gone));
	ck_assert_uint_ge(clock_now() - since, LEAVING_TIME - CLOCK_SEC / 2);
	ck_assert_ptr_null(directory_find(leaving, "a", 1));
	ck_assert_ptr_null(directory_find(leaving, "b", 1));
	struct egress *e = egress_new(&seg->bus, seg->bus.conf->services);
	ck_assert_ptr_nonnull(e);
	r.mem.fail_at = r.mem.calls + 1;
	leaving_add(&node->leaving, e);
	ck_assert(e->retired && !e->leaving && list_empty(&node->leaving.gone));
	rig_turn(&r);
}
END_TEST

/* What a session points into outlives it, also where its service was leaving when it began. */
START_TEST(a_session_of_a_service_that_leaves_and_comes_back)
{
	static const char with[] =
		"[Cloudbus]\nconnect=tcp://127.0.0.1:%d\n[b]\nserver=tcp://127.0.0.1:9\n"
		"[a]\nserver=tcp://127.0.0.1:%d\n";
	int hub = rig_port(&r), client[2] = {rig_port(&r), rig_port(&r)}, b = rig_port(&r);
	int listener = rig_listen(b);
	struct node_changes changes;
	struct rig_node *con = start_controller(hub, client);
	struct rig_node *seg = rig_start(&r, CONF_SEGMENT, with, hub, b);
	ck_assert_int_eq(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
	RIG_UNTIL(&r, is_served(client[0], listener));
	RIG_UNTIL(&r, seg->bus.n_sessions == 0 && con->bus.n_sessions == 0);
	/* The controller opens it in the turn in which the name is withdrawn. */
	int fd = rig_connect(client[0]);
	ck_assert_int_eq(rig_reload(seg, &changes,
				 "[Cloudbus]\nconnect=tcp://127.0.0.1:%d\n"
				 "[b]\nserver=tcp://127.0.0.1:9\n",
				 hub),
		0);
	struct egress *a = directory_find(&seg->node->leaving.directory, "a", 1);
	ck_assert_ptr_nonnull(a);
	int backend = rig_accept(&r, listener);
	ck_assert_uint_eq(a->n_sessions, 1);
	const struct session *s =
		container_of(list_first(&seg->bus.sessions), struct session, node);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(rig_reload(seg, &changes, with, hub, b), 0);
		ck_assert_ptr_eq(directory_find(&seg->node->directory, "a", 1), a);
		rig_turn(&r);
		ck_assert_ptr_eq(s->service, s->generation->conf->services + 1);
		ck_assert_str_eq(s->service->name, "a");
	}
	rig_send(&r, fd, "x", 1);
	rig_expect(&r, backend, "x", 1);
	close(fd);
	close(backend);
	RIG_UNTIL(&r, seg->bus.n_sessions == 0 && con->bus.n_sessions == 0);
	RIG_UNTIL(&r, seg->bus.generations.alive == 1);
	close(listener);
}
END_TEST

/* Whichever allocation fails: nothing breaks and nothing leaks. */
START_TEST(case39_no_memory)
{
	bool failed = true;
	for (size_t n = 1; failed && n < 400; n++) {
		int hub = rig_port(&r), client[2] = {rig_port(&r), rig_port(&r)};
		(void)start_controller(hub, client);
		r.mem.failed = 0;
		r.mem.fail_at = r.mem.calls + n;
		struct rig_node *seg = rig_try(&r, CONF_SEGMENT,
			"[Cloudbus]\nconnect=tcp://127.0.0.1:%d\n[a]\nserver=tcp://127.0.0.1:9\n"
			"[b]\nserver=tcp://127.0.0.1:9\n",
			hub);
		if (seg->node != NULL)
			RIG_UNTIL(&r, seg->bus.n_transports == 1 || r.mem.failed);
		for (int i = 0; i < 5; i++)
			ck_assert_int_eq(loop_turn(r.loop, 0), 0);
		failed = r.mem.failed;
		rig_fini(&r);
		rig_init(&r);
	}
	ck_assert(!failed);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nat");
	TCase *tc = tcase_create("nat");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_roster_changes);
	tcase_add_loop_test(tc, who_waits_is_told_of_whoever_comes, 0, 2);
	tcase_add_test(tc, a_service_leaves);
	tcase_add_test(tc, a_session_of_a_service_that_leaves_and_comes_back);
	tcase_add_test(tc, case39_no_memory);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
