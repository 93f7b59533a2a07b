/*
 * The exchange in cloudbus-protocol(7), EXAMPLES, is made anew and compared.  With the
 * argument "print" the program prints what the page should have.
 */
#include "base/clock.h"
#include "session/mux.h"
#include "unit/manual.h"
#include "wire/wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXAMPLE_MAX = 1 << 15 };

/* The frames of a short exchange, as the page prints them. */
static struct {
	char text[EXAMPLE_MAX];
	size_t n;
} example;

static void __attribute__((format(printf, 1, 2))) emit(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(example.text + example.n, sizeof example.text - example.n, fmt, ap);
	va_end(ap);
	ck_assert(n > 0 && (size_t)n < sizeof example.text - example.n);
	example.n += (size_t)n;
}

static void emit_bytes(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		emit("%s%02x", i % 24 == 0 ? "\n   " : i % 4 == 0 ? " " : "", p[i]);
}

static void emit_frame(char who, const uint8_t *p, const struct wire_header *h)
{
	emit("%c  %s", who, wire_type_name(h->type));
	if (h->flags != 0)
		emit(" %s", h->type == WIRE_DATA ? "FIN" : "ACK");
	if (h->stream != 0)
		emit(", stream %u", h->stream);
	emit_bytes(p, WIRE_HEADER);
	if (h->length <= 64)
		emit_bytes(p + WIRE_HEADER, h->length);
	else
		emit("\n   (%u bytes)", h->length);
	emit("\n");
}

struct source {
	const char *text; /* NULL: zeros */
	size_t n;
	bool end;
};

struct side {
	struct mux *mux;
	char who;
	struct mux_stream *stream; /* the last that it opened or was opened to it */
	struct source source;
	size_t consumed;
	bool refuse; /* the next OPEN */
};

static uint8_t wire_bytes[1 << 19];

/* All that a side has to send. */
static size_t take_output(struct side *s, uint64_t now)
{
	size_t n = 0, step;
	uint32_t grant;
	struct mux_stream *stream;
	while ((step = mux_control(s->mux, wire_bytes + n, MUX_CONTROL_ROOM, now)) > 0)
		n += step;
	while ((stream = mux_next(s->mux, &grant)) != NULL) {
		struct source *src = &s->source;
		uint32_t take = src->n < grant ? (uint32_t)src->n : grant;
		ck_assert_uint_lt(n + WIRE_HEADER + take, sizeof wire_bytes);
		if (src->text != NULL)
			memcpy(wire_bytes + n + WIRE_HEADER, src->text, take);
		else
			memset(wire_bytes + n + WIRE_HEADER, 0, take);
		src->n -= take;
		enum mux_more more = src->n > 0 ? MUX_MORE : src->end ? MUX_END : MUX_DRY;
		step = mux_commit(stream, take, more, now, wire_bytes + n);
		n += step + take;
	}
	return n;
}

static void handle(struct side *to, const struct mux_event *ev, uint64_t now)
{
	switch (ev->type) {
	case MUX_OPEN:
		to->stream = ev->stream;
		mux_set_user(ev->stream, to);
		if (to->refuse)
			mux_close(ev->stream, WIRE_NO_SERVICE, now);
		break;
	case MUX_DATA:
		mux_consumed(ev->stream, ev->n, now);
		to->consumed += ev->n;
		break;
	case MUX_RESET:
		mux_close(ev->stream, ev->code, now);
		break;
	default:
		break;
	}
}

/* Moves all that one side has to say to the other, and notes it down. */
static bool move(struct side *from, struct side *to, uint64_t now)
{
	size_t n = take_output(from, now);
	for (size_t at = 0; at < n;) {
		struct wire_header h;
		wire_get_header(&h, wire_bytes + at);
		emit_frame(from->who, wire_bytes + at, &h);
		at += WIRE_HEADER + h.length;
	}
	const uint8_t *p = wire_bytes;
	struct mux_event ev;
	size_t left = n;
	for (;;) {
		ck_assert_int_eq(mux_receive(to->mux, &p, &left, now, &ev), 0);
		if (ev.type == MUX_NONE)
			break;
		handle(to, &ev, now);
	}
	return n > 0;
}

static void talk(struct side *first, struct side *second, uint64_t *now)
{
	bool more = true;
	while (more) {
		*now += 10 * CLOCK_MS;
		more = move(first, second, *now);
		*now += 10 * CLOCK_MS;
		more = move(second, first, *now) || more;
	}
}

