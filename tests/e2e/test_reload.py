"""SIGHUP: another configuration in force, as the difference to the one before (case 47)."""

import os
import random
import re
import signal
import threading

import pytest

from daemon import PROGRAMS, sanitized
from net import FIN, RST, Stream, echo, name_server_of, pattern, tcp_url
from wait import Task, eventually, remains

MIB = 1 << 20


def who(bus, url):
    """What a server that speaks first says through a service."""
    client = Stream.connect(url)
    said, how = client.recv_end()
    client.close()
    assert how == FIN
    return said.decode()


def refused(url):
    """Whether nobody listens there."""
    try:
        Stream.connect(url).reset()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def check_echo(url, data=b"x"):
    client = Stream.connect(url)
    client.send(data)
    client.fin()
    end = client.recv_end()
    client.close()
    assert end == (data, FIN), end


def key(node, section, name, value):
    """Sets a key of a section, or takes it out."""
    for title, lines in node.sections:
        if title == section:
            lines[:] = [line for line in lines if line[0] != name]
            if value is not None:
                lines.append((name, value))
            return
    raise AssertionError(section)


def node_of(bus, program):
    return bus.controller if program == "controller" else bus.segments[0]


class Load:
    """Clients that come and go all the time; none may be refused or lose a byte."""

    def __init__(self, urls, clients=4):
        self.done, self._stop = 0, threading.Event()
        self._urls, self._lock = urls, threading.Lock()
        self._tasks = [Task(self._run, number) for number in range(clients)]

    def _run(self, number):
        order = random.Random(number)
        while not self._stop.is_set():
            check_echo(order.choice(self._urls), pattern(order.choice([1, 1000, 70000]), number))
            with self._lock:
                self.done += 1

    def more(self, number=20):
        """Waits until so many further ones have been served."""
        want = self.done + number
        eventually(lambda: self.done >= want or not all(t.running() for t in self._tasks),
                   "the load goes on")

    def stop(self):
        self._stop.set()
        for task in self._tasks:
            task.result()
        assert self.done > 0


# --- what is refused as a whole ---------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
def test_case_47_invalid_file_leaves_the_old_one_in_force(bus, program):
    service = bus.service(bus.serve(echo))
    bus.start()
    client = bus.connect(service)
    client.send(b"a")
    assert client.recv_exactly(1) == b"a"
    node = node_of(bus, program)
    good = node.text()
    added = bus.address()
    node.section("added", added, "tcp://127.0.0.1:9")
    key(node, "added", "idle_timeout", "5")
    node.reload(good=False)
    line = node.text().splitlines().index("idle_timeout=5") + 1
    assert node.daemon.logged(rf"error: {node.path}:{line}: \[added\] idle_timeout: \"5\": expected")
    assert refused(added)
    node.sections.pop()
    assert node.text() == good
    client.send(b"b")
    assert client.recv_exactly(1) == b"b"
    check_echo(service.url)
    node.reload()
    check_echo(service.url)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", ["gone", "folder", "empty", "fifo"])
def test_file_that_cannot_be_used(bus, program, kind):
    service = bus.service(bus.serve(echo))
    bus.start()
    node = node_of(bus, program)
    node.path.unlink()
    if kind == "folder":
        node.path.mkdir()
    elif kind == "empty":
        node.path.write_text("")
    elif kind == "fifo":
        os.mkfifo(node.path)  # nobody ever opens its other end
    node.daemon.signal(signal.SIGHUP)
    node.daemon.wait_log("SIGHUP: nothing was changed")
    assert node.daemon.logged(f"error: {node.path}: ")
    check_echo(service.url)
    if kind == "folder":
        node.path.rmdir()
    node.reload()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_bind_that_fails_refuses_all_of_it(bus, program, kind):
    """Nothing half-done: what could have been bound is not, what was to go stays."""
    service = bus.service(bus.serve(echo), front="unix", link="unix")
    bus.start()
    node = node_of(bus, program)
    first, last = bus.address(), bus.address("unix")
    taken = bus.listen(bus.address(kind)).url
    old = list(node.sections)
    node.sections[:] = []
    for name, url in (("a", first), ("b", taken), ("c", last)):
        node.section(name, url, "tcp://127.0.0.1:9")
    node.reload(good=False)
    assert node.daemon.logged(rf"service \[b\] \(line \d+\): cannot bind {taken}: .*in use")
    assert refused(first) and refused(last)
    assert not os.path.exists(last.removeprefix("unix://"))
    check_echo(service.url)
    node.sections[:] = old
    assert "0 services added, 0 removed, 0 changed, 1 as before" in node.reload()


