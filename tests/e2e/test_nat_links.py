"""Links that segments dial: they announce what they serve, and the controller leads there."""

import re
import signal
import time

import pytest

import daemon
import proto
import wan
from net import FIN, RST, echo, name_server_of, pattern
from wait import Task, eventually, patient, remains

MIB = 1 << 20


class Hub:
    """A controller with listen=, and how to get segments to it."""

    def __init__(self, bus, node=None):
        self.bus, self.node = bus, node or bus.controller
        self.address = bus.address()
        self.node.options["listen"] = self.address

    def service(self, name, *servers, **keys):
        url = self.bus.address()
        self.node.section(name, url, *servers, **keys)
        return url

    def serving(self, times=1):
        """Waits until whole lists have come so often."""
        eventually(lambda: len(re.findall(r"segment \S+: serves \d+ services",
                                          self.node.daemon.log())) >= times,
                   f"{times} lists of services")


def dialler(bus, *hubs, **services):
    """A segment that dials hubs; not started yet."""
    node = bus.segment()
    node.options["connect"] = [hub.address for hub in hubs]
    for name, server in services.items():
        node.section(name, None, getattr(server, "url", server))
    return node


def answer(bus, url):
    """What a server that speaks first says through a service."""
    client = bus.connect(url)
    said, how = client.recv_end()
    client.close()
    assert how == FIN
    return said.decode()


def three(bus, hub, name="web"):
    """Three segments of one name, which say who they are."""
    nodes = [dialler(bus, hub, **{name: bus.serve(name_server_of(str(i)))}) for i in range(3)]
    for number, node in enumerate(nodes, 1):
        node.start()
        hub.serving(number)
    return nodes


def test_a_segment_without_an_address_is_reached(bus):
    hub = Hub(bus)
    url = hub.service("Web")
    bus.controller.start()
    node = dialler(bus, hub, wEB=bus.serve(echo)).start()
    hub.serving()
    client = bus.connect(url)
    client.send(b"ping")
    client.fin()
    assert client.recv_end() == (b"ping", FIN)
    assert node.logged(r"link tcp://\S+: up")


def test_large_transfers_both_ways(bus):
    hub = Hub(bus)
    url = hub.service("web")
    bus.controller.start()
    dialler(bus, hub, web=bus.serve(echo)).start()
    hub.serving()
    client, data = bus.connect(url), pattern(16 * MIB)
    sender = Task(lambda: (client.send(data), client.fin()))
    got, how = client.recv_end()
    sender.result()
    assert how == FIN and got == data


def test_sessions_rotate_over_segments(bus):
    hub = Hub(bus)
    url = hub.service("web")
    bus.controller.start()
    three(bus, hub)
    said = [answer(bus, url) for _ in range(30)]
    assert sorted(said[:3]) == ["0", "1", "2"]
    assert said == said[:3] * 10


def test_least_sessions(bus):
    hub = Hub(bus)
    url = hub.service("web", balance="least_sessions")
    bus.controller.start()
    listeners = [bus.listen() for _ in range(3)]
    for number, listener in enumerate(listeners, 1):
        dialler(bus, hub, web=listener).start()
        hub.serving(number)
    # Three sessions, one each; two of them end, and the next two take their places.
    pairs = []
    for listener in listeners:
        client = bus.connect(url)
        client.send(b"x")
        pairs.append((client, listener.accept()))
        assert pairs[-1][1].recv_exactly(1) == b"x"
    for client, server in pairs[1:]:
        client.fin()
        server.fin()
        assert server.recv_end() == client.recv_end() == (b"", FIN)
    for _ in range(2):
        bus.connect(url).send(b"y")
    for listener in listeners[1:]:
        assert listener.accept().recv_exactly(1) == b"y"
    listeners[0].untouched(0.3)


def test_fanout_all_half_duplex(bus):
    """All three have the request; the first to answer has the session."""
    hub = Hub(bus)
    url = hub.service("web", fanout="all", mode="half duplex")
    bus.controller.start()
    listeners = [bus.listen() for _ in range(3)]
    for number, listener in enumerate(listeners, 1):
        dialler(bus, hub, web=listener).start()
        hub.serving(number)
    client = bus.connect(url)
    client.send(b"question")
    servers = [listener.accept() for listener in listeners]
    for server in servers:
        assert server.recv_exactly(8) == b"question"
    servers[1].send(b"answer")
    assert client.recv_exactly(6) == b"answer"
    for loser in (servers[0], servers[2]):
        assert loser.recv_end() == (b"", RST)
    client.send(b"more")
    assert servers[1].recv_exactly(4) == b"more"


def test_fanout_all_full_duplex_has_who_is_there(bus):
    hub = Hub(bus)
    url = hub.service("web", fanout="all", mode="full duplex")
    bus.controller.start()
    nodes = three(bus, hub)
    for left in (3, 2, 1):
        client = bus.connect(url)
        said, how = client.recv_end()
        assert how == FIN and sorted(said.decode()) == ["0", "1", "2"][:left]
        client.close()
        nodes[left - 1].daemon.stop()
    bus.refused(url)


