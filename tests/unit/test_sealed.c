/* Records of a live node, by hand: what a peer with a good token may not do either. */
#include "bus/guard.h"
#include "unit/cluster.h"
#include "unit/fast.h"
#include "unit/rig.h"

#include "base/log.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig r;
static struct cluster cluster;
static struct rig_node *segment;
static struct keyring keys;
static int port, backend_port, listener;

static const struct cluster_node nodes[] = {
	{.name = "ctl", .role = TOKEN_CONTROLLER},
	{.name = "seg", .role = TOKEN_SEGMENT},
};

static void setup(void)
{
	char why[WHY_MAX];
	log_set_level(LOG_ERROR);
	cluster_init(&cluster);
	for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
		cluster_add(&cluster, &nodes[i]);
	struct credentials_source source =
		cluster_source(&cluster, "ctl", TOKEN_CONTROLLER, mem_system());
	ck_assert_int_eq(keyring_init(&keys, &source, why), 0);
	rig_init(&r);
	port = rig_port(&r);
	backend_port = rig_port(&r);
	listener = rig_listen(backend_port);
}

static void teardown(void)
{
	close(listener);
	rig_fini(&r);
	keyring_fini(&keys);
	cluster_fini(&cluster);
	log_set_level(LOG_INFO);
}

static void start(const char *link_timeout)
{
	const char *dir = cluster.dir;
	segment = rig_start(&r, CONF_SEGMENT,
		"[Cloudbus]\ntrust=%s/trust\nidentity=%s/seg.key\ntoken=%s/seg.token\n"
		"link_timeout=%s\n[echo]\nbind=bus://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
		dir, dir, dir, link_timeout, port, backend_port);
}

/* --- a controller by hand ----------------------------------------------------------------- */

struct caller {
	int fd;
	struct secure *secure;
};

static void speak(struct caller *c)
{
	size_t n;
	for (const uint8_t *p; (p = secure_output(c->secure, &n)) != NULL;) {
		rig_send(&r, c->fd, p, n);
		secure_sent(c->secure, n);
	}
}

/* Whether its handshake is over. */
static bool goes_on(struct caller *c)
{
	uint8_t buf[8192];
	char why[WHY_MAX];
	for (size_t wants; (wants = secure_wants(c->secure)) > 0;) {
		ssize_t n = rig_read(c->fd, buf, wants < sizeof buf ? wants : sizeof buf);
		if (n < 0 && errno == EAGAIN)
			return false;
		ck_assert_int_gt(n, 0);
		ck_assert_int_eq(secure_take(c->secure, buf, (size_t)n, clock_wall(), why), 0);
	}
	speak(c);
	return true;
}

/* n bytes of frames as one record; 0: CLOSE. */
static void say(struct caller *c, const uint8_t *frames, size_t n)
{
	static uint8_t record[RECORD_MAX];
	ck_assert_int_eq(secure_seal(c->secure, record, frames, n, RECORD_PLAIN_MAX), 0);
	rig_send(&r, c->fd, record, secure_sealed_size(n, RECORD_PLAIN_MAX));
}

/* Handshake and HELLO. */
static struct caller call(void)
{
	char why[WHY_MAX];
	uint8_t hello[WIRE_HEADER + WIRE_CONTROL_MAX];
	struct caller c = {.fd = rig_connect(port)};
	struct secure_setup opt = {.mem = mem_system(),
		.keyring = &keys,
		.side = NOISE_INITIATOR,
		.peer = TOKEN_SEGMENT,
		.wall = clock_wall()};
	ck_assert_int_eq(secure_new(&c.secure, &opt, why), 0);
	speak(&c);
	RIG_UNTIL(&r, goes_on(&c));
	say(&c, hello,
		wire_put_hello(hello, &(struct wire_hello){.version = WIRE_VERSION,
					      .role = WIRE_CONTROLLER,
					      .max_streams = WIRE_STREAMS_DEFAULT,
					      .window = WIRE_WINDOW_DEFAULT}));
	RIG_UNTIL(&r, segment->bus.n_transports == 1);
	return c;
}

static void hang_up(struct caller *c)
{
	secure_free(c->secure);
	close(c->fd);
	RIG_UNTIL(&r, segment->bus.n_transports == 0);
}

/* --- PING: any byte counts ------------------------------------------------------------------ */

enum { FRAME = 60000 }; /* bytes of its payload */

/* The record of a frame that is skipped. */
static size_t make_long(struct caller *c, uint8_t *record)
{
	static uint8_t frame[WIRE_HEADER + FRAME];
	struct wire_header h = {.length = FRAME, .type = 20, .flags = WIRE_IGNORABLE};
	wire_put_header(frame, &h);
	ck_assert_int_eq(secure_seal(c->secure, record, frame, sizeof frame, RECORD_PLAIN_MAX), 0);
	return secure_sealed_size(sizeof frame, RECORD_PLAIN_MAX);
}

