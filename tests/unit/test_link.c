#include "bus/link.h"

#include "base/log.h"
#include "net/sock.h"
#include "session/mux_impl.h"
#include "unit/rig.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig r;
static struct conf conf;
static struct bus bus;
static struct link_table links;
static int port, ups[2];
static struct link_watch watch[2];

/* What the kernel is made to say of every path, in microseconds; 0: the truth. */
static uint32_t round_trip;

int __real_sock_path(int fd, struct sock_path *path);
int __wrap_sock_path(int fd, struct sock_path *path);

int __wrap_sock_path(int fd, struct sock_path *path)
{
	int rc = __real_sock_path(fd, path);
	if (rc == 0 && round_trip != 0)
		path->min_rtt = round_trip;
	return rc;
}

static void on_up(struct link_watch *w)
{
	if (w >= watch && w < watch + 2)
		ups[w - watch]++;
}

static void setup(void)
{
	log_set_level(LOG_ERROR);
	rig_init(&r);
	port = rig_port(&r);
	conf = (struct conf){.role = CONF_CONTROLLER,
		.memory = 1 << 20,
		.max_window = 1 << 20,
		.link_timeout = 30 * CLOCK_SEC,
		.transports = 1};
	bus = (struct bus){.mem = &r.mem.mem, .loop = r.loop, .conf = &conf};
	ck_assert_int_eq(bus_init(&bus), 0);
	link_table_init(&links, &bus);
	memset(watch, 0, sizeof watch);
	memset(ups, 0, sizeof ups);
	round_trip = 0;
	watch[0].up = watch[1].up = on_up;
}

static void teardown(void)
{
	for (int i = 0; i < 2; i++) {
		if (watch[i].link != NULL)
			link_unwatch(&watch[i]);
	}
	RIG_UNTIL(&r, bus.n_transports == 0);
	RIG_UNTIL(&r, links.table.count == 0);
	link_table_fini(&links);
	bus_fini(&bus);
	rig_fini(&r);
}

static struct link *use(int i)
{
	struct addr a;
	ck_assert_int_eq(addr_from_literal(&a, "127.0.0.1", 9, (uint16_t)port), 0);
	list_init(&watch[i].node);
	ck_assert_int_eq(link_watch(&watch[i], &links, &(struct link_address){&a, false}), 0);
	return watch[i].link;
}

static struct rig_node *start_segment(void)
{
	return rig_start(
		&r, CONF_SEGMENT, "[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:9\n", port);
}

static struct transport *first_transport(void)
{
	struct list *node = list_first(&bus.transports);
	return node == NULL ? NULL : container_of(node, struct transport, node);
}

/* The pause after the attempt that is under way. */
static uint64_t await_pause(struct link *link)
{
	RIG_UNTIL(&r, timer_is_set(&link->dialer.retry));
	return link->dialer.retry.at - loop_now(r.loop);
}

static void attempt_now(struct link *link)
{
	ck_assert_int_eq(loop_timer_set(r.loop, &link->dialer.retry, loop_now(r.loop)), 0);
	RIG_UNTIL(&r, !timer_is_set(&link->dialer.retry) || link->dialer.retry.at > clock_now());
}

START_TEST(case29_the_pauses_double_and_differ)
{
	struct link *link = use(0);
	uint64_t most = DIALER_BACKOFF_MIN, least_seen = UINT64_MAX, most_seen = 0;
	for (int i = 0; i < 40; i++) {
		uint64_t pause = await_pause(link);
		ck_assert_uint_le(pause, most);
		/* What passed of it between the failure and here is a turn at most. */
		ck_assert_uint_ge(pause, most / 2 - 20 * CLOCK_MS);
		if (most == DIALER_BACKOFF_MAX) {
			least_seen = pause < least_seen ? pause : least_seen;
			most_seen = pause > most_seen ? pause : most_seen;
		}
		most = most * 2 < DIALER_BACKOFF_MAX ? most * 2 : DIALER_BACKOFF_MAX;
		attempt_now(link);
	}
	ck_assert_uint_gt(most_seen - least_seen, DIALER_BACKOFF_MAX / 8);
}
END_TEST

START_TEST(a_kick_shortens_the_pause_and_no_more)
{
	struct link *link = use(0);
	for (int i = 0; i < 10; i++) {
		(void)await_pause(link);
		attempt_now(link);
	}
	(void)await_pause(link);
	/* Not sooner than the shortest pause after the last attempt. */
	uint64_t tried = link->dialer.tried;
	link_kick(link, 0);
	link_kick(link, 0);
	RIG_UNTIL(&r, link->dialer.tried != tried);
	ck_assert_uint_ge(link->dialer.tried - tried, DIALER_BACKOFF_MIN);
	ck_assert_uint_lt(link->dialer.tried - tried, DIALER_BACKOFF_MAX / 2);
	/* Under way already: nothing to do. */
	link_kick(link, 0);
}
END_TEST

