/* The text for Prometheus: its form, to the byte, and what stands in it. */
#include "base/err.h"
#include "base/log.h"
#include "bus/expiry.h"
#include "bus/guard.h"
#include "bus/survey.h"
#include "daemon/metrics.h"
#include "daemon/metrics_text.h"
#include "unit/cluster.h"
#include "unit/fast.h"
#include "unit/rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- a reader that takes nothing but the format ----------------------------------------------- */

enum { FAMILIES_MAX = 128 };

static struct {
	char *text;
	size_t n, lines;
	const char *families[FAMILIES_MAX]; /* at their names */
	size_t n_families;
	bool counter; /* the present one is */
} in;

static size_t name_length(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz_");
	ck_assert_msg(n > 0, "no name: %.40s", s);
	return n;
}

static const char *expect(const char *p, const char *what)
{
	ck_assert_msg(strncmp(p, what, strlen(what)) == 0, "expected \"%s\": %.60s", what, p);
	return p + strlen(what);
}

/* HELP and TYPE, in this order, of a name that has not come. */
static const char *read_head(const char *p)
{
	p = expect(p, "# HELP ");
	const char *name = p;
	size_t n = name_length(p);
	for (size_t i = 0; i < in.n_families; i++)
		ck_assert(strncmp(in.families[i], name, n) != 0 || in.families[i][n] != ' ');
	ck_assert_uint_lt(in.n_families, FAMILIES_MAX);
	in.families[in.n_families++] = name;
	p = expect(p + n, " ");
	ck_assert_int_ne(*p, '\n');
	p = strchr(p, '\n');
	p = expect(p, "\n# TYPE ");
	ck_assert_int_eq(strncmp(p, name, n), 0);
	p = expect(p + n, " ");
	in.counter = strncmp(p, "counter\n", 8) == 0;
	bool total = n > 6 && strncmp(name + n - 6, "_total", 6) == 0;
	ck_assert_msg(in.counter == total, "%.60s", name);
	return expect(p, in.counter ? "counter\n" : "gauge\n");
}

static const char *read_labels(const char *p)
{
	for (const char *before = "{"; *p != '}'; before = ",") {
		p = expect(p, before);
		p = expect(p + name_length(p), "=\"");
		for (; *p != '"'; p++) {
			ck_assert_msg((unsigned char)*p >= 0x20, "a control character");
			if (*p == '\\')
				ck_assert_ptr_nonnull(strchr("\\\"n", *++p));
		}
		p++;
	}
	return p + 1;
}

