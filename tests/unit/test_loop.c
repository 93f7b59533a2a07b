#include "net/loop.h"

#include "base/clock.h"
#include "base/err.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct unit_mem m;
static struct loop *loop;

static void setup(void)
{
	unit_mem_init(&m);
	loop = loop_new(&m.mem);
	ck_assert_ptr_nonnull(loop);
}

static void teardown(void)
{
	loop_free(loop);
	ck_assert_uint_eq(m.live, 0);
}

static void turn(void)
{
	ck_assert_int_eq(loop_turn(loop, clock_now()), 0);
}

/* A socket in the loop, its other end in the test's hand, and what was seen of it. */
struct end {
	struct loop_fd lfd;
	int far;
	unsigned calls, seen;
	void (*then)(struct end *e);
	struct end *other;
};

static void on_event(struct loop_fd *lfd)
{
	struct end *e = container_of(lfd, struct end, lfd);
	e->calls++;
	e->seen |= lfd->ready;
	if (e->then != NULL)
		e->then(e);
}

static void make_pair(int fd[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
}

static void end_init(struct end *e)
{
	int fd[2];
	*e = (struct end){.far = -1};
	loop_fd_init(&e->lfd, on_event);
	make_pair(fd);
	ck_assert_int_eq(loop_add(loop, &e->lfd, fd[0]), 0);
	e->far = fd[1];
}

static void end_fini(struct end *e)
{
	loop_close(loop, &e->lfd);
	close(e->far);
}

static void poke(const struct end *e)
{
	ck_assert_int_eq(write(e->far, "x", 1), 1);
}

/* --- events ---------------------------------------------------------------------------- */

START_TEST(readiness_is_sticky_and_edges_call_once)
{
	struct end e;
	end_init(&e);
	turn();
	ck_assert_uint_eq(e.calls, 1);
	ck_assert_uint_eq(e.lfd.ready, LOOP_WRITABLE);
	poke(&e);
	turn();
	ck_assert_uint_eq(e.calls, 2);
	ck_assert_uint_eq(e.lfd.ready, LOOP_WRITABLE | LOOP_READABLE);
	turn();
	ck_assert_uint_eq(e.calls, 2);
	ck_assert_int_eq(shutdown(e.far, SHUT_WR), 0);
	turn();
	ck_assert_uint_eq(e.lfd.ready, LOOP_WRITABLE | LOOP_READABLE | LOOP_PEER_END);
	end_fini(&e);
}
END_TEST

static void close_other(struct end *e)
{
	loop_close(loop, &e->other->lfd);
}

START_TEST(event_for_a_descriptor_closed_in_the_same_turn_is_dropped)
{
	struct end a, b;
	end_init(&a);
	end_init(&b);
	a.then = b.then = close_other;
	a.other = &b;
	b.other = &a;
	turn(); /* both were writable when the turn began */
	ck_assert_uint_eq(a.calls + b.calls, 1);
	end_fini(&a);
	end_fini(&b);
}
END_TEST

static int spare[2];

static void replace_other(struct end *e)
{
	loop_close(loop, &e->other->lfd);
	ck_assert_int_eq(loop_add(loop, &e->other->lfd, spare[0]), 0);
	e->then = e->other->then = NULL;
}

START_TEST(event_of_the_old_descriptor_does_not_reach_its_successor)
{
	struct end a, b;
	make_pair(spare);
	end_init(&a);
	end_init(&b);
	turn();
	a.calls = b.calls = 0;
	a.then = b.then = replace_other;
	a.other = &b;
	b.other = &a;
	close(a.far);
	close(b.far);
	turn();
	ck_assert_uint_eq(a.calls + b.calls, 1);
	struct end *replaced = a.calls == 0 ? &a : &b;
	ck_assert_uint_eq(replaced->lfd.ready, 0);
	turn();
	ck_assert_uint_eq(replaced->calls, 1);
	ck_assert_uint_eq(replaced->lfd.ready, LOOP_WRITABLE);
	loop_close(loop, &a.lfd);
	loop_close(loop, &b.lfd);
	close(spare[1]);
}
END_TEST

/* Blocks of memory with the loop_fd at the offsets that matter to a loop short of memory. */
enum { BLOCKS = 4 };

static struct {
	char *block[BLOCKS];
	struct loop_fd *lfd[BLOCKS];
	unsigned calls;
	struct loop_fd *survivor;
} herd;

static void free_the_others(struct loop_fd *lfd)
{
	herd.calls++;
	herd.survivor = lfd;
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (herd.lfd[i] == lfd)
			continue;
		loop_close(loop, herd.lfd[i]);
		loop_free_later(loop, herd.block[i]);
	}
}

