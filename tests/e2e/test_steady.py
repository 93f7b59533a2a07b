"""A steady stream of new sessions over links that segments dial: whatever is renewed, reloaded or
replaced meanwhile, none of them is refused."""

import signal
import threading

import pytest

import proto
import wan
from net import FIN, Stream, name_server_of
from test_nat_links import Hub, Opened, dialler, greeted, secured
from wait import eventually


class Steady:
    """Clients that open one session after the other, without a pause."""

    def __init__(self, url, clients=3):
        self.said, self.wrong = {}, []
        self._url, self._stop, self._lock = url, threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        while not self._stop.is_set():
            try:
                stream = Stream.connect(self._url)
                said, how = stream.recv_end()
                stream.close()
            except OSError as error:
                said, how = b"", error
            with self._lock:
                if how == FIN and said:
                    self.said[said.decode()] = self.said.get(said.decode(), 0) + 1
                else:
                    self.wrong.append((said, how))

    def count(self):
        with self._lock:
            return sum(self.said.values())

    def more(self, number=30):
        """Waits for so many further sessions."""
        want = self.count() + number
        eventually(lambda: self.wrong or self.count() >= want, f"{number} sessions")

    def only(self, name):
        """Waits until there are further sessions, and all of them are of this server."""
        def others():
            with self._lock:
                return sum(n for said, n in self.said.items() if said != name)

        def settled():
            before = others()
            self.more()
            return others() == before
        eventually(settled, f"no sessions but those of {name}")

    def end(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self.wrong, f"{len(self.wrong)} of {self.count() + len(self.wrong)} sessions: " \
                               f"{self.wrong[:5]}"


@pytest.fixture
def steady(bus):
    """steady(url): the clients, who must all have been served at the end, before that of the bus."""
    made = []

    def make(url, **kwargs):
        made.append(Steady(url, **kwargs))
        return made[-1]
    yield make
    for one in made:
        one.end()


def speak(stream):
    """Says who is there, and waits for the client's end."""
    stream.send(b"here")
    return stream.recv_end().how


def one_segment(bus, hub, name="here", **options):
    node = dialler(bus, hub, web=bus.serve(name_server_of(name)))
    node.options.update(options)
    bus.secure(node)
    node.start()
    return node


@pytest.fixture
def linked(bus):
    """A controller and a segment that serves "web" over a secured link: (hub, url, segment)."""
    hub = secured(bus)
    url = hub.service("web")
    bus.secure()
    bus.controller.start()
    node = one_segment(bus, hub)
    bus.controller.daemon.wait_log("serves 1 services")
    return hub, url, node


def test_case_34_tokens_are_renewed(bus, steady, linked):
    _, url, node = linked
    clients = steady(url)
    for days in range(2, 6):
        for one in (node, bus.controller):
            bus.keys.issue(one.name, one.program, ttl=f"{days}d")
            one.daemon.signal(signal.SIGHUP)
        for one in (node, bus.controller):
            eventually(lambda one=one: len(one.daemon.logged_all("took its fresh token"))
                       == days - 1, "the token has come")
        clients.more()


def new_key(bus, node):
    bus.keys.issue(node.name, node.program, "--new-key")
    node.daemon.signal(signal.SIGHUP)


def links(hub):
    """The connections of segments to the hub, by their ports."""
    return wan.connections(int(hub.address.rsplit(":", 1)[1]))


def test_case_34_the_segments_key_is_changed(bus, steady, linked):
    """Its links are made anew with it; sessions that run stay where they are."""
    hub, url, node = linked
    clients = steady(url)
    running = bus.connect(url)
    assert running.recv_exactly(4) == b"here"  # and has not ended yet
    first = links(hub)
    for _ in range(3):
        before = links(hub) - first
        new_key(bus, node)
        eventually(lambda before=before: len(links(hub)) == 2
                   and not links(hub) & before, "a link with the new key in the old one's place")
        clients.more()
    assert first < links(hub)
    running.fin()
    eventually(lambda: not links(hub) & first, "the first link ends with its last session")
    clients.more()


def test_case_34_the_controllers_key_is_changed(bus, steady, linked):
    """It tells the segment, which dials it anew: it cannot do so itself."""
    hub, url, node = linked
    clients = steady(url, clients=1)
    first = links(hub)
    new_key(bus, bus.controller)
    bus.controller.daemon.wait_log("a new key")
    eventually(lambda: len(links(hub)) == 1 and links(hub) != first,
               "a link under the new key")
    clients.more()


def test_a_worn_transport_goes_when_the_next_one_is_known(bus):
    """The controller has the names on the next one, and says so, before the old one is to go."""
    listener = bus.listen()
    node = bus.segment()
    node.options["connect"] = listener.url
    node.section("web", None, bus.serve(speak).url)
    node.start()
    old = proto.Peer(listener.accept()).greet(proto.CONTROLLER)
    old.expect(proto.ANNOUNCE)
    last = 0x7ffffff0  # hardly any ids are left
    old.send(proto.open_(last, "web"))
    assert old.expect_data(last, 4) == b"here"
    new = proto.Peer(listener.accept()).greet(proto.CONTROLLER)
    new.expect(proto.ANNOUNCE)
    for stream in (last + 2, last + 4):
        assert proto.GOAWAY not in [frame.type for frame in old.expect_pong(stream)]
        old.send(proto.open_(stream, "web"))
        assert old.expect_data(stream, 4) == b"here"
    new.expect_pong(1)  # which answers its PING, too
    old.expect(proto.GOAWAY, skip=(proto.CREDIT, proto.LIMITS, proto.DATA))
    new.send(proto.open_(2, "web"))
    assert new.expect_data(2, 4) == b"here"
    listener.untouched(0.3)  # one replacement is enough


def old_and_new(bus, announce=True, **new):
    """A controller with a service, and two transports of one segment that are played by hand, the
    latter with further arguments of HELLO and, if so said, a list: (url, the two)."""
    hub = Hub(bus)
    url = hub.service("web")
    bus.controller.start()
    peers = []
    for says, keys in ((True, {}), (announce, new)):
        peers.append(greeted(bus, hub, instance=bytes(range(16)), **keys))
        if says:
            peers[-1].send(proto.announce("web"))
        peers[-1].expect_pong(1)
    return url, *peers


def test_a_segment_that_comes_back_while_its_old_link_is_half_dead(bus):
    """What a newer transport may have replaced gets no sessions before it has answered."""
    url, first, second = old_and_new(bus)
    for _ in range(4):
        bus.connect(url)
        second.expect(proto.OPEN, skip=(proto.CREDIT, proto.LIMITS, proto.DATA))
    assert not first.expect_pong(2)  # it lives after all
    opened = Opened([first, second])
    for _ in range(6):
        bus.connect(url)
    opened.wait(6)
    assert opened.each == [3, 3]


def test_what_may_be_lost_is_better_than_nothing(bus):
    """The newer transport allows no streams: the older one is taken, whatever it is."""
    url, first, _ = old_and_new(bus, announce=False, max_streams=0)
    bus.connect(url)
    first.expect(proto.OPEN)


def test_a_segment_reloads_other_services(bus, steady):
    """Names come and go beside the one that is asked for."""
    hub = Hub(bus)
    url = hub.service("web")
    bus.controller.start()
    node = dialler(bus, hub, web=bus.serve(name_server_of("here")))
    node.start()
    hub.serving()
    clients = steady(url)
    for times in range(10):
        node.sections = node.sections[:1]
        for number in range(times % 3):
            node.section(f"other{times}-{number}", None, "tcp://127.0.0.1:1")
        node.reload()
        clients.more(20)


@pytest.fixture(params=[0, 0.02], ids=["near", "far"])
def two(bus, request):
    """A controller and two segments of one name, which say 0 and 1: (hub, url, the two)."""
    hub = Hub(bus)
    url = hub.service("web")
    bus.controller.start()
    nodes = [dialler(bus, hub, web=bus.serve(name_server_of(str(i)))) for i in range(2)]
    for node in nodes:
        if request.param:
            node.options["connect"] = bus.relay(hub.address, delay=request.param).url
        node.start()
    hub.serving(2)
    return hub, url, nodes


def test_a_name_moves_from_segment_to_segment(steady, two):
    """The one takes it up, then the other gives it up: a session on its way is not lost."""
    _, url, nodes = two
    clients = steady(url)
    other = [("other", [("server", "tcp://127.0.0.1:1")])]
    mine = [node.sections for node in nodes]
    for times in range(4):
        leaves, stays = times % 2, 1 - times % 2
        nodes[leaves].sections = other
        nodes[leaves].reload()
        clients.only(str(stays))
        nodes[leaves].sections = mine[leaves]
        nodes[leaves].reload()
        clients.more()


def test_a_segment_drains_beside_another(steady, two):
    hub, url, nodes = two
    clients = steady(url)
    for times in range(4):
        nodes[times % 2].daemon.stop()
        clients.more()
        nodes[times % 2].start()
        hub.serving(3 + times)
        clients.more()
