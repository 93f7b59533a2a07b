"""What an operator reads when a secured link changes: who may see what, whose token counts no
more, and why a peer has gone."""

import os
import shutil
import signal
import time

import pytest

from net import RST, echo, name_server_of
from noise import Key, Sealed, claims, field, sign, signer
from proto import (ANNOUNCE, CONTROLLER, EXPIRED, INTERNAL, LIST_END, OK, OPEN, PROTOCOL, SEGMENT,
                   Peer, announce, announced, data, goaway, open_)
from test_identities import Pair
from test_nat_links import answer, dialler, secured
from wait import eventually


class Stranger:
    """A peer written from the protocol page, of a bus whose nodes are real."""

    def __init__(self, bus, role):
        self.bus, self.role = bus, role
        bus.secure(*bus.segments)
        self.key = Key()
        self.secret = field(bus.keys.folder / "trust", "network-secret")
        self.signer = signer(bus.keys.folder)
        self.instance = os.urandom(16)

    def token(self, **changes):
        role = "controller" if self.role == CONTROLLER else "segment"
        return sign(self.signer, claims(self.key, role=role, **changes))

    def dial(self, url, **changes):
        """To a node under test, with these claims."""
        sealed = Sealed(self.bus.connect(url.replace("bus:", "tcp:")), self.secret, self.key).dial()
        return Peer(sealed.present(self.token(**changes))).greet(self.role, instance=self.instance)

    def accept(self, listener, **changes):
        """From it."""
        sealed = Sealed(listener.accept(), self.secret, self.key).accept()
        return Peer(sealed.present(self.token(**changes)).finish()).greet(
            self.role, instance=self.instance)


# --- another customer ------------------------------------------------------------------------

def scripted_controller(bus, **services):
    """A segment that dials one, and what it dials."""
    node = bus.segment()
    listener = bus.listen()
    node.options["connect"] = listener.url.replace("tcp:", "bus:")
    for name, server in services.items():
        node.section(name, None, server.url)
    return node, listener, Stranger(bus, CONTROLLER)


def test_nothing_is_announced_to_a_node_of_another_customer(bus):
    """An empty list, and no change of it; said once, however often it dials, and again when it has
    changed.  What a controller has heard before is outdone by the version."""
    node, listener, stranger = scripted_controller(bus, web=bus.serve(echo))
    node.start()
    versions = []
    for customer, names in [("acme", []), ("acme", []), (None, ["web", "new1"]),
                            (None, ["web", "new1"]), ("umbrella", [])]:
        peer = stranger.accept(listener, **({"customer": customer} if customer else {}))
        version, kind, got = announced(peer.expect(ANNOUNCE))
        assert (kind, got) == (LIST_END, names)
        versions.append(version)
        if len(versions) == 1:
            node.section("new1", None, bus.serve(echo).url)
            node.reload()
            assert ANNOUNCE not in [frame.type for frame in peer.expect_pong(1)]
        peer.stream.stream.reset()
    assert versions[0] < versions[2] == versions[3] < versions[4]
    said = node.daemon.logged_all("is of another customer")
    node.daemon.wait_log(r"warning: link bus:\S+: node scripted is of another customer \(umbrella, "
                         r"and this node of none\): no service is announced to it")
    assert len(said) == 2
    assert len(node.daemon.logged_all("node scripted is of this node's customer now")) == 1


def test_what_another_customer_announces_all_the_same_is_not_believed(bus):
    hub = secured(bus)
    url = hub.service("web")
    stranger = Stranger(bus, SEGMENT)
    bus.controller.start()
    peer = stranger.dial(hub.address, customer="acme")
    peer.send(announce("web"))
    peer.expect_pong(1)
    bus.controller.daemon.wait_log(
        r"segment scripted \(\S+\): may not serve \[web\] to node controller: they are of "
        "different customers")
    bus.controller.daemon.wait_log(r"segment scripted \(\S+\): is of another customer")
    bus.refused(url)


def test_names_of_an_older_link_count_no_more_when_the_customer_is_another(bus):
    """The newer one need not withdraw them, and what still comes by the older one is skipped."""
    hub = secured(bus)
    url = hub.service("web")
    stranger = Stranger(bus, SEGMENT)
    bus.controller.start()
    old = stranger.dial(hub.address)
    old.send(announce("web"))
    old.expect_pong(1)
    bus.controller.daemon.wait_log("serves 1 services")
    new = stranger.dial(hub.address, customer="acme")
    new.expect_pong(1)
    bus.controller.daemon.wait_log("serves 0 services")
    bus.refused(url)
    old.send(announce("web", version=2))
    old.expect_pong(2)
    bus.refused(url)
    assert not bus.controller.daemon.logged("may not")
    back = stranger.dial(hub.address)
    back.send(announce("web", version=3))
    back.expect_pong(1)
    bus.connect(url)
    back.expect(OPEN)


