/*
 * Long payloads to several members: the pipes that refer to the same pages, who takes them at
 * what pace, and what becomes of them when a member, the client or a pipe is gone.
 */
#include "base/log.h"
#include "unit/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { N = 3, PIECE = 65536, LONG = 16 << 20 };

static struct {
	unsigned tees;      /* calls */
	size_t tee_most;    /* bytes a tee duplicates at most; 0: as it is */
	int tee_errno;      /* it fails with this */
	size_t splice_most; /* bytes a splice moves at most; 0: as it is */
} kernel;

ssize_t __real_tee(int in, int out, size_t n, unsigned flags);
ssize_t __wrap_tee(int in, int out, size_t n, unsigned flags);
ssize_t __real_splice(int in, off_t *oi, int out, off_t *oo, size_t n, unsigned flags);
ssize_t __wrap_splice(int in, off_t *oi, int out, off_t *oo, size_t n, unsigned flags);

ssize_t __wrap_tee(int in, int out, size_t n, unsigned flags)
{
	kernel.tees++;
	if (kernel.tee_errno != 0) {
		errno = kernel.tee_errno;
		return -1;
	}
	if (kernel.tee_most != 0 && kernel.tee_most < n)
		n = kernel.tee_most;
	return __real_tee(in, out, n, flags);
}

ssize_t __wrap_splice(int in, off_t *oi, int out, off_t *oo, size_t n, unsigned flags)
{
	if (kernel.splice_most != 0 && kernel.splice_most < n)
		n = kernel.splice_most;
	return __real_splice(in, oi, out, oo, n, flags);
}

static struct rig r;
static struct rig_node *segment[N], *controller;
static int segment_port[N], backend_port[N], listener[N], port;
static int client, backend[N];

static void setup(void)
{
	log_set_level(LOG_WARNING);
	memset(&kernel, 0, sizeof kernel);
	rig_init(&r);
	port = rig_port(&r);
	for (int i = 0; i < N; i++) {
		segment_port[i] = rig_port(&r);
		backend_port[i] = rig_port(&r);
		listener[i] = rig_listen(backend_port[i]);
		segment[i] = rig_start(&r, CONF_SEGMENT,
			"[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
			segment_port[i], backend_port[i]);
	}
}

static void begin(const char *global, const char *service)
{
	controller = rig_start(&r, CONF_CONTROLLER,
		"[Cloudbus]\n%s\n[s]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n"
		"server=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n%s",
		global, port, segment_port[0], segment_port[1], segment_port[2], service);
	RIG_UNTIL(&r, controller->bus.n_transports == N);
	client = rig_connect(port);
	for (int i = 0; i < N; i++)
		backend[i] = rig_accept(&r, listener[i]);
}

static bool is_quiet(void)
{
	for (int i = 0; i < r.n_nodes; i++) {
		if (r.nodes[i].bus.n_sessions > 0 || r.nodes[i].bus.quota.held > 0)
			return false;
	}
	return true;
}

static void teardown(void)
{
	close(client);
	for (int i = 0; i < N; i++)
		close(backend[i]);
	RIG_UNTIL(&r, is_quiet());
	for (int i = 0; i < N; i++)
		close(listener[i]);
	rig_fini(&r);
}

/* --- the client sends, the backends read ------------------------------------------------- */

static unsigned char pattern(uint64_t i)
{
	return (unsigned char)(i * 31 ^ i >> 8 ^ i >> 16);
}

static uint64_t sent, got[N];
static bool ended[N], refused; /* the client was reset */

static void send_some(uint64_t total)
{
	static unsigned char buf[PIECE];
	size_t n = total - sent < PIECE ? (size_t)(total - sent) : PIECE;
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(sent + i);
	ssize_t w = n > 0 ? send(client, buf, n, MSG_NOSIGNAL) : 0;
	sent += w > 0 ? (uint64_t)w : 0;
	refused = refused || (w < 0 && errno == ECONNRESET);
	if (sent == total)
		(void)shutdown(client, SHUT_WR);
}

/* False: the end in order, or a reset, with errno. */
static bool read_some(int i, size_t most)
{
	static unsigned char buf[PIECE];
	ssize_t n = rig_read(backend[i], buf, most);
	if (n < 0 && errno == EAGAIN)
		return true;
	for (ssize_t k = 0; k < n; k++) {
		if (buf[k] != pattern(got[i] + (uint64_t)k))
			ck_abort_msg("byte %ju is wrong", (uintmax_t)got[i] + (uintmax_t)k);
	}
	got[i] += n > 0 ? (uint64_t)n : 0;
	ended[i] = n == 0;
	return n > 0;
}

static void restart(void)
{
	sent = 0;
	memset(got, 0, sizeof got);
	memset(ended, 0, sizeof ended);
	refused = false;
}

/* All that the client sends reaches the backends from the first on, and the end. */
static void reaches_all(int first, uint64_t total)
{
	RIG_UNTIL(&r, ({
		bool over = true;
		send_some(total);
		/* Each at its own pace. */
		for (int i = first; i < N; i++) {
			for (int k = 0; k < 16 >> i; k++)
				ck_assert(ended[i] || read_some(i, PIECE) || ended[i]);
			over = over && ended[i];
		}
		over;
	}));
	for (int i = first; i < N; i++)
		ck_assert_uint_eq(got[i], total);
}

