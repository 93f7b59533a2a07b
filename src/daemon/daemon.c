#include "daemon/daemon.h"

#include "config.h"

#include "base/err.h"
#include "base/log.h"
#include "base/standard.h"
#include "bus/coverage.h"
#include "bus/guard.h"
#include "bus/node.h"
#include "conf/conf_equal.h"
#include "crypto/aead.h"
#include "daemon/exporter.h"
#include "daemon/harden.h"
#include "daemon/load.h"
#include "daemon/metrics.h"
#include "daemon/options.h"
#include "daemon/privileges.h"
#include "net/resolver.h"
#include "net/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct daemon {
	enum conf_role role;
	const char *file;
	struct conf *conf; /* of the start; what counts now is bus.conf */
	struct bus bus;
	struct node *node;
	struct exporter *exporter; /* NULL: no metrics */
	struct node_step *first;   /* of the start, while it is not in force */
	struct sock_owner owner;   /* of the sockets that are bound before the process is that */
	struct loop_fd signals;
	struct timer drain;
	bool draining;
	int status;
};

/* --- the configuration ------------------------------------------------------------------- */

static void report(void *ctx, const char *message)
{
	(void)ctx;
	fprintf(stderr, "%s\n", message);
}

/* --- signals ------------------------------------------------------------------------------- */

static void on_drained(void *ctx, size_t cut)
{
	struct daemon *d = ctx;
	if (cut > 0) {
		log_warning("drained; %zu sessions were cut off", cut);
		d->status = DAEMON_EXIT_FAILED;
	} else {
		log_notice("drained");
	}
	loop_stop(d->bus.loop);
}

static void on_drain_timeout(struct timer *timer)
{
	struct daemon *d = container_of(timer, struct daemon, drain);
	node_cut(d->node);
}

static void terminate(struct daemon *d, const char *signal_name)
{
	if (d->draining) {
		log_warning("%s again: exiting at once", signal_name);
		d->status = DAEMON_EXIT_FAILED;
		loop_stop(d->bus.loop);
		return;
	}
	d->draining = true;
	log_notice("%s: draining: no new sessions, %zu running ones may finish", signal_name,
		d->bus.n_sessions);
	uint64_t at = bus_now(&d->bus) + d->bus.conf->drain_timeout;
	if (loop_timer_set(d->bus.loop, &d->drain, at) != 0)
		log_error("no memory for the drain's timer");
	node_drain(d->node, on_drained, d);
}

static void log_report(void *ctx, const char *message)
{
	(void)ctx;
	log_error("%s", message);
}

enum { AS_WHOM = 128 };

/* Behind what is wrong with a file of keys: who has tried to read it. */
static const char *as_whom(char to[static AS_WHOM], const struct conf *conf)
{
	const struct conf_account *a = conf->user.name != NULL ? &conf->user : &conf->group;
	to[0] = '\0';
	if (a->name != NULL)
		(void)snprintf(to, AS_WHOM, " (read as %s \"%.64s\")",
			a == &conf->user ? "user" : "group", a->name);
	return to;
}

/*
 * Loads the keys that it names: bad ones refuse it as a whole.  *made: the bus had no guard, and
 * has one now.
 */
static int prepare_keys(struct daemon *d, const struct conf *conf, bool *made)
{
	char why[WHY_MAX], whom[AS_WHOM];
	struct guard *g;
	int rc = 0;
	*made = false;
	if (d->bus.guard == NULL && !conf->secured)
		return 0;
	if (d->bus.guard == NULL) {
		rc = guard_new(&g, &d->bus, conf, why);
		*made = rc == 0;
	} else {
		rc = guard_prepare(d->bus.guard, conf, why);
	}
	if (rc != 0)
		log_error("%s%s", why, as_whom(whom, conf));
	return rc;
}

/* As exporter_prepare(). */
static int prepare_metrics(struct daemon *d, const struct conf *conf, struct exporter **next)
{
	struct exporter_options opt = {.at = &conf->metrics, .render = metrics_render};
	return exporter_prepare(next, d->exporter, &d->bus, &opt);
}

