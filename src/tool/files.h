/*
 * files - the folder of a bus: the names in it, and what is read from it and written to it.
 *
 * Each function that fails says why on standard error and returns an exit status.
 */
#ifndef CB_TOOL_FILES_H
#define CB_TOOL_FILES_H

#include "crypto/keyfile.h"
#include "crypto/secretfile.h"

#include <limits.h>

/* All the secrets of one command; from files_secrets_new, so locked and wiped. */
struct files_secrets {
	struct keyfile_cluster cluster;
	struct keyfile_trust trust;
	struct keyfile_node node;
	uint8_t random[KEYFILE_KEY];
	char text[SECRETFILE_TOGETHER][KEYFILE_FORMAT_MAX]; /* of files that are written */
};

/* NULL, after saying so, where there is no memory. */
struct files_secrets *files_secrets_new(void);

/* NULL does nothing. */
void files_secrets_free(struct files_secrets *s);

/* DIR/NAMESUFFIX; 0, or TOOL_EXIT_FAILED for one that is too long. */
int files_path(char path[static PATH_MAX], const char *dir, const char *name, const char *suffix);

/* cluster.key and trust of a folder, which must belong together. */
int files_read_bus(struct files_secrets *s, const char *dir);

int files_read_trust(struct keyfile_trust *out, const char *path);
int files_read_node(struct keyfile_node *out, const char *path);
int files_read_public(struct keyfile_public *out, const char *path);

/* Writes all or none (secretfile.h); TOOL_EXIT_FAILED where it cannot, or where one is there. */
int files_write(const struct secretfile_new *files, size_t n);

/*
 * TOOL_EXIT_FAILED, after saying so, where at `path` is a cluster key or a trust, which is not to
 * be replaced by the key or token of a node: it would be the end of the bus.  So it is with a file
 * that cannot be read, and may be one.
 */
int files_spare_bus(const char *path);

/* Says so if others may write into the folder. */
void files_warn_of_folder(const char *dir);

#endif
