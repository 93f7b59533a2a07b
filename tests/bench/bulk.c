#include "bulk.h"

#include "ev.h"
#include "pattern.h"
#include "server.h"
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct stream {
	struct ev ev;
	struct bulk *bulk;
	bool connected, sent_all, over, failed, corrupt;
	uint64_t seed, sent, limit;
	uint64_t received; /* down: payload; up: what the sinks' last answers sum up to */
	uint64_t finals;   /* sinks that have answered for good */
	uint64_t progress; /* of the one sink that answers in between */
	size_t have;
	unsigned char record[SERVER_RECORD];
};

struct bulk {
	const struct options *o;
	struct stream *stream;
	uint64_t start, deadline;
	uint64_t last; /* when payload was last known to have arrived */
	size_t live;
	uint64_t timed; /* down: bytes, and when they were counted */
	uint64_t timed_at;
};

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static void end(struct stream *s, bool failed)
{
	s->failed = failed;
	s->over = true;
	s->bulk->live--;
	ev_close(&s->ev);
}

static bool finish_sending(struct stream *s)
{
	s->sent_all = true;
	return shutdown(s->ev.fd, SHUT_WR) == 0;
}

/* Time is up, for a stream that has sent more than its seed: some of each is measured. */
static bool is_late(const struct stream *s)
{
	return s->sent > SERVER_SEED && tool_now() >= s->bulk->deadline;
}

/* What comes next on a stream upwards: the seed, then the pattern. */
static size_t next_piece(struct stream *s, unsigned char seed[SERVER_SEED], const unsigned char **p)
{
	size_t n = PATTERN_RUN;
	if (s->sent < SERVER_SEED) {
		tool_put64(seed, s->seed);
		*p = seed + s->sent;
		n = SERVER_SEED - (size_t)s->sent;
	} else {
		*p = pattern_at(s->seed + s->sent - SERVER_SEED);
	}
	return s->limit - s->sent < n ? (size_t)(s->limit - s->sent) : n;
}

static bool send_up(struct stream *s)
{
	for (int i = 0; i < EV_BURST; i++) {
		unsigned char seed[SERVER_SEED];
		const unsigned char *p;
		if (s->sent == s->limit || is_late(s))
			return finish_sending(s);
		size_t n = next_piece(s, seed, &p);
		ssize_t w = write(s->ev.fd, p, n);
		if (w < 0)
			return would_block();
		s->sent += (uint64_t)w;
	}
	return true;
}

static void take_answer(struct stream *s)
{
	uint64_t count = tool_get64(s->record + 8);
	bool final = memcmp(s->record, "LGF1", 4) == 0;
	if ((!final && memcmp(s->record, "LGA1", 4) != 0) || (s->record[7] & 1) != 0)
		s->corrupt = true;
	s->bulk->last = tool_now();
	if (s->bulk->o->members == 1) {
		s->received = count;
		s->finals += final;
	} else if (final) {
		s->received += count;
		s->finals++;
	} else {
		s->corrupt = true; /* a quiet sink does not say this */
	}
}

/* False: the connection ended. */
static bool read_answers(struct stream *s)
{
	for (;;) {
		ssize_t n = read(s->ev.fd, s->record + s->have, SERVER_RECORD - s->have);
		if (n <= 0)
			return n < 0 && would_block();
		s->have += (size_t)n;
		if (s->have == SERVER_RECORD) {
			s->have = 0;
			take_answer(s);
		}
	}
}

/* False: the connection ended. */
static bool read_down(struct stream *s)
{
	for (int i = 0; i < EV_BURST; i++) {
		ssize_t n = read(s->ev.fd, ev_scratch, sizeof ev_scratch);
		if (n <= 0)
			return n < 0 && would_block();
		if (!pattern_equal(ev_scratch, (size_t)n, s->seed + s->received))
			s->corrupt = true;
		s->received += (uint64_t)n;
		s->bulk->last = tool_now();
	}
	return true;
}

static bool is_complete(const struct stream *s)
{
	if (!s->bulk->o->down)
		return s->finals == s->bulk->o->members && s->have == 0;
	return s->limit == UINT64_MAX ? s->sent_all : s->received == s->limit;
}

