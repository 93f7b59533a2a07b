# unit tests of src/net
check_PROGRAMS += tests/unit/test_loop tests/unit/test_sock tests/unit/test_connector \
	tests/unit/test_dns tests/unit/test_dns_answer tests/unit/test_sock_give
TESTS += tests/unit/test_loop tests/unit/test_sock tests/unit/test_connector tests/unit/test_dns \
	tests/unit/test_dns_answer tests/unit/test_sock_give
NET_TEST_LIBS = libunit.a $(L_NET) $(CARES_LIBS) $(CHECK_LIBS)

tests_unit_test_loop_SOURCES = tests/unit/test_loop.c
tests_unit_test_loop_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_loop_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_loop_LDADD = $(NET_TEST_LIBS)

tests_unit_test_sock_SOURCES = tests/unit/test_sock.c
tests_unit_test_sock_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_sock_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_sock_LDADD = $(NET_TEST_LIBS)

tests_unit_test_sock_give_SOURCES = tests/unit/test_sock_give.c
tests_unit_test_sock_give_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_sock_give_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_sock_give_LDADD = $(NET_TEST_LIBS)

tests_unit_test_connector_SOURCES = tests/unit/test_connector.c
tests_unit_test_connector_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_connector_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_connector_LDADD = $(NET_TEST_LIBS)

tests_unit_test_dns_SOURCES = tests/unit/test_dns.c \
	tests/unit/nameserver.c tests/unit/nameserver.h
tests_unit_test_dns_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_dns_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_dns_LDADD = $(NET_TEST_LIBS)

tests_unit_test_dns_answer_SOURCES = tests/unit/test_dns_answer.c
tests_unit_test_dns_answer_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_dns_answer_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_dns_answer_LDADD = $(NET_TEST_LIBS)
