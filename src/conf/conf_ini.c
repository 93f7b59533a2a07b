#include "conf/conf_ini.h"

#include "base/err.h"

#include <assert.h>
#include <ini.h>
#include <string.h>

static const char too_long[] = "the line is too long; expected at most 2097152 bytes";
static_assert(CONF_LINE_MAX == 2097152, "as too_long says");

struct reader {
	const struct conf_source *src;
	const struct conf_ini_handler *to;
	size_t pos;
	unsigned line; /* the last one read, from 1 */
	int rc;        /* of the handler; not 0 ends the reading */
};

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void trim(const char **s, size_t *n)
{
	while (*n > 0 && is_blank(**s))
		++*s, --*n;
	while (*n > 0 && is_blank((*s)[*n - 1]))
		--*n;
}

/* The bytes of the line at `pos`, without its newline. */
static size_t line_length(const struct conf_source *src, size_t pos)
{
	const char *s = src->text + pos;
	const char *newline = memchr(s, '\n', src->n - pos);
	return newline != NULL ? (size_t)(newline - s) : src->n - pos;
}

/* The bytes of the longest line that inih may get. */
static size_t longest_line(const struct conf_source *src)
{
	size_t longest = 0;
	for (size_t pos = 0, n; pos < src->n; pos += n + 1) {
		n = line_length(src, pos);
		if (n > longest && n <= CONF_LINE_MAX)
			longest = n;
	}
	return longest;
}

static void take_header(struct reader *r, const char *s, size_t n)
{
	size_t end = 1;
	const char *problem = NULL;
	while (end < n && s[end] != ']' && !(s[end] == ';' && is_blank(s[end - 1])))
		end++;
	if (end == n || s[end] != ']') {
		problem = "expected a \"]\" after the section's name";
	} else {
		const char *rest = s + end + 1;
		size_t rest_n = n - end - 1;
		trim(&rest, &rest_n);
		if (rest_n > 0 && *rest != ';')
			problem = "expected nothing but a comment after the \"]\"";
	}
	const char *name = s + 1;
	size_t name_n = end - 1;
	trim(&name, &name_n);
	r->rc = r->to->section(r->to->ctx, r->line, name, name_n, problem);
}

/* Deals with a line that is not for inih; returns whether it was none for it. */
static bool take_line(struct reader *r, const char *s, size_t n)
{
	if (n > CONF_LINE_MAX) {
		r->rc = r->to->bad(r->to->ctx, r->line, NULL, too_long);
		return true;
	}
	if (memchr(s, '\0', n) != NULL) {
		r->rc = r->to->bad(
			r->to->ctx, r->line, NULL, "the line has a NUL byte; expected UTF-8 text");
		return true;
	}
	trim(&s, &n);
	if (n == 0 || *s != '[')
		return false;
	take_header(r, s, n);
	return true;
}

/* inih's fgets(): a line a call, so that its lines are ours; an empty one for those we took. */
static char *next_line(char *buf, int room, void *stream)
{
	struct reader *r = stream;
	if (r->rc != 0 || r->pos >= r->src->n)
		return NULL;
	const char *s = r->src->text + r->pos;
	size_t n = line_length(r->src, r->pos);
	r->pos += n + 1;
	r->line++;
	if (take_line(r, s, n) || n + 2 > (size_t)room)
		n = 0;
	memcpy(buf, s, n);
	memcpy(buf + n, "\n", 2);
	return buf;
}

/* inih's handler; returns nonzero to go on. */
static int split_line(void *user, const char *section, const char *name, const char *value)
{
	struct reader *r = user;
	const struct conf_ini_handler *to = r->to;
	(void)section;
	if (r->rc != 0)
		return 1;
	if (value == NULL)
		r->rc = to->bad(to->ctx, r->line, name, "expected \"[section]\" or \"key=value\"");
	else if (*name == '\0')
		r->rc = to->bad(to->ctx, r->line, value, "expected a key before the \"=\"");
	else
		r->rc = to->key(to->ctx, r->line, name, value);
	return 1;
}

/* inih's settings are globals: all that matter are set, whatever others left there. */
static void set_up_inih(size_t longest)
{
	static char comment_starts[] = ";#", inline_comments[] = ";";
	ini_allow_multiline = false; /* an indented line is no continuation */
	ini_allow_bom = false;       /* skipped here, before a header can stand behind it */
	ini_start_comment_prefixes = comment_starts;
	ini_allow_inline_comments = true;
	ini_inline_comment_prefixes = inline_comments;
	ini_allow_no_value = true; /* so that every bad line comes to the handler */
	ini_use_stack = false;
	ini_allow_realloc = false;
	ini_max_line = ini_initial_alloc = (int)longest + 3;
}

int conf_ini_read(const struct conf_source *src, const struct conf_ini_handler *to)
{
	struct reader r = {.src = src, .to = to};
	if (src->n >= 2 &&
		(memcmp(src->text, "\xff\xfe", 2) == 0 || memcmp(src->text, "\xfe\xff", 2) == 0))
		return to->bad(to->ctx, 1, NULL, "the file is UTF-16; expected UTF-8");
	if (src->n >= 3 && memcmp(src->text, "\xef\xbb\xbf", 3) == 0)
		r.pos = 3;
	set_up_inih(longest_line(src));
	if (ini_parse_stream(next_line, &r, split_line, &r) == -2)
		return ERR_NOMEM;
	return r.rc;
}