enum { MANY = DIALER_A_TURN + 4 };

static int count_tried(const struct link_watch *many)
{
	int n = 0;
	for (int i = 0; i < MANY; i++)
		n += many[i].link->dialer.tried != 0;
	return n;
}

START_TEST(many_are_dialled_over_several_turns_and_who_is_awaited_at_once)
{
	struct link_watch many[MANY] = {0};
	for (int i = 0; i < MANY; i++) {
		struct addr a;
		uint8_t ip[4] = {127, 0, 1, (uint8_t)(i + 1)};
		addr_from_bytes(&a, AF_INET, ip, (uint16_t)port);
		many[i].up = on_up;
		list_init(&many[i].node);
		ck_assert_int_eq(
			link_watch(&many[i], &links, &(struct link_address){&a, false}), 0);
	}
	ck_assert_int_eq(count_tried(many), 0);
	link_kick(many[MANY - 1].link, loop_now(r.loop) + CLOCK_SEC);
	ck_assert_uint_ne(many[MANY - 1].link->dialer.tried, 0);
	ck_assert_int_eq(count_tried(many), 1);
	rig_turn(&r);
	ck_assert_int_eq(count_tried(many), 1 + DIALER_A_TURN);
	link_unwatch(&many[MANY - 2]); /* it waits still, and is taken out */
	ck_assert_ptr_null(many[MANY - 2].link);
	many[MANY - 2].link = many[0].link;
	rig_turn(&r);
	ck_assert_int_eq(count_tried(many), MANY);
	for (int i = 0; i < MANY; i++) {
		if (i != MANY - 2)
			link_unwatch(&many[i]);
	}
}
END_TEST

START_TEST(it_comes_up_and_tells_all)
{
	struct link *link = use(0);
	ck_assert_ptr_eq(use(1), link);
	(void)await_pause(link);
	ck_assert_ptr_null(link_transport(link));
	struct rig_node *segment = start_segment();
	RIG_UNTIL(&r, ups[0] == 1 && ups[1] == 1);
	ck_assert_uint_eq(segment->bus.n_transports, 1);
	ck_assert_ptr_eq(link_transport(link), first_transport());
	/* One of them less changes nothing. */
	link_unwatch(&watch[0]);
	rig_turn(&r);
	ck_assert_ptr_nonnull(link_transport(link));
	/* Lost and back: told again. */
	rig_stop(segment);
	RIG_UNTIL(&r, bus.n_transports == 0);
	(void)start_segment();
	RIG_UNTIL(&r, ups[1] == 2);
	ck_assert_int_eq(ups[0], 1);
}
END_TEST

START_TEST(a_worn_transport_is_replaced)
{
	struct link *link = use(0);
	struct rig_node *segment = start_segment();
	RIG_UNTIL(&r, ups[0] == 1);
	struct transport *old = link_transport(link);
	old->mux->next_id = WIRE_STREAM_MAX - 101;
	old->mux->next_id |= 1;
	ck_assert(transport_is_worn(old));
	/* It still serves, while the next one is being made. */
	ck_assert_ptr_eq(link_transport(link), old);
	RIG_UNTIL(&r, ups[0] == 2);
	ck_assert_ptr_ne(link_transport(link), old);
	ck_assert_ptr_nonnull(link_transport(link));
	RIG_UNTIL(&r, bus.n_transports == 1 && segment->bus.n_transports == 1);
	ck_assert_ptr_eq(link_transport(link), first_transport());
}
END_TEST

START_TEST(a_replacement_that_fails_keeps_to_its_pauses)
{
	struct link *link = use(0);
	struct rig_node *segment = start_segment();
	RIG_UNTIL(&r, ups[0] == 1);
	struct transport *old = link_transport(link);
	old->mux->next_id = (WIRE_STREAM_MAX - 101) | 1;
	/* Another address for the next attempt: nobody listens there. */
	struct addr there = link->dialer.addr;
	link->dialer.addr.in.sin_port = htons((uint16_t)rig_port(&r));
	ck_assert_ptr_eq(link_transport(link), old);
	(void)await_pause(link);
	uint64_t tried = link->dialer.tried, at = link->dialer.retry.at;
	for (int i = 0; i < 100; i++)
		ck_assert_ptr_eq(link_transport(link), old);
	ck_assert_uint_eq(link->dialer.tried, tried);
	ck_assert_uint_eq(link->dialer.retry.at, at);
	/* And goes on by itself until it works. */
	link->dialer.addr = there;
	RIG_UNTIL(&r, ups[0] == 2);
	RIG_UNTIL(&r, bus.n_transports == 1 && segment->bus.n_transports == 1);
}
END_TEST

