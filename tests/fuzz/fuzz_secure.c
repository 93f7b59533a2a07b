/*
 * A whole secured connection with somebody in the middle: two ends joined in memory, whose
 * messages and records are changed, cut, repeated or left out as the input says.
 *
 * What was let through as it was is taken; a message that was changed leaves its receiver
 * without a peer; and of records an end gets those before the first that was meddled with,
 * as they were sent, and none behind it.
 *
 * The first byte is how many bytes an end is given at a time; then a row of edits, 5 bytes
 * each: which message (0 to 2) or record (3 to 10), what to do, a position of two bytes, a
 * value.
 *
 * Curves are not what is looked for here, and would be nearly all of the time: in this
 * program their functions are the cheap ones below, which are of no use to anybody but keep
 * what counts, that both sides come to the same secret and that every bit of a key is in it.
 */
#include "base/err.h"
#include "bus/secure.h"
#include "crypto/aead.h"
#include "crypto/suite.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define PROMISE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

/* --- instead of curves ------------------------------------------------------------------------ */

int crypto_scalarmult_base(unsigned char *q, const unsigned char *n)
{
	for (int i = 0; i < KEYFILE_KEY; i++)
		q[i] = n[i] ^ 0x5a;
	return 0;
}

/* As the real one it refuses a secret of zeros. */
int crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p)
{
	unsigned char any = 0;
	for (int i = 0; i < KEYFILE_KEY; i++)
		any |= q[i] = n[i] ^ p[i] ^ 0x5a;
	return any != 0 ? 0 : -1;
}

static void toy_sign(unsigned char *sig, const unsigned char *m, size_t n, const unsigned char *pk)
{
	crypto_generichash(sig, crypto_sign_BYTES, m, n, pk, crypto_sign_PUBLICKEYBYTES);
}

int crypto_sign_detached(unsigned char *sig, unsigned long long *siglen, const unsigned char *m,
	unsigned long long n, const unsigned char *sk)
{
	if (siglen != NULL)
		*siglen = crypto_sign_BYTES;
	toy_sign(sig, m, n, sk + crypto_sign_SEEDBYTES);
	return 0;
}

int crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
	unsigned long long n, const unsigned char *pk)
{
	unsigned char want[crypto_sign_BYTES];
	toy_sign(want, m, n, pk);
	return memcmp(want, sig, sizeof want) == 0 ? 0 : -1;
}

#define WALL UINT64_C(1790000000000000)

enum { RECORDS = 8, EDIT = 5, ROOM = 3 * RECORD_MAX };
enum { D, A };

static struct {
	struct keyset set[2];
	struct credentials credentials[2];
	struct keyfile_cluster cluster;
	struct record_kit kit;
} stage;

static void prepare_end(int i)
{
	char why[WHY_MAX];
	uint8_t secret[KEYFILE_KEY];
	struct credentials *c = &stage.credentials[i];
	struct token t = {.role = i == D ? TOKEN_CONTROLLER : TOKEN_SEGMENT, .n_open = 1};
	memset(secret, 3 + i, sizeof secret);
	keyfile_make_node(&c->identity, secret);
	strcpy(c->trust.bus, "bus");
	c->trust.n_cluster = c->trust.n_network = 1;
	memcpy(c->trust.cluster[0], stage.cluster.public, KEYFILE_KEY);
	memset(c->trust.network[0], 9, KEYFILE_KEY);
	strcpy(t.bus, "bus");
	strcpy(t.node, i == D ? "ctl" : "seg");
	strcpy(t.id, "id");
	memcpy(t.key, c->identity.public, KEYFILE_KEY);
	t.open[0] = "*";
	t.expires = (int64_t)(WALL / 1000000) + 1000;
	PROMISE(token_sign(c->token_text, &c->token_n, &t, &stage.cluster, why) == 0);
	PROMISE(token_parse(&c->token, c->token_text, c->token_n, mem_system(), why) == 0);
	stage.set[i] = (struct keyset){.refs = 1, .credentials = c};
	gate_derive(c->trust.network[0], stage.set[i].mac_key[0], stage.set[i].psk[0]);
}

static void prepare(void)
{
	static const uint8_t seed[KEYFILE_KEY] = {1};
	PROMISE(token_prepare() == 0 && aead_init() == 0);
	PROMISE(record_kit_init(&stage.kit, mem_system()) == 0);
	keyfile_make_cluster(&stage.cluster, "bus", seed);
	prepare_end(D);
	prepare_end(A);
}

/* --- the middle ------------------------------------------------------------------------------ */

struct edits {
	const uint8_t *p;
	size_t n;
};

/* What becomes of unit `number`, of *n bytes in a buffer of ROOM; whether anything. */
static bool meddle(const struct edits *e, unsigned number, uint8_t *p, size_t *n)
{
	static uint8_t before[ROOM];
	size_t n_before = *n;
	memcpy(before, p, *n);
	for (size_t i = 0; i + EDIT <= e->n; i += EDIT) {
		const uint8_t *edit = e->p + i;
		size_t at = *n > 0 ? ((size_t)edit[2] << 8 | edit[3]) % *n : 0;
		if (edit[0] % (3 + RECORDS) != number || *n == 0)
			continue;
		switch (edit[1] % 4) {
		case 0:
			p[at] ^= edit[4];
			break;
		case 1:
			*n = at;
			break;
		case 2:
			if (*n + 1 <= ROOM) {
				memmove(p + at + 1, p + at, *n - at);
				p[at] = edit[4];
				*n += 1;
			}
			break;
		default:
			if (2 * *n <= ROOM) {
				memcpy(p + *n, p, *n);
				*n *= 2;
			}
		}
	}
	return *n != n_before || memcmp(p, before, *n) != 0;
}

