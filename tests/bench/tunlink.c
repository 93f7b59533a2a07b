/*
 * tunlink - an IP link with a delay between two network namespaces, for kernels that
 * have no netem.
 *
 *     tunlink NS1 IP1 NS2 IP2 DELAY_MS [LIMIT_MIB]
 *
 * A TUN device wan0 in each; every packet is held for the delay (one way) and then
 * written to the other, in order.  Unlike a relay it delays handshakes, ACKs and FINs
 * too, so that TCP behaves as on a real long link.  The devices take segments of up to
 * 64 KiB from TCP as network cards do, and hand them over whole, so that this process is
 * not what limits the rate.
 *
 * There is no limit on the rate; more than LIMIT_MIB under way (256 by default) is
 * dropped.  Prints "ready" when the link is up, and what it forwarded and dropped when it
 * is told to end.  Needs root.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	PACKET_MAX = (64 << 10) + sizeof(struct virtio_net_hdr),
	BURST = 64, /* packets read from one side before the other has its turn */
	MTU = 1500,
	QUEUE = 10000, /* packets that wait in the device */
};

struct packet {
	struct packet *next;
	uint64_t due; /* nanoseconds of the monotonic clock */
	size_t length;
	unsigned char data[];
};

/* One end, and the packets that wait to be written to it. */
struct side {
	const char *ns;
	int fd;
	struct packet *head, **tail;
	uint64_t queued; /* bytes */
	uint64_t forwarded, dropped;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = sig;
}

_Noreturn static void die(const char *what)
{
	fprintf(stderr, "tunlink: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void enter(const char *ns)
{
	char path[256];
	snprintf(path, sizeof path, "/var/run/netns/%s", ns);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(path);
	close(fd);
}

static void set_address(struct ifreq *ifr, const char *ip)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	if (inet_pton(AF_INET, ip, &sin.sin_addr) != 1) {
		fprintf(stderr, "tunlink: not an IPv4 address: %s\n", ip);
		exit(2);
	}
	memcpy(&ifr->ifr_addr, &sin, sizeof sin);
}

static void configure(struct ifreq *ifr, const char *ip, const char *peer)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		die("socket");
	set_address(ifr, ip);
	if (ioctl(s, SIOCSIFADDR, ifr) < 0)
		die("SIOCSIFADDR");
	set_address(ifr, peer);
	if (ioctl(s, SIOCSIFDSTADDR, ifr) < 0)
		die("SIOCSIFDSTADDR");
	ifr->ifr_mtu = MTU;
	if (ioctl(s, SIOCSIFMTU, ifr) < 0)
		die("SIOCSIFMTU");
	ifr->ifr_qlen = QUEUE;
	if (ioctl(s, SIOCSIFTXQLEN, ifr) < 0)
		die("SIOCSIFTXQLEN");
	ifr->ifr_flags = IFF_UP | IFF_RUNNING | IFF_POINTOPOINT;
	if (ioctl(s, SIOCSIFFLAGS, ifr) < 0)
		die("SIOCSIFFLAGS");
	close(s);
}

static void side_open(struct side *side, const char *ns, const char *ip, const char *peer)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	enter(ns);
	side->ns = ns;
	side->tail = &side->head;
	side->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (side->fd < 0)
		die("/dev/net/tun");
	memcpy(ifr.ifr_name, "wan0", sizeof "wan0");
	if (ioctl(side->fd, TUNSETIFF, &ifr) < 0)
		die("TUNSETIFF");
	if (ioctl(side->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		die("TUNSETOFFLOAD");
	configure(&ifr, ip, peer);
}

/* Takes what the device of one side sends; each packet waits to be written to the other. */
static void take(struct side *from, struct side *to, uint64_t delay, uint64_t limit)
{
	static unsigned char buffer[PACKET_MAX];
	for (int i = 0; i < BURST; i++) {
		ssize_t n = read(from->fd, buffer, sizeof buffer);
		if (n <= 0)
			return;
		struct packet *p = NULL;
		if (to->queued + (uint64_t)n <= limit)
			p = malloc(sizeof *p + (size_t)n);
		if (p == NULL) {
			to->dropped++;
			continue;
		}
		p->next = NULL;
		p->due = now_ns() + delay;
		p->length = (size_t)n;
		memcpy(p->data, buffer, (size_t)n);
		*to->tail = p;
		to->tail = &p->next;
		to->queued += (uint64_t)n;
	}
}

/* Writes what is due; returns when the next packet is. */
static uint64_t give(struct side *side)
{
	uint64_t now = now_ns();
	while (side->head != NULL && side->head->due <= now) {
		struct packet *p = side->head;
		if (write(side->fd, p->data, p->length) < 0)
			side->dropped++;
		else
			side->forwarded++;
		side->queued -= p->length;
		side->head = p->next;
		if (side->head == NULL)
			side->tail = &side->head;
		free(p);
	}
	return side->head != NULL ? side->head->due : UINT64_MAX;
}

static void wait_until(const struct side side[2], uint64_t due)
{
	struct pollfd pf[2] = {
		{.fd = side[0].fd, .events = POLLIN},
		{.fd = side[1].fd, .events = POLLIN},
	};
	uint64_t now = now_ns();
	uint64_t wait = due > now ? due - now : 0;
	struct timespec ts = {(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
	(void)ppoll(pf, 2, due == UINT64_MAX ? NULL : &ts, NULL);
}

int main(int argc, char **argv)
{
	if (argc != 6 && argc != 7) {
		fputs("usage: tunlink NS1 IP1 NS2 IP2 DELAY_MS [LIMIT_MIB]\n", stderr);
		return 2;
	}
	uint64_t delay = (uint64_t)(atof(argv[5]) * 1e6);
	uint64_t limit = (argc == 7 ? strtoull(argv[6], NULL, 10) : 256) << 20;
	struct side side[2] = {{.fd = -1}, {.fd = -1}};
	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	side_open(&side[0], argv[1], argv[2], argv[4]);
	side_open(&side[1], argv[3], argv[4], argv[2]);
	puts("ready");
	fflush(stdout);
	while (stop == 0) {
		take(&side[0], &side[1], delay, limit);
		take(&side[1], &side[0], delay, limit);
		uint64_t a = give(&side[0]), b = give(&side[1]);
		wait_until(side, a < b ? a : b);
	}
	for (int i = 0; i < 2; i++)
		printf("to %s: forwarded=%ju dropped=%ju\n", side[i].ns,
			(uintmax_t)side[i].forwarded, (uintmax_t)side[i].dropped);
	return 0;
}
