/* What nodes count: each reason where it happens, in whole nodes. */
#include "bus/node_impl.h"
#include "bus/stats.h"
#include "unit/nameserver.h"
#include "unit/rig.h"
#include "wire/wire.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- labels ------------------------------------------------------------------------------- */

/* A label that a query can hold: lower case and '_', and no other reason has it. */
static void check_label(const char *const label[], size_t n)
{
	ck_assert_ptr_nonnull(label[n]);
	ck_assert_uint_gt(strlen(label[n]), 1);
	ck_assert_uint_eq(strspn(label[n], "abcdefghijklmnopqrstuvwxyz_"), strlen(label[n]));
	for (size_t i = 0; i < n; i++)
		ck_assert_str_ne(label[i], label[n]);
}

#define CHECK_LABELS(label_of, end)                                                                \
	do {                                                                                       \
		const char *label[end];                                                            \
		for (unsigned i = 0; i < (end); i++) {                                             \
			label[i] = label_of(i);                                                    \
			check_label(label, i);                                                     \
		}                                                                                  \
	} while (0)

START_TEST(every_reason_has_a_label)
{
	CHECK_LABELS(stats_refusal_label, STATS_REFUSALS);
	CHECK_LABELS(stats_end_label, STATS_ENDS);
	CHECK_LABELS(stats_closed_label, STATS_CLOSED);
	CHECK_LABELS(stats_dial_label, STATS_DIALS);
	CHECK_LABELS(stats_handshake_label, STATS_SHAKES);
	CHECK_LABELS(stats_away_label, STATS_AWAYS);
	CHECK_LABELS(stats_accept_label, STATS_ACCEPTS);
	CHECK_LABELS(stats_result_label, STATS_RESULTS);
	CHECK_LABELS(stats_side_label, STATS_SIDES);
	CHECK_LABELS(dns_outcome_label, DNS_OUTCOMES);
}
END_TEST

START_TEST(every_code_is_a_reason)
{
	static const enum stats_end by_peer[] = {
		[WIRE_OK] = STATS_REMOTE_RESET,
		[WIRE_ABORTED] = STATS_REMOTE_RESET,
		[WIRE_REFUSED] = STATS_BACKEND_FAILED,
		[WIRE_UNREACHABLE] = STATS_BACKEND_FAILED,
		[WIRE_TIMED_OUT] = STATS_BACKEND_FAILED,
		[WIRE_NO_SERVICE] = STATS_REFUSED_BY_PEER,
		[WIRE_BUSY] = STATS_REFUSED_BY_PEER,
		[WIRE_LATCHED] = STATS_LATCH_LOST,
		[WIRE_SLOW] = STATS_SLOW,
		[WIRE_IDLE] = STATS_IDLE,
		[WIRE_DRAINING] = STATS_CUT,
		[WIRE_PROTOCOL] = STATS_REFUSED_BY_PEER,
		[WIRE_FLOOD] = STATS_REFUSED_BY_PEER,
		[WIRE_INTERNAL] = STATS_REFUSED_BY_PEER,
		[WIRE_LINK_LOST] = STATS_LINK_LOST,
		[WIRE_HOPS_SPENT] = STATS_REFUSED_BY_PEER,
		[WIRE_SAME_ROLE] = STATS_REFUSED_BY_PEER,
		[WIRE_EXPIRED] = STATS_REFUSED_BY_PEER,
		[WIRE_EXPIRED + 1] = STATS_REFUSED_BY_PEER, /* of a later version */
	};
	for (uint32_t code = 0; code < sizeof by_peer / sizeof *by_peer; code++)
		ck_assert_int_eq(stats_end_by_peer(code), by_peer[code]);
	ck_assert_int_eq(stats_refusal_by_backend(WIRE_REFUSED), STATS_BACKEND_REFUSED);
	ck_assert_int_eq(stats_refusal_by_backend(WIRE_TIMED_OUT), STATS_BACKEND_TIMED_OUT);
	ck_assert_int_eq(stats_refusal_by_backend(WIRE_UNREACHABLE), STATS_BACKEND_UNREACHABLE);
	ck_assert_int_eq(stats_refusal_by_backend(WIRE_INTERNAL), STATS_NO_RESOURCES);
	ck_assert_int_eq(stats_closed_by_failure(WIRE_TIMED_OUT), STATS_CLOSED_TIMED_OUT);
	ck_assert_int_eq(stats_closed_by_failure(WIRE_FLOOD), STATS_CLOSED_FLOOD);
	ck_assert_int_eq(stats_closed_by_failure(WIRE_INTERNAL), STATS_CLOSED_FAILED);
	ck_assert_int_eq(stats_closed_by_failure(WIRE_PROTOCOL), STATS_CLOSED_PROTOCOL);
	ck_assert_int_eq(stats_closed_by_failure(WIRE_SAME_ROLE), STATS_CLOSED_PROTOCOL);
}
END_TEST

