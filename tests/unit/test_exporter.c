/* Metrics over HTTP, by a real loop: what is answered, and what others cannot do to it. */
#include "daemon/exporter.h"

#include "config.h"

#include "base/err.h"
#include "base/log.h"
#include "daemon/metrics.h"
#include "net/sock.h"
#include "unit/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef HAVE_MICROHTTPD

static struct rig r;
static struct rig_node *node;
static struct exporter *e;
static int port, quiet;
static unsigned renders;

enum {
	LARGE = 32 << 20,       /* more than any socket takes */
	SEGMENT_MAX = 64 << 10, /* bytes, in the kernel */
};

/* --- what is served ------------------------------------------------------------------------ */

static int render_count(struct bus *bus, char **out, size_t *n)
{
	char text[32];
	*n = (size_t)snprintf(text, sizeof text, "text %u\n", ++renders);
	*out = mem_strndup(bus->mem, text, *n);
	return *out != NULL ? 0 : ERR_NOMEM;
}

static int render_large(struct bus *bus, char **out, size_t *n)
{
	*out = mem_alloc(bus->mem, LARGE);
	if (*out == NULL)
		return ERR_NOMEM;
	memset(*out, '#', LARGE);
	*n = LARGE;
	return 0;
}

static int render_nothing(struct bus *bus, char **out, size_t *n)
{
	*n = 0;
	*out = mem_alloc(bus->mem, 1);
	return *out != NULL ? 0 : ERR_NOMEM;
}

static struct conf_endpoint tcp(int at)
{
	struct conf_endpoint c = {.text = (char *)(uintptr_t) "tcp://127.0.0.1", .line = 7};
	ck_assert_int_eq(addr_from_literal(&c.addr, "127.0.0.1", 9, (uint16_t)at), 0);
	return c;
}

static int prepare(struct exporter **next, int at, exporter_render *render, unsigned timeout)
{
	struct conf_endpoint c = tcp(at);
	struct exporter_options opt = {.at = &c, .render = render, .timeout = timeout};
	return exporter_prepare(next, e, &node->bus, &opt);
}

static void serve(exporter_render *render, unsigned timeout)
{
	struct exporter *next;
	ck_assert_int_eq(prepare(&next, port, render, timeout), 0);
	exporter_commit(&e, next);
}

static void setup(void)
{
	/* What anybody can cause from outside is not to be seen: a line would fail the test. */
	log_set_level(LOG_ERROR);
	quiet = -1;
	renders = 0;
	e = NULL;
	rig_init(&r);
	port = rig_port(&r);
	node = rig_start(&r, CONF_SEGMENT,
		"[s]\nbind=unix://@cloudbus-exporter-%d\n"
		"server=unix://@cloudbus-none\n",
		(int)getpid());
}

static void teardown(void)
{
	exporter_free(e);
	log_set_fd(STDERR_FILENO);
	if (quiet >= 0)
		close(quiet);
	rig_fini(&r);
}

/* Errors are what is expected from here on. */
static void hush(void)
{
	quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(quiet, 0);
	log_set_fd(quiet);
}

/* --- a client -------------------------------------------------------------------------------- */

struct answer {
	int status;
	char head[4096]; /* all of it, with the empty line */
	char body[64 << 10];
	size_t n_body;
};

static void ask(int fd, const char *request)
{
	rig_send(&r, fd, request, strlen(request));
}

/* The value of a header of an answer, up to the end of the line; NULL: not there. */
static const char *header(const struct answer *a, const char *name)
{
	static char value[256];
	char start[64];
	snprintf(start, sizeof start, "\r\n%s: ", name);
	const char *at = strcasestr(a->head, start);
	if (at == NULL)
		return NULL;
	snprintf(value, sizeof value, "%.*s", (int)strcspn(at + strlen(start), "\r"),
		at + strlen(start));
	return value;
}

