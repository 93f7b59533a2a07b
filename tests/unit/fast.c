#include "unit/fast.h"

#include "base/clock.h"
#include "unit/patient.h"

#include <time.h>

static int64_t wall_ahead;

static uint64_t patient(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_SEC + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_now(void)
{
	return patient(CLOCK_MONOTONIC) + patient_slept() * (FAST_FACTOR - 1) + 1;
}

uint64_t clock_wall(void)
{
	return patient(CLOCK_REALTIME) + (uint64_t)wall_ahead * CLOCK_SEC;
}

void fast_set_wall(int64_t ahead)
{
	wall_ahead = ahead;
}
