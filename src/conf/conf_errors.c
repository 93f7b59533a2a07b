#include "conf/conf_errors.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 8192 }; /* a path, three quotes and the words, with room to spare */

/* A message under way; what does not fit is cut. */
struct message {
	size_t n;
	char text[MESSAGE_MAX];
};

__attribute__((format(printf, 2, 0))) static void vput(
	struct message *m, const char *fmt, va_list ap)
{
	size_t room = sizeof m->text - m->n;
	int n = vsnprintf(m->text + m->n, room, fmt, ap);
	if (n > 0)
		m->n += (size_t)n < room ? (size_t)n : room - 1;
}

__attribute__((format(printf, 2, 3))) static void put(struct message *m, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vput(m, fmt, ap);
	va_end(ap);
}

static void put_escaped(struct message *m, const char *s, size_t n)
{
	char text[4 * CONF_ERRORS_QUOTE_MAX + 4];
	put(m, "%s", utf8_escape(text, sizeof text, s, n, CONF_ERRORS_QUOTE_MAX));
}

bool conf_errors_full(const struct conf_errors *e)
{
	return e->count >= CONF_ERRORS_MAX;
}

void conf_errors_add(struct conf_errors *e, const struct conf_place *at, const char *fmt, ...)
{
	if (e->count++ >= CONF_ERRORS_MAX)
		return;
	struct message m = {.n = 0};
	put(&m, "%s:", e->file);
	if (at->line > 0)
		put(&m, "%u:", at->line);
	if (at->section != NULL) {
		put(&m, " [");
		put_escaped(&m, at->section, at->section_n);
		put(&m, "]");
	}
	if (at->key != NULL) {
		put(&m, " ");
		put_escaped(&m, at->key, strnlen(at->key, CONF_ERRORS_QUOTE_MAX + 4));
		put(&m, ":");
	}
	if (at->value != NULL) {
		put(&m, " \"");
		put_escaped(&m, at->value, strnlen(at->value, CONF_ERRORS_QUOTE_MAX + 4));
		put(&m, "\":");
	}
	put(&m, " ");
	va_list ap;
	va_start(ap, fmt);
	vput(&m, fmt, ap);
	va_end(ap);
	e->report(e->ctx, m.text);
}

void conf_errors_end(struct conf_errors *e)
{
	if (e->count <= CONF_ERRORS_MAX)
		return;
	struct message m = {.n = 0};
	size_t more = e->count - CONF_ERRORS_MAX;
	put(&m, "%s: and %zu more %s", e->file, more, more == 1 ? "error" : "errors");
	e->report(e->ctx, m.text);
}
