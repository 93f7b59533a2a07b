#include "base/err.h"
#include "crypto/aead_engine.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

/*
 * The cipher is looked up and the key is set up once; a call sets the nonce.  Even that
 * costs more than libsodium's whole set-up, so texts of less than SHORT bytes are left to
 * it: the same bytes come out.  From about there on libcrypto is the cheaper one.
 */
enum { SHORT = 256 };

struct context {
	EVP_CIPHER_CTX *cipher;
	uint8_t key[AEAD_KEY]; /* for short texts */
};

enum way { OPEN, SEAL };

static EVP_CIPHER *fetch(void)
{
	return EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
}

static int init(void)
{
	EVP_CIPHER *cipher = NULL;
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
		cipher = fetch();
	EVP_CIPHER_free(cipher);
	return cipher != NULL ? 0 : ERR_NOTFOUND;
}

static int set_key(void *context, const uint8_t key[AEAD_KEY])
{
	struct context *c = context;
	EVP_CIPHER *cipher = NULL;
	int ok = 1;
	if (c->cipher == NULL) {
		cipher = fetch();
		c->cipher = EVP_CIPHER_CTX_new();
		ok = cipher != NULL && c->cipher != NULL;
	}
	/* The context keeps a reference to the cipher of its own. */
	ok = ok && EVP_CipherInit_ex2(c->cipher, cipher, key, NULL, SEAL, NULL);
	EVP_CIPHER_free(cipher);
	memcpy(c->key, key, AEAD_KEY);
	return ok ? 0 : ERR_NOMEM;
}

static void fini(void *context)
{
	struct context *c = context;
	EVP_CIPHER_CTX_free(c->cipher);
}

/* Nonce, associated data and text, up to the tag: true for success. */
static int run(EVP_CIPHER_CTX *c, enum way way, uint8_t *out, const struct aead_input *in)
{
	int n = (int)(way == SEAL ? in->n : in->n - AEAD_TAG), done = 0;
	return EVP_CipherInit_ex2(c, NULL, NULL, in->nonce, way, NULL) &&
	       (in->ad_len == 0 || EVP_CipherUpdate(c, NULL, &done, in->ad, (int)in->ad_len)) &&
	       EVP_CipherUpdate(c, out, &done, in->text, n) && done == n;
}

static int seal(void *context, uint8_t *out, const struct aead_input *in)
{
	struct context *c = context;
	int done = 0;
	if (in->n < SHORT) {
		crypto_aead_chacha20poly1305_ietf_encrypt(
			out, NULL, in->text, in->n, in->ad, in->ad_len, NULL, in->nonce, c->key);
		return 0;
	}
	int ok = run(c->cipher, SEAL, out, in) &&
		 EVP_CipherFinal_ex(c->cipher, out + in->n, &done) &&
		 EVP_CIPHER_CTX_ctrl(c->cipher, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, out + in->n);
	return ok ? 0 : ERR_NOMEM;
}

static int open_sealed(void *context, uint8_t *out, const struct aead_input *in)
{
	struct context *c = context;
	const uint8_t *tag = in->text + in->n - AEAD_TAG;
	uint8_t none[AEAD_TAG];
	int done = 0;
	if (in->n < SHORT + AEAD_TAG) {
		int rc = crypto_aead_chacha20poly1305_ietf_decrypt(
			out, NULL, NULL, in->text, in->n, in->ad, in->ad_len, in->nonce, c->key);
		return rc == 0 ? 0 : ERR_PROTOCOL;
	}
	if (!run(c->cipher, OPEN, out, in) ||
		!EVP_CIPHER_CTX_ctrl(c->cipher, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, (void *)tag))
		return ERR_NOMEM;
	return EVP_CipherFinal_ex(c->cipher, none, &done) ? 0 : ERR_PROTOCOL;
}

const struct aead_engine aead_libcrypto = {.name = "libcrypto",
	.size = sizeof(struct context),
	.init = init,
	.set_key = set_key,
	.fini = fini,
	.seal = seal,
	.open = open_sealed};
