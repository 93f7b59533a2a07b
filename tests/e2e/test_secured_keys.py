"""Secured links over time: keys that change, clocks that differ, and many at once."""

import glob
import re
import shutil
import signal
import socket
import time

import pytest

import wan
from bus import Keys
from daemon import run, sanitized, wrapped
from net import FIN, echo, parse
from wait import eventually


def works(bus, service):
    client = bus.connect(service)
    client.send(b"are you there?")
    assert client.recv_exactly(14) == b"are you there?"
    client.fin()
    assert client.recv_end() == (b"", FIN)


class Old:
    """A session that was there before the keys changed, and is to be there afterwards."""

    def __init__(self, bus, service, backend):
        self.client, self.server = bus.pair(service, backend)

    def check(self):
        for one, other in ((self.client, self.server), (self.server, self.client)):
            one.send(b"still here")
            assert other.recv_exactly(10) == b"still here"


def nodes_of(bus):
    return [bus.controller, *bus.segments]


def reload_all(bus):
    for node in nodes_of(bus):
        node.reload()
        assert not node.daemon.logged("were not reloaded")


def line_of(path, word):
    return re.search(rf"(?m)^{word} .*$", path.read_text())[0]


def dial_anew(bus):
    """A second controller of the same files dials under the keys of now, and serves."""
    bus.controller.daemon.kill()
    bus.controller.start()
    bus.wait_links()


def two_sessions(bus):
    backend = bus.listen()
    service = bus.service(backend, name="any", link="bus")
    bus.start()
    return service, backend, Old(bus, service, backend)


def test_case_34_the_network_secret_is_changed_step_by_step(bus):
    """As cloudbus-security(7), CHANGING KEYS, has it; every step on one node at a time."""
    service, backend, old = two_sessions(bus)
    trust = bus.keys.folder / "trust"
    first = line_of(trust, "network-secret")
    second = line_of(Keys(bus.folder, "new").folder / "trust", "network-secret")
    files = {}
    for node in nodes_of(bus):
        files[node.name] = bus.keys.folder / f"trust.{node.name}"
        shutil.copy2(trust, files[node.name])
        node.options["trust"] = files[node.name]
    reload_all(bus)
    head = trust.read_text().replace(first, "{}")
    for secrets in ([first, second], [second, first], [second]):
        for node in nodes_of(bus):
            files[node.name].write_text(head.format("\n".join(secrets)))
            node.reload()
            assert not node.daemon.logged("were not reloaded")
            old.check()
            # Whoever dials now is let in, whichever of the two nodes was first.
            other = bus.other_controller()
            other.options.update(bus.controller.options)
            other.sections = [(name, [(key, bus.address() if key == "bind" else value)
                                      for key, value in lines])
                              for name, lines in bus.controller.sections]
            other.start()
            other.daemon.wait_links(1)
            other.daemon.stop()
    old.check()
    for node in nodes_of(bus):
        assert not node.daemon.logged(r"\blost\b|\bdown\b|refused")


def test_case_34_the_cluster_key_is_changed_step_by_step(bus):
    service, backend, old = two_sessions(bus)
    trust = bus.keys.folder / "trust"
    new = Keys(bus.folder, "new").folder
    first, second = line_of(trust, "cluster-key"), line_of(new / "trust", "cluster-key")
    trust.write_text(trust.read_text().replace(first, f"{first}\n{second}"))
    reload_all(bus)
    old.check()
    shutil.copy2(new / "cluster.key", bus.keys.folder / "cluster.key")
    for node in nodes_of(bus):
        bus.keys.issue(node.name, node.program, ttl="2d")
        node.daemon.signal(signal.SIGHUP)
    for node in nodes_of(bus):
        node.daemon.wait_log("took its fresh token")
    trust.write_text(trust.read_text().replace(f"{first}\n", ""))
    reload_all(bus)
    old.check()
    for node in nodes_of(bus):
        assert not node.daemon.logged(r"\blost\b|\bdown\b|refused")
    dial_anew(bus)
    client, server = bus.pair(service, backend)
    client.send(b"anew")
    assert server.recv_exactly(4) == b"anew"


