/* What a node has at a moment: services, links, nodes; through reloads and losses. */
#include "base/err.h"
#include "base/log.h"
#include "bus/expiry.h"
#include "bus/guard.h"
#include "bus/survey.h"
#include "unit/cluster.h"
#include "unit/fast.h"
#include "unit/rig.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct rig r;
static struct survey s;
static int listener, backend_port;

static void setup(void)
{
	log_set_level(LOG_ERROR);
	rig_init(&r);
	backend_port = rig_port(&r);
	listener = rig_listen(backend_port);
}

static void teardown(void)
{
	close(listener);
	rig_fini(&r);
	log_set_level(LOG_INFO);
}

static void take(struct rig_node *n)
{
	if (s.mem != NULL)
		survey_free(&s);
	ck_assert_int_eq(survey_take(&s, &n->bus, cluster_now()), 0);
}

static void done(void)
{
	survey_free(&s);
}

static const struct survey_link *link_of(const char *text)
{
	const struct survey_link *found = NULL;
	for (size_t i = 0; i < s.n_links; i++) {
		if (strcmp(s.links[i].text, text) != 0)
			continue;
		ck_assert_ptr_null(found);
		found = &s.links[i];
	}
	ck_assert_msg(found != NULL, "no link %s", text);
	return found;
}

static const char *text_of(int port)
{
	static char text[64];
	(void)snprintf(text, sizeof text, "tcp://127.0.0.1:%d", port);
	return text;
}

START_TEST(a_bus_without_a_node)
{
	struct bus bus = {.mem = mem_system()};
	list_init(&bus.transports);
	ck_assert_int_eq(survey_take(&s, &bus, 0), 0);
	ck_assert_uint_eq(s.n_services + s.n_links + s.n_nodes + s.tokens, 0);
	done();
}
END_TEST

