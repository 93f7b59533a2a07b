/*
 * The messages of the handshake, and message 1 at the gate, as somebody in the middle may
 * change them: nothing but the genuine one is taken, and what was refused leaves no trace,
 * so the genuine one is taken after it.
 *
 * The first byte of the input says which message (0: the gate), and with its high bit that
 * the rest is the whole message; else the rest is a row of edits of the genuine one, of 4
 * bytes each: what to do, a position of two bytes, a value.
 */
#include "base/err.h"
#include "crypto/aead.h"
#include "crypto/suite.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define PROMISE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

#define NOW UINT64_C(1790000000000000)

enum { STAGES = 4, ROOM = 8192, RAW = 0x80 };

static const uint8_t token[] = "a token, or what stands for one";

struct message {
	uint8_t p[ROOM];
	size_t n;
};

/* What is the same for all inputs: the receivers in front of each message, and the messages. */
static struct {
	struct noise receiver[STAGES];
	struct message genuine[STAGES];
	uint8_t mac_key[GATE_KEY];
} stage;

static void start(struct noise *n, int side, const uint8_t *psk)
{
	uint8_t secret[NOISE_KEY], ephemeral[NOISE_KEY];
	memset(secret, side + 1, sizeof secret);
	memset(ephemeral, side + 11, sizeof ephemeral);
	struct noise_setup setup = {.pattern = SUITE_PATTERN,
		.side = side,
		.prologue = SUITE_PROLOGUE,
		.prologue_len = SUITE_PROLOGUE_LEN,
		.psk = psk,
		.static_secret = secret,
		.ephemeral = ephemeral};
	PROMISE(noise_start(n, &setup) == 0);
}

static void prepare(void)
{
	static const uint8_t secret[GATE_SECRET] = {7};
	uint8_t psk[GATE_KEY], out[ROOM];
	struct noise side[2];
	PROMISE(aead_init() == 0);
	gate_derive(secret, stage.mac_key, psk);
	for (int i = 0; i < 2; i++)
		start(&side[i], i, psk);
	for (size_t i = 1; i < STAGES; i++) {
		struct message *m = &stage.genuine[i];
		struct noise *from = &side[(i - 1) % 2], *to = &side[i % 2];
		size_t len = i > 1 ? sizeof token : 0, got;
		PROMISE(noise_create(from, token, len, m->p, ROOM, &m->n) == 0);
		stage.receiver[i] = *to;
		PROMISE(noise_consume(to, m->p, m->n, out, ROOM, &got) == 0);
	}
	memcpy(stage.genuine[0].p, stage.genuine[1].p, GATE_NOISE);
	gate_stamp(stage.genuine[0].p, stage.mac_key, NOW);
	stage.genuine[0].n = GATE_MESSAGE;
}

static void edit(struct message *m, const uint8_t *e)
{
	size_t at = (size_t)e[1] << 8 | e[2];
	switch (e[0] % 3) {
	case 0:
		if (m->n > 0)
			m->p[at % m->n] ^= e[3];
		break;
	case 1:
		m->n = at < m->n ? at : m->n;
		break;
	default:
		for (at %= 256; at > 0 && m->n < ROOM; at--)
			m->p[m->n++] = e[3];
	}
}

static void at_the_gate(const struct message *m, bool genuine)
{
	struct gate_setup setup = {.mem = mem_system()};
	struct gate *g = gate_new(&setup);
	PROMISE(g != NULL);
	if (m->n == GATE_MESSAGE)
		PROMISE(gate_check(g, stage.mac_key, m->p, NOW) == (genuine ? 0 : ERR_PROTOCOL));
	int want = m->n == GATE_MESSAGE && genuine ? ERR_INVALID : 0;
	PROMISE(gate_check(g, stage.mac_key, stage.genuine[0].p, NOW) == want);
	gate_free(g);
}

static void consumed(struct noise n, const struct message *m, bool genuine)
{
	uint8_t out[ROOM] = {0};
	struct noise before = n;
	size_t len = 1;
	int rc = noise_consume(&n, m->p, m->n, out, sizeof out, &len);
	PROMISE(rc == (genuine ? 0 : ERR_PROTOCOL));
	if (rc != 0) {
		PROMISE(len == 0 && memcmp(&n, &before, sizeof n) == 0);
		PROMISE(sodium_is_zero(out, sizeof out));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (stage.genuine[0].n == 0)
		prepare();
	if (n == 0)
		return 0;
	size_t which = data[0] % STAGES;
	const struct message *good = &stage.genuine[which];
	struct message *m = calloc(1, sizeof *m);
	PROMISE(m != NULL);
	if (data[0] & RAW) {
		m->n = n - 1 < ROOM ? n - 1 : ROOM;
		memcpy(m->p, data + 1, m->n);
	} else {
		*m = *good;
		for (size_t at = 1; at + 4 <= n; at += 4)
			edit(m, data + at);
	}
	bool genuine = m->n == good->n && memcmp(m->p, good->p, m->n) == 0;
	if (which == 0) {
		at_the_gate(m, genuine);
	} else {
		consumed(stage.receiver[which], m, genuine);
		consumed(stage.receiver[which], good, true);
	}
	free(m);
	return 0;
}
