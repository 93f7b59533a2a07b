bin_PROGRAMS += cloudbus
cloudbus_SOURCES = \
	src/tool/files.c src/tool/files.h \
	src/tool/init.c src/tool/init.h \
	src/tool/issue.c src/tool/issue.h \
	src/tool/keygen.c src/tool/keygen.h \
	src/tool/main.c \
	src/tool/node_key.c src/tool/node_key.h \
	src/tool/show.c src/tool/show.h \
	src/tool/tool.c src/tool/tool.h
cloudbus_LDADD = libcbcrypto.a $(L_CONF) $(CRYPTO_LIBS) $(INIH_LIBS)
