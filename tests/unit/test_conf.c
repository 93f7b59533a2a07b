/* A whole text becomes a value, or a list of errors, word for word. */
#include "conf/conf.h"
#include "conf/conf_equal.h"
#include "unit/unit.h"

#include "config.h"

#include "base/clock.h"
#include "base/err.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What was reported, a line each. */
static char said[1 << 17];
static size_t n_said, lines_said;

static void hear(void *ctx, const char *message)
{
	(void)ctx;
	size_t n = strlen(message);
	ck_assert(n > 0 && strchr(message, '\n') == NULL);
	ck_assert_uint_lt(n_said + n + 1, sizeof said);
	memcpy(said + n_said, message, n);
	n_said += n;
	said[n_said++] = '\n';
	said[n_said] = '\0';
	lines_said++;
}

static struct conf *conf;
static struct unit_mem m;

static int parse_bytes(enum conf_role role, const char *text, size_t n)
{
	struct conf_source src = {.file = "x.ini", .text = text, .n = n};
	n_said = lines_said = 0;
	said[0] = '\0';
	return conf_parse(&conf, role, &src, &m.mem, hear, NULL);
}

static int parse(enum conf_role role, const char *text)
{
	return parse_bytes(role, text, strlen(text));
}

static void setup(void)
{
	unit_mem_init(&m);
	conf = NULL;
}

static void teardown(void)
{
	conf_free(conf);
	ck_assert_uint_eq(m.live, 0);
}

#define C CONF_CONTROLLER
#define S CONF_SEGMENT

/* --- what is good ------------------------------------------------------------- */

START_TEST(the_least_text_has_the_defaults)
{
	ck_assert_int_eq(parse(C, "[echo]\nbind=tcp://127.0.0.1:1\nserver=unix://@s\n"), 0);
	ck_assert_uint_eq(n_said, 0);
	ck_assert_uint_eq(conf->drain_timeout, 30 * CLOCK_SEC);
	ck_assert_uint_eq(conf->link_timeout, 30 * CLOCK_SEC);
	ck_assert_uint_eq(conf->memory, 256 << 20);
	ck_assert_uint_eq(conf->max_window, 16 << 20);
	ck_assert_int_eq(conf->log_level, LOG_INFO);
	ck_assert_ptr_null(conf->user.name);
	ck_assert_ptr_null(conf->group.name);
	ck_assert(conf->hardening);
	ck_assert_uint_eq(conf->n_dns, 0);
	ck_assert_uint_eq(conf->n_services, 1);
	const struct conf_service *s = &conf->services[0];
	ck_assert_str_eq(s->name, "echo");
	ck_assert_str_eq(s->service, "echo");
	ck_assert_int_eq(s->mode, CONF_HALF_DUPLEX);
	ck_assert_uint_eq(s->connect_timeout, 5 * CLOCK_SEC);
	ck_assert_uint_eq(s->idle_timeout, 0);
	ck_assert_uint_eq(s->member_timeout, 30 * CLOCK_SEC);
	ck_assert_uint_eq(s->max_sessions, 0);
	ck_assert_uint_eq(s->line, 1);
	ck_assert_uint_eq(s->bind.line, 2);
	ck_assert_uint_eq(s->servers[0].line, 3);
	ck_assert_ptr_null(conf->metrics.text);
}
END_TEST

START_TEST(every_key_goes_where_it_belongs)
{
	char text[ADDR_TEXT_MAX];
	ck_assert_int_eq(parse(C, "[CLOUDBUS]\n"
				  "dns=192.0.2.1\nDNS=[::1]:5353\n"
				  "drain_timeout=1m\nlink_timeout=2s\nmemory=1G\n"
				  "max_window=128K\nlog=debug\n"
				  "user=bus\ngroup=33\nhardening=Off\n"
				  "[Echo Two]\n"
				  "Bind = tcp://[::]:9000\n"
				  "server: tcp://Segment.Example:9001\n"
				  "BACKEND=tcp://[2001:db8::7]:9002\n"
				  "backend=unix:///run/s\n"
				  "Mode=Full Duplex\nservice=other\n"
				  "connect_timeout=250ms\nidle_timeout=1h\n"
				  "member_timeout=3s\nmax_sessions=17\n"),
		0);
	ck_assert_uint_eq(conf->n_dns, 2);
	ck_assert_str_eq(addr_format(&conf->dns[0], text), "tcp://192.0.2.1:53");
	ck_assert_str_eq(addr_format(&conf->dns[1], text), "tcp://[::1]:5353");
	ck_assert_uint_eq(conf->drain_timeout, 60 * CLOCK_SEC);
	ck_assert_uint_eq(conf->link_timeout, 2 * CLOCK_SEC);
	ck_assert_uint_eq(conf->memory, 1 << 30);
	ck_assert_uint_eq(conf->max_window, 128 << 10);
	ck_assert_int_eq(conf->log_level, LOG_DEBUG);
	ck_assert_str_eq(conf->user.name, "bus");
	ck_assert_uint_eq(conf->user.line, 9);
	ck_assert_str_eq(conf->group.name, "33");
	ck_assert_uint_eq(conf->group.line, 10);
	ck_assert(!conf->hardening);
	const struct conf_service *s = &conf->services[0];
	ck_assert_str_eq(s->name, "Echo Two");
	ck_assert_str_eq(s->service, "other");
	ck_assert_str_eq(s->bind.text, "tcp://[::]:9000");
	ck_assert_ptr_null(s->bind.host);
	ck_assert_uint_eq(s->bind.port, 9000);
	ck_assert_uint_eq(s->n_servers, 3);
	ck_assert_str_eq(s->servers[0].text, "tcp://Segment.Example:9001");
	ck_assert_str_eq(s->servers[0].host, "segment.example");
	ck_assert_uint_eq(s->servers[0].port, 9001);
	ck_assert_str_eq(addr_format(&s->servers[1].addr, text), "tcp://[2001:db8::7]:9002");
	ck_assert_ptr_null(s->servers[1].host);
	ck_assert_str_eq(addr_format(&s->servers[2].addr, text), "unix:///run/s");
	ck_assert_uint_eq(s->servers[2].port, 0);
	ck_assert_int_eq(s->mode, CONF_FULL_DUPLEX);
	ck_assert_uint_eq(s->connect_timeout, 250 * CLOCK_MS);
	ck_assert_uint_eq(s->idle_timeout, 3600 * CLOCK_SEC);
	ck_assert_uint_eq(s->member_timeout, 3 * CLOCK_SEC);
	ck_assert_uint_eq(s->max_sessions, 17);
}
END_TEST

