# End-to-end tests of the binaries; make check runs them in the build directory, and
# make check E2E_TESTS= all but them.
dist_check_SCRIPTS += tests/e2e/run
E2E_TESTS = tests/e2e/run
TESTS += $(E2E_TESTS)
EXTRA_DIST += \
	tests/e2e/bus.py \
	tests/e2e/conftest.py \
	tests/e2e/daemon.py \
	tests/e2e/metrics.py \
	tests/e2e/nameserver.py \
	tests/e2e/net.py \
	tests/e2e/noise.py \
	tests/e2e/proto.py \
	tests/e2e/pytest.ini \
	tests/e2e/relay.py \
	tests/e2e/wait.py \
	tests/e2e/wan.py \
	tests/e2e/test_cli.py \
	tests/e2e/test_clients.py \
	tests/e2e/test_cloudbus_tool.py \
	tests/e2e/test_config.py \
	tests/e2e/test_dns.py \
	tests/e2e/test_fanout.py \
	tests/e2e/test_flow.py \
	tests/e2e/test_hardening.py \
	tests/e2e/test_harness.py \
	tests/e2e/test_identities.py \
	tests/e2e/test_links.py \
	tests/e2e/test_log.py \
	tests/e2e/test_metrics.py \
	tests/e2e/test_metrics_numbers.py \
	tests/e2e/test_nat_links.py \
	tests/e2e/test_process.py \
	tests/e2e/test_readme.py \
	tests/e2e/test_reload.py \
	tests/e2e/test_resources.py \
	tests/e2e/test_secured.py \
	tests/e2e/test_secured_keys.py \
	tests/e2e/test_secured_peer.py \
	tests/e2e/test_sessions.py \
	tests/e2e/test_steady.py \
	tests/e2e/test_told.py \
	tests/e2e/test_unix.py \
	tests/e2e/test_wire.py
