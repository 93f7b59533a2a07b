check_PROGRAMS += tests/unit/test_credit
TESTS += tests/unit/test_credit
tests_unit_test_credit_SOURCES = tests/unit/test_credit.c
tests_unit_test_credit_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_credit_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_credit_LDADD = libunit.a $(L_SESSION) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_sched
TESTS += tests/unit/test_sched
tests_unit_test_sched_SOURCES = tests/unit/test_sched.c
tests_unit_test_sched_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_sched_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_sched_LDADD = libunit.a $(L_SESSION) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_liveness
TESTS += tests/unit/test_liveness
tests_unit_test_liveness_SOURCES = tests/unit/test_liveness.c
tests_unit_test_liveness_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_liveness_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_liveness_LDADD = libunit.a $(L_SESSION) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_budget
TESTS += tests/unit/test_budget
tests_unit_test_budget_SOURCES = tests/unit/test_budget.c
tests_unit_test_budget_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_budget_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_budget_LDADD = libunit.a $(L_SESSION) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mux
TESTS += tests/unit/test_mux
tests_unit_test_mux_SOURCES = tests/unit/test_mux.c
tests_unit_test_mux_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_mux_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_mux_LDADD = libmuxpair.a libunit.a $(L_SESSION) $(CHECK_LIBS)

# Two muxes joined in memory: of the tests of mux, and of the simulation.
check_LIBRARIES += libmuxpair.a
libmuxpair_a_SOURCES = tests/unit/mux_pair.c tests/unit/mux_pair.h
libmuxpair_a_CPPFLAGS = $(UNIT_CPPFLAGS)
libmuxpair_a_CFLAGS = $(UNIT_CFLAGS)