def test_no_session_is_led_to_a_link_of_another_customer(bus):
    """The one before is there for a while, when a segment has come back to this customer."""
    hub = secured(bus)
    url = hub.service("web")
    stranger = Stranger(bus, SEGMENT)
    bus.controller.start()
    old = stranger.dial(hub.address, customer="acme")
    old.send(announce())
    old.expect_pong(1)
    new = stranger.dial(hub.address)
    new.send(announce("web", version=2))
    new.expect_pong(1)
    for number in range(4):
        old.expect_pong(2 + number)  # it is not in doubt either
        bus.connect(url).send(b"x")
        assert new.expect_data(new.expect(OPEN).stream, 1) == b"x"
    assert not bus.controller.daemon.logged("different customers")


def test_a_node_of_the_same_name_and_another_customer_takes_over_from_nobody(bus):
    hub = secured(bus)
    url = hub.service("web")
    ours, theirs = Stranger(bus, SEGMENT), Stranger(bus, SEGMENT)
    bus.controller.start()
    peer = ours.dial(hub.address)
    peer.send(announce("web"))
    peer.expect_pong(1)
    other = theirs.dial(hub.address, customer="acme")
    other.send(announce())
    other.expect_pong(1)
    bus.connect(url)
    peer.expect(OPEN)
    other.stream.stream.reset()
    bus.controller.daemon.wait_log(r"segment scripted \(\S+\): down")
    bus.connect(url)
    peer.expect(OPEN)
    assert not bus.controller.daemon.logged("takes over|serves it again|come back")


def test_two_customers_and_one_hub_each(bus):
    """A segment of one of them that dials both controllers: nothing of it is in the other's log."""
    hub, other = secured(bus), secured(bus)
    other.node = bus.other_controller()
    bus.controller.options["listen"], other.node.options["listen"] = hub.address, other.address
    urls = hub.service("web"), other.service("web")
    node = dialler(bus, hub, other, web=bus.serve(name_server_of("web")))
    bus.secure(node, other.node)
    for one in (bus.controller, node):
        bus.keys.issue(one.name, one.program, "--customer", "acme")
    for one in (bus.controller, other.node, node):
        one.start()
    bus.controller.daemon.wait_log("serves 1 services")
    other.node.daemon.wait_log("serves 0 services")
    assert answer(bus, urls[0]) == "web"
    bus.refused(urls[1])
    node.daemon.wait_log("node controller2 is of another customer")
    assert not node.daemon.logged("node controller is of another")
    assert not other.node.daemon.logged("may not serve")


# --- why a peer has gone ---------------------------------------------------------------------

@pytest.fixture(params=[False, True], ids=["dialled", "behind NAT"])
def pair(bus, request):
    return Pair(bus, request.param)


@pytest.mark.parametrize("who", ["dialler", "acceptor"])
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "with a session"])
def test_who_is_revoked_reads_so_and_what_to_do(pair, who, busy):
    """On either side of a link, whoever has dialled it; sessions are reset at both ends."""
    revoked, other = (pair.dialler, pair.acceptor)[:: 1 if who == "dialler" else -1]
    other.options["revoked"] = pair.bus.keys.folder / "revoked"
    pair.bus.keys.revoke("# nobody yet")
    other.reload()
    session = pair.session() if busy else None
    pair.bus.keys.revoke(revoked.name)
    other.daemon.signal(signal.SIGHUP)
    revoked.daemon.wait_log("the peer ended it: this node or its token is revoked there, or not "
                            "trusted any more; issue another token")
    other.daemon.wait_log(f"node {revoked.name} .*: its peer is let in no more: it is revoked")
    if busy:
        for end in session.ends:
            assert end.recv_end() == (b"", RST)
    assert not revoked.daemon.logged("without goodbye|reset by peer|running sessions finish")
    # The line is said once, whatever it dials from then on.
    assert len(revoked.daemon.logged_all("the peer ended it")) == 1


def test_a_revoked_peer_that_reads_nothing_is_cut_at_once(bus):
    """What waits for it on its link delays nothing."""
    server = bus.listen()
    service = bus.service(server, name="web", link="bus")
    node = service.segments[0]
    stranger = Stranger(bus, CONTROLLER)
    bus.keys.revoke("# nobody yet")
    node.options["revoked"] = bus.keys.folder / "revoked"
    node.start()
    peer = stranger.dial(node.sections[0][1][0][1])
    peer.send(open_(1, "web", window=1 << 30), data(1, b"x"))
    backend = server.accept()
    assert backend.recv_exactly(1) == b"x"
    assert backend.send_some() > 0  # until nobody takes anything any more
    bus.keys.revoke("scripted")
    node.daemon.signal(signal.SIGHUP)
    assert backend.recv_end() == (b"", RST)
    node.daemon.wait_log("transport from node scripted .*: lost: the peer is not let in any more")