/* --- sessions ----------------------------------------------------------------------------- */

static struct rig r;
static struct rig_node *segment, *controller;
static int segment_port, backend_port, port, listener;

static struct rig_node *start_segment(const char *more)
{
	segment = rig_start(&r, CONF_SEGMENT,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n%s", segment_port,
		backend_port, more);
	return segment;
}

static struct rig_node *start_controller(const char *more)
{
	controller = rig_start(&r, CONF_CONTROLLER,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n%s", port, segment_port,
		more);
	return controller;
}

static void await_link(void)
{
	struct list *links = &controller->bus.transports;
	RIG_UNTIL(&r, !list_empty(links) && transport_can_open(container_of(
						    links->next, struct transport, node)));
}

static void start_both(void)
{
	start_segment("");
	start_controller("");
	await_link();
}

static void setup(void)
{
	log_set_level(LOG_ERROR);
	rig_init(&r);
	segment_port = rig_port(&r);
	backend_port = rig_port(&r);
	port = rig_port(&r);
	listener = rig_listen(backend_port);
}

static void teardown(void)
{
	close(listener);
	rig_fini(&r); /* and each service's numbers must agree with each other */
	log_set_level(LOG_INFO);
}

/* The numbers of the node's first service. */
static const struct service_stats *of(const struct rig_node *n)
{
	struct list *services = list_first(&n->node->ingresses);
	if (services != NULL)
		return &container_of(services, struct ingress, node)->stats;
	return &container_of(list_first(&n->node->services), struct egress, node)->stats;
}

static uint64_t sum(const uint64_t *v, size_t n)
{
	uint64_t all = 0;
	for (size_t i = 0; i < n; i++)
		all += v[i];
	return all;
}

/* So many have ended, all of them so. */
static void ended(const struct rig_node *n, enum stats_end how, uint64_t times)
{
	RIG_UNTIL(&r, n->bus.n_sessions == 0);
	ck_assert_uint_eq(of(n)->ended[how], times);
	ck_assert_uint_eq(sum(of(n)->ended, STATS_ENDS), times);
	ck_assert_uint_eq(of(n)->opened, times);
	ck_assert_uint_eq(of(n)->waiting, 0);
}

/* So many were refused, all of them so, and none began. */
static void refused(const struct rig_node *n, enum stats_refusal why, uint64_t times)
{
	RIG_UNTIL(&r, sum(of(n)->refused, STATS_REFUSALS) >= times && n->bus.n_sessions == 0);
	ck_assert_uint_eq(of(n)->refused[why], times);
	ck_assert_uint_eq(sum(of(n)->refused, STATS_REFUSALS), times);
	ck_assert_uint_eq(of(n)->opened, 0);
	ck_assert_uint_eq(of(n)->waiting, 0);
}

static void connect_pair(int *client, int *backend)
{
	*client = rig_connect(port);
	*backend = rig_accept(&r, listener);
	rig_send(&r, *client, "ping", 4);
	rig_expect(&r, *backend, "ping", 4);
}

