"""One session through one controller and one segment: every byte, both ends, both kinds of end."""

import random
import time

import pytest

from net import FIN, RST, digest, echo, name_server_of, pattern, sink, source
from wait import Task, eventually, remains

MIB = 1 << 20


@pytest.fixture
def pair(bus):
    """A started bus with one service, whose backend the test plays: (new client, backend)."""
    backend = bus.listen()
    service = bus.service(backend)
    bus.start()
    return lambda: bus.pair(service, backend)


def started(bus, handler, **keys):
    """A started bus with one service, served by a handler."""
    server = bus.serve(handler)
    service = bus.service(server, **keys)
    bus.start()
    return service, server


def starts_as(data, got, at=0):
    """Whether these bytes, from a place on, are those of `data` again and again."""
    return (data * ((at + len(got)) // len(data) + 1))[at:at + len(got)] == got


def test_request_and_reply(pair):
    client, server = pair()
    client.send(b"hello")
    assert server.recv_exactly(5) == b"hello"
    server.send(b"hello yourself")
    assert client.recv_exactly(14) == b"hello yourself"


def test_case_01_client_fin_then_backend_streams(pair):
    client, server = pair()
    data = pattern(MIB)
    client.send(b"give")
    client.fin()
    assert server.recv_end() == (b"give", FIN)
    sending = Task(server.send, data)
    got = client.recv_exactly(len(data))
    sending.result()
    assert got == data
    server.close()
    assert client.recv_end() == (b"", FIN)


def test_case_01_backend_fin_then_client_streams(pair):
    client, server = pair()
    data = pattern(MIB)
    server.send(b"take")
    server.fin()
    assert client.recv_end() == (b"take", FIN)
    sending = Task(client.send, data)
    assert server.recv_exactly(len(data)) == data
    sending.result()
    client.close()
    assert server.recv_end() == (b"", FIN)


def test_case_02_client_reset_reaches_the_backend(pair):
    client, server = pair()
    client.send(b"half a requ")
    assert server.recv_exactly(11) == b"half a requ"
    client.reset()
    assert server.recv_end() == (b"", RST)


def test_case_02_client_reset_after_its_fin(pair):
    """FIN and then RST: only SO_ERROR tells the end from a clean one."""
    client, server = pair()
    client.send(b"request")
    client.fin()
    assert server.recv_end() == (b"request", FIN)
    client.reset()

    def write_fails():
        try:
            server.send(b"x")
        except OSError:
            return True
        return False
    eventually(write_fails, "the backend sees the reset")


def test_case_03_backend_reset_reaches_the_client_after_the_data(pair):
    client, server = pair()
    data = pattern(200_000)
    server.send(data)
    server.flush()  # the segment's kernel has it all: it must arrive
    server.reset()
    assert client.recv_end() == (data, RST)


def test_case_03_backend_reset_in_mid_stream(pair):
    client, server = pair()
    data = pattern(16 * MIB)
    sending = Task(server.send_for_ever, data)
    assert client.recv_exactly(MIB) == data[:MIB]
    server.reset()
    end = client.recv_end()
    assert end.how == RST
    assert starts_as(data, end.data, MIB)
    with pytest.raises(OSError):
        sending.result()


def test_case_03_last_words_before_a_reset_arrive(pair):
    """An answer with a reset right behind it: as without a proxy, the answer comes first."""
    for _ in range(20):
        client, server = pair()
        data = pattern(16 * 1024)
        server.send_and_reset(data)
        assert client.recv_end() == (data, RST)


def test_case_02_last_words_before_a_reset_arrive(pair):
    for _ in range(20):
        client, server = pair()
        data = pattern(16 * 1024)
        client.send_and_reset(data)
        assert server.recv_end() == (data, RST)


def test_case_04_fin_both_ways_at_once(bus, pair):
    before = [run.fds() for run in bus.daemons()]
    for number in range(100):
        client, server = pair()
        message = b"%d" % number
        client.send(message)
        server.send(message)
        client.fin()
        server.fin()
        assert client.recv_end() == (message, FIN)
        assert server.recv_end() == (message, FIN)
        client.close()
        server.close()
    eventually(lambda: all(run.fds() <= had for run, had in zip(bus.daemons(), before)),
               "descriptors are closed")


def test_case_05_fin_right_behind_the_last_data(pair):
    for size in (1, 5, 1000, 4096, 65535, 65536, 65537, 262144, 262145, 1_000_003):
        client, server = pair()
        data = pattern(size, seed=size)

        def send_and_close(stream=client, data=data):
            stream.send(data)
            stream.fin()
        sending = Task(send_and_close)
        assert server.recv_end() == (data, FIN)
        sending.result()
        server.close()
        assert client.recv_end() == (b"", FIN)


def test_case_07_data_before_a_client_reset_is_delivered(pair):
    client, server = pair()
    data = pattern(200_000)
    client.send(data)
    client.flush()
    client.reset()
    assert server.recv_end() == (data, RST)


def test_case_07_reset_crossing_data(pair):
    """Both sides in full flight when one resets: each sees a prefix, then a reset."""
    data = pattern(32 * MIB)
    client, server = pair()
    up, down = Task(client.send_for_ever, data), Task(server.send_for_ever, data)
    head = client.recv_exactly(MIB)
    server.reset()
    end = client.recv_end()
    assert end.how == RST and starts_as(data, head + end.data)
    for task in (up, down):
        with pytest.raises(OSError):
            task.result()


@pytest.mark.parametrize("first", ["client", "backend"])
def test_case_09_session_without_a_byte(pair, first):
    client, server = pair()
    one, other = (client, server) if first == "client" else (server, client)
    one.fin()
    assert other.recv_end() == (b"", FIN)
    other.fin()
    assert one.recv_end() == (b"", FIN)


def test_case_09_closed_at_once_a_hundred_times(bus):
    service, server = started(bus, echo)
    for _ in range(100):
        bus.connect(service).close()
    eventually(lambda: len(server.outcomes) == 100, "all sessions reach the backend and end")
    assert set(server.outcomes) == {0}


def test_case_10_half_closed_lasts_without_idle_timeout(pair):
    client, server = pair()
    client.fin()
    assert server.recv_end() == (b"", FIN)
    client.silent(4)
    server.send(b"late")
    server.fin()
    assert client.recv_end() == (b"late", FIN)


def test_case_10_half_closed_and_silent_ends_by_idle_timeout(bus):
    backend = bus.listen()
    service = bus.service(backend, idle_timeout="4s")
    bus.start()
    client, server = bus.pair(service, backend)
    client.fin()
    assert server.recv_end() == (b"", FIN)
    for _ in range(12):  # traffic in the other direction keeps it alive, for longer than 4 s
        server.send(b"tick")
        assert client.recv_exactly(4) == b"tick"
        time.sleep(0.4)
    assert client.recv_end() == (b"", RST)
    eventually(lambda: server.ended() == RST or _broken(server), "the backend's side ends too")


def _broken(stream):
    try:
        stream.send(b"x")
    except OSError:
        return True
    return False


def test_case_11_backend_closes_with_unread_input(pair):
    """Its kernel sends RST then, but the reply that the segment has is the client's."""
    client, server = pair()
    data = pattern(200_000)
    client.send(pattern(100_000))
    eventually(lambda: server.recv(1), "the request is there")
    server.send(data)
    server.flush()
    server.close()
    end = client.recv_end()
    assert end.data == data


def test_case_11_client_that_never_reads_its_tail_harms_nobody(pair):
    client, server = pair()
    server.send(pattern(100_000))
    server.fin()
    client.send(b"request")
    client.close()  # with the reply unread: RST
    end = server.recv_end()
    assert end == (b"request", FIN) or end.how == RST and b"request".startswith(end.data)
    again, other = pair()
    again.send(b"next")
    assert other.recv_exactly(4) == b"next"


def test_case_11_early_reply_to_a_long_upload(pair):
    """The backend answers and shuts down while the client still sends; nothing of it is lost."""
    client, server = pair()
    data, reply = pattern(16 * MIB), pattern(300_000, seed=2)
    sending = Task(client.send, data)
    assert server.recv_exactly(1000) == data[:1000]
    replying = Task(server.send, reply)
    assert client.recv_exactly(len(reply)) == reply
    replying.result()
    server.fin()
    assert client.recv_end() == (b"", FIN)
    assert server.recv_exactly(len(data) - 1000) == data[1000:]
    sending.result()
    client.fin()
    assert server.recv_end() == (b"", FIN)


def test_case_59_five_bytes_with_fin_right_behind(bus):
    reply = pattern(500_000)

    def answer(stream):
        got = stream.recv_end()
        stream.send(reply)
        return got
    service, server = started(bus, answer)
    for number in range(20):
        client = bus.connect(service)
        client.send(b"quest")
        client.fin()
        assert client.recv_end() == (reply, FIN)
        assert server.outcome(number) == (b"quest", FIN)


@pytest.mark.parametrize("size", [1000, 64 << 10, MIB, 16 * MIB, 256 * MIB])
def test_case_60_upload_then_half_close_then_answer(bus, size):
    service, server = started(bus, sink)
    data = pattern(size)
    client = bus.connect(service)
    client.send(data)
    client.fin()
    want = digest(data)
    assert client.recv_end() == (f"{size} {want.sha256}\n".encode(), FIN)
    assert server.outcome() == want


@pytest.mark.parametrize("size", [1000, 64 << 10, MIB, 16 * MIB, 256 * MIB])
def test_download_then_close(bus, size):
    data = pattern(size)
    service, _ = started(bus, source(data))
    assert bus.connect(service).recv_digest() == digest(data)


def test_case_61_server_speaks_first(pair):
    client, server = pair()  # accepted before the client has sent a byte
    server.send(b"220 ready\r\n")
    assert client.recv_exactly(11) == b"220 ready\r\n"
    client.send(b"HELO\r\n")
    assert server.recv_exactly(6) == b"HELO\r\n"


def test_case_67_eight_connections_echo_64_kib_at_a_time(bus):
    service, _ = started(bus, echo)

    def rounds(seed):
        client, block = bus.connect(service), pattern(65536, seed)
        for _ in range(100):
            client.send(block)
            assert client.recv_exactly(len(block)) == block
        client.fin()
        return client.recv_end()
    tasks = [Task(rounds, seed) for seed in range(8)]
    assert [task.result() for task in tasks] == [(b"", FIN)] * 8


@pytest.mark.parametrize("seed", range(3))
def test_pieces_of_any_size_at_any_pace(bus, seed):
    """Twelve sessions at once, each echoing in random pieces with random pauses."""
    service, _ = started(bus, echo)

    def play(number):
        rng = random.Random(seed * 100 + number)
        data = pattern(rng.choice((10_000, 300_000, 3_000_000)), number)
        client = bus.connect(service)

        def send():
            at = 0
            while at < len(data):
                step = rng.choice((1, 7, 1000, 70_000))
                client.send(data[at:at + step])
                at += step
                if rng.random() < 0.02:
                    time.sleep(rng.random() / 100)
            client.fin()
        sending = Task(send)
        end = client.recv_end()
        sending.result()
        return end == (data, FIN)
    tasks = [Task(play, number) for number in range(12)]
    assert all([task.result() for task in tasks])


def test_case_42_transport_that_moves_one_byte_at_a_time(bus):
    server = bus.serve(sink)
    service = bus.service(server, relay={"chunk": 1})
    bus.start()
    data = pattern(20_000)
    client = bus.connect(service)
    client.send(data)
    client.fin()
    assert client.recv_end() == (f"{len(data)} {digest(data).sha256}\n".encode(), FIN)


def test_many_short_sessions_one_after_another(bus):
    service, _ = started(bus, echo)
    for number in range(300):
        client = bus.connect(service)
        client.send(b"%d" % number)
        client.fin()
        assert client.recv_end() == (b"%d" % number, FIN)
        client.close()


def test_refused_backend_resets_the_client_at_once_and_says_why(bus):
    nobody = bus.address()
    service = bus.service(nobody)
    bus.start()
    bus.refused(service)
    log = bus.segments[0].daemon.log() + bus.controller.daemon.log()
    assert "refused" in log and nobody.removeprefix("tcp://") in log


def test_backend_that_does_not_answer_ends_at_connect_timeout(bus):
    hole = bus.unanswering()
    service = bus.service(hole, connect_timeout="1s", segment_keys={"connect_timeout": "1s"})
    bus.start()
    client = bus.connect(service)
    client.send(b"anybody?")
    assert client.recv_end() == (b"", RST)


def test_max_sessions_refuses_the_next_and_takes_it_later(bus):
    backend = bus.listen()
    service = bus.service(backend, max_sessions="2")
    bus.start()
    first, second = bus.pair(service, backend), bus.pair(service, backend)
    bus.refused(service)
    for client, server in (first, second):
        client.send(b"x")
        assert server.recv_exactly(1) == b"x"
    first[0].fin()
    assert first[1].recv_end() == (b"", FIN)
    first[1].close()
    assert first[0].recv_end() == (b"", FIN)

    def accepted():
        try:
            client = bus.connect(service)
            client.send(b"y")
            return backend.accept(1).recv_exactly(1) == b"y"
        except (TimeoutError, ConnectionResetError):
            return False
    eventually(accepted, "a session is taken again")


def test_idle_timeout_spares_the_active(bus):
    backend = bus.listen()
    service = bus.service(backend, idle_timeout="4s")
    bus.start()
    (active, server), (idle, _) = bus.pair(service, backend), bus.pair(service, backend)

    def idle_has_ended():
        active.send(b"tick")
        assert server.recv_exactly(4) == b"tick"
        return idle.ended() == RST
    eventually(idle_has_ended, "the idle one ends", every=0.4)
    remains(lambda: active.ended() is None, 0.2)
    server.send(b"alive")
    assert active.recv_exactly(5) == b"alive"


def test_services_of_one_pair_lead_to_their_own_backends(bus):
    """Several services share a bind of the segment, told apart by name; one of them asks for
    another name than its section's."""
    node = bus.segment()
    bind = bus.address()
    fronts = {}
    for name, asked in (("Alpha", None), ("beta", None), ("third", "GAMMA")):
        node.section((asked or name).lower(), bind,
                     bus.serve(name_server_of(name)).url)
        fronts[name] = bus.address()
        bus.controller.section(name, fronts[name], bind, service=asked)
    bus.controller.section("unknown", bus.address(), bind)
    unknown = bus.controller.sections[-1][1][0][1]
    bus.start()
    for name, url in fronts.items():
        assert bus.connect(url).recv_end() == (name.encode(), FIN)
    bus.refused(unknown)
    assert len(bus.controller.daemon.links_up()) == 1


def test_a_bind_with_one_service_takes_any_name(bus):
    node = bus.segment()
    bind, front = bus.address(), bus.address()
    node.section("there", bind, bus.serve(name_server_of("it")).url)
    bus.controller.section("here", front, bind)
    bus.start()
    assert bus.connect(front).recv_end() == (b"it", FIN)


def test_ipv6_on_every_side(bus):
    backend = bus.listen("tcp://[::1]:0")
    service = bus.service(backend, front="tcp6", link="tcp6")
    bus.start()
    client, server = bus.pair(service, backend)
    client.send(b"six")
    assert server.recv_exactly(3) == b"six"
