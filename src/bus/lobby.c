#include "bus/lobby.h"

#include "base/err.h"
#include "base/log.h"
#include "bus/guard.h"
#include "bus/handshake.h"
#include "bus/say.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct visitor {
	struct handshake handshake;
	struct list node; /* in one of the lobby's lists */
	struct list lot;  /* of its source, while it is unproven */
	struct lobby *lobby;
	struct lobby_host *host;
	struct doorman_source *source;
	struct addr peer;
	int fd; /* while it waits; else -1 */
	struct timer patience;
	uint64_t deadline;
	bool proven;
};

/* --- the log -------------------------------------------------------------------------------- */

/* Anybody can cause these lines, as often as they like. */
static void complain(struct lobby *lobby, const struct addr *peer, const char *why)
{
	char more[CHATTER_ROOM];
	if (chatter_may(&lobby->chatter, CHATTER_LINES, bus_now(lobby->bus), more))
		log_warning("transport from %s refused: %s%s", say_where(peer, true), why, more);
}

/* It has seen our token, and gone: said once where it is known that nothing else can come of it. */
static void complain_of_leaving(struct lobby *lobby, const struct addr *peer, const char *guess)
{
	char why[WHY_MAX];
	if (!guard_knows_why(lobby->bus, why))
		complain(lobby, peer, guess);
	else if (why[0] != '\0')
		complain(lobby, peer, why);
	else
		log_debug("transport from %s: gone when it had this node's token",
			say_where(peer, true));
}

/* It is turned away, whatever its handshake was going to be. */
static void turn_away(struct lobby *lobby, const struct addr *peer, enum stats_away why)
{
	static const char *const words[STATS_AWAYS] = {
		[STATS_AWAY_PAUSED] = "its address has a pause, for what it sent before",
		[STATS_AWAY_SOURCE] = "its address has too many handshakes under way",
		[STATS_AWAY_CROWDED] = "too many handshakes are under way",
		[STATS_AWAY_QUEUE] = "too many wait for their handshake",
		[STATS_AWAY_WAITED] = "it waited too long behind other handshakes of its address",
		[STATS_AWAY_LOT] = "too many strangers; it was drawn by lot",
		[STATS_AWAY_REPLACED] = "others came from its address, and it had said nothing; it "
					"was drawn by lot",
		[STATS_AWAY_FAILED] = "out of memory",
	};
	lobby->bus->stats.away[why]++;
	complain(lobby, peer, words[why]);
}

/* --- visitors -------------------------------------------------------------------------------- */

static void let_go(struct visitor *v)
{
	struct loop *loop = v->lobby->bus->loop;
	list_remove(&v->node);
	loop_timer_stop(loop, &v->patience);
	/* A place is free: somebody may wait for it. */
	if (!list_empty(&v->lobby->waiting))
		loop_defer(loop, &v->lobby->call);
	loop_free_later(loop, v);
}

/* Its handshake is over.  The source may be gone after this, and the list in it. */
static void leave(struct visitor *v, enum doorman_end how)
{
	struct lobby *lobby = v->lobby;
	list_remove(&v->lot);
	doorman_leave(&lobby->doorman, v->source, how, bus_now(lobby->bus));
}

static void on_proven(struct handshake *h)
{
	struct visitor *v = container_of(h, struct visitor, handshake);
	v->proven = true;
	doorman_prove(&v->lobby->doorman, v->source);
	list_remove(&v->lot);
	list_remove(&v->node);
	list_append(&v->lobby->proven, &v->node);
}

/* Finds it a place among the guests.  If there is none it is gone. */
static bool seat(struct visitor *v, struct lobby_guest *guest)
{
	struct lobby *lobby = v->lobby;
	char why[WHY_MAX];
	int rc = census_enter(
		&lobby->census, secure_peer_key(guest->secure), v->host->at, &guest->seat.peer);
	if (rc == 0) {
		guest->seat.source = v->source;
		doorman_up(&lobby->doorman, v->source);
		return true;
	}
	(void)snprintf(why, sizeof why, "%s has %d transports to this address already",
		secure_peer_name(guest->secure), CENSUS_OF_PEER);
	lobby->bus->stats.away[rc == ERR_LIMIT ? STATS_AWAY_NODE : STATS_AWAY_FAILED]++;
	complain(lobby, &v->peer, rc == ERR_LIMIT ? why : err_text(rc));
	secure_free(guest->secure);
	(void)close(guest->fd); /* with SO_LINGER {1, 0}: a reset */
	return false;
}

