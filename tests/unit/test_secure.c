/* Two ends of a secured connection, joined in memory. */
#include "bus/secure.h"

#include "base/clock.h"
#include "base/err.h"
#include "crypto/suite.h"
#include "unit/cluster.h"
#include "unit/unit.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct unit_mem m;
static struct cluster cluster;
static struct keyring ring[2]; /* the dialler's, the acceptor's */
static struct secure *end[2];
static char why[2][WHY_MAX];
static uint64_t wall[2];
static bool refuse_keys;

enum { D, A };

static const struct cluster_node dialler = {.name = "ctl", .role = TOKEN_CONTROLLER},
				 acceptor = {.name = "seg", .role = TOKEN_SEGMENT};

static void load(int i, const char *name, enum token_role role)
{
	struct credentials_source source = cluster_source(&cluster, name, role, &m.mem);
	int rc = keyring_init(&ring[i], &source, why[i]);
	ck_assert_msg(rc == 0, "%s", why[i]);
}

static void setup(void)
{
	unit_mem_init(&m);
	cluster_init(&cluster);
	cluster_add(&cluster, &dialler);
	cluster_add(&cluster, &acceptor);
	load(D, "ctl", TOKEN_CONTROLLER);
	load(A, "seg", TOKEN_SEGMENT);
	wall[D] = wall[A] = clock_wall();
	end[D] = end[A] = NULL;
	refuse_keys = false;
}

static void drop(void)
{
	for (int i = 0; i < 2; i++) {
		secure_free(end[i]);
		end[i] = NULL;
	}
}

static void teardown(void)
{
	drop();
	keyring_fini(&ring[D]);
	keyring_fini(&ring[A]);
	cluster_fini(&cluster);
	ck_assert_uint_eq(m.live, 0);
}

static bool knows_no_harm(void *ctx, const uint8_t key[static KEYFILE_KEY])
{
	(void)ctx;
	ck_assert_mem_eq(key, ring[D].now->credentials->identity.public, KEYFILE_KEY);
	return !refuse_keys;
}

static const struct secure_door door = {knows_no_harm, NULL};

