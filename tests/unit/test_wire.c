/* Frames packed and unpacked, and the table of what is a frame by itself. */
#include "base/err.h"
#include "unit/unit.h"
#include "wire/wire.h"

#include <string.h>

static const char *why;

static int check(uint32_t length, unsigned type, unsigned flags, uint32_t stream)
{
	struct wire_header h = {length, (uint8_t)type, (uint8_t)flags, stream};
	why = NULL;
	int rc = wire_check(&h, &why);
	ck_assert((rc == 0 && why == NULL) || (rc == ERR_PROTOCOL && why != NULL));
	return rc;
}

START_TEST(header_there_and_back)
{
	uint64_t r = 1;
	for (int i = 0; i < 10000; i++) {
		struct wire_header h = {(uint32_t)unit_below(&r, 1 << 24),
					   (uint8_t)unit_below(&r, WIRE_TYPES),
					   (uint8_t)unit_below(&r, 8), (uint32_t)unit_random(&r)},
				   back;
		uint8_t buf[WIRE_HEADER];
		wire_put_header(buf, &h);
		wire_get_header(&back, buf);
		ck_assert_uint_eq(back.length, h.length);
		ck_assert_uint_eq(back.type, h.type);
		ck_assert_uint_eq(back.flags, h.flags);
		ck_assert_uint_eq(back.stream, h.stream);
	}
}
END_TEST

/* The layout, byte by byte: what a second implementation has to agree with. */
START_TEST(header_on_the_wire)
{
	static const uint8_t want[WIRE_HEADER] = {
		0x01, 0x02, 0x03, 3 << 3 | 1, 0x7f, 0x11, 0x22, 0x33};
	struct wire_header h = {0x010203, WIRE_DATA, WIRE_FIN, 0x7f112233};
	uint8_t buf[WIRE_HEADER];
	wire_put_header(buf, &h);
	ck_assert_mem_eq(buf, want, sizeof want);
}
END_TEST

