#include "unit/child.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int child_run(int (*what)(const void *ctx), const void *ctx)
{
	int status;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(what(ctx));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort(); /* main() calls it too, where there is no test to fail */
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

_Noreturn void child_wrong(const char *file, int line, const char *what)
{
	char text[512];
	int n = snprintf(
		text, sizeof text, "%s:%d: not so: %s (%s)\n", file, line, what, strerror(errno));
	if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
		_exit(CHILD_WRONG + 1);
	_exit(CHILD_WRONG);
}

int child_skip(const char *why)
{
	fprintf(stderr, "SKIP: %s\n", why);
	return CHILD_SKIP;
}