/* --- the two ends ---------------------------------------------------------------------------- */

static struct secure *end[2];
static size_t step;

static int deliver(struct secure *to, const uint8_t *p, size_t n)
{
	char why[WHY_MAX];
	while (n > 0) {
		size_t part = secure_wants(to);
		if (part == 0)
			return ERR_PROTOCOL; /* more than it asked for */
		part = part < n ? part : n;
		part = part < step ? part : step;
		int rc = secure_take(to, p, part, WALL, why);
		if (rc != 0) {
			PROMISE(secure_fault(to) != SECURE_FINE && secure_wants(to) == 0);
			return rc;
		}
		p += part;
		n -= part;
	}
	return 0;
}

/* One message.  Whether it went through as it was. */
static bool pass_message(const struct edits *e, unsigned number)
{
	static uint8_t buf[ROOM];
	struct secure *from = end[number % 2], *to = end[1 - number % 2];
	size_t n;
	const uint8_t *p = secure_output(from, &n);
	PROMISE(p != NULL && n <= ROOM);
	memcpy(buf, p, n);
	secure_sent(from, n);
	size_t sent = n;
	uint8_t *genuine = malloc(n);
	memcpy(genuine, buf, n);
	bool changed = meddle(e, number, buf, &n);
	uint8_t *exact = malloc(n > 0 ? n : 1);
	memcpy(exact, buf, n);
	int rc = deliver(to, exact, n);
	PROMISE(changed || rc == 0);
	/* Unless it is the genuine one with something behind it, it is not taken. */
	bool begins_well = n >= sent && memcmp(exact, genuine, sent) == 0;
	bool believes = secure_peer(to) != NULL;
	PROMISE(begins_well || !believes || number == 0);
	PROMISE(begins_well || number != 0 || !secure_is_proven(to));
	free(exact);
	free(genuine);
	return !changed;
}

/* Records from D to A: those before the first that was meddled with arrive, and no other. */
static void pass_records(const struct edits *e)
{
	static uint8_t stream[(RECORDS + 1) * ROOM], one[ROOM], plain[RECORDS][300];
	size_t n = 0;
	unsigned good = 0;
	bool whole = true;
	for (unsigned i = 0; i < RECORDS; i++) {
		size_t len = 1 + (i * 97) % sizeof plain[i];
		memset(plain[i], (int)i + 1, len);
		PROMISE(secure_seal(end[D], one, plain[i], len, RECORD_PLAIN_MAX) == 0);
		size_t size = secure_sealed_size(len, RECORD_PLAIN_MAX);
		whole = !meddle(e, 3 + i, one, &size) && whole;
		good += whole;
		memcpy(stream + n, one, size);
		n += size;
	}
	uint8_t *exact = malloc(n > 0 ? n : 1), *opened = malloc(n > 0 ? n : 1), *p = exact;
	memcpy(exact, stream, n);
	unsigned got = 0;
	struct secure_plain out;
	for (int used; (used = secure_open(end[A], opened, p, n, &out)) > 0;) {
		size_t len = 1 + (got * 97) % sizeof plain[0];
		PROMISE(got < RECORDS && !out.close && out.n == len);
		PROMISE(memcmp(opened, plain[got], len) == 0);
		p += used;
		n -= (size_t)used;
		got++;
	}
	/* A record that was repeated or lengthened at its end has itself come through. */
	PROMISE(got >= good && got <= good + 1);
	free(exact);
	free(opened);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static bool ready;
	char why[WHY_MAX];
	struct keyring ring[2];
	if (!ready)
		prepare();
	ready = true;
	if (n == 0)
		return 0;
	step = data[0] > 0 ? data[0] : SIZE_MAX;
	struct edits edits = {data + 1, n - 1};
	for (int i = 0; i < 2; i++) {
		struct gate_setup gate = {.mem = mem_system(), .seed = 1, .seen_max = 4};
		ring[i] = (struct keyring){
			.now = &stage.set[i], .gate = {gate_new(&gate)}, .kit = stage.kit};
		PROMISE(ring[i].gate[0] != NULL);
		struct secure_setup setup = {.mem = mem_system(),
			.keyring = &ring[i],
			.side = i == D ? NOISE_INITIATOR : NOISE_RESPONDER,
			.peer = i == D ? TOKEN_SEGMENT : TOKEN_CONTROLLER,
			.wall = WALL};
		PROMISE(secure_new(&end[i], &setup, why) == 0);
	}
	bool whole = true;
	for (unsigned number = 0; number < 3 && whole; number++)
		whole = pass_message(&edits, number);
	if (whole) {
		PROMISE(secure_is_done(end[A]) && secure_is_done(end[D]));
		PROMISE(secure_peer(end[A]) != NULL && secure_peer(end[D]) != NULL);
		pass_records(&edits);
	}
	for (int i = 0; i < 2; i++) {
		secure_free(end[i]);
		gate_free(ring[i].gate[0]);
	}
	PROMISE(stage.set[D].refs == 1 && stage.set[A].refs == 1);
	return 0;
}
