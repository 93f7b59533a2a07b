/*
 * cloudbus-protocol(7) against the code: frames, layouts, states, codes and limits.
 */
#include "crypto/record.h"
#include "crypto/suite.h"
#include "session/budget.h"
#include "session/mux.h"
#include "session/stream.h"
#include "unit/manual.h"
#include "wire/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- tables --------------------------------------------------------------------------- */

START_TEST(frames_are_those_of_the_table)
{
	struct manual_part part = manual_part("Sh", "FRAMES");
	struct manual_row row;
	int rows = 0, known = 0;
	while (manual_row(&part, &row)) {
		if (row.n != 6)
			continue; /* the table of flags */
		unsigned type = (unsigned)strtoul(row.cell[1], NULL, 10);
		ck_assert_uint_lt(type, WIRE_TYPES);
		const struct wire_rule *r = wire_rule(type);
		ck_assert_ptr_nonnull(r->name);
		ck_assert_str_eq(row.cell[0], r->name);
		ck_assert_uint_eq(strtoul(row.cell[2], NULL, 10), r->min);
		ck_assert_uint_eq(strtoul(row.cell[3], NULL, 10), r->max);
		const char *flags = r->flags == WIRE_FIN   ? "FIN"
				    : r->flags == WIRE_ACK ? "ACK"
							   : "none";
		ck_assert(r->flags == 0 || r->flags == WIRE_FIN || r->flags == WIRE_ACK);
		ck_assert_str_eq(row.cell[4], flags);
		ck_assert_str_eq(row.cell[5], r->on_stream ? "stream" : "transport");
		rows++;
	}
	for (unsigned i = 0; i < WIRE_TYPES; i++)
		known += wire_rule(i)->name != NULL;
	ck_assert_int_eq(rows, known);
}
END_TEST

START_TEST(flags_have_their_values)
{
	static const struct {
		const char *name;
		unsigned value;
	} flags[] = {{"FIN", WIRE_FIN}, {"ACK", WIRE_ACK}, {"IGNORABLE", WIRE_IGNORABLE}};
	struct manual_part part = manual_part("Sh", "FRAMES");
	struct manual_row row;
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		ck_assert(manual_row(&part, &row));
		ck_assert_int_eq(row.n, 3);
		ck_assert_str_eq(row.cell[0], flags[i].name);
		ck_assert_uint_eq(strtoul(row.cell[1], NULL, 10), flags[i].value);
	}
}
END_TEST

START_TEST(codes_have_their_names_numbers_and_texts)
{
	static const char *const names[WIRE_CODES] = {[WIRE_OK] = "OK",
		[WIRE_ABORTED] = "ABORTED",
		[WIRE_REFUSED] = "REFUSED",
		[WIRE_UNREACHABLE] = "UNREACHABLE",
		[WIRE_TIMED_OUT] = "TIMED_OUT",
		[WIRE_NO_SERVICE] = "NO_SERVICE",
		[WIRE_BUSY] = "BUSY",
		[WIRE_LATCHED] = "LATCHED",
		[WIRE_SLOW] = "SLOW",
		[WIRE_IDLE] = "IDLE",
		[WIRE_DRAINING] = "DRAINING",
		[WIRE_PROTOCOL] = "PROTOCOL",
		[WIRE_FLOOD] = "FLOOD",
		[WIRE_INTERNAL] = "INTERNAL",
		[WIRE_LINK_LOST] = "LINK_LOST",
		[WIRE_HOPS_SPENT] = "HOPS_SPENT",
		[WIRE_SAME_ROLE] = "SAME_ROLE",
		[WIRE_EXPIRED] = "EXPIRED",
		[WIRE_REVOKED] = "REVOKED",
		[WIRE_REPLACED] = "REPLACED",
		[WIRE_UNUSED] = "UNUSED"};
	struct manual_part part = manual_part("Sh", "ERROR CODES");
	struct manual_row row;
	unsigned rows = 0;
	for (; manual_row(&part, &row); rows++) {
		ck_assert_uint_lt(rows, WIRE_CODES);
		ck_assert_uint_eq(strtoul(row.cell[0], NULL, 10), rows);
		ck_assert_str_eq(row.cell[1], names[rows]);
		ck_assert_str_eq(row.cell[2], wire_code_text(rows));
	}
	ck_assert_uint_eq(rows, WIRE_CODES);
}
END_TEST