# --- clocks ---------------------------------------------------------------------------------------

def set_clock(need, node, off):
    """The node's wall clock is so many seconds ahead."""
    need("faketime")
    library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not library or sanitized() or wrapped():
        pytest.skip("libfaketime cannot be preloaded")
    node.prefix = ["env", f"LD_PRELOAD={library[0]}", f"FAKETIME={off:+d}s",
                   "FAKETIME_DONT_FAKE_MONOTONIC=1"]
    node.options["hardening"] = "off"


@pytest.mark.parametrize("off", [25, -25])
def test_a_clock_that_is_off_by_25_seconds_does_no_harm(bus, need, off):
    service = bus.service(bus.serve(echo), name="echo", link="bus")
    set_clock(need, bus.controller, off)
    bus.start()
    works(bus, service)


@pytest.mark.parametrize("off", [40, -40])
def test_a_clock_that_is_off_by_40_seconds_is_said_so(bus, need, off):
    bus.service(bus.serve(echo), name="echo", link="bus")
    set_clock(need, bus.controller, off)
    bus.secure()
    # Not that of a token that is too fresh.
    bus.keys.forge(need("openssl"), "controller", nbf=1)
    for segment in bus.segments:
        segment.start()
    bus.controller.start()
    bus.segments[0].daemon.wait_log("refused: .*more than 30 s off: one of the clocks is wrong")
    bus.controller.daemon.wait_log("cannot connect: .*clocks that differ")


# --- many at once -----------------------------------------------------------------------------------

def test_two_hundred_at_once_from_one_address(bus):
    """Strangers that say half a word; a node of their address that is started then, and one that
    had links and lost them, come through."""
    service = bus.service(bus.serve(echo), name="echo", link="bus")
    segment = bus.segments[0]
    segment.start()
    idle = segment.daemon.fds()
    bind = parse(segment.sections[0][1][0][1].replace("bus:", "tcp:"))[1]
    for _ in range(2):
        strangers = [socket.socket() for _ in range(200)]
        for sock in strangers:
            sock.setblocking(False)
            sock.connect_ex(bind)
        for sock in strangers:
            try:
                sock.send(b"x" * 40)
            except OSError:
                pass
        bus.controller.start()
        bus.wait_links()
        works(bus, service)
        for sock in strangers:
            sock.close()
        assert segment.daemon.logged("others came from its address.*drawn by lot")
        bus.controller.daemon.kill()
        eventually(lambda: segment.daemon.fds() == idle, "nothing is left of them")


def test_one_node_does_not_take_all_places(long_path, bus):
    """Many processes of it, each with as many transports as it may: the last one is turned away,
    says so once, and tries on with pauses that grow, until there is a place for it."""
    url, most = f"bus://{wan.NEAR}:9700", 128
    segment = bus.segment()
    bus.secure(segment)
    segment.section("echo", url, bus.serve(echo, bus.address("unix")).url)
    segment.prefix = long_path.near
    segment.start()
    nodes = [bus.controller, *(bus.other_controller() for _ in range(4))]
    fronts = []
    for node in nodes:
        node.options.update(bus.controller.options, transports=32)
        node.prefix = long_path.far
        fronts.append(bus.address("unix"))
        node.section("echo", fronts[-1], url)
    *first, last = nodes
    for node in first:
        node.start()
    eventually(lambda: segment.daemon.log().count("): up\n") == most, "all have theirs")
    assert not segment.daemon.logged("refused")
    begin = time.monotonic()
    last.start()
    turned_away = "refused: node controller has 128 transports to this address already"
    eventually(lambda: segment.daemon.log().count(turned_away) >= 6, "it tries on")
    # Five pauses, of half the back-off at least: 100, 200, 400, 800 and 1600 ms.
    assert time.monotonic() - begin > 1.55
    assert len(last.daemon.logged_all("cannot connect: .*too many transports")) == 1
    for front in fronts[:-1]:
        works(bus, front)
    first[0].daemon.kill()
    last.daemon.wait_links(1)
    works(bus, fronts[-1])