static void on_done(struct handshake *h, const struct handshake_result *r)
{
	struct visitor *v = container_of(h, struct visitor, handshake);
	struct lobby *lobby = v->lobby;
	struct doorman *d = &lobby->doorman;
	uint64_t now = bus_now(lobby->bus);
	enum doorman_end how = v->proven                     ? DOORMAN_PROVEN
			       : r->fault == SECURE_STRANGER ? DOORMAN_STRANGER
							     : DOORMAN_UNPROVEN;
	if (r->err != 0) {
		if (r->fault == SECURE_UNWELCOME)
			doorman_key_failed(d, r->key, now);
		if (r->left)
			complain_of_leaving(lobby, &v->peer, r->why);
		else
			complain(lobby, &v->peer, r->why);
		leave(v, how);
		let_go(v);
		return;
	}
	doorman_key_passed(d, r->key);
	struct lobby_guest guest = {.fd = r->fd, .secure = r->secure, .peer = &v->peer};
	if (seat(v, &guest))
		v->host->welcome(v->host, &guest);
	leave(v, how);
	let_go(v);
}

/* --- lots ----------------------------------------------------------------------------------- */

/* One of the n in a list. */
static struct list *draw(struct lobby *lobby, const struct list *all, unsigned n)
{
	struct list *node = all->next;
	for (uint64_t lot = bus_jitter(lobby->bus, n); lot > 0; lot--)
		node = node->next;
	assert(node != all);
	return node;
}

/*
 * It has not shown a MAC, and is to leave; unless what has come from it by now shows one, as
 * many may have been accepted before any of them was read.
 */
static void drop(struct visitor *v, enum stats_away why)
{
	struct lobby *lobby = v->lobby;
	handshake_look(&v->handshake);
	if (v->proven || !handshake_is_busy(&v->handshake))
		return;
	handshake_cancel(&v->handshake);
	turn_away(lobby, &v->peer, why);
	leave(v, DOORMAN_UNPROVEN);
	let_go(v);
}

/* Of all who have not shown a MAC there is one less after this. */
static void thin_out(struct lobby *lobby)
{
	struct list *node = draw(lobby, &lobby->unproven, lobby->doorman.unproven);
	drop(container_of(node, struct visitor, node), STATS_AWAY_LOT);
}

/* Of those of a source there is one less after this. */
static void make_room(struct lobby *lobby, struct doorman_source *source)
{
	struct list *node = draw(lobby, &source->lots, source->unproven);
	drop(container_of(node, struct visitor, lot), STATS_AWAY_REPLACED);
}

/* --- who comes in --------------------------------------------------------------------------- */

/* The doorman lets it in. */
static void begin(struct visitor *v, int fd)
{
	struct lobby *lobby = v->lobby;
	struct handshake_options opt = {.fd = fd,
		.side = NOISE_RESPONDER,
		.peer = v->host->peer,
		.door = &lobby->door,
		.deadline = v->deadline,
		.proven = on_proven,
		.done = on_done};
	loop_timer_stop(lobby->bus->loop, &v->patience);
	list_remove(&v->node);
	list_append(&lobby->unproven, &v->node);
	list_append(&v->source->lots, &v->lot);
	int rc = handshake_start(&v->handshake, lobby->bus, &opt);
	if (rc != 0) {
		lobby->bus->stats.away[STATS_AWAY_FAILED]++;
		complain(lobby, &v->peer, rc == ERR_SYS ? strerror(errno) : err_text(rc));
		leave(v, DOORMAN_UNPROVEN);
		let_go(v);
		return;
	}
	if (doorman_is_crowded(&lobby->doorman))
		thin_out(lobby);
}

/* --- the queue ----------------------------------------------------------------------------------
 */

static void give_up(struct visitor *v)
{
	struct doorman_source *source = v->source;
	(void)close(v->fd);
	doorman_give_up(&v->lobby->doorman, source);
	let_go(v);
}

static void on_patience(struct timer *timer)
{
	struct visitor *v = container_of(timer, struct visitor, patience);
	turn_away(v->lobby, &v->peer, STATS_AWAY_WAITED);
	give_up(v);
}

