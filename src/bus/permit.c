#include "bus/permit.h"

#include "base/clock.h"
#include "bus/say.h"
#include "bus/transport.h"

#include <string.h>

/* The transports are looked at only so often: between two looks a session is not to come in. */
static bool has_expired(const struct token *token)
{
	return (int64_t)(clock_wall() / CLOCK_SEC) >= token->expires + TOKEN_SKEW;
}

/* Why the one may not open the service at the other; NULL: it may. */
static const char *why_not(
	const struct token *opener, const struct token *server, const char *name, size_t n)
{
	if (has_expired(opener))
		return "the opener's token has expired";
	if (has_expired(server))
		return "the server's token has expired";
	if (strcmp(opener->customer, server->customer) != 0)
		return "they are of different customers";
	if (!token_may_open(opener, name, n))
		return "the opener's token does not let it open that";
	if (!token_may_serve(server, name, n))
		return "the server's token does not let it serve that";
	return NULL;
}

/*
 * One line with both nodes, the service and the reason.  Each is judged by the token that the other
 * has, so that both sides come to the same.
 */
static bool judge(const struct transport *t, const struct token *opener, const struct token *server,
	const char *name, size_t n)
{
	const char *why = why_not(opener, server, name, n);
	if (why != NULL)
		say_peer(t, LOG_WARNING,
			"session refused: node %s may not open [%.*s] at node %s (%s): %s",
			opener->node, (int)n, name, server->node, say_where(&t->peer, true), why);
	return why == NULL;
}

bool permit_admits(const struct transport *t, const struct wire_open *open)
{
	if (t->sealed == NULL)
		return true;
	const struct secure *s = t->sealed->secure;
	bool may = judge(t, secure_peer(s), secure_own(s), open->name, open->name_len);
	t->bus->stats.forbidden[STATS_ACCEPTED] += !may;
	return may;
}

bool permit_may_open(const struct transport *t, const char *name, size_t n)
{
	if (t->sealed == NULL)
		return true;
	const struct secure *s = t->sealed->secure;
	bool may = judge(t, secure_own(s), secure_peer(s), name, n);
	t->bus->stats.forbidden[STATS_DIALLED] += !may;
	return may;
}

bool permit_is_foreign(const struct transport *t)
{
	if (t->sealed == NULL)
		return false;
	const struct secure *s = t->sealed->secure;
	return strcmp(secure_own(s)->customer, secure_peer(s)->customer) != 0;
}

const char *permit_doubts(const struct transport *t, const char *name, size_t n)
{
	if (t->sealed == NULL)
		return NULL;
	const struct token *peer = secure_peer(t->sealed->secure);
	if (permit_is_foreign(t))
		return "they are of different customers";
	return token_may_serve(peer, name, n) ? NULL : "its token does not let it serve that";
}