/* An answer's head, byte by byte so that nothing behind it is taken. */
static struct answer get_head(int fd)
{
	struct answer a = {.status = 0};
	size_t n = 0;
	while (n < 4 || memcmp(a.head + n - 4, "\r\n\r\n", 4) != 0) {
		ssize_t got = -1;
		ck_assert_uint_lt(n, sizeof a.head - 1);
		RIG_UNTIL(&r, (got = rig_read(fd, a.head + n, 1)) >= 0 || errno != EAGAIN);
		ck_assert_msg(
			got > 0, "%s after \"%s\"", got == 0 ? "end" : strerror(errno), a.head);
		n++;
	}
	ck_assert_int_eq(sscanf(a.head, "HTTP/1.%*d %d ", &a.status), 1);
	return a;
}

static struct answer get(int fd)
{
	struct answer a = get_head(fd);
	const char *length = header(&a, "Content-Length");
	ck_assert_ptr_nonnull(length);
	a.n_body = (size_t)atoi(length);
	ck_assert_uint_lt(a.n_body, sizeof a.body);
	for (size_t n = 0; n < a.n_body;) {
		ssize_t got = -1;
		RIG_UNTIL(
			&r, (got = rig_read(fd, a.body + n, a.n_body - n)) >= 0 || errno != EAGAIN);
		ck_assert_msg(got > 0, "%s in a body", got == 0 ? "end" : strerror(errno));
		n += (size_t)got;
	}
	return a;
}

#define GET "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"

/* A client comes, and is served. */
static void check_serves(void)
{
	int fd = rig_connect(port);
	ask(fd, GET);
	ck_assert_int_eq(get(fd).status, 200);
	close(fd);
}

/* Turns of the loop in 300 ms, but for those that time alone ends. */
static unsigned busy_turns(void)
{
	unsigned n = 0;
	uint64_t end = clock_now() + 300 * CLOCK_MS;
	for (uint64_t now; (now = clock_now()) < end; n++)
		ck_assert_int_eq(loop_turn(r.loop, end), 0);
	return n;
}

/* --- requests -------------------------------------------------------------------------------- */

