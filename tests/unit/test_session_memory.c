/* Case 39: every allocation fails in turn, in start-up and in a session's life. */
#include "base/log.h"
#include "bus/ingress.h"
#include "bus/node_impl.h"
#include "unit/rig.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig r;
static int segment_port[2], backend_port[2], port, listener[2];

static void setup(void)
{
	log_set_level(LOG_ERROR);
	rig_init(&r);
	for (int i = 0; i < 2; i++) {
		segment_port[i] = rig_port(&r);
		backend_port[i] = rig_port(&r);
		listener[i] = rig_listen(backend_port[i]);
	}
	port = rig_port(&r);
}

static void teardown(void)
{
	close(listener[0]);
	close(listener[1]);
	rig_fini(&r);
}

/* The name makes start-up and every session go through the resolver as well. */
static struct rig_node *try_segment(int i)
{
	return rig_try(&r, CONF_SEGMENT,
		"[one]\nbind=tcp://127.0.0.1:%d\nserver=tcp://localhost:%d\n"
		"[two]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n",
		segment_port[i], backend_port[i], segment_port[i], backend_port[i]);
}

static struct rig_node *try_controller(void)
{
	return rig_try(&r, CONF_CONTROLLER,
		"[one]\nbind=tcp://127.0.0.1:%d\n"
		"server=tcp://127.0.0.1:%d\nserver=tcp://localhost:%d\n",
		port, segment_port[0], segment_port[1]);
}

/* Starts, runs a little and stops with the nth allocation failing.  Whether one did. */
static bool start_fails_cleanly(struct rig_node *(*start)(void), size_t nth, int sticky)
{
	setup();
	r.mem.fail_at = r.mem.calls + nth;
	r.mem.sticky = sticky;
	struct rig_node *n = start();
	ck_assert((n->starts == 0) == (n->node != NULL));
	for (int i = 0; i < 3; i++)
		(void)loop_turn(r.loop, 0);
	bool failed = r.mem.failed;
	teardown(); /* counts what is live */
	return failed;
}

static struct rig_node *try_first_segment(void)
{
	return try_segment(0);
}

START_TEST(case39_start)
{
	for (int sticky = 0; sticky < 2; sticky++) {
		size_t n = 1, m = 1;
		while (start_fails_cleanly(try_first_segment, n, sticky))
			n++;
		while (start_fails_cleanly(try_controller, m, sticky))
			m++;
		ck_assert_uint_gt(n, 8);
		ck_assert_uint_gt(m, 8);
	}
}
END_TEST

/* --- a session's life ---------------------------------------------------------------------- */

static bool is_quiet(void)
{
	for (int i = 0; i < r.n_nodes; i++) {
		if (r.nodes[i].bus.n_sessions > 0)
			return false;
	}
	return true;
}

/*
 * What a client sees: all it sent comes back, and an end; or a reset after a part of it.
 * Nothing else, and always something.  Whether it was all.
 */
static bool try_session(void)
{
	enum { LONG = 100000 };
	static unsigned char out[LONG], in[LONG + 1];
	for (size_t i = 0; i < LONG; i++)
		out[i] = (unsigned char)(i * 7 ^ i >> 8);
	int c = rig_connect(port), b[4], n_b = 0;
	size_t sent = 0, echoed = 0, got = 0;
	bool ended = false, reset = false, shut = false;
	int winner = -1;
	RIG_UNTIL(&r, ({
		int fd;
		for (int i = 0; i < 2; i++) {
			fd = accept4(listener[i], NULL, NULL, SOCK_NONBLOCK);
			if (fd >= 0)
				b[n_b++] = fd;
		}
		ssize_t k = shut ? 0 : send(c, out + sent, LONG - sent, MSG_NOSIGNAL);
		sent += k > 0 ? (size_t)k : 0;
		/* The one error that a reset leaves may be taken by the write. */
		reset = reset || (k < 0 && errno != EAGAIN);
		if (sent == LONG && !shut)
			shut = shutdown(c, SHUT_WR) == 0;
		for (int i = 0; i < n_b; i++) {
			/* The first of them that has a byte echoes; the other is silent. */
			char buf[5000];
			ssize_t w =
				winner < 0 || winner == i ? rig_read(b[i], buf, sizeof buf) : -1;
			if (w > 0) {
				winner = i;
				ck_assert_mem_eq(buf, out + echoed, (size_t)w);
				echoed += (size_t)w;
				(void)!send(b[i], buf, (size_t)w, MSG_NOSIGNAL);
			} else if (w == 0 && winner == i) {
				(void)shutdown(b[i], SHUT_WR);
			}
		}
		k = rig_read(c, in + got, sizeof in - got);
		if (k > 0) {
			ck_assert_uint_le(got + (size_t)k, LONG);
			ck_assert_mem_eq(in + got, out + got, (size_t)k);
			got += (size_t)k;
		}
		ended = k == 0 && !reset;
		reset = reset || (k < 0 && errno != EAGAIN);
		ended || reset;
	}));
	if (ended)
		ck_assert_uint_eq(got, LONG);
	close(c);
	while (n_b > 0)
		close(b[--n_b]);
	return ended;
}

