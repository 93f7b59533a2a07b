check_PROGRAMS += tests/unit/test_hash
TESTS += tests/unit/test_hash
tests_unit_test_hash_SOURCES = tests/unit/test_hash.c
tests_unit_test_hash_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_hash_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_hash_LDADD = libunit.a $(L_BASE) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_addr
TESTS += tests/unit/test_addr
tests_unit_test_addr_SOURCES = tests/unit/test_addr.c
tests_unit_test_addr_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_addr_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_addr_LDADD = libunit.a $(L_BASE) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_log
TESTS += tests/unit/test_log
tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_log_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_log_LDADD = libunit.a $(L_BASE) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_timers
TESTS += tests/unit/test_timers
tests_unit_test_timers_SOURCES = tests/unit/test_timers.c
tests_unit_test_timers_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_timers_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_timers_LDADD = libunit.a $(L_BASE) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_fifo
TESTS += tests/unit/test_fifo
tests_unit_test_fifo_SOURCES = tests/unit/test_fifo.c
tests_unit_test_fifo_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_fifo_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fifo_LDADD = libunit.a $(L_BASE) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_ring
TESTS += tests/unit/test_ring
tests_unit_test_ring_SOURCES = tests/unit/test_ring.c
tests_unit_test_ring_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_ring_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_ring_LDADD = libunit.a $(L_BASE) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_utf8
TESTS += tests/unit/test_utf8
tests_unit_test_utf8_SOURCES = tests/unit/test_utf8.c
tests_unit_test_utf8_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_utf8_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_utf8_LDADD = libunit.a $(L_BASE) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_spare
TESTS += tests/unit/test_spare
tests_unit_test_spare_SOURCES = tests/unit/test_spare.c
tests_unit_test_spare_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_spare_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_spare_LDADD = libunit.a $(L_BASE) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_standard
TESTS += tests/unit/test_standard
tests_unit_test_standard_SOURCES = tests/unit/test_standard.c
tests_unit_test_standard_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_standard_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_standard_LDADD = libunit.a $(L_BASE) $(CHECK_LIBS)
