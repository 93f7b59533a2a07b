"""The processes: signals, the drain, exit statuses, logs."""

import os
import signal
import subprocess
import time

import pytest

from daemon import PROGRAMS, command, environment, wrapped
from net import FIN, RST, echo, pattern
from wait import DEADLINE, Task, eventually, remains

MIB = 1 << 20


@pytest.fixture
def running(bus):
    """A started pair with one service played by hand: (service, backend)."""
    backend = bus.listen()
    service = bus.service(backend)
    for node in (bus.controller, *bus.segments):
        node.options["drain_timeout"] = "60s"
    bus.start()
    return service, backend


def daemon_of(bus, program):
    return (bus.controller if program == "controller" else bus.segments[0]).daemon


def session(bus, running):
    client, server = bus.pair(*running)
    client.send(b"x")
    assert server.recv_exactly(1) == b"x"
    return client, server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_idle_process_exits_0_at_once(bus, running, program, number):
    daemon = daemon_of(bus, program)
    daemon.signal(number)
    assert daemon.wait_exit() == 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_drain_finishes_running_sessions_and_takes_no_new_ones(bus, running, program):
    client, server = session(bus, running)
    daemon = daemon_of(bus, program)
    daemon.signal(signal.SIGTERM)
    if program == "controller":
        def refused():
            try:
                bus.connect(running[0]).reset()  # the drain would wait for it
            except OSError:
                return True
            return False
        eventually(refused, "the listener is closed")
    else:
        eventually(lambda: daemon.logged(r"(?i)drain"), "it drains")
    remains(daemon.running, 0.5)
    data = pattern(8 * MIB)
    sending = Task(lambda: (server.send(data), server.fin()))
    client.send(b"tail")
    client.fin()
    assert client.recv_end() == (data, FIN)
    assert server.recv_end() == (b"tail", FIN)
    sending.result()
    client.close()
    server.close()
    assert daemon.wait_exit() == 0


def test_drained_segment_leaves_a_slow_reader_its_tail(bus, running):
    """The session is over on the wire, and the segment gone, long before the client has read."""
    client = bus.connect(running[0], rcvbuf=16384)
    server = running[1].accept()
    segment = bus.segments[0].daemon
    segment.signal(signal.SIGTERM)
    data = pattern(16 * MIB)
    client.fin()
    assert server.recv_end() == (b"", FIN)
    sending = Task(lambda: (server.send(data), server.close()))
    got, tail = bytearray(), 192 * 1024  # of which not a byte needs to be read for all to be sent
    while segment.running():
        if len(got) < len(data) - tail:
            got += client.recv(min(65536, len(data) - tail - len(got)))
        time.sleep(0.002)
    sending.result()
    end = client.recv_end()
    assert (bytes(got) + end.data, end.how) == (data, FIN)
    assert segment.wait_exit() == 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_drain_timeout_cuts_sessions_off_and_exits_1(bus, program):
    backend = bus.listen()
    service = bus.service(backend)
    node = bus.controller if program == "controller" else bus.segments[0]
    node.options["drain_timeout"] = "1s"
    bus.start()
    client, server = session(bus, (service, backend))
    node.daemon.signal(signal.SIGTERM)
    assert client.recv_end() == (b"", RST)
    assert server.recv_end() == (b"", RST)
    assert node.daemon.wait_exit() == 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_second_signal_exits_at_once_with_1(bus, running, program):
    client, server = session(bus, running)
    daemon = daemon_of(bus, program)
    daemon.signal(signal.SIGTERM)
    eventually(lambda: daemon.logged(r"(?i)drain"), "it drains")
    remains(daemon.running, 0.3)
    daemon.signal(signal.SIGINT)
    assert daemon.wait_exit() == 1
    assert client.recv_end() == (b"", RST)
    assert server.recv_end() == (b"", RST)


def test_both_drain_at_once(bus, running):
    client, server = session(bus, running)
    for run in bus.daemons():
        run.signal(signal.SIGTERM)
    client.send(b"bye")
    client.fin()
    assert server.recv_end() == (b"bye", FIN)
    server.fin()
    assert client.recv_end() == (b"", FIN)
    client.close()
    server.close()
    assert [run.wait_exit() for run in bus.daemons()] == [0, 0]


def test_drain_without_the_peer(bus, running):
    """The segment is gone for good: the controller has nothing to wait for."""
    bus.segments[0].daemon.kill()
    bus.controller.daemon.signal(signal.SIGTERM)
    assert bus.controller.daemon.wait_exit() == 0


