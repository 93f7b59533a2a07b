#include "pattern.h"

#include <string.h>

/* Three times in a row, so that a run from any phase lies in one piece. */
static unsigned char pattern[PATTERN_PERIOD + PATTERN_RUN];

void pattern_init(void)
{
	uint64_t x = UINT64_C(0x9e3779b97f4a7c15);
	for (size_t i = 0; i < PATTERN_PERIOD; i++) {
		x ^= x << 13; /* xorshift64 */
		x ^= x >> 7;
		x ^= x << 17;
		pattern[i] = (unsigned char)(x >> 32);
	}
	memcpy(pattern + PATTERN_PERIOD, pattern, PATTERN_PERIOD);
	memcpy(pattern + PATTERN_RUN, pattern, PATTERN_PERIOD);
}

const unsigned char *pattern_at(uint64_t position)
{
	return pattern + position % PATTERN_PERIOD;
}

bool pattern_equal(const unsigned char *p, size_t n, uint64_t position)
{
	while (n > 0) {
		size_t k = n < PATTERN_RUN ? n : PATTERN_RUN;
		if (memcmp(p, pattern_at(position), k) != 0)
			return false;
		p += k;
		n -= k;
		position += k;
	}
	return true;
}

uint64_t pattern_entry(uint64_t id, uint64_t sequence)
{
	/* splitmix64's mixing: neighbours land far apart */
	uint64_t z = id * UINT64_C(0x9e3779b97f4a7c15) + sequence + UINT64_C(0x632be59bd9b4e019);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) >> 1;
}
