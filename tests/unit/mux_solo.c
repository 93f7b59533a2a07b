#include "unit/mux_pair.h"

#include <string.h>

void solo_init(struct end *e, uint64_t *now, const struct mux_options *opt)
{
	*now = 100 * CLOCK_SEC;
	end_init(e, opt != NULL ? opt->side : MUX_ACCEPTED, opt, now, NULL);
}

void solo_hello(struct end *e, uint32_t max_streams, uint32_t window)
{
	uint8_t buf[MUX_CONTROL_ROOM];
	struct wire_hello v = {.version = WIRE_VERSION,
		.role = e->side == MUX_DIALLED ? WIRE_SEGMENT : WIRE_CONTROLLER,
		.capabilities = WIRE_KNOWS_ANNOUNCE | WIRE_KNOWS_TOKEN,
		.max_streams = max_streams,
		.window = window};
	end_feed(e, buf, wire_put_hello(buf, &v));
}

void solo_open(struct end *e, uint32_t id, uint32_t window)
{
	uint8_t buf[MUX_CONTROL_ROOM];
	struct wire_open v = {.window = window, .hops = 8, .name_len = 1, .name = "x"};
	end_feed(e, buf, wire_put_open(buf, id, &v));
}

void solo_data(struct end *e, uint32_t id, uint32_t n, unsigned flags)
{
	static uint8_t buf[WIRE_HEADER + WIRE_DATA_MAX];
	struct wire_header h = {n, WIRE_DATA, (uint8_t)flags, id};
	const struct end_stream *st = end_find(e, id);
	uint64_t from = st != NULL ? st->got : 0;
	wire_put_header(buf, &h);
	for (uint32_t i = 0; i < n; i++)
		buf[WIRE_HEADER + i] = end_byte(id, st == NULL || !st->ours, from + i);
	end_feed(e, buf, WIRE_HEADER + (size_t)n);
}

void solo_reset(struct end *e, uint32_t id, uint32_t code)
{
	uint8_t buf[MUX_CONTROL_ROOM];
	end_feed(e, buf, wire_put_reset(buf, id, code));
}

void solo_credit(struct end *e, uint32_t id, uint64_t offset)
{
	uint8_t buf[MUX_CONTROL_ROOM];
	end_feed(e, buf, wire_put_credit(buf, id, offset));
}

void solo_ping(struct end *e, uint64_t opaque, bool ack)
{
	uint8_t buf[MUX_CONTROL_ROOM];
	end_feed(e, buf, wire_put_ping(buf, opaque, ack));
}

void solo_announce(struct end *e, uint32_t version)
{
	uint8_t buf[MUX_CONTROL_ROOM];
	struct wire_announce v = {.version = version};
	end_feed(e, buf, wire_put_announce(buf, &v));
}

void solo_token(struct end *e, size_t n)
{
	uint8_t buf[MUX_CONTROL_ROOM], text[WIRE_LONG_MAX];
	memset(text, 't', sizeof text);
	end_feed(e, buf, wire_put_token(buf, text, n));
}

void solo_goaway(struct end *e, uint32_t last, uint32_t code)
{
	uint8_t buf[MUX_CONTROL_ROOM];
	struct wire_goaway v = {last, code};
	end_feed(e, buf, wire_put_goaway(buf, &v));
}

void solo_limits(struct end *e, uint32_t max_streams, uint32_t window, bool ack)
{
	uint8_t buf[MUX_CONTROL_ROOM];
	struct wire_limits v = {max_streams, window};
	end_feed(e, buf, wire_put_limits(buf, &v, ack));
}

void solo_ignorable(struct end *e, uint32_t n)
{
	uint8_t buf[MUX_CONTROL_ROOM] = {0};
	struct wire_header h = {n, 30, WIRE_IGNORABLE, 0};
	ck_assert_uint_le(n, WIRE_CONTROL_MAX);
	wire_put_header(buf, &h);
	end_feed(e, buf, WIRE_HEADER + (size_t)n);
}

void solo_drain(struct end *e)
{
	end_flush(e, SIZE_MAX);
	e->out_at = e->out_len = 0;
}

void solo_failed(const struct end *e, int rc, uint32_t code)
{
	uint32_t said;
	const char *why = mux_failure(e->mux, &said);
	ck_assert_msg(e->rc == rc, "%d (%s) where %d was due", e->rc, why, rc);
	if (rc != 0)
		ck_assert_uint_eq(said, code);
}

void solo_fini(struct end *e)
{
	ck_assert_msg(e->broken == NULL, "%s", e->broken);
	ck_assert_uint_eq(end_fini(e), 0);
}
