"""Names: a scripted name server on loopback, addresses that come, go and lie."""

import signal
import time
from collections import Counter

import pytest

from nameserver import NXDOMAIN, SERVFAIL, SILENT
from net import FIN, RST, echo, name_server_of
from wait import eventually, remains

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


class Named:
    """A service that leads to `app.test`, behind whose addresses stand segments that answer with
    the address they listen on."""

    def __init__(self, bus, hosts=HOSTS, ttl=3600, host="app.test", **keys):
        self.bus = bus
        self.dns = bus.nameserver()
        self.port = bus.ports.reserve(*hosts)
        self.dns.zone["app.test"] = self.records(hosts, ttl)
        self.nodes = {}
        for at in hosts:
            node = self.nodes[at] = bus.segment()
            shown = f"[{at}]" if ":" in at else at
            node.section("app", f"tcp://{shown}:{self.port}",
                         bus.serve(name_server_of(at)).url)
        self.front = bus.address()
        # Most do not wait for the link first.
        keys.setdefault("connect_timeout", "30s")
        bus.controller.section("app", self.front, f"tcp://{host}:{self.port}", **keys)

    @staticmethod
    def records(hosts, ttl):
        return [("AAAA" if ":" in at else "A", at, ttl) for at in hosts]

    def start(self, links=None, only=None):
        for at, node in self.nodes.items():
            if only is None or at in only:
                node.start()
        self.bus.controller.start()
        if links:
            self.bus.controller.daemon.wait_links(links)
        return self

    def ask(self):
        """Which address served a new session; None for none."""
        client = self.bus.connect(self.front)
        end = client.recv_end()
        client.close()
        return end.data.decode() if end.how == FIN else None


def test_a_name_leads_to_its_address(bus):
    named = Named(bus, HOSTS[:1]).start()
    assert named.ask() == HOSTS[0]


def test_names_are_case_insensitive(bus):
    named = Named(bus, HOSTS[:1], host="App.TEST").start()
    assert named.ask() == HOSTS[0]


def test_localhost_without_a_name_server(bus):
    backend = bus.serve(echo)
    node = bus.segment()
    port = bus.ports.reserve("127.0.0.1")
    node.section("app", f"tcp://127.0.0.1:{port}", backend.url)
    front = bus.address()
    bus.controller.section("app", front, f"tcp://localhost:{port}", connect_timeout="30s")
    node.start()
    bus.controller.start()
    client = bus.connect(front)
    client.send(b"x")
    assert client.recv_exactly(1) == b"x"


def test_name_of_a_backend(bus):
    backend = bus.serve(echo)
    service = bus.service(backend.url.replace("127.0.0.1", "db.test"))
    dns = bus.nameserver()
    dns.zone["db.test"] = [("A", "127.0.0.1", 60)]
    bus.segments[0].options["dns"] = dns.address
    bus.start()
    client = bus.connect(service)
    client.send(b"x")
    assert client.recv_exactly(1) == b"x"
    assert dns.asked("db.test")


def test_round_robin_over_the_addresses_of_a_backend_name(bus):
    """A segment's backend with two addresses: sessions rotate over both, and one that refuses is
    passed over without harm."""
    dns = bus.nameserver()
    port = bus.ports.reserve(*HOSTS[:2])
    servers = [bus.serve(name_server_of(at), f"tcp://{at}:{port}") for at in HOSTS[:2]]
    dns.zone["db.test"] = Named.records(HOSTS[:2], 3600)
    service = bus.service(f"tcp://db.test:{port}")
    bus.segments[0].options["dns"] = dns.address
    bus.start()
    got = Counter(bus.connect(service).recv_end().data.decode() for _ in range(20))
    assert set(got) == set(HOSTS[:2])
    servers[0].close()
    for _ in range(10):
        assert bus.connect(service).recv_end() == (HOSTS[1].encode(), FIN)


def test_cname_is_followed(bus):
    named = Named(bus, HOSTS[:1])
    named.dns.zone["alias.test"] = named.dns.zone["app.test"]
    named.dns.zone["app.test"] = [("CNAME", "alias.test", 60)]
    named.start()
    assert named.ask() == HOSTS[0]


