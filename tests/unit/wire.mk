check_PROGRAMS += tests/unit/test_wire
TESTS += tests/unit/test_wire
tests_unit_test_wire_SOURCES = tests/unit/test_wire.c
tests_unit_test_wire_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_wire_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_wire_LDADD = libunit.a $(L_WIRE) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_decoder
TESTS += tests/unit/test_decoder
tests_unit_test_decoder_SOURCES = tests/unit/test_decoder.c
tests_unit_test_decoder_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_decoder_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_decoder_LDADD = libunit.a $(L_WIRE) $(CHECK_LIBS)
