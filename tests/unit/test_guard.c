/* Whole nodes with a secured link: what tokens allow, how they end, and case 39. */
#include "bus/coverage.h"
#include "bus/dialer.h"
#include "bus/guard.h"
#include "bus/permit.h"
#include "session/budget.h"
#include "unit/cluster.h"
#include "unit/fast.h"
#include "unit/rig.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig r;
static struct cluster cluster;
static struct rig_node *segment, *controller;
static int port, segment_port, backend_port, listener, client, server;

static struct cluster_node ctl, seg;
static const char *drain_timeout;

static void setup_files(void)
{
	drain_timeout = "1s";
	fast_set_wall(0);
	cluster_init(&cluster);
	ctl = (struct cluster_node){.name = "ctl", .role = TOKEN_CONTROLLER};
	seg = (struct cluster_node){.name = "seg", .role = TOKEN_SEGMENT};
	cluster_add(&cluster, &ctl);
	cluster_add(&cluster, &seg);
	cluster_write(&cluster, "revoked", "# nobody\n");
}

static void setup_rig(void)
{
	log_set_level(LOG_ERROR);
	rig_init(&r);
	port = rig_port(&r);
	segment_port = rig_port(&r);
	backend_port = rig_port(&r);
	listener = rig_listen(backend_port);
}

static void setup(void)
{
	setup_files();
	setup_rig();
}

static void teardown_rig(void)
{
	close(listener);
	rig_fini(&r);
	log_set_level(LOG_INFO);
}

static void teardown_files(void)
{
	cluster_fini(&cluster);
}

static void teardown(void)
{
	teardown_rig();
	teardown_files();
}

#define FILES                                                                                      \
	"[Cloudbus]\ndrain_timeout=%s\ntrust=%s/trust\nidentity=%s/%s.key\ntoken=%s/%s.token\n"    \
	"revoked=%s/revoked\n"

static struct rig_node *start_segment(void)
{
	const char *d = cluster.dir;
	return segment = rig_try(&r, CONF_SEGMENT,
		       FILES "[echo]\nbind=bus://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
		       drain_timeout, d, d, "seg", d, "seg", d, segment_port, backend_port);
}

static struct rig_node *start_controller(void)
{
	const char *d = cluster.dir;
	return controller = rig_try(&r, CONF_CONTROLLER,
		       FILES "[echo]\nbind=tcp://127.0.0.1:%d\nserver=bus://127.0.0.1:%d\n",
		       drain_timeout, d, d, "ctl", d, "ctl", d, port, segment_port);
}

static struct transport *transport_of(const struct rig_node *n)
{
	struct list *node = list_first(&n->bus.transports);
	return node != NULL ? container_of(node, struct transport, node) : NULL;
}

/* Of a node that has one. */
static struct transport *the_transport(const struct rig_node *n)
{
	struct transport *t = transport_of(n);
	if (t == NULL)
		ck_abort_msg("no transport");
	return t;
}

static bool is_up(const struct rig_node *n)
{
	struct transport *t = transport_of(n);
	return t != NULL && !t->dead && mux_can_open(t->mux);
}

static void start_both(void)
{
	ck_assert_int_eq(start_segment()->starts, 0);
	ck_assert_int_eq(start_controller()->starts, 0);
	RIG_UNTIL(&r, is_up(controller) && is_up(segment));
}

/*
 * A client sends much and ends; the backend gives it back.  All of it and an end, or a part
 * of it and a reset; nothing else.  Whether it was all.
 */