def test_reload_while_it_drains_is_none(bus):
    backend = bus.listen()
    service = bus.service(backend)
    bus.start()
    client, server = bus.pair(service, backend)
    bus.controller.daemon.terminate()
    bus.controller.daemon.wait_log("draining")
    bus.controller.daemon.signal(signal.SIGHUP)
    bus.controller.daemon.wait_log("SIGHUP: draining")
    client.send(b"tail")
    client.fin()
    assert server.recv_end() == (b"tail", FIN)
    server.close()
    assert client.recv_end() == (b"", FIN)


# --- services that come and go ----------------------------------------------------------------


@pytest.mark.parametrize("front", ["tcp", "tcp6", "unix", "abstract"])
def test_service_is_added(bus, front):
    service = bus.service(bus.serve(echo))
    bus.start()
    client = bus.connect(service)
    url, way = bus.address(front), bus.address()
    bus.segments[0].section("added", way, bus.serve(name_server_of("new")).url)
    bus.controller.section("added", url, way)
    assert "1 services added, 0 removed, 0 changed, 1 as before" in bus.segments[0].reload()
    assert "1 services added, 0 removed, 0 changed, 1 as before" in bus.controller.reload()
    assert who(bus, url) == "new"
    client.send(b"x")
    assert client.recv_exactly(1) == b"x"


@pytest.mark.parametrize("front", ["tcp", "unix", "abstract"])
def test_removed_service_stops_listening_and_its_sessions_run_on(bus, front):
    backend = bus.listen()
    gone = bus.service(backend, name="gone", front=front)
    stays = bus.service(bus.serve(echo), name="stays")
    bus.start()
    client, server = bus.pair(gone, backend)
    del bus.controller.sections[0]
    assert "0 services added, 1 removed, 0 changed, 1 as before" in bus.controller.reload()
    if front == "abstract":
        with pytest.raises(OSError):
            Stream.connect(gone.url)
    else:
        assert refused(gone.url)
    data = pattern(8 * MIB)
    sending = Task(lambda: (server.send(data), server.fin()))
    client.send(b"tail")
    client.fin()
    assert client.recv_end() == (data, FIN)
    assert server.recv_end() == (b"tail", FIN)
    sending.result()
    check_echo(stays.url)
    # The link that nobody uses any more goes with its last session.
    client.close()
    server.close()
    eventually(lambda: len(bus.controller.daemon.links_up()) == 1, "one link is left")


def test_segment_s_removed_address_says_goodbye_and_its_sessions_run_on(bus):
    backend = bus.listen()
    gone = bus.service(backend, name="gone")
    bus.start()
    segment = bus.segments[0]
    client, server = bus.pair(gone, backend)
    old = segment.sections[0]
    del segment.sections[0]
    segment.section("other", bus.address(), "tcp://127.0.0.1:9")
    segment.reload()
    bus.controller.daemon.wait_log("goes away")
    server.send(b"still")
    client.send(b"here")
    assert client.recv_exactly(5) == b"still" and server.recv_exactly(4) == b"here"
    client.fin()
    assert server.recv_end() == (b"", FIN)
    server.close()
    assert client.recv_end() == (b"", FIN)
    # It comes back, and so does the controller.
    segment.sections.insert(0, old)
    segment.reload()
    eventually(lambda: len(bus.controller.daemon.links_up()) == 1, "the link is up again")
    client, server = bus.pair(gone, backend)
    client.send(b"x")
    assert server.recv_exactly(1) == b"x"


# --- services that change ----------------------------------------------------------------------


def test_changed_segment_counts_for_new_sessions(bus):
    backend = bus.listen()
    service = bus.service(backend, name="svc")
    other = bus.segment()
    way = bus.address()
    other.section("svc", way, bus.serve(name_server_of("other")).url)
    bus.start()
    client, server = bus.pair(service, backend)
    key(bus.controller, "svc", "server", way)
    assert "0 services added, 0 removed, 1 changed, 0 as before" in bus.controller.reload()
    assert who(bus, service.url) == "other"
    server.send(b"old")
    assert client.recv_exactly(3) == b"old"
    client.fin()
    assert server.recv_end() == (b"", FIN)


def test_changed_backend_counts_for_new_sessions(bus):
    backend = bus.listen()
    service = bus.service(backend, name="svc")
    bus.start()
    client, server = bus.pair(service, backend)
    key(bus.segments[0], "svc", "server", bus.serve(name_server_of("other")).url)
    bus.segments[0].reload()
    assert who(bus, service.url) == "other"
    server.send(b"old")
    assert client.recv_exactly(3) == b"old"
    backend.untouched(0.1)
    assert len(re.findall(r"link \S+: up", bus.controller.daemon.log())) == 1


