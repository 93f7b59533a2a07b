#include "unit/nameserver.h"

#include "net/sock.h"

#include <arpa/inet.h>
#include <check.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { HEADER = 12, TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28, UDP_MAX = 512 };

struct packet {
	unsigned char *at;
	size_t n;
};

static void put(struct packet *p, const void *bytes, size_t n)
{
	ck_assert_uint_le(p->n + n, NS_PACKET_MAX);
	memcpy(p->at + p->n, bytes, n);
	p->n += n;
}

static void put16(struct packet *p, unsigned v)
{
	unsigned char b[2] = {(unsigned char)(v >> 8), (unsigned char)v};
	put(p, b, 2);
}

static void put32(struct packet *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p, v & 0xffff);
}

static void put_name(struct packet *p, const char *name)
{
	while (*name != '\0') {
		size_t n = strcspn(name, ".");
		unsigned char len = (unsigned char)n;
		put(p, &len, 1);
		put(p, name, n);
		name += n + (name[n] == '.');
	}
	put(p, "", 1);
}

/* The question's name in lower case; returns the length of the whole question. */
static size_t get_question(const unsigned char *q, size_t n, char host[static 256], int *type)
{
	size_t at = HEADER, out = 0;
	while (at < n && q[at] != 0) {
		size_t len = q[at++];
		ck_assert(at + len < n && out + len + 1 < 256);
		if (out > 0)
			host[out++] = '.';
		while (len-- > 0)
			host[out++] = (char)tolower(q[at++]);
	}
	host[out] = '\0';
	ck_assert_uint_le(at + 5, n);
	*type = q[at + 1] << 8 | q[at + 2];
	return at + 5 - HEADER;
}

static struct ns_rule *find_rule(struct nameserver *ns, const char *host, int af, bool *exists)
{
	struct ns_rule *found = NULL;
	*exists = false;
	for (size_t i = 0; i < NS_RULES_MAX; i++) {
		struct ns_rule *r = &ns->rules[i];
		if (r->host == NULL || strcmp(r->host, host) != 0)
			continue;
		*exists = true;
		if (r->af == af)
			found = r;
	}
	return found;
}

static size_t count_ips(const struct ns_rule *rule)
{
	size_t n = 0;
	while (n < NS_IPS_MAX && rule->ips[n] != NULL)
		n++;
	return n;
}

static void put_records(struct packet *p, const struct ns_rule *rule, int type)
{
	if (rule->cname != NULL) {
		put16(p, 0xc000 | HEADER);
		put16(p, TYPE_CNAME);
		put16(p, 1);
		put32(p, rule->cname_ttl);
		put16(p, (unsigned)strlen(rule->cname) + 2);
		put_name(p, rule->cname);
	}
	for (size_t i = 0; i < count_ips(rule); i++) {
		unsigned char ip[16];
		unsigned len = rule->af == AF_INET ? 4 : 16;
		ck_assert_int_eq(inet_pton(rule->af, rule->ips[i], ip), 1);
		if (rule->cname != NULL)
			put_name(p, rule->cname);
		else
			put16(p, 0xc000 | HEADER);
		put16(p, (unsigned)type);
		put16(p, 1);
		put32(p, rule->ttl);
		put16(p, len);
		put(p, ip, len);
	}
}

/* Writes the answer to q and says how long to wait with it; false: no answer at all. */
static bool answer(struct nameserver *ns, const unsigned char *q, size_t n, struct packet *p,
	size_t max, uint64_t *delay)
{
	static const unsigned rcode[] = {
		[NS_ANSWER] = 0, [NS_NXDOMAIN] = 3, [NS_SERVFAIL] = 2, [NS_REFUSED] = 5};
	char host[256];
	bool exists;
	int type;
	ns->queries++;
	ck_assert_uint_ge(n, HEADER + 5);
	size_t question = get_question(q, n, host, &type);
	int af = type == TYPE_AAAA ? AF_INET6 : AF_INET;
	struct ns_rule *rule = find_rule(ns, host, af, &exists);
	struct ns_rule none = {.kind = exists ? NS_ANSWER : NS_NXDOMAIN};
	if (rule == NULL)
		rule = &none;
	rule->asked++;
	*delay = rule->delay;
	if (rule->kind == NS_DROP)
		return false;
	bool records = rule->kind == NS_ANSWER;
	put(p, q, 2);
	put16(p, 0x8180 | rcode[rule->kind]);
	put16(p, 1);
	put16(p, records ? (unsigned)count_ips(rule) + (rule->cname != NULL) : 0);
	put32(p, 0);
	put(p, q + HEADER, question);
	if (records)
		put_records(p, rule, type);
	if (p->n > max) {
		p->at[2] |= 0x02; /* TC, and nothing but the question */
		p->at[6] = p->at[7] = 0;
		p->n = HEADER + question;
	}
	return true;
}

static void send_pending(struct timer *timer)
{
	struct ns_pending *pending = container_of(timer, struct ns_pending, timer);
	(void)sendto(pending->ns->udp.fd, pending->packet, pending->n, 0, &pending->to.sa,
		pending->to.len);
	pending->n = 0;
}

