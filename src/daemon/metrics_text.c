#include "daemon/metrics_text.h"

#include "base/err.h"
#include "base/utf8.h"

#include <assert.h>
#include <string.h>

enum {
	ROOM_FIRST = 16 << 10, /* bytes; then it doubles */
	NUMBER_ROOM = 32,      /* of a value, with what stands around it */
};

void metrics_text_init(struct metrics_text *t, struct mem *mem, size_t limit)
{
	*t = (struct metrics_text){.mem = mem, .limit = limit};
}

void metrics_text_begin(struct metrics_text *t, enum metrics_id id)
{
	t->row = &metrics_table()[id];
	t->headed = false;
}

/* Room for n more bytes; false: there is none, or no memory. */
static bool reserve(struct metrics_text *t, size_t n)
{
	if (t->failed || n > t->limit - t->n)
		return false;
	if (n <= t->room - t->n)
		return true;
	size_t room = t->room == 0 ? ROOM_FIRST : t->room;
	while (room - t->n < n)
		room *= 2;
	char *buf = mem_resize(t->mem, t->buf, room);
	t->failed = buf == NULL;
	if (t->failed)
		return false;
	t->buf = buf;
	t->room = room;
	return true;
}

/* --- what there is room for -------------------------------------------------------------- */

static void put(struct metrics_text *t, const char *s)
{
	size_t n = strlen(s);
	memcpy(t->buf + t->n, s, n);
	t->n += n;
}

static void put_value(struct metrics_text *t, const char *s)
{
	size_t left = strlen(s);
	while (left > 0) {
		size_t n = utf8_rune(s, left);
		if (*s == '\n') {
			put(t, "\\n");
		} else if (n == 0) {
			put(t, "?");
		} else {
			if (*s == '"' || *s == '\\')
				put(t, "\\");
			memcpy(t->buf + t->n, s, n);
			t->n += n;
		}
		n += n == 0;
		s += n;
		left -= n;
	}
}

static void put_number(struct metrics_text *t, uint64_t v, size_t least)
{
	char digits[20];
	size_t n = 0;
	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0 || n < least);
	while (n > 0)
		t->buf[t->n++] = digits[--n];
}

static size_t head_room(const struct metrics_text *t)
{
	if (t->headed)
		return 0;
	return strlen("# HELP  \n# TYPE  \n") + 2 * strlen(t->row->name) + strlen(t->row->type) +
	       strlen(t->row->help);
}

static void put_head(struct metrics_text *t)
{
	if (t->headed)
		return;
	put(t, "# HELP ");
	put(t, t->row->name);
	put(t, " ");
	put(t, t->row->help);
	put(t, "\n# TYPE ");
	put(t, t->row->name);
	put(t, " ");
	put(t, t->row->type);
	put(t, "\n");
	t->headed = true;
}

/* --- lines --------------------------------------------------------------------------------- */

/* All of a line but its value; false: it is left out. */
static bool begin_line(struct metrics_text *t, const struct metrics_label *labels, size_t n)
{
	size_t most = head_room(t) + strlen(t->row->name) + NUMBER_ROOM;
	assert(n <= METRICS_TEXT_LABELS);
	for (size_t i = 0; i < n; i++)
		most += strlen(labels[i].name) + 2 * strlen(labels[i].value) + strlen("{=\"\"");
	if (!reserve(t, most)) {
		t->omitted++;
		return false;
	}
	put_head(t);
	put(t, t->row->name);
	for (size_t i = 0; i < n; i++) {
		put(t, i == 0 ? "{" : ",");
		put(t, labels[i].name);
		put(t, "=\"");
		put_value(t, labels[i].value);
		put(t, "\"");
	}
	put(t, n > 0 ? "} " : " ");
	return true;
}

void metrics_text_add(
	struct metrics_text *t, const struct metrics_label *labels, size_t n, uint64_t value)
{
	if (!begin_line(t, labels, n))
		return;
	put_number(t, value, 1);
	put(t, "\n");
}

void metrics_text_add_time(
	struct metrics_text *t, const struct metrics_label *labels, size_t n, uint64_t value)
{
	if (!begin_line(t, labels, n))
		return;
	put_number(t, value / 1000000, 1);
	put(t, ".");
	put_number(t, value % 1000000, 6);
	put(t, "\n");
}

int metrics_text_take(struct metrics_text *t, char **out, size_t *n)
{
	if (t->failed || t->buf == NULL) {
		mem_free(t->mem, t->buf);
		t->buf = NULL;
		return ERR_NOMEM;
	}
	*out = t->buf;
	*n = t->n;
	t->buf = NULL;
	return 0;
}