static struct mux *new_mux(enum mux_side side, uint8_t instance, uint64_t now)
{
	struct mux_options opt = {.side = side,
		.role = side == MUX_DIALLED ? WIRE_CONTROLLER : WIRE_SEGMENT,
		.link_timeout = 30 * CLOCK_SEC,
		.window_ceiling = 16 << 20};
	memset(opt.instance, instance, sizeof opt.instance);
	struct mux *m = mux_new(mem_system(), &opt, now);
	ck_assert_ptr_nonnull(m);
	return m;
}

static void open_stream(struct side *s, const char *name, uint8_t session, uint64_t now)
{
	struct wire_open open = {.hops = WIRE_HOPS,
		.family = 4,
		.port = 40000,
		.address = {127, 0, 0, 1},
		.name_len = (uint8_t)strlen(name)};
	memset(open.session, session, sizeof open.session);
	memcpy(open.name, name, open.name_len);
	ck_assert_int_eq(mux_open(s->mux, &open, s, now, &s->stream), 0);
}

static void make_example(void)
{
	uint64_t now = 10 * CLOCK_SEC;
	struct side c = {.mux = new_mux(MUX_DIALLED, 0xcc, now), .who = 'C'};
	struct side s = {.mux = new_mux(MUX_ACCEPTED, 0xdd, now), .who = 'S'};
	example.n = 0;
	emit("- the transport begins\n");
	talk(&c, &s, &now);

	emit("- a request with its end, and the answer with its end\n");
	open_stream(&c, "echo", 0x01, now);
	c.source = s.source = (struct source){.text = "hello\n", .n = 6, .end = true};
	mux_ready(c.stream, now);
	now += 10 * CLOCK_MS;
	(void)move(&c, &s, now);
	mux_ready(s.stream, now);
	talk(&s, &c, &now);
	ck_assert_uint_eq(c.consumed, 6);
	ck_assert_uint_eq(s.consumed, 6);
	mux_close(c.stream, WIRE_OK, now);
	mux_close(s.stream, WIRE_OK, now);

	emit("- a service that there is not\n");
	open_stream(&c, "no", 0x02, now);
	s.refuse = true;
	talk(&c, &s, &now);
	s.refuse = false;

	emit("- half a window, the credit for it, and a reset by the backend\n");
	open_stream(&c, "echo", 0x03, now);
	c.source = (struct source){.n = WIRE_WINDOW_DEFAULT / 2};
	mux_ready(c.stream, now);
	talk(&c, &s, &now);
	mux_close(s.stream, WIRE_ABORTED, now);
	talk(&s, &c, &now);

	emit("- the end\n");
	mux_goaway(c.mux, WIRE_OK, now);
	talk(&c, &s, &now);
	ck_assert(mux_is_finished(c.mux) && mux_is_finished(s.mux));
	mux_free(c.mux);
	mux_free(s.mux);
}

/* The lines of frames in a text: those of words between them are left out. */
static const char *next_line(const char **at, const char *end, size_t *n)
{
	while (*at < end) {
		const char *line = *at;
		*n = strcspn(line, "\n");
		*at = line + *n + 1;
		if (strncmp(line, "C  ", 3) == 0 || strncmp(line, "S  ", 3) == 0 ||
			strncmp(line, "   ", 3) == 0)
			return line;
	}
	return NULL;
}

START_TEST(the_example_is_what_the_code_says)
{
	struct manual_part part = manual_part("Sh", "EXAMPLES");
	make_example();
	const char *made = example.text, *end = example.text + example.n;
	for (;;) {
		size_t n = 0, m = 0;
		const char *want = next_line(&made, end, &n);
		const char *have = next_line(&part.at, part.end, &m);
		if (want == NULL && have == NULL)
			break;
		ck_assert_msg(want != NULL && have != NULL && n == m && memcmp(want, have, n) == 0,
			"%s: \"%.*s\" should be \"%.*s\" (see the argument \"print\")",
			MANUAL_PAGE, have != NULL ? (int)m : 0, have, want != NULL ? (int)n : 0,
			want);
	}
}
END_TEST

int main(int argc, char **argv)
{
	Suite *s = suite_create("manual_example");
	TCase *t = tcase_create("page");
	tcase_add_checked_fixture(t, manual_open, manual_close);
	tcase_add_test(t, the_example_is_what_the_code_says);
	suite_add_tcase(s, t);
	int status = unit_main(s);
	if (argc == 2 && strcmp(argv[1], "print") == 0)
		fputs(example.text, stdout);
	return status;
}
