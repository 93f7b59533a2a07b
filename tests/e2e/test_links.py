"""Links: made at the start, kept warm, lost in every way, and made again."""

import signal
import time

import pytest

import proto
from net import FIN, RST, echo, name_server_of, pattern, sink
from relay import DOWN, UP
from test_sessions import starts_as
from wait import Task, eventually, patient, remains

MIB = 1 << 20


def works(bus, service, message=b"ping"):
    """Whether a session to an echo service goes through."""
    client = bus.connect(service)
    client.send(message)
    client.fin()
    end = client.recv_end()
    client.close()
    return end == (message, FIN)


def test_controller_starts_first(bus):
    service = bus.service(bus.serve(echo))
    bus.controller.start()
    bus.segments[0].start()
    bus.wait_links()
    assert works(bus, service)


def test_session_waits_for_a_segment_within_connect_timeout(bus):
    service = bus.service(bus.serve(echo), connect_timeout="60s")
    bus.controller.start()
    client = bus.connect(service)
    client.send(b"early")
    client.fin()
    client.silent(0.5)
    bus.segments[0].start()
    assert client.recv_end() == (b"early", FIN)


def test_session_without_a_segment_is_refused_at_connect_timeout(bus):
    service = bus.service(bus.serve(echo), connect_timeout="1s")
    bus.controller.start()
    client = bus.connect(service)
    client.send(b"anybody?")
    assert client.recv_end() == (b"", RST)
    # and one that comes later is not held up by it
    bus.segments[0].start()
    bus.wait_links()
    assert works(bus, service)


def test_link_is_made_at_start_and_stays_warm(bus):
    service = bus.service(bus.serve(echo), relay={})
    relay = service.relays[0]
    bus.start()
    assert relay.live() == 1  # before any session
    for _ in range(50):
        assert works(bus, service)
    assert len(relay.connections) == 1


def test_services_with_one_address_share_its_link(bus):
    node, bind = bus.segment(), bus.address()
    relay = bus.relay(bind)
    fronts = [bus.address() for _ in range(3)]
    for number, front in enumerate(fronts):
        node.section(f"s{number}", bind, bus.serve(name_server_of(f"s{number}")).url)
        bus.controller.section(f"s{number}", front, relay.url)
    bus.start()
    for number, front in enumerate(fronts):
        assert bus.connect(front).recv_end() == (b"s%d" % number, FIN)
    assert len(relay.connections) == 1


def test_first_byte_needs_no_round_trip(bus):
    """Nothing comes back from the segment, and the client's bytes reach the backend all the
    same."""
    backend = bus.listen()
    service = bus.service(backend, relay={})
    relay = service.relays[0]
    bus.start()
    relay.hold(DOWN)
    client, server = bus.pair(service, backend)
    client.send(b"no answer needed")
    assert server.recv_exactly(16) == b"no answer needed"
    server.send(b"answer")
    client.silent(0.3)
    relay.resume()
    assert client.recv_exactly(6) == b"answer"


def test_killed_segment_resets_both_ends_and_serves_again_after_restart(bus):
    backend = bus.listen()
    service = bus.service(backend)
    bus.start()
    client, server = bus.pair(service, backend)
    client.send(b"x")
    assert server.recv_exactly(1) == b"x"
    bus.segments[0].daemon.kill()
    assert client.recv_end() == (b"", RST)
    assert server.recv_end() == (b"", RST)
    bus.segments[0].start()
    bus.wait_links()
    client, server = bus.pair(service, backend)
    client.send(b"again")
    assert server.recv_exactly(5) == b"again"


