#include "wire/wire.h"

#include "base/err.h"

#include <assert.h>
#include <string.h>

enum { ENTRY_HEAD = 2 }; /* bytes before the name in an entry of ANNOUNCE */

static const struct wire_rule rules[WIRE_TYPES] = {
	[WIRE_HELLO] = {"HELLO", WIRE_HELLO_MIN, WIRE_CONTROL_MAX, 0, false},
	[WIRE_OPEN] = {"OPEN", WIRE_OPEN_MIN, WIRE_CONTROL_MAX, 0, true},
	[WIRE_DATA] = {"DATA", 0, WIRE_DATA_MAX, WIRE_FIN, true},
	[WIRE_RESET] = {"RESET", 4, 4, 0, true},
	[WIRE_CREDIT] = {"CREDIT", 8, 8, 0, true},
	[WIRE_PING] = {"PING", 8, 8, WIRE_ACK, false},
	[WIRE_GOAWAY] = {"GOAWAY", 8, 8, 0, false},
	[WIRE_LIMITS] = {"LIMITS", 8, 8, WIRE_ACK, false},
	[WIRE_ANNOUNCE] = {"ANNOUNCE", WIRE_ANNOUNCE_MIN, WIRE_LONG_MAX, 0, false},
	[WIRE_TOKEN] = {"TOKEN", 1, WIRE_LONG_MAX, 0, false},
};

static const char *const codes[WIRE_CODES] = {
	[WIRE_OK] = "shutting down",
	[WIRE_ABORTED] = "connection reset",
	[WIRE_REFUSED] = "connection refused by the backend",
	[WIRE_UNREACHABLE] = "backend unreachable",
	[WIRE_TIMED_OUT] = "timed out",
	[WIRE_NO_SERVICE] = "no such service",
	[WIRE_BUSY] = "too busy",
	[WIRE_LATCHED] = "another member answered first",
	[WIRE_SLOW] = "too slow for member_timeout",
	[WIRE_IDLE] = "idle for too long",
	[WIRE_DRAINING] = "cut off by the drain",
	[WIRE_PROTOCOL] = "protocol error",
	[WIRE_FLOOD] = "too many frames without use",
	[WIRE_INTERNAL] = "out of resources",
	[WIRE_LINK_LOST] = "link lost",
	[WIRE_HOPS_SPENT] = "too many hops",
	[WIRE_SAME_ROLE] = "both nodes have the same role",
	[WIRE_EXPIRED] = "this node's token has expired: issue a fresh one",
	[WIRE_REVOKED] = "this node's token is revoked: issue another",
	[WIRE_REPLACED] = "another link takes its place",
	[WIRE_UNUSED] = "not used any more",
};

const struct wire_rule *wire_rule(unsigned type)
{
	assert(type < WIRE_TYPES);
	return &rules[type];
}

const char *wire_type_name(unsigned type)
{
	return type < WIRE_TYPES && rules[type].name != NULL ? rules[type].name : "unknown frame";
}

const char *wire_code_text(uint32_t code)
{
	return code < WIRE_CODES ? codes[code] : "unknown reason";
}

/* --- integers ---------------------------------------------------------------- */

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

/* --- headers ------------------------------------------------------------------ */

void wire_put_header(uint8_t out[static WIRE_HEADER], const struct wire_header *h)
{
	put32(out, h->length << 8 | (uint32_t)h->type << 3 | h->flags);
	put32(out + 4, h->stream);
}

void wire_get_header(struct wire_header *h, const uint8_t in[static WIRE_HEADER])
{
	uint32_t v = get32(in);
	h->length = v >> 8;
	h->type = (uint8_t)(v >> 3 & 31);
	h->flags = (uint8_t)(v & 7);
	h->stream = get32(in + 4);
}

static int fail(const char **why, const char *reason)
{
	*why = reason;
	return ERR_PROTOCOL;
}

int wire_check(const struct wire_header *h, const char **why)
{
	const struct wire_rule *r = wire_rule(h->type);
	if (r->name == NULL) {
		if (!(h->flags & WIRE_IGNORABLE))
			return fail(why, "unknown frame type");
		if (h->length > WIRE_IGNORED_MAX)
			return fail(why, "unknown frame is too long");
		return 0;
	}
	if (h->length < r->min)
		return fail(why, "payload is too short");
	if (h->length > r->max)
		return fail(why, "payload is too long");
	if (h->flags & ~(r->flags | WIRE_IGNORABLE))
		return fail(why, "flag does not belong to the frame");
	if (r->on_stream && h->stream == 0)
		return fail(why, "stream id is 0");
	if (!r->on_stream && h->stream != 0)
		return fail(why, "stream id is not 0");
	if (h->type == WIRE_DATA && h->length == 0 && !(h->flags & WIRE_FIN))
		return fail(why, "empty DATA without FIN");
	return 0;
}