START_TEST(bytes_and_clean_ends)
{
	enum { UP = 3 << 20, DOWN = 70001 };
	int c, b;
	start_both();
	for (unsigned i = 1; i <= 2; i++) {
		connect_pair(&c, &b);
		ck_assert_uint_eq(of(controller)->opened, i);
		ck_assert_uint_eq(of(segment)->opened, i);
		rig_send_pattern(&r, c, 0, UP);
		shutdown(c, SHUT_WR);
		rig_expect_pattern(&r, b, 0, UP);
		rig_expect_end(&r, b);
		rig_send_pattern(&r, b, 0, DOWN);
		close(b);
		rig_expect_pattern(&r, c, 0, DOWN);
		rig_expect_end(&r, c);
		close(c);
		ended(controller, STATS_CLEAN, i);
		ended(segment, STATS_CLEAN, i);
		uint64_t up = i * (UP + 4), down = i * (uint64_t)DOWN;
		ck_assert_uint_eq(of(controller)->received, up);
		ck_assert_uint_eq(of(segment)->sent, up);
		ck_assert_uint_eq(of(segment)->received, down);
		ck_assert_uint_eq(of(controller)->sent, down);
	}
	/* The transport's bytes are as many on both sides, and more. */
	struct transport *t =
		container_of(list_first(&controller->bus.transports), struct transport, node);
	struct transport *u =
		container_of(list_first(&segment->bus.transports), struct transport, node);
	RIG_UNTIL(&r, t->sent == u->received && t->received == u->sent);
	ck_assert_uint_gt(t->sent, 2 * (UP + 4));
	ck_assert_uint_gt(u->sent, 2 * DOWN);
	ck_assert_int_eq(t->side, STATS_DIALLED);
	ck_assert_int_eq(u->side, STATS_ACCEPTED);
}
END_TEST

START_TEST(resets_are_of_one_side_or_the_other)
{
	int c, b;
	start_both();
	connect_pair(&c, &b);
	rig_abort(c);
	ended(controller, STATS_LOCAL_RESET, 1);
	ended(segment, STATS_REMOTE_RESET, 1);
	rig_expect_reset(&r, b);
	close(b);
}
END_TEST

START_TEST(a_backend_that_is_not_there)
{
	close(listener);
	start_both();
	int c = rig_connect(port);
	rig_expect_reset(&r, c);
	refused(segment, STATS_BACKEND_REFUSED, 1);
	ended(controller, STATS_BACKEND_FAILED, 1);
	close(c);
	listener = rig_listen(backend_port);
}
END_TEST

START_TEST(limits_of_a_service)
{
	int c, b;
	start_segment("");
	start_controller("max_sessions=1\n");
	await_link();
	connect_pair(&c, &b);
	int d = rig_connect(port);
	rig_expect_reset(&r, d);
	ck_assert_uint_eq(of(controller)->refused[STATS_MAX_SESSIONS], 1);
	ck_assert_uint_eq(sum(of(controller)->refused, STATS_REFUSALS), 1);
	close(d);
	close(c);
	rig_expect_end(&r, b);
	close(b);
	ended(controller, STATS_CLEAN, 1);
}
END_TEST

START_TEST(limits_of_the_segments_service)
{
	int c, b;
	start_segment("max_sessions=1\n");
	start_controller("");
	await_link();
	connect_pair(&c, &b);
	int d = rig_connect(port);
	rig_expect_reset(&r, d);
	ck_assert_uint_eq(of(segment)->refused[STATS_MAX_SESSIONS], 1);
	RIG_UNTIL(&r, of(controller)->ended[STATS_REFUSED_BY_PEER] == 1);
	close(d);
	close(c);
	rig_expect_end(&r, b);
	close(b);
}
END_TEST

START_TEST(who_waits_for_a_link)
{
	start_controller("connect_timeout=300ms\n");
	int c = rig_connect(port), d = rig_connect(port);
	RIG_UNTIL(&r, of(controller)->waiting == 2);
	ck_assert_uint_eq(of(controller)->opened, 0);
	rig_abort(d);
	RIG_UNTIL(&r, of(controller)->refused[STATS_GIVEN_UP] == 1);
	rig_expect_reset(&r, c);
	ck_assert_uint_eq(of(controller)->refused[STATS_NO_LINK], 1);
	ck_assert_uint_eq(sum(of(controller)->refused, STATS_REFUSALS), 2);
	ck_assert_uint_eq(of(controller)->waiting, 0);
	close(c);
	/* Nobody listens where it dials. */
	RIG_UNTIL(&r, controller->bus.stats.dials[STATS_DIAL_CONNECT] > 1);
	ck_assert_uint_eq(sum(controller->bus.stats.dials, STATS_DIALS),
		controller->bus.stats.dials[STATS_DIAL_CONNECT]);
}
END_TEST

START_TEST(a_link_that_is_lost)
{
	int c, b;
	start_both();
	connect_pair(&c, &b);
	rig_stop(segment); /* its transports end without a word */
	rig_expect_reset(&r, c);
	ended(controller, STATS_LINK_LOST, 1);
	RIG_UNTIL(&r, controller->bus.stats.closed[STATS_CLOSED_LOST] == 1);
	ck_assert_uint_eq(sum(controller->bus.stats.closed, STATS_CLOSED), 1);
	ck_assert_uint_eq(controller->bus.stats.transports[STATS_DIALLED][0], 1);
	ck_assert_uint_gt(controller->bus.stats.wire_sent, 4);
	ck_assert_uint_gt(controller->bus.stats.wire_received, 4);
	close(c);
	close(b);
}
END_TEST

