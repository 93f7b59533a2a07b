HUNT = tests/unit/hunt.c tests/unit/hunt.h
CRYPTO_CPPFLAGS = $(UNIT_CPPFLAGS) -DUNIT_SRCDIR='"$(abs_top_srcdir)"'

check_PROGRAMS += tests/unit/test_aead
TESTS += tests/unit/test_aead
tests_unit_test_aead_SOURCES = tests/unit/test_aead.c
tests_unit_test_aead_CPPFLAGS = $(CRYPTO_CPPFLAGS)
tests_unit_test_aead_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_aead_LDADD = libunit.a $(L_CRYPTO) $(CHECK_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += tests/unit/test_gate
TESTS += tests/unit/test_gate
tests_unit_test_gate_SOURCES = tests/unit/test_gate.c
tests_unit_test_gate_CPPFLAGS = $(CRYPTO_CPPFLAGS)
tests_unit_test_gate_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_gate_LDADD = libunit.a $(L_CRYPTO) $(CHECK_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += tests/unit/test_locked
TESTS += tests/unit/test_locked
tests_unit_test_locked_SOURCES = tests/unit/test_locked.c $(HUNT) \
	tests/unit/child.c tests/unit/child.h
tests_unit_test_locked_CPPFLAGS = $(CRYPTO_CPPFLAGS)
tests_unit_test_locked_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_locked_LDADD = libunit.a $(L_CRYPTO) $(CHECK_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += tests/unit/test_noise
TESTS += tests/unit/test_noise
tests_unit_test_noise_SOURCES = tests/unit/test_noise.c
tests_unit_test_noise_CPPFLAGS = $(CRYPTO_CPPFLAGS)
tests_unit_test_noise_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_noise_LDADD = libunit.a $(L_CRYPTO) $(CHECK_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += tests/unit/test_noise_vectors
TESTS += tests/unit/test_noise_vectors
tests_unit_test_noise_vectors_SOURCES = tests/unit/test_noise_vectors.c
tests_unit_test_noise_vectors_CPPFLAGS = $(CRYPTO_CPPFLAGS)
tests_unit_test_noise_vectors_CFLAGS = $(UNIT_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_noise_vectors_LDADD = libunit.a $(L_CRYPTO) $(CHECK_LIBS) $(CRYPTO_LIBS) \
	$(JANSSON_LIBS)

check_PROGRAMS += tests/unit/test_record
TESTS += tests/unit/test_record
tests_unit_test_record_SOURCES = tests/unit/test_record.c
tests_unit_test_record_CPPFLAGS = $(CRYPTO_CPPFLAGS)
tests_unit_test_record_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_record_LDADD = libunit.a $(L_CRYPTO) $(CHECK_LIBS) $(CRYPTO_LIBS)

EXTRA_DIST += tests/unit/noise_vectors.json

check_PROGRAMS += tests/unit/test_pattern
TESTS += tests/unit/test_pattern
tests_unit_test_pattern_SOURCES = tests/unit/test_pattern.c
tests_unit_test_pattern_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_pattern_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_pattern_LDADD = libunit.a $(L_CRYPTO) $(CHECK_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += tests/unit/test_token
TESTS += tests/unit/test_token
tests_unit_test_token_SOURCES = tests/unit/test_token.c
tests_unit_test_token_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_token_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_token_LDADD = libunit.a $(L_CRYPTO) $(CHECK_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += tests/unit/test_keyfile
TESTS += tests/unit/test_keyfile
tests_unit_test_keyfile_SOURCES = tests/unit/test_keyfile.c
tests_unit_test_keyfile_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_keyfile_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_keyfile_LDADD = libunit.a $(L_CRYPTO) $(CHECK_LIBS) $(CRYPTO_LIBS)

# Calls that are made to fail, each in turn.
check_PROGRAMS += tests/unit/test_secretfile
TESTS += tests/unit/test_secretfile
tests_unit_test_secretfile_SOURCES = tests/unit/test_secretfile.c
tests_unit_test_secretfile_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_secretfile_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_secretfile_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=renameat2 -Wl,--wrap=fsync \
	-Wl,--wrap=mkostemp
tests_unit_test_secretfile_LDADD = libunit.a $(L_CRYPTO) $(CHECK_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += tests/unit/test_credentials
TESTS += tests/unit/test_credentials
tests_unit_test_credentials_SOURCES = tests/unit/test_credentials.c
tests_unit_test_credentials_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_credentials_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_credentials_LDADD = libunit.a $(L_CRYPTO) $(CHECK_LIBS) $(CRYPTO_LIBS)
