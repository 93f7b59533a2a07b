"""Peers that misbehave, spoken to by hand: each costs itself its transport, and nobody else a
thing."""

import random
import struct
import time

import pytest

import proto
from daemon import sanitized
from net import FIN, RST, pattern
from proto import Peer
from wait import DEADLINE, Task, eventually

MIB = 1 << 20


class Segment:
    """A segment alone, with one service "test" whose backend is played by hand, and an honest
    peer whose session lives through whatever others do."""

    def __init__(self, bus):
        self.bus = bus
        self.backend = bus.listen()
        self.node, self.url = bus.segment(), bus.address()
        self.node.section("test", self.url, self.backend.url)
        # The honest one answers PINGs when it is read, at the end.
        self.node.options["link_timeout"] = "1h"
        self.node.start()
        self.honest = Peer.dial(bus, self.url)
        self.honest.send(proto.open_(1), proto.data(1, b"honest"))
        self.server = self.backend.accept()
        assert self.server.recv_exactly(6) == b"honest"

    def dial(self, **kwargs):
        return Peer.dial(self.bus, self.url, **kwargs)

    def session(self):
        """A fresh transport with stream 1 open, and the backend's end of it."""
        peer = self.dial()
        peer.send(proto.open_(1), proto.data(1, b"x"))
        server = self.backend.accept()
        assert server.recv_exactly(1) == b"x"
        return peer, server

    def unharmed(self):
        """The honest session still carries bytes both ways, and the process idles."""
        self.honest.send(proto.data(1, b"still"))
        assert self.server.recv_exactly(5) == b"still"
        self.server.send(b"here")
        assert self.honest.expect_data(1, 4) == b"here"
        self.node.daemon.wait_idle()


@pytest.fixture
def segment(bus):
    value = Segment(bus)
    yield value
    value.unharmed()


def assert_dropped(peer):
    """The transport ends, after a GOAWAY that says why or without."""
    frames, _ = peer.drain()
    assert all(f.type in (proto.HELLO, proto.GOAWAY, proto.CREDIT, proto.RESET, proto.DATA,
                          proto.LIMITS) for f in frames)


def test_a_session_by_hand(segment):
    peer = segment.dial()
    peer.send(proto.open_(1), proto.data(1, b"request", fin=True))
    server = segment.backend.accept()
    assert server.recv_end() == (b"request", FIN)
    server.send(b"reply")
    server.fin()
    got = b""
    while True:
        frame = peer.expect(proto.DATA, 1)
        got += frame.payload
        if frame.flags & proto.FIN:
            break
    assert got == b"reply"


@pytest.mark.parametrize("first", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    proto.hello(magic=b"CLOUDBUZ"),
    proto.hello(version=2),
    proto.hello(role=9),
    proto.hello(window=0),
    proto.hello(window=0xffffffff),
    proto.ping(),
    proto.open_(1),
    proto.data(1, b"x"),
    proto.frame(proto.HELLO, 0, b"CLOUDBUS"),
    proto.frame(proto.HELLO, 7, proto.hello()[8:]),
    bytes(64),
    b"\xff" * 64,
], ids=["http", "tls", "magic", "version", "role", "window-0", "window-max", "ping-first",
        "open-first", "data-first", "short", "on-a-stream", "zeros", "ones"])
def test_strange_first_bytes(segment, first):
    peer = segment.dial(greet=False)
    peer.send(first)
    assert_dropped(peer)


def test_no_hello_within_its_deadline(segment):
    silent, half = segment.dial(greet=False), segment.dial(greet=False)
    half.send(proto.hello()[:20])
    assert_dropped(silent)
    assert_dropped(half)