/* Each row of the table at each of its bounds. */
START_TEST(rules)
{
	static const struct {
		unsigned type;
		uint32_t min, max;
		unsigned flags;
		bool on_stream;
	} rows[] = {
		{WIRE_HELLO, 40, 1024, 0, false},
		{WIRE_OPEN, 42, 1024, 0, true},
		{WIRE_DATA, 1, 1 << 20, WIRE_FIN, true}, /* 0 with FIN only: below */
		{WIRE_RESET, 4, 4, 0, true},
		{WIRE_CREDIT, 8, 8, 0, true},
		{WIRE_PING, 8, 8, WIRE_ACK, false},
		{WIRE_GOAWAY, 8, 8, 0, false},
		{WIRE_LIMITS, 8, 8, WIRE_ACK, false},
		{WIRE_ANNOUNCE, 5, 4096, 0, false},
		{WIRE_TOKEN, 1, 4096, 0, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned type = rows[i].type;
		uint32_t on = rows[i].on_stream ? 1 : 0;
		ck_assert_int_eq(check(rows[i].min, type, 0, on), 0);
		ck_assert_int_eq(check(rows[i].max, type, 0, on), 0);
		ck_assert_int_eq(check(rows[i].min - 1, type, 0, on), ERR_PROTOCOL);
		ck_assert_int_eq(check(rows[i].max + 1, type, 0, on), ERR_PROTOCOL);
		ck_assert_int_eq(check(0xffffff, type, 0, on), ERR_PROTOCOL);
		ck_assert_int_eq(check(rows[i].min, type, 0, 1 - on), ERR_PROTOCOL);
		ck_assert_int_eq(check(rows[i].min, type, 0, UINT32_MAX), on ? 0 : ERR_PROTOCOL);
		for (unsigned flags = 0; flags < 8; flags++) {
			bool own = (flags & ~(rows[i].flags | WIRE_IGNORABLE)) == 0;
			ck_assert_int_eq(
				check(rows[i].min, type, flags, on), own ? 0 : ERR_PROTOCOL);
		}
		ck_assert_str_eq(wire_type_name(type), wire_rule(type)->name);
	}
	ck_assert_int_eq(check(0, WIRE_DATA, WIRE_FIN, 1), 0);
}
END_TEST

START_TEST(unknown_types)
{
	static const unsigned known = 1u << WIRE_HELLO | 1u << WIRE_OPEN | 1u << WIRE_DATA |
				      1u << WIRE_RESET | 1u << WIRE_CREDIT | 1u << WIRE_PING |
				      1u << WIRE_GOAWAY | 1u << WIRE_LIMITS | 1u << WIRE_ANNOUNCE |
				      1u << WIRE_TOKEN;
	for (unsigned type = 0; type < WIRE_TYPES; type++) {
		if (known & 1u << type)
			continue;
		ck_assert_str_eq(wire_type_name(type), "unknown frame");
		for (unsigned flags = 0; flags < 8; flags++) {
			int want = flags & WIRE_IGNORABLE ? 0 : ERR_PROTOCOL;
			ck_assert_int_eq(check(0, type, flags, 0), want);
			ck_assert_int_eq(check(WIRE_IGNORED_MAX, type, flags, 5), want);
			ck_assert_int_eq(check(WIRE_IGNORED_MAX + 1, type, flags, 0), ERR_PROTOCOL);
		}
	}
	ck_assert_str_eq(wire_type_name(1000), "unknown frame");
}
END_TEST

START_TEST(codes_have_words)
{
	for (uint32_t code = 0; code < WIRE_CODES; code++) {
		ck_assert_ptr_nonnull(wire_code_text(code));
		for (uint32_t other = 0; other < code; other++)
			ck_assert_str_ne(wire_code_text(code), wire_code_text(other));
	}
	ck_assert_str_eq(wire_code_text(WIRE_CODES), "unknown reason");
	ck_assert_str_eq(wire_code_text(UINT32_MAX), "unknown reason");
}
END_TEST

/* A frame of ours passes its own check; returns its payload's length. */
static size_t payload(const uint8_t *buf, size_t n, unsigned type, unsigned flags, uint32_t stream)
{
	struct wire_header h;
	wire_get_header(&h, buf);
	ck_assert_uint_eq(h.length + WIRE_HEADER, n);
	ck_assert_uint_eq(h.type, type);
	ck_assert_uint_eq(h.flags, flags);
	ck_assert_uint_eq(h.stream, stream);
	ck_assert_int_eq(wire_check(&h, &why), 0);
	return h.length;
}

static const struct wire_hello hello = {.version = WIRE_VERSION,
	.role = WIRE_SEGMENT,
	.capabilities = 0x80000001,
	.instance = "0123456789abcde",
	.max_streams = 0xfedcba98,
	.window = WIRE_WINDOW_MAX};

START_TEST(hello_there_and_back)
{
	uint8_t buf[256];
	struct wire_hello v;
	size_t n = payload(buf, wire_put_hello(buf, &hello), WIRE_HELLO, 0, 0);
	ck_assert_int_eq(wire_get_hello(&v, buf + WIRE_HEADER, n, &why), 0);
	ck_assert_mem_eq(v.instance, hello.instance, WIRE_ID);
	ck_assert_uint_eq(v.version, hello.version);
	ck_assert_uint_eq(v.role, hello.role);
	ck_assert_uint_eq(v.capabilities, hello.capabilities);
	ck_assert_uint_eq(v.max_streams, hello.max_streams);
	ck_assert_uint_eq(v.window, hello.window);
}
END_TEST

START_TEST(hello_refused)
{
	for (int i = 0; i < 9; i++) {
		uint8_t buf[256];
		struct wire_hello v = hello;
		int want = ERR_PROTOCOL;
		v.version = i == 0 ? 2 : i == 1 ? 0 : WIRE_VERSION;
		v.role = i == 2 ? 0 : i == 3 ? 3 : WIRE_CONTROLLER;
		v.window = i == 4   ? WIRE_WINDOW_MIN - 1
			   : i == 5 ? WIRE_WINDOW_MAX + 1
				    : WIRE_WINDOW_MIN;
		size_t n = wire_put_hello(buf, &v) - WIRE_HEADER;
		if (i == 6 || i == 7)
			buf[WIRE_HEADER + (i == 6 ? 0 : 7)] ^= 1; /* the magic */
		if (i == 8)
			want = 0;
		ck_assert_int_eq(wire_get_hello(&v, buf + WIRE_HEADER, n, &why), want);
	}
}
END_TEST

static struct wire_open full_open(size_t name)
{
	struct wire_open v = {.session = "fedcba987654321",
		.window = WIRE_WINDOW_MIN,
		.hops = 8,
		.family = 6,
		.port = 65535,
		.name_len = (uint8_t)name};
	memset(v.address, 0xa5, sizeof v.address);
	memset(v.name, 'n', name);
	return v;
}

START_TEST(open_there_and_back)
{
	for (size_t name = 1; name <= WIRE_NAME_MAX; name++) {
		uint8_t buf[WIRE_HEADER + WIRE_CONTROL_MAX];
		struct wire_open v = full_open(name), back;
		size_t n = payload(buf, wire_put_open(buf, 7, &v), WIRE_OPEN, 0, 7);
		ck_assert_int_eq(wire_get_open(&back, buf + WIRE_HEADER, n, &why), 0);
		ck_assert_mem_eq(back.session, v.session, WIRE_ID);
		ck_assert_mem_eq(back.address, v.address, 16);
		ck_assert_uint_eq(back.window, v.window);
		ck_assert_uint_eq(back.hops, v.hops);
		ck_assert_uint_eq(back.family, v.family);
		ck_assert_uint_eq(back.port, v.port);
		ck_assert_uint_eq(back.name_len, name);
		ck_assert_mem_eq(back.name, v.name, name);
	}
}
END_TEST

static int get_open(const struct wire_open *v, size_t cut, int name_len, int nul)
{
	uint8_t buf[WIRE_HEADER + WIRE_CONTROL_MAX];
	struct wire_open back;
	size_t n = wire_put_open(buf, 1, v) - WIRE_HEADER;
	if (name_len >= 0)
		buf[WIRE_HEADER + 40] = (uint8_t)name_len;
	if (nul >= 0)
		buf[WIRE_HEADER + 41 + nul] = 0;
	return wire_get_open(&back, buf + WIRE_HEADER, n - cut, &why);
}

START_TEST(open_refused)
{
	struct wire_open v = full_open(10), w = v;
	ck_assert_int_eq(get_open(&v, 0, -1, -1), 0);
	ck_assert_int_eq(get_open(&v, 1, -1, -1), ERR_PROTOCOL);  /* the name does not fit */
	ck_assert_int_eq(get_open(&v, 0, 11, -1), ERR_PROTOCOL);  /* nor here */
	ck_assert_int_eq(get_open(&v, 0, 255, -1), ERR_PROTOCOL); /* by far */
	ck_assert_int_eq(get_open(&v, 0, 0, -1), ERR_PROTOCOL);   /* no name */
	ck_assert_int_eq(get_open(&v, 0, -1, 0), ERR_PROTOCOL);   /* NUL first */
	ck_assert_int_eq(get_open(&v, 0, -1, 9), ERR_PROTOCOL);   /* NUL last */
	ck_assert_int_eq(get_open(&v, 0, 9, -1), ERR_PROTOCOL); /* one byte left over: no option */
	w.window = WIRE_WINDOW_MIN - 1;
	ck_assert_int_eq(get_open(&w, 0, -1, -1), ERR_PROTOCOL);
	w.window = WIRE_WINDOW_MAX + 1;
	ck_assert_int_eq(get_open(&w, 0, -1, -1), ERR_PROTOCOL);
	for (unsigned family = 0; family < 256; family++) {
		w = v;
		w.family = (uint8_t)family;
		bool ok = family == 0 || family == 4 || family == 6;
		ck_assert_int_eq(get_open(&w, 0, -1, -1), ok ? 0 : ERR_PROTOCOL);
	}
}
END_TEST

/* Both frames that take options, with options cut off at every byte. */
START_TEST(options)
{
	static const uint8_t opts[] = {0, 1, 0, 0, 0xff, 0xff, 0, 5, 1, 2, 3, 4, 5, 0, 9, 0, 1, 7};
	for (size_t n = 0; n <= sizeof opts; n++) {
		bool ok = n == 0 || n == 4 || n == 13 || n == sizeof opts;
		uint8_t buf[WIRE_HEADER + WIRE_CONTROL_MAX];
		struct wire_open open = full_open(5);
		struct wire_hello h;
		size_t at = wire_put_open(buf, 1, &open);
		memcpy(buf + at, opts, n);
		ck_assert_int_eq(
			wire_get_open(&open, buf + WIRE_HEADER, at - WIRE_HEADER + n, &why),
			ok ? 0 : ERR_PROTOCOL);
		at = wire_put_hello(buf, &hello);
		memcpy(buf + at, opts, n);
		ck_assert_int_eq(wire_get_hello(&h, buf + WIRE_HEADER, at - WIRE_HEADER + n, &why),
			ok ? 0 : ERR_PROTOCOL);
	}
	uint8_t buf[WIRE_HEADER + WIRE_CONTROL_MAX];
	size_t at = wire_put_hello(buf, &hello);
	memcpy(buf + at, "\0\1\xff\xff", 4); /* longer than any frame */
	struct wire_hello h;
	ck_assert_int_eq(
		wire_get_hello(&h, buf + WIRE_HEADER, at - WIRE_HEADER + 4, &why), ERR_PROTOCOL);
}
END_TEST

START_TEST(small_frames_there_and_back)
{
	static const uint64_t wide[] = {0, 1, 0x0102030405060708, WIRE_OFFSET_MAX, UINT64_MAX};
	static const uint32_t narrow[] = {0, 1, 0x01020304, UINT32_MAX};
	uint8_t buf[64];
	for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
		payload(buf, wire_put_credit(buf, 3, wide[i]), WIRE_CREDIT, 0, 3);
		ck_assert_uint_eq(wire_get_credit(buf + WIRE_HEADER), wide[i]);
		payload(buf, wire_put_ping(buf, wide[i], false), WIRE_PING, 0, 0);
		payload(buf, wire_put_ping(buf, wide[i], true), WIRE_PING, WIRE_ACK, 0);
		ck_assert_uint_eq(wire_get_ping(buf + WIRE_HEADER), wide[i]);
	}
	for (size_t i = 0; i < sizeof narrow / sizeof narrow[0]; i++) {
		struct wire_goaway g = {narrow[i], narrow[3 - i]}, back;
		payload(buf, wire_put_reset(buf, 9, narrow[i]), WIRE_RESET, 0, 9);
		ck_assert_uint_eq(wire_get_reset(buf + WIRE_HEADER), narrow[i]);
		payload(buf, wire_put_goaway(buf, &g), WIRE_GOAWAY, 0, 0);
		wire_get_goaway(&back, buf + WIRE_HEADER);
		ck_assert_uint_eq(back.last, g.last);
		ck_assert_uint_eq(back.code, g.code);
	}
}
END_TEST

