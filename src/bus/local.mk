noinst_LIBRARIES += libbus.a
libbus_a_SOURCES = \
	src/bus/acceptor.c src/bus/acceptor.h \
	src/bus/backend.c src/bus/backend.h \
	src/bus/bus.c src/bus/bus.h \
	src/bus/egress.c src/bus/egress.h \
	src/bus/fanout.c src/bus/fanout.h \
	src/bus/ingress.c src/bus/ingress.h \
	src/bus/link.c src/bus/link.h \
	src/bus/listen.c src/bus/listen.h \
	src/bus/node.c src/bus/node.h \
	src/bus/output.c src/bus/output.h \
	src/bus/pipes.c src/bus/pipes.h \
	src/bus/quota.c src/bus/quota.h \
	src/bus/relay.c src/bus/relay.h \
	src/bus/server.c src/bus/server.h \
	src/bus/session.c src/bus/session.h \
	src/bus/transport.c src/bus/transport.h