def test_server_that_stays_beside_one_that_changes_keeps_its_link(bus):
    service = bus.service(bus.serve(name_server_of("1")), bus.serve(name_server_of("2")), name="svc")
    bus.start()
    third = bus.segment()
    way = bus.address()
    third.section("svc", way, bus.serve(name_server_of("3")).url)
    third.start()
    servers = [value for name, value in bus.controller.sections[0][1] if name == "server"]
    key(bus.controller, "svc", "server", servers[0])
    bus.controller.sections[0][1].append(("server", way))
    bus.controller.reload()
    eventually(lambda: bus.controller.daemon.links_up() == {servers[0], way}, "both links")
    ups = re.findall(r"link (\S+): up", bus.controller.daemon.log())
    assert sorted(ups) == sorted([*servers, way])
    assert {who(bus, service.url) for _ in range(20)} <= {"1", "3"}


def test_limits_count_the_sessions_that_were_there(bus):
    backend = bus.listen()
    service = bus.service(backend, name="svc")
    bus.start()
    pairs = [bus.pair(service, backend) for _ in range(3)]
    key(bus.controller, "svc", "max_sessions", "3")
    bus.controller.reload()
    bus.refused(service)
    for client, server in pairs:
        client.send(b"x")
        assert server.recv_exactly(1) == b"x"
    pairs[0][0].reset()
    assert pairs[0][1].recv_end() == (b"", RST)
    client, server = bus.pair(service, backend)
    client.send(b"y")
    assert server.recv_exactly(1) == b"y"


def test_timeouts_count_for_new_sessions(bus):
    backend = bus.listen()
    service = bus.service(backend, name="svc")
    bus.start()
    old, old_server = bus.pair(service, backend)
    key(bus.controller, "svc", "idle_timeout", "200ms")
    bus.controller.reload()
    new, new_server = bus.pair(service, backend)
    assert new.recv_end() == (b"", RST)
    assert new_server.recv_end() == (b"", RST)
    old.send(b"x")
    assert old_server.recv_exactly(1) == b"x"


def test_client_that_waits_goes_to_the_new_server(bus):
    service = bus.service(bus.address(), name="svc", connect_timeout="30s")
    bus.controller.start()  # and no segment
    other = bus.segment()
    way = bus.address()
    other.section("svc", way, bus.serve(name_server_of("other")).url)
    other.start()
    client = bus.connect(service)
    client.silent(0.2)
    key(bus.controller, "svc", "server", way)
    bus.controller.reload()
    assert client.recv_end() == (b"other", FIN)


def test_client_that_waits_may_still_be_served_by_a_service_that_is_removed(bus):
    service = bus.service(bus.serve(name_server_of("late")), name="svc", connect_timeout="30s")
    bus.controller.start()
    client = bus.connect(service)
    client.silent(0.2)
    bus.controller.sections[:] = []
    bus.controller.section("other", bus.address(), "tcp://127.0.0.1:9")
    bus.controller.reload()
    bus.segments[0].start()
    assert client.recv_end() == (b"late", FIN)
    client.close()
    eventually(lambda: not bus.controller.daemon.links_up(), "its link is given up")


# --- addresses that move -------------------------------------------------------------------------


@pytest.mark.parametrize("front", ["tcp", "unix"])
def test_address_moves_between_sections_without_a_gap(bus, front):
    service = bus.service(bus.serve(echo), name="first", front=front)
    bus.start()
    path = service.url.removeprefix("unix://")
    inode = os.stat(path).st_ino if front == "unix" else 0
    held = bus.connect(service)
    held.send(b"a")
    assert held.recv_exactly(1) == b"a"
    load = Load([service.url])
    load.more()
    for turn in range(20):
        name, lines = bus.controller.sections[0]
        bus.controller.sections[0] = (f"turn{turn}", lines)
        assert "1 services added, 1 removed" in bus.controller.reload()
        name, lines = bus.segments[0].sections[0]
        bus.segments[0].sections[0] = (f"turn{turn}", lines)
        bus.segments[0].reload()
        load.more(5)
    load.stop()
    held.send(b"b")
    assert held.recv_exactly(1) == b"b"
    if front == "unix":
        assert os.stat(path).st_ino == inode
    assert len(re.findall("listening on", bus.controller.daemon.log())) == 1
    assert len(re.findall("listening on", bus.segments[0].daemon.log())) == 1
    assert len(re.findall(r"link \S+: up", bus.controller.daemon.log())) == 1


