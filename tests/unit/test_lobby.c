/* Who comes in where strangers come from the same address: a node, and sockets of the test. */
#include "bus/guard.h"
#include "bus/lobby.h"
#include "unit/cluster.h"
#include "unit/rig.h"

#include "base/log.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig r;
static struct cluster cluster;
static struct rig_node *segment;
static struct keyring keys, other_keys; /* of two controllers */
static int port, other_port;

static const struct cluster_node nodes[] = {
	{.name = "ctl", .role = TOKEN_CONTROLLER},
	{.name = "other", .role = TOKEN_CONTROLLER},
	{.name = "seg", .role = TOKEN_SEGMENT},
};

static void load(struct keyring *ring, const char *name)
{
	char why[WHY_MAX];
	struct credentials_source source =
		cluster_source(&cluster, name, TOKEN_CONTROLLER, mem_system());
	ck_assert_int_eq(keyring_init(ring, &source, why), 0);
}

static void setup(void)
{
	log_set_level(LOG_ERROR);
	cluster_init(&cluster);
	for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
		cluster_add(&cluster, &nodes[i]);
	load(&keys, "ctl");
	load(&other_keys, "other");
	rig_init(&r);
	port = rig_port(&r);
	other_port = rig_port(&r);
	const char *dir = cluster.dir;
	segment = rig_start(&r, CONF_SEGMENT,
		"[Cloudbus]\ntrust=%s/trust\nidentity=%s/seg.key\ntoken=%s/seg.token\n"
		"[echo]\nbind=bus://127.0.0.1:%d\nserver=tcp://127.0.0.1:1\n"
		"[other]\nbind=bus://127.0.0.1:%d\nserver=tcp://127.0.0.1:1\n",
		dir, dir, dir, port, other_port);
}

static void teardown(void)
{
	rig_fini(&r);
	keyring_fini(&keys);
	keyring_fini(&other_keys);
	cluster_fini(&cluster);
	log_set_level(LOG_INFO);
}

static const struct doorman *doorman(void)
{
	return &segment->bus.guard->lobby.doorman;
}

/* --- a node that dials ------------------------------------------------------------------- */

enum outcome { OPEN, IN, CLOSED };

struct caller {
	int fd;
	struct secure *secure;
};

static void speak(struct caller *c)
{
	size_t n;
	for (const uint8_t *p; (p = secure_output(c->secure, &n)) != NULL;) {
		ck_assert_int_eq(send(c->fd, p, n, MSG_NOSIGNAL), (ssize_t)n);
		secure_sent(c->secure, n);
	}
}

/* Connects, and sends message 1; nothing of it has been looked at yet. */
static struct caller call_at(int to, struct keyring *who)
{
	char why[WHY_MAX];
	struct caller c = {.fd = rig_connect(to)};
	struct secure_setup opt = {.mem = mem_system(),
		.keyring = who,
		.side = NOISE_INITIATOR,
		.peer = TOKEN_SEGMENT,
		.wall = clock_wall()};
	ck_assert_int_eq(secure_new(&c.secure, &opt, why), 0);
	speak(&c);
	return c;
}

static struct caller call(void)
{
	return call_at(port, &keys);
}

static enum outcome listen_to(struct caller *c)
{
	uint8_t buf[8192];
	char why[WHY_MAX];
	for (size_t wants; (wants = secure_wants(c->secure)) > 0;) {
		ssize_t n = rig_read(c->fd, buf, wants < sizeof buf ? wants : sizeof buf);
		if (n < 0 && errno == EAGAIN)
			return OPEN;
		if (n <= 0)
			return CLOSED;
		ck_assert_int_eq(secure_take(c->secure, buf, (size_t)n, clock_wall(), why), 0);
	}
	speak(c);
	return IN;
}

static void hang_up(struct caller *c)
{
	secure_free(c->secure);
	close(c->fd);
}

/* Goes on until it is linked. */
static void finish(struct caller *c)
{
	enum outcome outcome;
	size_t n = segment->bus.n_transports;
	RIG_UNTIL(&r, (outcome = listen_to(c)) != OPEN);
	ck_assert_int_eq(outcome, IN);
	RIG_UNTIL(&r, segment->bus.n_transports > n);
}

