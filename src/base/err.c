#include "base/err.h"

const char *err_text(int err)
{
	switch ((enum err)err) {
	case ERR_NOMEM:
		return "out of memory";
	case ERR_AGAIN:
		return "not now";
	case ERR_SYS:
		return "system error";
	case ERR_INVALID:
		return "invalid";
	case ERR_LIMIT:
		return "limit reached";
	case ERR_PROTOCOL:
		return "protocol error";
	case ERR_CLOSED:
		return "closed";
	case ERR_TIMEOUT:
		return "timed out";
	case ERR_NOTFOUND:
		return "not found";
	}
	return err == 0 ? "success" : "unknown error";
}