def test_killed_controller_resets_both_ends(bus):
    backend = bus.listen()
    service = bus.service(backend)
    bus.start()
    sessions = [bus.pair(service, backend) for _ in range(10)]
    half_closed, open_ = sessions[:5], sessions[5:]
    for client, server in half_closed:
        client.fin()
        assert server.recv_end() == (b"", FIN)
    bus.controller.daemon.kill()
    for client, _ in sessions:
        assert client.recv_end() == (b"", RST)
    for _, server in open_:
        assert server.recv_end() == (b"", RST)
    for _, server in half_closed:  # has read its clean end: only a write can tell
        eventually(lambda s=server: write_fails(s), "the backend sees the reset")
    bus.controller.start()
    bus.wait_links()
    client, server = bus.pair(service, backend)
    client.send(b"again")
    assert server.recv_exactly(5) == b"again"


def write_fails(stream):
    try:
        stream.send(b"x")
    except OSError:
        return True
    return False


@pytest.mark.parametrize("who", ["controller", "segment"])
def test_kill_in_mid_stream_is_never_a_clean_end(bus, who):
    data = pattern(16 * MIB)
    backend = bus.listen()
    service = bus.service(backend)
    bus.start()
    client, server = bus.pair(service, backend)
    sends = [Task(client.send_for_ever, data), Task(server.send_for_ever, data)]
    assert client.recv_exactly(MIB) == data[:MIB]
    assert server.recv_exactly(MIB) == data[:MIB]
    (bus.controller if who == "controller" else bus.segments[0]).daemon.kill()
    for stream in (client, server):
        end = stream.recv_end()
        assert end.how == RST and starts_as(data, end.data, MIB)
    for task in sends:
        with pytest.raises(OSError):
            task.result()


@pytest.mark.parametrize("rst", [True, False], ids=["rst", "fin"])
def test_cut_transport_resets_its_sessions_and_a_new_one_serves(bus, rst):
    backend = bus.listen()
    service = bus.service(backend, relay={}, connect_timeout="30s")
    relay = service.relays[0]
    bus.start()
    client, server = bus.pair(service, backend)
    client.send(b"x")
    assert server.recv_exactly(1) == b"x"
    relay.cut(rst)
    assert client.recv_end() == (b"", RST)
    assert server.recv_end() == (b"", RST)
    client, server = bus.pair(service, backend)
    client.send(b"again")
    assert server.recv_exactly(5) == b"again"


def test_case_22_controller_dies_at_every_byte(bus):
    """The transport ends after the n-th byte, for every n of HELLO, OPEN, DATA and FIN."""
    backend = bus.listen()
    node, bind = bus.segment(), bus.address()
    node.section("test", bind, backend.url)
    node.start()
    script = (proto.hello() + proto.open_(1) + proto.data(1, b"some bytes")
              + proto.ping(3) + proto.data(1, b"the last", fin=True))
    with_data = script.index(b"some bytes")
    for at in range(1, len(script)):
        stream = bus.connect(bind)
        stream.send(script[:at])
        if at > with_data:  # the backend is connected: it must see the reset, not an end
            server, got = _first_byte(backend)
            want = b"some bytesthe last"
            stream.reset() if at % 2 else stream.close()
            end = server.recv_end()
            assert end.how == RST and want.startswith(got + end.data)
            server.close()
        elif at % 2:
            stream.reset()
        else:
            stream.close()
    assert node.daemon.running()


def _first_byte(backend):
    """The next connection that brings a byte, past those that were lost before it."""
    while True:
        server = backend.accept()
        try:
            return server, server.recv_exactly(1)
        except ConnectionResetError:
            server.close()


def test_case_22_segment_dies_at_some_bytes(bus):
    listener = bus.listen()
    front = bus.address()
    bus.controller.section("test", front, listener.url)
    bus.controller.start()
    hello = proto.hello(proto.SEGMENT)
    for at in (0, 1, 8, 30, len(hello) - 1):
        stream = listener.accept()
        stream.send(hello[:at])
        stream.close()
    for tail in (b"\0", proto.data(1, b"abc")[:9], proto.data(1, b"abc", fin=True)[:-1]):
        peer = proto.Peer.accept(listener)
        client = bus.connect(front)
        peer.expect(proto.OPEN)
        peer.send(tail)
        peer.stream.close()
        end = client.recv_end()
        assert end.how == RST and b"abc".startswith(end.data)


