#include "base/err.h"
#include "crypto/aead_engine.h"

#include <sodium.h>
#include <string.h>

struct context {
	uint8_t key[AEAD_KEY];
};

static int init(void)
{
	return sodium_init() >= 0 ? 0 : ERR_NOTFOUND;
}

static int set_key(void *context, const uint8_t key[AEAD_KEY])
{
	struct context *c = context;
	memcpy(c->key, key, AEAD_KEY);
	return 0;
}

/* Nothing is held but the key, which aead_free wipes. */
static void fini(void *context)
{
	(void)context;
}

static int seal(void *context, uint8_t *out, const struct aead_input *in)
{
	const struct context *c = context;
	crypto_aead_chacha20poly1305_ietf_encrypt(
		out, NULL, in->text, in->n, in->ad, in->ad_len, NULL, in->nonce, c->key);
	return 0;
}

static int open_sealed(void *context, uint8_t *out, const struct aead_input *in)
{
	const struct context *c = context;
	int rc = crypto_aead_chacha20poly1305_ietf_decrypt(
		out, NULL, NULL, in->text, in->n, in->ad, in->ad_len, in->nonce, c->key);
	return rc == 0 ? 0 : ERR_PROTOCOL;
}

const struct aead_engine aead_sodium = {.name = "libsodium",
	.size = sizeof(struct context),
	.init = init,
	.set_key = set_key,
	.fini = fini,
	.seal = seal,
	.open = open_sealed};
