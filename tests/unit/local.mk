# One program a module.  Each links its own layer and those below, and nothing above.
UNIT_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
UNIT_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)

if TESTS_ENABLED
include tests/unit/base.mk
include tests/unit/wire.mk
include tests/unit/crypto.mk
include tests/unit/session.mk
include tests/unit/conf.mk
include tests/unit/net.mk
include tests/unit/bus.mk
include tests/unit/daemon.mk
include tests/unit/docs.mk
check_LIBRARIES += libunit.a
libunit_a_SOURCES = tests/unit/unit.c tests/unit/unit.h tests/unit/patient.c tests/unit/patient.h
libunit_a_CPPFLAGS = $(UNIT_CPPFLAGS)
libunit_a_CFLAGS = $(UNIT_CFLAGS)
endif
