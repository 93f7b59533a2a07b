/*
 * load - a configuration from its file.
 */
#ifndef CB_DAEMON_LOAD_H
#define CB_DAEMON_LOAD_H

#include "conf/conf.h"

/*
 * Reads and parses the file.  0 and *out; otherwise every error has been reported, and *out is
 * NULL: ERR_SYS (the file cannot be read), ERR_NOMEM, ERR_INVALID.
 */
int load_file(
	struct conf **out, enum conf_role role, const char *file, conf_report *report, void *ctx);

/*
 * The same, of a process that has others to serve: the file must be an ordinary one, as whoever
 * is at the other end of a pipe or terminal could keep it waiting.
 */
int load_file_again(
	struct conf **out, enum conf_role role, const char *file, conf_report *report, void *ctx);

#endif
