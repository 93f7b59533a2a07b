#include "base/err.h"
#include "crypto/aead_engine.h"

#include <sodium.h>

static int init(void)
{
	return sodium_init() >= 0 ? 0 : ERR_NOTFOUND;
}

/* It has no state between calls. */
static int begin(void *context)
{
	(void)context;
	return 0;
}

static void fini(void *context)
{
	(void)context;
}

static int seal(void *context, uint8_t *out, const struct aead_input *in)
{
	(void)context;
	crypto_aead_chacha20poly1305_ietf_encrypt(
		out, NULL, in->text, in->n, in->ad, in->ad_len, NULL, in->nonce, in->key);
	return 0;
}

static int open_sealed(void *context, uint8_t *out, const struct aead_input *in)
{
	(void)context;
	int rc = crypto_aead_chacha20poly1305_ietf_decrypt(
		out, NULL, NULL, in->text, in->n, in->ad, in->ad_len, in->nonce, in->key);
	return rc == 0 ? 0 : ERR_PROTOCOL;
}

const struct aead_engine aead_sodium = {.name = "libsodium",
	.init = init,
	.begin = begin,
	.fini = fini,
	.seal = seal,
	.open = open_sealed};