static void pause_for(uint64_t time)
{
	uint64_t until = rig_clock() + time;
	RIG_UNTIL(&r, rig_clock() >= until);
}

/* Whether so many bytes came behind the HELLO, and all have been opened. */
static bool is_read(size_t n)
{
	const struct list *node = list_first(&segment->bus.transports);
	if (node == NULL)
		ck_abort_msg("no transport");
	const struct transport *t = container_of(node, struct transport, node);
	return t->received > n && t->sealed->n_kept == 0;
}

/* It takes three times link_timeout to come, of which 0.6 s are left here. */
START_TEST(case_24_a_long_record_on_a_slow_path)
{
	static uint8_t record[RECORD_MAX];
	start("6s");
	struct caller c = call();
	size_t n = make_long(&c, record), part = n / 60 + 1;
	for (size_t at = 0; at < n; at += part) {
		rig_send(&r, c.fd, record + at, at + part < n ? part : n - at);
		pause_for(30 * CLOCK_MS);
		ck_assert_uint_eq(segment->bus.n_transports, 1);
	}
	RIG_UNTIL(&r, is_read(n));
	hang_up(&c);
	ck_assert_uint_eq(segment->bus.stats.closed[STATS_CLOSED_TIMED_OUT], 0);
}
END_TEST

/* Whoever can write into the connection cannot keep it so for as long as a record has bytes. */
START_TEST(case_23_a_record_that_never_ends)
{
	static const uint8_t head[2] = {0xff, 0xff};
	start("3s");
	struct caller c = call();
	uint64_t began = rig_clock();
	rig_send(&r, c.fd, head, sizeof head);
	while (segment->bus.n_transports == 1) {
		ck_assert_uint_lt(rig_clock() - began, RIG_PATIENCE);
		(void)send(c.fd, head, 1, MSG_NOSIGNAL);
		pause_for(20 * CLOCK_MS);
	}
	ck_assert_uint_ge((rig_clock() - began) * FAST_FACTOR, 10 * 3 * CLOCK_SEC);
	ck_assert_uint_eq(segment->bus.stats.closed[STATS_CLOSED_TIMED_OUT], 1);
	hang_up(&c);
}
END_TEST

/* --- CLOSE ------------------------------------------------------------------------------------ */

static const struct {
	bool opens, goes;
} too_early[] = {{false, false}, {true, false}, {true, true}};

/* The connection stays open: nothing else would end it before link_timeout. */
START_TEST(close_without_goodbye_is_fatal)
{
	uint8_t frames[256];
	size_t n = 0;
	start("10m");
	struct caller c = call();
	if (too_early[_i].opens)
		n += wire_put_open(frames, 1,
			&(struct wire_open){.window = WIRE_WINDOW_DEFAULT,
				.hops = 8,
				.name = "echo",
				.name_len = 4});
	if (too_early[_i].goes)
		n += wire_put_goaway(frames + n, &(struct wire_goaway){.last = 0});
	if (n > 0)
		say(&c, frames, n);
	if (too_early[_i].opens)
		close(rig_accept(&r, listener));
	say(&c, NULL, 0);
	RIG_UNTIL(&r, segment->bus.n_transports == 0);
	ck_assert_uint_eq(segment->bus.stats.closed[STATS_CLOSED_LOST], 1);
	RIG_UNTIL(&r, segment->bus.n_sessions == 0);
	hang_up(&c);
}
END_TEST

START_TEST(close_behind_goodbye_is_not)
{
	uint8_t frames[256];
	start("10m");
	struct caller c = call();
	say(&c, frames, wire_put_goaway(frames, &(struct wire_goaway){.last = 0}));
	say(&c, NULL, 0);
	RIG_UNTIL(&r, ({
		while (rig_read(c.fd, frames, sizeof frames) > 0)
			;
		recv(c.fd, frames, 1, MSG_PEEK) == 0;
	}));
	hang_up(&c);
	ck_assert_uint_eq(segment->bus.stats.closed[STATS_CLOSED_CLEAN], 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sealed");
	TCase *t = tcase_create("sealed");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, case_24_a_long_record_on_a_slow_path);
	tcase_add_test(t, case_23_a_record_that_never_ends);
	tcase_add_loop_test(
		t, close_without_goodbye_is_fatal, 0, (int)(sizeof too_early / sizeof *too_early));
	tcase_add_test(t, close_behind_goodbye_is_not);
	suite_add_tcase(s, t);
	return unit_main(s);
}
