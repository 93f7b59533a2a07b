"""What runs out: descriptors, ports, memory; and what idleness costs."""

import os
import subprocess
import time

import pytest

from daemon import sanitized
from net import FIN, RST, Stream, echo, pattern, sink
from wait import DEADLINE, Task, eventually, remains

MIB = 1 << 20
# Memory is compared with the same process before; sanitizers keep freed memory for a while.
SLACK = 4 if sanitized() else 1


def echoes(bus, service):
    client = bus.connect(service)
    client.send(b"x")
    client.fin()
    end = client.recv_end()
    client.close()
    return end == (b"x", FIN)


def test_idle_pair_uses_no_cpu(bus):
    service = bus.service(bus.serve(echo))
    bus.start()
    assert echoes(bus, service)
    before = [run.cpu() for run in bus.daemons()]
    time.sleep(3)
    for run, cpu in zip(bus.daemons(), before):
        assert run.cpu() - cpu < 0.25


def test_idle_sessions_use_no_cpu(bus):
    backend = bus.listen()
    service = bus.service(backend)
    bus.start()
    for _ in range(300):
        bus.connect(service)
    eventually(lambda: min(run.fds() for run in bus.daemons()) > 300, "all are open")
    half = bus.connect(service)
    half.fin()
    time.sleep(0.5)
    before = [run.cpu() for run in bus.daemons()]
    time.sleep(3)
    for run, cpu in zip(bus.daemons(), before):
        assert run.cpu() - cpu < 0.25


def test_case_35_63_emfile_in_accept(bus):
    """No descriptor left: nothing spins, running sessions go on, new ones wait or are reset, and
    everything works again afterwards."""
    service = bus.service(bus.serve(echo))
    bus.start()
    controller = bus.controller.daemon
    running = bus.connect(service)
    running.send(b"x")
    assert running.recv_exactly(1) == b"x"
    controller.leave_files(3)
    crowd = [bus.connect(service) for _ in range(40)]
    for client in crowd:
        _send(client, b"hello")
    controller.wait_idle()
    running.send(b"y")
    assert running.recv_exactly(1) == b"y"
    for client in crowd[:20]:  # descriptors come back because others end
        _fin(client)
        assert client.recv_end() in ((b"hello", FIN), (b"", RST))
        client.close()
    controller.free_files()
    for client in crowd[20:]:
        _fin(client)
        assert client.recv_end() in ((b"hello", FIN), (b"", RST))
    for _ in range(10):
        assert echoes(bus, service)


def _send(client, data):
    try:
        client.send(data)
    except OSError:
        pass  # reset already; recv_end() tells


def _fin(client):
    try:
        client.fin()
    except OSError:
        pass


def test_case_63_emfile_in_accept_of_transports(bus):
    service = bus.service(bus.serve(echo), connect_timeout="60s")
    node = bus.segments[0]
    node.start()
    node.daemon.leave_files(0)
    bus.controller.start()
    remains(node.daemon.running, 0.5)  # the transport waits to be accepted by now
    node.daemon.wait_idle()
    node.daemon.free_files()
    bus.wait_links()
    assert echoes(bus, service)


def test_case_36_emfile_for_a_backend_socket(bus):
    """That session alone is reset."""
    service = bus.service(bus.serve(echo))
    bus.start()
    segment = bus.segments[0].daemon
    running = bus.connect(service)
    running.send(b"x")
    assert running.recv_exactly(1) == b"x"
    segment.leave_files(0)
    for _ in range(5):
        bus.refused(service)
    segment.wait_idle()
    running.send(b"y")
    assert running.recv_exactly(1) == b"y"
    segment.free_files()
    assert echoes(bus, service)


def test_case_37_no_local_port_left(bus, need):
    """A network of its own with four ports for connections: what finds none is refused, the
    others live, and it recovers."""
    unshare, nsenter, ip = need("unshare"), need("nsenter"), need("ip", "/sbin")
    probe = subprocess.run([unshare, "-n", "true"], check=False, capture_output=True)
    if probe.returncode != 0:
        pytest.skip("no right to make a network namespace")
    holder = subprocess.Popen([unshare, "-n", "sleep", "600"])
    try:
        here = os.readlink("/proc/self/ns/net")
        eventually(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != here, "the namespace")
        inside = [nsenter, f"--net=/proc/{holder.pid}/ns/net"]
        subprocess.run([*inside, ip, "link", "set", "lo", "up"], check=True)
        subprocess.run([*inside, "sh", "-c",
                        "echo 40000 40003 >/proc/sys/net/ipv4/ip_local_port_range"], check=True)
        listener = subprocess.Popen(
            [*inside, "/usr/bin/python3", "-c",
             "import socket, time\n"
             "s = socket.create_server(('127.0.0.1', 30000), backlog=100)\n"
             "print('on', flush=True)\n"
             "time.sleep(600)"], stdout=subprocess.PIPE)
        try:
            assert listener.stdout.readline() == b"on\n"
            service = bus.service("tcp://127.0.0.1:30000", front="unix", link="unix")
            bus.segments[0].prefix = tuple(inside)
            bus.start()
            segment = bus.segments[0].daemon
            base = segment.fds()
            clients = [bus.connect(service) for _ in range(4)]
            eventually(lambda: segment.fds() >= base + 4, "the ports are in use")
            for _ in range(3):
                late = bus.connect(service)
                eventually(late.ended, "a session without a port ends")
            for client in clients:
                assert client.ended() is None
            segment.wait_idle()
        finally:
            listener.kill()
            listener.wait()
            listener.stdout.close()
    finally:
        holder.kill()
        holder.wait()


