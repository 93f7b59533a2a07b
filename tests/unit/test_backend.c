#include "bus/backend.h"

#include "base/log.h"
#include "net/sock.h"
#include "unit/nameserver.h"
#include "unit/rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig r;
static struct nameserver ns;
static struct conf conf;
static struct conf_endpoint server;
static struct conf_service service;
static struct bus bus;
static struct backend backend;
static int port;
static char text[] = "tcp://backend.test", host[] = "backend.test", name[] = "s";

/* One attempt, and what came of it. */
struct
try {
	struct backend_connect connect;
	int fd, done;
	uint32_t code;
	char why[100];
};

static void setup(void)
{
	log_set_level(LOG_ERROR);
	rig_init(&r);
	nameserver_start(&ns, r.loop);
	port = rig_port(&r);
	conf = (struct conf){.memory = 1 << 20, .dns = &ns.addr, .n_dns = 1};
	bus = (struct bus){.mem = &r.mem.mem, .loop = r.loop, .conf = &conf};
	ck_assert_int_eq(bus_init(&bus), 0);
	struct dns_options opt = {.servers = conf.dns, .n_servers = 1};
	ck_assert_int_eq(dns_new(&bus.dns, bus.loop, bus.mem, &opt), 0);
	server = (struct conf_endpoint){.text = text, .host = host, .port = (uint16_t)port};
	service = (struct conf_service){
		.name = name, .servers = &server, .n_servers = 1, .connect_timeout = 5 * CLOCK_SEC};
}

static void teardown(void)
{
	backend_fini(&backend);
	dns_free(bus.dns);
	bus_fini(&bus);
	nameserver_stop(&ns);
	rig_fini(&r);
}

static void use_addresses(const char *a, const char *b, const char *c)
{
	struct ns_rule rule = {.host = "backend.test",
		.af = AF_INET,
		.kind = NS_ANSWER,
		.ips = {a, b, c},
		.ttl = 60};
	nameserver_set(&ns, rule);
	ck_assert_int_eq(backend_init(&backend, &bus, &service), 0);
}