def test_session_that_waits_for_a_segment_does_not_hold_up_the_drain_for_ever(bus):
    service = bus.service(bus.serve(echo), connect_timeout="2s")
    bus.controller.start()
    client = bus.connect(service)
    client.send(b"x")
    client.silent(0.2)
    bus.controller.daemon.signal(signal.SIGTERM)
    assert client.recv_end() == (b"", RST)
    assert bus.controller.daemon.wait_exit() in (0, 1)


@pytest.mark.parametrize("program", PROGRAMS)
def test_sighup_leaves_sessions_alone(bus, running, program):
    client, server = session(bus, running)
    daemon = daemon_of(bus, program)
    daemon.signal(signal.SIGHUP)
    eventually(lambda: daemon.logged("reloaded: .* 1 as before"), "it says so")
    server.send(b"still")
    assert client.recv_exactly(5) == b"still"


@pytest.mark.parametrize("program", PROGRAMS)
def test_case_51_storm_of_signals(bus, running, program):
    client, server = session(bus, running)
    daemon = daemon_of(bus, program)
    for _ in range(2000):
        for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH):
            daemon.signal(number)
    server.send(b"still")
    assert client.recv_exactly(5) == b"still"
    assert daemon.running()


def test_case_41_client_gone_while_bytes_flow(bus, running):
    for _ in range(20):
        client, server = session(bus, running)
        sending = Task(server.send_for_ever, bytes(MIB))
        client.recv_exactly(1000)
        client.reset()
        with pytest.raises(OSError):
            sending.result()
        server.close()
    session(bus, running)


def _run_with_stderr(bus, node, stderr):
    node.path.write_text(node.text(), encoding="utf-8")
    return subprocess.Popen(command(node.program, "-c", str(node.path)), env=environment(),
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)


@pytest.mark.parametrize("kind", ["full", "stalled", "closed"])
def test_case_40_log_that_takes_nothing(bus, kind):
    """A full disk, a pipe nobody reads, a pipe nobody holds: the service goes on."""
    service = bus.service(bus.serve(echo))
    bus.segments[0].start()
    read_end = None
    if kind == "full":
        stderr = os.open("/dev/full", os.O_WRONLY)
    else:
        read_end, stderr = os.pipe()
        if kind == "stalled":
            os.set_blocking(stderr, False)
            try:
                while True:
                    os.write(stderr, bytes(4096))
            except BlockingIOError:
                os.set_blocking(stderr, True)
        else:
            os.close(read_end)
            read_end = None
    process = _run_with_stderr(bus, bus.controller, stderr)
    os.close(stderr)
    try:
        def answers():
            assert process.poll() is None, "it died"
            try:
                client = bus.connect(service)
            except OSError:
                return False
            client.send(b"x")
            client.fin()
            return client.recv_end() == (b"x", FIN)
        for _ in range(20):
            eventually(answers, "the service works")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()
        if read_end is not None:
            os.close(read_end)


def test_log_level_is_kept(bus):
    service = bus.service(bus.serve(echo), connect_timeout="60s")
    for node in (bus.controller, *bus.segments):
        node.options["log"] = "error"
    for node in (*bus.segments, bus.controller):
        node.spawn()
    client = eventually(lambda: _try(bus, service), "it listens")
    client.send(b"x")
    client.fin()
    assert client.recv_end() == (b"x", FIN)
    for run in bus.daemons():
        assert run.log() == ""


def _try(bus, service):
    try:
        return bus.connect(service)
    except OSError:
        return None


def test_refused_and_dropped_things_are_logged(bus):
    """Never silent: a session that is refused has its line, with the service's name."""
    service = bus.service(bus.address(), name="orphan")
    bus.start()
    bus.refused(service)
    assert bus.controller.daemon.wait_log("orphan")


def test_configuration_file_may_vanish(bus):
    """Nothing but the named sockets depends on a path after the start."""
    service = bus.service(bus.serve(echo))
    bus.start()
    for node in (bus.controller, *bus.segments):
        node.path.unlink()
    client = bus.connect(service)
    client.send(b"x")
    assert client.recv_exactly(1) == b"x"


@pytest.mark.parametrize("program", PROGRAMS)
def test_closed_standard_descriptors_become_nothing_else(bus, program):
    """Otherwise a socket would be standard error, and its peer get the log."""
    if wrapped():
        pytest.skip("the wrapper needs them")
    service = bus.service(bus.serve(echo))
    node = bus.controller if program == "controller" else bus.segments[0]
    other = bus.segments[0] if program == "controller" else bus.controller
    node.options["hardening"] = "off"  # to look at it
    other.spawn()
    node.prefix = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-']
    pid = node.spawn().pid
    def works():
        try:
            client = bus.connect(service)
            client.send(b"hello")
            return client.recv_exactly(5) == b"hello"
        except OSError:
            return False
    eventually(works, "a session")
    names = {os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)}
    assert names == {"/dev/null"}