/* Puts another configuration in force.  0, and it is the bus's; otherwise all is as before. */
static int change_to(struct daemon *d, struct conf *conf, struct node_changes *changes)
{
	struct bus *bus = &d->bus;
	struct resolver *resolver = NULL;
	struct exporter *exporter = NULL;
	struct node_step *step;
	struct dns_options opt = {.servers = conf->dns, .n_servers = conf->n_dns};
	bool made;
	int rc = prepare_keys(d, conf, &made);
	if (rc != 0)
		return rc;
	rc = dns_prepare(bus->dns, &resolver, &opt);
	if (rc != 0)
		log_error("cannot resolve names: %s", err_text(rc));
	else
		rc = prepare_metrics(d, conf, &exporter);
	if (rc == 0 && (rc = node_prepare(&step, d->node, conf)) != 0)
		exporter_abandon(d->exporter, exporter);
	if (rc != 0) {
		resolver_free(resolver);
		if (made)
			guard_free(bus->guard);
		else if (bus->guard != NULL)
			guard_abandon(bus->guard);
		return rc;
	}
	node_commit(step, changes);
	dns_commit(bus->dns, resolver);
	exporter_commit(&d->exporter, exporter);
	if (bus->guard != NULL) {
		guard_use(bus->guard);
		guard_reload(bus->guard);
	}
	(void)coverage_check_plain(conf);
	log_set_level(conf->log_level);
	return 0;
}

/* Who is revoked goes, whatever is wrong with the configuration, which may be NULL. */
static void drop_revoked(struct daemon *d, const struct conf *refused)
{
	if (d->bus.guard != NULL)
		guard_reload_list(d->bus.guard, refused);
}

static void reload(struct daemon *d)
{
	struct node_changes n;
	struct conf *conf;
	if (d->draining) {
		log_notice("SIGHUP: draining: the configuration is not read again");
		drop_revoked(d, NULL);
		return;
	}
	bool links = false;
	int rc = load_file_again(&conf, d->role, d->file, log_report, NULL);
	if (rc == 0)
		links = !conf_equal_links(d->bus.conf, conf);
	if (rc == 0)
		rc = change_to(d, conf, &n);
	d->bus.stats.reloads[rc == 0 ? STATS_OK : STATS_NOT_OK]++;
	if (rc != 0) {
		harden_explain(conf, d->file);
		drop_revoked(d, conf);
		conf_free(conf);
		log_error(
			"SIGHUP: nothing was changed; the configuration before it stays in force");
		return;
	}
	d->bus.stats.reloaded = clock_wall() / CLOCK_SEC;
	if (!conf_equal_process(d->conf, conf))
		log_warning("%s: user, group and hardening count from the next start", d->file);
	log_notice("SIGHUP: configuration reloaded: %zu services added, %zu removed, %zu changed, "
		   "%zu as before%s",
		n.added, n.removed, n.changed, n.unchanged,
		!links                       ? ""
		: d->role == CONF_CONTROLLER ? "; listen= has changed"
					     : "; connect= has changed");
}

static void on_signal(struct loop_fd *lfd)
{
	struct daemon *d = container_of(lfd, struct daemon, signals);
	struct signalfd_siginfo info;
	bool hangup = false;
	while (read(lfd->fd, &info, sizeof info) == sizeof info) {
		switch (info.ssi_signo) {
		case SIGTERM:
			terminate(d, "SIGTERM");
			break;
		case SIGINT:
			terminate(d, "SIGINT");
			break;
		default:
			hangup = true;
			break;
		}
	}
	lfd->ready &= ~(unsigned)LOOP_READABLE;
	if (hangup) /* once, whatever number came */
		reload(d);
}

static int watch_signals(struct daemon *d)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return ERR_SYS;
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return ERR_SYS;
	loop_fd_init(&d->signals, on_signal);
	int rc = loop_add(d->bus.loop, &d->signals, fd);
	if (rc != 0)
		(void)close(fd);
	return rc;
}

/* --- the run --------------------------------------------------------------------------------- */