#ifdef HAVE_MICROHTTPD
START_TEST(the_address_of_the_metrics)
{
	char text[ADDR_TEXT_MAX];
	ck_assert_int_eq(parse(S, "[Cloudbus]\nMetrics = TCP://127.0.0.1:9901\n[a]\n"
				  "bind=unix://@a\nserver=unix://@b\n"),
		0);
	ck_assert_str_eq(addr_format(&conf->metrics.addr, text), "tcp://127.0.0.1:9901");
	ck_assert_uint_eq(conf->metrics.line, 2);
	ck_assert(!conf->metrics.secured);
}
END_TEST
#endif

#define BIND "bind=tcp://127.0.0.1:1\n"
#define SERVER "server=tcp://h:2\n"
#define OK BIND SERVER
#ifdef HAVE_MICROHTTPD
#define METRICS "metrics=unix:///m\n"
#else
#define METRICS
#endif
#define FILES "[Cloudbus]\ntrust=t\nidentity=i\ntoken=k\n"

static const struct {
	enum conf_role role;
	const char *text;
} good[] = {
	/* the form of the seed, with an empty [Cloudbus], and without one */
	{C, "[Cloudbus]\n\n[echo]\n" OK},
	{C, "[echo]\n" OK "[Cloudbus]\n"},
	{S, "[Cloudbus]\n\n[echo]\n" OK},
	/* case 66: the last line counts without a newline */
	{C, "[echo]\n" BIND "server=tcp://h:2"},
	{C, "\xef\xbb\xbf[echo]\r\nbind=tcp://127.0.0.1:1\r\nserver=tcp://h:2\r\n"},
	{C, "[echo] ; comment\n  bind=tcp://127.0.0.1:1 ; comment\n\tserver=tcp://h:2\t;comment\n"},
	/* services of a segment may share an address, and have a mode */
	{S, "[a]\nmode=full_duplex\n" OK "[b]\n" OK},
	/* of a controller may not, but ports and families differ */
	{C, "[a]\n" OK "[b]\nbind=tcp://127.0.0.1:2\n" SERVER "[c]\nbind=tcp://[::1]:1\n" SERVER
	    "[d]\nbind=unix:///a\n" SERVER "[e]\nbind=unix://@/a\n" SERVER},
	/* secured links, in either order of the sections */
	{C, "[a]\n" OK "server=bus://h:3\nserver=BUS+unix:///s\n" FILES},
	{S, FILES "[a]\nbind=bus+unix://@s\n" SERVER "[b]\nbind=bus+unix://@s\n" SERVER},
	/* links that segments dial: what leads there needs no address */
	{C, "[Cloudbus]\nlisten=tcp://127.0.0.1:7\nlisten=unix://@l\n[a]\n" BIND
	    "[b]\nbind=unix:///b\nserver=bus:x y\nserver=BUS:z\nserver=tcp://h:2\n"
	    "balance=Least_Sessions\nfanout=ALL\n"},
	{C, "[a]\n" BIND "balance=round robin\nfanout=one\n[Cloudbus]\nlisten=tcp://[::1]:1\n"},
	{C, "[Cloudbus]\nlisten=tcp://127.0.0.1:7\n[a]\n" OK},
	{S, "[a]\n" SERVER "[b]\n" OK "[Cloudbus]\nconnect=tcp://h:1\nconnect=tcp://h:2\n"
	    "connect=unix:///c\ntransports=3\n"},
	{C, FILES "listen=bus://127.0.0.1:7\n[a]\n" BIND},
	{S, FILES "connect=bus://h:7\n[a]\n" SERVER},
#ifdef HAVE_MICROHTTPD
	{C, "[Cloudbus]\nmetrics=tcp://[::1]:9\nlisten=tcp://127.0.0.1:9\n[a]\n" OK},
	{S, "[Cloudbus]\nmetrics=UNIX://@m\n[a]\n" OK},
	{C, "[a]\n" OK "[Cloudbus]\nmetrics=tcp://127.0.0.1:9\n[b]\nbind=tcp://[::1]:9\n" SERVER},
#endif
	/* the same host on two ports, or a name and its address, are two servers */
	{C, "[a]\n" OK "server=tcp://h:3\nserver=tcp://h.:2\nserver=tcp://127.0.0.1:2\n"},
	{C, "[b\xc3\xbc"
	    "cher \xe6\x9c\xac]\n" OK},
};

START_TEST(good_texts_are_taken)
{
	int rc = parse(good[_i].role, good[_i].text);
	ck_assert_str_eq(said, "");
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_ge(conf->n_services, 1);
}
END_TEST

START_TEST(a_service_without_a_server_leads_to_its_name)
{
	ck_assert_int_eq(parse(C, "[Cloudbus]\nlisten=tcp://127.0.0.1:7\nlisten=unix://@l\n"
				  "[Web]\n" BIND "[b]\nbind=unix:///b\nservice=Other\n"
				  "[c]\nbind=unix:///c\nserver=bus:Far\nserver=tcp://h:2\n"),
		0);
	static const char *const names[] = {"Web", "Other", "Far"};
	ck_assert_uint_eq(conf->n_listens, 2);
	ck_assert_uint_eq(addr_port(&conf->listens[0].addr), 7);
	for (int i = 0; i < 3; i++) {
		const struct conf_service *s = &conf->services[i];
		ck_assert_uint_eq(s->n_servers, i == 2 ? 2 : 1);
		ck_assert_str_eq(s->servers[0].service, names[i]);
		ck_assert_int_eq(strncmp(s->servers[0].text, "bus:", 4), 0);
		ck_assert_int_eq(s->balance, CONF_ROUND_ROBIN);
		ck_assert_int_eq(s->fanout, CONF_FANOUT_ONE);
	}
	ck_assert_ptr_null(conf->services[2].servers[1].service);
}
END_TEST

START_TEST(a_segment_that_dials_needs_no_bind)
{
	ck_assert_int_eq(parse(S, "[Cloudbus]\nconnect=tcp://C.example:7\nconnect=tcp://"
				  "[::1]:8\n[a]\n" SERVER),
		0);
	ck_assert_uint_eq(conf->n_connects, 2);
	ck_assert_str_eq(conf->connects[0].host, "c.example");
	ck_assert_uint_eq(conf->connects[0].port, 7);
	ck_assert_ptr_null(conf->connects[1].host);
	ck_assert_ptr_null(conf->services[0].bind.text);
	ck_assert_uint_eq(conf->transports, 8);
}
END_TEST