def test_truncated_answer_is_asked_for_again_over_tcp(bus):
    named = Named(bus, HOSTS[:1])
    named.dns.truncate = True
    named.start()
    assert named.ask() == HOSTS[0]
    assert named.dns.tcp_queries > 0


def test_second_name_server_answers_where_the_first_is_silent(bus):
    named = Named(bus, HOSTS[:1], connect_timeout="30s")
    good, bad = named.dns, bus.nameserver()
    bad.zone["app.test"] = SILENT
    bus.controller.options["dns"] = [bad.address, good.address]
    named.start()
    assert named.ask() == HOSTS[0]


@pytest.mark.parametrize("failure", [SERVFAIL, NXDOMAIN, SILENT, []],
                         ids=["servfail", "nxdomain", "silent", "empty"])
def test_case_43_failing_name_is_refused_bounded_and_harms_nobody(bus, failure):
    named = Named(bus, HOSTS[:1], connect_timeout="1s")
    named.dns.zone["app.test"] = failure
    other = bus.service(bus.serve(echo))
    for node in bus.segments:
        node.start()
    bus.controller.start()
    bus.controller.daemon.wait_links(1)
    client = bus.connect(named.front)
    healthy = bus.connect(other)
    healthy.send(b"x")
    assert healthy.recv_exactly(1) == b"x"
    assert client.recv_end() == (b"", RST)
    asked, cpu = named.dns.asked("app.test"), bus.controller.daemon.cpu()
    remains(bus.controller.daemon.running, 2)
    assert named.dns.asked("app.test") - asked < 60
    assert bus.controller.daemon.cpu() - cpu < 1
    named.dns.zone["app.test"] = Named.records(HOSTS[:1], 60)
    eventually(lambda: named.ask() == HOSTS[0], "it works once the name does")


def test_case_44_black_holed_aaaa_beside_a_good_a(bus):
    dns = bus.nameserver()
    port = bus.ports.reserve("127.0.0.1", "::1")
    bus.unanswering(url=f"tcp://[::1]:{port}")
    node = bus.segment()
    node.section("app", f"tcp://127.0.0.1:{port}", bus.serve(echo).url)
    node.start()
    dns.zone["app.test"] = Named.records(("::1", "127.0.0.1"), 60)
    front = bus.address()
    bus.controller.section("app", front, f"tcp://app.test:{port}", connect_timeout="20s")
    bus.controller.start()
    for _ in range(10):
        client = bus.connect(front)
        client.send(b"x")
        client.fin()
        assert client.recv_end() == (b"x", FIN)


def test_case_44_silent_aaaa_query_beside_an_answered_a(bus):
    named = Named(bus, HOSTS[:1], connect_timeout="20s")
    named.dns.silent_types = {("app.test", "AAAA")}
    named.start()
    assert named.ask() == HOSTS[0]


def test_both_families(bus):
    named = Named(bus, ("127.0.0.1", "::1")).start(links=2)
    assert Counter(named.ask() for _ in range(20)) == {"127.0.0.1": 10, "::1": 10}


def test_case_45_new_sessions_move_when_the_addresses_change_and_old_ones_stay(bus):
    dns = bus.nameserver()
    port = bus.ports.reserve(*HOSTS[:2])
    backends = {}
    for at in HOSTS[:2]:
        backends[at] = bus.listen()
        bus.segment().section("app", f"tcp://{at}:{port}", backends[at].url)
    dns.zone["app.test"] = [("A", HOSTS[0], 1)]  # taken as 5 s, the least
    front = bus.address()
    bus.controller.section("app", front, f"tcp://app.test:{port}", connect_timeout="30s")
    for node in bus.segments:
        node.start()
    bus.controller.start()
    old_client = bus.connect(front)
    old_server = backends[HOSTS[0]].accept()
    dns.zone["app.test"] = [("A", HOSTS[1], 1)]

    def moved():
        client = bus.connect(front)
        return eventually(lambda: [at for at in HOSTS[:2] if backends[at].poll()]
                          or client.ended(), "it is somewhere") == [HOSTS[1]]
    eventually(moved, "new sessions go to the new address", every=0.2)
    for _ in range(5):
        bus.connect(front)
        assert backends[HOSTS[1]].accept()
    old_client.send(b"old")
    assert old_server.recv_exactly(3) == b"old"
    old_server.send(b"stays")
    assert old_client.recv_exactly(5) == b"stays"


