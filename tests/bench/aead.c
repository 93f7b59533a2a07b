/*
 * What sealing and opening costs: each engine of the build, in MB (10^6 bytes) of text a
 * second of processor time, for records of several sizes.  The engines take turns, and the
 * best of several rounds counts, since the machine has other work.
 *
 *	tests/bench/aead [ROUNDS]
 */
#include "crypto/aead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ENGINES = 2, SIZES = 4, ROUNDS = 10, ROUND_BYTES = 8 << 20 };

static const size_t sizes[SIZES] = {64, 1024, 16384, 65519};
static uint8_t text[65536 + AEAD_TAG], sealed[65536 + AEAD_TAG];

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef int call(struct aead *a, uint8_t *out, const struct aead_input *in);

/* MB a second of one way; the nonce changes with each record, as it does in earnest. */
static double rate(struct aead *a, call *way, uint8_t *out, struct aead_input *in, size_t size)
{
	size_t records = ROUND_BYTES / (size + 256);
	double begin = seconds();
	for (size_t i = 0; i < records; i++) {
		memcpy(in->nonce, &i, sizeof i);
		/* The same record is opened again and again, so its nonce must stay. */
		if (way == aead_open)
			memset(in->nonce, 0, sizeof in->nonce);
		if (way(a, out, in) != 0) {
			fprintf(stderr, "aead: a call failed\n");
			exit(EXIT_FAILURE);
		}
	}
	return (double)(records * size) / 1e6 / (seconds() - begin);
}

static void measure(const struct aead_engine *engine, size_t size, double best[2])
{
	static const uint8_t key[AEAD_KEY] = {1};
	struct aead *a = aead_new(mem_system(), engine);
	struct aead_input in = {.key = key, .text = text, .n = size};
	if (a == NULL)
		exit(EXIT_FAILURE);
	double mb = rate(a, aead_seal, sealed, &in, size);
	best[0] = mb > best[0] ? mb : best[0];
	memset(in.nonce, 0, sizeof in.nonce);
	aead_seal(a, sealed, &in);
	in.text = sealed;
	in.n = size + AEAD_TAG;
	mb = rate(a, aead_open, text, &in, size);
	best[1] = mb > best[1] ? mb : best[1];
	aead_free(a);
}

int main(int argc, char **argv)
{
	static double best[ENGINES][SIZES][2];
	long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : ROUNDS;
	if (aead_init() != 0 || rounds < 1) {
		fprintf(stderr, "usage: aead [ROUNDS]\n");
		return EXIT_FAILURE;
	}
	for (long round = 0; round < rounds; round++) {
		for (size_t s = 0; s < SIZES; s++) {
			for (size_t e = 0; e < ENGINES && aead_engine(e) != NULL; e++)
				measure(aead_engine(e), sizes[s], best[e][s]);
		}
	}
	printf("%-12s %-6s", "MB/s", "");
	for (size_t s = 0; s < SIZES; s++)
		printf(" %8zu", sizes[s]);
	for (size_t e = 0; e < ENGINES && aead_engine(e) != NULL; e++) {
		for (int way = 0; way < 2; way++) {
			printf("\n%-12s %-6s", aead_engine_name(aead_engine(e)),
				way == 0 ? "seal" : "open");
			for (size_t s = 0; s < SIZES; s++)
				printf(" %8.0f", best[e][s][way]);
		}
	}
	printf("\n");
	return EXIT_SUCCESS;
}
