/*
 * rig - whole nodes in one process, on one loop: each from a configuration's text, with
 * its own struct bus; clients and backends are plain sockets that the test scripts.
 *
 * Nothing sleeps: RIG_UNTIL() turns the loop until a condition holds, and fails the test
 * after RIG_PATIENCE.
 */
#ifndef CB_TESTS_RIG_H
#define CB_TESTS_RIG_H

#include "base/clock.h"
#include "bus/bus.h"
#include "bus/node.h"
#include "unit/unit.h"

#define RIG_PATIENCE (20 * CLOCK_SEC)
enum { RIG_NODES_MAX = 6, RIG_PORTS_MAX = 16, RIG_TEXT_MAX = 4096 };

struct rig_node {
	struct bus bus;
	struct conf *conf;
	struct node *node; /* NULL: stopped */
	bool drained;
	size_t cut; /* as drained() was told */
	int starts; /* what node_prepare() or what came before it returned */
};

struct rig {
	struct unit_mem mem;
	struct loop *loop;
	struct rig_node nodes[RIG_NODES_MAX];
	int n_nodes;
	int holders[RIG_PORTS_MAX]; /* bound and not listening: nobody else gets the port */
	int n_holders;
	int fds_before;
};

void rig_init(struct rig *r);

/* Stops all nodes; everything allocated must be free, every descriptor closed. */
void rig_fini(struct rig *r);

/*
 * A loopback port that is this rig's until rig_fini(); a listener with SO_REUSEADDR may bind it.
 */
int rig_port(struct rig *r);

/*
 * Makes a node from a configuration's text (printf).  It must start; rig_try() leaves
 * what came of it in `starts`, and `node` NULL where it failed.
 */
struct rig_node *rig_start(struct rig *r, enum conf_role role, const char *text, ...)
	__attribute__((format(printf, 3, 4)));
struct rig_node *rig_try(struct rig *r, enum conf_role role, const char *text, ...)
	__attribute__((format(printf, 3, 4)));

/* Parses another configuration and puts it in force, in the two steps of a node. */
int rig_reload(struct rig_node *n, struct node_changes *changes, const char *text, ...)
	__attribute__((format(printf, 3, 4)));

/* Frees the node and its bus at once. */
void rig_stop(struct rig_node *n);

/* Begins to drain it; `drained` and `cut` tell the end. */
void rig_drain(struct rig_node *n);

/* Microseconds by unit/patient.h, also where the nodes go by unit/fast.h. */
uint64_t rig_clock(void);

/* One turn that waits 5 ms at most. */
void rig_turn(struct rig *r);

#define RIG_UNTIL(r, condition)                                                                    \
	do {                                                                                       \
		uint64_t rig_end = rig_clock() + RIG_PATIENCE;                                     \
		while (!(condition)) {                                                             \
			ck_assert_msg(rig_clock() < rig_end, "not in time: %s", #condition);       \
			rig_turn(r);                                                               \
		}                                                                                  \
	} while (0)

/* --- plain sockets -------------------------------------------------------------------- */

/* A listening socket on 127.0.0.1 at a port of rig_port(). */
int rig_listen(int port);

/* The next connection; turns the loop meanwhile. */
int rig_accept(struct rig *r, int listener);

/* A TCP connection that is established already, non-blocking. */
int rig_connect(int port);

/* Sends all of it; turns the loop meanwhile. */
void rig_send(struct rig *r, int fd, const void *p, size_t n);

/* n bytes must come, and be these. */
void rig_expect(struct rig *r, int fd, const void *p, size_t n);

/* n bytes of the pattern that starts at offset `at` are sent, are to come. */
void rig_send_pattern(struct rig *r, int fd, uint64_t at, size_t n);
void rig_expect_pattern(struct rig *r, int fd, uint64_t at, size_t n);

/* What comes next must be an end in order; a reset. */
void rig_expect_end(struct rig *r, int fd);
void rig_expect_reset(struct rig *r, int fd);

/* Closes it with RST. */
void rig_abort(int fd);

/*
 * Reads what there is now.  > 0: bytes; 0: the end; -1 with errno, EAGAIN when nothing is
 * there.
 */
ssize_t rig_read(int fd, void *p, size_t n);

/* Descriptors this process has open. */
int rig_count_fds(void);

#endif