/* --- packing ------------------------------------------------------------------- */

static size_t put_frame(uint8_t *out, uint8_t type, uint8_t flags, uint32_t stream, size_t n)
{
	struct wire_header h = {(uint32_t)n, type, flags, stream};
	wire_put_header(out, &h);
	return WIRE_HEADER + n;
}

size_t wire_put_hello(uint8_t *out, const struct wire_hello *v)
{
	uint8_t *p = out + WIRE_HEADER;
	memcpy(p, WIRE_MAGIC, 8);
	put16(p + 8, v->version);
	p[10] = v->role;
	p[11] = 0;
	put32(p + 12, v->capabilities);
	memcpy(p + 16, v->instance, WIRE_ID);
	put32(p + 32, v->max_streams);
	put32(p + 36, v->window);
	return put_frame(out, WIRE_HELLO, 0, 0, WIRE_HELLO_MIN);
}

size_t wire_put_open(uint8_t *out, uint32_t stream, const struct wire_open *v)
{
	uint8_t *p = out + WIRE_HEADER;
	assert(v->name_len > 0);
	memcpy(p, v->session, WIRE_ID);
	put32(p + 16, v->window);
	p[20] = v->hops;
	p[21] = v->family;
	put16(p + 22, v->port);
	memcpy(p + 24, v->address, sizeof v->address);
	p[40] = v->name_len;
	memcpy(p + 41, v->name, v->name_len);
	return put_frame(out, WIRE_OPEN, 0, stream, 41u + v->name_len);
}

size_t wire_put_reset(uint8_t *out, uint32_t stream, uint32_t code)
{
	put32(out + WIRE_HEADER, code);
	return put_frame(out, WIRE_RESET, 0, stream, 4);
}

size_t wire_put_credit(uint8_t *out, uint32_t stream, uint64_t offset)
{
	put64(out + WIRE_HEADER, offset);
	return put_frame(out, WIRE_CREDIT, 0, stream, 8);
}

size_t wire_put_ping(uint8_t *out, uint64_t opaque, bool ack)
{
	put64(out + WIRE_HEADER, opaque);
	return put_frame(out, WIRE_PING, ack ? WIRE_ACK : 0, 0, 8);
}

size_t wire_put_goaway(uint8_t *out, const struct wire_goaway *v)
{
	put32(out + WIRE_HEADER, v->last);
	put32(out + WIRE_HEADER + 4, v->code);
	return put_frame(out, WIRE_GOAWAY, 0, 0, 8);
}

size_t wire_put_limits(uint8_t *out, const struct wire_limits *v, bool ack)
{
	put32(out + WIRE_HEADER, v->max_streams);
	put32(out + WIRE_HEADER + 4, v->window);
	return put_frame(out, WIRE_LIMITS, ack ? WIRE_ACK : 0, 0, 8);
}

size_t wire_put_announce(uint8_t *out, const struct wire_announce *v)
{
	uint8_t *p = out + WIRE_HEADER;
	assert(v->n <= WIRE_LONG_MAX - WIRE_ANNOUNCE_MIN);
	put32(p, v->version);
	p[4] = v->kind;
	if (v->n > 0)
		memcpy(p + WIRE_ANNOUNCE_MIN, v->entries, v->n);
	return put_frame(out, WIRE_ANNOUNCE, 0, 0, WIRE_ANNOUNCE_MIN + v->n);
}

size_t wire_put_token(uint8_t *out, const void *text, size_t n)
{
	assert(n > 0 && n <= WIRE_LONG_MAX);
	memcpy(out + WIRE_HEADER, text, n);
	return put_frame(out, WIRE_TOKEN, 0, 0, n);
}

size_t wire_put_name(uint8_t *out, size_t room, const struct wire_name *v)
{
	if (room < ENTRY_HEAD + (size_t)v->n)
		return 0;
	out[0] = v->served;
	out[1] = v->n;
	memcpy(out + ENTRY_HEAD, v->name, v->n);
	return ENTRY_HEAD + (size_t)v->n;
}

/* --- unpacking ----------------------------------------------------------------- */