static bool try_session(void)
{
	enum { LONG = 200000 };
	static unsigned char out[LONG], in[LONG + 1];
	for (size_t i = 0; i < LONG; i++)
		out[i] = (unsigned char)(i * 7 ^ i >> 8);
	int c = rig_connect(port), b = -1;
	size_t sent = 0, got = 0, held = 0;
	bool ended = false, reset = false, shut = false, done = false;
	char buf[5000];
	RIG_UNTIL(&r, ({
		if (b < 0)
			b = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		ssize_t k = shut ? 0 : send(c, out + sent, LONG - sent, MSG_NOSIGNAL);
		sent += k > 0 ? (size_t)k : 0;
		reset = reset || (k < 0 && errno != EAGAIN);
		if (sent == LONG && !shut)
			shut = shutdown(c, SHUT_WR) == 0;
		ssize_t w = b >= 0 && held == 0 && !done ? rig_read(b, buf, sizeof buf) : -1;
		if (w > 0)
			held = (size_t)w;
		else if (w == 0)
			done = shutdown(b, SHUT_WR) == 0;
		ssize_t s = held > 0 ? send(b, buf, held, MSG_NOSIGNAL) : 0;
		if (s > 0) {
			memmove(buf, buf + s, held - (size_t)s);
			held -= (size_t)s;
		}
		k = rig_read(c, in + got, sizeof in - got);
		if (k > 0) {
			ck_assert_uint_le(got + (size_t)k, LONG);
			ck_assert_mem_eq(in + got, out + got, (size_t)k);
			got += (size_t)k;
		}
		ended = ended || k == 0;
		reset = reset || (k < 0 && errno == ECONNRESET);
		ended || reset;
	}));
	close(c);
	if (b >= 0)
		close(b);
	ck_assert(!ended || reset || got == LONG);
	RIG_UNTIL(&r, segment->bus.n_sessions + controller->bus.n_sessions == 0);
	return ended && got == LONG;
}

START_TEST(a_session_over_a_secured_link)
{
	start_both();
	ck_assert_str_eq(secure_peer(the_transport(segment)->sealed->secure)->node, "ctl");
	ck_assert_str_eq(secure_peer(the_transport(controller)->sealed->secure)->node, "seg");
	for (int i = 0; i < 3; i++)
		ck_assert(try_session());
	ck_assert_uint_eq(segment->bus.stats.shakes[STATS_ACCEPTED][STATS_SHAKEN], 1);
	ck_assert_uint_eq(controller->bus.stats.shakes[STATS_DIALLED][STATS_SHAKEN], 1);
	ck_assert_uint_eq(segment->bus.stats.transports[STATS_ACCEPTED][true], 1);
	ck_assert_uint_eq(controller->bus.stats.transports[STATS_DIALLED][true], 1);
	/* An idle one holds no buffer. */
	ck_assert_ptr_null(the_transport(segment)->sealed->in);
	ck_assert_ptr_null(the_transport(segment)->sealed->plain);
	ck_assert_ptr_null(the_transport(segment)->sealed->kept);
	ck_assert_ptr_null(the_transport(segment)->out);
}
END_TEST

START_TEST(an_orderly_end_says_close)
{
	start_both();
	ck_assert(try_session());
	rig_drain(controller);
	RIG_UNTIL(&r, controller->drained && segment->bus.n_transports == 0);
	ck_assert_uint_eq(controller->cut, 0);
}
END_TEST

static const struct {
	const char *open, *serve, *customer;
	bool works;
} rights[] = {
	{"echo", "echo", NULL, true},
	{"e*", "*", NULL, true},
	{"other", "*", NULL, false},
	{"*", "ech", NULL, false},
	{"*", "*", "acme", false},
};

START_TEST(both_tokens_decide)
{
	ctl.open = rights[_i].open;
	seg.serve = rights[_i].serve;
	ctl.customer = rights[_i].customer;
	cluster_add(&cluster, &ctl);
	cluster_add(&cluster, &seg);
	start_both();
	const char *why = permit_doubts(transport_of(controller), "echo", 4);
	ck_assert_pstr_eq(why, rights[_i].customer != NULL ? "they are of different customers"
			       : strcmp(rights[_i].serve, "ech") == 0
				       ? "its token does not let it serve that"
				       : NULL);
	ck_assert_int_eq(try_session(), rights[_i].works);
	ck_assert(is_up(controller));
	ck_assert_uint_eq(controller->bus.stats.forbidden[STATS_DIALLED], !rights[_i].works);
	ck_assert_uint_eq(segment->bus.stats.forbidden[STATS_ACCEPTED], 0); /* never asked */
}
END_TEST

