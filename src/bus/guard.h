/*
 * guard - the keys and the token of a node with secured links, and the watch over all tokens.
 *
 * One a process whose configuration names trust, identity and token.  It takes fresh files,
 * warns of its own token's end, and sees to it that each peer is looked at in time (vouch.h).
 * Times in tokens are held against the wall clock, which is looked at anew every
 * GUARD_INTERVAL at most, so that a clock that was set counts soon.  What a peer may open is
 * asked of permit.h.
 */
#ifndef CB_BUS_GUARD_H
#define CB_BUS_GUARD_H

#include "bus/keyring.h"
#include "bus/lobby.h"
#include "bus/transport.h"

#define GUARD_INTERVAL (10 * CLOCK_SEC) /* between two looks at all tokens */
enum {
	GUARD_LOOK_MAX = 3600,   /* seconds between two looks for a fresh token, */
	GUARD_LOOK_EXPIRED = 10, /* and when the one in force does not count */
};

struct guard {
	struct bus *bus;
	struct keyring keyring;
	struct keyset *next; /* loaded, of a configuration that is being prepared */
	struct lobby lobby;
	struct timer timer;
	struct generation *generation; /* whose paths these are; NULL: at the start */
	int64_t loaded;                /* when the token in force came, seconds since 1970 */
	int64_t look;                  /* when to look at its file next */
	int64_t warned;                /* when its end was last warned of; 0: never */
	uint64_t complaint; /* the last look for a fresh token that failed, by its words; 0: none */
	bool out_of_time;   /* the token in force has expired, or is not valid yet, and said so */
	uint64_t confessed; /* what is wrong with our token, as last told of a peer that left; 0 */
	bool told;          /* a peer has said that it has expired */
	bool revoked;       /* by our own list, and said so */
	bool unlocked;      /* keys are, and said so */
};

/* The files that a configuration names, at this time, without a seed. */
struct credentials_source guard_source(const struct conf *conf, struct mem *mem);

/*
 * Loads the files that a configuration names, which must live until guard_use() or
 * guard_free().  0 and *out, which is bus->guard too; or an error with why: ERR_INVALID and
 * the like are the files', ERR_NOMEM, ERR_SYS.
 *
 * A token that has expired, or is not valid yet by the clock, is an error of none: only time, or
 * a fresh one, mends that, so it is said, and all is as where that comes over a running node.
 */
int guard_new(
	struct guard **out, struct bus *bus, const struct conf *conf, char why[static WHY_MAX]);

/*
 * Loads the keys that another configuration names, all of them, and looks at its list, where that
 * is another one: guard_use() or guard_abandon() follows.  0, or as guard_new(), but that a token
 * which does not count now is an error, unless it is the present one.
 */
int guard_prepare(struct guard *g, const struct conf *conf, char why[static WHY_MAX]);

/* It is not used. */
void guard_abandon(struct guard *g);

/*
 * The bus's present configuration is the one that was prepared: guard_reload() is to take what was
 * loaded, and from then on those are the files.
 */
void guard_use(struct guard *g);

/* Warns of services that the bus's configuration has and our token does not allow. */
void guard_check_services(const struct guard *g);

/* Nobody is in its lobby, and every transport is gone.  NULL does nothing. */
void guard_free(struct guard *g);

/*
 * Loads the files again, or takes those of guard_use(), tells the peers of a fresh token, and
 * judges every peer anew. A file that is bad is logged, and what it is part of stays as it was:
 * trust, identity and token, or the revocation list.
 */
void guard_reload(struct guard *g);

/*
 * Loads the revocation list again, and nothing else: who is on it goes.  Likewise.  `refused`: a
 * configuration that is not put in force; the list that it names counts too, until another is.
 * Or NULL.
 */
void guard_reload_list(struct guard *g, const struct conf *refused);

/* What the peers of this node must be: controllers of a segment, segments of a controller. */
enum token_role guard_peer_role(const struct bus *bus);

/*
 * Whether our token is worth a handshake now; if not, that is said once, and
 * dialer_queue_release() called when it is.  The bus has a guard.
 */
bool guard_may_dial(struct bus *bus);

/* A peer goes away because a token has expired: ours, if that may be. */
void guard_hears_of_end(struct bus *bus);

/*
 * Whether this node knows what is wrong with its own token, which a peer has seen and then gone:
 * then why has it, with what to do, the first time, and is empty as long as it stays the same.
 */
bool guard_knows_why(struct bus *bus, char why[static WHY_MAX]);

/* A secured transport is ready: the peer gets our token if it is not the one it has. */
void guard_ready(struct transport *t);

/*
 * The time that a peer whose token had expired was given is over: it is looked at once more, as a
 * clock may have been set since.
 */
void guard_look_again(struct transport *t);

/* The peer's fresh token came.  Whether it is in force now, in the place of another. */
bool guard_renew(struct transport *t, const uint8_t *text, size_t n);

#endif
