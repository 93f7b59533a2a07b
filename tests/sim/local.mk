# Two muxes, a network between them, a seed: see sim.c.
if TESTS_ENABLED
check_PROGRAMS += tests/sim/sim
TESTS += tests/sim/sim
tests_sim_sim_SOURCES = tests/sim/sim.c tests/sim/net.c tests/sim/net.h
tests_sim_sim_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_sim_sim_CFLAGS = $(UNIT_CFLAGS)
tests_sim_sim_LDADD = libmuxpair.a libunit.a $(L_SESSION) $(CHECK_LIBS)
endif