START_TEST(a_secured_endpoint_says_so)
{
	ck_assert_int_eq(parse(C, "[a]\n" OK "server=bus://h:3\nserver=bus+unix:///s\n" FILES), 0);
	const struct conf_service *s = &conf->services[0];
	ck_assert(!s->bind.secured);
	ck_assert(!s->servers[0].secured);
	ck_assert(s->servers[1].secured);
	ck_assert_str_eq(s->servers[1].host, "h");
	ck_assert_uint_eq(s->servers[1].port, 3);
	ck_assert(s->servers[2].secured);
	ck_assert_int_eq(addr_family(&s->servers[2].addr), AF_UNIX);
}
END_TEST

/* Whatever folder the program was started in. */
START_TEST(a_relative_path_stands_beside_the_file)
{
	static const char text[] = "[Cloudbus]\ntrust=t\nidentity=/k/i\ntoken=../x y\n[a]\n" OK;
	static const struct {
		const char *file, *trust, *token;
	} files[] = {{"x.ini", "t", "../x y"}, {"/etc/c/x.ini", "/etc/c/t", "/etc/c/../x y"},
		{"d/x.ini", "d/t", "d/../x y"}, {"/x.ini", "/t", "/../x y"}};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct conf_source src = {
			.file = files[i].file, .text = text, .n = sizeof text - 1};
		ck_assert_int_eq(conf_parse(&conf, C, &src, &m.mem, hear, NULL), 0);
		ck_assert_str_eq(conf->trust, files[i].trust);
		ck_assert_str_eq(conf->identity, "/k/i");
		ck_assert_str_eq(conf->token, files[i].token);
		ck_assert_ptr_null(conf->revoked);
		conf_free(conf);
		conf = NULL;
	}
}
END_TEST

/* --- what is bad -------------------------------------------------------------- */

#define X "x.ini:"
#define BUS ", and between nodes bus:// for tcp:// and bus+unix:// for unix://"
#define BINDS "tcp://IPv4:port, tcp://[IPv6]:port, unix:///path or unix://@name" BUS
#define SERVERS CONNECTS "; on a controller with listen= also bus:SERVICE"
#define CONNECTS                                                                                   \
	"tcp://IPv4:port, tcp://[IPv6]:port, tcp://host:port, unix:///path or unix://@name" BUS
#define HERE "tcp:// or unix:// here; bus:// leads from node to node only"
#define NAMES "a name of 1 to 255 bytes of UTF-8 without control characters"
#define N16 "0123456789abcdef"
#define N64 N16 N16 N16 N16