def test_a_controller_that_is_started_again_and_again(bus):
    service = bus.service(bus.serve(echo), name="echo", link="bus")
    bus.start()
    for number in range(6):
        works(bus, service)
        if number % 2:
            bus.controller.daemon.stop()
        else:
            bus.controller.daemon.kill()
        bus.controller.start()
        bus.wait_links()
    works(bus, service)
    assert not service.segments[0].daemon.logged("refused")


# --- tokens that do not count now -------------------------------------------------------------------

def test_a_token_that_has_expired_at_the_start(bus, need):
    """What only time or a fresh file mends is no error of the configuration: the node starts, says
    so, and comes up when there is one."""
    service = bus.service(bus.serve(echo), name="echo", link="bus")
    bus.secure()
    bus.keys.forge(need("openssl"), "controller", nbf=1, exp=1000)
    bus.segments[0].start()
    bus.controller.start()
    assert bus.controller.daemon.logged(
        r"error: this node dials nobody.*controller\.token: exp: expired at 1970")
    bus.refused(service)
    done = run("controller", "-t", "-c", bus.controller.path)
    assert done.returncode == 0
    assert re.search(r"controller\.token: exp: expired at 1970.*no secured link", done.stderr)
    # What is wrong with the next one is said when it matters most, once.
    (bus.keys.folder / "controller.token").write_text("nonsense\n")
    bus.controller.daemon.wait_log("error: looking for a fresh token: .*not a token")
    bus.keys.issue("controller", "controller")
    bus.wait_links()  # without SIGHUP
    works(bus, service)
    assert bus.controller.daemon.logged("this node's token is valid now")
    assert len(bus.controller.daemon.logged_all("looking for a fresh token")) == 1
    assert not bus.segments[0].daemon.logged("refused")


def test_a_clock_that_is_set_late(bus, need):
    """As on a machine that has no clock of its own."""
    service = bus.service(bus.serve(echo), name="echo", link="bus")
    bus.secure()
    bus.segments[0].start()
    bus.keys.forge(need("openssl"), "controller", nbf=int(time.time()) + 38)
    bus.controller.start()
    assert bus.controller.daemon.logged("error: this node dials nobody.*nbf: not valid before")
    assert not bus.controller.daemon.logged("cannot connect")
    bus.wait_links()
    works(bus, service)


def test_the_last_hour_and_the_end_are_told_as_they_are(bus, need):
    bus.service(bus.serve(echo), name="echo", link="bus")
    bus.secure(*bus.segments)
    now = int(time.time())
    bus.keys.forge(need("openssl"), "segment1", nbf=now - 3600, exp=now + 1830)
    bus.segments[0].start()
    assert bus.segments[0].daemon.logged("warning: .*token expires in (30|29) minutes")
    now = int(time.time())
    bus.keys.forge(need("openssl"), "controller", nbf=now - 3600, exp=now - 22)
    bus.controller.start()
    bus.wait_links()
    bus.controller.daemon.wait_log("error: this node dials nobody.*expired")
    bus.segments[0].daemon.wait_log("node controller .*expired")
    bus.controller.daemon.wait_log(r"the segment goes away \(this node's token has expired: issue")
    bus.segments[0].daemon.wait_log("transport from node controller .*closed")
    assert not bus.controller.daemon.logged("shutting down")


@pytest.mark.parametrize("program", ["controller", "segment"])
def test_sections_that_the_nodes_own_token_does_not_cover(bus, program):
    for name in ("echo", "other"):
        bus.service(bus.serve(echo), name=name, link="bus")
    node = bus.controller if program == "controller" else bus.segments[1]
    word = "open" if program == "controller" else "serve"
    line = rf"service \[other\] \(line \d+\): \S+\.token does not let this node {word} \[other\]"
    bus.start()
    assert not node.daemon.logged("does not let")
    bus.keys.issue(node.name, program, **{word: "echo"})
    node.reload()
    assert node.daemon.logged(line)
    node.daemon.kill()
    node.start()
    node.daemon.wait_log(line)
    assert not node.daemon.logged(r"service \[echo\]")
