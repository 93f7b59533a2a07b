noinst_LIBRARIES += libnet.a
libnet_a_SOURCES = \
	src/net/connector.c src/net/connector.h \
	src/net/dns.c src/net/dns.h \
	src/net/dns_answer.c src/net/dns_answer.h \
	src/net/loop.c src/net/loop.h \
	src/net/resolver.c src/net/resolver.h \
	src/net/sock.c src/net/sock.h
