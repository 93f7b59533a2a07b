noinst_LIBRARIES += libbus.a
libbus_a_SOURCES = \
	src/bus/acceptor.c src/bus/acceptor.h \
	src/bus/backend.c src/bus/backend.h \
	src/bus/bus.c src/bus/bus.h \
	src/bus/census.c src/bus/census.h \
	src/bus/chatter.c src/bus/chatter.h \
	src/bus/coverage.c src/bus/coverage.h \
	src/bus/dialer.c src/bus/dialer.h \
	src/bus/directory.c src/bus/directory.h \
	src/bus/leaving.c src/bus/leaving.h \
	src/bus/doorman.c src/bus/doorman.h \
	src/bus/egress.c src/bus/egress.h \
	src/bus/ending.c src/bus/ending.h \
	src/bus/entrance.c src/bus/entrance.h \
	src/bus/fanout.c src/bus/fanout.h \
	src/bus/generation.c src/bus/generation.h \
	src/bus/guard.c src/bus/guard.h src/bus/vouch.c src/bus/vouch.h \
	src/bus/permit.c src/bus/permit.h src/bus/expiry.c src/bus/expiry.h \
	src/bus/handshake.c src/bus/handshake.h \
	src/bus/ingress.c src/bus/ingress.h \
	src/bus/keyring.c src/bus/keyring.h \
	src/bus/link.c src/bus/link.h \
	src/bus/listen.c src/bus/listen.h \
	src/bus/lobby.c src/bus/lobby.h \
	src/bus/node.c src/bus/node.h src/bus/node_impl.h \
	src/bus/node_controller.c src/bus/node_controller.h \
	src/bus/node_segment.c src/bus/node_segment.h \
	src/bus/output.c src/bus/output.h \
	src/bus/pipes.c src/bus/pipes.h \
	src/bus/quota.c src/bus/quota.h \
	src/bus/offers.c src/bus/offers.h \
	src/bus/registry.c src/bus/registry.h src/bus/registry_impl.h \
	src/bus/relay.c src/bus/relay.h \
	src/bus/feed.c src/bus/feed.h \
	src/bus/say.c src/bus/say.h \
	src/bus/sealed.c src/bus/sealed.h \
	src/bus/secure.c src/bus/secure.h \
	src/bus/roster.c src/bus/roster.h \
	src/bus/server.c src/bus/server.h \
	src/bus/server_bus.c src/bus/server_bus.h \
	src/bus/server_dial.c src/bus/server_dial.h \
	src/bus/session.c src/bus/session.h \
	src/bus/stats.c src/bus/stats.h \
	src/bus/survey.c src/bus/survey.h \
	src/bus/turns.c src/bus/turns.h \
	src/bus/transport.c src/bus/transport.h \
	src/bus/uplink.c src/bus/uplink.h
