/*
 * keyfile - the text of the files that keys are kept in.
 *
 * Each is a few lines that a person can recognise: '#' begins a comment line, the first
 * other line says what the file is and in which version, then one field a line, its name, a
 * blank, its value.  Keys are base64url without padding, as in a token.
 *
 *	DIR/cluster.key  cloudbus-cluster-key 1  bus, secret-key (Ed25519 seed)
 *	DIR/NAME.key     cloudbus-node-key 1     secret-key (X25519)
 *	FILE.pub         cloudbus-node-public 1  public-key (X25519)
 *	DIR/trust        cloudbus-trust 1        bus, cluster-key (Ed25519), network-secret
 *
 * In a trust file cluster-key and network-secret may stand twice, which is how they are
 * changed without a node being shut out meanwhile: tokens signed by either key are believed,
 * links are accepted under either secret and dialled under the first.
 *
 * Parsing and formatting are pure.  Every field but those must stand exactly once; an
 * unknown one, a missing one or anything else unexpected is an error that names the line.
 * What holds a secret is wiped by its owner with sodium_memzero, or lies in sodium_malloc.
 */
#ifndef CB_CRYPTO_KEYFILE_H
#define CB_CRYPTO_KEYFILE_H

#include "crypto/name.h"
#include "crypto/why.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	KEYFILE_KEY = 32,         /* bytes of every key, secret and seed */
	KEYFILE_SIGN_SECRET = 64, /* libsodium's form of an Ed25519 secret key: seed, public */
	KEYFILE_KEY_ROOM = 44,    /* bytes of a key's text, with the NUL */
	KEYFILE_TRUST_KEYS = 2,   /* cluster keys, and network secrets, in a trust file */
	KEYFILE_MAX = 16384,      /* bytes in a file */
	KEYFILE_FORMAT_MAX = 2048 /* bytes that a keyfile_format_* writes, with the NUL */
};

struct keyfile_cluster {
	char bus[NAME_ROOM];
	uint8_t secret[KEYFILE_SIGN_SECRET];
	uint8_t public[KEYFILE_KEY];
};

/* A node's X25519 key pair. */
struct keyfile_node {
	uint8_t secret[KEYFILE_KEY];
	uint8_t public[KEYFILE_KEY];
};

struct keyfile_public {
	uint8_t public[KEYFILE_KEY];
};

struct keyfile_trust {
	char bus[NAME_ROOM];
	size_t n_cluster, n_network; /* 1 or 2 of each; the first is the present one */
	uint8_t cluster[KEYFILE_TRUST_KEYS][KEYFILE_KEY];
	uint8_t network[KEYFILE_TRUST_KEYS][KEYFILE_KEY]; /* secret */
};

/* A file's content; `name` is what errors begin with. */
struct keyfile_text {
	const char *name;
	const char *text;
	size_t n;
};

/*
 * Each fills *out, or leaves it all zero and returns ERR_INVALID with "NAME:LINE: ..." in
 * why.  A public key that would give every peer the same shared secret is not taken.
 */
int keyfile_parse_cluster(
	struct keyfile_cluster *out, const struct keyfile_text *in, char why[static WHY_MAX]);
int keyfile_parse_node(
	struct keyfile_node *out, const struct keyfile_text *in, char why[static WHY_MAX]);
int keyfile_parse_public(
	struct keyfile_public *out, const struct keyfile_text *in, char why[static WHY_MAX]);
int keyfile_parse_trust(
	struct keyfile_trust *out, const struct keyfile_text *in, char why[static WHY_MAX]);

/*
 * Whether the text is, or begins as, a bus's cluster key or trust: what nobody can make again,
 * and no command replaces.
 */
bool keyfile_is_of_bus(const struct keyfile_text *in);

/*
 * Whether an X25519 public key is of low order, zeros among them: no secret key has it, and
 * every shared secret with it would be zero (RFC 7748, 6.1).  One curve operation.
 */
bool keyfile_is_weak(const uint8_t public[static KEYFILE_KEY]);

/* A key in base64url.  Returns to. */
const char *keyfile_key_text(
	char to[static KEYFILE_KEY_ROOM], const uint8_t key[static KEYFILE_KEY]);

/* Each writes the file's text, NUL-terminated, and returns its length. */
size_t keyfile_format_cluster(
	char out[static KEYFILE_FORMAT_MAX], const struct keyfile_cluster *key);
size_t keyfile_format_node(char out[static KEYFILE_FORMAT_MAX], const struct keyfile_node *key);
size_t keyfile_format_public(char out[static KEYFILE_FORMAT_MAX], const struct keyfile_public *key);
size_t keyfile_format_trust(char out[static KEYFILE_FORMAT_MAX], const struct keyfile_trust *trust);

/* The key pair of 32 random bytes, which the caller draws. */
void keyfile_make_cluster(
	struct keyfile_cluster *out, const char *bus, const uint8_t seed[static KEYFILE_KEY]);
void keyfile_make_node(struct keyfile_node *out, const uint8_t secret[static KEYFILE_KEY]);

#endif
