/*
 * tool - what every part of the load tool needs: ending with a message, memory that
 * is there, clocks, big-endian numbers.
 */
#ifndef CB_BENCH_TOOL_H
#define CB_BENCH_TOOL_H

#include <stddef.h>
#include <stdint.h>

#define TOOL_SEC UINT64_C(1000000000) /* nanoseconds */

/* Prints the message and exits with status 2: the tool could not do its work. */
_Noreturn void tool_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory for n members of a size; does not return where there is none. */
void *tool_calloc(size_t n, size_t size);

/* Nanoseconds of the monotonic clock, and of this process's CPU time. */
uint64_t tool_now(void);
uint64_t tool_cpu(void);

/* Nanoseconds from seconds, 0 <= s < 1e9, and back. */
uint64_t tool_ns(double s);
double tool_secs(uint64_t ns);

/* Eight bytes, most significant first. */
void tool_put64(unsigned char *p, uint64_t v);
uint64_t tool_get64(const unsigned char *p);

#endif