static void herd_init(void)
{
	herd.calls = 0;
	for (unsigned i = 0; i < BLOCKS; i++) {
		int fd[2];
		herd.block[i] = mem_zalloc(&m.mem, sizeof(struct loop_fd) + 8);
		ck_assert_ptr_nonnull(herd.block[i]);
		herd.lfd[i] = (struct loop_fd *)(void *)(herd.block[i] + (i % 2) * 8);
		loop_fd_init(herd.lfd[i], free_the_others);
		make_pair(fd);
		ck_assert_int_eq(loop_add(loop, herd.lfd[i], fd[0]), 0);
		close(fd[1]);
	}
}

/* All four are ready in one turn; the first one called frees the rest. */
static void free_herd_in_a_turn(bool short_of_memory)
{
	herd_init();
	m.sticky = 1;
	m.fail_at = short_of_memory ? m.calls + 1 : 0;
	m.failed = 0;
	size_t live = m.live;
	turn();
	m.fail_at = 0;
	ck_assert_int_eq(m.failed, short_of_memory);
	ck_assert_uint_eq(herd.calls, 1);
	ck_assert_uint_eq(m.live, live - (BLOCKS - 1) + (short_of_memory ? 0 : 1));
	loop_close(loop, herd.survivor);
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (herd.lfd[i] == herd.survivor)
			mem_free(&m.mem, herd.block[i]);
	}
}

START_TEST(memory_freed_in_the_turn_meets_no_event)
{
	free_herd_in_a_turn(true);
	free_herd_in_a_turn(false);
}
END_TEST

static void ask_again(struct end *e)
{
	if (e->calls == 3)
		return;
	loop_again(loop, &e->lfd);
	loop_again(loop, &e->lfd);
}

START_TEST(again_calls_once_in_the_next_turn)
{
	struct end e;
	end_init(&e);
	e.then = ask_again;
	turn();
	ck_assert_uint_eq(e.calls, 1);
	turn();
	ck_assert_uint_eq(e.calls, 2);
	turn();
	ck_assert_uint_eq(e.calls, 3);
	turn();
	ck_assert_uint_eq(e.calls, 3);
	loop_again(loop, &e.lfd);
	loop_close(loop, &e.lfd);
	turn();
	ck_assert_uint_eq(e.calls, 3);
	loop_again(loop, &e.lfd); /* not in the loop: nothing */
	turn();
	ck_assert_uint_eq(e.calls, 3);
	end_fini(&e);
}
END_TEST

START_TEST(again_does_not_wait)
{
	struct end e;
	end_init(&e);
	turn();
	loop_again(loop, &e.lfd);
	ck_assert_int_eq(loop_turn(loop, CLOCK_NEVER), 0); /* or it hangs */
	ck_assert_uint_eq(e.calls, 2);
	end_fini(&e);
}
END_TEST

START_TEST(removed_descriptor_stays_open_and_silent)
{
	struct end e;
	end_init(&e);
	turn();
	poke(&e);
	int fd = loop_remove(loop, &e.lfd);
	turn();
	ck_assert_uint_eq(e.calls, 1);
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	ck_assert_int_eq(e.lfd.fd, -1);
	close(fd);
	end_fini(&e);
}
END_TEST

