/*
 * decoder - received bytes, in pieces of any size, to frames.
 *
 * Control frames come out whole.  The payload of DATA is never gathered: it comes
 * out in the pieces in which it came in, pointing into the caller's bytes, or the
 * caller takes it from the socket itself (decoder_pending, decoder_skip).
 */
#ifndef CB_WIRE_DECODER_H
#define CB_WIRE_DECODER_H

#include "wire/wire.h"

enum decoder_item {
	DECODER_MORE,    /* all bytes are used up; feed more */
	DECODER_CONTROL, /* a whole frame that is not DATA */
	DECODER_DATA,    /* a piece of DATA; the first may be empty */
	DECODER_IGNORED, /* an unknown frame begins; its payload is skipped */
};

struct decoder {
	struct wire_header header;
	uint32_t left;   /* bytes of DATA or of an ignored frame still to come */
	uint16_t have;   /* bytes gathered in buf */
	bool ignoring;   /* the frame under way is skipped */
	const char *why; /* what was wrong, after ERR_PROTOCOL */
	uint8_t buf[WIRE_HEADER + WIRE_LONG_MAX];
};

struct decoder_out {
	enum decoder_item item;
	struct wire_header header;
	const uint8_t *p; /* CONTROL: the payload; DATA: this piece */
	size_t n;         /* bytes at p */
	bool first, last; /* DATA: the frame's first piece, its last */
};

void decoder_init(struct decoder *d);

/*
 * Takes bytes from *p (*n of them, both are moved on) until there is something to
 * say.  0, or ERR_PROTOCOL when a header fails wire_check(): d->why says why, and
 * the decoder must not be used again.  out->p is valid until the next call.
 */
int decoder_next(struct decoder *d, const uint8_t **p, size_t *n, struct decoder_out *out);

/* Bytes of DATA payload that come next on the wire: 0 between frames. */
uint32_t decoder_pending(const struct decoder *d);

/* The caller took n <= decoder_pending() bytes of payload from the socket itself. */
void decoder_skip(struct decoder *d, uint32_t n);

/* Whether the bytes so far end between two frames. */
bool decoder_at_boundary(const struct decoder *d);

#endif