static void drop_backlog(void)
{
	for (int i = 0, fd; i < 2; i++) {
		while ((fd = accept4(listener[i], NULL, NULL, SOCK_NONBLOCK)) >= 0)
			close(fd);
	}
}

static void start_all(void)
{
	setup();
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(try_segment(i)->starts, 0);
	struct rig_node *c = try_controller();
	ck_assert_int_eq(c->starts, 0);
	RIG_UNTIL(&r, c->bus.n_transports >= 2 && r.nodes[0].bus.n_transports > 0 &&
			      r.nodes[1].bus.n_transports > 0);
	/* What is allocated once is there before the counting begins. */
	RIG_UNTIL(&r, try_session());
	RIG_UNTIL(&r, is_quiet());
}

START_TEST(case39_session)
{
	for (int sticky = 0; sticky < 2; sticky++) {
		start_all();
		size_t n = 1, refused = 0;
		do {
			r.mem.failed = 0;
			r.mem.sticky = sticky;
			r.mem.fail_at = r.mem.calls + n;
			refused += !try_session();
			r.mem.fail_at = 0;
			RIG_UNTIL(&r, is_quiet());
			drop_backlog();
			/* Whatever failed, the next one is served. */
			uint64_t end = clock_now() + RIG_PATIENCE;
			while (!try_session())
				ck_assert_uint_lt(clock_now(), end);
			RIG_UNTIL(&r, is_quiet());
			drop_backlog();
			n++;
		} while (r.mem.failed);
		ck_assert_uint_gt(n, 10);
		ck_assert_uint_gt(refused, 3);
		teardown();
	}
}
END_TEST

/* --- a session that waits for a link ------------------------------------------------------- */

static uint64_t refused(const struct rig_node *c)
{
	const struct list *node = list_first(&c->node->ingresses);
	ck_assert_ptr_nonnull(node);
	const struct ingress *in = container_of(node, struct ingress, node);
	return in->stats.refused[STATS_NO_RESOURCES];
}

/*
 * A client comes while no segment is there, and the nth allocation from then on fails: it waits,
 * or is reset and counted as refused.  Whether it waits.
 */
static bool waits(struct rig_node *c, size_t nth, int sticky, int *client)
{
	uint64_t before = refused(c);
	char byte;
	bool reset = false;
	r.mem.failed = 0;
	r.mem.sticky = sticky;
	r.mem.fail_at = r.mem.calls + nth;
	*client = rig_connect(port);
	RIG_UNTIL(&r, ({
		reset = rig_read(*client, &byte, 1) < 0 && errno == ECONNRESET;
		reset || c->bus.n_sessions == 1;
	}));
	r.mem.fail_at = 0;
	ck_assert_uint_eq(refused(c) - before, reset);
	return !reset;
}

START_TEST(case39_waiting)
{
	for (int sticky = 0; sticky < 2; sticky++) {
		setup();
		struct rig_node *c = rig_start(&r, CONF_CONTROLLER,
			"[one]\nbind=tcp://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n", port,
			segment_port[0]);
		int client, first;
		ck_assert(waits(c, SIZE_MAX / 2, 0, &first)); /* what is allocated once is there */
		rig_abort(first);
		RIG_UNTIL(&r, c->bus.n_sessions == 0);
		size_t n = 1, n_refused = 0;
		for (; !waits(c, n, sticky, &client) || r.mem.failed; n++) {
			n_refused += c->bus.n_sessions == 0;
			rig_abort(client);
			RIG_UNTIL(&r, c->bus.n_sessions == 0);
		}
		/* The session itself, and what it waits by. */
		ck_assert_uint_ge(n_refused, 2);
		/* The one that waits is served by who comes. */
		ck_assert_int_eq(try_segment(0)->starts, 0);
		int backend = rig_accept(&r, listener[0]);
		rig_send(&r, client, "late", 4);
		rig_expect(&r, backend, "late", 4);
		close(client);
		close(backend);
		RIG_UNTIL(&r, is_quiet());
		teardown();
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("session memory");
	TCase *tc = tcase_create("memory");
	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, case39_start);
	tcase_add_test(tc, case39_session);
	tcase_add_test(tc, case39_waiting);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