/* The acceptor does not rely on the opener's manners. */
START_TEST(what_the_opener_does_not_check_the_other_side_does)
{
	start_both();
	seg.serve = "other";
	seg.ends = cluster_now() + 2 * 86400;
	cluster_add(&cluster, &seg);
	/* It knows of its fresh token before the controller does. */
	unsigned changes;
	char why[WHY_MAX];
	struct keyring *k = &segment->bus.guard->keyring;
	ck_assert_int_eq(keyring_reload(k, cluster_now(), &changes, why), 0);
	secure_told(the_transport(segment)->sealed->secure, k);
	ck_assert(!try_session());
	ck_assert(is_up(controller));
	ck_assert_uint_eq(segment->bus.stats.forbidden[STATS_ACCEPTED], 1);
	ck_assert_uint_eq(controller->bus.stats.forbidden[STATS_DIALLED], 0);
}
END_TEST

static void ignore_reset(struct transport_stream *ts, uint32_t code)
{
	(void)ts;
	(void)code;
}

/* An opener without manners: what it may not open costs it the transport before long. */
START_TEST(what_may_not_be_opened_costs_points)
{
	enum { MOST = BUDGET_POINTS / BUDGET_STRAY_PRICE };
	static const struct transport_stream_ops ops = {.reset = ignore_reset};
	static struct transport_stream ts[4 * MOST];
	ctl.open = "echo";
	cluster_add(&cluster, &ctl);
	start_both();
	struct transport *t = the_transport(controller);
	struct wire_open open = {.hops = WIRE_HOPS, .name_len = 5, .name = "other"};
	memset(ts, 0, sizeof ts);
	for (size_t i = 0; i < 4 * MOST; i++) {
		ts[i].ops = &ops;
		ck_assert_int_eq(transport_open(t, &ts[i], &open), 0);
	}
	RIG_UNTIL(&r, segment->bus.stats.closed[STATS_CLOSED_FLOOD] == 1);
	ck_assert_uint_ge(segment->bus.stats.forbidden[STATS_ACCEPTED], MOST);
	ck_assert_uint_lt(segment->bus.stats.forbidden[STATS_ACCEPTED], 4 * MOST);
	RIG_UNTIL(&r, is_up(controller));
	ck_assert_uint_eq(controller->bus.stats.forbidden[STATS_DIALLED], 0);
}
END_TEST

START_TEST(case_34_a_fresh_token_is_told)
{
	start_both();
	ctl.ends = cluster_now() + 2 * 86400;
	cluster_add(&cluster, &ctl);
	guard_reload(controller->bus.guard);
	struct transport *t = the_transport(segment);
	RIG_UNTIL(&r, secure_peer(t->sealed->secure)->expires == ctl.ends);
	ck_assert(try_session());
	ck_assert_ptr_eq(transport_of(segment), t);
}
END_TEST

START_TEST(who_is_revoked_is_gone)
{
	start_both();
	cluster_write(&cluster, "revoked", "ctl\n");
	guard_reload(segment->bus.guard);
	RIG_UNTIL(&r, segment->bus.n_transports == 0);
	ck_assert_uint_eq(segment->bus.stats.closed[STATS_CLOSED_UNWELCOME], 1);
	/* It tries again, and its token is not taken; then its key has a pause. */
	const uint64_t *shakes = segment->bus.stats.shakes[STATS_ACCEPTED];
	RIG_UNTIL(&r, shakes[STATS_SHAKE_UNWELCOME] > 0 && shakes[STATS_SHAKE_PAUSED] > 0);
	cluster_write(&cluster, "revoked", "");
	guard_reload(segment->bus.guard);
	RIG_UNTIL(&r, is_up(controller) && is_up(segment));
	ck_assert(try_session());
}
END_TEST

/* Another file that is bad does not keep who is revoked. */
START_TEST(who_is_revoked_is_gone_whatever_else_is_bad)
{
	static const char *const files[] = {"trust", "seg.key", "seg.token"};
	start_both();
	struct keyset *set = segment->bus.guard->keyring.now;
	cluster_write(&cluster, files[_i], "nonsense\n");
	cluster_write(&cluster, "revoked", "ctl\n");
	guard_reload(segment->bus.guard);
	ck_assert_ptr_eq(segment->bus.guard->keyring.now, set);
	RIG_UNTIL(&r, segment->bus.n_transports == 0);
}
END_TEST