START_TEST(handed_over_to_another_owner)
{
	struct end e, next = {.far = -1};
	end_init(&e);
	turn();
	poke(&e);
	/* An event that is due reaches the new owner, as do those that come later. */
	loop_fd_init(&next.lfd, on_event);
	next.far = e.far;
	int fd = loop_hand_over(loop, &e.lfd);
	ck_assert_int_eq(e.lfd.fd, -1);
	ck_assert_int_eq(loop_add(loop, &next.lfd, fd), 0);
	turn();
	ck_assert_uint_eq(e.calls, 1);
	ck_assert_uint_eq(next.calls, 1);
	ck_assert(next.seen & LOOP_READABLE);
	poke(&next);
	turn();
	ck_assert_uint_eq(next.calls, 2);
	end_fini(&next);
}
END_TEST

START_TEST(handed_over_and_not_taken)
{
	struct end e[2];
	int fd[2];
	for (int i = 0; i < 2; i++)
		end_init(&e[i]);
	turn();
	for (int i = 0; i < 2; i++) {
		poke(&e[i]);
		fd[i] = loop_hand_over(loop, &e[i].lfd);
	}
	turn();
	turn();
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(e[i].calls, 1);
		/* It can be put in again in any later turn. */
		ck_assert_int_eq(loop_add(loop, &e[i].lfd, fd[i]), 0);
	}
	turn();
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(e[i].calls, 2);
		end_fini(&e[i]);
	}
}
END_TEST

START_TEST(handed_over_and_closed)
{
	struct end e, next, watched = {.far = -1};
	int pair[2];
	end_init(&e);
	int number = loop_hand_over(loop, &e.lfd);
	close(number);
	close(e.far);
	end_init(&next); /* the next descriptor has the same number */
	ck_assert_int_eq(next.lfd.fd, number);
	turn();
	poke(&next);
	turn();
	ck_assert_uint_eq(next.calls, 2);
	number = loop_hand_over(loop, &next.lfd);
	close(number);
	close(next.far);
	make_pair(pair);
	ck_assert_int_eq(pair[0], number);
	loop_fd_init(&watched.lfd, on_event);
	watched.far = pair[1];
	ck_assert_int_eq(loop_watch(loop, &watched.lfd, number, LOOP_READABLE), 0);
	poke(&watched);
	turn();
	ck_assert_uint_eq(watched.calls, 1);
	end_fini(&watched);
}
END_TEST

