noinst_LIBRARIES += libwire.a
libwire_a_SOURCES = \
	src/wire/decoder.c src/wire/decoder.h \
	src/wire/wire.c src/wire/wire.h
