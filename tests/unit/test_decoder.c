/* The decoder: pieces of any size give the same frames. */
#include "base/err.h"
#include "unit/unit.h"
#include "wire/decoder.h"

#include <string.h>

enum { FLOW_MAX = 4096, LOG_MAX = 8192 };

/* What came out, in words that do not depend on the pieces. */
struct log {
	uint8_t bytes[LOG_MAX];
	size_t n;
	int rc;
	bool at_boundary;
};

static void note(struct log *l, const void *p, size_t n)
{
	ck_assert_uint_le(l->n + n, sizeof l->bytes);
	if (n > 0)
		memcpy(l->bytes + l->n, p, n);
	l->n += n;
}

static void note_header(struct log *l, const struct decoder_out *f)
{
	uint8_t h[WIRE_HEADER + 1];
	h[0] = (uint8_t)f->item;
	wire_put_header(h + 1, &f->header);
	note(l, h, sizeof h);
}

static void feed(struct decoder *d, struct log *l, const uint8_t *p, size_t n)
{
	struct decoder_out f;
	while (l->rc == 0) {
		l->rc = decoder_next(d, &p, &n, &f);
		if (l->rc != 0 || f.item == DECODER_MORE)
			break;
		if (f.item != DECODER_DATA || f.first)
			note_header(l, &f);
		note(l, f.p, f.n);
		if (f.item == DECODER_DATA && f.last)
			note(l, "end", 3);
	}
	l->at_boundary = decoder_at_boundary(d);
	if (l->rc == 0)
		ck_assert_uint_eq(n, 0);
}

/* Two pieces, the second perhaps of single bytes. */
static void decode(struct log *l, const uint8_t *flow, size_t n, size_t split, bool bytes)
{
	struct decoder d;
	decoder_init(&d);
	memset(l, 0, sizeof *l);
	feed(&d, l, NULL, 0);
	feed(&d, l, flow, split);
	for (size_t i = split; bytes && i < n && l->rc == 0; i++)
		feed(&d, l, flow + i, 1);
	if (!bytes && l->rc == 0)
		feed(&d, l, flow + split, n - split);
}

static void same(const struct log *a, const struct log *b)
{
	ck_assert_int_eq(a->rc, b->rc);
	ck_assert_uint_eq(a->n, b->n);
	ck_assert_mem_eq(a->bytes, b->bytes, a->n);
	ck_assert_int_eq(a->at_boundary, b->at_boundary);
}

static size_t put_raw(uint8_t *out, uint8_t type, uint8_t flags, uint32_t stream, uint32_t n)
{
	struct wire_header h = {n, type, flags, stream};
	wire_put_header(out, &h);
	for (uint32_t i = 0; i < n; i++)
		out[WIRE_HEADER + i] = (uint8_t)(i * 3 + type);
	return WIRE_HEADER + n;
}

/* Every frame there is, and some there are not yet. */
static size_t all_frames(uint8_t *out)
{
	static const struct wire_hello hello = {.version = 1, .role = 1, .window = 1024};
	static const struct wire_open open = {.window = 1024, .name_len = 3, .name = "web"};
	static const struct wire_goaway goaway = {WIRE_GOAWAY_OPEN, WIRE_OK};
	static const struct wire_limits limits = {5, 4096};
	size_t n = wire_put_hello(out, &hello);
	n += wire_put_open(out + n, 1, &open);
	n += put_raw(out + n, WIRE_DATA, 0, 1, 1);
	n += put_raw(out + n, 29, WIRE_IGNORABLE, 0, 0);
	n += put_raw(out + n, WIRE_DATA, WIRE_FIN, 1, 300);
	n += put_raw(out + n, 31, WIRE_IGNORABLE | 3, 77, 1);
	n += put_raw(out + n, WIRE_DATA, WIRE_FIN, 3, 0);
	n += wire_put_credit(out + n, 1, 1 << 20);
	n += put_raw(out + n, 0, WIRE_IGNORABLE, UINT32_MAX, 40);
	n += wire_put_ping(out + n, 7, false);
	n += wire_put_reset(out + n, 5, WIRE_ABORTED);
	n += wire_put_goaway(out + n, &goaway);
	n += wire_put_limits(out + n, &limits, true);
	ck_assert_uint_le(n, FLOW_MAX);
	return n;
}

START_TEST(every_split)
{
	static struct log whole, split;
	uint8_t flow[FLOW_MAX];
	size_t n = all_frames(flow);
	decode(&whole, flow, n, n, false);
	ck_assert_int_eq(whole.rc, 0);
	ck_assert(whole.at_boundary);
	for (size_t at = 0; at <= n; at++) {
		decode(&split, flow, n, at, false);
		same(&whole, &split);
	}
	decode(&split, flow, n, 0, true);
	same(&whole, &split);
}
END_TEST

/* Cut off at any byte: the frames before it, and no more. */
START_TEST(every_end)
{
	static struct log whole, cut;
	uint8_t flow[FLOW_MAX];
	size_t n = all_frames(flow), between = 0;
	decode(&whole, flow, n, n, false);
	for (size_t at = 0; at < n; at++) {
		decode(&cut, flow, at, at, false);
		ck_assert_int_eq(cut.rc, 0);
		ck_assert_uint_le(cut.n, whole.n);
		ck_assert_mem_eq(cut.bytes, whole.bytes, cut.n);
		between += cut.at_boundary;
	}
	ck_assert_uint_eq(between, 13);
}
END_TEST