START_TEST(announce_there_and_back)
{
	uint8_t entries[WIRE_LONG_MAX], buf[WIRE_HEADER + WIRE_LONG_MAX];
	char text[WIRE_NAME_MAX];
	memset(text, 'x', sizeof text);
	struct wire_announce v = {.version = 0xfedcba98, .entries = entries}, back;
	size_t room = sizeof entries - WIRE_ANNOUNCE_MIN, step;
	unsigned count = 0;
	do { /* names of every length, until the frame is full */
		struct wire_name name = {
			.served = count % 2, .n = (uint8_t)(1 + count * 50 % 255), .name = text};
		step = wire_put_name(entries + v.n, room - v.n, &name);
		v.n += step;
		count += step > 0;
	} while (step > 0);
	ck_assert_uint_gt(count, 15);
	size_t n = payload(buf, wire_put_announce(buf, &v), WIRE_ANNOUNCE, 0, 0);
	ck_assert_int_eq(wire_get_announce(&back, buf + WIRE_HEADER, n, &why), 0);
	ck_assert_uint_eq(back.version, v.version);
	ck_assert_uint_eq(back.kind, WIRE_CHANGES);
	for (unsigned i = 0; i < count; i++) {
		struct wire_name name;
		ck_assert(wire_next_name(&back, &name));
		ck_assert_uint_eq(name.served, i % 2);
		ck_assert_uint_eq(name.n, 1 + i * 50 % 255);
		ck_assert_mem_eq(name.name, text, name.n);
	}
	struct wire_name none;
	ck_assert(!wire_next_name(&back, &none));
}
END_TEST