START_TEST(a_peer_that_closes_before_its_hello)
{
	int fd = rig_listen(port);
	struct link *link = use(0);
	uint64_t most = DIALER_BACKOFF_MIN;
	for (int i = 0; i < 5; i++) {
		rig_abort(rig_accept(&r, fd));
		uint64_t pause = await_pause(link);
		ck_assert_uint_le(pause, most);
		most *= 2;
		ck_assert_uint_eq(link->dialer.backoff, most);
	}
	ck_assert_int_eq(ups[0], 0);
	close(fd);
}
END_TEST

START_TEST(given_up_at_every_step)
{
	struct rig_node *segment = start_segment();
	for (int turns = 0; turns < 10; turns++) {
		(void)use(0);
		for (int i = 0; i < turns; i++)
			ck_assert_int_eq(loop_turn(r.loop, 0), 0);
		link_unwatch(&watch[0]);
		RIG_UNTIL(&r, bus.n_transports == 0 && links.table.count == 0);
	}
	RIG_UNTIL(&r, segment->bus.n_transports == 0);
}
END_TEST

START_TEST(nothing_is_dialled_after_the_stop)
{
	struct link *link = use(0);
	(void)await_pause(link);
	link_table_stop(&links);
	(void)start_segment();
	uint64_t tried = link->dialer.tried, end = clock_now() + 300 * CLOCK_MS;
	RIG_UNTIL(&r, clock_now() > end);
	ck_assert_uint_eq(link->dialer.tried, tried);
	ck_assert_int_eq(ups[0], 0);
}
END_TEST

START_TEST(case39_no_memory)
{
	(void)start_segment();
	bool failed = true;
	for (size_t n = 1; failed; n++) {
		struct addr a;
		ck_assert_int_eq(addr_from_literal(&a, "127.0.0.1", 9, (uint16_t)port), 0);
		list_init(&watch[0].node);
		r.mem.failed = 0;
		r.mem.fail_at = r.mem.calls + n;
		int rc = link_watch(&watch[0], &links, &(struct link_address){&a, false});
		int before = ups[0];
		/* Whatever failed of an attempt, the next one works. */
		if (rc == 0) {
			RIG_UNTIL(&r, ups[0] > before);
			link_unwatch(&watch[0]);
		} else {
			watch[0].link = NULL;
		}
		RIG_UNTIL(&r, bus.n_transports == 0 && links.table.count == 0);
		failed = r.mem.failed;
		r.mem.fail_at = 0;
	}
}
END_TEST

static void quiet_reset(struct transport_stream *ts, uint32_t code)
{
	(void)ts;
	(void)code;
}

static const struct transport_stream_ops quiet = {.reset = quiet_reset};

/* A link over a long path to a segment, and its n transports. */
static struct link *use_long_path(unsigned n, struct rig_node **segment)
{
	conf.transports = n;
	round_trip = DIALER_LONG_PATH + 1;
	struct link *link = use(0);
	*segment = start_segment();
	RIG_UNTIL(&r, link->dialer.n_ready == n && (*segment)->bus.n_transports == n);
	return link;
}

START_TEST(a_long_path_gets_several_transports)
{
	enum { N = 4 };
	struct rig_node *segment;
	struct link *link = use_long_path(N, &segment);
	/* New sessions take turns over them. */
	struct transport *seen[N];
	for (int i = 0; i < N; i++) {
		seen[i] = link_transport(link);
		for (int k = 0; k < i; k++)
			ck_assert_ptr_ne(seen[i], seen[k]);
	}
	ck_assert_ptr_eq(link_transport(link), seen[0]);
	/* One that is lost is made anew; the others go on meanwhile. */
	ending_now(seen[1], STATS_CLOSED_LOST, "test");
	RIG_UNTIL(&r, link->dialer.n_ready == N - 1);
	ck_assert_ptr_nonnull(link_transport(link));
	RIG_UNTIL(&r, link->dialer.n_ready == N);
	ck_assert_uint_eq(bus.n_transports, N);
}
END_TEST

