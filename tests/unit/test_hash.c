#include "base/hash.h"
#include "unit/unit.h"

#include <stdbool.h>
#include <stdlib.h>

struct item {
	struct hash_node node;
	uint64_t key;
};

static struct item *find(struct hash *h, uint64_t key)
{
	uint64_t hv = hash_u64(key, 7);
	for (struct hash_node *n = hash_find(h, hv); n != NULL; n = hash_find_next(n)) {
		struct item *it = (struct item *)n;
		if (it->key == key)
			return it;
	}
	return NULL;
}

START_TEST(add_find_remove_at_every_size)
{
	enum { N = 3000 };
	static struct item items[N];
	struct unit_mem m;
	struct hash h;
	unit_mem_init(&m);
	hash_init(&h, &m.mem);
	for (uint64_t i = 0; i < N; i++) {
		items[i].key = i * 2 + 1;
		ck_assert_int_eq(hash_add(&h, &items[i].node, hash_u64(items[i].key, 7)), 0);
		ck_assert_ptr_eq(find(&h, items[i / 2].key), &items[i / 2]);
		ck_assert_ptr_null(find(&h, items[i].key + 1));
	}
	for (uint64_t i = 0; i < N; i++) {
		ck_assert_ptr_eq(find(&h, items[i].key), &items[i]);
		hash_remove(&h, &items[i].node);
		ck_assert_ptr_null(find(&h, items[i].key));
		ck_assert_uint_eq(h.count, N - 1 - i);
	}
	ck_assert_ptr_null(hash_any(&h));
	hash_fini(&h);
	ck_assert_uint_eq(m.live, 0);
}
END_TEST

START_TEST(each_node_comes_once)
{
	enum { N = 1000 };
	static struct item items[N];
	static bool seen[N];
	struct unit_mem m;
	struct hash h;
	struct hash_node *n = NULL;
	size_t left = N;
	unit_mem_init(&m);
	hash_init(&h, &m.mem);
	ck_assert_ptr_null(hash_next(&h, NULL));
	for (uint64_t i = 0; i < N; i++) {
		items[i].key = i;
		/* Some share a bucket, some a hash. */
		ck_assert_int_eq(hash_add(&h, &items[i].node, hash_u64(i / 3, 7)), 0);
	}
	while ((n = hash_next(&h, n)) != NULL) {
		const struct item *it = (struct item *)n;
		ck_assert(!seen[it->key]);
		seen[it->key] = true;
		left--;
	}
	ck_assert_uint_eq(left, 0);
	hash_fini(&h);
	ck_assert_uint_eq(m.live, 0);
}
END_TEST

/* So many that it would not end if each step began at the first bucket. */
START_TEST(taken_apart_in_one_pass)
{
	enum { N = 1 << 18 };
	struct item *items = calloc(N, sizeof *items);
	struct unit_mem m;
	struct hash h;
	unit_mem_init(&m);
	hash_init(&h, &m.mem);
	for (uint64_t i = 0; i < N; i++)
		ck_assert_int_eq(hash_add(&h, &items[i].node, hash_u64(i, 7)), 0);
	m.fail_at = m.calls + 1; /* it keeps its buckets */
	m.sticky = 1;
	size_t low = 0, taken = 0;
	for (struct hash_node *n; (n = hash_any(&h)) != NULL; taken++) {
		ck_assert_uint_ge(h.low, low);
		low = h.low;
		hash_remove(&h, n);
	}
	ck_assert_uint_eq(taken, N);
	/* What comes in ahead of there is not passed over. */
	ck_assert_int_eq(hash_add(&h, &items[0].node, UINT64_MAX), 0);
	ck_assert_ptr_eq(hash_any(&h), &items[0].node);
	ck_assert_int_eq(hash_add(&h, &items[1].node, 0), 0);
	ck_assert_ptr_eq(hash_any(&h), &items[1].node);
	ck_assert_ptr_eq(hash_next(&h, NULL), &items[1].node);
	ck_assert_ptr_eq(hash_next(&h, &items[1].node), &items[0].node);
	hash_fini(&h);
	free(items);
	ck_assert_uint_eq(m.live, 0);
}
END_TEST

START_TEST(without_memory_it_keeps_its_size)
{
	static struct item items[64];
	struct unit_mem m;
	struct hash h;
	unit_mem_init(&m);
	m.fail_at = 1;
	hash_init(&h, &m.mem);
	ck_assert_int_lt(hash_add(&h, &items[0].node, 1), 0);
	ck_assert_uint_eq(h.count, 0);
	m.fail_at = 3;
	m.sticky = 1;
	for (uint64_t i = 0; i < 64; i++) {
		items[i].key = i;
		ck_assert_int_eq(hash_add(&h, &items[i].node, hash_u64(i, 7)), 0);
	}
	ck_assert(m.failed);
	for (uint64_t i = 0; i < 64; i++)
		ck_assert_ptr_eq(find(&h, i), &items[i]);
	hash_fini(&h);
	ck_assert_uint_eq(m.live, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hash");
	TCase *t = tcase_create("hash");
	tcase_add_test(t, add_find_remove_at_every_size);
	tcase_add_test(t, each_node_comes_once);
	tcase_add_test(t, taken_apart_in_one_pass);
	tcase_add_test(t, without_memory_it_keeps_its_size);
	suite_add_tcase(s, t);
	return unit_main(s);
}
