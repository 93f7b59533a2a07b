# unit tests of src/bus: rig.c is whole nodes in one process
BUS_TEST_LIBS = libunit.a $(L_BUS) $(CARES_LIBS) $(CRYPTO_LIBS) $(INIH_LIBS) $(CHECK_LIBS)
BUS_RIG = tests/unit/rig.c tests/unit/rig.h

check_PROGRAMS += tests/unit/test_session
TESTS += tests/unit/test_session
tests_unit_test_session_SOURCES = tests/unit/test_session.c $(BUS_RIG)
tests_unit_test_session_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_session_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_session_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_session_memory
TESTS += tests/unit/test_session_memory
tests_unit_test_session_memory_SOURCES = tests/unit/test_session_memory.c $(BUS_RIG)
tests_unit_test_session_memory_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_session_memory_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_session_memory_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_fanout
TESTS += tests/unit/test_fanout
tests_unit_test_fanout_SOURCES = tests/unit/test_fanout.c $(BUS_RIG)
tests_unit_test_fanout_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_fanout_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fanout_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_feed
TESTS += tests/unit/test_feed
tests_unit_test_feed_SOURCES = tests/unit/test_feed.c $(BUS_RIG)
tests_unit_test_feed_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_feed_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_feed_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=tee -Wl,--wrap=splice
tests_unit_test_feed_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_session_bytes
TESTS += tests/unit/test_session_bytes
tests_unit_test_session_bytes_SOURCES = tests/unit/test_session_bytes.c $(BUS_RIG)
tests_unit_test_session_bytes_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_session_bytes_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_session_bytes_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=recv -Wl,--wrap=send \
	-Wl,--wrap=sendmsg -Wl,--wrap=splice -Wl,--wrap=epoll_ctl
tests_unit_test_session_bytes_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_quota
TESTS += tests/unit/test_quota
tests_unit_test_quota_SOURCES = tests/unit/test_quota.c
tests_unit_test_quota_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_quota_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_quota_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_backend
TESTS += tests/unit/test_backend
tests_unit_test_backend_SOURCES = tests/unit/test_backend.c $(BUS_RIG) \
	tests/unit/nameserver.c tests/unit/nameserver.h
tests_unit_test_backend_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_backend_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_backend_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_link
TESTS += tests/unit/test_link
tests_unit_test_link_SOURCES = tests/unit/test_link.c $(BUS_RIG)
tests_unit_test_link_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_link_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_link_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=sock_path
tests_unit_test_link_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_node
TESTS += tests/unit/test_node
tests_unit_test_node_SOURCES = tests/unit/test_node.c $(BUS_RIG) \
	tests/unit/nameserver.c tests/unit/nameserver.h
tests_unit_test_node_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_node_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_node_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_secure
TESTS += tests/unit/test_secure
tests_unit_test_secure_SOURCES = tests/unit/test_secure.c tests/unit/cluster.c tests/unit/cluster.h
tests_unit_test_secure_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_secure_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_secure_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_keys
TESTS += tests/unit/test_keys
tests_unit_test_keys_SOURCES = tests/unit/test_keys.c $(HUNT) \
	tests/unit/child.c tests/unit/child.h tests/unit/cluster.c tests/unit/cluster.h
tests_unit_test_keys_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_keys_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_keys_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=noise_split \
	-Wl,--wrap=randombytes_buf -Wl,--wrap=crypto_scalarmult
tests_unit_test_keys_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_doorman
TESTS += tests/unit/test_doorman
tests_unit_test_doorman_SOURCES = tests/unit/test_doorman.c
tests_unit_test_doorman_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_doorman_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_doorman_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_census
TESTS += tests/unit/test_census
tests_unit_test_census_SOURCES = tests/unit/test_census.c
tests_unit_test_census_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_census_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_census_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_lobby
TESTS += tests/unit/test_lobby
tests_unit_test_lobby_SOURCES = tests/unit/test_lobby.c $(BUS_RIG) \
	tests/unit/cluster.c tests/unit/cluster.h
tests_unit_test_lobby_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_lobby_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_lobby_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_sealed
TESTS += tests/unit/test_sealed
tests_unit_test_sealed_SOURCES = tests/unit/test_sealed.c $(BUS_RIG) \
	tests/unit/cluster.c tests/unit/cluster.h tests/unit/fast.c tests/unit/fast.h
tests_unit_test_sealed_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_sealed_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_sealed_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_nat
TESTS += tests/unit/test_nat
tests_unit_test_nat_SOURCES = tests/unit/test_nat.c $(BUS_RIG)
tests_unit_test_nat_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_nat_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_nat_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_chatter
TESTS += tests/unit/test_chatter
tests_unit_test_chatter_SOURCES = tests/unit/test_chatter.c
tests_unit_test_chatter_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_chatter_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_chatter_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_guard
TESTS += tests/unit/test_guard
tests_unit_test_guard_SOURCES = tests/unit/test_guard.c $(BUS_RIG) \
	tests/unit/cluster.c tests/unit/cluster.h tests/unit/fast.c tests/unit/fast.h
tests_unit_test_guard_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_guard_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_guard_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_reload
TESTS += tests/unit/test_reload
tests_unit_test_reload_SOURCES = tests/unit/test_reload.c $(BUS_RIG)
tests_unit_test_reload_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_reload_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_reload_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_offers
TESTS += tests/unit/test_offers
tests_unit_test_offers_SOURCES = tests/unit/test_offers.c
tests_unit_test_offers_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_offers_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_offers_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_stats
TESTS += tests/unit/test_stats
tests_unit_test_stats_SOURCES = tests/unit/test_stats.c $(BUS_RIG) \
	tests/unit/nameserver.c tests/unit/nameserver.h
tests_unit_test_stats_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_stats_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_stats_LDADD = $(BUS_TEST_LIBS)

check_PROGRAMS += tests/unit/test_survey
TESTS += tests/unit/test_survey
tests_unit_test_survey_SOURCES = tests/unit/test_survey.c $(BUS_RIG) \
	tests/unit/cluster.c tests/unit/cluster.h tests/unit/fast.c tests/unit/fast.h
tests_unit_test_survey_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_survey_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_survey_LDADD = $(BUS_TEST_LIBS)