START_TEST(announce_refused)
{
	static const struct {
		const char *bytes; /* behind the version */
		size_t n;
		int want;
	} cases[] = {
		{"\0", 1, 0},
		{"\1", 1, 0},
		{"\2", 1, 0},
		{"\3", 1, ERR_PROTOCOL},
		{"\377", 1, ERR_PROTOCOL},
		{"\0\1\1a", 4, 0},
		{"\0\0\1a", 4, 0},
		{"\1\1\1a", 4, 0},
		{"\2\1\1a", 4, 0},
		{"\1\0\1a", 4, ERR_PROTOCOL}, /* a whole list withdraws nothing */
		{"\2\0\1a", 4, ERR_PROTOCOL},
		{"\0\2\1a", 4, ERR_PROTOCOL},
		{"\0\1\0", 3, ERR_PROTOCOL}, /* no name */
		{"\0\1\0a", 4, ERR_PROTOCOL},
		{"\0\1", 2, ERR_PROTOCOL}, /* cut off */
		{"\0\1\1", 3, ERR_PROTOCOL},
		{"\0\1\2a", 4, ERR_PROTOCOL},
		{"\0\1\1a\1", 5, ERR_PROTOCOL},
		{"\0\1\1a\1\1", 6, ERR_PROTOCOL},
		{"\0\1\1a\1\1b", 7, 0},
		{"\0\1\2a\0", 5, ERR_PROTOCOL}, /* NUL in a name */
		{"\0\1\1\0", 4, ERR_PROTOCOL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint8_t buf[32] = {0};
		struct wire_announce v;
		memcpy(buf + 4, cases[i].bytes, cases[i].n);
		ck_assert_msg(wire_get_announce(&v, buf, 4 + cases[i].n, &why) == cases[i].want,
			"%zu", i);
	}
}
END_TEST

START_TEST(token_there_and_back)
{
	uint8_t buf[WIRE_HEADER + WIRE_LONG_MAX], text[WIRE_LONG_MAX];
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)(i * 7);
	for (size_t n = 1; n <= sizeof text; n = n * 2 - (n > 1)) {
		ck_assert_uint_eq(payload(buf, wire_put_token(buf, text, n), WIRE_TOKEN, 0, 0), n);
		ck_assert_mem_eq(buf + WIRE_HEADER, text, n);
	}
	ck_assert_uint_eq(payload(buf, wire_put_token(buf, text, sizeof text), WIRE_TOKEN, 0, 0),
		sizeof text);
}
END_TEST