/* Nor does a list that is bad believe anybody again, or keep a fresh token away. */
START_TEST(a_bad_list_revokes_whom_the_old_one_does)
{
	char name[CLUSTER_PATH];
	start_both();
	cluster_write(&cluster, "revoked", "ctl\n");
	guard_reload(segment->bus.guard);
	for (int i = 0; i < 2; i++) {
		if (i == 0)
			cluster_write(&cluster, "revoked", "seg\na b\n");
		else
			ck_assert_int_eq(unlink(cluster_path(&cluster, name, "revoked", "")), 0);
		seg.ends = cluster_now() + (i + 2) * 86400;
		cluster_add(&cluster, &seg);
		guard_reload(segment->bus.guard);
		const struct credentials *c = segment->bus.guard->keyring.now->credentials;
		ck_assert_int_eq(c->token->expires, seg.ends);
		ck_assert_uint_eq(revoked_count(c->revoked), 1);
		struct token who = {.node = "ctl", .id = "x"};
		ck_assert(revoked_has(c->revoked, &who));
	}
	ck_assert(!is_up(segment));
	cluster_write(&cluster, "revoked", "");
	guard_reload(segment->bus.guard);
	RIG_UNTIL(&r, is_up(controller) && is_up(segment));
}
END_TEST

/* One whose token has expired as well gets no time for its sessions. */
START_TEST(who_is_revoked_does_not_drain)
{
	drain_timeout = "60s";
	ctl.ends = cluster_now() - 20;
	cluster_add(&cluster, &ctl);
	start_both();
	client = rig_connect(port);
	server = rig_accept(&r, listener);
	fast_set_wall(15);
	RIG_UNTIL(&r, the_transport(segment)->ending.expelled);
	cluster_write(&cluster, "revoked", "ctl\n");
	guard_reload_list(segment->bus.guard, NULL);
	RIG_UNTIL(&r, segment->bus.n_transports == 0);
	rig_expect_reset(&r, client);
	rig_expect_reset(&r, server);
	close(client);
	close(server);
}
END_TEST

START_TEST(a_bad_file_changes_nothing)
{
	start_both();
	log_set_level(LOG_ERROR);
	struct keyset *set = segment->bus.guard->keyring.now;
	cluster_write(&cluster, "trust", "nonsense\n");
	guard_reload(segment->bus.guard);
	ck_assert_ptr_eq(segment->bus.guard->keyring.now, set);
	ck_assert_uint_eq(segment->bus.stats.key_reloads[STATS_NOT_OK], 1);
	ck_assert_uint_eq(segment->bus.stats.key_reloads[STATS_OK], 0);
	ck_assert(try_session());
}
END_TEST

/* --- an end, and how it is put off --------------------------------------------------------------
 */

static const struct transport_ops *original;
static struct transport_ops spy;
static bool spied;
static const char *spied_why;

static void spy_closed(struct transport *t, const char *why)
{
	spied = true;
	spied_why = why;
	original->closed(t, why);
}

static void spy_on(struct transport *t)
{
	original = t->ops;
	spy = *original;
	spy.closed = spy_closed;
	spied = false;
	t->ops = &spy;
}

/* As where a PING, or a file that was changed, comes when CLOSE is on its way. */
START_TEST(nothing_is_sent_behind_close)
{
	start_both();
	struct transport *t = the_transport(segment); /* whose CLOSE is the first */
	spy_on(t);
	rig_drain(controller);
	RIG_UNTIL(&r, spied || t->sealed->said_close);
	ck_assert(!spied);
	ck_assert_int_eq(transport_token(t, "x", 1), 0);
	RIG_UNTIL(&r, spied);
	ck_assert_msg(spied_why == NULL, "%s", spied_why);
}
END_TEST

static void begin_session(void)
{
	client = rig_connect(port);
	server = rig_accept(&r, listener);
	rig_send(&r, client, "a", 1);
	rig_expect(&r, server, "a", 1);
}

static void end_session(void)
{
	rig_send(&r, server, "b", 1);
	rig_expect(&r, client, "b", 1);
	close(client);
	close(server);
	RIG_UNTIL(&r, segment->bus.n_sessions + controller->bus.n_sessions == 0);
}

