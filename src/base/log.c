#include "base/log.h"

#include "base/utf8.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
	enum log_level level;
	int fd;
	uint64_t dropped, reported;
} state = {.level = LOG_INFO, .fd = STDERR_FILENO};

void log_set_level(enum log_level level)
{
	state.level = level;
}

void log_set_fd(int fd)
{
	state.fd = fd;
}

bool log_enabled(enum log_level level)
{
	return level <= state.level;
}

const char *log_level_name(enum log_level level)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};
	return names[level];
}

uint64_t log_dropped(void)
{
	return state.dropped;
}

/* A pipe that polls writable takes up to PIPE_BUF bytes without blocking. */
static bool put_line(const char *line, size_t n)
{
	struct pollfd p = {.fd = state.fd, .events = POLLOUT};
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
		return false;
	ssize_t w;
	do
		w = write(state.fd, line, n);
	while (w < 0 && errno == EINTR);
	return w == (ssize_t)n;
}

static size_t put_prefix(char *line, enum log_level level)
{
	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	size_t n = strftime(line, LOG_LINE_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	int more = snprintf(line + n, LOG_LINE_MAX - n, ".%03ldZ %s: ", ts.tv_nsec / 1000000,
		log_level_name(level));
	return n + (size_t)more;
}

static void report_dropped(void)
{
	char line[LOG_LINE_MAX];
	if (state.dropped == state.reported)
		return;
	size_t n = put_prefix(line, LOG_WARNING);
	n += (size_t)snprintf(line + n, sizeof line - n, "%ju log lines were lost\n",
		(uintmax_t)(state.dropped - state.reported));
	if (put_line(line, n))
		state.reported = state.dropped;
}

static void make_printable(char *s, size_t n)
{
	for (size_t i = 0, step; i < n; i += step) {
		step = utf8_rune(s + i, n - i);
		if (step > 0)
			continue;
		s[i] = '?';
		step = 1;
	}
}

void log_write(enum log_level level, const char *fmt, ...)
{
	if (!log_enabled(level))
		return;
	int saved = errno;
	char line[LOG_LINE_MAX];
	size_t prefix = put_prefix(line, level);
	va_list ap;
	va_start(ap, fmt);
	int more = vsnprintf(line + prefix, sizeof line - prefix, fmt, ap);
	va_end(ap);
	size_t n = prefix + (more > 0 ? (size_t)more : 0);
	if (n > sizeof line - 1)
		n = sizeof line - 1;
	make_printable(line + prefix, n - prefix);
	line[n++] = '\n';
	report_dropped();
	if (!put_line(line, n))
		state.dropped++;
	errno = saved;
}