START_TEST(idle_is_known_on_both_sides)
{
	int c, b;
	start_segment("");
	start_controller("idle_timeout=200ms\n");
	await_link();
	connect_pair(&c, &b);
	ended(controller, STATS_IDLE, 1);
	ended(segment, STATS_IDLE, 1);
	close(c);
	close(b);
}
END_TEST

START_TEST(a_drain_and_what_it_cuts_off)
{
	int c, b;
	start_both();
	connect_pair(&c, &b);
	rig_drain(controller);
	node_cut(controller->node);
	ended(controller, STATS_CUT, 1);
	ended(segment, STATS_CUT, 1);
	RIG_UNTIL(&r, controller->drained && segment->bus.n_transports == 0);
	ck_assert_uint_eq(segment->bus.stats.closed[STATS_CLOSED_CLEAN], 1);
	ck_assert_uint_eq(segment->bus.stats.transports[STATS_ACCEPTED][0], 1);
	close(c);
	close(b);
}
END_TEST

START_TEST(names_that_lead_nowhere)
{
	segment = rig_start(&r, CONF_SEGMENT,
		"[one]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		"[two]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
		segment_port, backend_port, segment_port, backend_port);
	start_controller("");
	await_link();
	int c = rig_connect(port);
	rig_expect_reset(&r, c);
	ended(controller, STATS_REFUSED_BY_PEER, 1);
	ck_assert_uint_eq(segment->bus.stats.unknown_services, 1);
	close(c);
}
END_TEST

START_TEST(nobody_serves_it)
{
	controller = rig_start(&r, CONF_CONTROLLER,
		"[Cloudbus]\nlisten=tcp://127.0.0.1:%d\n[s]\nbind=tcp://127.0.0.1:%d\n",
		segment_port, port);
	int c = rig_connect(port);
	rig_expect_reset(&r, c);
	refused(controller, STATS_NOBODY, 1);
	close(c);
}
END_TEST

/* The numbers are the service's, whatever its configuration says of it. */
START_TEST(numbers_outlive_a_reload)
{
	struct node_changes changes;
	int c, b;
	start_both();
	connect_pair(&c, &b);
	ck_assert_int_eq(
		rig_reload(controller, &changes,
			"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\nidle_timeout=1h\n"
			"[t]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
			port, segment_port, rig_port(&r), segment_port),
		0);
	ck_assert_uint_eq(changes.changed, 1);
	ck_assert_uint_eq(of(controller)->opened, 1);
	rig_send(&r, c, "more", 4);
	rig_expect(&r, b, "more", 4);
	ck_assert_uint_eq(of(controller)->received, 8);
	close(c);
	rig_expect_end(&r, b);
	close(b);
	ended(controller, STATS_CLEAN, 1);
}
END_TEST

START_TEST(questions_to_name_servers)
{
	static struct nameserver ns;
	nameserver_start(&ns, r.loop);
	nameserver_set(&ns, (struct ns_rule){.host = "segment.test",
				    .af = AF_INET,
				    .kind = NS_ANSWER,
				    .ips = {"127.0.0.1"},
				    .ttl = 60});
	start_segment("");
	controller = rig_start(&r, CONF_CONTROLLER,
		"[Cloudbus]\ndns=127.0.0.1:%d\n[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://"
		"segment.test:%d\n",
		addr_port(&ns.addr), port, segment_port);
	await_link();
	const struct dns_stats *s = dns_stats(controller->bus.dns);
	RIG_UNTIL(&r, sum(s->answers, DNS_OUTCOMES) == s->queries);
	ck_assert_uint_eq(s->queries, 2); /* one for each family */
	ck_assert_uint_eq(s->answers[DNS_ANSWERED], 1);
	ck_assert_uint_eq(s->answers[DNS_NOT_FOUND], 1);
	rig_stop(controller);
	nameserver_stop(&ns);
}
END_TEST

/* --- several members ------------------------------------------------------------------------ */

static int second_port, second_backend, second_listener;