START_TEST(case_34_a_fresh_token_in_the_last_moment)
{
	drain_timeout = "5s";
	ctl.ends = cluster_now() - 20;
	cluster_add(&cluster, &ctl);
	start_both();
	begin_session();
	struct transport *t = the_transport(segment);
	fast_set_wall(15);
	RIG_UNTIL(&r, t->ending.expelled);
	uint64_t by = t->ending.by;
	ck_assert_uint_lt(by, CLOCK_NEVER);
	ctl.ends = cluster_now() + 86400;
	cluster_add(&cluster, &ctl);
	guard_reload(controller->bus.guard);
	RIG_UNTIL(&r, !t->ending.expelled);
	RIG_UNTIL(&r, clock_now() > by + CLOCK_SEC);
	end_session();
}
END_TEST

START_TEST(a_wall_clock_that_leaps_and_comes_back)
{
	drain_timeout = "60s";
	start_both();
	begin_session();
	struct transport *t = the_transport(segment), *u = the_transport(controller);
	fast_set_wall(10 * 86400);
	RIG_UNTIL(&r, t->ending.expelled && u->ending.expelled);
	fast_set_wall(0);
	RIG_UNTIL(&r, !t->ending.expelled && !u->ending.expelled);
	ck_assert(t->ending.by == CLOCK_NEVER && u->ending.by == CLOCK_NEVER);
	end_session();
	RIG_UNTIL(&r, is_up(controller) && is_up(segment));
	ck_assert(try_session());
}
END_TEST

/* A reload does not wait for the next look at all tokens. */
START_TEST(a_reload_pardons_who_is_valid_again)
{
	drain_timeout = "60s";
	start_both();
	begin_session();
	struct transport *t = the_transport(segment);
	fast_set_wall(10 * 86400);
	RIG_UNTIL(&r, t->ending.expelled);
	fast_set_wall(0);
	guard_reload(segment->bus.guard);
	ck_assert(!t->ending.expelled);
	ck_assert_uint_eq(t->ending.by, CLOCK_NEVER);
	end_session();
}
END_TEST

/* It is right again, but nobody has looked since, when the time that was left is over. */
START_TEST(a_wall_clock_that_comes_back_just_in_time)
{
	drain_timeout = "30s";
	start_both();
	begin_session();
	struct transport *t = the_transport(segment), *u = the_transport(controller);
	fast_set_wall(10 * 86400);
	RIG_UNTIL(&r, t->ending.expelled && u->ending.expelled);
	uint64_t by = t->ending.by > u->ending.by ? t->ending.by : u->ending.by;
	loop_timer_stop(r.loop, &segment->bus.guard->timer);
	loop_timer_stop(r.loop, &controller->bus.guard->timer);
	fast_set_wall(0);
	RIG_UNTIL(&r, clock_now() > by + CLOCK_SEC);
	ck_assert(!t->ending.expelled && !u->ending.expelled);
	end_session();
}
END_TEST

/* --- another key, or another customer ----------------------------------------------------------
 */

/* Both at once, and a session runs all the time. */
START_TEST(case_34_a_link_is_made_anew_for_another_customer)
{
	start_both();
	begin_session();
	struct transport *old = the_transport(segment);
	ctl.customer = seg.customer = "acme";
	cluster_add(&cluster, &ctl);
	cluster_add(&cluster, &seg);
	guard_reload((_i == 0 ? segment : controller)->bus.guard);
	RIG_UNTIL(&r, mux_is_going(old->mux));
	/* They are of different customers, on the new link. */
	ck_assert_ptr_eq(the_transport(segment), old);
	struct transport *t = container_of(segment->bus.transports.prev, struct transport, node);
	struct wire_open open = {.name = "echo", .name_len = 4};
	ck_assert_ptr_ne(t, old);
	ck_assert(permit_admits(old, &open));
	ck_assert(!permit_admits(t, &open));
	guard_reload((_i == 0 ? controller : segment)->bus.guard);
	RIG_UNTIL(&r, mux_is_going(t->mux));
	t = container_of(segment->bus.transports.prev, struct transport, node);
	ck_assert(permit_admits(t, &open));
	end_session();
	RIG_UNTIL(&r, segment->bus.n_transports == 1 && controller->bus.n_transports == 1);
	ck_assert(try_session());
}
END_TEST