@pytest.mark.parametrize("code, words", [
    (INTERNAL, r"the controller goes away \(out of resources\)"),
    (EXPIRED, r"the controller goes away \(this node's token has expired: issue a fresh one\)"),
], ids=["internal", "expired"])
def test_a_reason_that_comes_behind_the_announcement_is_logged(bus, code, words):
    """Once, and not that the node shuts down, which is the first it has said."""
    node, listener, stranger = scripted_controller(bus, web=bus.serve(echo))
    node.start()
    peer = stranger.accept(listener)
    peer.expect(ANNOUNCE)
    peer.send(goaway(code=OK))
    peer.expect_pong(1)
    node.daemon.wait_log(r"the controller goes away \(shutting down\)")
    peer.send(goaway(code=code), goaway(code=code))
    peer.expect_pong(2)
    assert len(node.daemon.logged_all(words)) == 1


def test_why_a_peer_has_failed_is_said_of_the_link(bus):
    """Its last word is its first goodbye, and what runs is lost."""
    node, listener, stranger = scripted_controller(bus, web=bus.serve(echo))
    node.start()
    peer = stranger.accept(listener)
    peer.expect(ANNOUNCE)
    peer.send(open_(2, "web"), goaway(last=0, code=PROTOCOL))
    node.daemon.wait_log("the peer ended it: it says that a rule was broken")
    assert not node.daemon.logged("without goodbye|running sessions")


# --- who has become another ------------------------------------------------------------------

@pytest.mark.parametrize("how", ["name", "key", "name and key"])
def test_a_segment_that_becomes_another_is_not_said_to_shut_down(bus, how):
    """Its controller says what is true: another link takes the place of the old one, and where only
    the key is another, that."""
    hub = secured(bus)
    hub.service("web")
    server = bus.listen()
    node = dialler(bus, hub, web=server)
    bus.secure(node)
    bus.controller.start()
    node.start()
    daemon = bus.controller.daemon
    daemon.wait_log(rf"segment {node.name} \(\S+\): serves 1 services")
    if how == "name":
        shutil.copy(bus.keys.folder / f"{node.name}.key", bus.keys.folder / "renamed.key")
    if how == "key":
        bus.keys.issue(node.name, "segment", "--new-key")
    else:
        bus.keys.issue("renamed", "segment")
        node.options.update(bus.keys.options("renamed"))
    node.reload()
    if how == "key":
        daemon.wait_log(rf"notice: segment {node.name} \(\S+\): it has another key now")
    else:
        daemon.wait_log(r"segment renamed \(\S+\): up")
        daemon.wait_log(rf"segment {node.name} \(\S+\): goes away \(another link takes its place\)")
    eventually(lambda: len(daemon.logged_all("serves 1 services")) >= (1 if how == "key" else 2))
    assert not daemon.logged("shutting down")
    assert len(daemon.logged_all("another key")) == (1 if how == "key" else 0)


# --- a token of one's own that does not count ---------------------------------------------------

@pytest.mark.parametrize("what", ["expired", "revoked"])
def test_a_segment_knows_why_its_controller_goes_at_each_dial(bus, need, what):
    """It says so once, with what to do, and not that it may have been refused."""
    service = bus.service(bus.serve(echo), name="web", link="bus")
    node, keys = bus.segments[0], bus.keys.folder
    node.options["log"] = bus.controller.options["log"] = "debug"
    if what == "expired":
        bus.keys.forge(need("openssl"), node.name, nbf=1, exp=int(time.time()) - 3600)
    else:
        bus.keys.revoke(node.name)
        node.options["revoked"] = bus.controller.options["revoked"] = keys / "revoked"
    node.start()
    bus.controller.start()
    gone = "debug: transport from .*: gone when it had this node's token"
    eventually(lambda: len(node.daemon.logged_all(gone)) >= 2, "it has dialled three times")
    words = "this node's token does not count, and peers go when they have seen it: "
    words += r"\S+\.token: exp: expired at .*; issue a fresh one and put it there" \
        if what == "expired" else r"\S+\.token: it is on this node's own revocation list"
    assert len(node.daemon.logged_all(words)) == 1
    assert not node.daemon.logged("may have refused")
    if what == "expired":
        bus.keys.issue(node.name, "segment")
    else:
        bus.keys.revoke("# nobody")
    for one in (node, bus.controller):
        one.daemon.signal(signal.SIGHUP)
    bus.wait_links()
    client = bus.connect(service)
    client.send(b"x")
    assert client.recv_exactly(1) == b"x"
