#include "bus/stats.h"

#include "wire/wire.h"

#include <assert.h>
#include <stddef.h>

/* One row a reason, in the order of its enum. */
#define CHECK_ROWS(table, n)                                                                       \
	_Static_assert(sizeof(table) / sizeof *(table) == (n), "a label for each of its enum")

const char *stats_refusal_label(enum stats_refusal why)
{
	static const char *const label[] = {"max_sessions", "memory", "not_allowed", "nobody",
		"peers_full", "no_link", "no_stream", "backend_refused", "backend_unreachable",
		"backend_timed_out", "hops_spent", "given_up", "drained", "no_resources"};
	CHECK_ROWS(label, STATS_REFUSALS);
	return label[why];
}

const char *stats_end_label(enum stats_end how)
{
	static const char *const label[] = {"clean", "local_reset", "remote_reset",
		"backend_failed", "refused_by_peer", "link_lost", "idle", "latch_lost", "slow",
		"member_lost", "memory", "drained", "failed"};
	CHECK_ROWS(label, STATS_ENDS);
	return label[how];
}

const char *stats_closed_label(enum stats_closed how)
{
	static const char *const label[] = {"clean", "lost", "timed_out", "protocol", "flood",
		"bad_record", "expired", "unwelcome", "failed", "exit"};
	CHECK_ROWS(label, STATS_CLOSED);
	return label[how];
}

const char *stats_dial_label(enum stats_dial why)
{
	static const char *const label[] = {"name", "connect", "handshake", "hello", "failed"};
	CHECK_ROWS(label, STATS_DIALS);
	return label[why];
}

const char *stats_handshake_label(enum stats_handshake how)
{
	static const char *const label[] = {"ok", "stranger", "late", "broken", "unwelcome",
		"paused", "timed_out", "lost", "failed"};
	CHECK_ROWS(label, STATS_SHAKES);
	return label[how];
}

const char *stats_away_label(enum stats_away why)
{
	static const char *const label[] = {"transports", "node", "paused", "source", "crowded",
		"queue", "waited", "lot", "replaced", "failed"};
	CHECK_ROWS(label, STATS_AWAYS);
	return label[why];
}

const char *stats_accept_label(enum stats_accept why)
{
	static const char *const label[] = {"descriptors", "memory", "other"};
	CHECK_ROWS(label, STATS_ACCEPTS);
	return label[why];
}

const char *stats_result_label(enum stats_result how)
{
	static const char *const label[] = {"ok", "failed"};
	CHECK_ROWS(label, STATS_RESULTS);
	return label[how];
}

const char *stats_side_label(enum stats_side side)
{
	static const char *const label[] = {"dialled", "accepted"};
	CHECK_ROWS(label, STATS_SIDES);
	return label[side];
}

enum stats_end stats_end_by_peer(uint32_t code)
{
	switch (code) {
	case WIRE_OK:
	case WIRE_ABORTED:
		return STATS_REMOTE_RESET;
	case WIRE_REFUSED:
	case WIRE_UNREACHABLE:
	case WIRE_TIMED_OUT:
		return STATS_BACKEND_FAILED;
	case WIRE_LATCHED:
		return STATS_LATCH_LOST;
	case WIRE_SLOW:
		return STATS_SLOW;
	case WIRE_IDLE:
		return STATS_IDLE;
	case WIRE_DRAINING:
		return STATS_CUT;
	case WIRE_LINK_LOST:
		return STATS_LINK_LOST;
	default:
		return STATS_REFUSED_BY_PEER;
	}
}

enum stats_closed stats_closed_by_failure(uint32_t code)
{
	switch (code) {
	case WIRE_TIMED_OUT:
		return STATS_CLOSED_TIMED_OUT;
	case WIRE_FLOOD:
		return STATS_CLOSED_FLOOD;
	case WIRE_INTERNAL:
		return STATS_CLOSED_FAILED;
	case WIRE_EXPIRED:
		return STATS_CLOSED_EXPIRED;
	case WIRE_REVOKED:
		return STATS_CLOSED_UNWELCOME;
	default:
		return STATS_CLOSED_PROTOCOL;
	}
}

enum stats_refusal stats_refusal_by_backend(uint32_t code)
{
	switch (code) {
	case WIRE_REFUSED:
		return STATS_BACKEND_REFUSED;
	case WIRE_TIMED_OUT:
		return STATS_BACKEND_TIMED_OUT;
	case WIRE_INTERNAL:
		return STATS_NO_RESOURCES;
	default:
		return STATS_BACKEND_UNREACHABLE;
	}
}