static const struct {
	enum conf_role role;
	const char *text, *want;
} bad[] = {
	/* nothing to do */
	{C, "", "x.ini: expected a service: a section with bind= and server=\n"},
	{S, "[Cloudbus]\nlog=debug\n",
		"x.ini: expected a service: a section with bind= and server=\n"},
	/* what is missing */
	{C, "[a]\n[b]\n" OK "[c]\n" SERVER,
		X "1: [a] bind: the key is missing; expected " BINDS "\n" X
		  "1: [a] server: the key is missing; expected " SERVERS "\n" X
		  "5: [c] bind: the key is missing; expected " BINDS "\n"},
	/* addresses */
	{C, "[a]\nbind=ftp://h:1\nserver=http://h:2\n",
		X "2: [a] bind: \"ftp://h:1\": expected " BINDS "\n" X
		  "3: [a] server: \"http://h:2\": expected " SERVERS "\n"},
	{C, "[a]\nbind=tcp://localhost:1\nbackend=tcp://h\n",
		X "2: [a] bind: \"tcp://localhost:1\": expected an IPv4 or [IPv6] address here, "
		  "not a host name\n" X
		  "3: [a] backend: \"tcp://h\": expected a port from 1 to 65535\n"},
	{C, "[a]\nbind=\n" SERVER, X "2: [a] bind: \"\": expected " BINDS "\n"},
	/* links that segments dial */
	{C, "[a]\n" BIND "server=bus:x\n",
		X "3: [a] server: \"bus:x\": expected listen= in [Cloudbus] for it: segments that "
		  "serve a name dial there\n"},
	{C, "[a]\n" BIND, X "1: [a] server: the key is missing; expected " SERVERS "\n"},
	{S, "[a]\n" SERVER, X "1: [a] bind: the key is missing; expected " BINDS "\n"},
	{C, "[Cloudbus]\nlisten=tcp://127.0.0.1:7\n[a]\n" SERVER,
		X "3: [a] bind: the key is missing; expected " BINDS "\n"},
	{S, "[Cloudbus]\nconnect=tcp://h:7\n[a]\n" BIND,
		X "3: [a] server: the key is missing; expected " SERVERS "\n"},
	{C, "[Cloudbus]\nlisten=tcp://h:7\n[a]\n" BIND, /* one error, not two */
		X "2: [Cloudbus] listen: \"tcp://h:7\": expected an IPv4 or [IPv6] address here, "
		  "not a host name\n"},
	{S, "[Cloudbus]\nconnect=udp://h:7\n[a]\n" SERVER,
		X "2: [Cloudbus] connect: \"udp://h:7\": expected " CONNECTS "\n"},
	{C, "[Cloudbus]\nlisten=tcp://127.0.0.1:1\n[a]\n" OK,
		X "4: [a] bind: \"tcp://127.0.0.1:1\": segments dial to it, as line 2 says\n"},
	{C, "[Cloudbus]\nlisten=tcp://127.0.0.1:7\nlisten=tcp://127.0.0.1:7\n[a]\n" BIND,
		X
		"3: [Cloudbus] listen: \"tcp://127.0.0.1:7\": the same listen stands in line 2\n"},
	{C, "[a]\n" OK "balance=least_sessions\nfanout=all\n",
		X "1: [a] balance: expected only where a server is bus:SERVICE\n" X
		  "1: [a] fanout: expected only where a server is bus:SERVICE\n"},
	{C, "[Cloudbus]\nlisten=tcp://127.0.0.1:7\n[a]\n" BIND "balance=random\nfanout=2\n",
		X "5: [a] balance: \"random\": expected round_robin or least_sessions\n" X
		  "6: [a] fanout: \"2\": expected one or all\n"},
	{C,
		"[Cloudbus]\nlisten=tcp://127.0.0.1:7\n[a]\n" BIND "server=bus:\nserver=bus:x\n"
		"server=BUS:X\n",
		X
		"5: [a] server: \"bus:\": expected a name of 1 to 255 bytes of UTF-8 after bus:\n" X
		"7: [a] server: \"BUS:X\": the same server stands in line 6\n"},
	{S, "[Cloudbus]\nconnect=bus:x\n[a]\nserver=bus:y\nbind=bus:z\n",
		X "2: [Cloudbus] connect: \"bus:x\": expected an address here; bus:SERVICE is a "
		  "controller's server\n" X
		  "4: [a] server: \"bus:y\": expected an address here; bus:SERVICE is a "
		  "controller's server\n" X
		  "5: [a] bind: \"bus:z\": expected an address here; bus:SERVICE is a "
		  "controller's server\n"},
	{C, "[Cloudbus]\nconnect=tcp://h:1\n[a]\n" OK,
		X "2: [Cloudbus] connect: \"tcp://h:1\": expected only in the file of a segment\n"},
	{S, "[Cloudbus]\nlisten=tcp://127.0.0.1:7\n[a]\n" OK,
		X "2: [Cloudbus] listen: \"tcp://127.0.0.1:7\": expected only in the file of a "
		  "controller\n"},
#ifdef HAVE_MICROHTTPD
	{C, "[Cloudbus]\nmetrics=tcp://127.0.0.1:9\nlisten=tcp://127.0.0.1:9\n[a]\n" OK,
		X "2: [Cloudbus] metrics: \"tcp://127.0.0.1:9\": segments dial to it, as line 3 "
		  "says\n"},
	{C, "[a]\n" OK "[Cloudbus]\nmetrics=tcp://127.0.0.1:1\n",
		X "5: [Cloudbus] metrics: \"tcp://127.0.0.1:1\": a service binds it in line 2\n"},
	{S,
		"[Cloudbus]\nmetrics=unix:///m\n[a]\nbind=unix:///m\n" SERVER
		"[b]\nbind=unix:///m\n" SERVER,
		X "2: [Cloudbus] metrics: \"unix:///m\": a service binds it in line 4\n"},
	{S, "[Cloudbus]\nmetrics=tcp://h:9\n[a]\n" OK,
		X "2: [Cloudbus] metrics: \"tcp://h:9\": expected an IPv4 or [IPv6] address "
		  "here, not a host name\n"},
	{S, "[Cloudbus]\nmetrics=bus://127.0.0.1:9\n[a]\n" OK,
		X "2: [Cloudbus] metrics: \"bus://127.0.0.1:9\": expected tcp:// or unix:// "
		  "here; bus:// leads from node to node only\n"},
	{C, "[Cloudbus]\nmetrics=9\nmetrics=tcp://127.0.0.1:9\n[a]\n" OK,
		X "2: [Cloudbus] metrics: \"9\": expected tcp://IPv4:port, tcp://[IPv6]:port, "
		  "unix:///path or unix://@name\n" X
		  "3: [Cloudbus] metrics: \"tcp://127.0.0.1:9\": the key stands already in line "
		  "2\n"},
	{C, "[Cloudbus]\nmetrics=bus:x\n[a]\n" OK,
		X "2: [Cloudbus] metrics: \"bus:x\": expected an address here; bus:SERVICE is a "
		  "controller's server\n"},
#else
	{C, "[Cloudbus]\nmetrics=tcp://127.0.0.1:9\n[a]\n" OK,
		X "2: [Cloudbus] metrics: \"tcp://127.0.0.1:9\": this program was built without "
		  "libmicrohttpd, which serves metrics (configure --without-metrics)\n"},
#endif
	{C, "[Cloudbus]\nlisten=bus://127.0.0.1:7\ntrust=t\ntoken=k\n[a]\n" BIND,
		X "2: [Cloudbus] listen: \"bus://127.0.0.1:7\": expected identity= in [Cloudbus] "
		  "for it\n"},
	{S, "[Cloudbus]\nconnect=bus://h:7\ntrust=t\nidentity=i\n[a]\n" SERVER,
		X "2: [Cloudbus] connect: \"bus://h:7\": expected token= in [Cloudbus] for it\n"},
	/* secured addresses: from node to node, with all that it takes, and not plain as well */
	{C, FILES "[a]\nbind=bus://127.0.0.1:1\n" SERVER,
		X "6: [a] bind: \"bus://127.0.0.1:1\": expected " HERE "\n"},
	{S, FILES "[a]\n" BIND "server=bus+unix:///s\n",
		X "7: [a] server: \"bus+unix:///s\": expected " HERE "\n"},
	{S, "[a]\nbind=bus://127.0.0.1:1\n" SERVER "[b]\nbind=bus://127.0.0.1:2\n" SERVER,
		X "2: [a] bind: \"bus://127.0.0.1:1\": expected trust= in [Cloudbus] for it\n" X
		  "2: [a] bind: \"bus://127.0.0.1:1\": expected identity= in [Cloudbus] for it\n" X
		  "2: [a] bind: \"bus://127.0.0.1:1\": expected token= in [Cloudbus] for it\n"},
	{C, "[a]\n" OK "server=bus://h:3\n[Cloudbus]\ntrust=t\ntoken=k\n",
		X "4: [a] server: \"bus://h:3\": expected identity= in [Cloudbus] for it\n"},
	{S, FILES "[a]\nbind=bus://127.0.0.1:1\n" SERVER "[b]\n" BIND SERVER,
		X "9: [b] bind: \"tcp://127.0.0.1:1\": the same address stands in line 6 with the "
		  "other scheme, bus or not\n"},
	{C, FILES "[a]\n" OK "server=bus://h:2\n",
		X "8: [a] server: \"bus://h:2\": the same server stands in line 7\n"},
	{C, "[Cloudbus]\ntrust=\n[a]\n" OK,
		X "2: [Cloudbus] trust: \"\": expected a file, of at most 4095 bytes\n"},
	/* units and bounds */
	{C, "[a]\n" OK "connect_timeout=5\nidle_timeout=1ms\nmax_sessions=many\n",
		X "4: [a] connect_timeout: \"5\": expected a unit after the number: ms, s, m, h or "
		  "d\n" X "5: [a] idle_timeout: \"1ms\": expected off, or a duration from 100ms to "
		  "365d\n" X
		  "6: [a] max_sessions: \"many\": expected a number from 0 to 1000000\n"},
	{C,
		"[Cloudbus]\nmemory=1\nlog=loud\ndns=h\ndrain_timeout=8d\n[a]\n" OK
		"mode=simplex\nservice=\n",
		X "2: [Cloudbus] memory: \"1\": expected a size from 1M to 1024G\n" X
		  "3: [Cloudbus] log: \"loud\": expected error, warning, notice, info or debug\n" X
		  "4: [Cloudbus] dns: \"h\": expected IPv4, IPv4:port, IPv6 or [IPv6]:port\n" X
		  "5: [Cloudbus] drain_timeout: \"8d\": expected a duration from 0s to 7d\n" X
		  "9: [a] mode: \"simplex\": expected half duplex or full duplex\n" X
		  "10: [a] service: \"\": expected " NAMES "\n"},
	/* unknown and misplaced keys; what was meant is not missing as well */
	{C, "[a]\nbnid=tcp://127.0.0.1:1\n" SERVER "colour=red\n",
		X "2: [a] bnid: \"tcp://127.0.0.1:1\": unknown key; did you mean \"bind\"?\n" X
		  "4: [a] colour: \"red\": unknown key\n"},
	{C, "[Cloudbus]\nbind=tcp://127.0.0.1:1\n[a]\n" OK "log=info\n",
		X "2: [Cloudbus] bind: \"tcp://127.0.0.1:1\": expected only in the section of a "
		  "service\n" X "6: [a] log: \"info\": expected only in the section [Cloudbus]\n"},
	{S, "[a]\n" OK "service=b\nmember_timeout=3s\n",
		X "4: [a] service: \"b\": expected only in the file of a controller\n" X
		  "5: [a] member_timeout: \"3s\": expected only in the file of a controller\n"},
	{C, "k=v\n[a]\n" OK, X "1: k: \"v\": expected a section's header before it\n"},
	/* twice */
	{C, "[a]\n" OK "mode=half duplex\nMODE=full duplex\n" BIND,
		X "5: [a] MODE: \"full duplex\": the key stands already in line 4\n" X
		  "6: [a] bind: \"tcp://127.0.0.1:1\": the key stands already in line 2\n"},
	/* a bad value first, then another: one error each */
	{C, "[a]\nbind=x\n" BIND SERVER,
		X "2: [a] bind: \"x\": expected " BINDS "\n" X
		  "3: [a] bind: \"tcp://127.0.0.1:1\": the key stands "
		  "already in line 2\n"},
	{C, "[Echo]\n" OK "[eCHO]\nmode=half duplex\n",
		X "4: [eCHO] the section stands already in line 1\n"},
	{C, "[Cloudbus]\n[a]\n" OK "[cloudbus]\n",
		X "5: [cloudbus] the section stands already in line 1\n"},
	{C, "[a]\n" OK "[b]\nbind=TCP://127.0.0.1:0001\n" SERVER,
		X "5: [b] bind: \"TCP://127.0.0.1:0001\": another service binds it in line 2\n"},
	{C, "[\xff]\n" OK "[b]\n" OK,
		X "1: [\\xff] expected " NAMES "\n" X
		  "5: [b] bind: \"tcp://127.0.0.1:1\": another service binds it in line 2\n"},
	{C, "[a]\n" OK "backend=tcp://H:2\nserver=tcp://[::1]:1\nserver=tcp://[0:0::1]:1\n",
		X "4: [a] backend: \"tcp://H:2\": the same server stands in line 3\n" X
		  "6: [a] server: \"tcp://[0:0::1]:1\": the same server stands in line 5\n"},
	{S, "[a]\n" OK "server=tcp://h:3\n",
		X "4: [a] server: \"tcp://h:3\": expected one server in a segment's service; it "
		  "stands in line 3\n"},
	/* lines and headers that are neither; what they may have held is not missing */
	{C, "[a]\nbind tcp\n", X "2: [a] \"bind tcp\": expected \"[section]\" or \"key=value\"\n"},
	{C, "garbage\n[a]\n" OK, X "1: \"garbage\": expected \"[section]\" or \"key=value\"\n"},
	{C, "[a\n" OK, X "1: [a] expected a \"]\" after the section's name\n"},
	{C, "[a] b\n" OK, X "1: [a] expected nothing but a comment after the \"]\"\n"},
	{C, "[]\n" OK, X "1: [] expected " NAMES "\n"},
	{C, "[]\n" OK "[]\nbind=unix:///b\n" SERVER,
		X "1: [] expected " NAMES "\n" X "4: [] expected " NAMES "\n"},
	{C, "[a\tb]\n" OK, X "1: [a\\x09b] expected " NAMES "\n"},
	{C, "[a\xff]\n" OK, X "1: [a\\xff] expected " NAMES "\n"},
	/* what is quoted is cut and escaped */
	{C, "[a]\n" BIND "server=" N64 N16 "\n",
		X "3: [a] server: \"" N64 N16 "\": expected " SERVERS "\n"},
	{C, "[a]\n" BIND "server=" N64 N16 "g\n",
		X "3: [a] server: \"" N64 N16 "...\": expected " SERVERS "\n"},
	{C, "[a]\n" BIND "server=" N64 "0123456789abcd\xe6\x9c\xac\n",
		X "3: [a] server: \"" N64 "0123456789abcd...\": expected " SERVERS "\n"},
	{C, "[a]\n" BIND "server=\x1b[2J\"\\\xe6\x9c\xac\xff\x7f\n",
		X "3: [a] server: \"\\x1b[2J\\\"\\\\\xe6\x9c\xac\\xff\\x7f\": expected " SERVERS
		  "\n"},
	{C, "[a]\n" OK N64 N64 "=1\n", X "4: [a] " N64 N16 "...: \"1\": unknown key\n"},
};

