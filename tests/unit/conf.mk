CONF_LDADD = libunit.a $(L_CONF) $(INIH_LIBS) $(CHECK_LIBS)
CONF_CPPFLAGS = $(UNIT_CPPFLAGS) -DUNIT_SRCDIR='"$(abs_top_srcdir)"'

check_PROGRAMS += tests/unit/test_conf
TESTS += tests/unit/test_conf
tests_unit_test_conf_SOURCES = tests/unit/test_conf.c
tests_unit_test_conf_CPPFLAGS = $(CONF_CPPFLAGS)
tests_unit_test_conf_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_conf_LDADD = $(CONF_LDADD)

check_PROGRAMS += tests/unit/test_conf_ini
TESTS += tests/unit/test_conf_ini
tests_unit_test_conf_ini_SOURCES = tests/unit/test_conf_ini.c
tests_unit_test_conf_ini_CPPFLAGS = $(CONF_CPPFLAGS)
tests_unit_test_conf_ini_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_conf_ini_LDADD = $(CONF_LDADD)

check_PROGRAMS += tests/unit/test_conf_keys
TESTS += tests/unit/test_conf_keys
tests_unit_test_conf_keys_SOURCES = tests/unit/test_conf_keys.c
tests_unit_test_conf_keys_CPPFLAGS = $(CONF_CPPFLAGS)
tests_unit_test_conf_keys_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_conf_keys_LDADD = $(CONF_LDADD)

check_PROGRAMS += tests/unit/test_conf_value
TESTS += tests/unit/test_conf_value
tests_unit_test_conf_value_SOURCES = tests/unit/test_conf_value.c
tests_unit_test_conf_value_CPPFLAGS = $(CONF_CPPFLAGS)
tests_unit_test_conf_value_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_conf_value_LDADD = $(CONF_LDADD)
