"""Keys, names and customers that change while links are up: the links are made anew under the new
ones, and no session that may be is lost or refused."""

import signal

import pytest

import wan
from net import FIN, RST
from test_nat_links import Hub, dialler, secured
from wait import eventually

WHO = [("dialler",), ("acceptor",), ("dialler", "acceptor")]


class Pair:
    """A controller and a segment with a secured link, whichever of both dials it."""

    def __init__(self, bus, nat):
        self.bus, self.nat = bus, nat
        self.backend = bus.listen()
        if nat:
            hub = secured(bus)
            self.url = hub.service("web")
            self.segment = dialler(bus, hub, web=self.backend)
            bus.secure(self.segment)
            at = hub.address
        else:
            service = bus.service(self.backend, name="web", link="bus")
            self.url, self.segment = service.url, service.segments[0]
            at = self.segment.sections[0][1][0][1]
        self.controller = bus.controller
        self._port = int(at.rsplit(":", 1)[1])
        self.dialler, self.acceptor = (self.segment, self.controller) if nat else \
            (self.controller, self.segment)
        self.acceptor.start()
        self.dialler.start()
        self.settled()

    def settled(self):
        """Waits until sessions can be opened."""
        if self.nat:
            self.controller.daemon.wait_log("serves 1 services")
        else:
            self.bus.wait_links()

    def links(self):
        return wan.connections(self._port)

    def session(self):
        client, server = self.bus.pair(self.url, self.backend)
        return Session(client, server)

    def change(self, who, how):
        """A new key, or the customer that `how` names."""
        node = getattr(self, who)
        if how == "key":
            self.bus.keys.issue(node.name, node.program, "--new-key")
        else:
            self.bus.keys.issue(node.name, node.program, "--customer", how)
        node.reload()
        assert node.daemon.logged("links are made anew with it")

    def replaced(self, old):
        eventually(lambda: self.links() - old and len(self.links()) == 2,
                   "another link, beside the old one with its session")


class Session:
    def __init__(self, client, server):
        self.ends = client, server
        self.check()

    def check(self):
        for one, other in (self.ends, self.ends[::-1]):
            one.send(b"still here")
            assert other.recv_exactly(10) == b"still here"

    def end(self):
        for one in self.ends:
            one.fin()
        for one in self.ends:
            assert one.recv_end() == (b"", FIN)


@pytest.fixture(params=[False, True], ids=["dialled", "behind NAT"])
def pair(bus, request):
    return Pair(bus, request.param)


@pytest.mark.parametrize("who", WHO, ids="+".join)
def test_case_34_a_key_is_changed(pair, who):
    old, links = pair.session(), pair.links()
    for one in who:
        before = pair.links()
        pair.change(one, "key")
        pair.session().end()
        eventually(lambda: pair.links() - before, "another link")
    pair.replaced(links)
    new = pair.session()
    old.check()
    old.end()
    eventually(lambda: not pair.links() & links, "the old link ends with its last session")
    assert len(pair.links()) == 1
    new.check()
    pair.session().end()
    for node in (pair.controller, pair.segment):
        assert not node.daemon.logged(r"\blost\b|: down|refused|shutting down")


@pytest.mark.parametrize("who", WHO[2:] + [("acceptor", "dialler")], ids="+".join)
def test_both_change_their_customer(pair, who):
    """Between the first and the second they are of different customers, and then not any more."""
    old, links = pair.session(), pair.links()
    first, second = who
    pair.change(first, "acme")
    pair.replaced(links)
    eventually(lambda: refused(pair), "they are of different customers")
    if pair.nat:  # nobody serves the name any more
        pair.segment.daemon.wait_log("node controller is of another customer")
        assert not pair.controller.daemon.logged("different customers")
    old.check()
    pair.change(second, "acme")
    eventually(lambda: not refused(pair), "they are of one customer")
    old.check()
    pair.session().end()
    old.end()
    eventually(lambda: len(pair.links()) == 1 and not pair.links() & links, "one link is left")
    pair.session().end()
    for node in (pair.controller, pair.segment):
        assert not node.daemon.logged("fresh token is refused")


def refused(pair):
    """Whether a new session is: its client is reset, or the backend has it."""
    try:
        client = pair.bus.connect(pair.url)
        client.send(b"x")
    except OSError:
        return True
    got = eventually(lambda: pair.backend.poll() or client.ended(), "it is known")
    client.close()
    if got == RST:
        return True
    got.close()
    return False


def test_a_customer_is_changed_and_back_before_anybody_dials(pair):
    """Behind each other, faster than links are made."""
    old = pair.session()
    for customer in ("acme", "umbrella", "acme"):
        for node in (pair.dialler, pair.acceptor):
            pair.bus.keys.issue(node.name, node.program, "--customer", customer)
            node.daemon.signal(signal.SIGHUP)
    for _ in range(2):  # what the first one waits for may be the outcome of a signal before it
        for node in (pair.dialler, pair.acceptor):
            node.reload()
    eventually(lambda: not refused(pair), "they are of one customer")
    old.check()
    old.end()
    eventually(lambda: len(pair.links()) == 1, "one link is left")
    pair.session().end()