START_TEST(bad_texts_are_told_word_for_word)
{
	ck_assert_int_eq(parse(bad[_i].role, bad[_i].text), ERR_INVALID);
	ck_assert_str_eq(said, bad[_i].want);
	ck_assert_ptr_null(conf);
}
END_TEST

START_TEST(case_48_nul_bytes_are_errors_with_a_line)
{
	static const char text[] = "[a]\nbind=tcp://127.0.0.1:1\0\n" SERVER;
	ck_assert_int_eq(parse_bytes(C, text, sizeof text - 1), ERR_INVALID);
	ck_assert_str_eq(said, X "2: [a] the line has a NUL byte; expected UTF-8 text\n");
}
END_TEST

/* --- limits ------------------------------------------------------------------- */

struct text {
	char *s;
	size_t n, room;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	if (t->room - t->n < 4096) {
		t->room = 2 * t->room + 8192;
		t->s = realloc(t->s, t->room);
		ck_assert_ptr_nonnull(t->s);
	}
	va_start(ap, fmt);
	t->n += (size_t)vsnprintf(t->s + t->n, t->room - t->n, fmt, ap);
	va_end(ap);
}

START_TEST(names_have_255_bytes)
{
	struct text t = {.n = 0};
	for (int n = 254; n <= 256; n++) {
		t.n = 0;
		add(&t, "[%0*d]\n" OK "service=%0*d\n", n, 1, n, 2);
		int rc = parse_bytes(C, t.s, t.n);
		ck_assert_int_eq(rc, n <= CONF_NAME_MAX ? 0 : ERR_INVALID);
		ck_assert_uint_eq(lines_said, n <= CONF_NAME_MAX ? 0 : 2);
		if (rc == 0)
			ck_assert_uint_eq(strlen(conf->services[0].name), (size_t)n);
		conf_free(conf);
		conf = NULL;
	}
	free(t.s);
}
END_TEST