@pytest.mark.parametrize("load", ["idle", "full"])
def test_case_23_black_hole_is_dead_within_link_timeout(bus, load):
    backend = bus.listen()
    service = bus.service(backend, relay={}, connect_timeout="60s")
    relay = service.relays[0]
    for node in (bus.controller, *bus.segments):
        node.options["link_timeout"] = patient(3)
    bus.start()
    client, server = bus.pair(service, backend)
    client.send(b"x")
    assert server.recv_exactly(1) == b"x"
    relay.hold(UP, DOWN)
    if load == "full":
        for stream in (client, server):
            assert stream.send_some() > 0
    assert client.recv_end() == (b"", RST)
    assert server.recv_end() == (b"", RST)
    relay.resume()
    client, server = bus.pair(service, backend)
    client.send(b"again")
    assert server.recv_exactly(5) == b"again"


def test_quiet_link_outlives_link_timeout(bus):
    backend = bus.listen()
    service = bus.service(backend)
    for node in (bus.controller, *bus.segments):
        node.options["link_timeout"] = "3s"
    bus.start()
    client, server = bus.pair(service, backend)
    client.silent(7)
    server.send(b"still")
    assert client.recv_exactly(5) == b"still"


def test_case_24_busy_slow_transport_is_not_killed(bus):
    """PONG stands behind a lot of data on a slow path; bytes are a sign of life too."""
    service = bus.service(bus.serve(sink), relay={"chunk": 16384})
    relay = service.relays[0]
    for node in (bus.controller, *bus.segments):
        node.options["link_timeout"] = "3s"
    bus.start()
    data = pattern(8 * MIB)
    client = bus.connect(service)
    sending = Task(lambda: (client.send(data), client.fin()))
    answer = Task(client.recv_end)
    end = time.monotonic() + 6
    while time.monotonic() < end:  # a breath every half second, for twice link_timeout
        relay.hold(UP)
        time.sleep(0.5)
        relay.resume()
        time.sleep(0.01)
    assert answer.result().how == FIN
    sending.result()


@pytest.mark.parametrize("who", ["controller", "segment"])
def test_case_50_stopped_for_longer_than_its_own_timeout_but_not_the_peers(bus, who):
    """On waking it must first read what the peer sent all the while, then judge."""
    backend = bus.listen()
    service = bus.service(backend)
    frozen = bus.controller if who == "controller" else bus.segments[0]
    other = bus.segments[0] if who == "controller" else bus.controller
    frozen.options["link_timeout"] = "3s"
    other.options["link_timeout"] = "60s"
    bus.start()
    client, server = bus.pair(service, backend)
    frozen.daemon.freeze()
    server.send(b"sent into the sleep" * 1000)
    client.send(b"and from here" * 1000)
    time.sleep(5)  # no condition: time itself is what passes here
    frozen.daemon.thaw()
    assert client.recv_exactly(19000) == b"sent into the sleep" * 1000
    assert server.recv_exactly(13000) == b"and from here" * 1000
    client.silent(1)
    server.send(b"still")
    assert client.recv_exactly(5) == b"still"


