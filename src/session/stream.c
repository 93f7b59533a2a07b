#include "session/stream.h"

#include "base/log.h"

#include <assert.h>

enum stream_verdict stream_check(enum stream_phase phase, enum wire_type type)
{
	/* Frames not named are fatal. */
	static const uint8_t table[STREAM_PHASES][WIRE_TYPES] = {
		[STREAM_PHASE_NEW] = {[WIRE_OPEN] = STREAM_TAKE},
		[STREAM_PHASE_NEVER] = {[WIRE_OPEN] = STREAM_FATAL},
		[STREAM_PHASE_GONE] = {[WIRE_RESET] = STREAM_DROP, [WIRE_CREDIT] = STREAM_DROP},
		[STREAM_PHASE_OPEN] = {[WIRE_DATA] = STREAM_TAKE,
			[WIRE_RESET] = STREAM_TAKE,
			[WIRE_CREDIT] = STREAM_TAKE},
		[STREAM_PHASE_ENDED] = {[WIRE_RESET] = STREAM_TAKE, [WIRE_CREDIT] = STREAM_TAKE},
		[STREAM_PHASE_ABORTED] = {[WIRE_OPEN] = STREAM_FATAL},
		[STREAM_PHASE_REFUSED] = {[WIRE_DATA] = STREAM_TAKE,
			[WIRE_RESET] = STREAM_TAKE,
			[WIRE_CREDIT] = STREAM_TAKE},
	};
	return (enum stream_verdict)table[phase][type];
}

enum stream_phase stream_phase(const struct mux_stream *s)
{
	if (s->slots & STREAM_SLOT_OPEN)
		return STREAM_PHASE_NEVER;
	if (s->rx == STREAM_RESET)
		return STREAM_PHASE_ABORTED;
	if (s->rx == STREAM_FIN)
		return STREAM_PHASE_ENDED;
	return s->tx == STREAM_RESET ? STREAM_PHASE_REFUSED : STREAM_PHASE_OPEN;
}

static const char *half_name(enum stream_half half)
{
	static const char *const names[] = {"open", "fin", "reset"};
	return names[half];
}

/* A half only closes, once; but RESET may follow FIN, to give up the other half too. */
static void set_half(
	const struct mux_stream *s, uint8_t *half, enum stream_half to, const char *which)
{
	assert(to != STREAM_OPEN);
	assert(*half == STREAM_OPEN || (*half == STREAM_FIN && to == STREAM_RESET));
	log_debug("stream %u %s: %s to %s", s->id, which, half_name((enum stream_half) * half),
		half_name(to));
	*half = (uint8_t)to;
}

void stream_set_tx(struct mux_stream *s, enum stream_half to)
{
	set_half(s, &s->tx, to, "tx");
}

void stream_set_rx(struct mux_stream *s, enum stream_half to)
{
	set_half(s, &s->rx, to, "rx");
}

bool stream_is_closed(const struct mux_stream *s)
{
	return s->tx != STREAM_OPEN && s->rx != STREAM_OPEN;
}