START_TEST(links_go_down_and_up)
{
	int port = rig_port(&r), at = rig_port(&r), nobody = rig_port(&r);
	struct rig_node *con = rig_start(&r, CONF_CONTROLLER,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		"server=tcp://127.0.0.1:%d\n",
		port, at, nobody);
	take(con);
	ck_assert_uint_eq(s.n_services, 1);
	ck_assert_str_eq(s.services[0].name, "s");
	ck_assert_uint_eq(s.n_links, 2);
	ck_assert_uint_eq(link_of(text_of(at))->ready, 0);
	struct rig_node *seg = rig_start(&r, CONF_SEGMENT,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n", at, backend_port);
	RIG_UNTIL(&r, (take(con), link_of(text_of(at))->ready == 1));
	ck_assert_uint_eq(link_of(text_of(at))->transports, 1);
	ck_assert_uint_eq(s.transports[STATS_DIALLED][0], 1);
	ck_assert_uint_eq(s.transports[STATS_ACCEPTED][0] + s.transports[STATS_DIALLED][1], 0);
	ck_assert_uint_eq(link_of(text_of(nobody))->ready, 0);
	ck_assert_uint_gt(link_of(text_of(nobody))->failures, 0);

	int c = rig_connect(port), b = rig_accept(&r, listener);
	rig_send_pattern(&r, c, 0, 100000);
	rig_expect_pattern(&r, b, 0, 100000);
	take(con);
	ck_assert_uint_eq(s.services[0].sessions, 1);
	ck_assert_uint_eq(s.services[0].stats->opened, 1);
	uint64_t sent = link_of(text_of(at))->sent, received = link_of(text_of(at))->received;
	ck_assert_uint_gt(sent, 100000);
	ck_assert_uint_eq(sent, s.sent);
	ck_assert_uint_eq(received, s.received);

	/* What a transport had moved is not forgotten with it. */
	uint64_t failures = link_of(text_of(at))->failures;
	rig_stop(seg);
	RIG_UNTIL(&r, (take(con), link_of(text_of(at))->ready == 0));
	RIG_UNTIL(&r, (take(con), link_of(text_of(at))->failures > failures));
	ck_assert_uint_eq(link_of(text_of(at))->sent, sent);
	ck_assert_uint_ge(s.sent, sent);
	ck_assert_uint_eq(link_of(text_of(at))->transports, 0);
	close(c);
	close(b);
	done();
}
END_TEST

/* What has left the configuration is not shown, also while sessions of it run on. */
START_TEST(what_a_reload_takes_away)
{
	struct node_changes changes;
	int one = rig_port(&r), two = rig_port(&r), at = rig_port(&r), other = rig_port(&r);
	struct rig_node *con = rig_start(&r, CONF_CONTROLLER,
		"[one]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		"[two]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
		one, at, two, other);
	struct rig_node *seg = rig_start(&r, CONF_SEGMENT,
		"[one]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		"[two]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
		at, backend_port, other, backend_port);
	RIG_UNTIL(&r, (take(con), link_of(text_of(at))->ready == 1 &&
					  link_of(text_of(other))->ready == 1));
	int c = rig_connect(one), b = rig_accept(&r, listener);
	ck_assert_int_eq(
		rig_reload(con, &changes,
			"[two]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n", two, other),
		0);
	ck_assert_int_eq(rig_reload(seg, &changes,
				 "[two]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
				 other, backend_port),
		0);
	rig_send(&r, c, "x", 1);
	rig_expect(&r, b, "x", 1);
	take(con);
	ck_assert_uint_eq(s.n_services, 1);
	ck_assert_str_eq(s.services[0].name, "two");
	ck_assert_uint_eq(s.n_links, 1);
	(void)link_of(text_of(other));
	ck_assert_uint_eq(s.transports[STATS_DIALLED][0], 2); /* one for its last session */
	take(seg);
	ck_assert_uint_eq(s.n_services, 1);
	ck_assert_str_eq(s.services[0].name, "two");
	ck_assert_uint_eq(s.transports[STATS_ACCEPTED][0], 2);
	close(c);
	rig_expect_end(&r, b);
	close(b);
	done();
}
END_TEST

START_TEST(a_segment_that_dials)
{
	int hub = rig_port(&r), nobody = rig_port(&r), port = rig_port(&r);
	struct rig_node *seg = rig_start(&r, CONF_SEGMENT,
		"[Cloudbus]\nconnect=tcp://127.0.0.1:%d\nconnect=tcp://127.0.0.1:%d\n"
		"[s]\nserver=tcp://127.0.0.1:%d\n",
		hub, nobody, backend_port);
	rig_start(&r, CONF_CONTROLLER,
		"[Cloudbus]\nlisten=tcp://127.0.0.1:%d\n[s]\nbind=tcp://127.0.0.1:%d\n", hub, port);
	RIG_UNTIL(&r, (take(seg), link_of(text_of(hub))->ready == 1));
	ck_assert_uint_eq(s.n_links, 2);
	ck_assert_uint_eq(link_of(text_of(hub))->transports, 1);
	ck_assert_uint_eq(link_of(text_of(hub))->sent, s.sent);
	ck_assert_uint_eq(link_of(text_of(nobody))->ready, 0);
	done();
}
END_TEST

/* Two addresses whose texts are the same: one link, that has the numbers of both. */
START_TEST(no_two_have_the_same_text)
{
	int port = rig_port(&r), other = rig_port(&r);
	struct rig_node *con = rig_start(&r, CONF_CONTROLLER,
		"[a]\nbind=tcp://127.0.0.1:%d\nserver=unix://@survey\xc3\xa4\n"
		"[b]\nbind=tcp://127.0.0.1:%d\nserver=unix://@survey\xc3\xb6\n",
		port, other);
	RIG_UNTIL(&r, (take(con), link_of("unix://@survey??")->failures >= 2));
	ck_assert_uint_eq(s.n_links, 1);
	done();
}
END_TEST

START_TEST(a_long_path_has_a_round_trip)
{
	int port = rig_port(&r), at = rig_port(&r);
	struct rig_node *con = rig_start(&r, CONF_CONTROLLER,
		"[Cloudbus]\nlink_timeout=1s\n"
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
		port, at);
	rig_start(&r, CONF_SEGMENT, "[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n", at,
		backend_port);
	/* As soon as a PING was answered. */
	RIG_UNTIL(&r, (take(con), link_of(text_of(at))->round_trip > 0));
	ck_assert_uint_lt(link_of(text_of(at))->round_trip, CLOCK_SEC);
	done();
}
END_TEST

/* --- secured -------------------------------------------------------------------------------- */

static struct cluster cluster;
static struct cluster_node ctl, seg;

#define FILES                                                                                      \
	"[Cloudbus]\ntrust=%s/trust\nidentity=%s/%s.key\ntoken=%s/%s.token\n" /* and its own */

START_TEST(nodes_and_the_ends_of_their_tokens)
{
	const char *d = (cluster_init(&cluster), cluster.dir);
	int port = rig_port(&r), at = rig_port(&r), more = rig_port(&r);
	fast_set_wall(0);
	ctl = (struct cluster_node){.name = "ctl", .role = TOKEN_CONTROLLER};
	seg = (struct cluster_node){.name = "seg", .role = TOKEN_SEGMENT};
	ctl.ends = cluster_now() + EXPIRY_WARN_BEFORE + 60;
	seg.ends = cluster_now() + EXPIRY_WARN_BEFORE - 60;
	cluster_add(&cluster, &ctl);
	cluster_add(&cluster, &seg);
	struct rig_node *segment = rig_start(&r, CONF_SEGMENT,
		FILES "[a]\nbind=bus://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		      "[b]\nbind=bus://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
		d, d, "seg", d, "seg", at, backend_port, more, backend_port);
	struct rig_node *controller = rig_start(&r, CONF_CONTROLLER,
		FILES "[a]\nbind=tcp://127.0.0.1:%d\nserver=bus://127.0.0.1:%d\n"
		      "server=bus://127.0.0.1:%d\n",
		d, d, "ctl", d, "ctl", port, at, more);
	RIG_UNTIL(&r, segment->bus.n_transports == 2 && controller->bus.n_transports == 2);
	take(controller);
	ck_assert_uint_eq(s.n_nodes, 1);
	ck_assert_str_eq(s.nodes[0].name, "seg");
	ck_assert_uint_eq(s.nodes[0].transports, 2);
	ck_assert_int_eq(s.nodes[0].expires, seg.ends);
	ck_assert_uint_eq(s.tokens, 2);
	ck_assert_uint_eq(s.tokens_near_end, 2);
	ck_assert_int_eq(s.expires, seg.ends);
	ck_assert_uint_eq(s.transports[STATS_DIALLED][1], 2);
	take(segment);
	ck_assert_uint_eq(s.n_nodes, 1);
	ck_assert_str_eq(s.nodes[0].name, "ctl");
	ck_assert_int_eq(s.expires, ctl.ends);
	ck_assert_uint_eq(s.tokens_near_end, 0);
	ck_assert_uint_eq(s.transports[STATS_ACCEPTED][1], 2);
	/* And a minute later. */
	survey_free(&s);
	ck_assert_int_eq(survey_take(&s, &segment->bus, cluster_now() + 61), 0);
	ck_assert_uint_eq(s.tokens_near_end, 2);
	done();
	rig_stop(controller);
	rig_stop(segment);
	cluster_fini(&cluster);
}
END_TEST

START_TEST(case_39_every_allocation_fails_in_turn)
{
	int port = rig_port(&r), at = rig_port(&r);
	struct rig_node *con = rig_start(&r, CONF_CONTROLLER,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n", port, at);
	for (size_t n = 1;; n++) {
		size_t live = r.mem.live;
		r.mem.failed = 0;
		r.mem.fail_at = r.mem.calls + n;
		int rc = survey_take(&s, &con->bus, 0);
		r.mem.fail_at = 0;
		if (rc == 0) {
			ck_assert(!r.mem.failed);
			ck_assert_uint_ge(n, 4);
			break;
		}
		ck_assert_int_eq(rc, ERR_NOMEM);
		ck_assert_uint_eq(r.mem.live, live);
	}
	done();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("survey");
	TCase *t = tcase_create("nodes");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_bus_without_a_node);
	tcase_add_test(t, links_go_down_and_up);
	tcase_add_test(t, what_a_reload_takes_away);
	tcase_add_test(t, a_segment_that_dials);
	tcase_add_test(t, no_two_have_the_same_text);
	tcase_add_test(t, a_long_path_has_a_round_trip);
	tcase_add_test(t, nodes_and_the_ends_of_their_tokens);
	tcase_add_test(t, case_39_every_allocation_fails_in_turn);
	suite_add_tcase(suite, t);
	return unit_main(suite);
}
