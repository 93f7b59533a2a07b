#include "session/budget.h"

#include "base/clock.h"
#include "base/err.h"

/*
 * Points come back in steps that are whole in both points and microseconds, so
 * that nothing is rounded, however often it is asked.
 */
enum { STEP_POINTS = 64 };
#define STEP_TIME (STEP_POINTS * CLOCK_SEC / BUDGET_PER_SEC)
_Static_assert(STEP_POINTS *CLOCK_SEC % BUDGET_PER_SEC == 0, "a step is not whole");

void budget_init(struct budget *b, uint64_t now)
{
	*b = (struct budget){.since = now, .points = BUDGET_POINTS};
}

static void give_back(struct budget *b, uint64_t now)
{
	uint64_t steps = (now - b->since) / STEP_TIME;
	b->since += steps * STEP_TIME;
	if (steps >= BUDGET_POINTS / STEP_POINTS)
		b->points = BUDGET_POINTS;
	else
		b->points += (uint32_t)steps * STEP_POINTS;
	if (b->points > BUDGET_POINTS)
		b->points = BUDGET_POINTS;
}

int budget_spend(struct budget *b, uint64_t now, uint32_t points)
{
	give_back(b, now);
	if (b->points < points)
		return ERR_LIMIT;
	b->points -= points;
	return 0;
}

void budget_ended(struct budget *b)
{
	b->late += BUDGET_LATE;
	if (b->late > BUDGET_LATE_MAX)
		b->late = BUDGET_LATE_MAX;
}

int budget_late(struct budget *b, uint64_t now)
{
	if (b->late == 0)
		return budget_spend(b, now, 1);
	b->late--;
	return 0;
}
