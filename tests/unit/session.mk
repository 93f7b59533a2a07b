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

check_PROGRAMS += tests/unit/test_mux_rules
TESTS += tests/unit/test_mux_rules
tests_unit_test_mux_rules_SOURCES = tests/unit/test_mux_rules.c
tests_unit_test_mux_rules_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_mux_rules_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_mux_rules_LDADD = libmuxpair.a libunit.a $(L_SESSION) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mux_flow
TESTS += tests/unit/test_mux_flow
tests_unit_test_mux_flow_SOURCES = tests/unit/test_mux_flow.c
tests_unit_test_mux_flow_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_mux_flow_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_mux_flow_LDADD = libmuxpair.a libunit.a $(L_SESSION) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mux_goaway
TESTS += tests/unit/test_mux_goaway
tests_unit_test_mux_goaway_SOURCES = tests/unit/test_mux_goaway.c
tests_unit_test_mux_goaway_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_mux_goaway_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_mux_goaway_LDADD = libmuxpair.a libunit.a $(L_SESSION) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mux_limits
TESTS += tests/unit/test_mux_limits
tests_unit_test_mux_limits_SOURCES = tests/unit/test_mux_limits.c
tests_unit_test_mux_limits_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_mux_limits_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_mux_limits_LDADD = libmuxpair.a libunit.a $(L_SESSION) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mux_memory
TESTS += tests/unit/test_mux_memory
tests_unit_test_mux_memory_SOURCES = tests/unit/test_mux_memory.c
tests_unit_test_mux_memory_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_mux_memory_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_mux_memory_LDADD = libmuxpair.a libunit.a $(L_SESSION) $(CHECK_LIBS)

# Two muxes joined in memory: of the tests of mux, and of the simulation.
check_LIBRARIES += libmuxpair.a
libmuxpair_a_SOURCES = tests/unit/mux_pair.c tests/unit/mux_pair.h tests/unit/mux_solo.c
libmuxpair_a_CPPFLAGS = $(UNIT_CPPFLAGS)
libmuxpair_a_CFLAGS = $(UNIT_CFLAGS)

check_PROGRAMS += tests/unit/test_mux_names
TESTS += tests/unit/test_mux_names
tests_unit_test_mux_names_SOURCES = tests/unit/test_mux_names.c
tests_unit_test_mux_names_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_mux_names_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_mux_names_LDADD = libmuxpair.a libunit.a $(L_SESSION) $(CHECK_LIBS)