static void on_call(struct loop_work *work)
{
	struct lobby *lobby = container_of(work, struct lobby, call);
	list_each_safe (node, &lobby->waiting) {
		struct visitor *v = container_of(node, struct visitor, node);
		enum doorman_answer answer;
		while ((answer = doorman_call(&lobby->doorman, v->source)) == DOORMAN_REPLACE)
			make_room(lobby, v->source);
		if (answer != DOORMAN_ENTER)
			continue;
		int fd = v->fd;
		v->fd = -1;
		begin(v, fd);
	}
}

static bool wait_in_queue(struct visitor *v, int fd)
{
	struct lobby *lobby = v->lobby;
	v->fd = fd;
	list_append(&lobby->waiting, &v->node);
	return loop_timer_set(lobby->bus->loop, &v->patience, v->deadline) == 0;
}

/* As doorman_arrive(), but that it makes room where that is asked for. */
static enum doorman_answer arrive(struct lobby *lobby, const struct addr *peer,
	struct doorman_source **source, enum stats_away *why)
{
	enum doorman_answer answer;
	while ((answer = doorman_arrive(&lobby->doorman, peer, bus_now(lobby->bus), source, why)) ==
		DOORMAN_REPLACE)
		make_room(lobby, *source);
	return answer;
}

void lobby_enter(struct lobby *lobby, struct lobby_host *host, int fd, const struct addr *peer)
{
	struct bus *bus = lobby->bus;
	enum stats_away why = STATS_AWAY_FAILED;
	struct doorman_source *source;
	struct visitor *v = mem_zalloc(bus->mem, sizeof *v);
	enum doorman_answer answer = DOORMAN_REFUSE;
	if (v != NULL)
		answer = arrive(lobby, peer, &source, &why);
	if (answer == DOORMAN_REFUSE) {
		turn_away(lobby, peer, why);
		(void)close(fd); /* with SO_LINGER {1, 0}: a reset */
		mem_free(bus->mem, v);
		return;
	}
	list_init(&v->node);
	list_init(&v->lot);
	v->lobby = lobby;
	v->host = host;
	v->source = source;
	v->peer = *peer;
	v->fd = -1;
	v->patience.fire = on_patience;
	v->deadline = bus_now(bus) + DOORMAN_HANDSHAKE;
	if (answer == DOORMAN_ENTER) {
		begin(v, fd);
	} else if (!wait_in_queue(v, fd)) {
		turn_away(lobby, peer, STATS_AWAY_FAILED);
		give_up(v);
	}
}

/* --- life
 * ----------------------------------------------------------------------------------------- */

static bool knows_no_harm(void *ctx, const uint8_t key[static KEYFILE_KEY])
{
	struct lobby *lobby = ctx;
	return doorman_knows_no_harm(&lobby->doorman, key, bus_now(lobby->bus));
}

void lobby_init(struct lobby *lobby, struct bus *bus)
{
	*lobby = (struct lobby){.bus = bus, .door = {knows_no_harm, lobby}};
	doorman_init(&lobby->doorman, bus->mem, bus->seed);
	census_init(&lobby->census, bus->mem, bus->seed);
	list_init(&lobby->unproven);
	list_init(&lobby->proven);
	list_init(&lobby->waiting);
	loop_work_init(&lobby->call, on_call);
}

/* Of any host where it is NULL. */
static void clear(struct list *visitors, const struct lobby_host *host)
{
	list_each_safe (node, visitors) {
		struct visitor *v = container_of(node, struct visitor, node);
		if (host != NULL && v->host != host)
			continue;
		if (v->fd >= 0) {
			give_up(v);
			continue;
		}
		handshake_cancel(&v->handshake);
		leave(v, v->proven ? DOORMAN_PROVEN : DOORMAN_UNPROVEN);
		let_go(v);
	}
}

void lobby_close(struct lobby *lobby, const struct lobby_host *host)
{
	clear(&lobby->waiting, host);
	clear(&lobby->unproven, host);
	clear(&lobby->proven, host);
}

void lobby_fini(struct lobby *lobby)
{
	lobby_close(lobby, NULL);
	loop_cancel(&lobby->call);
	doorman_fini(&lobby->doorman);
	census_fini(&lobby->census);
}

void lobby_farewell(struct lobby *lobby, const struct lobby_seat *seat)
{
	if (seat->source == NULL)
		return;
	census_leave(&lobby->census, seat->peer);
	doorman_down(&lobby->doorman, seat->source);
	if (!list_empty(&lobby->waiting))
		loop_defer(lobby->bus->loop, &lobby->call);
}