START_TEST(servers_and_resolvers_have_a_limit)
{
	struct text t = {.n = 0};
	for (int over = 0; over < 2; over++) {
		t.n = 0;
		add(&t, "[Cloudbus]\n");
		for (int i = 0; i < CONF_DNS_MAX + over; i++)
			add(&t, "dns=192.0.2.%d\n", i);
		add(&t, "[a]\n" BIND);
		for (int i = 0; i < CONF_SERVERS_MAX + over; i++)
			add(&t, "server=tcp://h:%d\n", i + 1);
		ck_assert_int_eq(parse_bytes(C, t.s, t.n), over ? ERR_INVALID : 0);
		if (over)
			break;
		ck_assert_uint_eq(conf->n_dns, CONF_DNS_MAX);
		ck_assert_uint_eq(conf->services[0].n_servers, CONF_SERVERS_MAX);
		conf_free(conf);
	}
	ck_assert_str_eq(said,
		X "10: [Cloudbus] dns: \"192.0.2.8\": expected at most 8 name servers\n" X
		  "77: [a] server: \"tcp://h:65\": expected at most 64 servers in a section\n");
	free(t.s);
}
END_TEST

START_TEST(links_and_what_they_announce_have_a_limit)
{
	struct text t = {.n = 0};
	add(&t, "[Cloudbus]\n");
	for (int i = 0; i < CONF_CONNECTS_MAX + 1; i++)
		add(&t, "connect=tcp://h:%d\n", i + 1);
	for (int i = 0; i < CONF_ANNOUNCED_MAX + 1; i++)
		add(&t, "[s%d]\n" SERVER, i);
	ck_assert_int_eq(parse_bytes(S, t.s, t.n), ERR_INVALID);
	ck_assert_str_eq(said,
		X "18: [Cloudbus] connect: \"tcp://h:17\": expected at most 16 connects in a "
		  "section\n" X
		  "2: [Cloudbus] connect: expected at most 16384 services with it; there are "
		  "16385\n");
	free(t.s);
}
END_TEST

/* Seconds of processor time, so that a busy machine does not fail the test. */
static double seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void add_service(struct text *t, int i)
{
	add(t, "[service %d]\nbind=tcp://127.%d.%d.%d:9000\nserver=tcp://h:1\n", i, i >> 16,
		i >> 8 & 255, i & 255);
}

START_TEST(case_48_sections_up_to_the_limit_take_bounded_time)
{
	struct text t = {.n = 0};
	for (int i = 0; i < CONF_SERVICES_MAX; i++)
		add_service(&t, i);
	double start = seconds();
	ck_assert_int_eq(parse_bytes(C, t.s, t.n), 0);
	ck_assert_uint_eq(conf->n_services, CONF_SERVICES_MAX);
	ck_assert_str_eq(conf->services[65535].name, "service 65535");
	conf_free(conf);
	add_service(&t, CONF_SERVICES_MAX);
	add_service(&t, CONF_SERVICES_MAX + 1);
	ck_assert_int_eq(parse_bytes(C, t.s, t.n), ERR_INVALID);
	ck_assert_str_eq(said, X "196609: [service 65536] expected at most 65536 services\n");
	/* Comparing each with each would take minutes. */
	ck_assert_double_lt(seconds() - start, 20);
	free(t.s);
}
END_TEST

START_TEST(case_48_all_sections_alike_take_bounded_time)
{
	struct text t = {.n = 0};
	for (int i = 0; i < 20000; i++)
		add(&t, "[%s]\n" OK, i & 1 ? "a" : "A");
	double start = seconds();
	ck_assert_int_eq(parse_bytes(C, t.s, t.n), ERR_INVALID);
	ck_assert_double_lt(seconds() - start, 20);
	ck_assert_uint_eq(lines_said, CONF_ERRORS_MAX + 1);
	ck_assert_ptr_nonnull(strstr(said, "\nx.ini: and 19899 more errors\n"));
	free(t.s);
}
END_TEST

/* A mebibyte in each place that can hold one. */
START_TEST(case_48_a_line_of_a_mebibyte_is_one_error)
{
	/* A header that is not closed is a section in which two keys are missing. */
	static const struct {
		const char *start;
		unsigned errors;
	} lines[] = {{"bind=", 1}, {"server=tcp://", 1}, {"server=unix:///", 1}, {"service=", 1},
		{"max_sessions=", 1}, {"mode=", 1}, {"dns=", 1}, {"[", 3}, {"", 1}, {"x", 1},
		{"; ", 0}, {"mode=half duplex ;", 0}};
	enum { LONG = 1 << 20 };
	char *filler = malloc(LONG);
	ck_assert_ptr_nonnull(filler);
	memset(filler, '7', LONG);
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		struct text t = {.n = 0};
		add(&t, "[a]\n" OK "%s", lines[i].start);
		t.s = realloc(t.s, t.n + LONG);
		ck_assert_ptr_nonnull(t.s);
		memcpy(t.s + t.n, filler, LONG);
		double start = seconds();
		int rc = parse_bytes(C, t.s, t.n + LONG);
		ck_assert_double_lt(seconds() - start, 5);
		ck_assert_int_eq(rc, lines[i].errors == 0 ? 0 : ERR_INVALID);
		ck_assert_uint_eq(lines_said, lines[i].errors);
		if (rc != 0)
			ck_assert_ptr_eq(strstr(said, X "4: "), said);
		ck_assert_uint_lt(n_said, 1000);
		conf_free(conf);
		conf = NULL;
		free(t.s);
	}
	free(filler);
}
END_TEST

