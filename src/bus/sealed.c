#include "bus/sealed.h"

#include "base/err.h"
#include "bus/guard.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static_assert((int)BUS_WRITE >= 2 * (int)RECORD_MAX, "a buffer has room beside a part of a record");
static_assert(
	(SEALED_STAGED / SEALED_RECORD_MIN + 1) * RECORD_OVERHEAD + SEALED_STAGED <= (int)BUS_WRITE,
	"what is staged fits into one buffer when it is sealed");

struct sealed *sealed_new(struct bus *bus, struct secure *secure, const struct lobby_seat *seat)
{
	struct sealed *s = mem_zalloc(bus->mem, sizeof *s);
	if (s == NULL) {
		secure_free(secure);
		lobby_farewell(&bus->guard->lobby, seat);
		return NULL;
	}
	s->secure = secure;
	s->seat = *seat;
	return s;
}

static void put_buffers(struct bus *bus, struct sealed *s)
{
	spare_put(&bus->buffers, s->plain);
	spare_put(&bus->buffers, s->in);
	s->in = s->plain = NULL;
}

void sealed_free(struct bus *bus, struct sealed *s)
{
	if (s == NULL)
		return;
	lobby_farewell(&bus->guard->lobby, &s->seat);
	secure_free(s->secure);
	put_buffers(bus, s);
	mem_free(bus->mem, s->kept);
	mem_free(bus->mem, s);
}

/* --- in ----------------------------------------------------------------------------------- */

ssize_t sealed_receive(struct transport *t, size_t *room)
{
	struct sealed *s = t->sealed;
	*room = 0;
	s->in = spare_get(&t->bus->buffers);
	s->plain = spare_get(&t->bus->buffers);
	if (s->in == NULL || s->plain == NULL) {
		put_buffers(t->bus, s);
		errno = ENOMEM;
		return -1;
	}
	if (s->n_kept > 0)
		memcpy(s->in, s->kept, s->n_kept);
	s->in_begin = 0;
	s->in_end = s->n_kept;
	*room = BUS_WRITE - s->in_end;
	ssize_t n;
	do
		n = recv(t->lfd.fd, s->in + s->in_end, *room, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		s->in_end += (size_t)n;
	return n;
}

int sealed_open(struct transport *t, const uint8_t **plain, size_t *n)
{
	struct sealed *s = t->sealed;
	struct secure_plain one;
	int used;
	*plain = s->plain;
	*n = 0;
	while ((used = secure_open(s->secure, s->plain + *n, s->in + s->in_begin,
			s->in_end - s->in_begin, &one)) > 0) {
		s->in_begin += (size_t)used;
		*n += one.n;
	}
	return used;
}

int sealed_rest(struct transport *t)
{
	struct sealed *s = t->sealed;
	int rc = 0, saved = errno;
	if (s->in == NULL)
		return 0;
	size_t n = s->in_end - s->in_begin;
	if (n != s->n_kept || s->in_begin > 0) {
		mem_free(t->bus->mem, s->kept);
		s->kept = n > 0 ? mem_alloc(t->bus->mem, n) : NULL;
		s->n_kept = s->kept != NULL ? n : 0;
		rc = n > 0 && s->kept == NULL ? ERR_NOMEM : 0;
		if (s->kept != NULL)
			memcpy(s->kept, s->in + s->in_begin, n);
	}
	put_buffers(t->bus, s);
	errno = saved;
	return rc;
}

/* --- out ---------------------------------------------------------------------------------- */

/* Bytes of a record, by the path. */
static size_t record_size(const struct transport *t)
{
	uint64_t n = t->rate / (CLOCK_SEC / SEALED_RECORD_TIME);
	if (t->rate == 0 || n > RECORD_PLAIN_MAX)
		return RECORD_PLAIN_MAX;
	return n > SEALED_RECORD_MIN ? (size_t)n : (size_t)SEALED_RECORD_MIN;
}

int sealed_seal(struct transport *t)
{
	size_t n = t->out_end - t->out_begin, most = record_size(t);
	size_t size = secure_sealed_size(n, most);
	assert(n > 0 && size <= BUS_WRITE);
	uint8_t *sealed = spare_get(&t->bus->buffers);
	if (sealed == NULL)
		return ERR_NOMEM;
	int rc = secure_seal(t->sealed->secure, sealed, t->out + t->out_begin, n, most);
	/* The buffer that held the plain bytes is the next to be filled, while it is in cache. */
	spare_put(&t->bus->buffers, t->out);
	t->out = sealed;
	t->out_begin = 0;
	t->out_end = rc == 0 ? size : 0;
	return rc;
}

int sealed_say_close(struct transport *t)
{
	struct sealed *s = t->sealed;
	s->said_close = true;
	t->out = spare_get(&t->bus->buffers);
	if (t->out == NULL)
		return ERR_NOMEM;
	t->out_begin = 0;
	t->out_end = secure_sealed_size(0, 1);
	return secure_seal(s->secure, t->out, NULL, 0, 1);
}

size_t sealed_last_words(
	struct transport *t, const uint8_t *p, size_t n, uint8_t out[static SEALED_WORDS + 64])
{
	struct sealed *s = t->sealed;
	size_t words = secure_sealed_size(n, RECORD_PLAIN_MAX);
	assert(n <= SEALED_WORDS);
	if (n == 0 || s->said_close || secure_seal(s->secure, out, p, n, RECORD_PLAIN_MAX) != 0)
		return 0;
	s->said_close = true;
	if (secure_seal(s->secure, out + words, NULL, 0, 1) != 0)
		return 0;
	return words + secure_sealed_size(0, 1);
}
