/*
 * err - the one enum of failures.
 *
 * Every function that can fail returns 0 or one of these (all negative).
 * Negative errno values are not mixed in: where the operating system's own
 * reason matters, the function's contract says that errno is kept.
 */
#ifndef CB_BASE_ERR_H
#define CB_BASE_ERR_H

enum err {
	ERR_NOMEM = -1,    /* an allocation failed; nothing was changed */
	ERR_AGAIN = -2,    /* not now; try again after the event the contract names */
	ERR_SYS = -3,      /* the operating system said no; see errno */
	ERR_INVALID = -4,  /* the caller's argument or the user's input is not acceptable */
	ERR_LIMIT = -5,    /* a stated maximum would be exceeded */
	ERR_PROTOCOL = -6, /* the peer broke the protocol */
	ERR_CLOSED = -7,   /* the thing asked for is closed or going away */
	ERR_TIMEOUT = -8,  /* a deadline passed */
	ERR_NOTFOUND = -9, /* no such name, address or entry */
};

/* A short English phrase for an error; static storage; never NULL. */
const char *err_text(int err);

#endif