START_TEST(limits_there_and_back)
{
	static const uint32_t windows[] = {0, WIRE_WINDOW_MIN - 1, WIRE_WINDOW_MIN, WIRE_WINDOW_MAX,
		WIRE_WINDOW_MAX + 1, UINT32_MAX};
	for (size_t i = 0; i < 6; i++) {
		uint8_t buf[64];
		struct wire_limits v = {17, windows[i]}, back;
		payload(buf, wire_put_limits(buf, &v, i & 1), WIRE_LIMITS, i & 1 ? WIRE_ACK : 0, 0);
		int want = i == 2 || i == 3 ? 0 : ERR_PROTOCOL;
		ck_assert_int_eq(wire_get_limits(&back, buf + WIRE_HEADER, &why), want);
		ck_assert_uint_eq(back.max_streams, 17);
		ck_assert_uint_eq(back.window, windows[i]);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire");
	TCase *t = tcase_create("all");
	tcase_add_test(t, header_there_and_back);
	tcase_add_test(t, header_on_the_wire);
	tcase_add_test(t, rules);
	tcase_add_test(t, unknown_types);
	tcase_add_test(t, codes_have_words);
	tcase_add_test(t, hello_there_and_back);
	tcase_add_test(t, hello_refused);
	tcase_add_test(t, open_there_and_back);
	tcase_add_test(t, open_refused);
	tcase_add_test(t, options);
	tcase_add_test(t, small_frames_there_and_back);
	tcase_add_test(t, limits_there_and_back);
	tcase_add_test(t, announce_there_and_back);
	tcase_add_test(t, announce_refused);
	tcase_add_test(t, token_there_and_back);
	suite_add_tcase(s, t);
	return unit_main(s);
}
