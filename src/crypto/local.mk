noinst_LIBRARIES += libcbcrypto.a
libcbcrypto_a_SOURCES = \
	src/crypto/aead.h \
	src/crypto/gate.c src/crypto/gate.h \
	src/crypto/noise.h \
	src/crypto/record.h \
	src/crypto/suite.h
