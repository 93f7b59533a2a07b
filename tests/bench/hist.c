#include "hist.h"

#include <stddef.h>
#include <stdio.h>

static size_t bucket_of(uint64_t v)
{
	if (v < HIST_STEPS)
		return (size_t)v;
	int shift = 63 - __builtin_clzll(v) - HIST_BITS;
	return ((size_t)(shift + 1) << HIST_BITS) + (size_t)((v >> shift) - HIST_STEPS);
}

static uint64_t middle_of(size_t bucket)
{
	if (bucket < HIST_STEPS)
		return bucket;
	int shift = (int)(bucket >> HIST_BITS) - 1;
	uint64_t low = ((uint64_t)(bucket & (HIST_STEPS - 1)) + HIST_STEPS) << shift;
	return low + ((UINT64_C(1) << shift) >> 1);
}

void hist_add(struct hist *h, uint64_t ns)
{
	if (h->n == 0 || ns < h->min)
		h->min = ns;
	if (ns > h->max)
		h->max = ns;
	h->n++;
	h->bucket[bucket_of(ns)]++;
}

static double quantile_us(const struct hist *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->n), seen = 0;
	for (size_t i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen > want && middle_of(i) < h->max)
			return (double)middle_of(i) / 1e3;
		if (seen > want)
			break;
	}
	return (double)h->max / 1e3;
}

void hist_print(const struct hist *h)
{
	printf(" min_us=%.1f p50_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f",
		(double)h->min / 1e3, quantile_us(h, .5), quantile_us(h, .99), quantile_us(h, .999),
		(double)h->max / 1e3);
}
