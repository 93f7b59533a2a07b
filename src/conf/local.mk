noinst_LIBRARIES += libconf.a
libconf_a_SOURCES = \
	src/conf/conf.c src/conf/conf.h \
	src/conf/conf_check.c src/conf/conf_check.h \
	src/conf/conf_equal.c src/conf/conf_equal.h \
	src/conf/conf_errors.c src/conf/conf_errors.h \
	src/conf/conf_field.c src/conf/conf_field.h \
	src/conf/conf_ini.c src/conf/conf_ini.h \
	src/conf/conf_keys.c src/conf/conf_keys.h \
	src/conf/conf_value.c src/conf/conf_value.h
