"""Unix sockets, by path and abstract, on every side."""

import os
import socket
import stat

import pytest

from daemon import run
from net import FIN, Listener, echo, parse, pattern, sink, digest
from wait import Task, eventually


@pytest.mark.parametrize("front,link,back", [
    ("unix", "tcp", "tcp"), ("tcp", "unix", "tcp"), ("tcp", "tcp", "unix"),
    ("abstract", "tcp", "unix"), ("unix", "abstract", "tcp"), ("tcp", "unix", "abstract"),
    ("unix", "unix", "unix"), ("abstract", "abstract", "abstract")])
def test_any_mix_of_sockets(bus, front, link, back):
    kind = {"tcp": lambda: "tcp://127.0.0.1:0"}.get(back, lambda: bus.address(back))
    server = bus.serve(sink, kind())
    service = bus.service(server, front=front, link=link)
    bus.start()
    data = pattern(3_000_000)
    client = bus.connect(service)
    client.send(data)
    client.fin()
    assert client.recv_end() == (f"{len(data)} {digest(data).sha256}\n".encode(), FIN)


def test_half_close_both_ways_over_unix_sockets(bus):
    backend = bus.listen(bus.address("unix"))
    service = bus.service(backend, front="unix", link="unix")
    bus.start()
    client, server = bus.pair(service, backend)
    client.fin()
    assert server.recv_end() == (b"", FIN)
    data = pattern(1 << 20)
    sending = Task(lambda: (server.send(data), server.fin()))
    assert client.recv_end() == (data, FIN)
    sending.result()


def _stale(url):
    """A socket file that nobody answers on."""
    family, path = parse(url)
    with socket.socket(family) as sock:
        sock.bind(path)
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    return path


@pytest.mark.parametrize("program", ["controller", "segment"])
def test_case_52_stale_socket_file_is_replaced(bus, program):
    server = bus.serve(echo)
    service = bus.service(server, front="unix", link="unix")
    url = service.url if program == "controller" else _bind(bus.segments[0])
    _stale(url)
    bus.start()
    client = bus.connect(service)
    client.send(b"x")
    assert client.recv_exactly(1) == b"x"


def _bind(node):
    return dict(node.sections[0][1])["bind"]


@pytest.mark.parametrize("program", ["controller", "segment"])
def test_case_52_live_socket_is_refused(bus, program):
    service = bus.service(bus.serve(echo), front="unix", link="unix")
    node = bus.controller if program == "controller" else bus.segments[0]
    url = service.url if program == "controller" else _bind(node)
    live = bus.listen(url)
    node.path.write_text(node.text())
    done = run(program, "-c", str(node.path))
    assert done.returncode == 1
    assert parse(url)[1] in done.stderr and service.name in done.stderr
    bus.connect(url)  # and it still is the other's
    assert live.accept()


def test_case_52_a_file_that_is_no_socket_is_left_alone(bus):
    service = bus.service(bus.serve(echo), front="unix")
    path = parse(service.url)[1]
    with open(path, "w", encoding="ascii") as file:
        file.write("precious")
    bus.controller.path.write_text(bus.controller.text())
    done = run("controller", "-c", str(bus.controller.path))
    assert done.returncode == 1 and path in done.stderr
    with open(path, encoding="ascii") as file:
        assert file.read() == "precious"


def test_abstract_name_in_use_is_refused(bus):
    service = bus.service(bus.serve(echo), front="abstract")
    bus.keep(Listener(service.url))
    bus.controller.path.write_text(bus.controller.text())
    done = run("controller", "-c", str(bus.controller.path))
    assert done.returncode == 1 and service.url in done.stderr


def test_restart_on_the_same_socket_file_after_kill(bus):
    service = bus.service(bus.serve(echo), front="unix", link="unix")
    bus.start()
    bus.segments[0].daemon.kill()
    bus.controller.daemon.kill()
    bus.segments[0].start()
    bus.controller.start()
    bus.wait_links()
    client = bus.connect(service)
    client.send(b"x")
    assert client.recv_exactly(1) == b"x"


def test_unix_client_of_a_lost_backend_sees_its_end(bus):
    """A Unix peer reads a clean end whatever we do; that it comes is what counts."""
    backend = bus.listen()
    service = bus.service(backend, front="unix")
    bus.start()
    client, server = bus.pair(service, backend)
    server.reset()
    eventually(client.ended, "the client's end")