/* Runs until there is something in the controller's pipes that is on its way to nobody yet. */
static void fill(uint64_t total)
{
	uint64_t still = clock_now() + 300 * CLOCK_MS;
	unsigned before = 0;
	RIG_UNTIL(&r, ({
		send_some(total);
		if (kernel.tees > before)
			still = clock_now() + 300 * CLOCK_MS;
		before = kernel.tees;
		clock_now() > still &&kernel.tees > 0;
	}));
	ck_assert_uint_lt(sent, total);
	ck_assert_uint_gt(controller->bus.quota.held, 0);
}

START_TEST(long_payloads_are_held_once)
{
	begin("", "mode=full duplex\n");
	restart();
	reaches_all(0, LONG);
	ck_assert_uint_gt(kernel.tees, 0);
	ck_assert_uint_le(controller->bus.pipes.count, 2 * N);
}
END_TEST

START_TEST(pieces_of_any_size)
{
	/* Frames are shorter than what is in a pipe: windows are, or splice takes less. */
	begin("max_window=70000\n", "mode=full duplex\n");
	restart();
	kernel.splice_most = 100001;
	reaches_all(0, LONG);
	ck_assert_uint_gt(kernel.tees, 0);
}
END_TEST

START_TEST(no_pipes_left)
{
	struct pipe *pipe[PIPES_MAX];
	for (int left = 0; left <= N + 1; left++) {
		if (left == 0)
			begin("", "mode=full duplex\n");
		for (int i = 0; i < PIPES_MAX - left; i++)
			pipe[i] = pipes_get(&controller->bus.pipes);
		restart();
		kernel.tees = 0;
		reaches_all(0, LONG);
		/* One for each member or none; with no other left the transports copy. */
		ck_assert_int_eq(kernel.tees > 0, left >= N);
		for (int i = 0; i < PIPES_MAX - left; i++)
			pipes_put(&controller->bus.pipes, pipe[i]);
		if (left == N + 1)
			break;
		close(client);
		for (int i = 0; i < N; i++)
			close(backend[i]);
		RIG_UNTIL(&r, is_quiet());
		client = rig_connect(port);
		for (int i = 0; i < N; i++)
			backend[i] = rig_accept(&r, listener[i]);
	}
}
END_TEST

START_TEST(a_member_is_lost_with_a_full_pipe)
{
	begin("", "mode=full duplex\n");
	restart();
	fill(10 * LONG);
	/* The first has the pipe into which the socket was read. */
	rig_abort(backend[0]);
	backend[0] = -1;
	uint64_t total = sent + LONG;
	reaches_all(1, total);
}
END_TEST

START_TEST(a_slow_member_is_dropped_with_a_full_pipe)
{
	begin("", "mode=full duplex\nmember_timeout=1s\n");
	restart();
	uint64_t total = 3 * LONG;
	RIG_UNTIL(&r, ({
		send_some(total);
		for (int i = 0; i < N - 1; i++)
			ck_assert(ended[i] || read_some(i, PIECE) || ended[i]);
		ended[0] && ended[1];
	}));
	ck_assert_uint_eq(got[0], total);
	ck_assert_uint_eq(got[1], total);
	ck_assert_uint_gt(kernel.tees, 0);
	RIG_UNTIL(&r, read_some(2, PIECE) == false);
	ck_assert(!ended[2]); /* a reset */
	ck_assert_uint_lt(got[2], total);
}
END_TEST

START_TEST(the_latch_with_full_pipes)
{
	begin("", "");
	restart();
	fill(10 * LONG);
	rig_send(&r, backend[2], "mine", 4);
	rig_expect(&r, client, "mine", 4);
	uint64_t total = sent + LONG;
	for (int i = 0; i < N - 1; i++) {
		RIG_UNTIL(&r, read_some(i, PIECE) == false);
		ck_assert(!ended[i]);
	}
	reaches_all(2, total);
}
END_TEST

START_TEST(the_client_resets_with_full_pipes)
{
	begin("", "mode=full duplex\n");
	restart();
	fill(10 * LONG);
	rig_abort(client);
	client = -1;
	for (int i = 0; i < N; i++) {
		RIG_UNTIL(&r, read_some(i, PIECE) == false);
		ck_assert(!ended[i]);
	}
}
END_TEST

/* Bytes that are with some members only cannot be taken back: nobody gets a hole. */
static void tee_fails(void)
{
	begin("", "mode=full duplex\n");
	restart();
	RIG_UNTIL(&r, ({
		send_some(10 * LONG);
		for (int i = 0; i < N; i++)
			(void)read_some(i, PIECE);
		refused;
	}));
	ck_assert_uint_gt(kernel.tees, 0);
	RIG_UNTIL(&r, is_quiet());
	for (int i = 0; i < N; i++)
		ck_assert(!ended[i]);
}

START_TEST(tee_is_refused)
{
	kernel.tee_errno = ENOMEM;
	tee_fails();
}
END_TEST

START_TEST(tee_falls_short)
{
	kernel.tee_most = 4097;
	tee_fails();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("feed");
	TCase *tc = tcase_create("feed");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, long_payloads_are_held_once);
	tcase_add_test(tc, pieces_of_any_size);
	tcase_add_test(tc, no_pipes_left);
	tcase_add_test(tc, a_member_is_lost_with_a_full_pipe);
	tcase_add_test(tc, a_slow_member_is_dropped_with_a_full_pipe);
	tcase_add_test(tc, the_latch_with_full_pipes);
	tcase_add_test(tc, the_client_resets_with_full_pipes);
	tcase_add_test(tc, tee_is_refused);
	tcase_add_test(tc, tee_falls_short);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