static void on_udp(struct loop_fd *lfd)
{
	struct nameserver *ns = container_of(lfd, struct nameserver, udp);
	unsigned char q[1024];
	struct addr from = {.len = 0};
	socklen_t len = sizeof from.un;
	ssize_t n;
	while ((n = recvfrom(lfd->fd, q, sizeof q, 0, &from.sa, &len)) > 0) {
		struct ns_pending *pending = NULL;
		for (size_t i = 0; i < NS_PENDING_MAX && pending == NULL; i++)
			pending = ns->pending[i].n == 0 ? &ns->pending[i] : NULL;
		ck_assert_ptr_nonnull(pending);
		struct packet p = {.at = pending->packet};
		uint64_t delay;
		if (answer(ns, q, (size_t)n, &p, UDP_MAX, &delay)) {
			pending->n = p.n;
			addr_from_sockaddr(&pending->to, &from.sa, len);
			if (delay == 0)
				send_pending(&pending->timer);
			else
				ck_assert_int_eq(loop_timer_set(ns->loop, &pending->timer,
							 loop_now(ns->loop) + delay),
					0);
		}
		len = sizeof from.un;
	}
}

static void on_conn(struct loop_fd *lfd)
{
	struct ns_conn *c = container_of(lfd, struct ns_conn, lfd);
	ssize_t n;
	while ((n = recv(lfd->fd, c->buf + c->n, sizeof c->buf - c->n, 0)) > 0) {
		c->n += (size_t)n;
		size_t want = c->n < 2 ? 2 : 2 + (size_t)(c->buf[0] << 8 | c->buf[1]);
		if (c->n < 2 || c->n < want)
			continue;
		unsigned char out[NS_PACKET_MAX + 2];
		struct packet p = {.at = out + 2};
		uint64_t delay;
		c->ns->tcp_queries++;
		if (answer(c->ns, c->buf + 2, want - 2, &p, NS_PACKET_MAX, &delay)) {
			out[0] = (unsigned char)(p.n >> 8);
			out[1] = (unsigned char)p.n;
			ck_assert_int_eq(send(lfd->fd, out, p.n + 2, MSG_NOSIGNAL), p.n + 2);
		}
		c->n -= want;
		memmove(c->buf, c->buf + want, c->n);
	}
	if (n == 0 || errno != EAGAIN)
		loop_close(c->ns->loop, lfd);
}

static void on_tcp(struct loop_fd *lfd)
{
	struct nameserver *ns = container_of(lfd, struct nameserver, tcp);
	int fd;
	while (sock_accept(lfd->fd, &fd, NULL) == SOCK_ACCEPTED) {
		struct ns_conn *c = NULL;
		for (size_t i = 0; i < NS_CONNS_MAX && c == NULL; i++)
			c = ns->conns[i].lfd.fd < 0 ? &ns->conns[i] : NULL;
		ck_assert_ptr_nonnull(c);
		c->n = 0;
		ck_assert_int_eq(loop_add(ns->loop, &c->lfd, fd), 0);
	}
}

void nameserver_start(struct nameserver *ns, struct loop *loop)
{
	nameserver_start_at(ns, loop, 0);
}

void nameserver_start_at(struct nameserver *ns, struct loop *loop, uint16_t port)
{
	struct sock_listener listener;
	int udp = -1;
	memset(ns, 0, sizeof *ns);
	ns->loop = loop;
	/* The TCP port is the kernel's choice; its UDP twin may be taken. */
	for (int tries = 0; udp < 0; tries++) {
		ck_assert_int_lt(tries, 100);
		struct addr any;
		ck_assert_int_eq(addr_from_literal(&any, "127.0.0.1", 9, port), 0);
		ck_assert_int_eq(sock_listen(&listener, &any, 8), 0);
		udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		ck_assert_int_ge(udp, 0);
		if (bind(udp, &listener.addr.sa, listener.addr.len) != 0) {
			close(udp);
			close(listener.fd);
			udp = -1;
		}
	}
	ns->addr = listener.addr;
	loop_fd_init(&ns->udp, on_udp);
	loop_fd_init(&ns->tcp, on_tcp);
	for (size_t i = 0; i < NS_CONNS_MAX; i++) {
		ns->conns[i].ns = ns;
		loop_fd_init(&ns->conns[i].lfd, on_conn);
	}
	for (size_t i = 0; i < NS_PENDING_MAX; i++) {
		ns->pending[i].ns = ns;
		ns->pending[i].timer.fire = send_pending;
	}
	ck_assert_int_eq(loop_add(loop, &ns->udp, udp), 0);
	ck_assert_int_eq(loop_add(loop, &ns->tcp, listener.fd), 0);
}

void nameserver_stop(struct nameserver *ns)
{
	loop_close(ns->loop, &ns->udp);
	loop_close(ns->loop, &ns->tcp);
	for (size_t i = 0; i < NS_CONNS_MAX; i++)
		loop_close(ns->loop, &ns->conns[i].lfd);
	for (size_t i = 0; i < NS_PENDING_MAX; i++)
		loop_timer_stop(ns->loop, &ns->pending[i].timer);
}

void nameserver_refuse(struct nameserver *ns)
{
	/* Connected, it has only what comes from there: from itself. */
	ck_assert_int_eq(connect(ns->udp.fd, &ns->addr.sa, ns->addr.len), 0);
}

void nameserver_set(struct nameserver *ns, struct ns_rule rule)
{
	bool exists;
	struct ns_rule *to = find_rule(ns, rule.host, rule.af, &exists);
	for (size_t i = 0; i < NS_RULES_MAX && to == NULL; i++)
		to = ns->rules[i].host == NULL ? &ns->rules[i] : NULL;
	ck_assert_ptr_nonnull(to);
	rule.asked = to->asked;
	*to = rule;
}

unsigned nameserver_asked(const struct nameserver *ns, const char *host, int af)
{
	bool exists;
	struct ns_rule *rule = find_rule((struct nameserver *)ns, host, af, &exists);
	return rule != NULL ? rule->asked : 0;
}