/* Nothing has been said to it. */
static bool is_closed(int fd)
{
	char byte;
	ssize_t n = rig_read(fd, &byte, 1);
	ck_assert_int_le(n, 0);
	return n == 0 || errno != EAGAIN;
}

/* Whatever has been said to it. */
static bool is_ended(int fd)
{
	char buf[4096];
	ssize_t n;
	while ((n = rig_read(fd, buf, sizeof buf)) > 0)
		;
	return n == 0 || errno != EAGAIN;
}

/* --- strangers --------------------------------------------------------------------------- */

static void close_all(int *fds, int n)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

static void fill(int fds[static DOORMAN_PER_SOURCE])
{
	for (int i = 0; i < DOORMAN_PER_SOURCE; i++)
		fds[i] = rig_connect(port);
	RIG_UNTIL(&r, doorman()->inside == DOORMAN_PER_SOURCE);
}

START_TEST(who_says_nothing_leaves_by_lot)
{
	enum { ROUNDS = 64 };
	int fds[DOORMAN_PER_SOURCE], drawn[DOORMAN_PER_SOURCE] = {0}, kinds = 0;
	fill(fds);
	for (int i = 0; i < ROUNDS; i++) {
		int newcomer = rig_connect(port), gone = -1;
		RIG_UNTIL(&r, ({
			for (int k = 0; k < DOORMAN_PER_SOURCE; k++)
				gone = is_closed(fds[k]) ? k : gone;
			gone >= 0;
		}));
		ck_assert_uint_eq(doorman()->inside, DOORMAN_PER_SOURCE);
		ck_assert(!is_closed(newcomer));
		close(fds[gone]);
		fds[gone] = newcomer;
		kinds += drawn[gone]++ == 0;
	}
	ck_assert_uint_eq(segment->bus.stats.away[STATS_AWAY_REPLACED], ROUNDS);
	/* Fewer than half of the places in 64 draws: one in 10^17. */
	ck_assert_int_ge(kinds, DOORMAN_PER_SOURCE / 2);
	close_all(fds, DOORMAN_PER_SOURCE);
	RIG_UNTIL(&r, doorman()->inside == 0);
}
END_TEST

/* Also where many are accepted in the same turn, before any of them is read. */
START_TEST(who_has_spoken_is_not_drawn)
{
	enum { MANY = 48 };
	int fds[DOORMAN_PER_SOURCE], after[MANY];
	for (int round = 0; round < 20; round++) {
		fill(fds);
		struct caller c = call();
		for (int i = 0; i < MANY; i++)
			after[i] = rig_connect(port);
		finish(&c);
		ck_assert_uint_le(doorman()->inside, DOORMAN_PER_SOURCE);
		hang_up(&c);
		close_all(fds, DOORMAN_PER_SOURCE);
		close_all(after, MANY);
		RIG_UNTIL(&r, doorman()->inside + segment->bus.n_transports == 0);
	}
}
END_TEST

/* All places of the source are taken by those whose MAC was right. */
static void fill_proven(struct caller *callers)
{
	for (int i = 0; i < DOORMAN_PER_SOURCE; i++)
		callers[i] = call();
	RIG_UNTIL(&r, doorman()->inside == DOORMAN_PER_SOURCE && doorman()->unproven == 0);
}

START_TEST(who_has_proved_himself_keeps_his_place)
{
	struct caller callers[DOORMAN_PER_SOURCE];
	fill_proven(callers);
	int newcomer = rig_connect(port);
	RIG_UNTIL(&r, is_closed(newcomer));
	close(newcomer);
	ck_assert_uint_eq(segment->bus.stats.away[STATS_AWAY_SOURCE], 1);
	for (int i = 0; i < DOORMAN_PER_SOURCE; i++)
		finish(&callers[i]);
	for (int i = 0; i < DOORMAN_PER_SOURCE; i++)
		hang_up(&callers[i]);
	RIG_UNTIL(&r, segment->bus.n_transports == 0);
}
END_TEST