/* A peer that calls itself another again and again is not dialled at its pace. */
START_TEST(who_is_never_content_is_dialled_with_pauses)
{
	char path[CLUSTER_PATH], text[TOKEN_TEXT_MAX + 1], why[WHY_MAX];
	struct cluster_node other = {.name = "seg2", .role = TOKEN_SEGMENT};
	const struct secretfile_rules rules = {SECRETFILE_PUBLIC, KEYFILE_MAX, 0};
	struct transport *last = NULL;
	unsigned links = 0;
	size_t n;
	cluster_add(&cluster, &other);
	cluster_path(&cluster, path, "seg2", ".token");
	ck_assert_int_eq(credentials_read_token(text, &n, path, &rules, why), 0);
	start_both();
	uint64_t end = bus_now(&segment->bus) + 10 * CLOCK_SEC;
	RIG_UNTIL(&r, ({
		struct transport *t =
			container_of(segment->bus.transports.prev, struct transport, node);
		if (segment->bus.n_transports > 0 && t != last && mux_can_open(t->mux)) {
			ck_assert_int_eq(transport_token(t, text, n), 0);
			last = t;
			links++;
		}
		bus_now(&segment->bus) >= end;
	}));
	ck_assert_uint_ge(links, 3);
	ck_assert_uint_le(links, 12);
	ck_assert(try_session());
}
END_TEST

/* --- a token that does not count now --------------------------------------------------------
 */

static void wait_for(const struct rig_node *n, uint64_t time)
{
	uint64_t end = bus_now(&n->bus) + time;
	RIG_UNTIL(&r, bus_now(&n->bus) >= end);
}

/* Neither has the peer seen an attempt of it, nor a pause to keep a fresh one out. */
static void ck_nobody_came(const struct rig_node *n)
{
	ck_assert_uint_eq(n->bus.n_transports, 0);
	ck_assert_uint_eq(n->bus.guard->lobby.doorman.n_keys, 0);
}

static void ck_up_soon(uint64_t within)
{
	uint64_t began = bus_now(&controller->bus);
	RIG_UNTIL(&r, is_up(controller) && is_up(segment));
	ck_assert_uint_lt(bus_now(&controller->bus) - began, within);
	ck_assert(try_session());
}

/* Whichever of both has it: what time or a fresh one mends keeps nobody from starting. */
START_TEST(it_has_expired_at_the_start)
{
	struct cluster_node *who = _i == 0 ? &ctl : &seg;
	who->ends = cluster_now() - 100;
	cluster_add(&cluster, who);
	ck_assert_int_eq(start_segment()->starts, 0);
	ck_assert_int_eq(start_controller()->starts, 0);
	wait_for(segment, 3 * CLOCK_SEC);
	ck_nobody_came(segment);
	ck_assert(!is_up(controller));
	who->ends = 0;
	cluster_add(&cluster, who);
	guard_reload((_i == 0 ? controller : segment)->bus.guard);
	ck_up_soon(DIALER_BACKOFF_MAX + CLOCK_SEC);
}
END_TEST

/* Without a word: the file is looked at. */
START_TEST(it_has_expired_at_the_start_and_a_fresh_one_is_found)
{
	ctl.ends = cluster_now() - 100;
	cluster_add(&cluster, &ctl);
	ck_assert_int_eq(start_segment()->starts, 0);
	ck_assert_int_eq(start_controller()->starts, 0);
	wait_for(segment, CLOCK_SEC);
	ctl.ends = 0;
	cluster_add(&cluster, &ctl);
	fast_set_wall(GUARD_LOOK_EXPIRED + 1);
	ck_up_soon(GUARD_INTERVAL + 2 * CLOCK_SEC);
}
END_TEST

/* A clock that is set late, as on a machine that has none of its own. */
START_TEST(it_is_not_valid_yet_at_the_start)
{
	fast_set_wall(-10 * 86400);
	ck_assert_int_eq(start_segment()->starts, 0);
	ck_assert_int_eq(start_controller()->starts, 0);
	wait_for(segment, 3 * CLOCK_SEC);
	ck_nobody_came(segment);
	fast_set_wall(0);
	ck_up_soon(GUARD_INTERVAL + DIALER_BACKOFF_MAX);
}
END_TEST

