#include "session/budget.h"

#include "base/clock.h"
#include "base/err.h"

void budget_init(struct budget *b, uint64_t now)
{
	*b = (struct budget){.since = now, .points = BUDGET_POINTS};
}

static void give_back(struct budget *b, uint64_t now)
{
	uint64_t elapsed = now - b->since;
	if (elapsed >= BUDGET_POINTS * CLOCK_SEC / BUDGET_PER_SEC) {
		budget_init(b, now);
		return;
	}
	uint64_t points = elapsed * BUDGET_PER_SEC / CLOCK_SEC;
	if (points == 0)
		return;
	b->since += points * CLOCK_SEC / BUDGET_PER_SEC;
	b->points =
		points > BUDGET_POINTS - b->points ? BUDGET_POINTS : b->points + (uint32_t)points;
}

int budget_spend(struct budget *b, uint64_t now)
{
	give_back(b, now);
	if (b->points == 0)
		return ERR_LIMIT;
	b->points--;
	return 0;
}
