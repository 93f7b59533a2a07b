#include "unit/unit.h"

#include "unit/patient.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int unit_main(Suite *suite)
{
	(void)patient_ran(); /* so that it is linked in */
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void *counted_resize(struct mem *mem, void *p, size_t n)
{
	struct unit_mem *m = (struct unit_mem *)mem;
	m->calls++;
	if (m->fail_at != 0 && (m->sticky ? m->calls >= m->fail_at : m->calls == m->fail_at)) {
		m->failed = 1;
		return NULL;
	}
	void *q = realloc(p, n);
	if (q == NULL)
		abort();
	if (p == NULL)
		m->live++;
	return q;
}

static void counted_release(struct mem *mem, void *p)
{
	struct unit_mem *m = (struct unit_mem *)mem;
	if (p != NULL)
		m->live--;
	free(p);
}

void unit_mem_init(struct unit_mem *m)
{
	*m = (struct unit_mem){.mem = {.resize = counted_resize, .release = counted_release}};
}

uint64_t unit_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t unit_below(uint64_t *state, uint64_t n)
{
	return unit_random(state) % n;
}

bool unit_has_ipv6(void)
{
	static enum { UNKNOWN, YES, NO } has;
	if (has == UNKNOWN) {
		struct sockaddr_in6 a = {
			.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
		int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		has = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 ? YES : NO;
		if (fd >= 0)
			(void)close(fd);
		if (has == NO)
			fprintf(stderr, "there is no IPv6 here: not tested\n");
	}
	return has == YES;
}