@pytest.mark.parametrize("bad", [
    proto.hello(),
    proto.frame(29, 0, b"unknown"),
    proto.frame(31, 1, b""),
    proto.frame(29, 0, bytes(65537), proto.IGNORABLE),
    proto.frame(proto.DATA, 0, b"x"),
    proto.frame(proto.DATA, 3, b"x"),
    proto.frame(proto.DATA, 2, b"x"),
    proto.frame(proto.DATA, 1, b"x", proto.ACK),
    proto.frame(proto.DATA, 1, b"", length=(1 << 20) + 1),
    proto.frame(proto.RESET, 1, b"abc"),
    proto.frame(proto.RESET, 1, b"abcde"),
    proto.frame(proto.CREDIT, 1, bytes(7)),
    proto.frame(proto.PING, 1, bytes(8)),
    proto.frame(proto.PING, 0, bytes(9)),
    proto.frame(proto.ANNOUNCE, 0, bytes(4)),
    proto.frame(proto.ANNOUNCE, 0, bytes(4097)),
    proto.frame(proto.ANNOUNCE, 0, b"\0\0\0\1\2\0\1a"),
    proto.frame(proto.ANNOUNCE, 0, b"\0\0\0\1\2\1\2a"),
    proto.frame(proto.ANNOUNCE, 1, bytes(5)),
    proto.frame(proto.TOKEN, 0, b""),
    proto.frame(proto.TOKEN, 0, bytes(4097)),
    proto.frame(proto.OPEN, 3, bytes(41)),
    proto.frame(proto.OPEN, 3, bytes(1024)),
    proto.frame(proto.OPEN, 0, proto.open_(3)[8:]),
    proto.open_(1),
    proto.open_(2),
    proto.open_(0x80000001),
    proto.open_(3, window=0),
    proto.open_(3, window=0x7fffffff),
    proto.open_(3, options=b"\0\1\0\x09abc"),
    proto.open_(3, name="nul\0in it"),
    proto.goaway(last=99),
    proto.frame(proto.LIMITS, 0, struct.pack(">II", 1, 0)),
    proto.frame(proto.LIMITS, 0, struct.pack(">II", 1, 65536), proto.ACK),
], ids=["second-hello", "unknown", "unknown-31", "ignorable-too-long", "data-on-0",
        "data-on-unopened", "data-on-the-other-sides", "data-with-ack", "data-too-long",
        "reset-short", "reset-long", "credit-short", "ping-on-a-stream", "ping-long",
        "announce-short", "announce-long", "announce-withdrawal-in-a-list", "announce-cut-name",
        "announce-on-a-stream", "token-empty", "token-long",
        "open-short", "open-zeros", "open-on-0", "open-again", "open-even", "open-beyond",
        "open-window-0", "open-window-max", "open-options", "open-nul", "goaway-beyond",
        "limits-window-0", "limits-unasked-ack"])
def test_illegal_frame_is_fatal_for_its_transport(segment, bad):
    peer, server = segment.session()
    peer.send(bad)
    assert_dropped(peer)
    assert server.recv_end() == (b"", RST)


def test_unknown_but_ignorable_frames_are_skipped(segment):
    peer, server = segment.session()
    peer.send(proto.frame(29, 0, b"from the future", proto.IGNORABLE),
              proto.frame(30, 77, bytes(65536), proto.IGNORABLE),
              proto.data(1, b"goes on"))
    assert server.recv_exactly(7) == b"goes on"


def test_unknown_options_of_open_are_skipped(segment):
    peer = segment.dial()
    peer.send(proto.open_(1, options=b"\x12\x34\0\5hello\0\1\0\0"), proto.data(1, b"opt"))
    assert segment.backend.accept().recv_exactly(3) == b"opt"


def test_reserved_id_order(segment):
    """Ids may skip, and never go back."""
    peer = segment.dial()
    peer.send(proto.open_(101), proto.data(101, b"x"))
    assert segment.backend.accept().recv_exactly(1) == b"x"
    peer.send(proto.open_(99))
    assert_dropped(peer)


def test_case_06_data_after_fin_is_fatal(segment):
    peer, server = segment.session()
    peer.send(proto.data(1, b"end", fin=True))
    assert server.recv_exactly(3) == b"end"
    peer.send(proto.data(1, b"after the end"))
    assert_dropped(peer)
    eventually(lambda: server.ended(), "the backend's side ends")


def test_case_08_reset_on_a_never_used_id_is_an_error(segment):
    for stream in (3, 2):
        peer, _ = segment.session()
        peer.send(proto.reset(stream))
        assert_dropped(peer)


def test_case_08_reset_of_a_recently_closed_stream_is_ignored(segment):
    peer, server = segment.session()
    peer.send(proto.reset(1))
    assert server.recv_end() == (b"", RST)
    peer.expect(proto.RESET, 1)  # the one answer
    peer.send(proto.reset(1), proto.credit(1, 1 << 20), proto.open_(3), proto.data(3, b"ok"))
    assert segment.backend.accept().recv_exactly(2) == b"ok"
    assert not [f for f in peer.expect_pong(9) if f.type == proto.RESET]


