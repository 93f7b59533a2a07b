/*
 * bare_splice - of the floor: each client has a connection over the link to itself, and
 * its bytes never enter the process.
 *
 * What the client's socket holds, up to 1 MiB, is spliced into a pipe; a header that says
 * how much it is goes ahead with MSG_MORE, and the pipe is spliced after it.  The far end
 * reads the header alone and splices what it promises.
 */
#ifndef CB_BENCH_BARE_SPLICE_H
#define CB_BENCH_BARE_SPLICE_H

#include <stdbool.h>

/* Listens at `in`, and leads each connection to `out`.  Does not return if it cannot. */
void bare_splice(bool near, const char *in, const char *out);

#endif
