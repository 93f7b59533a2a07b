"""Flow control: a slow reader stalls its own session and nothing else."""

import select

import pytest

from daemon import sanitized
from net import FIN, digest, echo, pattern, sink, source
from relay import DOWN, UP
from wait import DEADLINE, Task, eventually

MIB = 1 << 20


@pytest.fixture
def flood(bus):
    """A bus with an echo service, a source of 32 MiB and a backend played by hand."""
    class Flood:
        data = pattern(32 * MIB)
        hand = bus.listen()
        echo = bus.service(bus.serve(echo))
        source = bus.service(bus.serve(source(data)))
        manual = bus.service(hand)
    bus.start()
    return Flood


def echo_round(bus, service, seed, size=MIB):
    client, data = bus.connect(service), pattern(size, seed)
    sending = Task(lambda: (client.send(data), client.fin()))
    end = client.recv_end()
    sending.result()
    return end == (data, FIN)


def test_case_12_one_reader_stopped_the_others_finish(bus, flood):
    stopped = bus.connect(flood.source)
    stopped.recv_exactly(1000)
    tasks = [Task(echo_round, bus, flood.echo, seed) for seed in range(64)]
    assert all([task.result() for task in tasks])
    # and what the stopped one was sent is all there
    assert stopped.recv_exactly(len(flood.data) - 1000) == flood.data[1000:]


def test_case_13_two_hundred_readers_stopped_one_active(bus, flood):
    stopped = [bus.connect(flood.source) for _ in range(200)]
    for client in stopped:
        client.recv_exactly(1)
    for seed in range(5):
        assert echo_round(bus, flood.echo, seed, 2 * MIB)
    assert bus.connect(flood.source).recv_digest() == digest(flood.data)
    for client in stopped:
        client.reset()


def test_case_14_both_sides_blocked_in_writing(bus, flood):
    """Neither side reads until both are stuck; then both read: no deadlock, no loss."""
    size = 96 * MIB
    client, server = bus.pair(flood.manual, flood.hand)
    sent = [Task(client.send_some), Task(server.send_some)]
    stuck = [task.result() for task in sent]
    assert 0 < max(stuck) < size
    rest = [Task(lambda s=stream, n=size - done: (s.send(bytes(n)), s.fin()))
            for stream, done in ((client, stuck[0]), (server, stuck[1]))]
    reads = [Task(stream.recv_digest) for stream in (server, client)]
    want = digest(bytes(size))
    assert [task.result() for task in reads] == [want, want]
    for task in rest:
        task.result()


@pytest.mark.parametrize("ways", [(UP,), (DOWN,), (UP, DOWN)], ids="-".join)
def test_case_15_transport_stalls_and_recovers(bus, ways):
    data = pattern(24 * MIB)
    up = bus.service(bus.serve(sink), relay={})
    down = bus.service(bus.serve(source(data)), relay={})
    relays = up.relays + down.relays
    bus.start()
    clients = [bus.connect(up) for _ in range(4)]
    sends = [Task(lambda c=client: (c.send(data), c.fin())) for client in clients]
    answers = [Task(client.recv_end) for client in clients]
    loads = [Task(bus.connect(down).recv_digest) for _ in range(4)]
    eventually(lambda: relays[0].bytes(UP) > MIB and relays[1].bytes(DOWN) > MIB, "bytes flow")
    for relay in relays:
        relay.hold(*ways)
    idle = bus.connect(up)  # opened into the stall
    idle.send(b"opened while nothing moved")
    idle.fin()
    idle.silent(4)
    for relay in relays:
        relay.resume()
    want = digest(data)
    answer = (f"{want.size} {want.sha256}\n".encode(), FIN)
    assert [task.result() for task in answers] == [answer] * 4
    assert [task.result() for task in loads] == [want] * 4
    assert idle.recv_end().how == FIN
    for task in sends:
        task.result()


def test_case_64_four_thousand_idle_sessions_beside_an_active_one(bus):
    hold = bus.listen()  # its connections wait in the kernel's queue, silent
    node = bus.segment()
    bind = bus.address()
    fronts = {}
    for name, backend in (("idle", hold.url), ("active", bus.serve(echo).url)):
        node.section(name, bind, backend)
        fronts[name] = bus.address()
        bus.controller.section(name, fronts[name], bind)
    bus.start()
    count = 4000
    clients = [bus.connect(fronts["idle"]) for _ in range(count)]
    eventually(lambda: min(run.fds() for run in bus.daemons()) > count, "all sessions are open")
    assert echo_round(bus, fronts["active"], 1, 4 * MIB)
    server = hold.accept()
    server.send(b"one of many")
    poll, by_fd = select.poll(), {client.sock.fileno(): client for client in clients}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    [(fd, _)] = poll.poll(DEADLINE * 1000)
    assert by_fd[fd].recv_exactly(11) == b"one of many"


def test_case_68_one_reader_that_stalls_costs_bounded_memory(bus, flood):
    client, server = bus.pair(flood.manual, flood.hand)
    before = sum(run.rss() for run in bus.daemons())
    offering = Task(_offer, server, 1024 * MIB)
    assert all([Task(echo_round, bus, flood.echo, seed, 8 * MIB).result() for seed in range(4)])
    assert bus.connect(flood.source).recv_digest() == digest(flood.data)
    grown = sum(run.rss() for run in bus.daemons()) - before
    assert grown < (256 if sanitized() else 96) * MIB
    assert client.recv_exactly(MIB) == bytes(MIB)  # it is alive all along
    client.reset()
    with pytest.raises(OSError):
        offering.result()


def _offer(stream, size):
    block = bytes(MIB)
    for _ in range(size // MIB):
        stream.send(block)


def test_slow_reader_gets_every_byte(bus, flood):
    """Windows that shrink to nothing and open again, many times over."""
    client = bus.connect(flood.source, rcvbuf=4096)
    got = bytearray()
    while chunk := client.recv(37_777):
        got += chunk
    assert bytes(got) == flood.data


def test_many_bulk_streams_share_one_transport_whole(bus):
    data = pattern(8 * MIB)
    service = bus.service(bus.serve(sink))
    bus.start()

    def upload():
        client = bus.connect(service)
        client.send(data)
        client.fin()
        return client.recv_end()
    want = (f"{len(data)} {digest(data).sha256}\n".encode(), FIN)
    tasks = [Task(upload) for _ in range(32)]
    assert [task.result() for task in tasks] == [want] * 32
