#include "daemon/exporter.h"

#include "config.h"

#include "base/err.h"
#include "base/log.h"

#ifdef HAVE_MICROHTTPD

#include "base/clock.h"
#include "bus/listen.h"
#include "net/sock.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct exporter {
	struct listen listen;
	struct bus *bus;
	exporter_render *render;
	struct MHD_Daemon *http;
	struct loop_fd epoll; /* http's own, which is readable when it has something to do */
	struct timer idle;    /* when it has to look for connections that are idle */
	/* The texts made in this second, and the last that there may be of them, or NULL. */
	uint64_t second;
	unsigned renders;
	struct MHD_Response *latest;
};

/* What an answer is made of; freed when the last connection that sends it is done. */
struct page {
	struct mem *mem;
	char *text;
};

/* --- answers --------------------------------------------------------------------------------- */

static void free_page(void *cls)
{
	struct page *page = cls;
	struct mem *mem = page->mem;
	mem_free(mem, page->text);
	mem_free(mem, page);
}

/* An answer of n bytes, which become its own in any case.  NULL: no memory. */
static struct MHD_Response *new_page(struct mem *mem, char *text, size_t n)
{
	struct MHD_Response *r = NULL;
	struct page *page = mem_alloc(mem, sizeof *page);
	if (page == NULL) {
		mem_free(mem, text);
		return NULL;
	}
	*page = (struct page){.mem = mem, .text = text};
	r = MHD_create_response_from_buffer_with_free_callback_cls(n, text, free_page, page);
	if (r == NULL)
		free_page(page);
	return r;
}

/* NULL: no memory. */
static struct MHD_Response *render(struct exporter *e)
{
	char *text;
	size_t n;
	if (e->render(e->bus, &text, &n) != 0)
		return NULL;
	struct MHD_Response *r = new_page(e->bus->mem, text, n);
	if (r != NULL && MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE,
				 "text/plain; version=0.0.4; charset=utf-8") != MHD_YES) {
		MHD_destroy_response(r);
		r = NULL;
	}
	return r;
}

static enum MHD_Result answer_metrics(struct exporter *e, struct MHD_Connection *c)
{
	uint64_t second = bus_now(e->bus) / CLOCK_SEC;
	if (second != e->second) {
		e->second = second;
		e->renders = 0;
		if (e->latest != NULL)
			MHD_destroy_response(e->latest);
		e->latest = NULL;
	}
	if (e->latest != NULL)
		return MHD_queue_response(c, MHD_HTTP_OK, e->latest);
	struct MHD_Response *r = render(e);
	if (r == NULL)
		return MHD_NO;
	enum MHD_Result rc = MHD_queue_response(c, MHD_HTTP_OK, r);
	if (++e->renders == EXPORTER_RENDERS)
		e->latest = r;
	else
		MHD_destroy_response(r);
	return rc;
}

/* A line of text; `allow` may be NULL. */
static enum MHD_Result answer_line(
	struct MHD_Connection *c, unsigned status, const char *line, const char *allow)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(
		strlen(line), (void *)(uintptr_t)line, MHD_RESPMEM_PERSISTENT);
	if (r == NULL)
		return MHD_NO;
	enum MHD_Result rc = MHD_add_response_header(
		r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
	if (rc == MHD_YES && allow != NULL)
		rc = MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, allow);
	if (rc == MHD_YES)
		rc = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return rc;
}

static bool has_body(struct MHD_Connection *c)
{
	const char *n =
		MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
	const char *coding =
		MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
	return coding != NULL || (n != NULL && strcmp(n, "0") != 0);
}

/*
 * Called when a request's head is there, and again at its end.  What is answered the first
 * time is answered without its body, and the connection is closed after it.
 */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
	const char *method, const char *version, const char *body, size_t *n_body, void **seen)
{
	struct exporter *e = cls;
	(void)version;
	(void)body;
	(void)n_body;
	bool known = strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
		     strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
	if (*seen == NULL && known && !has_body(c)) {
		*seen = e;
		return MHD_YES;
	}
	if (strcmp(url, "/metrics") != 0)
		return answer_line(c, MHD_HTTP_NOT_FOUND, "The metrics are at /metrics.\n", NULL);
	if (!known)
		return answer_line(c, MHD_HTTP_METHOD_NOT_ALLOWED,
			"The metrics are for GET and HEAD.\n", "GET, HEAD");
	if (answer_metrics(e, c) == MHD_YES)
		return MHD_YES;
	return answer_line(c, MHD_HTTP_SERVICE_UNAVAILABLE, "No memory for it now.\n", NULL);
}

