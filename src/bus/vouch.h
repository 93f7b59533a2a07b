/*
 * vouch - the tokens by which the two ends of a secured transport know each other, as time
 * goes by.
 *
 * A peer whose token has expired is told to go, and may finish what runs; one that is revoked,
 * or not believed any more, goes at once.  It is told of our fresh token, and its own is taken
 * in the place of the old one.  Who has another key, name or customer cannot go on with
 * the link that is there: the side that has dialled it makes it anew.
 *
 * On a transport that is not secured nothing happens.  Times are seconds since 1970.  Only
 * for guard, who owns the keys and decides when.
 */
#ifndef CB_BUS_VOUCH_H
#define CB_BUS_VOUCH_H

#include "bus/keyring.h"
#include "bus/transport.h"

/* When the peer's token counts no more: it expires, and TOKEN_SKEW is over. */
int64_t vouch_until(const struct transport *t);

/* It is ready: the peer gets our token if it is not the one it has. */
void vouch_begin(struct transport *t);

/*
 * Time has passed: what the peer's token says was believed, so that only its times, and the
 * list, are looked at.  The transport may be dead behind it, here and below.
 */
void vouch_watch(struct transport *t, int64_t now);

/* Our keys, our token or the list may be others now: all is judged anew. */
void vouch_judge(struct transport *t, int64_t now);

/* The peer's fresh token came, n bytes.  Whether it is in force now, in the place of another. */
bool vouch_renew(struct transport *t, const uint8_t *text, size_t n, int64_t now);

#endif
