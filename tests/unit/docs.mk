# The documents against the code.
DOCS_CPPFLAGS = $(UNIT_CPPFLAGS) -DUNIT_SRCDIR='"$(abs_top_srcdir)"'

check_PROGRAMS += tests/unit/test_manual_protocol
TESTS += tests/unit/test_manual_protocol
tests_unit_test_manual_protocol_SOURCES = tests/unit/test_manual_protocol.c \
	tests/unit/manual.c tests/unit/manual.h
tests_unit_test_manual_protocol_CPPFLAGS = $(DOCS_CPPFLAGS)
tests_unit_test_manual_protocol_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_manual_protocol_LDADD = libunit.a $(L_SESSION) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_manual_example
TESTS += tests/unit/test_manual_example
tests_unit_test_manual_example_SOURCES = tests/unit/test_manual_example.c \
	tests/unit/manual.c tests/unit/manual.h
tests_unit_test_manual_example_CPPFLAGS = $(DOCS_CPPFLAGS)
tests_unit_test_manual_example_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_manual_example_LDADD = libunit.a $(L_SESSION) $(CHECK_LIBS)

# README's map and messages, and the sections of manuals that comments name.
dist_check_SCRIPTS += tests/docs/check-readme
TESTS += tests/docs/check-readme

# The pages on a terminal.
dist_check_SCRIPTS += tests/docs/check-manuals
TESTS += tests/docs/check-manuals

check_PROGRAMS += tests/unit/test_manual_security
TESTS += tests/unit/test_manual_security
tests_unit_test_manual_security_SOURCES = tests/unit/test_manual_security.c \
	tests/unit/manual.c tests/unit/manual.h
tests_unit_test_manual_security_CPPFLAGS = $(DOCS_CPPFLAGS)
tests_unit_test_manual_security_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_manual_security_LDADD = libunit.a $(L_CRYPTO) $(CHECK_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += tests/unit/test_manual_metrics
TESTS += tests/unit/test_manual_metrics
tests_unit_test_manual_metrics_SOURCES = tests/unit/test_manual_metrics.c \
	tests/unit/manual.c tests/unit/manual.h
tests_unit_test_manual_metrics_CPPFLAGS = $(DOCS_CPPFLAGS)
tests_unit_test_manual_metrics_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_manual_metrics_LDADD = libunit.a $(L_DAEMON) $(DAEMON_LIBS) $(CHECK_LIBS)
