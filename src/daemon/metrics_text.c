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

static void put_bytes(struct metrics_text *t, const char *s, size_t n)
{
	memcpy(t->buf + t->n, s, n);
	t->n += n;
}

static void put(struct metrics_text *t, const char *s)
{
	put_bytes(t, s, strlen(s));
}

/* What stands in a value as it is: nearly all there ever is. */
static size_t plain_length(const char *s, size_t n)
{
	size_t i = 0;
	while (i < n && s[i] >= ' ' && s[i] < 0x7f && s[i] != '"' && s[i] != '\\')
		i++;
	return i;
}

/* The character that s begins with, of n bytes, as it stands in a value.  Its bytes in s. */
static size_t put_escaped(struct metrics_text *t, const char *s, size_t n)
{
	size_t rune = utf8_rune(s, n);
	if (*s == '\n') {
		put(t, "\\n");
		return 1;
	}
	if (rune == 0) {
		put(t, "?");
		return 1;
	}
	if (*s == '"' || *s == '\\')
		put(t, "\\");
	put_bytes(t, s, rune);
	return rune;
}

static void put_value(struct metrics_text *t, const char *s)
{
	size_t left = strlen(s);
	while (left > 0) {
		size_t n = plain_length(s, left);
		put_bytes(t, s, n);
		if (n < left)
			n += put_escaped(t, s + n, left - n);
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