/* A line of the present family; its place is before that of every other line of it. */
static const char *read_line(const char *p)
{
	const char *name = in.families[in.n_families - 1];
	size_t n = name_length(p);
	ck_assert_msg(strncmp(p, name, n) == 0 && name[n] == ' ', "not of its family: %.60s", p);
	p += n;
	if (*p == '{')
		p = read_labels(p);
	p = expect(p, " ");
	size_t digits = strspn(p, "0123456789");
	ck_assert_uint_gt(digits, 0);
	p += digits;
	if (*p == '.') {
		ck_assert_uint_eq(strspn(p + 1, "0123456789"), 6);
		p += 7;
	}
	in.lines++;
	return expect(p, "\n");
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* No two lines say something of the same. */
static void check_twins(void)
{
	char *copy = strdup(in.text), **line = calloc(in.lines + 1, sizeof *line), *rest = copy;
	size_t n = 0;
	for (char *at; (at = strsep(&rest, "\n")) != NULL;) {
		char *value = strrchr(at, ' ');
		if (*at == '#' || value == NULL)
			continue;
		*value = '\0';
		line[n++] = at;
	}
	ck_assert_uint_eq(n, in.lines);
	qsort(line, n, sizeof *line, by_text);
	for (size_t i = 1; i < n; i++)
		ck_assert_msg(strcmp(line[i - 1], line[i]) != 0, "twice: %s", line[i]);
	free(line);
	free(copy);
}

static void forget(void)
{
	free(in.text);
	memset(&in, 0, sizeof in);
}

/* Takes over a text that `mem` has made. */
static void take_text(struct mem *mem, char *text, size_t n)
{
	forget();
	in.text = strndup(text, n);
	in.n = n;
	mem_free(mem, text);
	ck_assert_uint_eq(strlen(in.text), n);
	for (const char *p = in.text; *p != '\0';)
		p = *p == '#' ? read_head(p) : read_line(p);
	check_twins();
}

static bool has(const char *line)
{
	size_t n = strlen(line);
	for (const char *p = in.text; (p = strstr(p, line)) != NULL; p += n) {
		if ((p == in.text || p[-1] == '\n') && p[n] == '\n')
			return true;
	}
	return false;
}

#define HAS(...)                                                                                   \
	do {                                                                                       \
		char line[512];                                                                    \
		(void)snprintf(line, sizeof line, __VA_ARGS__);                                    \
		ck_assert_msg(has(line), "missing: %s", line);                                     \
	} while (0)

static bool has_family(const char *name)
{
	char head[128];
	(void)snprintf(head, sizeof head, "# TYPE %s ", name);
	return strstr(in.text, head) != NULL;
}

/* --- the writer --------------------------------------------------------------------------------
 */

static void begin_text(struct metrics_text *t, struct unit_mem *m, size_t limit)
{
	unit_mem_init(m);
	metrics_text_init(t, &m->mem, limit);
}

static void end_text(struct metrics_text *t, struct unit_mem *m)
{
	char *text;
	size_t n;
	ck_assert_int_eq(metrics_text_take(t, &text, &n), 0);
	take_text(&m->mem, text, n);
	ck_assert_uint_eq(m->live, 0);
}

START_TEST(lines_to_the_byte)
{
	struct unit_mem m;
	struct metrics_text t;
	const struct metrics_label two[] = {
		{"service", "a\"b\\c\nd\te\xff\xc3\xa4"}, {"reason", ""}};
	begin_text(&t, &m, 4096);
	metrics_text_begin(&t, METRICS_OPENED); /* no line: not named */
	metrics_text_begin(&t, METRICS_REFUSED);
	metrics_text_add(&t, two, 2, UINT64_MAX);
	metrics_text_add(&t, two, 1, 0);
	metrics_text_begin(&t, METRICS_LINK_ROUND_TRIP);
	metrics_text_add_time(&t, NULL, 0, 1500042);
	end_text(&t, &m);
	ck_assert_str_eq(in.text,
		"# HELP cloudbus_sessions_refused_total Sessions that did not begin.\n"
		"# TYPE cloudbus_sessions_refused_total counter\n"
		"cloudbus_sessions_refused_total{service=\"a\\\"b\\\\c\\nd?e?\xc3\xa4\",reason="
		"\"\"} "
		"18446744073709551615\n"
		"cloudbus_sessions_refused_total{service=\"a\\\"b\\\\c\\nd?e?\xc3\xa4\"} 0\n"
		"# HELP cloudbus_link_round_trip_seconds The least round trip lately.\n"
		"# TYPE cloudbus_link_round_trip_seconds gauge\n"
		"cloudbus_link_round_trip_seconds 1.500042\n");
}
END_TEST

START_TEST(what_has_no_room_is_counted)
{
	char name[300];
	memset(name, '"', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	for (size_t limit = 200; limit < 40000; limit += 997) {
		struct unit_mem m;
		struct metrics_text t;
		char reason[8];
		const struct metrics_label labels[] = {{"service", name}, {"reason", reason}};
		uint64_t all = 0;
		begin_text(&t, &m, limit);
		metrics_text_begin(&t, METRICS_DRAINING);
		metrics_text_add(&t, NULL, 0, 1);
		metrics_text_begin(&t, METRICS_SESSIONS);
		for (; all < 150; all++) {
			(void)snprintf(reason, sizeof reason, "%d", (int)all);
			metrics_text_add(&t, labels, 2, all);
		}
		ck_assert_uint_gt(t.omitted, 0);
		end_text(&t, &m);
		ck_assert_uint_le(in.n, limit);
		ck_assert_uint_eq(in.lines + t.omitted, 1 + all);
	}
}
END_TEST

START_TEST(case_39_no_memory_for_the_text)
{
	for (size_t nth = 1;; nth++) {
		struct unit_mem m;
		struct metrics_text t;
		char *text;
		size_t n;
		begin_text(&t, &m, 1 << 20);
		m.fail_at = nth;
		metrics_text_begin(&t, METRICS_SESSIONS);
		for (uint64_t i = 0; i < 3000; i++)
			metrics_text_add(&t, NULL, 0, i);
		if (!m.failed) {
			ck_assert_uint_ge(nth, 3);
			ck_assert_int_eq(metrics_text_take(&t, &text, &n), 0);
			mem_free(&m.mem, text);
			break;
		}
		ck_assert_int_eq(metrics_text_take(&t, &text, &n), ERR_NOMEM);
		ck_assert_uint_eq(m.live, 0);
	}
}
END_TEST

/* --- what nodes say ----------------------------------------------------------------------------
 */

static struct rig r;
static struct cluster cluster;
static struct cluster_node ctl, seg;
static struct rig_node *controller, *segment;
static int listener, backend_port, port, at;

#define FILES "[Cloudbus]\nlink_timeout=%s\ntrust=%s/trust\nidentity=%s/%s.key\ntoken=%s/%s.token\n"

static const char *link_timeout; /* a tenth of it in real time: fast.h */

static void start_both(int64_t ends)
{
	const char *d = cluster.dir;
	ctl = (struct cluster_node){.name = "ctl", .role = TOKEN_CONTROLLER, .ends = ends};
	seg = (struct cluster_node){.name = "seg", .role = TOKEN_SEGMENT};
	seg.ends = cluster_now() + 90 * 86400;
	cluster_add(&cluster, &ctl);
	cluster_add(&cluster, &seg);
	segment = rig_start(&r, CONF_SEGMENT,
		FILES "[s]\nbind=bus://127.0.0.1:%d\nserver=tcp://127.0.0.1:%d\n", link_timeout, d,
		d, "seg", d, "seg", at, backend_port);
	controller = rig_start(&r, CONF_CONTROLLER,
		FILES "[s]\nbind=tcp://127.0.0.1:%d\nserver=bus://127.0.0.1:%d\nmax_sessions=1\n",
		link_timeout, d, d, "ctl", d, "ctl", port, at);
	RIG_UNTIL(&r, segment->bus.n_transports == 1 && controller->bus.n_transports == 1);
}

static void setup(void)
{
	log_set_level(LOG_ERROR);
	fast_set_wall(0);
	link_timeout = "100s";
	cluster_init(&cluster);
	rig_init(&r);
	backend_port = rig_port(&r);
	port = rig_port(&r);
	at = rig_port(&r);
	listener = rig_listen(backend_port);
}

static void teardown(void)
{
	forget();
	close(listener);
	rig_fini(&r);
	cluster_fini(&cluster);
	log_set_level(LOG_INFO);
}

static void render(struct rig_node *n)
{
	char *text;
	size_t bytes;
	ck_assert_int_eq(metrics_render(&n->bus, &text, &bytes), 0);
	take_text(n->bus.mem, text, bytes);
}

START_TEST(a_session_and_a_link)
{
	start_both(cluster_now() + 90 * 86400);
	int c = rig_connect(port), b = rig_accept(&r, listener), d = rig_connect(port);
	rig_send_pattern(&r, c, 0, 100000);
	rig_expect_pattern(&r, b, 0, 100000);
	rig_expect_reset(&r, d);
	close(d);
	render(controller);
	HAS("cloudbus_sessions{service=\"s\"} 1");
	HAS("cloudbus_sessions_waiting{service=\"s\"} 0");
	HAS("cloudbus_sessions_opened_total{service=\"s\"} 1");
	HAS("cloudbus_sessions_refused_total{service=\"s\",reason=\"max_sessions\"} 1");
	HAS("cloudbus_sessions_refused_total{service=\"s\",reason=\"given_up\"} 0");
	HAS("cloudbus_sessions_ended_total{service=\"s\",reason=\"clean\"} 0");
	HAS("cloudbus_session_received_bytes_total{service=\"s\"} 100000");
	HAS("cloudbus_session_sent_bytes_total{service=\"s\"} 0");
	HAS("cloudbus_members_dropped_total{service=\"s\",reason=\"slow\"} 0");
	HAS("cloudbus_transports{side=\"dialled\",security=\"secured\"} 1");
	HAS("cloudbus_transports_opened_total{side=\"dialled\",security=\"secured\"} 1");
	HAS("cloudbus_link_up{link=\"bus://127.0.0.1:%d\"} 1", at);
	HAS("cloudbus_handshakes_total{side=\"dialled\",result=\"ok\"} 1");
	HAS("cloudbus_memory_limit_bytes %" PRIu64, controller->bus.quota.limit);
	HAS("cloudbus_memory_held_bytes 0");
	HAS("cloudbus_node_transports{node=\"seg\"} 1");
	HAS("cloudbus_dns_queries_total 0");
	HAS("cloudbus_start_time_seconds %" PRIu64, controller->bus.stats.started);
	HAS("cloudbus_metrics_omitted_lines 0");
	render(segment);
	HAS("cloudbus_session_sent_bytes_total{service=\"s\"} 100000");
	HAS("cloudbus_transports{side=\"accepted\",security=\"secured\"} 1");
	ck_assert(!has_family("cloudbus_link_up")); /* it dials nobody */
	close(c);
	rig_expect_end(&r, b);
	close(b);
	RIG_UNTIL(&r, controller->bus.n_sessions == 0);
	render(controller);
	HAS("cloudbus_sessions{service=\"s\"} 0");
	HAS("cloudbus_sessions_ended_total{service=\"s\",reason=\"clean\"} 1");
	rig_stop(segment);
	RIG_UNTIL(&r, controller->bus.stats.closed[STATS_CLOSED_LOST] == 1);
	render(controller);
	HAS("cloudbus_link_up{link=\"bus://127.0.0.1:%d\"} 0", at);
	HAS("cloudbus_transports_ended_total{reason=\"lost\"} 1");
}
END_TEST

/* The metric and the log go by one rule. */
START_TEST(a_token_near_its_end)
{
	int64_t ends = cluster_now() + EXPIRY_WARN_BEFORE + 30;
	start_both(ends);
	render(controller);
	HAS("cloudbus_token_expiry_timestamp_seconds %" PRIi64, ends);
	HAS("cloudbus_token_expiring 0");
	ck_assert_int_eq(controller->bus.guard->warned, 0);
	render(segment);
	HAS("cloudbus_peer_token_expiry_timestamp_seconds %" PRIi64, ends);
	HAS("cloudbus_node_token_expiry_timestamp_seconds{node=\"ctl\"} %" PRIi64, ends);
	HAS("cloudbus_peer_tokens_expiring 0");
	fast_set_wall(31);
	render(controller);
	HAS("cloudbus_token_expiring 1");
	RIG_UNTIL(&r, controller->bus.guard->warned != 0);
	render(segment);
	HAS("cloudbus_peer_tokens_expiring 1");
	HAS("cloudbus_token_expiring 0");
}
END_TEST

/* Whatever has a name is said by some node; by one that has all of it, in one text. */
START_TEST(every_metric_is_written)
{
	const struct metrics_row *rows = metrics_table();
	link_timeout = "5s"; /* for a PING soon */
	start_both(cluster_now() + 86400);
	RIG_UNTIL(&r, (render(controller), has_family("cloudbus_link_round_trip_seconds")));
	for (size_t i = 0; i < METRICS_IDS; i++)
		ck_assert_msg(has_family(rows[i].name), "not written: %s", rows[i].name);
	ck_assert_uint_eq(in.n_families, METRICS_IDS);
}
END_TEST

/* --- a great many ------------------------------------------------------------------------------
 */

enum { SERVICES = 10000, NODES = METRICS_NODES_MAX + 50 };

static struct survey_service services[SERVICES];
static struct survey_node nodes[NODES];
static struct service_stats numbers;
static char names[SERVICES][16];

static size_t count(const char *what)
{
	size_t n = 0;
	for (const char *p = in.text; (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

static void write_many(size_t n_services, size_t n_nodes)
{
	struct survey s = {
		.services = services, .nodes = nodes, .n_services = n_services, .n_nodes = n_nodes};
	char *text;
	size_t n;
	ck_assert_int_eq(metrics_write(&controller->bus, &s, 0, &text, &n), 0);
	ck_assert_uint_lt(n, METRICS_MAX);
	take_text(controller->bus.mem, text, n);
	HAS("cloudbus_metrics_omitted_lines 0");
}

START_TEST(many_services_and_nodes)
{
	start_both(0);
	numbers.refused[STATS_NOBODY] = 1;
	for (size_t i = 0; i < SERVICES; i++) {
		(void)snprintf(names[i], sizeof names[i], "s%zu", i);
		services[i] = (struct survey_service){.name = names[i], .stats = &numbers};
		if (i < NODES)
			nodes[i] = (struct survey_node){.name = names[i], .transports = 1};
	}
	write_many(METRICS_FULL, METRICS_NODES_MAX);
	ck_assert_uint_eq(count("\ncloudbus_sessions{"), METRICS_FULL);
	ck_assert_uint_eq(
		count("\ncloudbus_sessions_refused_total{"), METRICS_FULL * STATS_REFUSALS);
	ck_assert_uint_eq(count("\ncloudbus_node_transports{"), METRICS_NODES_MAX);
	write_many(METRICS_FULL + 1, NODES);
	ck_assert_uint_eq(count("\ncloudbus_sessions{"), METRICS_FULL + 1);
	ck_assert_uint_eq(count("\ncloudbus_sessions_refused_total{"), METRICS_FULL + 1);
	ck_assert_uint_eq(count("\ncloudbus_sessions_ended_total{"), 0);
	ck_assert_uint_eq(count("\ncloudbus_node_transports{"), METRICS_NODES_MAX);
	ck_assert_uint_eq(
		count("\ncloudbus_node_token_expiry_timestamp_seconds{"), METRICS_NODES_MAX);
	HAS("cloudbus_nodes %d", NODES);
	write_many(SERVICES, 0);
	ck_assert_uint_eq(count("\ncloudbus_sessions_opened_total{"), SERVICES);
	ck_assert_uint_lt(in.n, SERVICES * 600);
}
END_TEST

START_TEST(case_39_rendering)
{
	start_both(0);
	for (size_t nth = 1;; nth++) {
		char *text;
		size_t n, live = r.mem.live;
		r.mem.failed = 0;
		r.mem.fail_at = r.mem.calls + nth;
		int rc = metrics_render(&controller->bus, &text, &n);
		r.mem.fail_at = 0;
		if (rc == 0) {
			ck_assert(!r.mem.failed);
			ck_assert_uint_gt(nth, 3);
			take_text(controller->bus.mem, text, n);
			break;
		}
		ck_assert_int_eq(rc, ERR_NOMEM);
		ck_assert_uint_eq(r.mem.live, live);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("metrics");
	TCase *t = tcase_create("writer");
	tcase_add_test(t, lines_to_the_byte);
	tcase_add_test(t, what_has_no_room_is_counted);
	tcase_add_test(t, case_39_no_memory_for_the_text);
	suite_add_tcase(s, t);
	t = tcase_create("nodes");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_session_and_a_link);
	tcase_add_test(t, a_token_near_its_end);
	tcase_add_test(t, every_metric_is_written);
	tcase_add_test(t, many_services_and_nodes);
	tcase_add_test(t, case_39_rendering);
	suite_add_tcase(s, t);
	return unit_main(s);
}
