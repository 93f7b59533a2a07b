noinst_LIBRARIES += libcbcrypto.a
libcbcrypto_a_SOURCES = \
	src/crypto/aead.c src/crypto/aead.h \
	src/crypto/aead_engine.h \
	src/crypto/aead_sodium.c \
	src/crypto/credentials.c src/crypto/credentials.h \
	src/crypto/gate.c src/crypto/gate.h \
	src/crypto/keyfile.c src/crypto/keyfile.h \
	src/crypto/locked.c src/crypto/locked.h \
	src/crypto/name.c src/crypto/name.h \
	src/crypto/noise.c src/crypto/noise.h \
	src/crypto/pattern.c src/crypto/pattern.h \
	src/crypto/record.c src/crypto/record.h \
	src/crypto/revoked.c src/crypto/revoked.h \
	src/crypto/secretfile.c src/crypto/secretfile.h \
	src/crypto/suite.h \
	src/crypto/token.c src/crypto/token.h \
	src/crypto/token_claims.c src/crypto/token_claims.h \
	src/crypto/why.c src/crypto/why.h
if HAVE_LIBCRYPTO
libcbcrypto_a_SOURCES += src/crypto/aead_libcrypto.c
endif