/* A session costs a descriptor, a link locked memory: the soft limits are no use to anybody. */
static void raise_limit(__rlimit_resource_t of, const char *what)
{
	struct rlimit limit;
	if (getrlimit(of, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(of, &limit) != 0)
		log_warning("cannot raise the limit of %s: %s", what, strerror(errno));
}

static int set_up(struct daemon *d)
{
	struct bus *bus = &d->bus;
	bus->mem = mem_system();
	bus->conf = d->conf;
	bus->loop = loop_new(bus->mem);
	if (bus->loop == NULL)
		return ERR_SYS;
	int rc = bus_init(bus);
	if (rc != 0)
		return rc;
	struct dns_options opt = {
		.servers = d->conf->dns, .n_servers = d->conf->n_dns, .seed = bus->seed};
	rc = dns_new(&bus->dns, bus->loop, bus->mem, &opt);
	return rc != 0 ? rc : watch_signals(d);
}

static void tear_down(struct daemon *d)
{
	struct bus *bus = &d->bus;
	if (bus->loop == NULL)
		return;
	node_abandon(d->first);
	node_free(d->node);
	exporter_free(d->exporter);
	loop_timer_stop(bus->loop, &d->drain);
	dns_free(bus->dns);
	guard_free(bus->guard);
	if (d->signals.event != NULL)
		loop_close(bus->loop, &d->signals);
	bus_fini(bus);
	loop_free(bus->loop);
}

/* 0, or the exit status after saying why. */
static int load_keys(struct daemon *d)
{
	char why[WHY_MAX], whom[AS_WHOM];
	struct guard *g;
	if (!d->conf->secured || guard_new(&g, &d->bus, d->conf, why) == 0)
		return DAEMON_EXIT_OK;
	log_error("%s%s", why, as_whom(whom, d->conf));
	return DAEMON_EXIT_CONFIG;
}

/* Whom we have become must be able to read what a reload will read. */
static int check_readable(const struct conf *conf, const char *file, conf_report *say)
{
	char text[CONF_PATH_MAX + 256];
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd >= 0) {
		(void)close(fd);
		return 0;
	}
	bool by_user = conf->user.name != NULL;
	(void)snprintf(text, sizeof text,
		"%.*s: %s \"%.64s\" cannot read it, as a reload has to: %s", CONF_PATH_MAX, file,
		by_user ? "the user" : "the group", by_user ? conf->user.name : conf->group.name,
		strerror(errno));
	say(NULL, text);
	return ERR_SYS;
}

/*
 * The files that [Cloudbus] names, for option -t: 0, or after saying why.  A token that only time
 * or a fresh one mends is no error, as it keeps no process from starting; it is said.
 */
static int test_keys(const struct conf *conf, const struct privileges *p)
{
	char why[WHY_MAX], whom[AS_WHOM];
	if (!conf->secured)
		return 0;
	struct credentials *c;
	struct credentials_source source = guard_source(conf, mem_system());
	if (p->asked)
		source.owner = p->uid;
	source.any_time = true;
	int rc = credentials_load(&c, &source, why);
	if (rc != 0)
		fprintf(stderr, "%s%s\n", why, as_whom(whom, conf));
	else if (token_check_time(c->token, source.now, why) != 0)
		fprintf(stderr, "%s: %s; no secured link comes up with it\n", conf->token, why);
	credentials_free(c);
	return rc;
}

/* 0, or ERR_INVALID after saying what is wrong. */
static int find_account(struct privileges *p, const struct conf *conf, const char *file)
{
	const struct conf_account *bad;
	int rc = privileges_find(p, conf, &bad);
	const char *key = bad == &conf->user ? "user" : "group";
	if (rc == 0)
		return 0;
	fprintf(stderr, "%s:%u: [Cloudbus] %s: \"%s\": ", file, bad->line, key, bad->name);
	if (rc == ERR_INVALID)
		fprintf(stderr, "expected the name or the number of a %s that exists\n", key);
	else
		fprintf(stderr, "cannot look it up: %s\n",
			rc == ERR_SYS ? strerror(errno) : err_text(rc));
	return ERR_INVALID;
}

/*
 * Option -t, which ends the process: root becomes the user first, as what root can read says
 * nothing.  Others can only look with their own eyes.
 */
static int test(const struct conf *conf, const char *file, const struct privileges *p)
{
	if (p->asked && geteuid() == 0) {
		if (privileges_drop(p) != 0) {
			fprintf(stderr, "cannot become user %ju, group %ju: %s\n",
				(uintmax_t)p->uid, (uintmax_t)p->gid, strerror(errno));
			return DAEMON_EXIT_FAILED;
		}
		if (check_readable(conf, file, report) != 0)
			return DAEMON_EXIT_FAILED;
	}
	if (test_keys(conf, p) != 0)
		return DAEMON_EXIT_CONFIG;
	printf("%s: the configuration is good (%zu services)\n", file, conf->n_services);
	return DAEMON_EXIT_OK;
}