def test_two_services_swap_their_addresses(bus):
    first = bus.service(bus.serve(name_server_of("first")), name="first")
    second = bus.service(bus.serve(name_server_of("second")), name="second")
    bus.start()
    assert who(bus, first.url) == "first"
    key(bus.controller, "first", "bind", second.url)
    key(bus.controller, "second", "bind", first.url)
    assert "2 changed" in bus.controller.reload()
    assert who(bus, first.url) == "second" and who(bus, second.url) == "first"
    assert len(re.findall("listening on", bus.controller.daemon.log())) == 2


# --- the whole process -----------------------------------------------------------------------------


def test_level_of_the_log_and_time_to_drain(bus):
    backend = bus.listen()
    service = bus.service(backend)
    bus.start()
    bus.controller.options.update({"log": "debug", "drain_timeout": "300ms"})
    bus.controller.reload()
    client, server = bus.pair(service, backend)
    client.send(b"x")
    assert server.recv_exactly(1) == b"x"
    bus.controller.daemon.wait_log(r"debug: session")
    bus.controller.daemon.signal(signal.SIGTERM)
    assert client.recv_end() == (b"", RST)
    assert bus.controller.daemon.wait_exit() == 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_takes_a_restart_is_said(bus, program):
    service = bus.service(bus.serve(echo))
    bus.start()
    node = node_of(bus, program)
    node.options["user"] = "nobody"
    node.reload()
    assert node.daemon.logged("user, group and hardening count from the next start")
    assert os.stat(f"/proc/{node.daemon.pid}").st_uid in (0, os.geteuid())
    check_echo(service.url)


def test_one_reload_a_burst(bus):
    bus.service(bus.serve(echo))
    bus.start()
    daemon = bus.controller.daemon
    daemon.freeze()
    for _ in range(100):
        daemon.signal(signal.SIGHUP)
    daemon.thaw()
    daemon.wait_log("reloaded")
    remains(lambda: len(re.findall("reloaded", daemon.log())) == 1, 0.2)


# --- a hundred times -----------------------------------------------------------------------------


def test_hundred_reloads_under_load_cost_nothing(bus):
    """Services that stay are not touched while others come, change and go beside them."""
    stays = [bus.service(bus.serve(echo), name=f"stays{i}", front=front)
             for i, front in enumerate(["tcp", "unix"])]
    bus.start()
    held = [bus.connect(service) for service in stays for _ in range(3)]
    spare = bus.listen().url
    order = random.Random(47)
    nodes = [bus.controller, *bus.segments]
    plain = {node: list(node.sections) for node in nodes}
    load = Load([service.url for service in stays])
    load.more()

    def turn(node, number):
        node.sections[:] = list(plain[node])
        for _ in range(order.randrange(4)):
            node.section(f"extra{number}-{len(node.sections)}", bus.address(
                order.choice(["tcp", "unix", "abstract"])), spare)
        node.options["link_timeout"] = order.choice(["20s", "30s"])
        good = order.random() < 0.8
        if not good:
            node.section("bad", "nonsense", spare)
        node.reload(good)

    def settled(node):
        node.sections[:] = list(plain[node])
        node.reload()
        return node.daemon

    for number in range(10):  # what is made once is made
        turn(nodes[number % len(nodes)], number)
    daemons = [settled(node) for node in nodes]
    load.more()
    rss = [daemon.rss() for daemon in daemons]
    for number in range(100):
        turn(nodes[number % len(nodes)], 1000 + number)
        load.more(2)
    daemons = [settled(node) for node in nodes]
    load.stop()
    for daemon, before in zip(daemons, rss):
        if not sanitized():
            assert daemon.rss() - before < 2 * MIB, "memory grows"
    for client in held:
        client.send(b"still")
        assert client.recv_exactly(5) == b"still"
    for node in nodes:
        for number in range(2):
            listening = re.findall(r"listening on " + re.escape(plain[node][0][1][0][1]),
                                   node.daemon.log())
            assert len(listening) == 1
    for url in {value for name, value in plain[bus.controller][0][1] if name == "server"}:
        assert len(re.findall(rf"link {re.escape(url)}: up", bus.controller.daemon.log())) == 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_descriptors_and_memory_stay_flat(bus, program):
    """Large configurations, sessions that begin and end under each of them."""
    service = bus.service(bus.serve(echo), name="svc")
    bus.start()
    node = node_of(bus, program)
    spare = bus.listen().url
    way = bus.address("abstract")

    def turn(number):
        node.sections[:] = node.sections[:1]
        if program == "segment":  # many services of one address
            for i in range(2000):
                node.section(f"s{number % 2}-{i}", way, spare)
        else:
            for i in range(50):
                node.section(f"s{number % 2}-{i}", bus.address("abstract"), spare)
        key(node, "svc", "connect_timeout", f"{5 + number % 3}s")
        node.reload()
        check_echo(service.url)

    for number in range(6):
        turn(number)
    node.daemon.wait_idle()
    fds, rss = node.daemon.fds(), node.daemon.rss()
    for number in range(40):
        turn(number)
    turn(5)
    node.daemon.wait_idle()
    eventually(lambda: node.daemon.fds() <= fds + 2, "descriptors are given back")
    if not sanitized():
        assert node.daemon.rss() - rss < 4 * MIB, "memory grows"