def test_case_07_reset_is_answered_exactly_once_and_data_behind_it_is_dropped(segment):
    peer, server = segment.session()
    peer.send(proto.data(1, b"before"))
    assert server.recv_exactly(6) == b"before"
    server.reset()
    assert proto.reset_code(peer.expect(proto.RESET, 1)) == proto.ABORTED
    # we have not answered yet: these crossed the RESET, legally
    peer.send(proto.data(1, b"crossing"), proto.credit(1, 1 << 20), proto.reset(1))
    assert not [f for f in peer.expect_pong(3) if f.stream == 1]
    peer.send(proto.open_(3), proto.data(3, b"next"))
    assert segment.backend.accept().recv_exactly(4) == b"next"


def test_case_16_credit_overrun_by_one_byte_is_fatal(segment):
    peer, server = segment.session()
    window = struct.unpack(">I", peer.hello.payload[36:40])[0]
    peer.send(proto.open_(3))
    blocked = segment.backend.accept()  # it reads nothing: no credit comes back for long
    granted = [window]

    def note(frames):
        granted.extend(proto.credit_offset(f) for f in frames
                       if f.type == proto.CREDIT and f.stream == 3)
    sent = 0
    quiet = 0
    while quiet < 3:  # until all that was ever granted is used up, and no more comes of that
        step = min(max(granted) - sent, 65536)
        if step:
            peer.send(proto.data(3, bytes(step)))
        else:
            segment.node.daemon.wait_idle()
        quiet = 0 if step else quiet + 1
        sent += step
        note(peer.expect_pong(sent))
        assert sent < 256 * MIB, "credit without end for a backend that does not read"
    assert sent == max(granted)
    peer.send(proto.data(3, bytes(max(granted) - sent + 1)))
    assert_dropped(peer)
    for stream in (server, blocked):
        assert stream.recv_end().how == RST


def test_case_26_open_that_crosses_the_announcement_is_accepted(bus):
    """GOAWAY comes in two steps for this: what was opened before the first one was heard is no
    session lost."""
    backend, node, url = bus.listen(), bus.segment(), bus.address()
    node.section("test", url, backend.url)
    node.start()
    peer = Peer(bus.connect(url), answer_pings=False).greet(proto.CONTROLLER)
    node.daemon.terminate()
    assert proto.goaway_last(peer.expect(proto.GOAWAY)) == proto.GOAWAY_OPEN
    peer.send(proto.open_(1), proto.data(1, b"crossing"))
    server = backend.accept()
    assert server.recv_exactly(8) == b"crossing"
    peer.answer_pings = True  # from here on the announcement is known to have been heard
    assert proto.goaway_last(peer.expect(proto.GOAWAY)) == 1
    server.send(b"accepted")
    assert peer.expect_data(1, 8) == b"accepted"
    server.fin()
    assert peer.expect(proto.DATA, 1).payload == b""  # its end: only then may we close
    peer.send(proto.data(1, b"", fin=True), proto.goaway(), proto.goaway(last=0))
    assert peer.drain_after_fin()[1] == FIN
    assert node.daemon.wait_exit() == 0


@pytest.mark.parametrize("offset", [0, 1000, (1 << 62) + 1, (1 << 64) - 1, 1 << 40],
                         ids=["zero", "back", "beyond", "max", "huge-window"])
def test_case_17_credit_that_goes_back_or_overflows(segment, offset):
    peer, server = segment.session()
    peer.send(proto.credit(1, 300_000))
    peer.expect_pong(1)
    peer.send(proto.credit(1, offset))
    assert_dropped(peer)
    assert server.recv_end() == (b"", RST)


def test_case_17_credit_is_kept_to_the_byte(segment):
    peer = segment.dial()
    peer.send(proto.open_(1, window=4096))
    server = segment.backend.accept()
    data = pattern(100_000)
    sending = Task(server.send, data)
    assert peer.expect_data(1, 4096) == data[:4096]
    assert not [f for f in peer.expect_pong(1) if f.type == proto.DATA]
    peer.send(proto.credit(1, 4097))
    assert peer.expect_data(1, 1) == data[4096:4097]
    assert not [f for f in peer.expect_pong(2) if f.type == proto.DATA]
    peer.send(proto.credit(1, 1 << 20))
    assert peer.expect_data(1, len(data) - 4097) == data[4097:]
    sending.result()


