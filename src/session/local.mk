noinst_LIBRARIES += libsession.a
libsession_a_SOURCES = \
	src/session/budget.c src/session/budget.h \
	src/session/credit.c src/session/credit.h \
	src/session/liveness.c src/session/liveness.h \
	src/session/mux.c src/session/mux.h src/session/mux_impl.c src/session/mux_impl.h \
	src/session/mux_in.c src/session/mux_in.h \
	src/session/mux_out.c src/session/mux_out.h \
	src/session/sched.c src/session/sched.h \
	src/session/stream.c src/session/stream.h
