/*
 * Any bytes as a flow of frames: in one piece and in pieces, the same comes out, and it
 * fails, if it does, at the same frame.  The first byte of the input seeds the pieces.
 */
#include "wire/decoder.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define PROMISE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

/* What came out, as one number that does not depend on the pieces. */
struct outcome {
	uint64_t sum;
	size_t frames;
	int rc;
};

static void add(struct outcome *o, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		o->sum = (o->sum ^ p[i]) * UINT64_C(0x100000001b3);
}

static void check_item(const struct decoder *d, const struct decoder_out *f, size_t left)
{
	const char *why;
	PROMISE(wire_check(&f->header, &why) == 0);
	switch (f->item) {
	case DECODER_CONTROL:
		PROMISE(f->n == f->header.length && f->n <= WIRE_LONG_MAX);
		PROMISE(decoder_at_boundary(d));
		break;
	case DECODER_DATA:
		PROMISE(f->header.type == WIRE_DATA && f->n <= f->header.length);
		PROMISE(f->last == (decoder_pending(d) == 0));
		PROMISE(f->last || left == 0);
		break;
	default:
		PROMISE(f->item == DECODER_IGNORED && f->header.flags & WIRE_IGNORABLE);
		PROMISE(f->n == 0 && decoder_pending(d) == 0);
	}
}

/* Control frames that pass the table are unpacked too, as the session layer does. */
static void unpack(struct outcome *o, const struct decoder_out *f)
{
	const char *why = NULL;
	struct wire_hello hello;
	struct wire_open open;
	struct wire_limits limits;
	struct wire_announce names;
	struct wire_name name;
	int rc = 0;
	if (f->header.type == WIRE_HELLO)
		rc = wire_get_hello(&hello, f->p, f->n, &why);
	else if (f->header.type == WIRE_OPEN)
		rc = wire_get_open(&open, f->p, f->n, &why);
	else if (f->header.type == WIRE_LIMITS)
		rc = wire_get_limits(&limits, f->p, &why);
	else if (f->header.type == WIRE_ANNOUNCE)
		rc = wire_get_announce(&names, f->p, f->n, &why);
	while (f->header.type == WIRE_ANNOUNCE && rc == 0 && wire_next_name(&names, &name)) {
		PROMISE(name.n > 0);
		add(o, (const uint8_t *)name.name, name.n);
	}
	PROMISE((rc == 0) == (why == NULL));
	o->sum += (uint64_t)(rc != 0);
}

static void feed(struct decoder *d, struct outcome *o, const uint8_t *p, size_t n)
{
	struct decoder_out f;
	while (o->rc == 0) {
		o->rc = decoder_next(d, &p, &n, &f);
		if (o->rc != 0 || f.item == DECODER_MORE)
			break;
		check_item(d, &f, n);
		if (f.item != DECODER_DATA || f.first) {
			uint8_t h[WIRE_HEADER];
			wire_put_header(h, &f.header);
			add(o, h, sizeof h);
			o->frames++;
		}
		add(o, f.p, f.n);
		if (f.item == DECODER_CONTROL)
			unpack(o, &f);
	}
	PROMISE(o->rc != 0 || n == 0);
}

static struct outcome decode(const uint8_t *data, size_t n, uint32_t seed, size_t most)
{
	struct outcome o = {0};
	struct decoder d;
	decoder_init(&d);
	for (size_t at = 0; at < n && o.rc == 0;) {
		seed = seed * 1103515245 + 12345;
		size_t step = 1 + (seed >> 16) % most;
		step = step < n - at ? step : n - at;
		/* A copy of its own size, so that a sanitizer sees a byte too far. */
		uint8_t *piece = malloc(step);
		PROMISE(piece != NULL);
		memcpy(piece, data + at, step);
		feed(&d, &o, piece, step);
		free(piece);
		at += step;
	}
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n == 0)
		return 0;
	uint32_t seed = data[0];
	struct outcome whole = decode(data + 1, n - 1, 0, SIZE_MAX);
	for (size_t most = 1; most < 2000; most = most * 9 + 2) {
		struct outcome o = decode(data + 1, n - 1, seed, most);
		PROMISE(o.rc == whole.rc && o.frames == whole.frames);
		PROMISE(o.sum == whole.sum || o.rc != 0);
	}
	return 0;
}