def test_case_18_open_with_data_beyond_the_window(segment):
    """Refused before it costs memory: DATA longer than any frame, or than the credit."""
    rss = segment.node.daemon.rss()
    for _ in range(20):
        peer = segment.dial()
        peer.send(proto.open_(1), proto.frame(proto.DATA, 1, bytes(1024), length=(1 << 24) - 1))
        assert_dropped(peer)
        peer = segment.dial()
        peer.send(proto.open_(1), proto.frame(proto.DATA, 1, bytes(1024), length=1 << 20))
        assert_dropped(peer)
    assert segment.node.daemon.rss() - rss < 64 * MIB


def flood(peer, block, deadline=DEADLINE):
    """Sends a block again and again without reading a byte, until the transport is gone or takes
    no more; how it ended: "gone" or "stuck"."""
    end = time.monotonic() + deadline
    peer.stream.sock.settimeout(2)
    try:
        while time.monotonic() < end:
            peer.stream.sock.sendall(block)
    except TimeoutError:
        return "stuck"
    except OSError:
        return "gone"
    return "endless"


def test_case_19_pings_from_a_peer_that_never_reads(segment):
    before = segment.node.daemon.rss()
    peer = segment.dial()
    assert flood(peer, proto.ping(7) * 4096) in ("gone", "stuck")
    assert segment.node.daemon.rss() - before < 64 * MIB


def test_case_20_credit_dribbled_a_byte_at_a_time(segment):
    peer, server = segment.session()
    frames = b"".join(proto.credit(1, proto.WINDOW + n) for n in range(60_000))
    try:
        peer.stream.send(frames)
    except OSError:
        pass
    assert_dropped(peer)
    assert server.recv_end() == (b"", RST)


def test_case_21_reset_of_a_blocked_stream_leaves_nothing(segment):
    peer = segment.dial()
    peer.send(proto.open_(1, window=1024))
    server = segment.backend.accept()
    sending = Task(server.send, bytes(64 * MIB))
    peer.expect_data(1, 1024)
    peer.send(proto.reset(1))
    peer.expect(proto.RESET, 1)
    with pytest.raises(OSError):
        sending.result()
    peer.send(proto.goaway(), proto.goaway(last=0))
    frames, how = peer.drain_after_fin()
    assert how == FIN, "an orderly end"
    assert [f.type for f in frames].count(proto.DATA) == 0


def test_case_28_streams_opened_and_reset_at_once(segment):
    """The budget is a rate: a node that is slow takes as many as have been given back meanwhile,
    and no more: so the peer goes on until it is dropped."""
    before = segment.node.daemon.rss()
    peer = segment.dial()
    began, sent, dropped = time.monotonic(), 0, False
    try:
        while time.monotonic() < began + DEADLINE:
            peer.stream.send(b"".join(proto.open_(n) + proto.reset(n)
                                      for n in range(2 * sent + 1, 2 * (sent + 10_000), 2)))
            sent += 10_000
    except OSError:
        dropped = True
    if dropped:
        assert_dropped(peer)
        segment.node.daemon.wait_log("lost: streams opened and reset at once")
    else:
        # What the sockets hold has not been looked at yet.
        assert sent <= 8192 + 4096 * (time.monotonic() - began) + 100_000
        peer.stream.reset()
    assert segment.node.daemon.rss() - before < (192 if sanitized() else 64) * MIB
    # connections that were made for them end as well
    for _ in range(30_000):
        try:
            server = segment.backend.accept(0.5)
        except TimeoutError:
            break
        server.recv_end()
        server.close()


def test_case_62_frames_of_length_0(segment):
    for empty in (proto.frame(proto.DATA, 1), proto.frame(proto.HELLO), bytes(8)):
        peer, _ = segment.session()
        peer.send(empty * 1000)
        assert_dropped(peer)
    peer, server = segment.session()
    peer.send(proto.frame(29, 0, b"", proto.IGNORABLE) * 1000, proto.data(1, b"", fin=True))
    assert server.recv_end() == (b"", FIN)


def test_random_bytes_after_hello(segment):
    rng = random.Random(62)
    for _ in range(50):
        peer = segment.dial()
        try:
            peer.send(rng.randbytes(rng.choice((1, 8, 100, 5000))))
            peer.stream.fin()
        except OSError:
            pass  # it has hung up already
        assert_dropped(peer)