@pytest.mark.parametrize("how", ["asking", "waiting"])
def test_case_46_shutdown_during_a_query(bus, how):
    named = Named(bus, HOSTS[:1], connect_timeout="60s")
    named.dns.zone["app.test"] = SILENT
    bus.controller.options["drain_timeout"] = "0s"
    bus.controller.start()
    eventually(lambda: named.dns.asked("app.test"), "the question is asked")
    if how == "waiting":
        client = bus.connect(named.front)
        client.send(b"x")
        client.silent(0.3)
    bus.controller.daemon.signal(signal.SIGTERM)
    assert bus.controller.daemon.wait_exit() in (0, 1)
    bus.controller.daemon.check()


def test_case_65_three_addresses_are_used_evenly(bus):
    named = Named(bus).start(links=3)
    assert Counter(named.ask() for _ in range(60)) == {at: 20 for at in HOSTS}


def test_case_65_no_session_fails_while_one_address_answers(bus):
    named = Named(bus).start(links=3)
    named.nodes[HOSTS[0]].daemon.kill()
    bus.controller.daemon.wait_links(2)
    for _ in range(10):
        assert named.ask() in HOSTS[1:]
    named.nodes[HOSTS[1]].daemon.stop()
    bus.controller.daemon.wait_links(1)
    for _ in range(10):
        assert named.ask() == HOSTS[2]
    # an address that answers again is used again, without a touch to the controller
    named.nodes[HOSTS[0]].start()
    bus.controller.daemon.wait_links(2)
    assert Counter(named.ask() for _ in range(20)) == {HOSTS[0]: 10, HOSTS[2]: 10}


def test_case_65_starts_with_one_address_alive(bus):
    named = Named(bus, connect_timeout="20s").start(links=1, only=HOSTS[1:2])
    for _ in range(10):
        assert named.ask() == HOSTS[1]


def test_case_65_ttl_is_kept_while_links_are_up(bus):
    """Asked again after the time to live (5 s at least) although nothing is wrong, and not more
    often."""
    named = Named(bus, HOSTS[:1], ttl=1).start(links=1)
    started, asked = time.monotonic(), named.dns.queries["app.test", "A"]

    def again():
        assert named.ask() == HOSTS[0]
        return named.dns.queries["app.test", "A"] - asked
    eventually(lambda: again() >= 2, "it asks again, and again", every=0.1)
    assert again() <= (time.monotonic() - started) / 5 + 2


def test_case_65_long_ttl_is_kept_too(bus):
    named = Named(bus, HOSTS[:1], ttl=600).start(links=1)
    asked = named.dns.asked("app.test")
    for _ in range(50):
        assert named.ask() == HOSTS[0]
    assert named.dns.asked("app.test") == asked


def test_a_fan_out_of_names_is_a_member_each(bus):
    """Two server= lines are two members, however many addresses each name has."""
    dns = bus.nameserver()
    port = bus.ports.reserve(*HOSTS)
    backends = {}
    for at in HOSTS:
        backends[at] = bus.listen()
        bus.segment().section("app", f"tcp://{at}:{port}", backends[at].url)
    dns.zone["two.test"] = Named.records(HOSTS[:2], 3600)
    dns.zone["one.test"] = Named.records(HOSTS[2:], 3600)
    front = bus.address()
    bus.controller.section("app", front, f"tcp://two.test:{port}", f"tcp://one.test:{port}",
                           mode="full duplex")
    for node in bus.segments:
        node.start()
    bus.controller.start()
    bus.controller.daemon.wait_links(3)
    for _ in range(4):
        client = bus.connect(front)
        client.send(b"x")
        assert backends[HOSTS[2]].accept().recv_exactly(1) == b"x"
    for _ in range(4):
        eventually(lambda: any(backends[at].poll() for at in HOSTS[:2]), "one of the two")
    for at in HOSTS:
        backends[at].untouched(0.3)