/* A reload that wants fewer, or more, does not wait for one to be lost; sessions go on. */
START_TEST(another_number_of_transports_counts_at_once)
{
	enum { N = 4 };
	struct rig_node *segment;
	struct link *link = use_long_path(N, &segment);
	dialer_reconfigure(&bus); /* nothing is another */
	ck_assert_uint_eq(link->dialer.n_ready, N);
	/* A stream on one of them: that one is not among those that go. */
	struct transport *used = link_transport(link);
	struct wire_open open = {.name = "x", .name_len = 1};
	struct transport_stream ts = {.ops = &quiet};
	ck_assert_int_eq(transport_open(used, &ts, &open), 0);
	conf.transports = 1;
	dialer_reconfigure(&bus);
	ck_assert_uint_eq(link->dialer.n_ready, 1);
	ck_assert_ptr_eq(link_transport(link), used);
	RIG_UNTIL(&r, bus.n_transports == 1 && segment->bus.n_transports == 1);
	ck_assert(!used->dead && !mux_is_going(used->mux));
	conf.transports = 2;
	dialer_reconfigure(&bus);
	RIG_UNTIL(&r, link->dialer.n_ready == 2 && segment->bus.n_transports == 2);
	ck_assert(!used->dead && !mux_is_going(used->mux));
	transport_close_stream(&ts, WIRE_ABORTED);
}
END_TEST

/* Also where one more was under way when the reload came. */
START_TEST(a_transport_that_comes_after_the_reload_may_be_too_many)
{
	conf.transports = 4;
	round_trip = DIALER_LONG_PATH + 1;
	struct link *link = use(0);
	struct dialer *d = &link->dialer;
	struct rig_node *segment = start_segment();
	RIG_UNTIL(&r, d->n_ready == 1 && (d->next != NULL || connector_busy(&d->connector) ||
						 !list_empty(&d->queued)));
	struct transport *first = link_transport(link);
	conf.transports = 1;
	dialer_reconfigure(&bus);
	RIG_UNTIL(&r, d->next == NULL && !connector_busy(&d->connector) && list_empty(&d->queued));
	ck_assert_uint_eq(d->n_ready, 1);
	ck_assert_ptr_eq(link_transport(link), first);
	RIG_UNTIL(&r, bus.n_transports == 1 && segment->bus.n_transports == 1);
	ck_assert(!first->dead && !mux_is_going(first->mux));
}
END_TEST

START_TEST(a_short_path_gets_one)
{
	conf.transports = 4;
	round_trip = DIALER_LONG_PATH;
	struct link *link = use(0);
	(void)start_segment();
	RIG_UNTIL(&r, link->dialer.n_ready == 1);
	for (int i = 0; i < 20; i++)
		rig_turn(&r);
	ck_assert_uint_eq(link->dialer.n_ready, 1);
	ck_assert_ptr_null(link->dialer.next);
	ck_assert(!connector_busy(&link->dialer.connector) && !timer_is_set(&link->dialer.retry));
}
END_TEST

/* Of more than are wanted, as the path was longer, what is lost is not made anew. */
START_TEST(what_is_too_many_is_not_dialled_again)
{
	enum { N = 4 };
	conf.transports = N;
	round_trip = DIALER_LONG_PATH + 1;
	struct link *link = use(0);
	struct rig_node *segment = start_segment();
	RIG_UNTIL(&r, link->dialer.n_ready == N && segment->bus.n_transports == N);
	link->dialer.wanted = 2;
	for (unsigned left = N - 1; left >= 2; left--) {
		ending_now(link_transport(link), STATS_CLOSED_LOST, "test");
		RIG_UNTIL(&r, link->dialer.n_ready == left);
		attempt_now(link);
		for (int i = 0; i < 20; i++)
			rig_turn(&r);
		ck_assert_uint_eq(link->dialer.n_transports, left);
		ck_assert(!connector_busy(&link->dialer.connector));
	}
	ending_now(link_transport(link), STATS_CLOSED_LOST, "test");
	RIG_UNTIL(&r, link->dialer.n_ready == 1);
	RIG_UNTIL(&r, link->dialer.n_ready > 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("link");
	TCase *tc = tcase_create("link");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, case29_the_pauses_double_and_differ);
	tcase_add_test(tc, a_kick_shortens_the_pause_and_no_more);
	tcase_add_test(tc, many_are_dialled_over_several_turns_and_who_is_awaited_at_once);
	tcase_add_test(tc, it_comes_up_and_tells_all);
	tcase_add_test(tc, a_long_path_gets_several_transports);
	tcase_add_test(tc, another_number_of_transports_counts_at_once);
	tcase_add_test(tc, a_transport_that_comes_after_the_reload_may_be_too_many);
	tcase_add_test(tc, a_short_path_gets_one);
	tcase_add_test(tc, what_is_too_many_is_not_dialled_again);
	tcase_add_test(tc, a_worn_transport_is_replaced);
	tcase_add_test(tc, a_replacement_that_fails_keeps_to_its_pauses);
	tcase_add_test(tc, a_peer_that_closes_before_its_hello);
	tcase_add_test(tc, given_up_at_every_step);
	tcase_add_test(tc, nothing_is_dialled_after_the_stop);
	tcase_add_test(tc, case39_no_memory);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