/* Gives up what the process will not need: before a key is read, or anybody is heard. */
static int give_up(struct daemon *d, const struct privileges *p)
{
	const struct conf *conf = d->conf;
	if (privileges_drop(p) != 0) {
		log_error("cannot become user %ju, group %ju: %s", (uintmax_t)p->uid,
			(uintmax_t)p->gid, strerror(errno));
		return ERR_SYS;
	}
	d->bus.sockets = NULL;
	int rc = p->asked ? check_readable(conf, d->file, log_report) : 0;
	return rc != 0 ? rc : harden_process(conf, d->file);
}

/* Binds every address, with the privileges of the start.  0, or after saying why. */
static int bind_all(struct daemon *d, const struct privileges *p)
{
	int rc = set_up(d);
	if (rc == 0)
		rc = node_new(&d->node, &d->bus);
	if (rc != 0) {
		log_error("cannot start: %s", rc == ERR_SYS ? strerror(errno) : err_text(rc));
		return rc;
	}
	d->owner = (struct sock_owner){.uid = p->uid, .gid = p->gid};
	if (p->asked && (p->uid != geteuid() || p->gid != getegid()))
		d->bus.sockets = &d->owner;
	rc = node_prepare(&d->first, d->node, NULL);
	return rc != 0 ? rc : prepare_metrics(d, d->conf, &d->exporter);
}

/*
 * What needs a privilege, then the end of all privileges, then what reads a key or hears
 * anybody: the loop turns last.
 */
static int run(struct daemon *d, const struct privileges *p)
{
	struct node_changes changes;
	if (bind_all(d, p) != 0 || give_up(d, p) != 0)
		return DAEMON_EXIT_FAILED;
	int status = load_keys(d);
	if (status != DAEMON_EXIT_OK)
		return status;
	node_commit(d->first, &changes);
	d->first = NULL;
	if (d->bus.guard != NULL)
		guard_check_services(d->bus.guard);
	(void)coverage_check_plain(d->conf);
	log_notice("%s %s ready: %zu services", options_program(d->role), PACKAGE_VERSION,
		d->conf->n_services);
	if (loop_run(d->bus.loop) != 0) {
		log_error("the event loop failed: %s", strerror(errno));
		return DAEMON_EXIT_FAILED;
	}
	return d->status;
}

static int load_and_run(struct daemon *d, const struct options *opt)
{
	d->file = opt->file;
	if (load_file(&d->conf, d->role, opt->file, report, NULL) != 0)
		return DAEMON_EXIT_CONFIG;
	if (sodium_init() < 0 || token_prepare() != 0 || aead_init() != 0) {
		log_error("the cryptographic libraries cannot be initialised");
		return DAEMON_EXIT_FAILED;
	}
	struct privileges privileges;
	if (find_account(&privileges, d->conf, opt->file) != 0)
		return DAEMON_EXIT_CONFIG;
	if (opt->action == OPTIONS_TEST)
		return test(d->conf, opt->file, &privileges);
	log_set_level(d->conf->log_level);
	raise_limit(RLIMIT_NOFILE, "descriptors");
	raise_limit(RLIMIT_MEMLOCK, "locked memory");
	d->drain.fire = on_drain_timeout;
	int status = run(d, &privileges);
	tear_down(d);
	return status;
}

int daemon_main(enum conf_role role, int argc, char **argv)
{
	struct options opt;
	if (standard_hold() != 0)
		return DAEMON_EXIT_FAILED; /* and there may be nobody to tell */
	if (options_parse(&opt, role, argc, argv) != 0)
		return DAEMON_EXIT_USAGE;
	if (opt.action == OPTIONS_VERSION) {
		printf("%s (cloudbus) %s\n", options_program(role), PACKAGE_VERSION);
		return DAEMON_EXIT_OK;
	}
	if (opt.action == OPTIONS_HELP) {
		options_help(stdout, role);
		return DAEMON_EXIT_OK;
	}
	struct daemon d = {.role = role, .status = DAEMON_EXIT_OK};
	int status = load_and_run(&d, &opt);
	conf_free(d.conf);
	return status;
}