static int listen_at(const char *ip)
{
	struct addr a;
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(addr_from_literal(&a, ip, strlen(ip), (uint16_t)port), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
	ck_assert_int_eq(bind(fd, &a.sa, a.len), 0);
	ck_assert_int_eq(listen(fd, 100), 0);
	return fd;
}

static void on_done(struct backend_connect *bc, int fd, uint32_t code, const char *why)
{
	struct try *t = container_of(bc, struct try, connect);
	t->done++;
	t->fd = fd;
	t->code = code;
	(void)snprintf(t->why, sizeof t->why, "%s", why == NULL ? "" : why);
}

static void begin(struct try *t)
{
	*t = (struct try){.fd = -1};
	ck_assert_int_eq(backend_connect(&t->connect, &backend, on_done), 0);
	ck_assert_int_eq(t->done, 0);
}

static void run(struct try *t)
{
	begin(t);
	RIG_UNTIL(&r, t->done > 0);
	ck_assert_int_eq(t->done, 1);
}

/* The last byte of the address that one more session gets. */
static int next(void)
{
	struct try t;
	struct addr peer;
	run(&t);
	ck_assert_msg(t.fd >= 0, "%s", t.why);
	ck_assert_int_eq(sock_peer_name(t.fd, &peer), 0);
	close(t.fd);
	return (int)(ntohl(peer.in.sin_addr.s_addr) & 0xff);
}

START_TEST(turns_are_even)
{
	int fd[3] = {listen_at("127.0.0.2"), listen_at("127.0.0.3"), listen_at("127.0.0.4")};
	int count[5] = {0};
	use_addresses("127.0.0.4", "127.0.0.2", "127.0.0.3");
	for (int i = 0; i < 30; i++)
		count[next()]++;
	for (int i = 2; i <= 4; i++)
		ck_assert_int_eq(count[i], 10);
	ck_assert_uint_eq(backend.n_down, 0);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}
END_TEST

START_TEST(case65_no_session_fails_while_one_answers)
{
	int fd[2] = {listen_at("127.0.0.2"), listen_at("127.0.0.4")};
	int count[5] = {0};
	use_addresses("127.0.0.2", "127.0.0.3", "127.0.0.4");
	for (int i = 0; i < 40; i++)
		count[next()]++;
	ck_assert_int_eq(count[3], 0);
	/* The neighbour of the one that is down does not get its share as well. */
	ck_assert_int_ge(count[2], 19);
	ck_assert_int_ge(count[4], 19);
	ck_assert_uint_eq(backend.n_down, 1);
	/* When its pause is over it is tried in its turn; it answers, and has its share. */
	int third = listen_at("127.0.0.3");
	backend.down[0].until = 0;
	memset(count, 0, sizeof count);
	for (int i = 0; i < 30; i++)
		count[next()]++;
	for (int i = 2; i <= 4; i++)
		ck_assert_int_eq(count[i], 10);
	ck_assert_uint_eq(backend.n_down, 0);
	close(third);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(the_pause_doubles_up_to_its_limit)
{
	struct try t;
	use_addresses("127.0.0.2", NULL, NULL);
	uint64_t pause = BACKEND_DOWN_MIN;
	for (int i = 0; i < 8; i++) {
		run(&t);
		ck_assert_int_eq(t.fd, -1);
		ck_assert_uint_eq(t.code, WIRE_REFUSED);
		ck_assert_str_eq(t.why, strerror(ECONNREFUSED));
		ck_assert_uint_eq(backend.n_down, 1);
		ck_assert_uint_eq(backend.down[0].pause, pause);
		pause = pause * 2 < BACKEND_DOWN_MAX ? pause * 2 : BACKEND_DOWN_MAX;
	}
	/* All that is known is down: it is tried all the same. */
	int fd = listen_at("127.0.0.2");
	ck_assert_int_eq(next(), 2);
	ck_assert_uint_eq(backend.n_down, 0);
	close(fd);
}
END_TEST

START_TEST(case43_a_name_that_does_not_exist)
{
	struct try t;
	ck_assert_int_eq(backend_init(&backend, &bus, &service), 0);
	run(&t);
	ck_assert_int_eq(t.fd, -1);
	ck_assert_uint_eq(t.code, WIRE_UNREACHABLE);
	ck_assert_uint_gt(strlen(t.why), 0);
}
END_TEST

START_TEST(case43_connect_timeout_counts_the_name_too)
{
	struct try t;
	service.connect_timeout = 300 * CLOCK_MS;
	nameserver_set(
		&ns, (struct ns_rule){.host = "backend.test", .af = AF_INET, .kind = NS_DROP});
	nameserver_set(
		&ns, (struct ns_rule){.host = "backend.test", .af = AF_INET6, .kind = NS_DROP});
	ck_assert_int_eq(backend_init(&backend, &bus, &service), 0);
	uint64_t start = clock_now();
	run(&t);
	uint64_t took = clock_now() - start;
	ck_assert_uint_eq(t.code, WIRE_TIMED_OUT);
	ck_assert_uint_ge(took, 250 * CLOCK_MS);
	ck_assert_uint_lt(took, 2 * CLOCK_SEC);
}
END_TEST

START_TEST(a_fixed_address)
{
	struct try t;
	int fd = listen_at("127.0.0.2");
	server.host = NULL;
	ck_assert_int_eq(addr_from_literal(&server.addr, "127.0.0.2", 9, (uint16_t)port), 0);
	ck_assert_int_eq(backend_init(&backend, &bus, &service), 0);
	ck_assert_int_eq(next(), 2);
	close(fd);
	run(&t);
	ck_assert_uint_eq(t.code, WIRE_REFUSED);
	ck_assert_uint_eq(backend.n_down, 0);
}
END_TEST

START_TEST(case46_given_up_at_every_step)
{
	struct try t;
	int fd = listen_at("127.0.0.2");
	use_addresses("127.0.0.2", NULL, NULL);
	t = (struct try){.fd = -1};
	backend_cancel(&t.connect); /* idle */
	for (int turns = 0; turns < 12; turns++) {
		begin(&t);
		for (int i = 0; i < turns && t.done == 0; i++)
			ck_assert_int_eq(loop_turn(r.loop, 0), 0);
		backend_cancel(&t.connect);
		int done = t.done;
		for (int i = 0; i < 5; i++)
			ck_assert_int_eq(loop_turn(r.loop, 0), 0);
		ck_assert_int_eq(t.done, done);
		if (t.fd >= 0)
			close(t.fd);
	}
	close(fd);
}
END_TEST

START_TEST(case39_no_memory)
{
	int fd = listen_at("127.0.0.2");
	use_addresses("127.0.0.2", NULL, NULL);
	(void)next();
	bool failed = true;
	for (size_t n = 1; failed; n++) {
		struct try t = {.fd = -1};
		r.mem.failed = 0;
		r.mem.fail_at = r.mem.calls + n;
		if (backend_connect(&t.connect, &backend, on_done) == 0) {
			RIG_UNTIL(&r, t.done > 0);
			ck_assert(
				t.fd >= 0 || t.code == WIRE_INTERNAL || t.code == WIRE_UNREACHABLE);
			if (t.fd >= 0)
				close(t.fd);
		} else {
			backend_cancel(&t.connect);
		}
		failed = r.mem.failed;
		r.mem.fail_at = 0;
		for (int i = 0; i < 3; i++)
			rig_turn(&r);
	}
	(void)next();
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("backend");
	TCase *tc = tcase_create("backend");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, turns_are_even);
	tcase_add_test(tc, case65_no_session_fails_while_one_answers);
	tcase_add_test(tc, the_pause_doubles_up_to_its_limit);
	tcase_add_test(tc, case43_a_name_that_does_not_exist);
	tcase_add_test(tc, case43_connect_timeout_counts_the_name_too);
	tcase_add_test(tc, a_fixed_address);
	tcase_add_test(tc, case46_given_up_at_every_step);
	tcase_add_test(tc, case39_no_memory);
	suite_add_tcase(s, tc);
	return unit_main(s);
}