/* Whoever took nothing for too long, or was cut off, leaves nothing behind in the kernel. */
static void on_completed(
	void *cls, struct MHD_Connection *c, void **seen, enum MHD_RequestTerminationCode how)
{
	const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	(void)cls;
	(void)seen;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK && info != NULL)
		(void)setsockopt(info->connect_fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

/* --- libmicrohttpd in the loop --------------------------------------------------------------- */

__attribute__((format(printf, 2, 0))) static void on_message(void *cls, const char *fmt, va_list ap)
{
	char text[256];
	(void)cls;
	if (!log_enabled(LOG_DEBUG))
		return;
	vsnprintf(text, sizeof text, fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("metrics: %s", text);
}

/* Asks when it wants to be run again. */
static void schedule(struct exporter *e)
{
	MHD_UNSIGNED_LONG_LONG ms;
	if (MHD_get_timeout(e->http, &ms) != MHD_YES)
		loop_timer_stop(e->bus->loop, &e->idle);
	else if (ms == 0)
		loop_again(e->bus->loop, &e->epoll);
	else /* without memory the next event asks again, and nobody is late by more */
		(void)loop_timer_set(
			e->bus->loop, &e->idle, bus_now(e->bus) + (uint64_t)ms * CLOCK_MS);
}

static void run(struct exporter *e)
{
	(void)MHD_run(e->http);
	schedule(e);
}

static void on_ready(struct loop_fd *lfd)
{
	lfd->ready = 0;
	run(container_of(lfd, struct exporter, epoll));
}

static void on_idle(struct timer *timer)
{
	run(container_of(timer, struct exporter, idle));
}

static void on_accepted(struct listen *l, int fd, const struct addr *peer)
{
	struct exporter *e = container_of(l, struct exporter, listen);
	const int room = EXPORTER_SEND;
	/* An answer is to arrive although its connection is closed behind it. */
	(void)sock_linger_off(fd);
	/* What one send copies is time that sessions wait. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	/* Closes it where it fails, and has said so then. */
	if (MHD_add_connection(e->http, fd, &peer->sa, peer->len) == MHD_YES)
		schedule(e);
}

/* --- from one address to the next ------------------------------------------------------------ */

/* 0, or ERR_SYS with errno. */
static int start_http(struct exporter *e, unsigned timeout)
{
	const unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG;
	errno = ENOMEM; /* of most failures it does not tell */
	e->http = MHD_start_daemon(flags, 0, NULL, NULL, on_request, e, MHD_OPTION_EXTERNAL_LOGGER,
		on_message, NULL, /* the first, for all others */
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_SIGPIPE_HANDLED_BY_APP,
		1, MHD_OPTION_CONNECTION_LIMIT, (unsigned)EXPORTER_CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, timeout > 0 ? timeout : EXPORTER_TIMEOUT,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)EXPORTER_MEMORY, MHD_OPTION_END);
	if (e->http == NULL)
		return ERR_SYS;
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(e->http, MHD_DAEMON_INFO_EPOLL_FD);
	/* Not edge-triggered: it takes 128 events in a run, and comes again for the rest. */
	return loop_watch(e->bus->loop, &e->epoll, info->epoll_fd, LOOP_READABLE);
}

/* 0, or ERR_NOMEM or ERR_SYS with errno. */
static int start(struct exporter **out, struct bus *bus, const struct exporter_options *opt)
{
	struct exporter *e = mem_zalloc(bus->mem, sizeof *e);
	if (e == NULL)
		return ERR_NOMEM;
	e->bus = bus;
	e->render = opt->render;
	e->idle.fire = on_idle;
	loop_fd_init(&e->epoll, on_ready);
	int rc = start_http(e, opt->timeout);
	if (rc == 0)
		rc = listen_start(&e->listen, bus, &opt->at->addr, on_accepted);
	if (rc != 0) {
		int saved = errno;
		exporter_free(e);
		errno = saved;
		return rc;
	}
	*out = e;
	return 0;
}

int exporter_prepare(struct exporter **next, struct exporter *now, struct bus *bus,
	const struct exporter_options *opt)
{
	const struct conf_endpoint *at = opt->at;
	*next = NULL;
	if (at->text == NULL)
		return 0;
	if (now != NULL && addr_equal(&now->listen.asked, &at->addr)) {
		*next = now;
		return 0;
	}
	int rc = start(next, bus, opt);
	if (rc != 0)
		log_error("metrics (line %u): cannot bind %s: %s", at->line, at->text,
			rc == ERR_SYS ? strerror(errno) : err_text(rc));
	return rc;
}

void exporter_free(struct exporter *e)
{
	if (e == NULL)
		return;
	struct bus *bus = e->bus;
	listen_stop(&e->listen);
	loop_timer_stop(bus->loop, &e->idle);
	(void)loop_watch(bus->loop, &e->epoll, -1, 0);
	if (e->http != NULL)
		MHD_stop_daemon(e->http); /* closes its epoll descriptor too */
	if (e->latest != NULL)
		MHD_destroy_response(e->latest);
	loop_free_later(bus->loop, e);
}

#else

/* Such a build takes no configuration with metrics=. */
int exporter_prepare(struct exporter **next, struct exporter *now, struct bus *bus,
	const struct exporter_options *opt)
{
	(void)now;
	(void)bus;
	*next = NULL;
	return opt->at->text == NULL ? 0 : ERR_NOTFOUND;
}

void exporter_free(struct exporter *e)
{
	(void)e;
}

#endif

void exporter_commit(struct exporter **now, struct exporter *next)
{
	struct exporter *before = *now;
	*now = next;
	if (before != next)
		exporter_free(before);
}

void exporter_abandon(struct exporter *now, struct exporter *next)
{
	if (next != now)
		exporter_free(next);
}
