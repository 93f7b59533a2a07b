#include "daemon/daemon.h"

int main(int argc, char **argv)
{
	return daemon_main(CONF_SEGMENT, argc, argv);
}