# --- links that segments dial, and secured ones -----------------------------------------------------


def test_services_that_come_and_go_are_announced(bus):
    hub = bus.address()
    bus.controller.options["listen"] = hub
    urls = {name: bus.address() for name in ("one", "two")}
    for name, url in urls.items():
        bus.controller.section(name, url)
    bus.controller.start()
    segment = bus.segment()
    segment.options["connect"] = hub
    segment.section("one", None, bus.serve(name_server_of("one")).url)
    segment.start()
    one = eventually(lambda: _said(urls["one"]), "one is served")
    assert one == "one" and not _said(urls["two"])
    segment.section("two", None, bus.serve(name_server_of("two")).url)
    segment.reload()
    eventually(lambda: _said(urls["two"]) == "two", "two is announced")
    del segment.sections[0]
    segment.reload()
    eventually(lambda: not _said(urls["one"]), "one is withdrawn")
    assert who(bus, urls["two"]) == "two"
    assert len(re.findall(r"link \S+: up", segment.daemon.log())) == 1


def _said(url):
    """What a server says first, or None where the client is turned away."""
    try:
        client = Stream.connect(url)
        said, how = client.recv_end()
    except OSError:
        return None
    client.close()
    return said.decode() if how == FIN else None


def test_controllers_to_dial_and_addresses_for_segments_come_and_go(bus):
    backend = bus.listen()
    hubs = [bus.address() for _ in range(2)]
    url = bus.address()
    bus.controller.options["listen"] = hubs[0]
    bus.controller.section("one", url)
    bus.controller.start()
    segment = bus.segment()
    segment.section("one", bus.address(), backend.url)
    segment.start()
    assert not _said(url)
    segment.options["connect"] = hubs[0]
    segment.reload()
    segment.daemon.wait_log(r"link \S+: up")
    client = eventually(lambda: _try_pair(bus, url, backend), "it is served")
    # Another address for segments; who came by the old one finishes what it has.
    bus.controller.options["listen"] = hubs[1]
    bus.controller.reload()
    assert refused(hubs[0])
    client.send(b"x")
    segment.daemon.wait_log(r"the controller goes away")
    segment.options["connect"] = hubs[1]
    segment.reload()
    eventually(lambda: len(re.findall(r"link \S+: up", segment.daemon.log())) == 2, "the new link")
    client.send(b"y")
    fresh = eventually(lambda: _try_pair(bus, url, backend), "it is served again")
    fresh.send(b"z")
    del segment.options["connect"]
    segment.reload()
    client.send(b"still")
    fresh.send(b"still")


def _try_pair(bus, url, backend):
    """A client that has got through to the backend; or None."""
    client = bus.connect(url)
    try:
        client.send(b"hello")
    except OSError:
        return None
    stream = eventually(lambda: client.ended() or backend.poll(), "it is known")
    if stream in (FIN, RST):
        return None
    assert stream.recv_exactly(5) == b"hello"
    bus.keep(stream)
    return client


def test_links_become_secured_and_plain_again(bus):
    backend = bus.listen()
    service = bus.service(backend, name="svc")
    bus.start()
    segment = bus.segments[0]
    pairs = [bus.pair(service, backend)]
    plain = segment.sections[0][1][0][1]
    bus.secure(bus.controller, segment)
    names = {node: dict(node.options) for node in (bus.controller, segment)}

    def change(url):
        key(segment, "svc", "bind", url)
        segment.reload()
        key(bus.controller, "svc", "server", url)
        bus.controller.reload()
        eventually(lambda: len(re.findall(r"link \S+: up", bus.controller.daemon.log()))
                   == len(pairs) + 1, f"{url} is up")
        pairs.append(bus.pair(service, backend))
        for client, server in pairs:
            client.send(b"x")
            assert server.recv_exactly(1) == b"x"

    change(plain.replace("tcp:", "bus:"))
    # A file that cannot be used refuses it as a whole.
    segment.options["token"] = "/no/such/token"
    segment.reload(good=False)
    segment.options = names[segment]
    segment.reload()
    change(plain)