START_TEST(a_file_over_the_limit_is_refused_unread)
{
	/* A text that is not there: reading it would crash. */
	ck_assert_int_eq(parse_bytes(C, "", (size_t)CONF_FILE_MAX + 1), ERR_INVALID);
	ck_assert_str_eq(said, "x.ini: the file is too long; expected at most 67108864 bytes\n");
}
END_TEST

START_TEST(of_many_errors_the_rest_is_counted)
{
	struct text t = {.n = 0};
	add(&t, "[a]\n" OK);
	for (int i = 0; i < CONF_ERRORS_MAX; i++)
		add(&t, "zzz%d=1\n", i);
	ck_assert_int_eq(parse_bytes(C, t.s, t.n), ERR_INVALID);
	ck_assert_uint_eq(lines_said, CONF_ERRORS_MAX);
	ck_assert_ptr_null(strstr(said, "more error"));
	add(&t, "x\n");
	ck_assert_int_eq(parse_bytes(C, t.s, t.n), ERR_INVALID);
	ck_assert_uint_eq(lines_said, CONF_ERRORS_MAX + 1);
	ck_assert_ptr_nonnull(strstr(said, "\nx.ini: and 1 more error\n"));
	free(t.s);
}
END_TEST

/* --- memory ------------------------------------------------------------------- */

START_TEST(case_39_every_allocation_may_fail)
{
	static const char text[] =
		"[Cloudbus]\ndns=::1\ntrust=a\nidentity=b\ntoken=c\nrevoked=d\n" METRICS "[a]\n" OK
		"server=tcp://i:1\nserver=tcp://j:1\nservice=z\n"
		"[b]\nbind=unix:///b\n" SERVER "[c]\nbind=unix:///c\n" SERVER
		"[d]\nbind=unix:///d\n" SERVER "[e]\nbind=unix:///e\n" SERVER
		"[f]\nbind=unix:///f\n" SERVER "[g]\nbind=unix:///g\n" SERVER
		"[h]\nbind=unix:///h\n" SERVER "[i]\nbind=unix:///i\n" SERVER;
	size_t refused = 0;
	for (int sticky = 0; sticky < 2; sticky++) {
		for (size_t at = 1;; at++) {
			unit_mem_init(&m);
			m.fail_at = at;
			m.sticky = sticky;
			int rc = parse(C, text);
			if (!m.failed) {
				ck_assert_int_eq(rc, 0);
				break;
			}
			/* A hash table that cannot grow goes on with the size it has. */
			if (rc == 0) {
				ck_assert_uint_eq(conf->n_services, 9);
				conf_free(conf);
				conf = NULL;
			} else {
				ck_assert_int_eq(rc, ERR_NOMEM);
				ck_assert_ptr_null(conf);
				ck_assert_str_eq(said, "x.ini: out of memory\n");
				refused++;
			}
			ck_assert_uint_eq(m.live, 0);
		}
		ck_assert_int_eq(m.failed, 0);
		conf_free(conf);
		conf = NULL;
	}
	ck_assert_uint_gt(refused, 80);
}
END_TEST

START_TEST(errors_and_no_memory_leave_nothing_behind)
{
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		for (size_t at = 1;; at++) {
			unit_mem_init(&m);
			m.fail_at = at;
			int rc = parse(bad[i].role, bad[i].text);
			ck_assert(rc == ERR_INVALID || rc == ERR_NOMEM);
			ck_assert_uint_gt(n_said, 0);
			ck_assert_ptr_null(conf);
			ck_assert_uint_eq(m.live, 0);
			if (!m.failed)
				break;
		}
	}
}
END_TEST

START_TEST(freeing_nothing_does_nothing)
{
	conf_free(NULL);
}
END_TEST

/* --- the files that are shipped --------------------------------------------------- */

static void check_file(enum conf_role role, const char *path)
{
	static char text[1 << 16];
	FILE *f = fopen(path, "r");
	ck_assert_msg(f != NULL, "%s cannot be opened", path);
	size_t n = fread(text, 1, sizeof text, f);
	fclose(f);
	ck_assert_uint_lt(n, sizeof text);
	int rc = parse_bytes(role, text, n);
	ck_assert_msg(rc == 0 && n_said == 0, "%s: %s", path, said);
	conf_free(conf);
	conf = NULL;
}

START_TEST(installed_files_are_good)
{
	check_file(C, UNIT_SRCDIR "/etc/controller.ini");
	check_file(S, UNIT_SRCDIR "/etc/segment.ini");
}
END_TEST

START_TEST(examples_are_good)
{
	DIR *d = opendir(UNIT_SRCDIR "/examples");
	int n = 0;
	ck_assert_ptr_nonnull(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		char path[1024];
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		DIR *sub;
		snprintf(path, sizeof path, "%s/examples/%s", UNIT_SRCDIR, e->d_name);
		sub = opendir(path);
		ck_assert_ptr_nonnull(sub);
		for (struct dirent *f; (f = readdir(sub)) != NULL;) {
			size_t len = strlen(f->d_name);
			if (len < 4 || strcmp(f->d_name + len - 4, ".ini") != 0)
				continue;
			char file[2048];
			snprintf(file, sizeof file, "%s/%s", path, f->d_name);
			check_file(strncmp(f->d_name, "segment", 7) == 0 ? S : C, file);
			n++;
		}
		closedir(sub);
	}
	closedir(d);
	ck_assert_int_ge(n, 10);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof(a)[0])

static TCase *add_case(Suite *s, const char *name)
{
	TCase *t = tcase_create(name);
	tcase_add_checked_fixture(t, setup, teardown);
	suite_add_tcase(s, t);
	return t;
}

/* --- two of them ---------------------------------------------------------------- */

#define BASE "[a]\nbind=tcp://127.0.0.1:1\nserver=tcp://h:2\n"