def test_a_name_that_nobody_serves_refuses_at_once(bus):
    hub = Hub(bus)
    url = hub.service("web", connect_timeout="1h")
    other = hub.service("other", "bus:elsewhere", connect_timeout="1h")
    bus.controller.start()
    bus.refused(url)
    node = dialler(bus, hub, web=bus.serve(name_server_of("here"))).start()
    hub.serving()
    assert answer(bus, url) == "here"
    bus.refused(other)
    node.stop()
    bus.refused(url)
    log = bus.controller.daemon.log()
    assert len(re.findall(r"service \[web\]: client \S+ refused: no segment serves it now",
                          log)) == 2


def test_a_name_beside_an_address(bus):
    """Members of both kinds; a dialled one is still waited for."""
    hub = Hub(bus)
    bind = bus.address()
    url = hub.service("web", "bus:far", bind, mode="full duplex")
    bus.controller.start()
    client = bus.connect(url)
    client.silent(0.3)
    near = bus.segment()
    near.section("web", bind, bus.serve(name_server_of("n")).url)
    near.start()
    assert client.recv_end() == (b"n", FIN)
    dialler(bus, hub, far=bus.serve(name_server_of("f"))).start()
    hub.serving()
    assert sorted(bus.connect(url).recv_end()[0]) == sorted(b"nf")


def test_who_waits_for_an_address_is_taken_to_a_name(bus):
    """Nobody is up, and the client waits for the dialled one: the first to come has it."""
    hub = Hub(bus)
    url = hub.service("web", "bus:far", bus.address(), "bus:further", connect_timeout="1h")
    bus.controller.start()
    client = bus.connect(url)
    client.silent(0.3)
    dialler(bus, hub, further=bus.serve(name_server_of("further"))).start()
    assert client.recv_end() == (b"further", FIN)


def test_segment_killed_in_mid_stream(bus):
    """Its sessions are reset; new ones go to the others at once; it comes back."""
    hub = Hub(bus)
    url = hub.service("web")
    bus.controller.start()
    listeners = [bus.listen() for _ in range(2)]
    nodes = [dialler(bus, hub, web=listener) for listener in listeners]
    for number, node in enumerate(nodes, 1):
        node.start()
        hub.serving(number)
    pairs = [(bus.connect(url), listener.accept()) for listener in listeners]
    for client, server in pairs:
        client.send(b"up")
        assert server.recv_exactly(2) == b"up"
        server.send(b"down")
        assert client.recv_exactly(4) == b"down"
    nodes[0].daemon.kill()
    assert pairs[0][0].recv_end() == (b"", RST)
    assert pairs[0][1].recv_end() == (b"", RST)
    for _ in range(3):
        client, server = bus.connect(url), listeners[1].accept()
        client.send(b"there")
        assert server.recv_exactly(5) == b"there"
    nodes[0].start()
    hub.serving(3)
    got = [bus.connect(url), bus.connect(url)]
    for client in got:
        client.send(b"again")
    for listener in listeners:
        assert listener.accept().recv_exactly(5) == b"again"
    pairs[1][1].send(b"still here")
    assert pairs[1][0].recv_exactly(10) == b"still here"


def test_controller_restarts(bus):
    hub = Hub(bus)
    url = hub.service("web")
    bus.controller.start()
    node = dialler(bus, hub, web=bus.serve(name_server_of("here"))).start()
    hub.serving()
    for kill in (True, False):
        if kill:
            bus.controller.daemon.kill()
        else:
            bus.controller.daemon.stop()
        bus.controller.start()
        hub.serving()
        assert answer(bus, url) == "here"
    assert node.running()


def test_two_controllers(bus):
    """A segment stays connected to both; one that dies takes only its own sessions along."""
    hubs = [Hub(bus), Hub(bus, bus.other_controller())]
    urls = [hub.service("web") for hub in hubs]
    backend = bus.listen()
    node = dialler(bus, *hubs, web=backend)
    node.start()
    for hub in hubs:
        hub.node.start()
    for hub in hubs:
        hub.serving()
    pairs = [(bus.connect(url), backend.accept()) for url in urls]
    for client, server in pairs:
        client.send(b"x")
        assert server.recv_exactly(1) == b"x"
    hubs[0].node.daemon.kill()
    assert pairs[0][0].recv_end() == (b"", RST)
    assert pairs[0][1].recv_end() == (b"", RST)
    pairs[1][1].send(b"unhurt")
    assert pairs[1][0].recv_exactly(6) == b"unhurt"
    client, server = bus.connect(urls[1]), backend.accept()
    server.send(b"new")
    assert client.recv_exactly(3) == b"new"
    hubs[0].node.start()
    hubs[0].serving()
    client, server = bus.connect(urls[0]), backend.accept()
    server.send(b"back")
    assert client.recv_exactly(4) == b"back"


