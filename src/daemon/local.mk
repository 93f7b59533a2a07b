noinst_LIBRARIES += libdaemon.a
libdaemon_a_SOURCES = \
	src/daemon/confine.c src/daemon/confine.h \
	src/daemon/daemon.c src/daemon/daemon.h \
	src/daemon/exporter.c src/daemon/exporter.h \
	src/daemon/filter.c src/daemon/filter.h \
	src/daemon/harden.c src/daemon/harden.h \
	src/daemon/load.c src/daemon/load.h \
	src/daemon/metrics.c src/daemon/metrics.h \
	src/daemon/metrics_table.c src/daemon/metrics_table.h \
	src/daemon/metrics_text.c src/daemon/metrics_text.h \
	src/daemon/options.c src/daemon/options.h \
	src/daemon/privileges.c src/daemon/privileges.h

bin_PROGRAMS += controller segment
controller_SOURCES = src/controller/main.c
controller_LDADD = $(L_DAEMON) $(DAEMON_LIBS)
segment_SOURCES = src/segment/main.c
segment_LDADD = $(L_DAEMON) $(DAEMON_LIBS)
