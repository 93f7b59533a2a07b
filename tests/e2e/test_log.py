"""What peers and clients can write into the log: each line once is enough, and so many a second are
the most.  cloudbus-security(7) has the figures."""

import datetime
import os
import time

import proto
from net import FIN, RST, echo
from wait import eventually

BURST, RATE = 256, 10  # SAY_BURST, CHATTER_LINES


def most(began):
    """Lines that may have been logged since then."""
    return BURST + RATE * (time.monotonic() - began + 2)


def opens(peer, first, number, name):
    """Opens so many streams and answers their RESETs, in rounds that an opener with manners has
    as well: never more at once than a hundred.  False: the peer has ended the transport."""
    try:
        for base in range(first, first + 2 * number, 200):
            ids = range(base, base + 200, 2)
            peer.send(b"".join(proto.open_(n, name) for n in ids))
            for _ in ids:
                got = peer.next()
                while isinstance(got, proto.Frame) and got.type != proto.RESET:
                    if got.type == proto.GOAWAY:
                        return False
                    got = peer.next()
                if got in (FIN, RST):
                    return False
                peer.send(proto.reset(got.stream, proto.NO_SERVICE))
    except OSError:
        return False
    return True


def hub(bus, **keys):
    """A controller to which segments dial, with a service "web"."""
    address = bus.address()
    bus.controller.options.update({"listen": address, **keys})
    front = bus.address()
    bus.controller.section("web", front)
    return address, front


def test_a_segment_that_opens_at_a_controller(bus):
    """There is nothing that it could open: it is dropped, and the log has a few lines of it."""
    address, _ = hub(bus)
    bus.controller.start()
    began = time.monotonic()
    for _ in range(4):
        peer = proto.Peer(bus.connect(address)).greet(proto.SEGMENT)
        assert not opens(peer, 1, 200_000, "nope")
    log = bus.controller.daemon
    eventually(lambda: len(log.logged_all(
        r"segment \S+: down: too many streams opened that it may not open")) == 4, "it is dropped")
    assert 10 < len(log.logged_all(r"opened \[nope\] here, where no service is")) < most(began)
    assert os.path.getsize(log.log_path) < 1 << 20


def test_a_controller_that_asks_for_what_is_not_there(bus):
    """Its clients may do that: it costs nothing but the lines, of which the next says how many
    were left out.  Nobody else's are."""
    node, url = bus.segment(), bus.address()
    node.section("a", url, bus.serve(echo).url)
    node.section("b", url, bus.serve(echo).url)
    node.start()
    peer, began = proto.Peer.dial(bus, url), time.monotonic()
    assert opens(peer, 1, 5000, "nope")
    line = r"session from \S+ refused: no service \[nope\] here"
    assert BURST <= len(node.daemon.logged_all(line)) < most(began)

    def later():
        later.first += 200
        assert opens(peer, later.first, 100, "nope")
        return node.daemon.logged(line + r" \(and \d+ more that were not logged\)")
    later.first = 10_001
    eventually(later, "it says how many", every=0.2)
    peer.expect_pong(7)


def test_clients_of_a_backend_that_is_down(bus):
    """Each is refused; neither node's log has a line for each."""
    gone = bus.address()
    service = bus.service(gone)
    bus.start()
    began = time.monotonic()
    for _ in range(600):
        bus.refused(service)
    log = service.segments[0].daemon
    assert 100 < len(log.logged_all(r"session \S+ \[\w+\]: refused: backend")) < most(began)
    assert len(bus.controller.daemon.logged_all(r"session \S+ \[\w+\]: ")) < 2 * most(began)


def test_strangers_that_come_and_go(bus):
    """Who says HELLO and leaves at once is told of, but not each time."""
    address, _ = hub(bus)
    bus.controller.start()
    began = time.monotonic()
    for _ in range(600):
        stream = bus.connect(address)
        proto.Peer(stream).greet(proto.SEGMENT)
        stream.close()
    eventually(lambda: bus.controller.daemon.logged("down"), "one is seen gone")
    lines = bus.controller.daemon.logged_all(r"segment \S+: (?:up|down)")
    assert 100 < len(lines) < 2 * most(began)


# --- refusals of tokens -------------------------------------------------------------------------------

def knock(bus, front, seconds, until):
    """Clients that do not give up: there is one at any time, for so long and until it holds."""
    begin = time.monotonic()

    def enough():
        bus.refused(front)
        return time.monotonic() >= begin + seconds and until()
    eventually(enough, "enough attempts")