START_TEST(states_have_their_verdicts)
{
	static const char *const names[STREAM_PHASES] = {[STREAM_PHASE_NEW] = "new",
		[STREAM_PHASE_NEVER] = "never",
		[STREAM_PHASE_GONE] = "gone",
		[STREAM_PHASE_OPEN] = "open",
		[STREAM_PHASE_ENDED] = "ended",
		[STREAM_PHASE_ABORTED] = "aborted",
		[STREAM_PHASE_REFUSED] = "refused"};
	static const enum wire_type columns[] = {WIRE_OPEN, WIRE_DATA, WIRE_RESET, WIRE_CREDIT};
	static const char *const words[] = {
		[STREAM_FATAL] = "fatal", [STREAM_TAKE] = "take", [STREAM_DROP] = "ignore"};
	struct manual_part part = manual_part("Sh", "STREAM STATES");
	struct manual_row row;
	unsigned rows = 0, on_stream = 0;
	for (; manual_row(&part, &row); rows++) {
		ck_assert_uint_lt(rows, STREAM_PHASES);
		ck_assert_str_eq(row.cell[0], names[rows]);
		ck_assert_int_eq(row.n, 5);
		for (unsigned i = 0; i < 4; i++)
			ck_assert_str_eq(row.cell[1 + i],
				words[stream_check((enum stream_phase)rows, columns[i])]);
	}
	ck_assert_uint_eq(rows, STREAM_PHASES);
	for (unsigned i = 0; i < WIRE_TYPES; i++)
		on_stream += wire_rule(i)->name != NULL && wire_rule(i)->on_stream;
	ck_assert_uint_eq(on_stream, 4);
}
END_TEST

/* --- limits ------------------------------------------------------------------------------- */

struct limit {
	const char *name; /* in the code */
	uint64_t value;
};

static const struct limit limits[] = {
#define LIMIT(x)                                                                                   \
	{                                                                                          \
#x, x                                                                              \
	}
	LIMIT(WIRE_VERSION),
	LIMIT(WIRE_HEADER),
	LIMIT(WIRE_DATA_MAX),
	LIMIT(WIRE_CONTROL_MAX),
	LIMIT(WIRE_LONG_MAX),
	LIMIT(WIRE_IGNORED_MAX),
	LIMIT(WIRE_ID),
	LIMIT(WIRE_NAME_MAX),
	LIMIT(WIRE_HELLO_MIN),
	LIMIT(WIRE_OPEN_MIN),
	LIMIT(WIRE_ANNOUNCE_MIN),
	LIMIT(WIRE_NAMES_MAX),
	LIMIT(WIRE_HOPS),
	LIMIT(WIRE_WINDOW_MIN),
	LIMIT(WIRE_WINDOW_DEFAULT),
	LIMIT(WIRE_WINDOW_MAX),
	LIMIT(WIRE_STREAMS_DEFAULT),
	LIMIT(WIRE_STREAM_MAX),
	LIMIT(WIRE_GOAWAY_OPEN),
	LIMIT(WIRE_OFFSET_MAX),
	LIMIT(MUX_HELLO_TIMEOUT),
	LIMIT(BUDGET_POINTS),
	LIMIT(BUDGET_PER_SEC),
	LIMIT(BUDGET_TOKEN_PRICE),
	LIMIT(BUDGET_STRAY_PRICE),
	LIMIT(BUDGET_NAMES_EACH),
	LIMIT(BUDGET_LATE),
	LIMIT(BUDGET_LATE_MAX),
};

