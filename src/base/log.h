/*
 * log - one line an event, on standard error.
 *
 * A line is written with one write(2) and is never split; it is UTF-8, and of text from a peer
 * each control character, and each byte of what is not UTF-8, is replaced by a question mark.  A
 * line that cannot be written at once (full disk, stalled pipe) is dropped and counted, and the
 * next one that can be written says how many were lost.  Nothing here blocks.
 */
#ifndef CB_BASE_LOG_H
#define CB_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

enum { LOG_LINE_MAX = 1024 }; /* bytes, with the newline; longer lines are cut */

/* Lines above this level are not printed.  LOG_INFO until set. */
void log_set_level(enum log_level level);

/* Where lines go; standard error until set.  The descriptor stays the caller's. */
void log_set_fd(int fd);

/* Whether a line of this level would be printed. */
bool log_enabled(enum log_level level);

/* "error", "warning", "notice", "info", "debug". */
const char *log_level_name(enum log_level level);

/* Lines lost since the start. */
uint64_t log_dropped(void);

/* One event.  No newline at the end of fmt; errno is kept. */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
	do {                                                                                       \
		if (log_enabled(LOG_DEBUG))                                                        \
			log_write(LOG_DEBUG, __VA_ARGS__);                                         \
	} while (0)

#endif