/*
 * One that is ahead, at the start or later, until it is set right: a look is not put off for it.
 * Nor is it where half of the time is reckoned from when the token came.
 */
START_TEST(a_clock_that_was_ahead_does_not_put_off_the_next_look)
{
	int64_t half = 0;
	if (_i >= 2) {
		ctl.begins = -1;
		cluster_add(&cluster, &ctl);
		half = 86400 / 2;
	}
	if (_i % 2 == 0)
		fast_set_wall(10 * 86400);
	ck_assert_int_eq(start_segment()->starts, 0);
	ck_assert_int_eq(start_controller()->starts, 0);
	const struct guard *g = controller->bus.guard;
	fast_set_wall(10 * 86400);
	RIG_UNTIL(&r, g->out_of_time);
	wait_for(controller, 3 * GUARD_INTERVAL);
	fast_set_wall(0);
	RIG_UNTIL(&r, !g->out_of_time);
	ctl.ends = cluster_now() + 2 * 86400;
	cluster_add(&cluster, &ctl);
	fast_set_wall(half + GUARD_LOOK_MAX + 1);
	RIG_UNTIL(&r, g->keyring.now->credentials->token->expires == ctl.ends);
	ck_up_soon(GUARD_INTERVAL + DIALER_BACKOFF_MAX);
}
END_TEST

/* What expires while the node runs earns it no pause either. */
START_TEST(it_expires_and_a_fresh_one_counts_at_once)
{
	ctl.ends = cluster_now() - 20;
	cluster_add(&cluster, &ctl);
	start_both();
	fast_set_wall(15);
	RIG_UNTIL(&r, segment->bus.n_transports == 0);
	wait_for(segment, 20 * CLOCK_SEC);
	ck_nobody_came(segment);
	ctl.ends = 0;
	cluster_add(&cluster, &ctl);
	guard_reload(controller->bus.guard);
	ck_up_soon(CLOCK_SEC);
}
END_TEST

/* The peer's clock is ahead: it says so first, and is not asked again. */
START_TEST(a_peer_says_that_it_has_expired)
{
	ctl.ends = cluster_now() - 2;
	cluster_add(&cluster, &ctl);
	start_both();
	ck_assert(guard_may_dial(&controller->bus));
	transport_goaway(the_transport(segment), WIRE_EXPIRED);
	RIG_UNTIL(&r, segment->bus.n_transports == 0);
	wait_for(segment, 5 * CLOCK_SEC);
	ck_nobody_came(segment);
	ck_assert(!guard_may_dial(&controller->bus));
	ctl.ends = 0;
	cluster_add(&cluster, &ctl);
	guard_reload(controller->bus.guard);
	ck_up_soon(CLOCK_SEC);
}
END_TEST

/* A transport that comes with little time left is looked at in time... */
START_TEST(its_end_is_not_overslept)
{
	ctl.ends = cluster_now() - 25;
	cluster_add(&cluster, &ctl);
	start_both();
	ck_assert_uint_le(segment->bus.guard->timer.at, bus_now(&segment->bus) + 5 * CLOCK_SEC);
	fast_set_wall(10);
	/* ...and no session comes in before that. */
	struct transport *there = the_transport(segment), *here = the_transport(controller);
	struct wire_open open = {.name = "echo", .name_len = 4};
	ck_assert(!there->ending.expelled);
	ck_assert(!permit_admits(there, &open));
	ck_assert(!permit_may_open(here, "echo", 4));
	fast_set_wall(0);
	ck_assert(permit_admits(there, &open));
	ck_assert(permit_may_open(here, "echo", 4));
}
END_TEST

START_TEST(what_it_does_not_cover)
{
	ctl.open = "ech*";
	seg.serve = "other";
	cluster_add(&cluster, &ctl);
	cluster_add(&cluster, &seg);
	start_both();
	ck_assert_uint_eq(coverage_check(controller->bus.conf,
				  controller->bus.guard->keyring.now->credentials->token, "ctl"),
		0);
	ck_assert_uint_eq(coverage_check(segment->bus.conf,
				  segment->bus.guard->keyring.now->credentials->token, "seg"),
		1);
}
END_TEST

/* --- memory ---------------------------------------------------------------------------------- */