/* One that waited, and speaks, is let in at once, whoever waits before it and says nothing. */
START_TEST(the_queue_does_not_wait_for_the_silent)
{
	enum { SILENT = DOORMAN_QUEUE_PER_SOURCE - 1 };
	struct caller callers[DOORMAN_PER_SOURCE], linked = call();
	int silent[SILENT];
	finish(&linked);
	fill_proven(callers);
	for (int i = 0; i < SILENT; i++)
		silent[i] = rig_connect(port);
	struct caller last = call();
	int too_many = rig_connect(port);
	RIG_UNTIL(&r, is_closed(too_many));
	ck_assert_uint_eq(segment->bus.stats.away[STATS_AWAY_QUEUE], 1);
	ck_assert_uint_eq(doorman()->waiting, DOORMAN_QUEUE_PER_SOURCE);
	finish(&callers[0]);
	finish(&last);
	ck_assert_uint_eq(doorman()->waiting, 0);
	for (int i = 0; i < SILENT; i++)
		ck_assert(is_closed(silent[i]));
	close(too_many);
	close_all(silent, SILENT);
	hang_up(&last);
	hang_up(&linked);
	for (int i = 0; i < DOORMAN_PER_SOURCE; i++)
		hang_up(&callers[i]);
	RIG_UNTIL(&r, doorman()->inside + segment->bus.n_transports == 0);
}
END_TEST

/* --- those who have come through --------------------------------------------------------- */

/* Whether it is closed when its handshake is over; else it is linked. */
static bool is_turned_away(struct caller *c)
{
	enum outcome outcome;
	size_t n = segment->bus.n_transports;
	RIG_UNTIL(&r, (outcome = listen_to(c)) != OPEN);
	if (outcome == CLOSED)
		return true;
	RIG_UNTIL(&r, segment->bus.n_transports > n || is_ended(c->fd));
	return segment->bus.n_transports == n;
}

START_TEST(a_node_has_so_many_transports_at_an_address)
{
	struct caller callers[CENSUS_OF_PEER], more, elsewhere, another;
	for (int i = 0; i < CENSUS_OF_PEER; i++) {
		callers[i] = call();
		finish(&callers[i]);
	}
	for (int i = 0; i < 3; i++) {
		more = call();
		ck_assert(is_turned_away(&more));
		hang_up(&more);
	}
	ck_assert_uint_eq(segment->bus.n_transports, CENSUS_OF_PEER);
	ck_assert_uint_eq(segment->bus.stats.away[STATS_AWAY_NODE], 3);
	elsewhere = call_at(other_port, &keys);
	ck_assert(!is_turned_away(&elsewhere));
	another = call_at(port, &other_keys);
	ck_assert(!is_turned_away(&another));
	/* It is no longer full when one of them is gone. */
	hang_up(&callers[0]);
	RIG_UNTIL(&r, segment->bus.n_transports == CENSUS_OF_PEER + 1);
	callers[0] = call();
	ck_assert(!is_turned_away(&callers[0]));
	ck_assert_uint_eq(doorman()->inside, 0);
	ck_assert_uint_eq(segment->bus.guard->lobby.census.peers.count, 3);
	hang_up(&elsewhere);
	hang_up(&another);
	for (int i = 0; i < CENSUS_OF_PEER; i++)
		hang_up(&callers[i]);
	RIG_UNTIL(&r, segment->bus.n_transports == 0);
	ck_assert_uint_eq(segment->bus.guard->lobby.census.peers.count, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lobby");
	TCase *t = tcase_create("lobby");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, who_says_nothing_leaves_by_lot);
	tcase_add_test(t, who_has_spoken_is_not_drawn);
	tcase_add_test(t, who_has_proved_himself_keeps_his_place);
	tcase_add_test(t, the_queue_does_not_wait_for_the_silent);
	tcase_add_test(t, a_node_has_so_many_transports_at_an_address);
	suite_add_tcase(s, t);
	return unit_main(s);
}