static const struct limit secured[] = {
	LIMIT(SUITE_VERSION),
	LIMIT(SUITE_PROLOGUE_LEN),
	LIMIT(SUITE_LENGTH),
	LIMIT(SUITE_TOKEN_MAX),
	LIMIT(SUITE_MESSAGE_1),
	LIMIT(SUITE_OVERHEAD_2),
	LIMIT(SUITE_OVERHEAD_3),
	LIMIT(SUITE_MESSAGE_2_MIN),
	LIMIT(SUITE_MESSAGE_2_MAX),
	LIMIT(SUITE_MESSAGE_3_MIN),
	LIMIT(SUITE_MESSAGE_3_MAX),
	LIMIT(NOISE_KEY),
	LIMIT(NOISE_TAG),
	LIMIT(NOISE_HASH),
	LIMIT(NOISE_MESSAGE_MAX),
	LIMIT(GATE_SECRET),
	LIMIT(GATE_KEY),
	LIMIT(GATE_NOISE),
	LIMIT(GATE_STAMP),
	LIMIT(GATE_MAC),
	LIMIT(GATE_MESSAGE),
	LIMIT(GATE_SKEW),
	LIMIT(GATE_SEEN_MAX),
	LIMIT(RECORD_KEY),
	LIMIT(RECORD_LENGTH),
	LIMIT(RECORD_TAG),
	LIMIT(RECORD_PLAIN_MAX),
	LIMIT(RECORD_CIPHER_MAX),
	LIMIT(RECORD_OVERHEAD),
	LIMIT(RECORD_MAX),
	LIMIT(RECORD_REKEY),
	LIMIT(RECORD_LIMIT),
#undef LIMIT
};
enum {
	N_LIMITS = sizeof limits / sizeof limits[0],
	N_SECURED = sizeof secured / sizeof secured[0],
};

START_TEST(limits_have_their_values)
{
	struct manual_part part = manual_part("Sh", "LIMITS");
	struct manual_row row;
	int rows = 0;
	for (; manual_row(&part, &row); rows++) {
		ck_assert_int_lt(rows, N_LIMITS);
		ck_assert_str_eq(row.cell[0], strchr(limits[rows].name, '_') + 1);
		ck_assert_uint_eq(strtoull(row.cell[1], NULL, 10), limits[rows].value);
	}
	ck_assert_int_eq(rows, N_LIMITS);
}
END_TEST

START_TEST(constants_of_secured_transports)
{
	struct manual_part part = manual_part("Ss", "Constants");
	struct manual_row row;
	int rows = 0;
	for (; manual_row(&part, &row); rows++) {
		ck_assert_int_lt(rows, N_SECURED);
		ck_assert_str_eq(row.cell[0], secured[rows].name);
		ck_assert_uint_eq(strtoull(row.cell[1], NULL, 10), secured[rows].value);
	}
	ck_assert_int_eq(rows, N_SECURED);
}
END_TEST

/* Whether a definition begins at p, at the start of a line: "\tPREFIX_NAME =" or a #define. */
static bool defines(const char *p, const char *prefix, char name[static 64])
{
	int n = 0;
	if (strncmp(p, "#define ", 8) == 0)
		p += 8;
	else if (*p == '\t')
		p++;
	else
		return false;
	if (strncmp(p, prefix, strlen(prefix)) != 0)
		return false;
	if (sscanf(p, "%63[A-Z0-9_]%n", name, &n) != 1)
		return false;
	return p[n] == ' ';
}

/* Every constant that a header's limits define is in the table above, and so in the page. */
static void check_all_listed(const char *file, const char *prefix, const char *stop)
{
	char *text = manual_load(file), name[64];
	const char *end = stop != NULL ? strstr(text, stop) : text + strlen(text);
	int found = 0;
	ck_assert_ptr_nonnull(end);
	for (const char *at = text; at != NULL && at < end; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!defines(at, prefix, name) || strcmp(name, "WIRE_MAGIC") == 0 ||
			strcmp(name, "SUITE_PATTERN") == 0)
			continue;
		/* A string stands in the text, and not in a table. */
		if (at[strcspn(at, "\"\n")] == '"')
			continue;
		bool listed = false;
		for (int i = 0; i < N_LIMITS; i++)
			listed = listed || strcmp(limits[i].name, name) == 0;
		for (int i = 0; i < N_SECURED; i++)
			listed = listed || strcmp(secured[i].name, name) == 0;
		ck_assert_msg(listed, "%s: %s is not checked against %s", file, name, MANUAL_PAGE);
		found++;
	}
	ck_assert_int_gt(found, 0);
	free(text);
}