static const struct {
	const char *a, *b;
	bool service, revoked, process;
} pairs[] = {
	{BASE, "; a comment\n[a]\nserver=TCP://H:2\nbind = tcp://127.0.0.1:1\nconnect_timeout=5s\n",
		true, true, true},
	{BASE, "[b]\nbind=tcp://127.0.0.1:1\nserver=tcp://h:2\nservice=a\n", true, true, true},
	{BASE, "[a]\nbind=tcp://127.0.0.1:3\nserver=tcp://h:2\n", false, true, true},
	{BASE, "[a]\nbind=unix:///s\nserver=tcp://h:2\n", false, true, true},
	{BASE, "[a]\nbind=tcp://127.0.0.1:1\nserver=tcp://h:3\n", false, true, true},
	{BASE, "[a]\nbind=tcp://127.0.0.1:1\nserver=tcp://i:2\n", false, true, true},
	{BASE, "[a]\nbind=tcp://127.0.0.1:1\nserver=tcp://192.0.2.1:2\n", false, true, true},
	{BASE, BASE "server=tcp://h:3\n", false, true, true},
	{BASE, BASE "mode=full duplex\n", false, true, true},
	{BASE, BASE "service=b\n", false, true, true},
	{BASE, BASE "connect_timeout=6s\n", false, true, true},
	{BASE, BASE "idle_timeout=6s\n", false, true, true},
	{BASE, BASE "member_timeout=6s\n", false, true, true},
	{BASE, BASE "max_sessions=6\n", false, true, true},
	{BASE "[Cloudbus]\ntrust=/t\n", BASE "[Cloudbus]\ntrust=/t\n", true, true, true},
	{BASE, BASE "[Cloudbus]\nrevoked=/t\n", true, false, true},
	{BASE "[Cloudbus]\ntoken=/t\n", BASE "[Cloudbus]\ntoken=/u\n", true, true, true},
	{BASE, BASE "[Cloudbus]\nuser=u\n", true, true, false},
	{BASE "[Cloudbus]\ngroup=u\n", BASE "[Cloudbus]\ngroup=v\n", true, true, false},
	{BASE, BASE "[Cloudbus]\nhardening=off\n", true, true, false},
};

START_TEST(what_differs_is_seen_and_how_it_is_written_is_not)
{
	ck_assert_int_eq(parse(C, pairs[_i].a), 0);
	struct conf *a = conf;
	ck_assert_int_eq(parse(C, pairs[_i].b), 0);
	ck_assert_int_eq(
		conf_equal_service(&a->services[0], &conf->services[0]), pairs[_i].service);
	ck_assert_int_eq(
		conf_equal_service(&conf->services[0], &a->services[0]), pairs[_i].service);
	ck_assert_int_eq(conf_equal_revoked(a, conf), pairs[_i].revoked);
	ck_assert_int_eq(conf_equal_process(a, conf), pairs[_i].process);
	conf_free(a);
}
END_TEST

static const struct {
	enum conf_role role;
	const char *a, *b;
	bool same;
} links[] = {
	{C, "", "", true},
	{C, "", "listen=tcp://127.0.0.1:5\n", false},
	{C, "listen=tcp://127.0.0.1:5\n", "listen=TCP://127.0.0.1:5\n", true},
	{C, "listen=tcp://127.0.0.1:5\n", "listen=tcp://127.0.0.1:6\n", false},
	{C, "listen=tcp://127.0.0.1:5\nlisten=tcp://127.0.0.1:6\n",
		"listen=tcp://127.0.0.1:6\nlisten=tcp://127.0.0.1:5\n", true},
	{CONF_SEGMENT, "connect=tcp://h:5\n", "connect=tcp://h:5\nconnect=tcp://i:5\n", false},
	{CONF_SEGMENT, "connect=tcp://h:5\n", "connect=tcp://H:5\n", true},
};

START_TEST(what_differs_of_links_is_seen)
{
	char a_text[512], b_text[512];
	(void)snprintf(a_text, sizeof a_text, BASE "[Cloudbus]\n%s", links[_i].a);
	(void)snprintf(b_text, sizeof b_text, BASE "[Cloudbus]\n%s", links[_i].b);
	ck_assert_int_eq(parse(links[_i].role, a_text), 0);
	struct conf *a = conf;
	ck_assert_int_eq(parse(links[_i].role, b_text), 0);
	ck_assert_int_eq(conf_equal_links(a, conf), links[_i].same);
	ck_assert_int_eq(conf_equal_links(conf, a), links[_i].same);
	conf_free(a);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("conf");
	TCase *t = add_case(s, "equal");
	tcase_add_loop_test(t, what_differs_is_seen_and_how_it_is_written_is_not, 0,
		(int)(sizeof pairs / sizeof pairs[0]));
	tcase_add_loop_test(t, what_differs_of_links_is_seen, 0, COUNT(links));
	t = add_case(s, "good");
	tcase_add_test(t, the_least_text_has_the_defaults);
	tcase_add_test(t, every_key_goes_where_it_belongs);
#ifdef HAVE_MICROHTTPD
	tcase_add_test(t, the_address_of_the_metrics);
#endif
	tcase_add_test(t, a_service_without_a_server_leads_to_its_name);
	tcase_add_test(t, a_segment_that_dials_needs_no_bind);
	tcase_add_test(t, a_secured_endpoint_says_so);
	tcase_add_test(t, a_relative_path_stands_beside_the_file);
	tcase_add_loop_test(t, good_texts_are_taken, 0, COUNT(good));
	t = add_case(s, "bad");
	tcase_add_loop_test(t, bad_texts_are_told_word_for_word, 0, COUNT(bad));
	tcase_add_test(t, case_48_nul_bytes_are_errors_with_a_line);
	t = add_case(s, "limits");
	tcase_add_test(t, names_have_255_bytes);
	tcase_add_test(t, servers_and_resolvers_have_a_limit);
	tcase_add_test(t, links_and_what_they_announce_have_a_limit);
	tcase_add_test(t, case_48_sections_up_to_the_limit_take_bounded_time);
	tcase_add_test(t, case_48_all_sections_alike_take_bounded_time);
	tcase_add_test(t, case_48_a_line_of_a_mebibyte_is_one_error);
	tcase_add_test(t, a_file_over_the_limit_is_refused_unread);
	tcase_add_test(t, of_many_errors_the_rest_is_counted);
	t = add_case(s, "memory");
	tcase_add_test(t, case_39_every_allocation_may_fail);
	tcase_add_test(t, errors_and_no_memory_leave_nothing_behind);
	tcase_add_test(t, freeing_nothing_does_nothing);
	t = add_case(s, "files");
	tcase_add_test(t, installed_files_are_good);
	tcase_add_test(t, examples_are_good);
	return unit_main(s);
}
