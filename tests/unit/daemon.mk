# unit tests of src/daemon.  Some need what a kernel may not have, or root, and are skipped
# without.
DAEMON_TEST_LIBS = libunit.a $(L_DAEMON) $(DAEMON_LIBS) $(CHECK_LIBS)
CHILD = tests/unit/child.c tests/unit/child.h

check_PROGRAMS += tests/unit/test_options
TESTS += tests/unit/test_options
tests_unit_test_options_SOURCES = tests/unit/test_options.c
tests_unit_test_options_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_options_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_options_LDADD = $(DAEMON_TEST_LIBS)

check_PROGRAMS += tests/unit/test_privileges
TESTS += tests/unit/test_privileges
tests_unit_test_privileges_SOURCES = tests/unit/test_privileges.c $(CHILD)
tests_unit_test_privileges_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_privileges_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_privileges_LDADD = $(DAEMON_TEST_LIBS)

check_PROGRAMS += tests/unit/test_confine
TESTS += tests/unit/test_confine
tests_unit_test_confine_SOURCES = tests/unit/test_confine.c $(CHILD)
tests_unit_test_confine_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_confine_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_confine_LDADD = $(DAEMON_TEST_LIBS)

check_PROGRAMS += tests/unit/test_filter
TESTS += tests/unit/test_filter
tests_unit_test_filter_SOURCES = tests/unit/test_filter.c $(CHILD)
tests_unit_test_filter_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_filter_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_filter_LDADD = $(DAEMON_TEST_LIBS)

check_PROGRAMS += tests/unit/test_harden
TESTS += tests/unit/test_harden
tests_unit_test_harden_SOURCES = tests/unit/test_harden.c $(CHILD)
tests_unit_test_harden_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_harden_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_harden_LDADD = $(DAEMON_TEST_LIBS)

check_PROGRAMS += tests/unit/test_exporter
TESTS += tests/unit/test_exporter
tests_unit_test_exporter_SOURCES = tests/unit/test_exporter.c $(BUS_RIG)
tests_unit_test_exporter_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_exporter_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_exporter_LDADD = $(DAEMON_TEST_LIBS)

check_PROGRAMS += tests/unit/test_metrics
TESTS += tests/unit/test_metrics
tests_unit_test_metrics_SOURCES = tests/unit/test_metrics.c $(BUS_RIG) \
	tests/unit/cluster.c tests/unit/cluster.h tests/unit/fast.c tests/unit/fast.h
tests_unit_test_metrics_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_metrics_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_metrics_LDADD = $(DAEMON_TEST_LIBS)