START_TEST(no_limit_is_left_out)
{
	check_all_listed("src/wire/wire.h", "WIRE_", "enum wire_type");
	check_all_listed("src/session/budget.h", "BUDGET_", NULL);
	check_all_listed("src/crypto/gate.h", "GATE_", NULL);
	check_all_listed("src/crypto/noise.h", "NOISE_", NULL);
	check_all_listed("src/crypto/record.h", "RECORD_", NULL);
	check_all_listed("src/crypto/suite.h", "SUITE_", NULL);
}
END_TEST

/* Numbers that are private to a file, and the words that the page has for them. */
static const struct {
	const char *file, *code, *words;
} pinned[] = {
	{"src/session/mux_in.c", "#define RAPID_RESET (1 * CLOCK_SEC)", "less than a second after"},
	{"src/session/mux_in.c", "CREDIT_STEP_MIN = WIRE_WINDOW_MIN / 2",
		"that allows less than 512 bytes more"},
	{"src/session/mux_out.c", "#define GOAWAY_PATIENCE (1 * CLOCK_SEC)",
		"With the answer, or a second after the announcement"},
	{"src/session/mux.c", "#define PROBE_INTERVAL (1 * CLOCK_SEC)", "at most one a second."},
	{"src/session/mux.c", "FRAME_CAP_MIN = 1400", "(but 1400 bytes at least"},
	{"src/session/mux.c", "FRAME_CAP_START = 256 << 10", "262144 where that is not known"},
	{"src/session/mux.h", "#define MUX_FRAME_TIME UINT64_C(2000)", "carries in 2 milliseconds"},
	{"src/session/liveness.c", "PINGS_PER_TIMEOUT = 3", "for a third of that time"},
	{"src/session/liveness.c", "#define RTT_PERIOD (60 * CLOCK_SEC)",
		"least round trip of the last minute or two"},
	{"src/session/credit.c", "#define RTT_FLOOR (1 * CLOCK_MS)", "one below a millisecond"},
	{"src/session/credit.c", "growth->now - rx->epoch < 2 * rtt",
		"used up within two round trips"},
	{"src/session/credit.c", "target - rx->max >= rx->window / 2",
		"at least half a window more"},
	{"src/crypto/gate.h", "GATE_SKEW = 30 * 1000 * 1000",
		"no more than 30 seconds before or after"},
	{"src/crypto/gate.h", "GATE_SEEN_MAX = 16384", "It remembers 16384 at most"},
	{"src/crypto/record.h", "RECORD_REKEY = 1 << 16",
		"When 65536 records have been sent under a key"},
	{"src/crypto/record.h", "#define RECORD_LIMIT (UINT64_C(1) << 60)",
		"number 2^60, 1152921504606846976,"},
	{"src/crypto/suite.h", "SUITE_TOKEN_MAX = 4096", "of 1 to 4096 bytes"},
	{"src/bus/ending.c", "#define CLOSE_PATIENCE (2 * CLOCK_SEC)",
		"waits 2 seconds for that"},
};

START_TEST(private_numbers_are_as_the_page_says)
{
	char *text = manual_load(pinned[_i].file);
	ck_assert_msg(strstr(text, pinned[_i].code) != NULL,
		"%s has no more \"%s\": does %s still hold?", pinned[_i].file, pinned[_i].code,
		MANUAL_PAGE);
	ck_assert_msg(strstr(manual_text, pinned[_i].words) != NULL, "%s does not say \"%s\"",
		MANUAL_PAGE, pinned[_i].words);
	free(text);
}
END_TEST