def test_a_refused_node_says_so_once_and_tries_slowly(bus):
    """Whether the peer's end is seen by a read or by a write is chance; the reason is the same."""
    service = bus.service(bus.listen(), name="any", link="bus", connect_timeout="500ms")
    segment = service.segments[0]
    bus.keys.revoke("controller")
    segment.options["revoked"] = bus.keys.folder / "revoked"
    segment.start()
    bus.controller.start()
    began = time.monotonic()

    def tries():
        return len(segment.daemon.logged_all(r"refused: .*revoked"))
    knock(bus, service, 6, lambda: tries() >= 3)
    bus.controller.daemon.wait_log("cannot connect: closed before its HELLO")
    assert len(bus.controller.daemon.logged_all("cannot connect")) == 1
    tried = tries()
    taken = time.monotonic() - began
    assert tried <= 3 + taken, f"{tried} attempts in {taken:.1f} s"


def test_an_expired_peer_is_told_of_once(bus, need):
    """Its line has the time of day, which is news only to the clock."""
    service = bus.service(bus.listen(), name="any", link="bus", connect_timeout="500ms")
    now = int(time.time())
    bus.keys.forge(need("openssl"), service.segments[0].name, nbf=now - 7200, exp=now - 3600)
    service.segments[0].start()
    bus.controller.options["log"] = "debug"
    bus.controller.start()
    log = bus.controller.daemon
    knock(bus, service, 4, lambda: log.logged(r"debug: .*cannot connect: .*expired"))
    assert len(log.logged_all(r"warning: .*cannot connect: .*expired")) == 1


def test_a_peer_that_starts_late_is_found_at_once(bus):
    """Nobody is there yet: that is no refusal, and who waits need not wait long: the pauses stay
    short, where they would double, to 1.6 s at least after the seventh attempt."""
    service = bus.service(bus.serve(echo), name="any", link="bus", connect_timeout="10m")
    bus.controller.options["log"] = "debug"
    bus.controller.start()
    client = bus.connect(service)
    client.send(b"x")

    def pauses():
        tried = [datetime.datetime.fromisoformat(at) for at in bus.controller.daemon.logged_all(
            r"(?m)^(\S+)Z \w+: .*cannot connect: Connection refused")]
        return [(later - at).total_seconds() for at, later in zip(tried, tried[1:])]
    eventually(lambda: len(pauses()) >= 12, "it goes on trying")
    assert min(pauses()[6:]) < 0.9, pauses()
    service.segments[0].start()
    assert client.recv_exactly(1) == b"x"


# --- what a line says -----------------------------------------------------------------------------------

def test_a_secured_address_looks_like_one(bus):
    """Where it listens, who is there, and that it is so from now on."""
    service = bus.service(bus.serve(echo), name="any", link="bus")
    bus.start()
    segment = service.segments[0]
    port = r"127\.0\.0\.1:\d+"
    assert segment.daemon.logged(rf"listening on bus://{port}\n")
    assert bus.controller.daemon.logged(rf"listening on tcp://{port}\n")  # for clients
    segment.daemon.wait_log(rf"transport from node controller \(bus://{port}\): up")
    assert not segment.daemon.logged("tcp://")
    name, lines = segment.sections[0]
    segment.sections[0] = (name, [(key, value.replace("bus:", "tcp:")) for key, value in lines])
    segment.reload()
    assert segment.daemon.logged(rf"tcp://{port}: plain from now on: 1 transports")


def test_a_reload_tells_of_addresses_of_links(bus):
    address, _ = hub(bus)
    bus.controller.start()
    assert bus.controller.reload().endswith("1 as before")
    bus.controller.options["listen"] = [address, bus.address()]
    assert bus.controller.reload().endswith("1 as before; listen= has changed")
    node = bus.segment()
    node.options["connect"] = address
    node.section("web", None, bus.serve(echo).url)
    node.start()
    node.options["connect"] = bus.controller.options["listen"]
    assert node.reload().endswith("1 as before; connect= has changed")


def test_names_of_peers_leave_the_log_a_text(bus):
    """What is not UTF-8, and what a terminal would obey, is replaced."""
    address, _ = hub(bus)
    bus.controller.start()
    peer = proto.Peer(bus.connect(address)).greet(proto.SEGMENT)
    name = "zürich \udcff\udc9b\x1b[2J\u009b2J"
    raw = name.encode(errors="surrogateescape")
    template = proto.open_(1, "x" * len(raw))
    peer.send(template.replace(b"x" * len(raw), raw))
    peer.expect(proto.RESET, 1)
    with open(bus.controller.daemon.log_path, "rb") as file:
        text = file.read()
    assert "opened [zürich ???[2J??2J] here".encode() in text
    text.decode()
