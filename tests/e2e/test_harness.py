"""The tools of these tests, tried on plain sockets: a harness that lies proves nothing."""

import ipaddress
import socket
import struct

import pytest

import proto
from bus import Bus
from nameserver import SERVFAIL
from net import FIN, RST, Listener, Stream, Unanswering, digest, echo, pattern, sink
from relay import DOWN, UP
from wait import DEADLINE, Task, eventually


@pytest.fixture
def around(tmp_path):
    value = Bus(tmp_path)  # without a daemon
    yield value
    assert value.close() == []


def test_stream_tells_fin_from_reset(around):
    listener = around.listen()
    client, server = around.connect(listener), listener.accept()
    client.send(b"tail")
    client.fin()
    assert server.recv_end() == (b"tail", FIN)
    server.send(b"last")
    server.flush()
    server.reset()
    assert client.recv_end() == (b"last", RST)


def test_sink_counts_and_echo_echoes(around):
    data = pattern(3_000_001)
    client = around.connect(around.serve(sink))
    client.send(data)
    client.fin()
    assert client.recv_end() == (f"{len(data)} {digest(data).sha256}\n".encode(), FIN)
    server = around.serve(echo)
    client = around.connect(server)
    sending = Task(client.send, data)
    assert client.recv_exactly(len(data)) == data
    sending.result()
    client.fin()
    assert client.recv_end() == (b"", FIN)
    assert server.outcome() == len(data)


@pytest.mark.parametrize("kind", ["unix", "abstract"])
def test_unix_addresses(around, kind):
    listener = around.listen(around.address(kind))
    client, server = around.connect(listener), listener.accept()
    client.send(b"x")
    assert server.recv_exactly(1) == b"x"


def test_relay_passes_holds_swallows_and_cuts(around):
    listener = around.listen()
    relay = around.relay(listener.url, chunk=1)
    client, server = around.connect(relay), listener.accept()
    client.send(b"request")
    assert server.recv_exactly(7) == b"request"
    relay.chunk = None
    relay.hold(UP)
    client.send(b"held")
    server.send(b"passes")
    assert client.recv_exactly(6) == b"passes"
    server.silent(0.3)
    relay.resume()
    assert server.recv_exactly(4) == b"held"
    relay.swallowing = {DOWN}
    server.send(b"lost")
    client.silent(0.3)
    relay.cut()
    assert client.recv_end() == (b"", RST)
    assert server.recv_end() == (b"", RST)
    assert relay.live() == 0


def test_relay_passes_half_close_and_cuts_at_a_byte(around):
    listener = around.listen()
    relay = around.relay(listener.url)
    client, server = around.connect(relay), listener.accept()
    client.fin()
    assert server.recv_end() == (b"", FIN)
    server.send(b"still here")
    assert client.recv_exactly(10) == b"still here"
    relay.cut_after = 3
    client, server = around.connect(relay), listener.accept()
    client.send(b"abcdef")
    assert server.recv_end() == (b"abc", RST)


def test_unanswering_address_hangs(around):
    hole = around.keep(Unanswering())
    with pytest.raises(TimeoutError):
        Stream.connect(hole.url, deadline=0.5)


def test_reserved_port_refuses_then_serves(around):
    url = around.address()
    with pytest.raises(ConnectionRefusedError):
        Stream.connect(url)
    listener = Listener(url)
    around.keep(listener)
    around.connect(url)
    assert listener.accept()


def _ask(server, name, kind, tcp):
    host, port = server.address.split(":")
    query = struct.pack(">HHHHHH", 77, 0x0100, 1, 0, 0, 0) + b"".join(
        bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    query += struct.pack(">HH", kind, 1)
    with socket.socket(type=socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as sock:
        sock.settimeout(DEADLINE)
        sock.connect((host, int(port)))
        if not tcp:
            sock.send(query)
            return sock.recv(4096)
        sock.sendall(struct.pack(">H", len(query)) + query)
        return sock.recv(4096)[2:]


def test_nameserver(around):
    server = around.nameserver()
    server.zone["a.test"] = [("CNAME", "b.test", 60)]
    server.zone["b.test"] = [("A", "127.0.0.9", 60)]
    server.zone["bad.test"] = SERVFAIL
    reply = _ask(server, "A.test", 1, False)
    assert reply[:2] == b"\0\x4d" and reply[3] & 15 == 0 and reply[6:8] == b"\0\2"
    assert reply.endswith(ipaddress.ip_address("127.0.0.9").packed)
    assert _ask(server, "b.test", 28, False)[6:8] == b"\0\0"
    assert _ask(server, "bad.test", 1, False)[3] & 15 == 2
    assert _ask(server, "none.test", 1, False)[3] & 15 == 3
    server.truncate = True
    assert _ask(server, "b.test", 1, False)[2] & 2
    assert _ask(server, "b.test", 1, True).endswith(bytes([127, 0, 0, 9]))
    assert server.asked("b.test") == 3 and server.tcp_queries == 1


def test_proto_with_itself(around):
    listener = around.listen()
    stream = around.connect(listener)
    other = proto.Peer(listener.accept())
    stream.send(proto.hello(proto.CONTROLLER))
    other.send(proto.hello(proto.SEGMENT))
    peer = proto.Peer(stream)
    assert peer.expect(proto.HELLO).payload[:8] == b"CLOUDBUS"
    assert other.expect(proto.HELLO).payload[10] == proto.CONTROLLER
    peer.send(proto.open_(1, "x"), proto.credit(1, 9), proto.data(1, b"abc", fin=True))
    assert other.expect(proto.OPEN, 1).payload.endswith(b"\1x")
    assert proto.credit_offset(other.next()) == 9
    assert other.next() == (proto.DATA, proto.FIN, 1, b"abc")
    other.send(proto.ping(5))
    Task(other.next)
    assert eventually(lambda: peer.expect_pong(7) or True)
