#include "unit/manual.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 17 };

char *manual_text;

char *manual_load(const char *name)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", UNIT_SRCDIR, name);
	FILE *f = fopen(path, "r");
	ck_assert_msg(f != NULL, "cannot open %s", path);
	char *text = malloc(ROOM);
	ck_assert_ptr_nonnull(text);
	size_t n = fread(text, 1, ROOM - 1, f);
	ck_assert_uint_lt(n, ROOM - 1);
	text[n] = '\0';
	fclose(f);
	return text;
}

void manual_open(void)
{
	manual_text = manual_load(MANUAL_PAGE);
}

void manual_close(void)
{
	free(manual_text);
	manual_text = NULL;
}

static const char *min_of(const char *a, const char *b)
{
	return a == NULL || (b != NULL && b < a) ? b : a;
}

struct manual_part manual_part(const char *macro, const char *name)
{
	char head[64];
	snprintf(head, sizeof head, "\n.%s %s\n", macro, name);
	const char *at = strstr(manual_text, head);
	ck_assert_msg(at != NULL, "%s has no section %s", MANUAL_PAGE, name);
	at += strlen(head) - 1;
	const char *end = strstr(at, "\n.Sh ");
	if (strcmp(macro, "Ss") == 0)
		end = min_of(end, strstr(at, "\n.Ss "));
	return (struct manual_part){at, end != NULL ? end : at + strlen(at)};
}

static void put_cell(struct manual_row *row, const char *p, size_t n)
{
	ck_assert_int_lt(row->n, MANUAL_CELLS);
	if (n > 3 && (strncmp(p, "Dv ", 3) == 0 || strncmp(p, "Em ", 3) == 0)) {
		p += 3;
		n -= 3;
	}
	ck_assert_uint_lt(n, MANUAL_CELL);
	memcpy(row->cell[row->n], p, n);
	row->cell[row->n++][n] = '\0';
}

bool manual_row(struct manual_part *part, struct manual_row *row)
{
	for (const char *at; (at = strstr(part->at, "\n.It ")) != NULL && at < part->end;) {
		const char *end = strchr(at + 1, '\n');
		part->at = end;
		at += 5;
		const char *tab = strstr(at, " Ta ");
		if (tab == NULL || tab > end || strncmp(at, "Sy ", 3) == 0)
			continue;
		row->n = 0;
		for (; tab != NULL && tab < end; tab = strstr(at, " Ta ")) {
			put_cell(row, at, (size_t)(tab - at));
			at = tab + 4;
		}
		put_cell(row, at, (size_t)(end - at));
		return true;
	}
	return false;
}
