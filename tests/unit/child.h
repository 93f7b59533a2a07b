/*
 * child - a piece of code in a process of its own, which may lose it all.
 */
#ifndef CB_TESTS_CHILD_H
#define CB_TESTS_CHILD_H

/* Whether the sanitizers are in the process, with business of their own. */
#if defined(__SANITIZE_ADDRESS__)
#define CHILD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHILD_SANITIZED 1
#endif
#endif
#ifndef CHILD_SANITIZED
#define CHILD_SANITIZED 0
#endif

enum {
	CHILD_SKIP = 77, /* what make check takes for "not tested" */
	CHILD_WRONG = 99 /* the exit status of a child in which CHILD_EXPECT() failed */
};

/* Runs what() in a child, whose exit status is what it returns.  The status, or minus the signal
 * that ended it. */
int child_run(int (*what)(const void *ctx), const void *ctx);

/* Says on standard error what was wrong, with errno, and ends the child. */
_Noreturn void child_wrong(const char *file, int line, const char *what);

#define CHILD_EXPECT(condition)                                                                    \
	do {                                                                                       \
		if (!(condition))                                                                  \
			child_wrong(__FILE__, __LINE__, #condition);                               \
	} while (0)

/* Says why a test program proves nothing here, and returns CHILD_SKIP for main(). */
int child_skip(const char *why);

#endif
