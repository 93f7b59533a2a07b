#include "unit/patient.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MICRO = 1000000 };

static struct {
	pid_t pid; /* whose processor time `cpu` is; 0: not begun */
	uint64_t cpu;
	uint64_t ran, slept;
	uint64_t monotonic, wall; /* of the machine, when it began */
} now;

/* The machine's own, in microseconds. */
static uint64_t machine(clockid_t id)
{
	struct timespec ts;
	(void)syscall(SYS_clock_gettime, id, &ts);
	return (uint64_t)ts.tv_sec * MICRO + (uint64_t)ts.tv_nsec / 1000;
}

static void look(void)
{
	uint64_t cpu = machine(CLOCK_PROCESS_CPUTIME_ID);
	pid_t pid = getpid();
	if (now.pid == 0) {
		now.monotonic = machine(CLOCK_MONOTONIC);
		now.wall = machine(CLOCK_REALTIME);
	}
	if (now.pid == pid) /* a child begins with none */
		now.ran += cpu - now.cpu < PATIENT_STEP ? cpu - now.cpu : PATIENT_STEP;
	now.pid = pid;
	now.cpu = cpu;
}

uint64_t patient_ran(void)
{
	look();
	return now.ran;
}

uint64_t patient_slept(void)
{
	return now.slept;
}

/* In place of the C library's, for libraries too. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	bool wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
	if (!wall && id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE && id != CLOCK_BOOTTIME)
		return (int)syscall(SYS_clock_gettime, id, ts);
	uint64_t passed = patient_ran() + now.slept;
	uint64_t at = (wall ? now.wall : now.monotonic) + passed;
	*ts = (struct timespec){
		.tv_sec = (time_t)(at / MICRO), .tv_nsec = (long)(at % MICRO) * 1000};
	return 0;
}

static int wait_for(int epfd, struct epoll_event *events, int most, int ms)
{
	return (int)syscall(SYS_epoll_pwait, epfd, events, most, ms, NULL, 0);
}

int epoll_wait(int epfd, struct epoll_event *events, int most, int ms)
{
	int n = wait_for(epfd, events, most, 0);
	if (n != 0 || ms == 0)
		return n;
	uint64_t began = machine(CLOCK_MONOTONIC);
	n = wait_for(epfd, events, most, ms);
	if (n == 0) {
		now.slept += (uint64_t)ms * 1000;
	} else {
		uint64_t took = machine(CLOCK_MONOTONIC) - began;
		now.slept += took < PATIENT_EVENT ? took : PATIENT_EVENT;
	}
	return n;
}

static void shorten(uint32_t *time)
{
	if (*time > PATIENT_PATH && *time != UINT32_MAX) /* which is none */
		*time = PATIENT_PATH;
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict n)
{
	int rc = (int)syscall(SYS_getsockopt, fd, level, name, value, n);
	struct tcp_info *info = value;
	if (rc == 0 && level == IPPROTO_TCP && name == TCP_INFO &&
		*n >= offsetof(struct tcp_info, tcpi_min_rtt) + sizeof info->tcpi_min_rtt) {
		shorten(&info->tcpi_rtt);
		shorten(&info->tcpi_min_rtt);
	}
	return rc;
}