static int begin(void)
{
	for (int i = 0; i < 2; i++) {
		struct secure_setup s = {.mem = &m.mem,
			.keyring = &ring[i],
			.side = i == D ? NOISE_INITIATOR : NOISE_RESPONDER,
			.peer = i == D ? TOKEN_SEGMENT : TOKEN_CONTROLLER,
			.door = i == A ? &door : NULL,
			.wall = wall[i]};
		int rc = secure_new(&end[i], &s, why[i]);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* What goes by: the test may look at it and change it. */
struct wire {
	uint8_t *p;
	size_t n;
	int from;
	unsigned message; /* 0, 1, 2 */
};
static void (*meddle)(struct wire *w);
static size_t step_size; /* bytes of a step */

static int deliver(struct wire *w, int to)
{
	for (size_t at = 0; at < w->n;) {
		size_t n = secure_wants(end[to]);
		ck_assert_uint_gt(n, 0);
		if (n > step_size)
			n = step_size;
		if (n > w->n - at)
			n = w->n - at;
		int rc = secure_take(end[to], w->p + at, n, wall[to], why[to]);
		if (rc != 0)
			return rc;
		at += n;
	}
	return 0;
}

/* Carries messages until nobody has more to say.  0, or the error of *who. */
static int carry(int *who)
{
	unsigned message = 0;
	for (;;) {
		bool moved = false;
		for (int from = 0; from < 2; from++) {
			size_t n;
			const uint8_t *p = secure_output(end[from], &n);
			if (p == NULL)
				continue;
			/* Of its exact size, so that sanitizers see a byte too far. */
			struct wire w = {malloc(n), n, from, message++};
			memcpy(w.p, p, n);
			for (size_t sent = 0; sent < n; sent += step_size)
				secure_sent(end[from], n - sent < step_size ? n - sent : step_size);
			if (meddle != NULL)
				meddle(&w);
			*who = 1 - from;
			int rc = deliver(&w, 1 - from);
			free(w.p);
			if (rc != 0)
				return rc;
			moved = true;
		}
		if (!moved)
			return 0;
	}
}

static int shake(int *who)
{
	int rc = begin();
	return rc != 0 ? rc : carry(who);
}

static void shake_well(void)
{
	int who;
	meddle = NULL;
	step_size = SIZE_MAX / 2;
	ck_assert_int_eq(shake(&who), 0);
	ck_assert(secure_is_done(end[D]) && secure_is_done(end[A]));
}

/* One record's bytes from one end to the other, opened. */
static void check_records(int from, size_t n, size_t most)
{
	size_t size = secure_sealed_size(n, most), at = 0, got = 0;
	uint8_t *plain = malloc(n + 1), *sealed = malloc(size), *opened = malloc(n + 1);
	randombytes_buf(plain, n);
	ck_assert_int_eq(secure_seal(end[from], sealed, plain, n, most), 0);
	while (at < size) {
		struct secure_plain out;
		int used = secure_open(end[1 - from], opened + got, sealed + at, size - at, &out);
		ck_assert_int_gt(used, 0);
		ck_assert(!out.close);
		got += out.n;
		at += (size_t)used;
	}
	ck_assert_uint_eq(got, n);
	ck_assert_mem_eq(opened, plain, n);
	free(opened);
	free(plain);
	free(sealed);
}

START_TEST(two_nodes_meet)
{
	shake_well();
	ck_assert_str_eq(secure_peer(end[D])->node, "seg");
	ck_assert_str_eq(secure_peer(end[A])->node, "ctl");
	ck_assert_str_eq(secure_peer_name(end[A]), "node ctl");
	ck_assert_mem_eq(secure_peer_key(end[D]), ring[A].now->credentials->identity.public, 32);
	ck_assert(secure_is_proven(end[A]) && !secure_is_proven(end[D]));
	for (int from = 0; from < 2; from++) {
		check_records(from, 1, RECORD_PLAIN_MAX);
		check_records(from, 65519, RECORD_PLAIN_MAX);
		check_records(from, 65520, RECORD_PLAIN_MAX);
		check_records(from, 300000, RECORD_PLAIN_MAX);
		check_records(from, 300000, 4096);
	}
	ck_assert_uint_eq(secure_wants(end[A]), 0);
}
END_TEST

START_TEST(in_steps_of_any_size)
{
	int who;
	meddle = NULL;
	for (step_size = 1; step_size < 700; step_size++) {
		ck_assert_int_eq(shake(&who), 0);
		ck_assert(secure_is_done(end[D]) && secure_is_done(end[A]));
		drop();
		/* The gate has seen the key of none of them twice, and its cache is bounded. */
	}
}
END_TEST

/* Whatever comes must be asked for: nothing is read ahead of what was proved. */
START_TEST(it_wants_no_byte_too_many)
{
	step_size = SIZE_MAX / 2;
	ck_assert_int_eq(begin(), 0);
	ck_assert_uint_eq(secure_wants(end[A]), SUITE_MESSAGE_1);
	ck_assert_uint_eq(secure_wants(end[D]), SUITE_LENGTH);
	size_t n;
	const uint8_t *p = secure_output(end[D], &n);
	ck_assert_uint_eq(n, SUITE_MESSAGE_1);
	ck_assert_int_eq(secure_take(end[A], p, n - 1, wall[A], why[A]), 0);
	ck_assert_uint_eq(secure_wants(end[A]), 1);
	ck_assert(!secure_is_proven(end[A]));
	ck_assert_ptr_null(secure_output(end[A], &n));
	ck_assert_int_eq(secure_take(end[A], p + SUITE_MESSAGE_1 - 1, 1, wall[A], why[A]), 0);
	ck_assert(secure_is_proven(end[A]));
	ck_assert_uint_eq(secure_wants(end[A]), SUITE_LENGTH);
	ck_assert_int_eq(
		secure_take(end[A], (const uint8_t *)"\xff\xff", 2, wall[A], why[A]), ERR_PROTOCOL);
	ck_assert_int_eq(secure_fault(end[A]), SECURE_BROKEN);
	ck_assert_uint_eq(secure_wants(end[A]), 0);
}
END_TEST

/* --- changed on the way ----------------------------------------------------------------- */

static size_t flip_at;
static unsigned flip_in;

static void flip(struct wire *w)
{
	if (w->message == flip_in)
		w->p[flip_at] ^= 0x10;
}

static size_t length_of(unsigned message)
{
	const struct credentials *c = ring[message == 1 ? A : D].now->credentials;
	return message == 0   ? SUITE_MESSAGE_1
	       : message == 1 ? SUITE_LENGTH + SUITE_OVERHEAD_2 + c->token_n
			      : SUITE_LENGTH + SUITE_OVERHEAD_3 + c->token_n;
}

/* Case 32: nobody is let in, and nothing is said, whatever byte was changed. */
START_TEST(case_30_every_byte_counts)
{
	int who;
	step_size = SIZE_MAX / 2;
	meddle = flip;
	for (flip_in = 0; flip_in < 3; flip_in++) {
		for (flip_at = 0; flip_at < length_of(flip_in); flip_at++) {
			/* A length that says more leaves it waiting, which its time ends. */
			bool length = flip_in > 0 && flip_at < SUITE_LENGTH;
			size_t n;
			int rc = begin();
			ck_assert_int_eq(rc, 0);
			if (length) {
				drop();
				continue;
			}
			rc = carry(&who);
			ck_assert_int_lt(rc, 0);
			ck_assert_int_eq(who, flip_in == 1 ? D : A);
			ck_assert(!secure_is_done(end[who]));
			ck_assert_int_ne(secure_fault(end[who]), SECURE_FINE);
			ck_assert_ptr_null(secure_output(end[who], &n));
			ck_assert_ptr_null(secure_peer(end[who]));
			ck_assert_int_eq(secure_is_proven(end[A]), flip_in > 0);
			ck_assert_int_eq(
				secure_take(end[who], NULL, 0, wall[who], why[who]), ERR_CLOSED);
			drop();
		}
	}
	ck_assert_uint_eq(flip_in, 3);
}
END_TEST

static void shorten(struct wire *w)
{
	if (w->message == flip_in)
		w->n = flip_at;
}

START_TEST(whatever_is_cut_off_is_waited_for)
{
	int who;
	step_size = SIZE_MAX / 2;
	meddle = shorten;
	for (flip_in = 0; flip_in < 3; flip_in++) {
		for (flip_at = 0; flip_at < length_of(flip_in); flip_at += 7) {
			ck_assert_int_eq(shake(&who), 0);
			int to = flip_in == 1 ? D : A;
			ck_assert(!secure_is_done(end[to]));
			ck_assert_uint_gt(secure_wants(end[to]), 0);
			drop();
		}
	}
}
END_TEST

START_TEST(case_31_a_repeated_first_message_is_refused)
{
	uint8_t first[SUITE_MESSAGE_1];
	size_t n;
	step_size = SIZE_MAX / 2;
	ck_assert_int_eq(begin(), 0);
	memcpy(first, secure_output(end[D], &n), sizeof first);
	ck_assert_int_eq(secure_take(end[A], first, n, wall[A], why[A]), 0);
	drop();
	ck_assert_int_eq(begin(), 0);
	ck_assert_int_eq(secure_take(end[A], first, sizeof first, wall[A], why[A]), ERR_INVALID);
	ck_assert_int_eq(secure_fault(end[A]), SECURE_TOO_LATE);
	ck_assert(!secure_is_proven(end[A]));
	ck_assert_ptr_null(secure_output(end[A], &n));
}
END_TEST

/* --- who is let in ------------------------------------------------------------------------ */

/* The node of this side has another token, and is refused by the other with these words. */
static void check_refused(int i, const struct cluster_node *node, const char *words)
{
	int who;
	drop();
	drop();
	keyring_fini(&ring[i]);
	cluster_add(&cluster, node);
	/* It believes its own token, by another trust or another clock, or would not start. */
	struct credentials_source source = cluster_source(&cluster, node->name, node->role, &m.mem);
	source.now = node->begins > source.now ? node->begins + 1
		     : node->ends != 0         ? node->ends - 1
					       : source.now;
	ck_assert_msg(keyring_init(&ring[i], &source, why[i]) == 0, "%s", why[i]);
	step_size = SIZE_MAX / 2;
	meddle = NULL;
	ck_assert_int_lt(shake(&who), 0);
	ck_assert_int_eq(who, 1 - i);
	ck_assert_int_eq(secure_fault(end[who]), SECURE_UNWELCOME);
	ck_assert_ptr_nonnull(secure_peer_key(end[who]));
	ck_assert_msg(strstr(why[who], words) != NULL, "\"%s\" is not in \"%s\"", words, why[who]);
}

START_TEST(case_32_a_token_that_does_not_hold_is_refused)
{
	int64_t now = cluster_now();
	for (int i = 0; i < 2; i++) {
		struct cluster_node node = i == D ? dialler : acceptor;
		node.ends = now - 60;
		check_refused(i, &node, "expired");
		node.ends = 0;
		node.begins = now + 60;
		check_refused(i, &node, "not valid");
		node.begins = 0;
		node.role = i == D ? TOKEN_SEGMENT : TOKEN_CONTROLLER;
		check_refused(i, &node, "role");
		drop();
		keyring_fini(&ring[i]);
		cluster_add(&cluster, i == D ? &dialler : &acceptor);
		load(i, i == D ? "ctl" : "seg", i == D ? TOKEN_CONTROLLER : TOKEN_SEGMENT);
	}
}
END_TEST

START_TEST(case_32_another_network_secret_is_a_stranger)
{
	int who;
	keyring_fini(&ring[D]);
	randombytes_buf(cluster.trust.network[0], KEYFILE_KEY);
	cluster_save_trust(&cluster);
	load(D, "ctl", TOKEN_CONTROLLER);
	step_size = SIZE_MAX / 2;
	meddle = NULL;
	ck_assert_int_eq(shake(&who), ERR_PROTOCOL);
	ck_assert_int_eq(who, A);
	ck_assert_int_eq(secure_fault(end[A]), SECURE_STRANGER);
	ck_assert(!secure_is_proven(end[A]));
}
END_TEST

/* Which is how the secret is changed without shutting anybody out. */
START_TEST(either_of_two_network_secrets_lets_in)
{
	uint8_t old[KEYFILE_KEY];
	unsigned changes;
	memcpy(old, cluster.trust.network[0], sizeof old);
	cluster.trust.n_network = 2;
	memcpy(cluster.trust.network[1], old, sizeof old);
	randombytes_buf(cluster.trust.network[0], KEYFILE_KEY);
	cluster_save_trust(&cluster);
	ck_assert_int_eq(keyring_reload(&ring[A], cluster_now(), &changes, why[A]), 0);
	ck_assert_uint_eq(changes, 0);
	shake_well();
	check_records(D, 1000, 100);
	drop();
	ck_assert_int_eq(keyring_reload(&ring[D], cluster_now(), &changes, why[D]), 0);
	shake_well();
	check_records(A, 1000, 100);
}
END_TEST

START_TEST(a_clock_that_is_off_is_said_so)
{
	int who;
	step_size = SIZE_MAX / 2;
	meddle = NULL;
	wall[D] -= 40 * CLOCK_SEC;
	ck_assert_int_eq(shake(&who), ERR_TIMEOUT);
	ck_assert_int_eq(secure_fault(end[A]), SECURE_TOO_LATE);
	ck_assert_ptr_nonnull(strstr(why[A], "30 s off"));
}
END_TEST

START_TEST(a_key_that_has_a_pause_is_not_looked_at)
{
	int who;
	step_size = SIZE_MAX / 2;
	meddle = NULL;
	refuse_keys = true;
	ck_assert_int_eq(shake(&who), ERR_AGAIN);
	ck_assert_int_eq(who, A);
	ck_assert_int_eq(secure_fault(end[A]), SECURE_PAUSED);
	ck_assert_ptr_null(secure_peer(end[A]));
}
END_TEST

/* --- fresh tokens -------------------------------------------------------------------------- */

START_TEST(case_34_a_fresh_token_is_taken)
{
	shake_well();
	struct cluster_node node = dialler;
	unsigned changes;
	size_t n;
	int64_t now = cluster_now();
	ck_assert_ptr_null(secure_news(end[D], &ring[D], &n));
	node.ends = now + 3600; /* sooner than the first */
	node.open = "other";
	cluster_add(&cluster, &node);
	ck_assert_int_eq(keyring_reload(&ring[D], now, &changes, why[D]), 0);
	ck_assert_uint_eq(changes, KEYRING_TOKEN);
	const char *text = secure_news(end[D], &ring[D], &n);
	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(secure_renew(end[A], &ring[A], (const uint8_t *)text, n, now, why[A]), 0);
	ck_assert_int_eq(secure_peer(end[A])->expires, node.ends);
	ck_assert(!token_may_open(secure_peer(end[A]), "echo", 4));
	ck_assert_int_eq(secure_renew(end[A], &ring[A], (const uint8_t *)text, n, now, why[A]),
		ERR_NOTFOUND);
	secure_told(end[D], &ring[D]);
	ck_assert_ptr_null(secure_news(end[D], &ring[D], &n));
	check_records(D, 100, 100);
}
END_TEST

/* Renews the dialler's token at the acceptor by one that is not taken. */
static void check_not_renewed(const struct cluster_node *node, int rc, const char *words)
{
	struct keyring other;
	cluster_add(&cluster, node);
	struct credentials_source source = cluster_source(&cluster, node->name, node->role, &m.mem);
	ck_assert_msg(keyring_init(&other, &source, why[D]) == 0, "%s", why[D]);
	const struct credentials *c = other.now->credentials;
	why[A][0] = '\0';
	ck_assert_int_eq(secure_renew(end[A], &ring[A], (const uint8_t *)c->token_text, c->token_n,
				 cluster_now(), why[A]),
		rc);
	ck_assert_msg(strstr(why[A], words) != NULL, "\"%s\" is not in \"%s\"", words, why[A]);
	ck_assert_str_eq(secure_peer(end[A])->node, "ctl");
	keyring_fini(&other);
}

/* Nobody becomes somebody else on a connection; what another would be is told apart. */
START_TEST(a_fresh_token_of_somebody_else_is_not_taken)
{
	shake_well();
	struct cluster_node node = {.name = "other", .role = TOKEN_CONTROLLER};
	check_not_renewed(&node, SECURE_ANOTHER, "");
	node = (struct cluster_node){.name = "seg2", .role = TOKEN_SEGMENT};
	check_not_renewed(&node, ERR_INVALID, "role: ");
	node = dialler;
	node.customer = "acme";
	check_not_renewed(&node, SECURE_ANOTHER, "");
	ck_assert_int_eq(secure_judge(end[A], &ring[A], cluster_now(), why[A]), 0);
}
END_TEST

/*
 * Another key, or another customer: only the side that has dialled is told, as it alone can make
 * anew what is for the old one; and each stays for the other what it was.
 */
START_TEST(case_34_another_node_is_news_for_the_one_that_has_dialled)
{
	char path[CLUSTER_PATH];
	int one = _i % 2, other = 1 - one;
	unsigned changes;
	size_t n;
	shake_well();
	struct cluster_node node = one == D ? dialler : acceptor;
	if (_i < 2)
		ck_assert_int_eq(unlink(cluster_path(&cluster, path, node.name, ".key")), 0);
	else
		node.customer = "acme";
	cluster_add(&cluster, &node);
	ck_assert(secure_is_current(end[one], &ring[one]));
	ck_assert_int_eq(keyring_reload(&ring[one], cluster_now(), &changes, why[one]), 0);
	ck_assert_uint_eq(changes, KEYRING_TOKEN | (_i < 2 ? KEYRING_IDENTITY : KEYRING_NAME));
	ck_assert(!secure_is_current(end[one], &ring[one]));
	const char *text = secure_news(end[one], &ring[one], &n);
	if (one == D)
		ck_assert_ptr_null(text);
	if (text != NULL) {
		ck_assert_int_eq(secure_renew(end[other], &ring[other], (const uint8_t *)text, n,
					 cluster_now(), why[other]),
			SECURE_ANOTHER);
		secure_told(end[one], &ring[one]);
		ck_assert_ptr_null(secure_news(end[one], &ring[one], &n));
	}
	ck_assert(token_same_node(secure_own(end[one]), secure_peer(end[other])));
	ck_assert_str_eq(secure_own(end[one])->customer, "");
	ck_assert_int_eq(secure_judge(end[other], &ring[other], cluster_now(), why[other]), 0);
	check_records(D, 100, 100);
}
END_TEST

START_TEST(a_peer_is_judged_anew)
{
	char path[CLUSTER_PATH];
	unsigned changes;
	shake_well();
	ck_assert_int_eq(secure_judge(end[A], &ring[A], cluster_now(), why[A]), 0);
	ck_assert_int_eq(
		secure_judge(end[A], &ring[A], cluster_now() + 2 * 86400, why[A]), ERR_TIMEOUT);
	ring[A].source.revoked = cluster_path(&cluster, path, "revoked", "");
	cluster_write(&cluster, "revoked", "# gone\nctl\n");
	ck_assert_int_eq(keyring_reload_list(&ring[A], why[A]), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(secure_judge(end[A], &ring[A], cluster_now(), why[A]), ERR_CLOSED);
		/* Which leaves the list as it is. */
		ck_assert_int_eq(keyring_reload(&ring[A], cluster_now(), &changes, why[A]), 0);
	}
}
END_TEST

/* The list that counts is that of the end of the handshake, not that of its beginning. */
START_TEST(revoked_in_the_middle_of_its_handshake)
{
	char path[CLUSTER_PATH];
	int who;
	step_size = SIZE_MAX / 2;
	meddle = NULL;
	ck_assert_int_eq(begin(), 0);
	for (int from = 0; from < 2; from++) {
		size_t n;
		const uint8_t *p = secure_output(end[from], &n);
		struct wire w = {malloc(n), n, from, (unsigned)from};
		memcpy(w.p, p, n);
		secure_sent(end[from], n);
		ck_assert_int_eq(deliver(&w, 1 - from), 0);
		free(w.p);
	}
	ring[A].source.revoked = cluster_path(&cluster, path, "revoked", "");
	cluster_write(&cluster, "revoked", "ctl\n");
	ck_assert_int_eq(keyring_reload_list(&ring[A], why[A]), 0);
	ck_assert_int_eq(carry(&who), ERR_CLOSED);
	ck_assert_int_eq(who, A);
	ck_assert_int_eq(secure_fault(end[A]), SECURE_UNWELCOME);
}
END_TEST

/* --- records --------------------------------------------------------------------------------- */

START_TEST(case_30_records_hold_or_are_dead)
{
	enum { N = 40 };
	uint8_t plain[N] = "frames", one[N + RECORD_OVERHEAD], two[N + RECORD_OVERHEAD],
		copy[N + RECORD_OVERHEAD], opened[N];
	struct secure_plain out;
	for (size_t at = 0; at < sizeof one; at++) {
		shake_well();
		ck_assert_int_eq(secure_seal(end[D], one, plain, N, RECORD_PLAIN_MAX), 0);
		one[at] ^= 1;
		int rc = secure_open(end[A], opened, one, sizeof one, &out);
		/* A length that says more than there is: it is waited for. */
		ck_assert(rc == ERR_PROTOCOL || (at < RECORD_LENGTH && rc == 0));
		drop();
	}
	shake_well();
	ck_assert_int_eq(secure_seal(end[D], one, plain, N, RECORD_PLAIN_MAX), 0);
	ck_assert_int_eq(secure_seal(end[D], two, plain, N, RECORD_PLAIN_MAX), 0);
	memcpy(copy, one, sizeof copy);
	for (size_t n = 0; n < sizeof one; n++)
		ck_assert_int_eq(secure_open(end[A], opened, one, n, &out), 0);
	ck_assert_int_eq(secure_open(end[A], opened, one, sizeof one, &out), (int)sizeof one);
	ck_assert_int_eq(
		secure_open(end[A], opened, copy, sizeof copy, &out), ERR_PROTOCOL); /* again */
	ck_assert_int_lt(secure_open(end[A], opened, two, sizeof two, &out), 0);     /* dead */
	drop();
	shake_well();
	ck_assert_int_eq(secure_seal(end[D], one, plain, N, RECORD_PLAIN_MAX), 0);
	ck_assert_int_eq(secure_seal(end[D], two, plain, N, RECORD_PLAIN_MAX), 0);
	ck_assert_int_eq(secure_open(end[A], opened, two, sizeof two, &out), ERR_PROTOCOL);
}
END_TEST

START_TEST(nothing_follows_close)
{
	uint8_t record[RECORD_OVERHEAD], opened[1];
	struct secure_plain out;
	shake_well();
	ck_assert_uint_eq(secure_sealed_size(0, 1), sizeof record);
	ck_assert_int_eq(secure_seal(end[D], record, NULL, 0, 1), 0);
	ck_assert(!secure_is_closed(end[A]));
	ck_assert_int_eq(
		secure_open(end[A], opened, record, sizeof record, &out), (int)sizeof record);
	ck_assert(out.close && secure_is_closed(end[A]));
	ck_assert_int_lt(secure_seal(end[D], record, NULL, 0, 1), 0);
}
END_TEST

/* --- memory --------------------------------------------------------------------------------- */

START_TEST(case_39_every_allocation_may_fail)
{
	int who;
	size_t failed = 0;
	step_size = SIZE_MAX / 2;
	meddle = NULL;
	for (size_t at = 1;; at++) {
		size_t live = m.live;
		m.calls = 0;
		m.failed = 0;
		m.fail_at = at;
		int rc = shake(&who);
		m.fail_at = 0;
		if (!m.failed)
			break;
		failed += rc != 0;
		drop();
		/* The gate's table may have grown, and remembers one more. */
		ck_assert_uint_le(m.live, live + 4);
	}
	ck_assert_uint_gt(failed, 8);
	check_records(D, 100, 100);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("secure");
	TCase *t = tcase_create("secure");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, two_nodes_meet);
	tcase_add_test(t, in_steps_of_any_size);
	tcase_add_test(t, it_wants_no_byte_too_many);
	tcase_add_test(t, case_30_every_byte_counts);
	tcase_add_test(t, whatever_is_cut_off_is_waited_for);
	tcase_add_test(t, case_31_a_repeated_first_message_is_refused);
	tcase_add_test(t, case_32_a_token_that_does_not_hold_is_refused);
	tcase_add_test(t, case_32_another_network_secret_is_a_stranger);
	tcase_add_test(t, either_of_two_network_secrets_lets_in);
	tcase_add_test(t, a_clock_that_is_off_is_said_so);
	tcase_add_test(t, a_key_that_has_a_pause_is_not_looked_at);
	tcase_add_test(t, case_34_a_fresh_token_is_taken);
	tcase_add_test(t, a_fresh_token_of_somebody_else_is_not_taken);
	tcase_add_loop_test(t, case_34_another_node_is_news_for_the_one_that_has_dialled, 0, 4);
	tcase_add_test(t, a_peer_is_judged_anew);
	tcase_add_test(t, revoked_in_the_middle_of_its_handshake);
	tcase_add_test(t, case_30_records_hold_or_are_dead);
	tcase_add_test(t, nothing_follows_close);
	tcase_add_test(t, case_39_every_allocation_may_fail);
	suite_add_tcase(s, t);
	return unit_main(s);
}
