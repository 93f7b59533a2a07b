/*
 * Any bytes as each kind of key file and as a revocation list: a value, which is read back
 * from what it is written as, or an error with words.
 */
#include "crypto/keyfile.h"
#include "crypto/revoked.h"

#include "base/err.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define PROMISE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

static char why[WHY_MAX];

static void check_failure(int rc)
{
	PROMISE(rc == ERR_INVALID || rc == ERR_LIMIT);
	PROMISE(strncmp(why, "f:", 2) == 0);
	for (const char *c = why; *c != '\0'; c++)
		PROMISE((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f);
}

/* Whether both are filled, and the same: of a struct without padding, or zeroed before. */
#define CHECK(kind, in)                                                                            \
	do {                                                                                       \
		static struct keyfile_##kind one, two;                                             \
		char text[KEYFILE_FORMAT_MAX];                                                     \
		int rc = keyfile_parse_##kind(&one, in, why);                                      \
		if (rc != 0) {                                                                     \
			check_failure(rc);                                                         \
			break;                                                                     \
		}                                                                                  \
		struct keyfile_text out = {"f", text, keyfile_format_##kind(text, &one)};          \
		PROMISE(out.n < KEYFILE_FORMAT_MAX && out.n == strlen(text));                      \
		PROMISE(keyfile_parse_##kind(&two, &out, why) == 0);                               \
		PROMISE(memcmp(&one, &two, sizeof one) == 0);                                      \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct keyfile_text in = {"f", (const char *)data, n};
	struct revoked *r;
	if (sodium_init() < 0)
		abort();
	CHECK(cluster, &in);
	CHECK(node, &in);
	CHECK(public, &in);
	CHECK(trust, &in);
	int rc = revoked_parse(&r, &in, 7, mem_system(), why);
	PROMISE((rc == 0) == (r != NULL));
	if (r == NULL)
		check_failure(rc);
	PROMISE(revoked_count(r) <= REVOKED_MAX);
	revoked_free(r);
	return 0;
}
