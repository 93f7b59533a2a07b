# Fuzz targets.  tests/fuzz/fuzz_NAME.c has LLVMFuzzerTestOneInput(), tests/fuzz/corpus/NAME
# what it is to be fed at least.  Without arguments each program replays its corpus, in
# `make check` too; with --enable-fuzzers it is a libFuzzer program as well:
#
#	tests/fuzz/fuzz_conf NEW_CORPUS_DIR $srcdir/tests/fuzz/corpus/conf
#
# A further target is two lines here, and its corpus is found by itself.
FUZZ_TARGETS =
FUZZ_CORPUS = $(srcdir)/tests/fuzz/corpus

FUZZ_TARGETS += tests/fuzz/fuzz_conf
tests_fuzz_fuzz_conf_LDADD = libfuzz.a $(L_CONF) $(INIH_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_decoder
tests_fuzz_fuzz_decoder_LDADD = libfuzz.a $(L_WIRE) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_keyfile
tests_fuzz_fuzz_keyfile_LDADD = libfuzz.a $(L_CRYPTO) $(CRYPTO_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_mux
tests_fuzz_fuzz_mux_LDADD = libfuzz.a $(L_SESSION) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_handshake
tests_fuzz_fuzz_handshake_LDADD = libfuzz.a $(L_CRYPTO) $(CRYPTO_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_record
tests_fuzz_fuzz_record_LDADD = libfuzz.a $(L_CRYPTO) $(CRYPTO_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_secure
tests_fuzz_fuzz_secure_LDADD = libfuzz.a $(L_BUS) $(CARES_LIBS) $(CRYPTO_LIBS) $(INIH_LIBS) \
	$(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_token
tests_fuzz_fuzz_token_LDADD = libfuzz.a $(L_CRYPTO) $(CRYPTO_LIBS) $(FUZZ_LIBS)

EXTRA_DIST += tests/fuzz/corpus

if TESTS_ENABLED
check_PROGRAMS += $(FUZZ_TARGETS)
check_LIBRARIES += libfuzz.a
TESTS += $(FUZZ_TARGETS)
endif

libfuzz_a_SOURCES = tests/fuzz/replay.c
libfuzz_a_CPPFLAGS = $(AM_CPPFLAGS) $(FUZZ_CPPFLAGS)
if FUZZERS_ENABLED
FUZZ_CPPFLAGS = -DFUZZ_WITH_ENGINE
endif