def test_case_26_segment_drains(bus):
    """GOAWAY: its sessions go on, new ones go elsewhere."""
    hub = Hub(bus)
    url = hub.service("web")
    bus.controller.start()
    listeners = [bus.listen() for _ in range(2)]
    nodes = [dialler(bus, hub, web=listener) for listener in listeners]
    for number, node in enumerate(nodes, 1):
        node.start()
        hub.serving(number)
    client, server = bus.connect(url), listeners[0].accept()
    nodes[0].daemon.terminate()
    bus.controller.daemon.wait_log(r"segment \S+: goes away \(shutting down\)")
    for _ in range(3):
        bus.connect(url).send(b"n")
        assert listeners[1].accept().recv_exactly(1) == b"n"
    server.send(b"late")
    assert client.recv_exactly(4) == b"late"
    remains(nodes[0].daemon.running, 0.3, "the drain waits")
    client.fin()
    server.fin()
    assert server.recv_end() == (b"", FIN)
    assert nodes[0].daemon.wait_exit() == 0


def test_drain_timeout_cuts_off(bus):
    hub = Hub(bus)
    url = hub.service("web")
    bus.controller.options["drain_timeout"] = "300ms"
    bus.controller.start()
    backend = bus.listen()
    node = dialler(bus, hub, web=backend)
    node.options["drain_timeout"] = "300ms"
    node.start()
    hub.serving()
    for ends in (bus.controller, node):
        client, server = bus.connect(url), backend.accept()
        client.send(b"x")
        assert server.recv_exactly(1) == b"x"
        ends.daemon.stop(expect=1)
        assert client.recv_end() == (b"", RST)
        assert server.recv_end() == (b"", RST)
        if ends is bus.controller:
            bus.controller.start()
            hub.serving()


def test_case_23_black_hole_on_a_dialled_link(bus):
    """Nothing comes any more from the segment: its names go within link_timeout."""
    hub = Hub(bus)
    relay = bus.relay(hub.address)
    url = hub.service("web")
    bus.controller.options["link_timeout"] = patient(3)
    bus.controller.start()
    node = dialler(bus, hub, web=bus.serve(name_server_of("here")))
    node.options["connect"] = relay.url
    node.options["link_timeout"] = patient(3)
    node.start()
    hub.serving()
    assert answer(bus, url) == "here"
    node.daemon.freeze()
    bus.controller.daemon.wait_log(r"segment \S+: down: not a byte within link_timeout")
    bus.refused(url)
    node.daemon.thaw()
    hub.serving(2)
    assert answer(bus, url) == "here"


def test_long_lists_of_services(bus):
    """2000 names, each leads to its own server."""
    hub = Hub(bus)
    names = [f"service-{number:04}-{'x' * (number % 200)}" for number in range(2000)]
    tried = names[::199]
    urls = [hub.service(f"s{number}", f"bus:{name.upper()}") for number, name in enumerate(tried)]
    bus.controller.start()
    node = bus.segment()
    node.options["connect"] = hub.address
    servers = {name: bus.serve(name_server_of(name)).url for name in tried}
    for name in names:
        node.section(name, None, servers.get(name, "tcp://127.0.0.1:1"))
    node.start()
    bus.controller.daemon.wait_log(r"segment \S+: serves 2000 services")
    for name, url in zip(tried, urls):
        assert answer(bus, url) == name