/* --- layouts ------------------------------------------------------------------------------- */

#define BYTES16 "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
#define OTHER16 "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"

static const struct {
	const char *frame, *field, *bytes;
} fields[] = {
	{"HELLO", "magic", "434c4f5544425553"},
	{"HELLO", "version", "0001"},
	{"HELLO", "role", "02"},
	{"HELLO", "reserved", "00"},
	{"HELLO", "capabilities", "11121314"},
	{"HELLO", "instance", BYTES16},
	{"HELLO", "max_streams", "21222324"},
	{"HELLO", "window", "31323334"},
	{"OPEN", "session", BYTES16},
	{"OPEN", "window", "31323334"},
	{"OPEN", "hops", "07"},
	{"OPEN", "family", "06"},
	{"OPEN", "port", "4142"},
	{"OPEN", "address", OTHER16},
	{"OPEN", "name_len", "04"},
	{"OPEN", "name", "6563686f"},
	{"RESET", "code", "51525354"},
	{"CREDIT", "offset", "6162636465666768"},
	{"PING", "opaque", "6162636465666768"},
	{"GOAWAY", "last", "71727374"},
	{"GOAWAY", "code", "51525354"},
	{"LIMITS", "max_streams", "21222324"},
	{"LIMITS", "window", "31323334"},
	{"ANNOUNCE", "version", "81828384"},
	{"ANNOUNCE", "kind", "02"},
	{"ANNOUNCE", "entries", "01046563686f"},
	{"TOKEN", "token", "746f6b656e"},
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

/* The payload that the code makes of the values above. */
static size_t pack(uint8_t *out, unsigned type)
{
	struct wire_hello hello = {.version = 1,
		.role = WIRE_SEGMENT,
		.capabilities = 0x11121314,
		.max_streams = 0x21222324,
		.window = 0x31323334};
	struct wire_open open = {.window = 0x31323334,
		.hops = 7,
		.family = 6,
		.port = 0x4142,
		.name_len = 4,
		.name = "echo"};
	struct wire_goaway goaway = {.last = 0x71727374, .code = 0x51525354};
	struct wire_limits v = {.max_streams = 0x21222324, .window = 0x31323334};
	struct wire_announce announce = {.version = 0x81828384,
		.kind = WIRE_LIST_END,
		.entries = (const uint8_t *)"\1\4echo",
		.n = 6};
	for (unsigned i = 0; i < WIRE_ID; i++) {
		hello.instance[i] = open.session[i] = (uint8_t)(0xa0 + i);
		open.address[i] = (uint8_t)(0xb0 + i);
	}
	switch (type) {
	case WIRE_HELLO:
		return wire_put_hello(out, &hello);
	case WIRE_OPEN:
		return wire_put_open(out, 1, &open);
	case WIRE_RESET:
		return wire_put_reset(out, 1, 0x51525354);
	case WIRE_CREDIT:
		return wire_put_credit(out, 1, UINT64_C(0x6162636465666768));
	case WIRE_PING:
		return wire_put_ping(out, UINT64_C(0x6162636465666768), false);
	case WIRE_GOAWAY:
		return wire_put_goaway(out, &goaway);
	case WIRE_LIMITS:
		return wire_put_limits(out, &v, false);
	case WIRE_ANNOUNCE:
		return wire_put_announce(out, &announce);
	case WIRE_TOKEN:
		return wire_put_token(out, "token", 5);
	default:
		ck_abort_msg("no layout");
		return 0;
	}
}

static void to_hex(char *to, const uint8_t *p, size_t n)
{
	*to = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(to + 2 * i, 3, "%02x", p[i]);
}

START_TEST(fields_are_where_the_code_puts_them)
{
	int checked = 0;
	for (unsigned type = 0; type < WIRE_TYPES; type++) {
		uint8_t frame[WIRE_HEADER + WIRE_LONG_MAX];
		char hex[2 * MANUAL_CELL];
		struct manual_row row;
		const struct wire_rule *r = wire_rule(type);
		if (r->name == NULL || type == WIRE_DATA)
			continue;
		struct manual_part part = manual_part("Ss", r->name);
		size_t end = 0, length = pack(frame, type) - WIRE_HEADER;
		for (; manual_row(&part, &row);) {
			size_t at = strtoul(row.cell[0], NULL, 10);
			size_t n = strtoul(row.cell[1], NULL, 10);
			ck_assert_uint_eq(at, end);
			if (strcmp(row.cell[2], "options") == 0)
				break;
			if (strcmp(row.cell[2], "name") == 0)
				n = 4;
			if (strcmp(row.cell[2], "entries") == 0)
				n = 6;
			if (strcmp(row.cell[2], "token") == 0)
				n = 5;
			ck_assert_uint_le(at + n, length);
			to_hex(hex, frame + WIRE_HEADER + at, n);
			ck_assert_msg(
				checked < N_FIELDS && strcmp(fields[checked].frame, r->name) == 0,
				"%s: too many or too few fields in %s", MANUAL_PAGE, r->name);
			ck_assert_str_eq(row.cell[2], fields[checked].field);
			ck_assert_str_eq(hex, fields[checked].bytes);
			end = at + n;
			checked++;
		}
		ck_assert_uint_eq(end, length);
	}
	ck_assert_int_eq(checked, N_FIELDS);
}
END_TEST

/* --- secured transports --------------------------------------------------------------------- */

START_TEST(strings_of_secured_transports)
{
	char hex[2 * SUITE_PROLOGUE_LEN + 1];
	to_hex(hex, (const uint8_t *)SUITE_PROLOGUE, SUITE_PROLOGUE_LEN);
	ck_assert_ptr_nonnull(strstr(manual_text, hex));
	ck_assert_ptr_nonnull(strstr(manual_text, SUITE_NAME "\n"));
	ck_assert_ptr_nonnull(strstr(manual_text, "Ta " GATE_LABEL_MAC "\n"));
	ck_assert_ptr_nonnull(strstr(manual_text, "Ta " GATE_LABEL_PSK "\n"));
}
END_TEST

START_TEST(message_1_is_laid_out_so)
{
	static const char *const names[] = {"ephemeral", "tag", "time", "mac"};
	static const size_t sizes[] = {NOISE_KEY, NOISE_TAG, GATE_STAMP, GATE_MAC};
	struct manual_part part = manual_part("Ss", "Message 1");
	struct manual_row row;
	size_t at = 0, rows = 0;
	for (; manual_row(&part, &row); rows++) {
		ck_assert_uint_lt(rows, 4);
		ck_assert_uint_eq(strtoul(row.cell[0], NULL, 10), at);
		ck_assert_uint_eq(strtoul(row.cell[1], NULL, 10), sizes[rows]);
		ck_assert_str_eq(row.cell[2], names[rows]);
		at += sizes[rows];
	}
	ck_assert_uint_eq(at, GATE_MESSAGE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("manual_protocol");
	TCase *t = tcase_create("page");
	tcase_add_checked_fixture(t, manual_open, manual_close);
	tcase_add_test(t, frames_are_those_of_the_table);
	tcase_add_test(t, flags_have_their_values);
	tcase_add_test(t, codes_have_their_names_numbers_and_texts);
	tcase_add_test(t, states_have_their_verdicts);
	tcase_add_test(t, limits_have_their_values);
	tcase_add_test(t, constants_of_secured_transports);
	tcase_add_test(t, strings_of_secured_transports);
	tcase_add_test(t, message_1_is_laid_out_so);
	tcase_add_test(t, no_limit_is_left_out);
	tcase_add_loop_test(t, private_numbers_are_as_the_page_says, 0,
		(int)(sizeof pinned / sizeof pinned[0]));
	tcase_add_test(t, fields_are_where_the_code_puts_them);
	suite_add_tcase(s, t);
	return unit_main(s);
}
