#include "daemon/metrics.h"

#include "config.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>

static const char build_info[] =
	"# HELP cloudbus_build_info The version of the program, and which of the two it is.\n"
	"# TYPE cloudbus_build_info gauge\n"
	"cloudbus_build_info{version=\"" PACKAGE_VERSION "\",role=\"%s\"} 1\n";

int metrics_render(struct bus *bus, char **out, size_t *n)
{
	char text[sizeof build_info + 16];
	const char *role = bus->conf->role == CONF_SEGMENT ? "segment" : "controller";
	int len = snprintf(text, sizeof text, build_info, role);
	*out = mem_strndup(bus->mem, text, (size_t)len);
	*n = (size_t)len;
	return *out != NULL ? 0 : ERR_NOMEM;
}
