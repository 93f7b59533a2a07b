#include "bus/vouch.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/expiry.h"
#include "bus/guard.h"
#include "bus/say.h"

static const char *name_of(const struct transport *t)
{
	return secure_peer_name(t->sealed->secure);
}

int64_t vouch_until(const struct transport *t)
{
	return secure_peer(t->sealed->secure)->expires + TOKEN_SKEW;
}

/* --- the peer's token ---------------------------------------------------------------------- */

/* The peer drains, as at a shutdown, and what is left after drain_timeout is lost. */
static void expel(struct transport *t, const char *why)
{
	if (t->ending.expelled)
		return;
	say_peer(t, LOG_WARNING, "transport %s (%s): %s; running sessions may finish", name_of(t),
		say_where(&t->peer, true), why);
	ending_expel(t, bus_now(t->bus) + t->bus->conf->drain_timeout);
}

/* Its peer's token holds again: what runs is not lost. */
static void pardon(struct transport *t)
{
	if (!t->ending.expelled)
		return;
	say_peer(t, LOG_NOTICE,
		"transport %s (%s): its token is valid again; running sessions are not cut off",
		name_of(t), say_where(&t->peer, true));
	ending_pardon(t);
}

static void end_at_once(struct transport *t, const char *why)
{
	say_peer(t, LOG_WARNING, "transport %s (%s): its peer is let in no more: %s", name_of(t),
		say_where(&t->peer, true), why);
	ending_cut(t, WIRE_REVOKED, "the peer is not let in any more");
}

/* Whether it is on the list, and was ended for that: at once, even where its token has expired. */
static bool end_if_revoked(struct transport *t)
{
	const struct credentials *own = t->bus->guard->keyring.now->credentials;
	bool is = credentials_revoke(own, secure_peer(t->sealed->secure));
	if (is)
		end_at_once(t, "it is revoked");
	return is;
}

/* Only the times: what it says was believed.  And the list: there may have been no memory. */
static void watch_peer(struct transport *t, int64_t now)
{
	char why[WHY_MAX], left[EXPIRY_ROOM];
	const struct token *token = secure_peer(t->sealed->secure);
	if (end_if_revoked(t))
		return;
	if (token_check_time(token, now, why) != 0) {
		expel(t, why);
		return;
	}
	pardon(t); /* a clock was set */
	if (expiry_is_due(token, now, &t->sealed->warned))
		log_debug("transport %s (%s): its token expires %s", name_of(t),
			say_where(&t->peer, true), expiry_left(left, token->expires - now));
}

/* All that it says is judged anew, by the present keys and list. */
static void judge_anew(struct transport *t, int64_t now)
{
	char why[WHY_MAX];
	if (end_if_revoked(t))
		return;
	int rc = secure_judge(t->sealed->secure, &t->bus->guard->keyring, now, why);
	if (rc == 0)
		pardon(t);
	else if (rc == ERR_TIMEOUT || rc == ERR_AGAIN)
		expel(t, why);
	else if (rc != ERR_NOMEM)
		end_at_once(t, why);
}

/* --- ours ---------------------------------------------------------------------------------- */

static void tell(struct transport *t)
{
	const struct keyring *k = &t->bus->guard->keyring;
	size_t n;
	const char *text = secure_news(t->sealed->secure, k, &n);
	if (text != NULL && transport_token(t, text, n) == 0)
		secure_told(t->sealed->secure, k);
}

/*
 * We have another key, name or customer, to which a link that is up cannot change: it is made
 * anew, by the side that has dialled it.
 */
static void watch_identity(struct transport *t)
{
	if (t->sealed->stale || secure_is_current(t->sealed->secure, &t->bus->guard->keyring))
		return;
	t->sealed->stale = true;
	if (t->ops->worn != NULL)
		t->ops->worn(t);
}

/* --- fresh ones ---------------------------------------------------------------------------- */

/* As watch_identity(), of the peer. */
static void hears_of_another(struct transport *t)
{
	if (t->sealed->stale || t->ops->worn == NULL)
		return;
	say_peer(t, LOG_NOTICE,
		"transport %s (%s): its node has another key, name or customer now: a link made "
		"anew takes its place",
		name_of(t), say_where(&t->peer, true));
	t->sealed->stale = true;
	t->ops->worn(t);
}

bool vouch_renew(struct transport *t, const uint8_t *text, size_t n, int64_t now)
{
	char why[WHY_MAX];
	const char *addr = say_where(&t->peer, true);
	int rc = secure_renew(t->sealed->secure, &t->bus->guard->keyring, text, n, now, why);
	if (rc == 0) {
		say_peer(t, LOG_INFO, "transport %s (%s): took its fresh token", name_of(t), addr);
		t->sealed->warned = 0;
		pardon(t);
	} else if (rc == SECURE_ANOTHER) {
		hears_of_another(t);
	} else if (rc != ERR_NOTFOUND) {
		say_peer(t, LOG_WARNING,
			"transport %s (%s): its fresh token is refused, the old one stays: %s",
			name_of(t), addr, why);
	}
	return rc == 0;
}

void vouch_begin(struct transport *t)
{
	tell(t);
	watch_identity(t); /* a reload may have come during its handshake */
}

void vouch_watch(struct transport *t, int64_t now)
{
	tell(t); /* there may have been no memory for it */
	watch_peer(t, now);
}

void vouch_judge(struct transport *t, int64_t now)
{
	tell(t);
	judge_anew(t, now);
	if (!t->dead)
		watch_identity(t);
}
