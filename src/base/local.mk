noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	src/base/addr.c src/base/addr.h \
	src/base/clock.c src/base/clock.h \
	src/base/err.c src/base/err.h \
	src/base/fifo.c src/base/fifo.h \
	src/base/hash.c src/base/hash.h \
	src/base/list.h \
	src/base/log.c src/base/log.h \
	src/base/mem.c src/base/mem.h \
	src/base/ring.c src/base/ring.h \
	src/base/spare.c src/base/spare.h \
	src/base/standard.c src/base/standard.h \
	src/base/timers.c src/base/timers.h \
	src/base/utf8.c src/base/utf8.h