/* Options: type (16 bit), length (16 bit), value; none is known yet, all are skipped. */
static int check_options(const uint8_t *p, size_t n, const char **why)
{
	while (n > 0) {
		if (n < 4 || n - 4 < get16(p + 2))
			return fail(why, "options do not fill the frame");
		size_t step = 4u + get16(p + 2);
		p += step;
		n -= step;
	}
	return 0;
}

static bool window_ok(uint32_t window)
{
	return window >= WIRE_WINDOW_MIN && window <= WIRE_WINDOW_MAX;
}

int wire_get_hello(struct wire_hello *v, const uint8_t *p, size_t n, const char **why)
{
	if (memcmp(p, WIRE_MAGIC, 8) != 0)
		return fail(why, "no magic: the peer does not speak cloudbus");
	v->version = get16(p + 8);
	v->role = p[10];
	v->capabilities = get32(p + 12);
	memcpy(v->instance, p + 16, WIRE_ID);
	v->max_streams = get32(p + 32);
	v->window = get32(p + 36);
	if (v->version != WIRE_VERSION)
		return fail(why, "the peer speaks another protocol version");
	if (v->role != WIRE_CONTROLLER && v->role != WIRE_SEGMENT)
		return fail(why, "unknown role");
	if (!window_ok(v->window))
		return fail(why, "initial window is out of bounds");
	return check_options(p + WIRE_HELLO_MIN, n - WIRE_HELLO_MIN, why);
}

int wire_get_open(struct wire_open *v, const uint8_t *p, size_t n, const char **why)
{
	memcpy(v->session, p, WIRE_ID);
	v->window = get32(p + 16);
	v->hops = p[20];
	v->family = p[21];
	v->port = get16(p + 22);
	memcpy(v->address, p + 24, sizeof v->address);
	v->name_len = p[40];
	if (!window_ok(v->window))
		return fail(why, "initial window is out of bounds");
	if (v->family != 0 && v->family != 4 && v->family != 6)
		return fail(why, "unknown address family");
	if (v->name_len == 0 || v->name_len > n - 41)
		return fail(why, "service name does not fit the frame");
	memcpy(v->name, p + 41, v->name_len);
	if (memchr(v->name, '\0', v->name_len) != NULL)
		return fail(why, "service name holds a NUL");
	return check_options(p + 41 + v->name_len, n - 41 - v->name_len, why);
}

int wire_get_limits(struct wire_limits *v, const uint8_t *p, const char **why)
{
	v->max_streams = get32(p);
	v->window = get32(p + 4);
	return window_ok(v->window) ? 0 : fail(why, "initial window is out of bounds");
}

bool wire_next_name(struct wire_announce *v, struct wire_name *out)
{
	if (v->n == 0)
		return false;
	*out = (struct wire_name){.served = v->entries[0] != 0,
		.n = v->entries[1],
		.name = (const char *)v->entries + ENTRY_HEAD};
	v->entries += ENTRY_HEAD + out->n;
	v->n -= ENTRY_HEAD + (size_t)out->n;
	return true;
}

static int check_entries(const struct wire_announce *v, const char **why)
{
	const uint8_t *p = v->entries;
	for (size_t left = v->n, step; left > 0; p += step, left -= step) {
		if (left <= ENTRY_HEAD || p[1] == 0 || p[1] > left - ENTRY_HEAD)
			return fail(why, "service name does not fit the frame");
		if (p[0] > 1 || (p[0] == 0 && v->kind != WIRE_CHANGES))
			return fail(why, "unknown action in ANNOUNCE");
		if (memchr(p + ENTRY_HEAD, '\0', p[1]) != NULL)
			return fail(why, "service name holds a NUL");
		step = ENTRY_HEAD + (size_t)p[1];
	}
	return 0;
}

int wire_get_announce(struct wire_announce *v, const uint8_t *p, size_t n, const char **why)
{
	*v = (struct wire_announce){.version = get32(p),
		.kind = p[4],
		.entries = p + WIRE_ANNOUNCE_MIN,
		.n = n - WIRE_ANNOUNCE_MIN};
	if (v->kind > WIRE_LIST_END)
		return fail(why, "unknown kind of ANNOUNCE");
	return check_entries(v, why);
}

uint32_t wire_get_reset(const uint8_t *p)
{
	return get32(p);
}

uint64_t wire_get_credit(const uint8_t *p)
{
	return get64(p);
}

uint64_t wire_get_ping(const uint8_t *p)
{
	return get64(p);
}

void wire_get_goaway(struct wire_goaway *v, const uint8_t *p)
{
	v->last = get32(p);
	v->code = get32(p + 4);
}
