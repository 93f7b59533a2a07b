/* One configuration after the other in whole nodes, and every allocation failing on the way. */
#include "base/err.h"
#include "base/log.h"
#include "unit/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig r;
static struct node_changes changes;

static int nowhere;

static void setup(void)
{
	log_set_level(LOG_ERROR);
	nowhere = -1;
	rig_init(&r);
}

static void teardown(void)
{
	log_set_fd(STDERR_FILENO);
	if (nowhere >= 0)
		close(nowhere);
	rig_fini(&r);
}

/* Errors are what is expected from here on. */
static void hush(void)
{
	nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(nowhere, 0);
	log_set_fd(nowhere);
}

/* A controller and a segment, with one service between them. */
struct pair {
	struct rig_node *con, *seg;
	int client, link, backend, listener;
};

static struct pair start(void)
{
	struct pair p = {.client = rig_port(&r), .link = rig_port(&r), .backend = rig_port(&r)};
	p.listener = rig_listen(p.backend);
	p.seg = rig_start(&r, CONF_SEGMENT,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n", p.link, p.backend);
	p.con = rig_start(&r, CONF_CONTROLLER,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n", p.client, p.link);
	return p;
}

/* A byte each way through a session. */
static void check_works(int client, int server)
{
	char c = 0;
	rig_send(&r, client, "x", 1);
	RIG_UNTIL(&r, rig_read(server, &c, 1) == 1);
	rig_send(&r, server, "y", 1);
	RIG_UNTIL(&r, rig_read(client, &c, 1) == 1);
	ck_assert_int_eq(c, 'y');
}

static void check_serves(const struct pair *p)
{
	int client = rig_connect(p->client);
	int server = rig_accept(&r, p->listener);
	check_works(client, server);
	close(client);
	close(server);
	RIG_UNTIL(&r, p->con->bus.n_sessions == 0 && p->seg->bus.n_sessions == 0);
}

/* --- who holds what -------------------------------------------------------------------------- */

START_TEST(a_session_keeps_the_configuration_it_began_with)
{
	struct pair p = start();
	const struct generations *g = &p.con->bus.generations;
	int client = rig_connect(p.client), server = rig_accept(&r, p.listener);
	check_works(client, server);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(rig_reload(p.con, &changes,
					 "[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://"
					 "127.0.0.1:%d\nidle_timeout=%dm\n",
					 p.client, p.link, i + 1),
			0);
		ck_assert_uint_eq(changes.changed, 1);
		ck_assert_uint_eq(changes.added + changes.removed + changes.unchanged, 0);
		rig_turn(&r);
		/* the first, which the session has too, and the present one */
		ck_assert_uint_eq(g->alive, 2);
	}
	int second = rig_connect(p.client), second_server = rig_accept(&r, p.listener);
	check_works(second, second_server);
	ck_assert_int_eq(rig_reload(p.con, &changes,
				 "[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
				 p.client, p.link),
		0);
	rig_turn(&r);
	ck_assert_uint_eq(g->alive, 3);
	close(second);
	close(second_server);
	RIG_UNTIL(&r, g->alive == 2);
	check_works(client, server);
	close(client);
	close(server);
	RIG_UNTIL(&r, g->alive == 1);
	close(p.listener);
}
END_TEST

START_TEST(a_service_that_is_removed_lives_for_its_sessions)
{
	struct pair p = start();
	int other = rig_port(&r);
	int client = rig_connect(p.client), server = rig_accept(&r, p.listener);
	check_works(client, server);
	ck_assert_int_eq(rig_reload(p.con, &changes,
				 "[t]\nbind=tcp://127.0.0.1:%d\nserver=unix://@none\n", other),
		0);
	ck_assert_uint_eq(changes.added, 1);
	ck_assert_uint_eq(changes.removed, 1);
	ck_assert_int_eq(
		rig_reload(p.seg, &changes, "[t]\nbind=tcp://127.0.0.1:%d\nserver=unix://@none\n",
			rig_port(&r)),
		0);
	for (int i = 0; i < 10; i++)
		rig_turn(&r);
	check_works(client, server);
	size_t live = r.mem.live;
	close(client);
	close(server);
	RIG_UNTIL(&r, p.con->bus.n_transports == 0 && p.seg->bus.n_transports == 0);
	RIG_UNTIL(&r, p.con->bus.generations.alive == 1 && p.seg->bus.generations.alive == 1);
	ck_assert_uint_lt(r.mem.live, live);
	close(p.listener);
}
END_TEST

/* Clients that found no link up, of a service that is no more: what becomes of each of three. */
START_TEST(a_service_that_is_removed_lives_for_who_waits_for_a_link)
{
	int port = rig_port(&r), link = rig_port(&r), backend = rig_port(&r);
	int listener = rig_listen(backend);
	struct rig_node *con = rig_start(&r, CONF_CONTROLLER,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		"connect_timeout=%s\n",
		port, link, _i == 0 ? "30s" : "300ms");
	int gone = rig_connect(port), stays = rig_connect(port), late = rig_connect(port);
	RIG_UNTIL(&r, con->bus.n_sessions == 3);
	ck_assert_int_eq(
		rig_reload(con, &changes, "[t]\nbind=tcp://127.0.0.1:%d\nserver=unix://@none\n",
			rig_port(&r)),
		0);
	ck_assert_uint_eq(changes.removed, 1);
	rig_turn(&r);
	ck_assert_uint_eq(con->bus.n_sessions, 3);
	rig_abort(gone);
	RIG_UNTIL(&r, con->bus.n_sessions < 3);
	if (_i == 0) {
		struct rig_node *seg = rig_start(&r, CONF_SEGMENT,
			"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n", link, backend);
		int first = rig_accept(&r, listener), second = rig_accept(&r, listener);
		check_works(stays, first);
		check_works(late, second);
		close(first);
		close(second);
		close(stays);
		close(late);
		RIG_UNTIL(&r, seg->bus.n_sessions == 0);
	} else {
		rig_expect_reset(&r, stays);
		rig_expect_reset(&r, late);
		close(stays);
		close(late);
	}
	RIG_UNTIL(&r, con->bus.n_sessions == 0 && con->bus.generations.alive == 1);
	close(listener);
}
END_TEST

/* A session on its way to a backend that does not answer yet, of a service that is no more. */
START_TEST(a_service_that_is_removed_lives_for_who_waits_for_a_backend)
{
	struct pair p = start();
	int held[3], n_held = 0;
	close(p.listener);
	p.listener = rig_listen(p.backend);
	ck_assert_int_eq(listen(p.listener, 0), 0);
	held[n_held++] = rig_connect(p.backend); /* its queue is full */
	int gone = rig_connect(p.client), stays = rig_connect(p.client);
	RIG_UNTIL(&r, p.seg->bus.n_sessions == 2);
	ck_assert_int_eq(
		rig_reload(p.seg, &changes, "[t]\nbind=tcp://127.0.0.1:%d\nserver=unix://@none\n",
			rig_port(&r)),
		0);
	ck_assert_uint_eq(changes.removed, 1);
	rig_turn(&r);
	rig_abort(gone);
	RIG_UNTIL(&r, p.seg->bus.n_sessions == 1);
	ck_assert_uint_ge(p.seg->bus.pending.n, 1); /* given back, to be lent again */
	ck_assert_uint_eq(p.seg->bus.generations.alive, 2);
	if (_i == 0) {
		while (n_held > 0)
			close(held[--n_held]);
		/* The kernel tries again by itself, when the queue is empty. */
		ck_assert_int_eq(listen(p.listener, 9), 0);
		for (int server = -1; server < 0;) {
			server = rig_accept(&r, p.listener);
			if (recv(server, &(char){0}, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
				close(server); /* the one that filled it */
				server = -1;
				continue;
			}
			check_works(stays, server);
			close(server);
		}
	}
	close(stays);
	RIG_UNTIL(&r, p.con->bus.n_sessions == 0 && p.seg->bus.n_sessions == 0);
	RIG_UNTIL(&r, p.seg->bus.generations.alive == 1);
	while (n_held > 0)
		close(held[--n_held]);
	close(p.listener);
}
END_TEST

/* --- nothing half-done ---------------------------------------------------------------------- */

#define CONTROLLER                                                                                 \
	"[S]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\nserver=tcp://localhost:9\n"      \
	"[new]\nbind=unix://@reload-%d\nserver=bus:s\n[Cloudbus]\nlisten=unix://@hub-%d\n"
#define SEGMENT                                                                                    \
	"[S]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\nmax_sessions=9\n"                \
	"[new]\nbind=unix://@reload-%d\nserver=tcp://localhost:9\n[t]\nserver=unix://@none\n"      \
	"[Cloudbus]\nconnect=unix://@hub-%d\n"

static int change(struct pair *p, enum conf_role role)
{
	if (role == CONF_CONTROLLER)
		return rig_reload(
			p->con, &changes, CONTROLLER, p->client, p->link, p->link, p->link);
	return rig_reload(p->seg, &changes, SEGMENT, p->link, p->backend, p->link, p->link);
}

/* Whichever allocation fails, all is as before; and the next attempt goes through. */
START_TEST(case_39_no_memory)
{
	enum conf_role role = _i == 0 ? CONF_CONTROLLER : CONF_SEGMENT;
	bool failed = true;
	struct pair p = start();
	struct rig_node *node = role == CONF_CONTROLLER ? p.con : p.seg;
	int held = rig_connect(p.client), server = rig_accept(&r, p.listener);
	size_t n = 1;
	hush();
	for (; failed && n < 400; n++) {
		const struct conf *before = node->bus.conf;
		r.mem.failed = 0;
		r.mem.fail_at = r.mem.calls + n;
		int rc = change(&p, role);
		r.mem.fail_at = 0;
		failed = r.mem.failed;
		ck_assert_int_eq(rc == 0, node->bus.conf != before);
		ck_assert(rc == 0 || failed);
		check_works(held, server);
		if (rc == 0 && failed) /* it got by without; from the start again */
			ck_assert_int_eq(
				rig_reload(node, &changes,
					"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
					role == CONF_CONTROLLER ? p.client : p.link,
					role == CONF_CONTROLLER ? p.link : p.backend),
				0);
	}
	ck_assert(!failed);
	ck_assert_uint_gt(n, 5);
	close(held);
	close(server);
	RIG_UNTIL(&r, p.con->bus.n_sessions == 0 && p.seg->bus.n_sessions == 0);
	close(p.listener);
}
END_TEST

START_TEST(an_address_that_is_taken_leaves_all_as_it_was)
{
	struct pair p = start();
	int taken = rig_port(&r), other = rig_port(&r);
	int listener = rig_listen(taken);
	hush();
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(rig_reload(p.con, &changes,
					 "[a]\nbind=tcp://127.0.0.1:%d\nserver=unix://@none\n"
					 "[b]\nbind=tcp://127.0.0.1:%d\nserver=unix://@none\n",
					 other, taken),
			ERR_SYS);
		ck_assert_int_eq(rig_reload(p.seg, &changes,
					 "[a]\nbind=tcp://127.0.0.1:%d\nserver=unix://@none\n"
					 "[b]\nbind=tcp://127.0.0.1:%d\nserver=unix://@none\n",
					 other, taken),
			ERR_SYS);
		rig_turn(&r);
		check_serves(&p);
	}
	ck_assert_uint_eq(p.con->bus.generations.alive, 1);
	close(listener);
	close(p.listener);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("reload");
	TCase *t = tcase_create("node");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_session_keeps_the_configuration_it_began_with);
	tcase_add_test(t, a_service_that_is_removed_lives_for_its_sessions);
	tcase_add_loop_test(t, a_service_that_is_removed_lives_for_who_waits_for_a_link, 0, 2);
	tcase_add_loop_test(t, a_service_that_is_removed_lives_for_who_waits_for_a_backend, 0, 2);
	tcase_add_loop_test(t, case_39_no_memory, 0, 2);
	tcase_add_test(t, an_address_that_is_taken_leaves_all_as_it_was);
	suite_add_tcase(s, t);
	return unit_main(s);
}