def test_random_frames(segment):
    """Well-formed headers, wild contents: seeded."""
    rng = random.Random(4711)
    for _ in range(100):
        peer = segment.dial()
        frames = []
        for _ in range(rng.randrange(1, 30)):
            kind = rng.choice((proto.OPEN, proto.DATA, proto.RESET, proto.CREDIT, proto.PING,
                               proto.GOAWAY, proto.LIMITS))
            stream = rng.choice((0, 1, 1, 3, 5, 2))
            size = {proto.RESET: 4, proto.OPEN: 60}.get(kind, 8)
            frames.append(rng.choice((
                proto.open_(max(1, stream)), proto.data(max(1, stream), b"x" * rng.randrange(50)),
                proto.reset(max(1, stream)), proto.credit(max(1, stream), rng.randrange(1 << 20)),
                proto.frame(kind, stream, rng.randbytes(size), rng.choice((0, 0, 0, 1, 2, 4))))))
        try:
            peer.send(*frames)
            peer.stream.fin()
        except OSError:
            pass
        assert_dropped(peer)


def test_unknown_name_where_several_services_share_a_bind(bus):
    node, url = bus.segment(), bus.address()
    first, second = bus.listen(), bus.listen()
    node.section("first", url, first.url)
    node.section("Second", url, second.url)
    node.start()
    peer = Peer.dial(bus, url)
    peer.send(proto.open_(1, name="third"), proto.open_(3, name="SECOND"), proto.data(3, b"2"))
    assert proto.reset_code(peer.expect(proto.RESET, 1)) == proto.NO_SERVICE
    assert second.accept().recv_exactly(1) == b"2"
    first.untouched(0.2)


def test_refused_backend_says_so(bus):
    node, url = bus.segment(), bus.address()
    node.section("test", url, bus.address())
    node.start()
    peer = Peer.dial(bus, url)
    peer.send(proto.open_(1), proto.data(1, b"hello?"))
    assert proto.reset_code(peer.expect(proto.RESET, 1)) == proto.REFUSED


# --- towards a controller -----------------------------------------------------------------------

@pytest.fixture
def fake(bus):
    """A controller whose segment is played by hand: (listener, client's address)."""
    listener, front = bus.listen(), bus.address()
    bus.controller.section("test", front, listener.url, connect_timeout="30s")
    bus.controller.start()
    return listener, front


def open_at(peer):
    frame = peer.expect(proto.OPEN)
    return frame.stream


def test_controller_hello_and_open(bus, fake):
    listener, front = fake
    peer = Peer.accept(listener)
    assert peer.hello.payload[10] == proto.CONTROLLER
    client = bus.connect(front)
    client.send(b"first bytes")
    frame = peer.expect(proto.OPEN)
    assert frame.stream % 2 == 1
    family, port = struct.unpack(">BH", frame.payload[21:24])
    assert (family, port) == (4, client.sock.getsockname()[1])
    assert frame.payload[24:28] == bytes([127, 0, 0, 1])
    name = frame.payload[41:41 + frame.payload[40]]
    assert name == b"test"
    assert peer.expect_data(frame.stream, 11) == b"first bytes"
    peer.send(proto.data(frame.stream, b"reply", fin=True))
    assert client.recv_end() == (b"reply", FIN)


def test_open_leaves_at_accept_and_data_waits_for_no_answer(bus, fake):
    listener, front = fake
    peer = Peer.accept(listener)
    client = bus.connect(front)
    stream = open_at(peer)  # before the client has sent a byte
    client.send(b"and data")
    assert peer.expect_data(stream, 8) == b"and data"  # without a word from us


@pytest.mark.parametrize("code", [proto.ABORTED, proto.REFUSED, proto.NO_SERVICE, 99])
def test_reset_from_the_segment_reaches_the_client_after_the_data(bus, fake, code):
    listener, front = fake
    peer = Peer.accept(listener)
    client = bus.connect(front)
    stream = open_at(peer)
    data = pattern(200_000)
    peer.send(proto.data(stream, data), proto.reset(stream, code))
    assert client.recv_end() == (data, RST)
    peer.expect(proto.RESET, stream)


@pytest.mark.parametrize("bad", [
    b"220 smtp.example ESMTP\r\n", proto.hello(proto.SEGMENT, version=77),
    proto.hello(proto.SEGMENT) + proto.data(1, b"unopened"),
    proto.hello(proto.SEGMENT) + proto.frame(11, 0, b"?"),
    proto.hello(proto.SEGMENT) + bytes(8)], ids=["smtp", "version", "unopened", "unknown", "empty"])
def test_controller_drops_a_strange_segment_and_tries_again(bus, fake, bad):
    listener, front = fake
    stream = listener.accept()
    stream.send(bad)
    assert_dropped(Peer(stream))
    peer = Peer.accept(listener)
    client = bus.connect(front)
    number = open_at(peer)
    peer.send(proto.data(number, b"fine", fin=True))
    assert client.recv_end() == (b"fine", FIN)