@pytest.mark.parametrize("length", ["long", "short"])
def test_long_path_has_several_transports(long_path, bus, length):
    """Over a path of some length the segment opens transports=, and sessions take turns; one
    that is lost is made anew, and a short path has one."""
    hub = Hub(bus)
    hub.address = f"tcp://{wan.NEAR}:9700"
    hub.node.options["listen"] = hub.address
    hub.node.prefix = long_path.near
    url = bus.address("unix")
    hub.node.section("web", url)
    bus.controller.start()
    listener = bus.listen(bus.address("unix"))
    node = dialler(bus, hub, web=listener)
    node.options["transports"] = 3
    node.prefix = long_path.far if length == "long" else long_path.near
    node.start()
    hub.serving()
    want = 3 if length == "long" else 1

    def links():
        return wan.connections(9700, node.prefix)

    def carry(size):
        client = bus.connect(url)
        sender = Task(lambda: (client.send(pattern(size)), client.fin()))
        server = listener.accept()
        assert server.recv_end() == (pattern(size), FIN)
        sender.result()
        server.fin()
        assert client.recv_end() == (b"", FIN)

    def carried():
        return wan.carried(9700, node.prefix)

    def all_have_carried():
        carry(64 * 1024)
        return sum(n >= 64 * 1024 for n in carried()) == want

    eventually(lambda: len(links()) == want, f"{want} transports")
    eventually(all_have_carried, "sessions on all of them")
    before, had = links(), carried()
    for _ in range(6):
        carry(MIB)
    for now, then in zip(carried(), had):
        assert abs(now - then - 6 // want * MIB) < 64 * 1024
    assert links() == before
    log = node.daemon.log()
    assert len(re.findall(r"link tcp://\S+: up", log)) == 1 and "lost" not in log


@pytest.mark.parametrize("kind", ["unix", "abstract", "tcp6"])
def test_other_kinds_of_addresses(bus, kind):
    hub = Hub(bus)
    hub.address = bus.address(kind)
    hub.node.options["listen"] = [bus.address(), hub.address]
    url = hub.service("web")
    bus.controller.start()
    dialler(bus, hub, web=bus.serve(name_server_of("here"))).start()
    hub.serving()
    assert answer(bus, url) == "here"


def test_connect_to_a_name(bus):
    """All addresses of the name race; the name is asked again when the link is lost."""
    hub = Hub(bus)
    port = hub.address.rsplit(":", 1)[1]
    url = hub.service("web")
    server = bus.nameserver()
    bus.controller.options.pop("dns")
    server.zone["hub.test"] = [("A", "127.0.0.1", 60)]
    bus.controller.start()
    node = dialler(bus, hub, web=bus.serve(name_server_of("here")))
    node.options["connect"] = f"tcp://hub.test:{port}"
    node.options["dns"] = server.address
    node.start()
    hub.serving()
    assert answer(bus, url) == "here"
    assert node.daemon.logged(rf"link tcp://hub.test:{port}: up")


def test_a_service_with_a_bind_is_announced_too(bus):
    hub = Hub(bus)
    bind = bus.address()
    by_name, by_address = hub.service("web"), hub.service("direct", bind)
    bus.controller.start()
    node = bus.segment()
    node.options["connect"] = hub.address
    node.section("web", bind, bus.serve(name_server_of("here")).url)
    node.start()
    hub.serving()
    bus.controller.daemon.wait_links(1)
    assert answer(bus, by_name) == answer(bus, by_address) == "here"


# --- peers that misbehave -----------------------------------------------------------------


def greeted(bus, hub, role=proto.SEGMENT, **kwargs):
    return proto.Peer(bus.connect(hub.address)).greet(role, **kwargs)


class Opened:
    """How many streams have been opened at each of some peers."""

    def __init__(self, peers):
        self._peers = peers
        self.each = [0] * len(peers)

    def _look(self):
        for number, peer in enumerate(self._peers):
            frames = peer.expect_pong(9)
            self.each[number] += sum(frame.type == proto.OPEN for frame in frames)

    def wait(self, total):
        """Waits for so many in all, and looks once more: those are all."""
        def enough():
            self._look()
            return sum(self.each) >= total
        eventually(enough, f"{total} streams")
        self._look()


def test_what_is_announced_by_hand(bus):
    """Changes, a whole list, an older version; two transports of one instance."""
    hub = Hub(bus)
    urls = {name: hub.service(name) for name in "abc"}
    bus.controller.start()
    instance = bytes(range(16))
    peers = [greeted(bus, hub, instance=instance) for _ in range(2)]

    def leads(url):
        """Whether a client's session is opened at one of the two, or else refused."""
        try:
            client = bus.connect(url)
        except ConnectionResetError:
            return False
        opened = eventually(lambda: any_open() or client.ended(), "an answer")
        client.reset()
        return opened is True

    def any_open():
        return any([proto.OPEN in [frame.type for frame in peer.expect_pong(7)]
                    for peer in peers])

    def served():
        any_open()  # what was sent has been dealt with
        return "".join(name for name, url in urls.items() if leads(url))

    peers[0].send(proto.announce("A", "b", version=5, kind=proto.LIST))
    assert served() == "ab"
    peers[1].send(proto.announce("b", "c", version=5, kind=proto.LIST_END))
    assert served() == "abc"  # all were named by version 5
    peers[1].send(proto.announce("c", version=4, kind=proto.LIST_END))
    assert served() == "abc"  # an old list
    peers[0].send(proto.announce("-B", version=6, kind=proto.CHANGES))
    assert served() == "ac"
    peers[1].send(proto.announce("b", version=7, kind=proto.LIST_END))
    assert served() == "b"  # the others were not named


def test_two_of_the_same_role(bus):
    """Refused, and both say why."""
    hubs = [Hub(bus), Hub(bus, bus.other_controller())]
    hubs[0].service("web", hubs[1].address, connect_timeout="1h")
    hubs[1].service("web")
    hubs[1].node.start()
    hubs[0].node.start()
    hubs[0].node.daemon.wait_log(r"cannot connect: the peer is a controller too")
    hubs[1].node.daemon.wait_log(r"transport from \S+: lost: the peer is a controller too")
    bind = bus.address()
    inner, outer = bus.segment(), bus.segment()
    inner.section("web", bind, "tcp://127.0.0.1:1")
    outer.options["connect"] = bind
    outer.section("web", None, "tcp://127.0.0.1:1")
    inner.start()
    outer.start()
    outer.daemon.wait_log(r"cannot connect: the peer is a segment too")
    inner.daemon.wait_log(r"transport from \S+: lost: the peer is a segment too")


def test_a_flood_of_announcements_costs_the_transport(bus):
    hub = Hub(bus)
    url = hub.service("web")
    bus.controller.start()
    peer = greeted(bus, hub)
    frames = b"".join(proto.announce("web", version=n, kind=proto.CHANGES) for n in range(1, 20001))
    try:
        peer.stream.send(frames)
        peer.drain()
    except (ConnectionResetError, BrokenPipeError):
        pass
    bus.controller.daemon.wait_log(r"segment \S+: down: too many ANNOUNCEs")
    bus.refused(url)


def test_too_many_names_of_one_segment(bus):
    hub = Hub(bus)
    first, beyond = hub.service("first", "bus:n-0"), hub.service("last", "bus:n-16384")
    bus.controller.start()
    peer = greeted(bus, hub)
    names = [f"n-{number}" for number in range(16385)]
    for at in range(0, len(names), 200):
        part = names[at:at + 200]
        peer.send(proto.announce(*part, version=1, kind=proto.LIST))
    peer.send(proto.announce(version=1, kind=proto.LIST_END))
    bus.controller.daemon.wait_log(r"some of its services are left out: there are too many")
    bus.controller.daemon.wait_log(r"serves 16384 services")
    bus.refused(beyond)
    bus.connect(first)
    peer.expect(proto.OPEN)


def names_of(prefix, count=16384):
    """Frames' worth of names, with the last name of all."""
    names = [f"{prefix}-{number}" for number in range(count)]
    return [names[at:at + 200] for at in range(0, count, 200)], names[-1]


def test_a_whole_list_takes_the_place_of_a_full_one(bus):
    """As many names as there may be, and then as many others: none is left out."""
    hub = Hub(bus)
    parts = {prefix: names_of(prefix) for prefix in ("old", "new")}
    urls = {prefix: hub.service(prefix, f"bus:{last}") for prefix, (_, last) in parts.items()}
    bus.controller.start()
    peer = greeted(bus, hub)
    for version, (prefix, (frames, _)) in enumerate(parts.items(), 1):
        for part in frames:
            peer.send(proto.announce(*part, version=version, kind=proto.LIST))
        peer.send(proto.announce(version=version, kind=proto.LIST_END))
        peer.expect_pong(version)
        bus.connect(urls[prefix])
        peer.expect(proto.OPEN)
    bus.refused(urls["old"])
    assert not bus.controller.daemon.logged("left out")


def test_a_list_without_news_is_not_logged_again(bus):
    hub = Hub(bus)
    hub.service("web")
    bus.controller.start()
    peer = greeted(bus, hub)
    for version in (1, 1, 1, 2, 2, 3):
        peer.send(proto.announce("web", version=version))
    peer.expect_pong(3)
    peer.send(proto.announce("other", version=3, kind=proto.CHANGES),
              proto.announce("web", "other", version=3))
    bus.controller.daemon.wait_log(r"serves 2 services")
    assert len(bus.controller.daemon.logged_all(r"serves 1 services")) == 1


def test_each_change_of_names_is_logged(bus):
    """What comes and goes by a reload, and by hand, until there is too much of it."""
    hub = Hub(bus)
    hub.service("web")
    bus.controller.start()
    node = dialler(bus, hub, other=bus.serve(echo)).start()
    log = bus.controller.daemon
    log.wait_log(r"segment \S+: serves 1 services")
    segment = bus.segments[0]
    segment.section("web", None, bus.serve(echo).url)
    segment.reload()
    log.wait_log(r"segment \S+: serves 2 services")
    segment.sections.pop()
    segment.reload()
    eventually(lambda: len(log.logged_all(r"segment \S+: serves 1 services")) == 2, "one less")
    assert node.running()
    peer, began = greeted(bus, hub), time.monotonic()
    peer.send(proto.announce("a"))
    for version in range(1, 1001):
        peer.send(proto.announce(("-", "")[version % 2] + "b", version=version,
                                 kind=proto.CHANGES))
    peer.expect_pong(1)
    assert 100 < len(log.logged_all(r"serves \d services")) \
        < 256 + 10 * (time.monotonic() - began + 2)


def test_a_flood_of_tokens_costs_the_transport(bus):
    hub = Hub(bus)
    hub.service("web")
    bus.controller.start()
    peer = greeted(bus, hub)
    try:
        peer.send(*[proto.token(b"not a token")] * 200)
        peer.drain()
    except OSError:
        pass
    bus.controller.daemon.wait_log(r"segment \S+: down: too many TOKENs")


@pytest.mark.parametrize("keys", [{"balance": "round_robin"}, {"balance": "least_sessions"},
                                  {"fanout": "all"}], ids=["round_robin", "least", "all"])
def test_more_than_64_segments_of_which_one_has_room(bus, keys):
    """No more than 64 are looked at for a session, but the next one looks at others."""
    hub = Hub(bus)
    url = hub.service("web", **keys)
    bus.controller.start()
    peers = [greeted(bus, hub, max_streams=0 if number < 70 else 10) for number in range(71)]
    for peer in peers:
        peer.send(proto.announce("web"))
        peer.expect_pong(1)
    bus.refused(url)
    client = bus.connect(url)
    peers[-1].expect(proto.OPEN)
    peers[-1].send(proto.data(2, b"here", fin=True))
    assert client.recv_exactly(4) == b"here"


def test_fanout_all_has_64_members_at_most(bus):
    hub = Hub(bus)
    url = hub.service("web", fanout="all", mode="full duplex")
    bus.controller.start()
    peers = [greeted(bus, hub) for _ in range(66)]
    for peer in peers:
        peer.send(proto.announce("web"))
        peer.expect_pong(1)
    opened = Opened(peers)
    bus.connect(url).send(b"all")
    opened.wait(64)
    assert sorted(opened.each) == [0] * 2 + [1] * 64


def test_a_segment_that_comes_back_while_old_sessions_end(bus):
    """It has said goodbye and dials anew, the same process: it serves again, and its log says so."""
    hub = Hub(bus)
    url = hub.service("web")
    bus.controller.start()
    instance = bytes(range(16))
    first = greeted(bus, hub, instance=instance)
    first.send(proto.announce("web", version=3))
    hub.serving()
    client = bus.connect(url)
    first.expect(proto.OPEN)
    first.send(proto.goaway())
    bus.controller.daemon.wait_log(r"segment \S+: goes away")
    bus.refused(url)
    second = greeted(bus, hub, instance=instance)
    second.send(proto.announce("web", version=3))
    bus.controller.daemon.wait_log(r"segment \S+: up[\s\S]*segment \S+: up")
    hub.serving(2)
    bus.connect(url).send(b"new")
    assert second.expect_data(second.expect(proto.OPEN).stream, 3) == b"new"
    first.send(proto.data(2, b"old"))
    assert client.recv_exactly(3) == b"old"


def test_a_session_opened_by_the_segment_is_refused(bus):
    hub = Hub(bus)
    hub.service("web")
    bus.controller.start()
    peer = greeted(bus, hub)
    peer.send(proto.open_(1, "web"))
    assert proto.reset_code(peer.expect(proto.RESET)) == proto.NO_SERVICE


def test_the_segment_refuses_what_it_does_not_serve(bus):
    """On a link that the segment has dialled the name must match, though it has one service."""
    listener = bus.listen()
    node = bus.segment()
    node.options["connect"] = listener.url
    node.section("web", None, "tcp://127.0.0.1:1")
    node.start()
    peer = proto.Peer(listener.accept()).greet(proto.CONTROLLER)
    assert proto.announced(peer.expect(proto.ANNOUNCE)) == (1, proto.LIST_END, ["web"])
    peer.send(proto.open_(2, "other"))
    assert proto.reset_code(peer.expect(proto.RESET)) == proto.NO_SERVICE


def test_a_controller_that_takes_no_announcements_gets_none(bus):
    listener = bus.listen()
    node = bus.segment()
    node.options["connect"] = listener.url
    node.section("web", None, bus.serve(name_server_of("here")).url)
    node.start()
    peer = proto.Peer(listener.accept()).greet(proto.CONTROLLER, capabilities=0)
    assert proto.ANNOUNCE not in [frame.type for frame in peer.expect_pong(9)]
    peer.send(proto.open_(2, "WEB"))
    assert peer.expect_data(2, 4) == b"here"


# --- configuration -----------------------------------------------------------------------------


@pytest.mark.parametrize("program, text, message", [
    ("controller", "[web]\nbind=tcp://127.0.0.1:1\nserver=bus:web\n", "expected listen= in"),
    ("controller", "[web]\nbind=tcp://127.0.0.1:1\n", "server: the key is missing"),
    ("segment", "[web]\nserver=tcp://127.0.0.1:1\n", "bind: the key is missing"),
    ("segment", "[Cloudbus]\nconnect=bus:x\n[web]\nserver=tcp://127.0.0.1:1\n",
     "expected an address here"),
    ("controller", "[Cloudbus]\nlisten=tcp://host:1\n[web]\nbind=tcp://127.0.0.1:1\n",
     "not a host name"),
], ids=["bus-name", "server", "bind", "connect", "listen"])
def test_bad_configuration(bus, program, text, message):
    path = bus.folder / "bad.ini"
    path.write_text(text, encoding="utf-8")
    done = daemon.run(program, "-t", "-c", str(path))
    assert done.returncode == 78 and message in done.stderr


def test_an_address_that_cannot_be_bound_is_named(bus):
    hub = Hub(bus)
    hub.service("web")
    bus.listen(hub.address)
    run = bus.controller.spawn()
    assert run.wait_exit() != 0
    assert run.logged(rf"listen \(line \d+\): cannot bind {re.escape(hub.address)}: Address already")


# --- secured -----------------------------------------------------------------------------------


def secured(bus):
    hub = Hub(bus)
    hub.address = hub.address.replace("tcp://", "bus://")
    hub.node.options["listen"] = hub.address
    return hub


def test_secured_links_serve_what_the_token_allows(bus):
    hub = secured(bus)
    web, secret = hub.service("web"), hub.service("secret")
    node = dialler(bus, hub, web=bus.serve(name_server_of("web")),
                   secret=bus.serve(name_server_of("secret")))
    bus.secure(node)
    bus.keys.issue(node.name, "segment", serve="web")
    bus.controller.start()
    node.start()
    bus.controller.daemon.wait_log(rf"segment {node.name} \(\S+\): serves 1 services")
    assert answer(bus, web) == "web"
    bus.refused(secret)
    bus.controller.daemon.wait_log(rf"segment {node.name} .*: may not serve \[secret\] to node "
                                   "controller: its token does not let it serve that")
    # A fresh token allows it, and no session is lost over that; then another takes it back.
    client = bus.connect(web)
    assert client.recv_exactly(3) == b"web"
    bus.keys.issue(node.name, "segment", serve="*")
    node.daemon.signal(signal.SIGHUP)
    bus.controller.daemon.wait_log(r"serves 2 services")
    assert answer(bus, secret) == "secret"
    bus.keys.issue(node.name, "segment", serve="secret")
    node.daemon.signal(signal.SIGHUP)
    bus.controller.daemon.wait_log(rf"segment {node.name} .*: may not serve \[web\]")
    bus.controller.daemon.wait_log(r"serves 1 services[\s\S]*serves 2 services[\s\S]*serves 1 serv")
    bus.refused(web)
    assert answer(bus, secret) == "secret"


@pytest.mark.parametrize("customers", [("acme", "umbrella"), ("acme", None), (None, "umbrella")])
def test_what_is_announced_across_customers_is_not_served(bus, customers):
    """It is not even announced, and both say so.  test_told.py has a segment that announces it."""
    hub = secured(bus)
    url = hub.service("web")
    node = dialler(bus, hub, web=bus.serve(echo))
    bus.secure(node)
    for one, customer in zip((bus.controller, node), customers):
        bus.keys.issue(one.name, one.program, *(["--customer", customer] if customer else []))
    bus.controller.start()
    node.start()
    bus.controller.daemon.wait_log(rf"segment {node.name} \(\S+\): is of another customer")
    bus.controller.daemon.wait_log(rf"segment {node.name} \(\S+\): serves 0 services")
    node.daemon.wait_log("node controller is of another customer")
    bus.refused(url)
    assert not bus.controller.daemon.logged("may not serve|token does not")


def test_a_newer_process_of_a_node_takes_over(bus):
    """Both live; the sessions of the older one stay where they are."""
    hub = secured(bus)
    url = hub.service("web")
    listeners = [bus.listen() for _ in range(2)]
    nodes = [dialler(bus, hub, web=listener) for listener in listeners]
    bus.secure(nodes[0])
    nodes[1].options.update(bus.keys.options(nodes[0].name))
    bus.controller.start()
    nodes[0].start()
    bus.controller.daemon.wait_log(r"serves 1 services")
    client, server = bus.connect(url), listeners[0].accept()
    nodes[1].start()
    bus.controller.daemon.wait_log(r"a newer process of it takes over")
    for _ in range(3):
        bus.connect(url).send(b"n")
        assert listeners[1].accept().recv_exactly(1) == b"n"
    server.send(b"old")
    assert client.recv_exactly(3) == b"old"


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_the_older_process_of_a_node_serves_again_when_the_newer_is_gone(bus, end):
    """It was up all the while: its link stays, and no client is refused once that is known."""
    hub = secured(bus)
    url, extra = hub.service("web"), hub.service("extra")
    listeners = [bus.listen() for _ in range(2)]
    nodes = [dialler(bus, hub, web=listener) for listener in listeners]
    bus.secure(nodes[0])
    nodes[1].options.update(bus.keys.options(nodes[0].name))
    bus.controller.start()
    for times, node in enumerate(nodes, 1):
        node.start()
        eventually(lambda times=times: len(bus.controller.daemon.logged_all(
            r"serves 1 services")) == times, "its list")
    bus.controller.daemon.wait_log(r"a newer process of it takes over")
    # What changes on the older one meanwhile is not forgotten, and counts for nobody yet.
    added = bus.listen()
    nodes[0].section("extra", None, added.url)
    nodes[0].reload()
    bus.refused(extra)
    getattr(nodes[1].daemon, end)()
    bus.controller.daemon.wait_log(r"the newer process of it is gone; it serves . services again")
    for _ in range(20):
        client, server = bus.connect(url), listeners[0].accept()
        client.send(b"older")
        assert server.recv_exactly(5) == b"older"
    client, server = bus.connect(extra), added.accept()
    client.send(b"added")
    assert server.recv_exactly(5) == b"added"
    assert len(nodes[0].daemon.logged_all(r"link \S+: up")) == 1


def test_only_the_latest_of_three_processes_is_followed_by_the_one_before_it(bus):
    hub = secured(bus)
    url = hub.service("web")
    listeners = [bus.listen() for _ in range(3)]
    nodes = [dialler(bus, hub, web=listener) for listener in listeners]
    bus.secure(nodes[0])
    bus.controller.start()
    for times, node in enumerate(nodes, 1):
        node.options.update(bus.keys.options(nodes[0].name))
        node.start()
        eventually(lambda times=times: len(bus.controller.daemon.logged_all(
            r": serves 1 services")) == times, "its list")
    nodes[2].daemon.kill()
    bus.controller.daemon.wait_log(r"it serves 1 services again")
    for _ in range(3):
        bus.connect(url).send(b"n")
        assert listeners[1].accept().recv_exactly(1) == b"n"
    # The first one's list was not kept: it comes back.
    nodes[1].daemon.kill()
    bus.controller.daemon.wait_log(r"it is to come back")
    eventually(lambda: len(bus.controller.daemon.logged_all(r": serves 1 services")) == 4,
               "the first one's list")
    bus.connect(url).send(b"n")
    assert listeners[0].accept().recv_exactly(1) == b"n"


# --- addresses that are closed, or change their kind ---

def by_hand(bus, address, name, version=1):
    """A plain segment that serves a name, and the controller has taken that."""
    peer = proto.Peer(bus.connect(address)).greet(proto.SEGMENT)
    peer.send(proto.announce(name, version=version))
    peer.expect_pong(1)
    return peer


@pytest.mark.parametrize("how", ["gone", "moved and secured", "secured"])
def test_who_came_by_an_address_that_is_no_more_is_sent_away(bus, how):
    """Its sessions finish, new ones are not led to it; who came by another address stays."""
    hub, other = Hub(bus), bus.address()
    old, new = hub.address, bus.address()
    urls = [hub.service(name) for name in ("web", "other")]
    bus.controller.options["listen"] = [old, other]
    bus.secure()
    bus.controller.start()
    gone, stays = by_hand(bus, old, "web"), by_hand(bus, other, "other")
    client = bus.connect(urls[0])
    client.send(b"x")
    stream = gone.expect(proto.OPEN).stream
    assert gone.expect_data(stream, 1) == b"x"
    secured_ = {"gone": [], "moved and secured": [new.replace("tcp:", "bus:")],
                "secured": [old.replace("tcp:", "bus:")]}[how]
    bus.controller.options["listen"] = [*secured_, other]
    bus.controller.reload()
    assert proto.goaway_last(gone.expect(proto.GOAWAY)) == proto.GOAWAY_OPEN
    bus.controller.daemon.wait_log(r"1 transports that came by it are to go")
    bus.refused(urls[0])
    gone.send(proto.data(stream, b"last", fin=True))
    client.fin()
    assert client.recv_end() == (b"last", FIN)
    assert proto.GOAWAY not in [frame.type for frame in stays.expect_pong(2)]
    bus.connect(urls[1]).send(b"y")
    assert stays.expect_data(stays.expect(proto.OPEN).stream, 1) == b"y"


def test_plain_addresses_beside_secured_ones_are_named(bus):
    hub = Hub(bus)
    hub.service("web")
    bus.secure()
    bus.controller.start()
    assert not bus.controller.daemon.logged("is plain")
    bus.controller.options["listen"] = [hub.address, bus.address().replace("tcp:", "bus:"),
                                        bus.address("unix")]
    bus.controller.reload()
    assert len(bus.controller.daemon.logged_all(
        rf"warning: listen={hub.address} \(line \d+\) is plain.*without a token")) == 1
    assert len(bus.controller.daemon.logged_all("is plain")) == 1
    node = dialler(bus, hub, web=bus.serve(echo))
    bus.secure(node)
    node.section("bound", bus.address(), "tcp://127.0.0.1:9")
    node.section("secured", bus.address().replace("tcp:", "bus:"), "tcp://127.0.0.1:9")
    node.start()
    assert node.daemon.logged(rf"warning: connect={hub.address} \(line \d+\) is plain")
    assert node.daemon.logged(r"warning: bind=tcp:\S+ \(line \d+\) is plain")
    assert len(node.daemon.logged_all("is plain")) == 2
