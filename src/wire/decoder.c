#include "wire/decoder.h"

#include <assert.h>
#include <string.h>

void decoder_init(struct decoder *d)
{
	memset(d, 0, sizeof *d);
}

uint32_t decoder_pending(const struct decoder *d)
{
	return d->ignoring ? 0 : d->left;
}

void decoder_skip(struct decoder *d, uint32_t n)
{
	assert(!d->ignoring && n <= d->left);
	d->left -= n;
}

bool decoder_at_boundary(const struct decoder *d)
{
	return d->left == 0 && d->have == 0;
}

/* Gathers up to `want` bytes in buf; whether they are all there. */
static bool gather(struct decoder *d, size_t want, const uint8_t **p, size_t *n)
{
	size_t take = want - d->have;
	if (take > *n)
		take = *n;
	if (take == 0)
		return d->have == want; /* *p may be NULL */
	memcpy(d->buf + d->have, *p, take);
	d->have = (uint16_t)(d->have + take);
	*p += take;
	*n -= take;
	return d->have == want;
}

static void take_payload(struct decoder *d, const uint8_t **p, size_t *n, struct decoder_out *out)
{
	out->p = *p;
	out->n = d->left < *n ? d->left : *n;
	if (out->n > 0)
		*p += out->n;
	*n -= out->n;
	d->left -= (uint32_t)out->n;
	out->last = d->left == 0;
}

/* A header is complete in buf: what kind of frame begins? */
static int begin(struct decoder *d, const uint8_t **p, size_t *n, struct decoder_out *out)
{
	wire_get_header(&d->header, d->buf);
	int rc = wire_check(&d->header, &d->why);
	if (rc != 0)
		return rc;
	out->header = d->header;
	d->ignoring = wire_rule(d->header.type)->name == NULL;
	if (d->header.type == WIRE_DATA || d->ignoring) {
		d->have = 0;
		d->left = d->header.length;
	}
	if (d->ignoring)
		out->item = DECODER_IGNORED;
	if (d->header.type == WIRE_DATA) {
		out->item = DECODER_DATA;
		out->first = true;
		take_payload(d, p, n, out);
	}
	return 0;
}

int decoder_next(struct decoder *d, const uint8_t **p, size_t *n, struct decoder_out *out)
{
	*out = (struct decoder_out){.item = DECODER_MORE};
	for (;;) {
		if (d->left > 0) {
			if (*n == 0)
				return 0;
			out->header = d->header;
			take_payload(d, p, n, out);
			if (!d->ignoring) {
				out->item = DECODER_DATA;
				return 0;
			}
			*out = (struct decoder_out){.item = DECODER_MORE};
			continue;
		}
		if (d->have < WIRE_HEADER) {
			if (!gather(d, WIRE_HEADER, p, n))
				return 0;
			int rc = begin(d, p, n, out);
			if (rc != 0 || out->item != DECODER_MORE)
				return rc;
		}
		if (!gather(d, WIRE_HEADER + d->header.length, p, n))
			return 0;
		d->have = 0;
		out->item = DECODER_CONTROL;
		out->header = d->header;
		out->p = d->buf + WIRE_HEADER;
		out->n = d->header.length;
		return 0;
	}
}
