# End-to-end tests of the binaries; make check runs them in the build directory.
dist_check_SCRIPTS += tests/e2e/run
EXTRA_DIST += \
	tests/e2e/bus.py \
	tests/e2e/conftest.py \
	tests/e2e/daemon.py \
	tests/e2e/nameserver.py \
	tests/e2e/net.py \
	tests/e2e/proto.py \
	tests/e2e/pytest.ini \
	tests/e2e/relay.py \
	tests/e2e/wait.py \
	tests/e2e/test_harness.py
