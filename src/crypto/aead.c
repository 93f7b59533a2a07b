#include "crypto/aead.h"

#include "base/err.h"
#include "config.h"
#include "crypto/aead_engine.h"
#include "crypto/locked.h"

#include <sodium.h>
#include <stddef.h>

struct aead {
	struct mem *mem;
	const struct aead_engine *engine;
	_Alignas(max_align_t) unsigned char context[];
};

/* The faster first: HACKING, TO MEASURE, has the figures. */
static const struct aead_engine *const engines[] = {
#ifdef HAVE_LIBCRYPTO
	&aead_libcrypto,
#endif
	&aead_sodium,
};

int aead_init(void)
{
	int rc = 0;
	for (size_t i = 0; aead_engine(i) != NULL && rc == 0; i++)
		rc = aead_engine(i)->init();
	return rc;
}

const struct aead_engine *aead_engine(size_t i)
{
	return i < sizeof engines / sizeof engines[0] ? engines[i] : NULL;
}

const char *aead_engine_name(const struct aead_engine *engine)
{
	return engine->name;
}

struct aead *aead_new(struct mem *mem, const struct aead_engine *engine)
{
	if (engine == NULL)
		engine = engines[0];
	struct aead *a = mem_zalloc(mem, sizeof *a + engine->size);
	if (a == NULL)
		return NULL;
	a->mem = mem;
	a->engine = engine;
	if (engine->begin(a->context) != 0) {
		aead_free(a);
		return NULL;
	}
	return a;
}

void aead_free(struct aead *a)
{
	if (a == NULL)
		return;
	a->engine->fini(a->context);
	mem_free(a->mem, a);
}

int aead_seal(struct aead *a, uint8_t *out, const struct aead_input *in)
{
	if (in->n > AEAD_TEXT_MAX || in->ad_len > AEAD_TEXT_MAX)
		return ERR_LIMIT;
	int rc = a->engine->seal(a->context, out, in);
	sodium_stackzero(LOCKED_STACK);
	return rc;
}

int aead_open(struct aead *a, uint8_t *out, const struct aead_input *in)
{
	if (in->n < AEAD_TAG)
		return ERR_PROTOCOL;
	int rc = ERR_LIMIT;
	if (in->n - AEAD_TAG <= AEAD_TEXT_MAX && in->ad_len <= AEAD_TEXT_MAX) {
		rc = a->engine->open(a->context, out, in);
		sodium_stackzero(LOCKED_STACK);
	}
	if (rc != 0 && in->n > AEAD_TAG)
		sodium_memzero(out, in->n - AEAD_TAG);
	return rc;
}