def test_case_26_drained_segment_finishes_its_sessions_while_new_ones_go_elsewhere(bus):
    server = bus.nameserver()
    port = bus.ports.reserve("127.0.0.1", "127.0.0.2")
    server.zone["app.test"] = [("A", "127.0.0.1", 3600), ("A", "127.0.0.2", 3600)]
    backends = []
    for host in ("127.0.0.1", "127.0.0.2"):
        backends.append(bus.listen())
        bus.segment().section("app", f"tcp://{host}:{port}", backends[-1].url)
    front = bus.address()
    bus.controller.section("app", front, f"tcp://app.test:{port}")
    for node in bus.segments:
        node.spawn()
    for node in bus.segments:
        node.daemon.wait_ready()
    bus.controller.start()
    bus.controller.daemon.wait_links(2)
    pairs = {}
    while len(pairs) < 2:
        client = bus.connect(front)
        client.send(b"?")
        index = eventually(lambda: _which(backends), "a backend is reached")
        pairs[index - 1] = (client, backends[index - 1].streams[-1])
    data = pattern(4 * MIB)
    old_client, old_server = pairs[0]
    assert old_server.recv_exactly(1) == b"?"
    bus.segments[0].daemon.signal(signal.SIGTERM)
    eventually(lambda: _lands_on(bus, front, backends) == _lands_on(bus, front, backends) == 1,
               "new sessions stop going there")
    for _ in range(10):  # nothing new comes to the one that drains
        client = bus.connect(front)
        client.send(b"new")
        assert backends[1].accept().recv_exactly(3) == b"new"
    backends[0].untouched(0.2)
    sending = Task(lambda: (old_server.send(data), old_server.fin()))
    old_client.fin()
    assert old_client.recv_end() == (data, FIN)
    sending.result()
    assert old_server.recv_end() == (b"", FIN)
    old_server.close()
    old_client.close()
    assert bus.segments[0].daemon.wait_exit() == 0


def _lands_on(bus, front, backends):
    client = bus.connect(front)
    client.send(b"?")
    index = eventually(lambda: _which(backends), "a backend is reached") - 1
    client.reset()  # the drain waits for every session
    return index


def _which(backends):
    """1 + the index of the backend at which a connection waits, which is accepted; else 0."""
    for number, backend in enumerate(backends, 1):
        try:
            backend.accept(0.05)
            return number
        except TimeoutError:
            continue
    return 0


def test_case_27_drain_with_full_buffers_does_not_spin(bus):
    """GOAWAY behind a transport that takes nothing: the drain waits without burning."""
    backend = bus.listen()
    service = bus.service(backend, relay={})
    relay = service.relays[0]
    bus.segments[0].options["drain_timeout"] = "60s"
    bus.start()
    data = pattern(16 * MIB)
    client, server = bus.pair(service, backend)
    sending = Task(lambda: (server.send(data), server.fin()))
    assert client.recv_exactly(1000) == data[:1000]
    relay.hold(UP, DOWN)
    segment = bus.segments[0].daemon
    segment.signal(signal.SIGTERM)
    time.sleep(0.5)
    before = segment.cpu()
    remains(segment.running, 2)
    assert segment.cpu() - before < 1
    relay.resume()
    assert client.recv_exactly(len(data) - 1000) == data[1000:]
    sending.result()
    client.fin()
    assert client.recv_end() == (b"", FIN)
    assert server.recv_end() == (b"", FIN)
    client.close()
    server.close()
    assert segment.wait_exit() == 0


def test_case_29_reconnecting_backs_off(bus):
    """A peer that accepts and hangs up is not hammered: 100 ms to 5 s between attempts."""
    relay = bus.service(bus.serve(echo), relay={}).relays[0]
    relay.refusing = True
    bus.controller.start()
    eventually(lambda: relay.refused >= 3, "it tries again")
    before, cpu = relay.refused, bus.controller.daemon.cpu()
    remains(bus.controller.daemon.running, 3)
    assert relay.refused - before <= 40
    assert bus.controller.daemon.cpu() - cpu < 1
    relay.refusing = False
    bus.segments[0].start()
    bus.wait_links()


def test_segment_down_and_up_many_times(bus):
    service = bus.service(bus.serve(echo), connect_timeout="60s")
    bus.start()
    for number in range(5):
        assert works(bus, service, b"%d" % number)
        bus.segments[0].daemon.stop()
        eventually(lambda: not bus.controller.daemon.links_up(), "the link is down")
        bus.segments[0].start()
    assert works(bus, service)