def test_descriptors_come_back(bus):
    service = bus.service(bus.serve(echo))
    bus.start()
    assert echoes(bus, service)
    before = [run.fds() for run in bus.daemons()]
    for number in range(200):
        client = bus.connect(service)
        if number % 4 == 0:
            client.reset()
            continue
        client.send(b"x" * 1000)
        if number % 4 == 1:
            client.close()
            continue
        assert client.recv_exactly(1000)
        if number % 4 == 2:
            client.fin()
            client.recv_end()
        client.close()
    eventually(lambda: all(run.fds() <= had for run, had in zip(bus.daemons(), before)),
               "all descriptors are closed again")


def test_memory_comes_back(bus):
    """Ten rounds of the same work cost no more than two."""
    service = bus.service(bus.serve(sink))
    bus.start()
    data = pattern(4 * MIB)

    def upload():
        client = bus.connect(service)
        client.send(data)
        client.fin()
        assert client.recv_end().how == FIN
        client.close()

    def rounds(number):
        for _ in range(number):
            for task in [Task(upload) for _ in range(16)]:
                task.result()
        return [run.rss() for run in bus.daemons()]
    for had, has in zip(rounds(2), rounds(8)):
        assert has - had < 32 * MIB * SLACK


def offer(streams, quiet):
    """Sends zeros on all streams until none has taken a byte for `quiet` seconds."""
    block, end = bytes(MIB), time.monotonic() + DEADLINE
    last = time.monotonic()
    for stream in streams:
        stream.sock.setblocking(False)
    while time.monotonic() < end:
        for stream in streams:
            try:
                stream.sock.send(block)
                last = time.monotonic()
            except OSError:
                pass  # full, or reset
        if time.monotonic() - last >= quiet:
            return
        time.sleep(0.005)


@pytest.mark.parametrize("slow", ["client", "backend"])
def test_readers_that_never_read_cost_bounded_memory(bus, slow):
    """64 sessions are each offered as much as they take."""
    backend = bus.listen()
    service = bus.service(backend)
    bus.start()
    before = [run.rss() for run in bus.daemons()]
    pairs = [bus.pair(service, backend) for _ in range(64)]
    writers = [pair[1 if slow == "client" else 0] for pair in pairs]
    offer(writers, quiet=2)
    for run, rss in zip(bus.daemons(), before):
        assert run.rss() - rss < 96 * MIB * SLACK
    for run in bus.daemons():
        run.wait_idle()


def test_memory_budget_is_kept(bus):
    """`memory` bounds what all sessions hold together: past it sessions are refused or reset,
    and once there is room again new ones are taken."""
    backend, other = bus.listen(), bus.service(bus.serve(echo))
    service = bus.service(backend)
    bus.controller.options["memory"] = "8M"
    bus.start()
    before = bus.controller.daemon.rss()
    clients, servers, refused = [], [], 0
    for _ in range(300):  # of which 32 alone could hold the budget: 256 KiB each
        try:
            clients.append(bus.connect(service, rcvbuf=4096))
            servers.append(backend.accept(0.5))
        except (OSError, TimeoutError):
            refused += 1
            if refused == 10:
                break
        offer(servers[-8:], quiet=0)

    def past():
        offer(servers, quiet=0)
        return refused or any(server.ended() == RST for server in servers)
    eventually(past, "somebody is refused or reset")
    offer(servers, quiet=1)
    assert bus.controller.daemon.rss() - before < 48 * MIB * SLACK
    for stream in clients + servers:
        stream.reset()
    eventually(lambda: _taken(bus, other), "sessions are taken again")


def _taken(bus, service):
    try:
        return echoes(bus, service)
    except ConnectionResetError:
        return False


def test_case_38_clients_gone_before_they_are_accepted(bus):
    service = bus.service(bus.serve(echo))
    bus.start()
    controller = bus.controller.daemon
    for _ in range(10):
        controller.freeze()
        for _ in range(50):
            Stream.connect(service.url).reset()
        controller.thaw()
    eventually(lambda: echoes(bus, service), "it goes on")


def test_many_sessions_at_once(bus):
    """A thousand sessions that all carry bytes."""
    service = bus.service(bus.serve(echo))
    bus.start()
    clients = [bus.connect(service) for _ in range(1000)]
    for round_ in range(3):
        for number, client in enumerate(clients):
            client.send(b"%d/%d" % (number, round_))
        for number, client in enumerate(clients):
            want = b"%d/%d" % (number, round_)
            assert client.recv_exactly(len(want)) == want