static bool start_fails_cleanly(struct rig_node *(*start)(void), size_t nth, int sticky)
{
	setup_rig();
	r.mem.fail_at = r.mem.calls + nth;
	r.mem.sticky = sticky;
	struct rig_node *n = start();
	ck_assert((n->starts == 0) == (n->node != NULL));
	for (int i = 0; i < 3; i++)
		(void)loop_turn(r.loop, 0);
	bool failed = r.mem.failed;
	r.mem.fail_at = 0;
	teardown_rig(); /* counts what is live */
	return failed;
}

START_TEST(case_39_start)
{
	for (int sticky = 0; sticky < 2; sticky++) {
		size_t n = 1, m = 1;
		while (start_fails_cleanly(start_segment, n, sticky))
			n++;
		while (start_fails_cleanly(start_controller, m, sticky))
			m++;
		ck_assert_uint_gt(n, 12);
		ck_assert_uint_gt(m, 12);
	}
}
END_TEST

/* The link comes up in the end, whichever allocation of both nodes fails; then a session. */
START_TEST(case_39_link_and_session)
{
	for (size_t nth = 1;; nth++) {
		setup_rig();
		ck_assert_int_eq(start_segment()->starts, 0);
		r.mem.failed = 0;
		r.mem.fail_at = r.mem.calls + nth;
		if (start_controller()->starts != 0) {
			teardown_rig();
			continue;
		}
		RIG_UNTIL(&r, is_up(controller) && is_up(segment));
		bool whole = try_session();
		bool failed = r.mem.failed;
		r.mem.fail_at = 0;
		ck_assert(whole || failed);
		RIG_UNTIL(&r, is_up(controller) && is_up(segment));
		ck_assert(try_session());
		teardown_rig();
		if (!failed) {
			ck_assert_uint_gt(nth, 30);
			return;
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("guard");
	TCase *t = tcase_create("nodes");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_session_over_a_secured_link);
	tcase_add_test(t, an_orderly_end_says_close);
	tcase_add_loop_test(t, both_tokens_decide, 0, sizeof rights / sizeof *rights);
	tcase_add_test(t, what_the_opener_does_not_check_the_other_side_does);
	tcase_add_test(t, what_may_not_be_opened_costs_points);
	tcase_add_test(t, case_34_a_fresh_token_is_told);
	tcase_add_test(t, who_is_revoked_is_gone);
	tcase_add_loop_test(t, who_is_revoked_is_gone_whatever_else_is_bad, 0, 3);
	tcase_add_test(t, a_bad_list_revokes_whom_the_old_one_does);
	tcase_add_test(t, who_is_revoked_does_not_drain);
	tcase_add_test(t, a_bad_file_changes_nothing);
	tcase_add_test(t, nothing_is_sent_behind_close);
	tcase_add_test(t, case_34_a_fresh_token_in_the_last_moment);
	tcase_add_test(t, a_wall_clock_that_leaps_and_comes_back);
	tcase_add_test(t, a_reload_pardons_who_is_valid_again);
	tcase_add_test(t, a_wall_clock_that_comes_back_just_in_time);
	tcase_add_loop_test(t, case_34_a_link_is_made_anew_for_another_customer, 0, 2);
	tcase_add_test(t, who_is_never_content_is_dialled_with_pauses);
	tcase_add_loop_test(t, it_has_expired_at_the_start, 0, 2);
	tcase_add_test(t, it_has_expired_at_the_start_and_a_fresh_one_is_found);
	tcase_add_test(t, it_is_not_valid_yet_at_the_start);
	tcase_add_loop_test(t, a_clock_that_was_ahead_does_not_put_off_the_next_look, 0, 4);
	tcase_add_test(t, it_expires_and_a_fresh_one_counts_at_once);
	tcase_add_test(t, a_peer_says_that_it_has_expired);
	tcase_add_test(t, its_end_is_not_overslept);
	tcase_add_test(t, what_it_does_not_cover);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	tcase_set_timeout(t, 300);
	/* Files cost more than all else: they are made once. */
	tcase_add_checked_fixture(t, setup_files, teardown_files);
	tcase_add_test(t, case_39_start);
	tcase_add_test(t, case_39_link_and_session);
	suite_add_tcase(s, t);
	return unit_main(s);
}