static void start_three(const char *more)
{
	second_port = rig_port(&r);
	second_backend = rig_port(&r);
	second_listener = rig_listen(second_backend);
	start_segment("");
	rig_start(&r, CONF_SEGMENT, "[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
		second_port, second_backend);
	controller = rig_start(&r, CONF_CONTROLLER,
		"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		"server=tcp://127.0.0.1:%d\n%s",
		port, segment_port, second_port, more);
	RIG_UNTIL(&r, controller->bus.n_transports == 2);
	list_each (node, &controller->bus.transports) {
		RIG_UNTIL(&r, transport_can_open(container_of(node, struct transport, node)));
	}
}

START_TEST(a_latch_has_a_winner_and_a_loser)
{
	start_three("");
	int c = rig_connect(port);
	int one = rig_accept(&r, listener), two = rig_accept(&r, second_listener);
	rig_send(&r, c, "who", 3);
	rig_expect(&r, one, "who", 3);
	rig_expect(&r, two, "who", 3);
	ck_assert_uint_eq(of(controller)->latches, 0);
	rig_send(&r, two, "me", 2);
	rig_expect(&r, c, "me", 2);
	rig_expect_reset(&r, one);
	ended(segment, STATS_LATCH_LOST, 1);
	close(c);
	rig_expect_end(&r, two);
	close(two);
	ended(controller, STATS_CLEAN, 1);
	ck_assert_uint_eq(of(controller)->latches, 1);
	ck_assert_uint_eq(of(controller)->members_lost, 0);
	/* What came once was counted once, however many members it went to. */
	ck_assert_uint_eq(of(controller)->received, 3);
	close(one);
	close(second_listener);
}
END_TEST

START_TEST(a_member_that_is_lost)
{
	start_three("mode=full duplex\n");
	int c = rig_connect(port);
	int one = rig_accept(&r, listener), two = rig_accept(&r, second_listener);
	rig_abort(one);
	RIG_UNTIL(&r, of(controller)->members_lost == 1);
	ck_assert_uint_eq(of(controller)->latches, 0);
	shutdown(c, SHUT_WR);
	rig_expect_end(&r, two);
	close(two);
	rig_expect_reset(&r, c);
	ended(controller, STATS_MEMBER_LOST, 1);
	close(c);
	close(second_listener);
}
END_TEST

/* Of two members one never reads. */
START_TEST(a_member_that_is_slow)
{
	char buf[65536] = {0};
	start_three("member_timeout=1s\n");
	int c = rig_connect(port);
	int one = rig_accept(&r, listener), two = rig_accept(&r, second_listener);
	RIG_UNTIL(&r, ({
		(void)!send(c, buf, sizeof buf, MSG_NOSIGNAL);
		(void)rig_read(two, buf, sizeof buf);
		of(controller)->members_slow == 1;
	}));
	ended(segment, STATS_SLOW, 1);
	ck_assert_uint_eq(of(controller)->members_lost, 0);
	ck_assert_uint_eq(controller->bus.n_sessions, 1);
	rig_abort(c);
	ended(controller, STATS_LOCAL_RESET, 1);
	close(one);
	close(two);
	close(second_listener);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("stats");
	TCase *t = tcase_create("labels");
	tcase_add_test(t, every_reason_has_a_label);
	tcase_add_test(t, every_code_is_a_reason);
	suite_add_tcase(s, t);
	t = tcase_create("nodes");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, bytes_and_clean_ends);
	tcase_add_test(t, resets_are_of_one_side_or_the_other);
	tcase_add_test(t, a_backend_that_is_not_there);
	tcase_add_test(t, limits_of_a_service);
	tcase_add_test(t, limits_of_the_segments_service);
	tcase_add_test(t, who_waits_for_a_link);
	tcase_add_test(t, a_link_that_is_lost);
	tcase_add_test(t, idle_is_known_on_both_sides);
	tcase_add_test(t, a_drain_and_what_it_cuts_off);
	tcase_add_test(t, names_that_lead_nowhere);
	tcase_add_test(t, nobody_serves_it);
	tcase_add_test(t, numbers_outlive_a_reload);
	tcase_add_test(t, questions_to_name_servers);
	tcase_add_test(t, a_latch_has_a_winner_and_a_loser);
	tcase_add_test(t, a_member_that_is_lost);
	tcase_add_test(t, a_member_that_is_slow);
	suite_add_tcase(s, t);
	return unit_main(s);
}
