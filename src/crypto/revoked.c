#include "crypto/revoked.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"

#include <string.h>

enum { ENTRY_MAX = TOKEN_ID_MAX }; /* bytes; a name is no longer */

struct entry {
	struct hash_node node;
	const char *text; /* folded; n bytes */
	size_t n;
};

struct revoked {
	struct mem *mem;
	struct hash by_text;
	uint64_t seed;
	struct entry *entries;
	size_t n;
	char *text; /* what the entries point into */
};

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool has(const struct revoked *r, const char *text, size_t n)
{
	char want[ENTRY_MAX];
	if (n > ENTRY_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		want[i] = fold(text[i]);
	uint64_t hash = hash_bytes(want, n, r->seed);
	for (struct hash_node *node = hash_find(&r->by_text, hash); node != NULL;
		node = hash_find_next(node)) {
		const struct entry *e = container_of(node, struct entry, node);
		if (e->n == n && memcmp(e->text, want, n) == 0)
			return true;
	}
	return false;
}

bool revoked_has(const struct revoked *r, const struct token *t)
{
	return r != NULL && (has(r, t->node, strlen(t->node)) || has(r, t->id, strlen(t->id)));
}

size_t revoked_count(const struct revoked *r)
{
	return r != NULL ? r->n : 0;
}

void revoked_free(struct revoked *r)
{
	if (r == NULL)
		return;
	hash_fini(&r->by_text);
	mem_free(r->mem, r->entries);
	mem_free(r->mem, r->text);
	mem_free(r->mem, r);
}

/* --- reading --------------------------------------------------------------------------------- */

/*
 * Takes the entry of the line at text[at], which ends at `end`; *n is 0 for a line without
 * one.  False for a line that is not as it should be.
 */
static bool find_entry(const char *text, size_t *at, size_t end, size_t *n)
{
	while (*at < end && is_blank(text[*at]))
		++*at;
	size_t stop = *at;
	while (stop < end && text[stop] > ' ' && text[stop] < 0x7f && text[stop] != '#')
		stop++;
	*n = stop - *at;
	if (*n > ENTRY_MAX)
		return false;
	/* A '#' needs a blank before it: "abc#d" is a slip of the pen. */
	if (*n > 0 && stop < end && text[stop] == '#')
		return false;
	while (stop < end && is_blank(text[stop]))
		stop++;
	return stop == end || text[stop] == '#';
}

static int add(struct revoked *r, const char *text, size_t n)
{
	if (has(r, text, n))
		return 0;
	struct entry *e = &r->entries[r->n];
	e->text = text;
	e->n = n;
	int rc = hash_add(&r->by_text, &e->node, hash_bytes(text, n, r->seed));
	if (rc == 0)
		r->n++;
	return rc;
}

static int read_lines(struct revoked *r, const char *name, size_t n, char why[static WHY_MAX])
{
	unsigned line = 0;
	for (size_t at = 0, end; at < n; at = end + 1) {
		const char *newline = memchr(r->text + at, '\n', n - at);
		size_t len;
		end = newline != NULL ? (size_t)(newline - r->text) : n;
		line++;
		if (!find_entry(r->text, &at, end, &len))
			return why_say(why, ERR_INVALID,
				"%s:%u: expected the name of one node or the id (jti) of one "
				"token, at most %d visible ASCII characters",
				name, line, ENTRY_MAX);
		if (len == 0)
			continue;
		if (r->n == REVOKED_MAX)
			return why_say(why, ERR_LIMIT, "%s:%u: expected at most %d entries", name,
				line, REVOKED_MAX);
		if (add(r, r->text + at, len) != 0)
			return why_say(why, ERR_NOMEM, "%s: out of memory", name);
	}
	return 0;
}

static size_t count_lines(const char *text, size_t n)
{
	size_t lines = 1;
	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	return lines;
}

int revoked_parse(struct revoked **out, const struct keyfile_text *in, uint64_t seed,
	struct mem *mem, char why[static WHY_MAX])
{
	*out = NULL;
	if (in->n > REVOKED_FILE_MAX)
		return why_say(why, ERR_LIMIT, "%s: %zu bytes; expected at most %d", in->name,
			in->n, REVOKED_FILE_MAX);
	size_t lines = count_lines(in->text, in->n);
	size_t room = lines < REVOKED_MAX ? lines : REVOKED_MAX;
	int rc = ERR_NOMEM;
	struct revoked *r = mem_zalloc(mem, sizeof *r);
	if (r == NULL)
		goto err0;
	r->mem = mem;
	r->seed = seed;
	hash_init(&r->by_text, mem);
	r->entries = mem_alloc(mem, room * sizeof *r->entries);
	r->text = mem_alloc(mem, in->n + 1);
	if (r->entries == NULL || r->text == NULL)
		goto err1;
	for (size_t i = 0; i < in->n; i++)
		r->text[i] = fold(in->text[i]);
	rc = read_lines(r, in->name, in->n, why);
	if (rc != 0)
		goto err2;
	*out = r;
	return 0;
err1:
	why_say(why, rc, "%s: out of memory", in->name);
err2:
	revoked_free(r);
	return rc;
err0:
	return why_say(why, rc, "%s: out of memory", in->name);
}
