/*
 * standard - the three descriptors that a process is started with.
 */
#ifndef CB_BASE_STANDARD_H
#define CB_BASE_STANDARD_H

/*
 * Takes the places of those among 0, 1 and 2 that are closed, so that no file or socket comes to
 * be in one and has the log, or what is printed, written into it.  To use them fails with EBADF,
 * as before.  0, or ERR_SYS (see errno).  Before anything else of a process is opened.
 */
int standard_hold(void);

#endif