def test_open_from_a_segment_is_refused_not_fatal(bus, fake):
    """Either side may OPEN; this controller has nothing to offer."""
    listener, front = fake
    peer = Peer.accept(listener)
    peer.send(proto.open_(2))
    peer.expect(proto.RESET, 2)
    client = bus.connect(front)
    open_at(peer)
    assert client.ended() is None


def test_case_26_goaway_accepted_sessions_finish_newer_ones_go_elsewhere(bus, fake):
    listener, front = fake
    old = Peer.accept(listener)
    client = bus.connect(front)
    stream = open_at(old)
    old.send(proto.goaway(), proto.ping(1))
    old.send(proto.goaway(last=stream))
    new = Peer.accept(listener)  # another transport takes over
    other = bus.connect(front)
    other.send(b"new")
    number = open_at(new)
    assert new.expect_data(number, 3) == b"new"
    old.send(proto.data(stream, b"finished", fin=True))
    assert client.recv_end() == (b"finished", FIN)


def test_streams_beyond_the_peers_limit_are_refused(bus):
    listener, front = bus.listen(), bus.address()
    bus.controller.section("test", front, listener.url, connect_timeout="3s")
    bus.controller.start()
    peer = Peer.accept(listener, greet=False)
    peer.greet(proto.SEGMENT, max_streams=2)
    first = [bus.connect(front) for _ in range(2)]
    streams = [open_at(peer) for _ in first]
    bus.refused(front)
    for client, stream in zip(first, streams):
        peer.send(proto.data(stream, b"in", fin=True))
        assert client.recv_end() == (b"in", FIN)


def test_silent_segment_is_dead_after_link_timeout(bus):
    """It completes TCP's handshake and HELLO, and then says nothing more."""
    listener, front = bus.listen(), bus.address()
    bus.controller.options["link_timeout"] = "3s"
    bus.controller.section("test", front, listener.url)
    bus.controller.start()
    peer = Peer.accept(listener, answer_pings=False)
    client = bus.connect(front)
    open_at(peer)
    assert client.recv_end() == (b"", RST)
    assert_dropped(peer)
    again = Peer.accept(listener)
    assert again.hello


def test_segment_that_answers_pings_and_nothing_else_stays(bus):
    listener, front = bus.listen(), bus.address()
    bus.controller.options["link_timeout"] = "3s"
    bus.controller.section("test", front, listener.url)
    bus.controller.start()
    peer = Peer.accept(listener)
    client = bus.connect(front)
    stream = open_at(peer)
    pump = Task(peer.expect, proto.DATA, stream)  # answers PINGs meanwhile
    client.silent(7)
    client.send(b"x")
    assert pump.result().payload == b"x"


def test_case_25_pings_do_not_refresh_idle_time(bus):
    listener, front = bus.listen(), bus.address()
    bus.controller.section("test", front, listener.url, idle_timeout="2s")
    bus.controller.start()
    peer = Peer.accept(listener)
    client = bus.connect(front)
    stream = open_at(peer)
    stop = []

    def pings():
        while not stop:
            peer.send(proto.ping(5))
            time.sleep(0.1)
    pinging = Task(pings)
    reading = Task(peer.expect, proto.RESET, stream)
    assert client.recv_end() == (b"", RST)
    stop.append(True)
    pinging.result()
    assert proto.reset_code(reading.result())


def test_case_38_connections_that_are_gone_before_they_are_accepted(segment):
    for _ in range(300):
        stream = segment.bus.connect(segment.url)
        stream.reset()


def test_segment_that_greets_and_goes_is_backed_off_from(bus, fake):
    """HELLO alone does not reset the back-off: only a transport that lasts a second does."""
    listener, _ = fake
    gaps, last = [], None

    def six_pauses():
        nonlocal last
        peer = Peer.accept(listener, greet=False)
        now = time.monotonic()
        if last is not None:
            gaps.append(now - last)
        last = now
        peer.greet(proto.SEGMENT)
        peer.send(proto.ping(7))
        peer.expect_pong(7)  # it has seen our HELLO
        peer.stream.reset()
        if time.monotonic() - now >= 1:
            gaps.clear()  # we were so slow that it did last
            last = None
        return len(gaps) >= 6
    eventually(six_pauses, "attempts", deadline=2 * DEADLINE)
    assert gaps[-1] >= 0.8, gaps  # the sixth pause is 1.6 s at least, less what the peer takes
