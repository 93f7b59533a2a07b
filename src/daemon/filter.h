/*
 * filter - which system calls the process may still make: seccomp.
 *
 * Any other one kills the process at once (SIGSYS): it is not in the program, so whoever
 * makes it is not the program.  The list stands in filter.c; a part that comes to need a
 * further call adds it there.
 */
#ifndef CB_DAEMON_FILTER_H
#define CB_DAEMON_FILTER_H

/*
 * From now on, for good; sets no_new_privs.  0; ERR_NOTFOUND where there is no such thing: with
 * errno 0 in this build, otherwise in this kernel (ENOSYS, EINVAL or EOPNOTSUPP) or for this
 * process, by a filter that others put around it (EPERM mostly); ERR_SYS with errno; ERR_NOMEM.
 * Nothing is in force unless 0 is returned.
 */
int filter_install(void);

#endif
