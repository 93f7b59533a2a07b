#include "unit/hunt.h"

#include "unit/child.h"

#include <check.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MASK = 0xa5,
	WORD = 4,
	HALF = HUNT_KEY / 2,
	WORDS = HUNT_KEY / WORD,
	AREAS = 1024,
	TEXT = 1 << 20,
	OWN_STACK = 256 << 10,
	ENOUGH = 512 << 10 /* bytes that a test may have locked at a time */
};

struct area {
	uintptr_t begin, end;
	bool readable, kept;
	char name[64];
};

static struct area areas[AREAS];
static char text[TEXT]; /* of smaps; no allocation while it is read */

bool hunt_possible(void)
{
	const char *preload = getenv("LD_PRELOAD");
	return !CHILD_SANITIZED && (preload == NULL || strstr(preload, "vgpreload") == NULL);
}

bool hunt_can_lock(void)
{
	static enum { UNKNOWN, YES, NO } can;
	if (can == UNKNOWN) {
		unsigned char *p = sodium_malloc(ENOUGH);
		ck_assert_ptr_nonnull(p);
		can = sodium_mlock(p, ENOUGH) == 0 ? YES : NO;
		sodium_free(p);
		if (can == NO)
			fprintf(stderr, "no memory can be locked here (ulimit -l): not tested\n");
	}
	return can == YES;
}

struct hunt hunt_for(const char *name, const uint8_t key[static HUNT_KEY])
{
	struct hunt h = {.name = name};
	for (size_t i = 0; i < HUNT_KEY; i++)
		h.masked[i] = key[i] ^ MASK;
	return h;
}

/* --- what is mapped ----------------------------------------------------------------------------
 */

static void read_smaps(void)
{
	int fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	size_t n = 0;
	ssize_t got;
	while ((got = read(fd, text + n, TEXT - 1 - n)) > 0)
		n += (size_t)got;
	(void)close(fd);
	ck_assert_int_eq(got, 0);
	ck_assert_uint_lt(n, TEXT - 1);
	text[n] = '\0';
}

/* How many areas there are. */
static size_t survey(void)
{
	size_t n = 0;
	bool lock = hunt_can_lock();
	read_smaps();
	for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		uintptr_t from, to;
		char mode[8] = "";
		int name = 0;
		*end = '\0';
		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %n", &from, &to, mode, &name) >= 3 &&
			mode[0] != '\0') {
			ck_assert_uint_lt(n, AREAS);
			struct area *a = &areas[n++];
			*a = (struct area){.begin = from,
				.end = to,
				.readable = mode[0] == 'r' && mode[1] == 'w'};
			snprintf(a->name, sizeof a->name, "%s", line + name);
		} else if (strncmp(line, "VmFlags:", 8) == 0 && n > 0) {
			areas[n - 1].kept = strstr(line, " dd") != NULL &&
					    (!lock || strstr(line, " lo") != NULL);
		}
	}
	ck_assert_uint_gt(n, 0);
	return n;
}

/* --- the hunt -----------------------------------------------------------------------------------
 */

/* How many bytes from p on are those of the key from `at` on. */
static size_t run_length(const struct hunt *h, const uint8_t *p, size_t room, size_t at)
{
	size_t n = 0;
	while (n < room && at + n < HUNT_KEY && (p[n] ^ MASK) == h->masked[at + n])
		n++;
	return n;
}

static bool is_smeared(const struct hunt *h, const uint8_t *p, size_t room, size_t word)
{
	for (size_t i = 0; i < HALF; i++) {
		if (i >= room || (p[i] ^ MASK) != h->masked[word * WORD + i % WORD])
			return false;
	}
	return true;
}

static bool is_loose(const struct hunt *h, const uint8_t *p, size_t room)
{
	if (run_length(h, p, room, 0) >= HALF || run_length(h, p, room, HALF) >= HALF)
		return true;
	for (size_t w = 0; w < WORDS; w++) {
		if (is_smeared(h, p, room, w))
			return true;
	}
	return false;
}

static void search(const struct hunt *h, const struct area *a, struct hunt_found *f)
{
	bool first[256] = {false};
	for (size_t w = 0; w < WORDS; w++)
		first[h->masked[w * WORD] ^ MASK] = true;
	for (uintptr_t at = a->begin; at < a->end; at++) {
		const uint8_t *p = (const uint8_t *)at;
		size_t room = a->end - at;
		if (!first[*p])
			continue;
		if (a->kept) {
			f->kept += run_length(h, p, room, 0) == HUNT_KEY;
		} else if (is_loose(h, p, room)) {
			if (f->loose++ == 0)
				snprintf(f->where, HUNT_WHERE, "%s at %#lx of %#lx-%#lx", a->name,
					(unsigned long)at, (unsigned long)a->begin,
					(unsigned long)a->end);
		}
	}
}

struct hunt_found hunt(const struct hunt *h)
{
	struct hunt_found f = {.loose = 0};
	size_t n = survey();
	for (size_t i = 0; i < n; i++) {
		if (areas[i].readable)
			search(h, &areas[i], &f);
	}
	return f;
}

void hunt_expect(const struct hunt *h, size_t kept)
{
	struct hunt_found f = hunt(h);
	ck_assert_msg(
		f.loose == 0, "%s: %zu pieces loose, the first in %s", h->name, f.loose, f.where);
	ck_assert_msg(f.kept == kept, "%s: %zu of it in locked memory, expected %zu", h->name,
		f.kept, kept);
}

void hunt_wipe_own(void)
{
	sodium_stackzero(OWN_STACK);
}