START_TEST(frames_come_out_as_they_went_in)
{
	uint8_t flow[64];
	struct decoder d;
	struct decoder_out f;
	decoder_init(&d);
	size_t n = put_raw(flow, WIRE_DATA, WIRE_FIN, 9, 10);
	const uint8_t *p = flow;
	size_t have = WIRE_HEADER + 4;
	ck_assert_int_eq(decoder_next(&d, &p, &have, &f), 0);
	ck_assert_int_eq(f.item, DECODER_DATA);
	ck_assert(f.first && !f.last);
	ck_assert_uint_eq(f.n, 4);
	ck_assert_ptr_eq(f.p, flow + WIRE_HEADER); /* not copied */
	ck_assert_uint_eq(decoder_pending(&d), 6);
	ck_assert(!decoder_at_boundary(&d));
	decoder_skip(&d, 5);
	ck_assert_uint_eq(decoder_pending(&d), 1);
	p = flow + n - 1;
	have = 1;
	ck_assert_int_eq(decoder_next(&d, &p, &have, &f), 0);
	ck_assert(!f.first && f.last);
	ck_assert_uint_eq(f.header.flags, WIRE_FIN);
	ck_assert(decoder_at_boundary(&d));
}
END_TEST

/* Payload of a frame to be ignored is nobody's, and of any length up to the bound. */
START_TEST(ignored_frames)
{
	static uint8_t flow[2 * WIRE_HEADER + WIRE_IGNORED_MAX + 64];
	static const uint32_t lengths[] = {
		0, 1, 7, 8, 9, 1023, 1024, 1025, 1032, 1033, 65535, 65536};
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		for (size_t step = 1; step <= sizeof flow; step = step * 7 + 1) {
			struct decoder d;
			struct decoder_out f;
			decoder_init(&d);
			size_t n = put_raw(flow, 20, WIRE_IGNORABLE, 3, lengths[i]);
			n += wire_put_ping(flow + n, 99, false);
			int ignored = 0, pings = 0;
			for (size_t at = 0; at < n;) {
				size_t piece = n - at < step ? n - at : step, left = piece;
				const uint8_t *p = flow + at;
				ck_assert_int_eq(decoder_next(&d, &p, &left, &f), 0);
				ck_assert_uint_eq(decoder_pending(&d), 0);
				ignored += f.item == DECODER_IGNORED;
				pings += f.item == DECODER_CONTROL && wire_get_ping(f.p) == 99;
				at += piece - left;
			}
			ck_assert_int_eq(ignored, 1);
			ck_assert_int_eq(pings, 1);
		}
	}
}
END_TEST

START_TEST(refused_at_the_header)
{
	static const struct wire_header bad[] = {
		{0, 29, 0, 0},                                 /* unknown */
		{WIRE_IGNORED_MAX + 1, 29, WIRE_IGNORABLE, 0}, /* ignorable, too long */
		{WIRE_CONTROL_MAX + 1, WIRE_OPEN, 0, 1},      /* case 18 */
		{WIRE_DATA_MAX + 1, WIRE_DATA, 0, 1},         /* too long */
		{0, WIRE_DATA, 0, 1},                         /* case 62: says nothing */
		{8, WIRE_PING, 0, 1},                         /* not on a stream */
		{4, WIRE_RESET, 0, 0},                        /* on a stream */
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		uint8_t h[WIRE_HEADER];
		static struct log whole, bytes;
		wire_put_header(h, &bad[i]);
		decode(&whole, h, sizeof h, sizeof h, false);
		decode(&bytes, h, sizeof h, 0, true);
		ck_assert_int_eq(whole.rc, ERR_PROTOCOL);
		ck_assert_int_eq(bytes.rc, ERR_PROTOCOL);
		ck_assert_uint_eq(whole.n, 0);
	}
}
END_TEST

/* Random flows, random pieces: the same frames, the same failure. */
START_TEST(random_flows)
{
	uint64_t r = 7;
	for (int round = 0; round < 3000; round++) {
		static struct log whole, pieces;
		uint8_t flow[FLOW_MAX];
		size_t n = 0;
		while (n < 1500) {
			uint8_t type = (uint8_t)unit_below(&r, 12);
			uint32_t length = (uint32_t)unit_below(&r, 60);
			if (type == WIRE_CREDIT || type == WIRE_PING || type == WIRE_GOAWAY)
				length = 8;
			bool on = type < WIRE_TYPES && wire_rule(type)->on_stream;
			n += put_raw(flow + n, type, type > 8 || type == 0 ? WIRE_IGNORABLE : 0,
				on ? 1 : 0, length);
		}
		decode(&whole, flow, n, n, false);
		struct decoder d;
		decoder_init(&d);
		memset(&pieces, 0, sizeof pieces);
		for (size_t at = 0; at < n && pieces.rc == 0;) {
			size_t step = 1 + (size_t)unit_below(&r, 200);
			step = step < n - at ? step : n - at;
			feed(&d, &pieces, flow + at, step);
			at += step;
		}
		if (whole.rc != 0)
			whole.at_boundary = pieces.at_boundary;
		same(&whole, &pieces);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("decoder");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, every_split);
	tcase_add_test(t, every_end);
	tcase_add_test(t, frames_come_out_as_they_went_in);
	tcase_add_test(t, ignored_frames);
	tcase_add_test(t, refused_at_the_header);
	tcase_add_test(t, random_flows);
	suite_add_tcase(s, t);
	return unit_main(s);
}
