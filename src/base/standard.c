#include "base/standard.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int standard_hold(void)
{
	/* From the lowest: each open takes the one that is looked at. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		/* The wrong way round: it is neither to be read nor written. */
		int mode = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", mode) != fd)
			return ERR_SYS;
	}
	return 0;
}