START_TEST(watch_is_level_triggered)
{
	int fd[2];
	struct end e = {.far = -1};
	loop_fd_init(&e.lfd, on_event);
	make_pair(fd);
	e.far = fd[1];
	ck_assert_int_eq(loop_watch(loop, &e.lfd, fd[0], 0), 0);
	ck_assert_int_eq(e.lfd.fd, -1);
	ck_assert_int_eq(loop_watch(loop, &e.lfd, fd[0], LOOP_READABLE), 0);
	turn();
	ck_assert_uint_eq(e.calls, 0);
	poke(&e);
	turn();
	turn();
	ck_assert_uint_eq(e.calls, 2);
	ck_assert_uint_eq(e.seen, LOOP_READABLE);
	ck_assert_int_eq(loop_watch(loop, &e.lfd, fd[0], LOOP_WRITABLE), 0);
	e.lfd.ready = e.seen = 0;
	turn();
	ck_assert_uint_eq(e.seen, LOOP_WRITABLE);
	ck_assert_uint_eq(e.calls, 3);
	ck_assert_int_eq(loop_watch(loop, &e.lfd, fd[0], 0), 0);
	turn();
	ck_assert_uint_eq(e.calls, 3);
	ck_assert_int_ge(fcntl(fd[0], F_GETFD), 0);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(bad_descriptor_is_refused)
{
	struct loop_fd lfd;
	loop_fd_init(&lfd, on_event);
	ck_assert_int_eq(loop_add(loop, &lfd, 1 << 20), ERR_SYS);
	ck_assert_int_eq(errno, EBADF);
	ck_assert_int_eq(lfd.fd, -1);
	ck_assert_int_eq(loop_watch(loop, &lfd, 1 << 20, LOOP_READABLE), ERR_SYS);
	ck_assert_int_eq(lfd.fd, -1);
}
END_TEST

/* --- timers, work, garbage ------------------------------------------------------------- */

struct shot {
	struct timer timer;
	unsigned order;
	uint64_t at;
};

static unsigned shots;

static void on_fire(struct timer *timer)
{
	struct shot *s = container_of(timer, struct shot, timer);
	s->order = ++shots;
	s->at = loop_now(loop);
}

START_TEST(timers_fire_in_order_and_not_early)
{
	struct shot s[3] = {0};
	uint64_t now = clock_now();
	shots = 0;
	for (unsigned i = 0; i < 3; i++) {
		s[i].timer.fire = on_fire;
		ck_assert_int_eq(
			loop_timer_set(loop, &s[i].timer, now + (3 - i) * 5 * CLOCK_MS), 0);
	}
	loop_timer_stop(loop, &s[1].timer);
	while (shots < 2)
		ck_assert_int_eq(loop_turn(loop, CLOCK_NEVER), 0);
	ck_assert_uint_eq(s[2].order, 1);
	ck_assert_uint_eq(s[1].order, 0);
	ck_assert_uint_eq(s[0].order, 2);
	ck_assert_uint_ge(s[0].at, now + 15 * CLOCK_MS);
	ck_assert_uint_ge(s[2].at, now + 5 * CLOCK_MS);
}
END_TEST

START_TEST(a_timer_wakes_the_loop_in_one_turn)
{
	struct shot s = {.timer.fire = on_fire};
	shots = 0;
	ck_assert_int_eq(loop_timer_set(loop, &s.timer, clock_now() + 3 * CLOCK_MS + 1), 0);
	ck_assert_int_eq(loop_turn(loop, CLOCK_NEVER), 0);
	ck_assert_uint_eq(shots, 1);
}
END_TEST

START_TEST(a_turn_ends_at_its_deadline)
{
	uint64_t until = clock_now() + 10 * CLOCK_MS;
	ck_assert_int_eq(loop_turn(loop, until), 0);
	ck_assert_uint_ge(clock_now(), until);
}
END_TEST

struct job {
	struct loop_work work;
	unsigned runs;
	bool more;
	struct loop_work *cancels;
};

static void on_work(struct loop_work *work)
{
	struct job *j = container_of(work, struct job, work);
	j->runs++;
	if (j->more)
		loop_defer(loop, work);
	if (j->cancels != NULL)
		loop_cancel(j->cancels);
}

START_TEST(work_runs_once_at_the_end_of_the_turn)
{
	struct job a = {.runs = 0}, b = {.runs = 0};
	loop_work_init(&a.work, on_work);
	loop_work_init(&b.work, on_work);
	loop_defer(loop, &a.work);
	loop_defer(loop, &a.work);
	turn();
	turn();
	ck_assert_uint_eq(a.runs, 1);
	a.more = true;
	loop_defer(loop, &a.work);
	ck_assert_int_eq(loop_turn(loop, CLOCK_NEVER), 0);
	ck_assert_uint_eq(a.runs, 2);
	a.more = false;
	ck_assert_int_eq(loop_turn(loop, CLOCK_NEVER), 0);
	ck_assert_uint_eq(a.runs, 3);
	a.cancels = &b.work;
	loop_defer(loop, &a.work);
	loop_defer(loop, &b.work);
	turn();
	ck_assert_uint_eq(a.runs, 4);
	ck_assert_uint_eq(b.runs, 0);
	loop_defer(loop, &b.work);
	loop_cancel(&b.work);
	loop_cancel(&b.work);
	turn();
	ck_assert_uint_eq(b.runs, 0);
}
END_TEST

static unsigned char *doomed;

static void read_doomed(struct loop_work *work)
{
	(void)work;
	ck_assert_uint_eq(doomed[0], 7);
	ck_assert_uint_eq(doomed[LOOP_FREE_MIN - 1], 8);
}

START_TEST(memory_given_to_free_later_is_readable_to_the_end_of_the_turn)
{
	struct loop_work work;
	doomed = mem_zalloc(&m.mem, LOOP_FREE_MIN);
	doomed[0] = 7;
	doomed[LOOP_FREE_MIN - 1] = 8;
	loop_work_init(&work, read_doomed);
	loop_defer(loop, &work);
	loop_free_later(loop, doomed);
	loop_free_later(loop, NULL);
	size_t live = m.live;
	turn();
	ck_assert_uint_eq(m.live, live - 1);
}
END_TEST

START_TEST(free_later_takes_any_number_with_and_without_memory)
{
	void *p[1000];
	for (int i = 0; i < 1000; i++)
		p[i] = mem_alloc(&m.mem, LOOP_FREE_MIN);
	size_t live = m.live;
	for (int i = 0; i < 1000; i++) {
		if (i == 100) {
			m.fail_at = m.calls + 1;
			m.sticky = 1;
		}
		loop_free_later(loop, p[i]);
	}
	ck_assert(m.failed);
	m.fail_at = 0;
	turn();
	ck_assert_uint_eq(m.live, live - 1000 + 1);
}
END_TEST

START_TEST(loop_free_lets_go_of_work_and_timers)
{
	struct job j = {.runs = 0};
	struct shot s = {.timer.fire = on_fire};
	struct unit_mem mm;
	unit_mem_init(&mm);
	struct loop *l = loop_new(&mm.mem);
	loop_work_init(&j.work, on_work);
	loop_defer(l, &j.work);
	ck_assert_int_eq(loop_timer_set(l, &s.timer, CLOCK_NEVER), 0);
	loop_free_later(l, mem_alloc(&mm.mem, LOOP_FREE_MIN));
	loop_free(l);
	loop_free(NULL);
	loop_cancel(&j.work); /* must not reach into the loop */
	ck_assert(!timer_is_set(&s.timer));
	ck_assert_uint_eq(j.runs, 0);
	ck_assert_uint_eq(mm.live, 0);
}
END_TEST

static void on_stop(struct timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

START_TEST(run_ends_with_stop)
{
	struct timer t = {.fire = on_stop};
	ck_assert_int_eq(loop_timer_set(loop, &t, clock_now() + CLOCK_MS), 0);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert(!timer_is_set(&t));
}
END_TEST

START_TEST(case_39_every_allocation_fails_in_turn)
{
	for (size_t at = 1;; at++) {
		struct unit_mem mm;
		struct timer t = {.fire = on_fire};
		unit_mem_init(&mm);
		mm.fail_at = at;
		errno = 0;
		struct loop *l = loop_new(&mm.mem);
		if (l == NULL) {
			ck_assert_int_eq(errno, ENOMEM);
		} else {
			int rc = loop_timer_set(l, &t, CLOCK_NEVER);
			ck_assert_int_eq(rc, mm.failed ? ERR_NOMEM : 0);
			loop_free(l);
		}
		ck_assert_uint_eq(mm.live, 0);
		if (!mm.failed)
			return;
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("loop");
	TCase *t = tcase_create("loop");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, readiness_is_sticky_and_edges_call_once);
	tcase_add_test(t, event_for_a_descriptor_closed_in_the_same_turn_is_dropped);
	tcase_add_test(t, event_of_the_old_descriptor_does_not_reach_its_successor);
	tcase_add_test(t, memory_freed_in_the_turn_meets_no_event);
	tcase_add_test(t, again_calls_once_in_the_next_turn);
	tcase_add_test(t, again_does_not_wait);
	tcase_add_test(t, removed_descriptor_stays_open_and_silent);
	tcase_add_test(t, handed_over_to_another_owner);
	tcase_add_test(t, handed_over_and_not_taken);
	tcase_add_test(t, handed_over_and_closed);
	tcase_add_test(t, watch_is_level_triggered);
	tcase_add_test(t, bad_descriptor_is_refused);
	tcase_add_test(t, timers_fire_in_order_and_not_early);
	tcase_add_test(t, a_timer_wakes_the_loop_in_one_turn);
	tcase_add_test(t, a_turn_ends_at_its_deadline);
	tcase_add_test(t, work_runs_once_at_the_end_of_the_turn);
	tcase_add_test(t, memory_given_to_free_later_is_readable_to_the_end_of_the_turn);
	tcase_add_test(t, free_later_takes_any_number_with_and_without_memory);
	tcase_add_test(t, loop_free_lets_go_of_work_and_timers);
	tcase_add_test(t, run_ends_with_stop);
	tcase_add_test(t, case_39_every_allocation_fails_in_turn);
	suite_add_tcase(s, t);
	return unit_main(s);
}