START_TEST(metrics_are_text_for_prometheus)
{
	serve(metrics_render, 0);
	int fd = rig_connect(port);
	ask(fd, GET);
	struct answer a = get(fd);
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(header(&a, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
	ck_assert_ptr_nonnull(strstr(a.body, "\n# TYPE cloudbus_build_info gauge\n"));
	ck_assert_ptr_nonnull(strstr(a.body,
		"\ncloudbus_build_info{version=\"" PACKAGE_VERSION "\",role=\"segment\"} 1\n"));
	ck_assert_int_eq(a.body[a.n_body - 1], '\n');
	close(fd);
}
END_TEST

START_TEST(a_request_may_come_in_pieces)
{
	static const char request[] = GET;
	serve(render_count, 0);
	for (size_t i = 1; i < sizeof request - 1; i++) { /* at every split */
		int fd = rig_connect(port);
		rig_send(&r, fd, request, i);
		rig_turn(&r);
		rig_send(&r, fd, request + i, sizeof request - 1 - i);
		ck_assert_int_eq(get(fd).status, 200);
		close(fd);
	}
	int fd = rig_connect(port); /* byte by byte */
	for (size_t i = 0; i < sizeof request - 1; i++) {
		rig_send(&r, fd, request + i, 1);
		rig_turn(&r);
	}
	ck_assert_int_eq(get(fd).status, 200);
	close(fd);
}
END_TEST

START_TEST(a_connection_takes_many_requests)
{
	char want[32];
	serve(render_count, 0);
	int fd = rig_connect(port);
	for (unsigned i = 1; i <= 3; i++) { /* one after the other */
		ask(fd, GET);
		snprintf(want, sizeof want, "text %u\n", i);
		ck_assert_str_eq(get(fd).body, want);
	}
	ask(fd, GET GET GET); /* all at once */
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(get(fd).status, 200);
	ask(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	ck_assert_int_eq(get(fd).status, 200);
	rig_expect_end(&r, fd);
	close(fd);
	fd = rig_connect(port);
	ask(fd, "GET /metrics HTTP/1.0\r\n\r\n");
	ck_assert_int_eq(get(fd).status, 200);
	rig_expect_end(&r, fd);
	close(fd);
}
END_TEST

START_TEST(head_is_get_without_a_body)
{
	serve(render_count, 0);
	int fd = rig_connect(port);
	ask(fd, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n" GET);
	struct answer a = get_head(fd);
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(header(&a, "Content-Length"), "7");
	ck_assert_str_eq(get(fd).body, "text 2\n");
	close(fd);
}
END_TEST

START_TEST(no_text_is_an_answer_too)
{
	serve(render_nothing, 0);
	int fd = rig_connect(port);
	ask(fd, GET GET);
	for (int i = 0; i < 2; i++) {
		struct answer a = get(fd);
		ck_assert_int_eq(a.status, 200);
		ck_assert_uint_eq(a.n_body, 0);
	}
	close(fd);
}
END_TEST

static const struct {
	const char *line;
	int status;
} others[] = {
	{"GET / HTTP/1.1", 404},
	{"GET /metrics/ HTTP/1.1", 404},
	{"GET /METRICS HTTP/1.1", 404},
	{"HEAD /x HTTP/1.1", 404},
	{"POST / HTTP/1.1", 404},
	{"GET //metrics HTTP/1.1", 404},
	{"GET /metrics?name=x HTTP/1.1", 200},
	{"POST /metrics HTTP/1.1", 405},
	{"PUT /metrics HTTP/1.1", 405},
	{"DELETE /metrics HTTP/1.1", 405},
	{"OPTIONS /metrics HTTP/1.1", 405},
	{"TRACE /metrics HTTP/1.1", 405},
	{"get /metrics HTTP/1.1", 405},
	{"NONSENSE /metrics HTTP/1.1", 405},
};

START_TEST(other_paths_and_methods)
{
	char request[128];
	serve(render_count, 0);
	snprintf(request, sizeof request, "%s\r\nHost: x\r\n\r\n", others[_i].line);
	int fd = rig_connect(port);
	ask(fd, request);
	struct answer a = others[_i].line[0] == 'H' ? get_head(fd) : get(fd);
	ck_assert_int_eq(a.status, others[_i].status);
	if (a.status == 404 && a.n_body > 0)
		ck_assert_str_eq(a.body, "The metrics are at /metrics.\n");
	if (a.status == 405)
		ck_assert_str_eq(header(&a, "Allow"), "GET, HEAD");
	else
		ck_assert_ptr_null(header(&a, "Allow"));
	close(fd);
	check_serves();
}
END_TEST

static const struct {
	const char *head;
	int status;
} with_bodies[] = {
	{"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n", 405},
	{"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 405},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n", 200},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 200},
	{"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", 404},
};

START_TEST(a_body_is_not_read)
{
	char c;
	ssize_t got = -1;
	serve(render_count, 0);
	int fd = rig_connect(port);
	ask(fd, with_bodies[_i].head);
	ck_assert_int_eq(get(fd).status, with_bodies[_i].status);
	/* The end, or a reset if bytes of the body have arrived. */
	(void)!write(fd, "x", 1);
	RIG_UNTIL(&r, (got = rig_read(fd, &c, 1)) >= 0 || errno != EAGAIN);
	ck_assert_int_le(got, 0);
	close(fd);
	check_serves();
}
END_TEST

/* A head of so many bytes, in a header's value or in the path. */
static char *long_request(size_t n, bool path)
{
	char *text = malloc(n + 64);
	ck_assert_ptr_nonnull(text);
	size_t len =
		(size_t)sprintf(text, path ? "GET /" : "GET /metrics HTTP/1.1\r\nHost: x\r\nX: ");
	memset(text + len, 'x', n);
	strcpy(text + len + n, path ? " HTTP/1.1\r\n\r\n" : "\r\n\r\n");
	return text;
}

START_TEST(a_long_request_is_refused)
{
	serve(render_count, 0);
	for (int path = 0; path <= 1; path++) {
		char *text = long_request(EXPORTER_MEMORY, path != 0);
		int fd = rig_connect(port);
		ask(fd, text);
		ck_assert_int_eq(get(fd).status, path != 0 ? 414 : 431);
		close(fd);
		free(text);
	}
	/* Half of it goes for certain. */
	char *text = long_request(EXPORTER_MEMORY / 2, false);
	int fd = rig_connect(port);
	ask(fd, text);
	ck_assert_int_eq(get(fd).status, 200);
	close(fd);
	free(text);
}
END_TEST

static const char *const nonsense[] = {
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
	"GET /metrics HTTP/9.9\r\n\r\n",
	"GET /metrics\r\n\r\n",
	"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n",
	"GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
	"\r\n\r\n\r\n\r\n",
	"GET",
};

/* Whatever is said to it, it ends or is answered, and others are. */
START_TEST(nonsense_harms_nobody)
{
	char buf[4096];
	serve(render_count, 1); /* it may take the end for silence */
	int fd = rig_connect(port);
	ask(fd, nonsense[_i]);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	RIG_UNTIL(&r, rig_read(fd, buf, sizeof buf) == 0 || errno == ECONNRESET);
	close(fd);
	check_serves();
}
END_TEST

/* --- those who take what they can ------------------------------------------------------------- */

START_TEST(places_are_counted)
{
	int fd[EXPORTER_CONNECTIONS];
	char c;
	serve(render_count, 0);
	for (int i = 0; i < EXPORTER_CONNECTIONS; i++) {
		fd[i] = rig_connect(port);
		ask(fd[i], GET);
		ck_assert_int_eq(get(fd[i]).status, 200);
	}
	for (int i = 0; i < 3; i++) { /* one more, at any time */
		ssize_t got = -1;
		int more = rig_connect(port);
		RIG_UNTIL(&r, (got = rig_read(more, &c, 1)) >= 0 || errno != EAGAIN);
		ck_assert_int_le(got, 0);
		close(more);
	}
	for (int i = 0; i < EXPORTER_CONNECTIONS; i++) {
		ask(fd[i], GET);
		ck_assert_int_eq(get(fd[i]).status, 200);
	}
	close(fd[3]);
	RIG_UNTIL(&r, busy_turns() <= 1);
	check_serves();
	for (int i = 0; i < EXPORTER_CONNECTIONS; i++) {
		if (i != 3)
			close(fd[i]);
	}
}
END_TEST

/* The other end of a connection, which is in this process too. */
static int other_end(int fd)
{
	struct addr mine, peer;
	ck_assert_int_eq(sock_local_name(fd, &mine), 0);
	for (int i = 0; i < 1024; i++) {
		if (i != fd && sock_peer_name(i, &peer) == 0 && addr_equal(&mine, &peer))
			return i;
	}
	ck_abort_msg("not there");
}

START_TEST(who_does_not_read_costs_his_place_and_that_for_a_while)
{
	serve(render_large, 1);
	rig_turn(&r);
	size_t at_rest = r.mem.live;
	int stuck = rig_connect(port);
	ask(stuck, GET);
	struct answer a = get_head(stuck);
	ck_assert_int_eq(atoi(header(&a, "Content-Length")), LARGE);
	RIG_UNTIL(&r, busy_turns() <= 2);
	int64_t queued = sock_queued_out(other_end(stuck));
	ck_assert_int_gt(queued, 0);
	/* Of a socket's buffer the kernel makes twice as much, and begins a segment while there is
	 * any room. */
	ck_assert_int_le(queued, 2 * EXPORTER_SEND + SEGMENT_MAX);
	/* Others are answered meanwhile, and whoever reads gets all of it. */
	int fd = rig_connect(port);
	ask(fd, GET);
	a = get_head(fd);
	char buf[65536];
	size_t n = 0;
	for (ssize_t got = -1; n < LARGE; n += (size_t)got) {
		RIG_UNTIL(&r, (got = rig_read(fd, buf, sizeof buf)) > 0);
		ck_assert_int_eq(buf[0], '#');
	}
	ck_assert_uint_eq(n, LARGE);
	close(fd);
	/* When his time is over there is nothing left of him, in the kernel neither. */
	RIG_UNTIL(&r, r.mem.live == at_rest);
	RIG_UNTIL(&r, rig_read(stuck, buf, sizeof buf) <= 0 && errno != EAGAIN);
	ck_assert_int_eq(errno, ECONNRESET);
	close(stuck);
}
END_TEST

START_TEST(who_says_nothing_is_closed)
{
	static const char *const said[] = {"", "G", "GET /metrics HTTP/1.1\r\nHost: x\r\n", GET};
	serve(render_count, 1);
	int fd = rig_connect(port);
	ask(fd, said[_i]);
	if (said[_i] == said[3])
		ck_assert_int_eq(get(fd).status, 200);
	else
		rig_turn(&r);
	ck_assert_uint_le(busy_turns(), 3);
	char c;
	ssize_t got = -1;
	RIG_UNTIL(&r, (got = rig_read(fd, &c, 1)) >= 0 || errno != EAGAIN);
	ck_assert_int_le(got, 0);
	close(fd);
	check_serves();
}
END_TEST

START_TEST(nothing_happens_where_nobody_asks)
{
	serve(render_count, 0);
	ck_assert_uint_le(busy_turns(), 1);
	check_serves();
	RIG_UNTIL(&r, busy_turns() <= 1);
}
END_TEST

START_TEST(texts_are_made_so_many_times_a_second)
{
	enum { ASKED = 5 * EXPORTER_RENDERS };
	serve(render_count, 0);
	uint64_t begin = clock_now();
	int fd = rig_connect(port);
	for (int i = 0; i < ASKED; i++) {
		ask(fd, GET);
		ck_assert_int_eq(get(fd).status, 200);
	}
	uint64_t seconds = (clock_now() - begin) / CLOCK_SEC + 2; /* that it has had a part of */
	ck_assert_uint_ge(renders, EXPORTER_RENDERS);
	ck_assert_uint_le(renders, seconds * EXPORTER_RENDERS);
	if (seconds == 2)
		ck_assert_uint_lt(renders, ASKED);
	/* And a second later there is a new one. */
	unsigned before = renders;
	uint64_t end = clock_now() + CLOCK_SEC;
	while (clock_now() < end)
		ck_assert_int_eq(loop_turn(r.loop, end), 0);
	ask(fd, GET);
	ck_assert_int_eq(get(fd).status, 200);
	ck_assert_uint_gt(renders, before);
	close(fd);
}
END_TEST

/* --- what runs out -------------------------------------------------------------------------- */

START_TEST(no_memory_for_a_text_is_said)
{
	serve(render_count, 0);
	int fd = rig_connect(port);
	for (size_t i = 1; i <= 2; i++) { /* the text; what holds it */
		r.mem.fail_at = r.mem.calls + i;
		ask(fd, GET);
		ck_assert_int_eq(get(fd).status, 503);
		ck_assert(r.mem.failed);
		ask(fd, GET);
		ck_assert_int_eq(get(fd).status, 200);
	}
	close(fd);
}
END_TEST

START_TEST(no_memory_to_begin_leaves_nothing)
{
	hush();
	bool done = false;
	for (size_t i = 1; !done; i++) {
		struct exporter *next;
		r.mem.failed = 0;
		r.mem.fail_at = r.mem.calls + i;
		int rc = prepare(&next, port, render_count, 0);
		done = !r.mem.failed;
		r.mem.fail_at = 0;
		ck_assert_int_eq(rc, done ? 0 : ERR_NOMEM);
		exporter_commit(&e, next);
		rig_turn(&r);
	}
	check_serves();
}
END_TEST

START_TEST(no_descriptor_to_begin_leaves_nothing)
{
	struct rlimit old, low;
	struct exporter *next;
	hush();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	int fds = rig_count_fds();
	for (int spare = 0; spare <= 1; spare++) {
		int free_fd = dup(0); /* the lowest that is free */
		ck_assert_int_ge(free_fd, 0);
		close(free_fd);
		low = (struct rlimit){
			.rlim_cur = (rlim_t)(free_fd + spare), .rlim_max = old.rlim_max};
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
		int rc = prepare(&next, port, render_count, 0);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
		ck_assert_int_eq(rc, ERR_SYS);
		ck_assert_ptr_null(next);
		rig_turn(&r);
		ck_assert_int_eq(rig_count_fds(), fds);
	}
}
END_TEST

/* --- from one address to the next ------------------------------------------------------------- */

static bool refused(int at)
{
	struct conf_endpoint c = tcp(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = connect(fd, &c.addr.sa, c.addr.len) != 0 && errno == ECONNREFUSED;
	close(fd);
	return yes;
}

START_TEST(an_address_that_stays_keeps_its_connections)
{
	struct exporter *next;
	serve(render_count, 0);
	int fd = rig_connect(port);
	ask(fd, GET);
	ck_assert_int_eq(get(fd).status, 200);
	ck_assert_int_eq(prepare(&next, port, render_count, 0), 0);
	ck_assert_ptr_eq(next, e);
	exporter_abandon(e, next);
	exporter_commit(&e, next);
	ask(fd, GET);
	ck_assert_int_eq(get(fd).status, 200);
	close(fd);
	check_serves();
}
END_TEST

START_TEST(another_address_counts_when_it_is_put_in_force)
{
	struct exporter *next;
	int other = rig_port(&r);
	serve(render_count, 0);
	ck_assert_int_eq(prepare(&next, other, render_count, 0), 0);
	ck_assert_ptr_ne(next, e);
	ck_assert(!refused(other));
	exporter_abandon(e, next);
	rig_turn(&r);
	ck_assert(refused(other));
	check_serves();
	int fd = rig_connect(port);
	ask(fd, GET);
	ck_assert_int_eq(get(fd).status, 200);
	ck_assert_int_eq(prepare(&next, other, render_count, 0), 0);
	exporter_commit(&e, next);
	rig_turn(&r);
	ck_assert(refused(port));
	rig_expect_end(&r, fd); /* it was at rest */
	close(fd);
	port = other;
	check_serves();
	struct conf_endpoint none = {.text = NULL};
	struct exporter_options opt = {.at = &none, .render = render_count};
	ck_assert_int_eq(exporter_prepare(&next, e, &node->bus, &opt), 0);
	ck_assert_ptr_null(next);
	exporter_abandon(e, next);
	check_serves();
	exporter_commit(&e, next);
	rig_turn(&r);
	ck_assert(refused(port));
}
END_TEST

START_TEST(an_address_that_is_taken_is_an_error)
{
	struct exporter *next;
	int taken = rig_port(&r), listener = rig_listen(taken);
	serve(render_count, 0);
	hush();
	ck_assert_int_eq(prepare(&next, taken, render_count, 0), ERR_SYS);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert_ptr_null(next);
	check_serves();
	close(listener);
}
END_TEST

START_TEST(an_answer_that_is_cut_off_is_a_reset)
{
	char buf[65536];
	serve(render_large, 0);
	int fd = rig_connect(port);
	ask(fd, GET);
	(void)get_head(fd);
	exporter_commit(&e, NULL);
	RIG_UNTIL(&r, rig_read(fd, buf, sizeof buf) <= 0 && errno != EAGAIN);
	ck_assert_int_eq(errno, ECONNRESET);
	close(fd);
}
END_TEST

START_TEST(a_unix_socket_serves_too)
{
	char dir[] = "/tmp/cloudbus-exporter.XXXXXX", path[64];
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct conf_endpoint c = {.text = path};
	struct exporter *next;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/s", dir);
	snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
	ck_assert_int_eq(addr_from_unix(&c.addr, path, strlen(path), false), 0);
	struct exporter_options opt = {.at = &c, .render = render_count};
	ck_assert_int_eq(exporter_prepare(&next, NULL, &node->bus, &opt), 0);
	exporter_commit(&e, next);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	ask(fd, GET GET);
	ck_assert_str_eq(get(fd).body, "text 1\n");
	ck_assert_str_eq(get(fd).body, "text 2\n");
	close(fd);
	exporter_commit(&e, NULL);
	ck_assert_int_eq(rmdir(dir), 0); /* nothing is left in it */
}
END_TEST

/* What strangers cause is for level debug only. */
START_TEST(strangers_do_not_fill_the_log)
{
	char buf[512];
	int pipe_fd[2];
	ck_assert_int_eq(pipe2(pipe_fd, O_NONBLOCK | O_CLOEXEC), 0);
	serve(render_count, 0);
	log_set_level(LOG_INFO);
	log_set_fd(pipe_fd[1]);
	char *text = long_request(EXPORTER_MEMORY, false);
	for (int i = 0; i < 3; i++) {
		int fd = rig_connect(port);
		ask(fd, text);
		ck_assert_int_eq(get(fd).status, 431);
		close(fd);
	}
	ck_assert_int_eq(rig_read(pipe_fd[0], buf, sizeof buf), -1);
	log_set_level(LOG_DEBUG);
	int fd = rig_connect(port);
	ask(fd, text);
	ck_assert_int_eq(get(fd).status, 431);
	close(fd);
	ssize_t n = rig_read(pipe_fd[0], buf, sizeof buf - 1);
	ck_assert_int_gt(n, 0);
	buf[n] = '\0';
	ck_assert_ptr_nonnull(strstr(buf, " debug: metrics: "));
	free(text);
	log_set_level(LOG_ERROR);
	log_set_fd(STDERR_FILENO);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

int main(void)
{
	Suite *s = suite_create("exporter");
	TCase *t = tcase_create("http");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, metrics_are_text_for_prometheus);
	tcase_add_test(t, a_request_may_come_in_pieces);
	tcase_add_test(t, a_connection_takes_many_requests);
	tcase_add_test(t, head_is_get_without_a_body);
	tcase_add_test(t, no_text_is_an_answer_too);
	tcase_add_loop_test(t, other_paths_and_methods, 0, COUNT(others));
	tcase_add_loop_test(t, a_body_is_not_read, 0, COUNT(with_bodies));
	tcase_add_test(t, a_long_request_is_refused);
	tcase_add_loop_test(t, nonsense_harms_nobody, 0, COUNT(nonsense));
	tcase_add_test(t, places_are_counted);
	tcase_add_test(t, who_does_not_read_costs_his_place_and_that_for_a_while);
	tcase_add_loop_test(t, who_says_nothing_is_closed, 0, 4);
	tcase_add_test(t, nothing_happens_where_nobody_asks);
	tcase_add_test(t, texts_are_made_so_many_times_a_second);
	tcase_add_test(t, no_memory_for_a_text_is_said);
	tcase_add_test(t, no_memory_to_begin_leaves_nothing);
	tcase_add_test(t, no_descriptor_to_begin_leaves_nothing);
	tcase_add_test(t, an_address_that_stays_keeps_its_connections);
	tcase_add_test(t, another_address_counts_when_it_is_put_in_force);
	tcase_add_test(t, an_address_that_is_taken_is_an_error);
	tcase_add_test(t, an_answer_that_is_cut_off_is_a_reset);
	tcase_add_test(t, a_unix_socket_serves_too);
	tcase_add_test(t, strangers_do_not_fill_the_log);
	suite_add_tcase(s, t);
	return unit_main(s);
}

#else

int main(void)
{
	puts("built without libmicrohttpd");
	return 77; /* automake: skipped */
}

#endif
