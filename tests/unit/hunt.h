/*
 * hunt - looks for a key in the memory of this very process.
 *
 * In all that is mapped for reading and writing, whoever mapped it: heap, stack, the data of
 * libraries.  What is known of a mapping is what the kernel says (/proc/self/smaps): a place
 * is well kept where the mapping is locked (lo) and left out of core files (dd).
 *
 * Found is a half of the key, 16 bytes in a row; and a word of it four times in a row, as the
 * vector code of ChaCha20 lays it out.  The hunter itself has the key only under a mask.
 *
 * Not with AddressSanitizer, whose shadow is mapped too, and not under valgrind, which keeps
 * copies of registers: hunt_possible() says so.
 */
#ifndef CB_TESTS_HUNT_H
#define CB_TESTS_HUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HUNT_KEY = 32, HUNT_WHERE = 256 };

struct hunt {
	const char *name; /* for messages */
	uint8_t masked[HUNT_KEY];
};

struct hunt_found {
	size_t loose;           /* pieces in memory that is not locked, or would be dumped */
	size_t kept;            /* whole keys in memory that is locked and not dumped */
	char where[HUNT_WHERE]; /* of the first loose one */
};

bool hunt_possible(void);

/*
 * Whether memory can be locked here; if not, it is said once on standard error, and what is
 * left out of core files counts as well kept.
 */
bool hunt_can_lock(void);

struct hunt hunt_for(const char *name, const uint8_t key[static HUNT_KEY]);

/* Aborts the test where the mappings cannot be read. */
struct hunt_found hunt(const struct hunt *h);

/* Fails the test, with what and where, unless nothing is loose, and `kept` keys are kept. */
void hunt_expect(const struct hunt *h, size_t kept);

/* Wipes what the test itself has left on the stack. */
void hunt_wipe_own(void);

#endif
