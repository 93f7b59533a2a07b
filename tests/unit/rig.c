#include "unit/rig.h"

#include "bus/guard.h"
#include "bus/node_impl.h"

#include "base/err.h"
#include "net/sock.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

int rig_count_fds(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

void rig_init(struct rig *r)
{
	*r = (struct rig){.fds_before = rig_count_fds()};
	(void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	unit_mem_init(&r->mem);
	r->loop = loop_new(&r->mem.mem);
	ck_assert_ptr_nonnull(r->loop);
}

static uint64_t sum(const uint64_t *v, size_t n)
{
	uint64_t all = 0;
	for (size_t i = 0; i < n; i++)
		all += v[i];
	return all;
}

/* Without a session every one that has begun has come to some end. */
static void check_service(const struct service_stats *s, size_t n_sessions)
{
	ck_assert_uint_le(s->waiting, n_sessions);
	ck_assert_uint_le(s->opened - sum(s->ended, STATS_ENDS), n_sessions);
}

static void check_services(const struct node *node)
{
	list_each (n, &node->ingresses) {
		const struct ingress *in = container_of(n, struct ingress, node);
		check_service(&in->stats, in->n_sessions);
	}
	list_each (n, &node->services) {
		const struct egress *e = container_of(n, struct egress, node);
		check_service(&e->stats, e->n_sessions);
	}
}

void rig_stop(struct rig_node *n)
{
	if (n->node != NULL)
		check_services(n->node);
	node_free(n->node);
	n->node = NULL;
	if (n->bus.loop == NULL)
		return;
	ck_assert_uint_eq(n->bus.n_sessions, 0);
	ck_assert_uint_eq(n->bus.n_transports, 0);
	ck_assert_uint_eq(n->bus.quota.held, 0);
	ck_assert_uint_eq(n->bus.stats.paused, 0);
	ck_assert_uint_eq(sum(n->bus.stats.closed, STATS_CLOSED),
		sum(n->bus.stats.transports[STATS_DIALLED], 2) +
			sum(n->bus.stats.transports[STATS_ACCEPTED], 2));
	dns_free(n->bus.dns);
	guard_free(n->bus.guard);
	bus_fini(&n->bus);
	n->bus.loop = NULL;
	conf_free(n->conf);
	n->conf = NULL;
}

void rig_fini(struct rig *r)
{
	r->mem.fail_at = 0;
	for (int i = 0; i < r->n_nodes; i++)
		rig_stop(&r->nodes[i]);
	loop_free(r->loop);
	for (int i = 0; i < r->n_holders; i++)
		close(r->holders[i]);
	ck_assert_uint_eq(r->mem.live, 0);
	ck_assert_int_eq(rig_count_fds(), r->fds_before);
}

static struct addr loopback(int port)
{
	struct addr a;
	ck_assert_int_eq(addr_from_literal(&a, "127.0.0.1", 9, (uint16_t)port), 0);
	return a;
}

static int bound(int port)
{
	struct addr a = loopback(port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
	ck_assert_int_eq(bind(fd, &a.sa, a.len), 0);
	return fd;
}

int rig_port(struct rig *r)
{
	struct addr a;
	ck_assert_int_lt(r->n_holders, RIG_PORTS_MAX);
	int fd = r->holders[r->n_holders++] = bound(0);
	ck_assert_int_eq(sock_local_name(fd, &a), 0);
	return addr_port(&a);
}

/* --- nodes ------------------------------------------------------------------------------ */

static void report(void *ctx, const char *message)
{
	(void)ctx;
	fprintf(stderr, "%s\n", message);
}

/* Everything below the node itself; 0 or what failed. */
static int set_up(struct rig *r, struct rig_node *n)
{
	struct bus *bus = &n->bus;
	bus->mem = &r->mem.mem;
	bus->conf = n->conf;
	bus->loop = r->loop;
	struct node_changes changes;
	struct node_step *step = NULL;
	struct guard *guard;
	char why[WHY_MAX];
	int rc = bus_init(bus);
	if (rc != 0)
		return rc;
	struct dns_options opt = {
		.servers = n->conf->dns, .n_servers = n->conf->n_dns, .seed = bus->seed};
	rc = dns_new(&bus->dns, bus->loop, bus->mem, &opt);
	if (rc == 0)
		rc = node_new(&n->node, bus);
	if (rc == 0)
		rc = node_prepare(&step, n->node, NULL);
	/* As the daemon does it: it may become another user in between. */
	if (rc == 0 && n->conf->secured)
		rc = guard_new(&guard, bus, n->conf, why);
	if (rc == 0) {
		node_commit(step, &changes);
		return 0;
	}
	node_abandon(step);
	node_free(n->node);
	n->node = NULL;
	return rc;
}

__attribute__((format(printf, 3, 0))) static struct rig_node *start(
	struct rig *r, enum conf_role role, const char *text, va_list args)
{
	char ini[RIG_TEXT_MAX];
	int len = vsnprintf(ini, sizeof ini, text, args);
	ck_assert_int_lt(len, (int)sizeof ini);
	ck_assert_int_lt(r->n_nodes, RIG_NODES_MAX);
	struct rig_node *n = &r->nodes[r->n_nodes++];
	*n = (struct rig_node){.node = NULL};
	struct conf_source src = {.file = "rig", .text = ini, .n = (size_t)len};
	ck_assert_int_eq(conf_parse(&n->conf, role, &src, mem_system(), report, NULL), 0);
	n->starts = set_up(r, n);
	return n;
}

struct rig_node *rig_try(struct rig *r, enum conf_role role, const char *text, ...)
{
	va_list args;
	va_start(args, text);
	struct rig_node *n = start(r, role, text, args);
	va_end(args);
	return n;
}

struct rig_node *rig_start(struct rig *r, enum conf_role role, const char *text, ...)
{
	va_list args;
	va_start(args, text);
	struct rig_node *n = start(r, role, text, args);
	va_end(args);
	ck_assert_int_eq(n->starts, 0);
	return n;
}

int rig_reload(struct rig_node *n, struct node_changes *changes, const char *text, ...)
{
	char ini[RIG_TEXT_MAX];
	struct conf *conf;
	va_list args;
	va_start(args, text);
	int len = vsnprintf(ini, sizeof ini, text, args);
	va_end(args);
	ck_assert_int_lt(len, (int)sizeof ini);
	struct conf_source src = {.file = "rig", .text = ini, .n = (size_t)len};
	ck_assert_int_eq(conf_parse(&conf, n->conf->role, &src, mem_system(), report, NULL), 0);
	struct node_step *step;
	int rc = node_prepare(&step, n->node, conf);
	if (rc == 0)
		node_commit(step, changes);
	else
		conf_free(conf);
	return rc;
}

static void on_drained(void *ctx, size_t cut)
{
	struct rig_node *n = ctx;
	ck_assert(!n->drained);
	n->drained = true;
	n->cut = cut;
}

void rig_drain(struct rig_node *n)
{
	node_drain(n->node, on_drained, n);
}

uint64_t rig_clock(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_SEC + (uint64_t)ts.tv_nsec / 1000;
}

void rig_turn(struct rig *r)
{
	ck_assert_int_eq(loop_turn(r->loop, clock_now() + 5 * CLOCK_MS), 0);
}

/* --- plain sockets -------------------------------------------------------------------- */

int rig_listen(int port)
{
	int fd = bound(port);
	ck_assert_int_eq(listen(fd, 64), 0);
	return fd;
}

int rig_accept(struct rig *r, int listener)
{
	int fd;
	RIG_UNTIL(r, (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
	return fd;
}

int rig_connect(int port)
{
	/* The kernel completes it without the listener's help. */
	struct addr a = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, &a.sa, a.len), 0);
	ck_assert_int_eq(ioctl(fd, FIONBIO, &(int){1}), 0);
	return fd;
}

void rig_send(struct rig *r, int fd, const void *p, size_t n)
{
	const char *from = p;
	for (size_t done = 0; done < n;) {
		ssize_t w = -1;
		RIG_UNTIL(r, (w = write(fd, from + done, n - done)) >= 0 || errno != EAGAIN);
		ck_assert_msg(w >= 0, "write: %s", strerror(errno));
		done += (size_t)w;
	}
}

ssize_t rig_read(int fd, void *p, size_t n)
{
	ssize_t got;
	do
		got = read(fd, p, n);
	while (got < 0 && errno == EINTR);
	return got;
}

void rig_expect(struct rig *r, int fd, const void *p, size_t n)
{
	char buf[65536];
	const char *want = p;
	for (size_t done = 0; done < n;) {
		size_t room = n - done < sizeof buf ? n - done : sizeof buf;
		ssize_t got = -1;
		RIG_UNTIL(r, (got = rig_read(fd, buf, room)) >= 0 || errno != EAGAIN);
		ck_assert_msg(got > 0, "%s after %zu of %zu bytes",
			got == 0 ? "end" : strerror(errno), done, n);
		ck_assert_mem_eq(buf, want + done, (size_t)got);
		done += (size_t)got;
	}
}

/* Byte at offset i; no short period that would hide a shift. */
static unsigned char pattern(uint64_t i)
{
	return (unsigned char)(i ^ i >> 8 ^ i >> 16 ^ i >> 24);
}

enum { PIECE = 32768 };

static void make_pattern(unsigned char *buf, uint64_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(at + i);
}

void rig_send_pattern(struct rig *r, int fd, uint64_t at, size_t n)
{
	unsigned char buf[PIECE];
	for (size_t k; n > 0; n -= k, at += k) {
		k = n < PIECE ? n : PIECE;
		make_pattern(buf, at, k);
		rig_send(r, fd, buf, k);
	}
}

void rig_expect_pattern(struct rig *r, int fd, uint64_t at, size_t n)
{
	unsigned char buf[PIECE];
	for (size_t k; n > 0; n -= k, at += k) {
		k = n < PIECE ? n : PIECE;
		make_pattern(buf, at, k);
		rig_expect(r, fd, buf, k);
	}
}

void rig_expect_end(struct rig *r, int fd)
{
	char c;
	ssize_t got = -1;
	RIG_UNTIL(r, (got = rig_read(fd, &c, 1)) >= 0 || errno != EAGAIN);
	ck_assert_msg(got == 0, "%s instead of an end", got > 0 ? "a byte" : strerror(errno));
	ck_assert_int_eq(sock_error(fd), 0);
}

void rig_expect_reset(struct rig *r, int fd)
{
	char c;
	ssize_t got = -1;
	RIG_UNTIL(r, (got = rig_read(fd, &c, 1)) >= 0 || errno != EAGAIN);
	ck_assert_msg(got<0, "%s instead of a reset", got> 0 ? "a byte" : "an end");
	ck_assert_int_eq(errno, ECONNRESET);
}

void rig_abort(int fd)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
	close(fd);
}
