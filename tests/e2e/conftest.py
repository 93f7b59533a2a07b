import os
import resource
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import wan  # noqa: E402 (the path comes first)
from bus import Bus  # noqa: E402
from daemon import needed  # noqa: E402


def pytest_configure():
    # In the background of a shell it is ignored, and would be in all that is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Thousands of sessions have both of their ends in this process.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1 << 16), hard))


@pytest.fixture
def bus(tmp_path):
    """A bus to configure and start; its end is part of the test."""
    value = Bus(tmp_path)
    try:
        yield value
    finally:
        wrong = value.close()
        value.print_logs()  # shown for a failed test only
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def need():
    """need("psql"): as daemon.needed()."""
    return needed


@pytest.fixture
def long_path(need):
    """Two machines, 20 ms from each other: see wan.py."""
    if os.geteuid() != 0 or not wan.TUNLINK.exists() or not os.path.exists("/dev/net/tun"):
        pytest.skip("needs root, /dev/net/tun, and tests/bench/tunlink to be built")
    need("nsenter")
    made = wan.Wan(need("ip"), delay_ms=20)
    yield made
    made.close()
