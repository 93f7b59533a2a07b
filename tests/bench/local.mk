# The benchmark: a load tool, a link with delay, and the script that measures with them.
check_PROGRAMS += tests/bench/loadgen tests/bench/tunlink tests/bench/bare tests/bench/aead
tests_bench_loadgen_SOURCES = \
	tests/bench/bulk.c tests/bench/bulk.h \
	tests/bench/endpoint.c tests/bench/endpoint.h \
	tests/bench/ev.c tests/bench/ev.h \
	tests/bench/exchange.c tests/bench/exchange.h \
	tests/bench/hist.c tests/bench/hist.h \
	tests/bench/idle.c tests/bench/idle.h \
	tests/bench/loadgen.c \
	tests/bench/options.c tests/bench/options.h \
	tests/bench/pattern.c tests/bench/pattern.h \
	tests/bench/rates.c tests/bench/rates.h \
	tests/bench/server.c tests/bench/server.h \
	tests/bench/tool.c tests/bench/tool.h
tests_bench_tunlink_SOURCES = tests/bench/tunlink.c
tests_bench_bare_SOURCES = \
	tests/bench/bare.c \
	tests/bench/bare_batch.c tests/bench/bare_batch.h \
	tests/bench/bare_splice.c tests/bench/bare_splice.h \
	tests/bench/endpoint.c tests/bench/endpoint.h \
	tests/bench/ev.c tests/bench/ev.h \
	tests/bench/tool.c tests/bench/tool.h
# Run by hand: the engines of src/crypto/aead.h beside each other.
tests_bench_aead_SOURCES = tests/bench/aead.c
tests_bench_aead_LDADD = $(L_CRYPTO) $(CRYPTO_LIBS)

dist_check_SCRIPTS += tests/bench/bench tests/bench/smoke
EXTRA_DIST += \
	tests/bench/measure.py \
	tests/bench/picture.py \
	tests/bench/place.py \
	tests/bench/report.py \
	tests/bench/results/results.json \
	tests/bench/results/results.svg \
	tests/bench/results/results.txt \
	tests/bench/rows.py \
	tests/bench/systems.py
TESTS += tests/bench/smoke

# As root: make bench, or with flags: make bench BENCHFLAGS='--long --out /tmp/results'
bench: controller segment cloudbus tests/bench/loadgen tests/bench/tunlink \
		tests/bench/bare
	$(srcdir)/tests/bench/bench --out tests/bench/out $(BENCHFLAGS)
.PHONY: bench
