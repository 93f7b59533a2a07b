/*
 * harden - what the process denies itself before it meets the network.
 *
 * Nothing here needs configuration: what is allowed follows from what the configuration
 * names.  What the kernel, or the build, does not have is left out, and the log says so.
 */
#ifndef CB_DAEMON_HARDEN_H
#define CB_DAEMON_HARDEN_H

#include "conf/conf.h"

/*
 * From now on, for good, unless hardening=off:
 *
 *   no_new_privs; no core file; not dumpable, so that no other process of the same user may
 *   look into this one
 *   files (confine.h): those in the folders of `file`, of the files that the configuration
 *   names, and of the DNS may be read; where such a folder, or one above it, is a symbolic link
 *   to one beside it, as with versions of a set of files, those of all beside it; Unix sockets
 *   may be made, and removed in the folders of every bind
 *   system calls (filter.h)
 *
 * To be called once, after privileges_drop(), and before a key is read or anybody is heard.
 * `file` is where the configuration came from.  0; otherwise it has been logged why, and the
 * process must end.
 */
int harden_process(const struct conf *conf, const char *file);

/*
 * After a reload that was refused: a line for each file that the configuration, NULL where there
 * is none, names and that cannot be opened for no other reason than that.  `file` as above.
 */
void harden_explain(const struct conf *conf, const char *file);

#endif
