#include "session/mux_impl.h"

static uint64_t id_hash(const struct mux *m, uint32_t id)
{
	return hash_u64(id, m->opt.seed);
}

struct mux_stream *mux_impl_find(const struct mux *m, uint32_t id)
{
	/* hash_u64 is a bijection: equal hashes are equal ids. */
	struct hash_node *n = hash_find(&m->table, id_hash(m, id));
	return n == NULL ? NULL : container_of(n, struct mux_stream, node);
}

struct mux_stream *mux_impl_add(struct mux *m, uint32_t id, bool ours)
{
	struct mux_stream *s = mem_zalloc(m->mem, sizeof *s);
	if (s == NULL)
		return NULL;
	if (hash_add(&m->table, &s->node, id_hash(m, id)) != 0) {
		mem_free(m->mem, s);
		return NULL;
	}
	s->mux = m;
	s->id = id;
	s->ours = ours;
	s->tabled = true;
	sched_item_init(&s->sched);
	list_init(&s->control);
	list_append(&m->all, &s->all);
	*(ours ? &m->ours : &m->theirs) += 1;
	return s;
}

void mux_impl_free(struct mux_stream *s)
{
	mem_free(s->mux->mem, s->open);
	mem_free(s->mux->mem, s);
}

void mux_impl_slot(struct mux_stream *s, enum stream_slot slot)
{
	if (!s->tabled)
		return;
	s->slots |= (uint8_t)slot;
	if (list_empty(&s->control))
		list_append(
			slot == STREAM_SLOT_OPEN ? &s->mux->opens : &s->mux->control, &s->control);
}

void mux_impl_unslot(struct mux_stream *s, enum stream_slot slot)
{
	s->slots &= (uint8_t) ~(unsigned)slot;
	if (s->slots == 0)
		list_remove(&s->control);
}

static void untable(struct mux_stream *s, uint64_t now)
{
	struct mux *m = s->mux;
	hash_remove(&m->table, &s->node);
	*(s->ours ? &m->ours : &m->theirs) -= 1;
	s->tabled = false;
	s->slots = 0;
	list_remove(&s->control);
	sched_remove(&m->sched, &s->sched, now);
	budget_ended(&m->budget);
	if (s->released)
		mux_impl_free(s);
}

void mux_impl_retire(struct mux_stream *s, uint64_t now)
{
	if (s->tabled && stream_is_closed(s))
		untable(s, now);
}

void mux_impl_schedule(struct mux_stream *s, uint64_t now)
{
	bool may = s->wants && s->tabled && s->tx == STREAM_OPEN &&
		   !(s->slots & STREAM_SLOT_RESET) && credit_tx_left(&s->tx_credit) > 0;
	if (may)
		sched_add(&s->mux->sched, &s->sched, now);
	else
		sched_remove(&s->mux->sched, &s->sched, now);
}

void mux_impl_aborted(struct mux_stream *s, uint32_t code, uint64_t now)
{
	stream_set_rx(s, STREAM_RESET);
	mux_impl_give_up(s, code, now);
}

void mux_impl_ended(struct mux_stream *s, uint64_t now)
{
	stream_set_rx(s, STREAM_FIN);
	mux_impl_unslot(s, STREAM_SLOT_CREDIT);
	mux_impl_retire(s, now);
}

void mux_impl_give_up(struct mux_stream *s, uint32_t code, uint64_t now)
{
	if (!s->tabled)
		return;
	if (s->slots & STREAM_SLOT_OPEN) {
		untable(s, now); /* its OPEN never left: the peer need not know */
		return;
	}
	mux_impl_unslot(s, STREAM_SLOT_CREDIT);
	sched_remove(&s->mux->sched, &s->sched, now);
	bool due = !stream_is_closed(s) && s->tx != STREAM_RESET;
	if (due && !(s->slots & STREAM_SLOT_RESET)) {
		s->code = code;
		mux_impl_slot(s, STREAM_SLOT_RESET);
	}
	mux_impl_retire(s, now);
}
