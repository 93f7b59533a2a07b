#include "session/liveness.h"

#include "base/clock.h"
#include "base/err.h"

#define RTT_PERIOD (60 * CLOCK_SEC)
enum { PINGS_PER_TIMEOUT = 3 };

void liveness_init(struct liveness *l, uint64_t timeout, uint64_t now)
{
	if (timeout > LIVENESS_TIMEOUT_MAX)
		timeout = LIVENESS_TIMEOUT_MAX;
	*l = (struct liveness){
		.timeout = timeout, .heard = now, .known = now, .asked = now, .rtt_since = now};
}

void liveness_heard(struct liveness *l, uint64_t now)
{
	l->heard = l->known = now;
}

void liveness_stirs(struct liveness *l, uint64_t now)
{
	if (now - l->known < LIVENESS_TRUST * l->timeout)
		l->heard = now;
}

bool liveness_ask(struct liveness *l, uint64_t now)
{
	if (l->outstanding)
		return false;
	l->opaque++;
	l->asked = now;
	l->unsent = true;
	l->outstanding = true;
	return true;
}

bool liveness_take(struct liveness *l, uint64_t now, uint64_t *opaque)
{
	if (!l->unsent)
		return false;
	l->unsent = false;
	l->asked = now;
	*opaque = l->opaque;
	return true;
}

uint64_t liveness_ping_after(const struct liveness *l)
{
	return l->unsent ? l->opaque : l->opaque + 1;
}

bool liveness_answer(struct liveness *l, uint64_t opaque, uint64_t now)
{
	if (!l->outstanding || l->unsent || opaque != l->opaque)
		return false;
	l->outstanding = false;
	uint64_t rtt = now - l->asked > 0 ? now - l->asked : 1;
	if (now - l->rtt_since >= RTT_PERIOD) {
		/* After a longer gap the period before this one had no answer at all. */
		l->rtt_prev = now - l->rtt_since < 2 * RTT_PERIOD ? l->rtt_cur : 0;
		l->rtt_cur = 0;
		l->rtt_since = now;
	}
	if (l->rtt_cur == 0 || rtt < l->rtt_cur)
		l->rtt_cur = rtt;
	return true;
}

uint64_t liveness_rtt(const struct liveness *l)
{
	if (l->rtt_prev == 0 || (l->rtt_cur != 0 && l->rtt_cur < l->rtt_prev))
		return l->rtt_cur;
	return l->rtt_prev;
}

/* When a quiet peer is to be asked: counted from whatever happened last. */
static uint64_t next_ping(const struct liveness *l)
{
	uint64_t last = l->heard > l->asked ? l->heard : l->asked;
	return last + l->timeout / PINGS_PER_TIMEOUT;
}

uint64_t liveness_deadline(const struct liveness *l)
{
	uint64_t dead = l->heard + l->timeout;
	if (l->outstanding)
		return dead;
	return next_ping(l) < dead ? next_ping(l) : dead;
}

int liveness_tick(struct liveness *l, uint64_t now)
{
	if (now >= l->heard + l->timeout)
		return ERR_TIMEOUT;
	if (!l->outstanding && now >= next_ping(l))
		(void)liveness_ask(l, now);
	return 0;
}
