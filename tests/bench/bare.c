/*
 * bare - the floor: about the least that carrying streams over two hops can cost.
 *
 *     bare near|far [--splice IN OUT]... [--batch IN OUT]...
 *
 * A pair of these stands where two proxies do, near one's OUT being far one's IN.  It is
 * no product: nothing flows by credit, nothing is fair, a reset arrives as an end, and a
 * link that breaks ends the program.
 *
 * --splice   a connection over the link for each client's, and all bytes through pipes
 * --batch    one connection over the link for all clients, their frames in one write
 *
 * Both put a header of 8 bytes before what they carry.
 */
#include "bare_batch.h"
#include "bare_splice.h"
#include "ev.h"
#include "tool.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn static void usage(void)
{
	fputs("usage: bare near|far [--splice IN OUT]... [--batch IN OUT]...\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	if (argc < 5 || argc % 3 != 2)
		usage();
	bool near = strcmp(argv[1], "near") == 0;
	if (!near && strcmp(argv[1], "far") != 0)
		usage();
	ev_init();
	signal(SIGINT, SIG_DFL); /* the end of the process is the end of all it has */
	signal(SIGTERM, SIG_DFL);
	for (char **a = argv + 2; *a != NULL; a += 3) {
		if (strcmp(a[0], "--splice") == 0)
			bare_splice(near, a[1], a[2]);
		else if (strcmp(a[0], "--batch") == 0)
			bare_batch(near, a[1], a[2]);
		else
			usage();
	}
	puts("listening");
	fflush(stdout);
	for (;;)
		ev_turn(bare_batch_turn() ? 0 : -1);
}