static bool established(struct stream *s)
{
	if (!endpoint_connected(s->ev.fd))
		return false;
	s->connected = true;
	if (!s->bulk->o->down)
		return true;
	unsigned char request[SERVER_RECORD];
	tool_put64(request, s->limit);
	tool_put64(request + 8, s->seed);
	return write(s->ev.fd, request, sizeof request) == (ssize_t)sizeof request;
}

static void stream_event(struct ev *e, uint32_t events)
{
	struct stream *s = (struct stream *)e;
	bool down = s->bulk->o->down;
	if (!s->connected && !established(s)) {
		end(s, true);
		return;
	}
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 &&
		!(down ? read_down(s) : read_answers(s))) {
		end(s, !is_complete(s));
		return;
	}
	if (!down && !s->sent_all && (events & EPOLLOUT) != 0 && !send_up(s)) {
		end(s, true);
		return;
	}
	ev_want(e, EPOLLIN | (down || s->sent_all ? 0 : EPOLLOUT));
}

static void open_streams(struct bulk *b)
{
	for (size_t i = 0; i < b->o->streams; i++) {
		struct stream *s = &b->stream[i];
		int fd = endpoint_connect(&b->o->to[i % b->o->to_count]);
		if (fd < 0)
			tool_die("connect: %s", strerror(errno));
		s->bulk = b;
		s->seed = pattern_entry(i, b->start);
		s->limit = b->o->bytes;
		ev_open(&s->ev, fd, EPOLLIN | EPOLLOUT, stream_event);
		b->live++;
	}
}

/* Down, by time: what has come until now counts; then the sources are told to end. */
static void time_is_up(struct bulk *b)
{
	b->timed_at = tool_now();
	for (size_t i = 0; i < b->o->streams; i++) {
		b->timed += b->stream[i].received;
		if (!b->stream[i].over)
			(void)finish_sending(&b->stream[i]);
	}
}

/* Nothing is measured of a stream that was told to end before its first byte. */
static bool all_have_some(const struct bulk *b)
{
	for (size_t i = 0; i < b->o->streams; i++) {
		if (b->stream[i].received == 0 && !b->stream[i].over)
			return false;
	}
	return true;
}

static int report(const struct bulk *b, uint64_t cpu)
{
	const struct options *o = b->o;
	uint64_t sent = 0, arrived = 0;
	size_t failed = 0, unfinished = 0, corrupt = 0;
	for (size_t i = 0; i < o->streams; i++) {
		const struct stream *s = &b->stream[i];
		if (!o->down)
			sent += s->sent * o->members;
		else
			sent += o->bytes != UINT64_MAX ? o->bytes : s->received;
		arrived += s->received;
		failed += s->failed;
		unfinished += !s->over;
		corrupt += s->corrupt;
	}
	double took = tool_secs((b->timed_at != 0 ? b->timed_at : b->last) - b->start);
	double counted = (double)(b->timed_at != 0 ? b->timed : arrived);
	printf("bulk dir=%s streams=%ju members=%ju secs=%.3f sent=%ju arrived=%ju mib_s=%.1f"
	       " lost=%jd failed=%zu unfinished=%zu corrupt=%zu cpu_s=%.2f\n",
		o->down ? "down" : "up", (uintmax_t)o->streams, (uintmax_t)o->members, took,
		(uintmax_t)sent, (uintmax_t)arrived, took > 0 ? counted / took / (1 << 20) : 0,
		(intmax_t)(sent - arrived), failed, unfinished, corrupt,
		tool_secs(tool_cpu() - cpu));
	return sent != arrived || failed > 0 || unfinished > 0 || corrupt > 0 || arrived == 0;
}

int bulk_run(const struct options *o)
{
	struct bulk b = {.o = o, .start = tool_now()};
	bool timed = o->bytes == UINT64_MAX;
	uint64_t cpu = tool_cpu();
	uint64_t give_up = b.start + tool_ns(o->seconds + o->drain);
	b.last = b.start;
	b.deadline = timed ? b.start + tool_ns(o->seconds) : UINT64_MAX;
	b.stream = tool_calloc(o->streams, sizeof *b.stream);
	open_streams(&b);
	while (b.live > 0 && !ev_stopped() && tool_now() < give_up) {
		ev_turn(EV_TICK_MS);
		if (o->down && b.timed_at == 0 && tool_now() >= b.deadline && all_have_some(&b))
			time_is_up(&b);
	}
	int status = report(&b, cpu);
	free(b.stream);
	return status;
}
