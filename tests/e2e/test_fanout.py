"""One client, several segments: the latch of half duplex, the merge of full duplex, and every fate
of a member."""

import time

import pytest

from net import FIN, RST, pattern
from wait import Task, eventually, patient, remains

MIB = 1 << 20
HALF, FULL = "half duplex", "full duplex"


class Fan:
    """A service with `n` members whose backends are played by hand."""

    def __init__(self, bus, n, mode=None, **keys):
        self.bus = bus
        self.backends = [bus.listen() for _ in range(n)]
        self.service = bus.service(*self.backends, mode=mode, **keys)

    def start(self):
        self.bus.start()
        return self

    def session(self, request=b""):
        """A client and the members of its session, all of which have read the request."""
        client = self.bus.connect(self.service)
        members = [backend.accept() for backend in self.backends]
        if request:
            client.send(request)
            for member in members:
                assert member.recv_exactly(len(request)) == request
        return client, members


def lost(member):
    """Asserts that the member's session was closed by a reset; what it had read before does not
    matter."""
    assert member.recv_end().how == RST


def test_half_duplex_is_the_default_and_latches(bus):
    fan = Fan(bus, 3).start()
    client, (first, second, third) = fan.session(b"who is it?")
    second.send(b"me")
    assert client.recv_exactly(2) == b"me"
    lost(first)
    lost(third)
    # from here on: one-to-one, full duplex
    client.send(b"only you")
    assert second.recv_exactly(8) == b"only you"
    second.send(b"only me")
    second.fin()
    assert client.recv_end() == (b"only me", FIN)
    client.fin()
    assert second.recv_end() == (b"", FIN)


def test_half_duplex_request_reaches_all_whole_before_the_latch(bus):
    fan = Fan(bus, 3, HALF).start()
    client, members = fan.session()
    data = pattern(20 * MIB)
    sending = Task(lambda: (client.send(data), client.fin()))
    reads = [Task(member.recv_end) for member in members]
    assert [task.result() for task in reads] == [(data, FIN)] * 3
    sending.result()
    members[0].send(b"winner")
    members[0].fin()
    assert client.recv_end() == (b"winner", FIN)
    for member in members[1:]:
        eventually(lambda m=member: _broken(m), "a loser is closed")


def _broken(stream):
    try:
        stream.send(b"x")
    except OSError:
        return True
    return False


def _send(stream, data):
    try:
        stream.send(data)
    except ConnectionResetError:
        pass  # the other one was faster


def test_server_speaks_first_latches_without_a_client_byte(bus):
    fan = Fan(bus, 2).start()
    client, (first, second) = fan.session()
    second.send(b"banner")
    assert client.recv_exactly(6) == b"banner"
    lost(first)


def test_latch_large_reply_of_the_winner_is_whole(bus):
    fan = Fan(bus, 3).start()
    client, members = fan.session(b"?")
    data = pattern(16 * MIB)
    sending = Task(lambda: (members[2].send(data), members[2].fin()))
    client.fin()
    assert client.recv_end() == (data, FIN)
    sending.result()


def test_full_duplex_duplicates_and_merges(bus):
    fan = Fan(bus, 3, FULL).start()
    client, members = fan.session(b"to all of you")
    want = set()
    for number, member in enumerate(members):
        word = b"<from %d>" % number
        member.send(word)
        want.add(word)
        assert client.recv_exactly(len(word)) == word  # as they come
    client.send(b"again, to all")
    for member in members:
        assert member.recv_exactly(13) == b"again, to all"
    for member in members:
        member.send(b".")
        member.fin()
    assert client.recv_end() == (b"...", FIN)
    client.fin()
    for member in members:
        assert member.recv_end() == (b"", FIN)


def test_full_duplex_bulk_both_ways(bus):
    fan = Fan(bus, 3, FULL).start()
    client, members = fan.session()
    up, size = pattern(8 * MIB), 6 * MIB
    tasks = [Task(lambda: (client.send(up), client.fin()))]
    for number, member in enumerate(members):
        tasks.append(Task(lambda m=member, n=number: (m.send(bytes([n + 1]) * size), m.fin())))
    reads = [Task(member.recv_end) for member in members]
    merged = client.recv_end()
    assert merged.how == FIN
    assert [merged.data.count(n) for n in range(4)] == [0, size, size, size]
    assert [task.result() for task in reads] == [(up, FIN)] * 3
    for task in tasks:
        task.result()


def test_full_duplex_half_close_lasts(bus):
    fan = Fan(bus, 2, FULL).start()
    client, (first, second) = fan.session(b"q")
    client.fin()
    assert first.recv_end() == (b"", FIN)
    assert second.recv_end() == (b"", FIN)
    first.send(b"one")
    first.fin()
    assert client.recv_exactly(3) == b"one"
    client.silent(0.5)
    second.send(b"two")
    second.fin()
    assert client.recv_end() == (b"two", FIN)


@pytest.mark.parametrize("mode", [HALF, FULL])
def test_case_53_member_that_stands_still_is_dropped_alone(bus, mode):
    fan = Fan(bus, 3, mode, member_timeout=patient(5)).start()
    client, (first, slow, third) = fan.session()
    before = sum(run.rss() for run in bus.daemons())
    data = pattern(256 * MIB)
    sending = Task(lambda: (client.send(data), client.fin()))
    reads = [Task(member.recv_digest) for member in (first, third)]
    ends = [task.result() for task in reads]
    assert [(end.size, end.how) for end in ends] == [(len(data), FIN)] * 2
    assert ends[0].sha256 == ends[1].sha256
    sending.result()
    assert sum(run.rss() for run in bus.daemons()) - before < 256 * MIB
    assert slow.recv_end().how == RST
    assert "member" in bus.controller.daemon.log()
    first.send(b"done")
    first.fin()
    assert client.recv_exactly(4) == b"done"


def test_slow_member_that_moves_sets_the_pace_and_loses_nothing(bus):
    fan = Fan(bus, 2, FULL, member_timeout="20s").start()
    client, (fast, slow) = fan.session()
    data = pattern(48 * MIB)
    sending = Task(lambda: (client.send(data), client.fin()))
    reading = Task(fast.recv_digest)
    got = bytearray()
    while chunk := slow.recv(1 << 20):
        got += chunk
        if len(got) < 8 * MIB:
            time.sleep(0.05)
    assert bytes(got) == data
    assert reading.result().size == len(data)
    sending.result()


def test_idle_session_loses_no_member_to_member_timeout(bus):
    """The time counts only while bytes are outstanding."""
    fan = Fan(bus, 2, FULL, member_timeout="1s").start()
    client, members = fan.session(b"x")
    client.silent(3)
    client.send(b"y")
    for member in members:
        assert member.recv_exactly(1) == b"y"


def test_case_54_members_die_before_the_latch(bus):
    fan = Fan(bus, 3, HALF).start()
    client, (first, second, third) = fan.session(b"q")
    first.reset()
    second.reset()
    client.silent(0.3)
    client.send(b"more")
    assert third.recv_exactly(4) == b"more"
    third.send(b"answer")
    third.fin()
    assert client.recv_end() == (b"answer", FIN)


@pytest.mark.parametrize("mode", [HALF, FULL])
def test_case_54_last_member_lost_resets_the_client(bus, mode):
    fan = Fan(bus, 3, mode).start()
    client, members = fan.session(b"q")
    for member in members[:-1]:
        member.reset()
        client.silent(0.2)
    members[-1].reset()
    assert client.recv_end() == (b"", RST)


def test_case_54_refused_backend_is_a_lost_member(bus):
    alive = bus.listen()
    service = bus.service(bus.address(), alive)
    bus.start()
    client, server = bus.pair(service, alive)
    client.send(b"q")
    assert server.recv_exactly(1) == b"q"
    server.send(b"a")
    server.fin()
    assert client.recv_end() == (b"a", FIN)


def test_case_54_member_dies_with_its_whole_segment(bus):
    fan = Fan(bus, 2, HALF).start()
    client, (_, second) = fan.session(b"q")
    bus.segments[0].daemon.kill()
    client.silent(0.5)
    second.send(b"a")
    assert client.recv_exactly(1) == b"a"


def test_winner_lost_after_the_latch_resets_the_client(bus):
    fan = Fan(bus, 2, HALF).start()
    client, (first, _) = fan.session(b"q")
    first.send(b"half an ans")
    assert client.recv_exactly(11) == b"half an ans"
    first.reset()
    assert client.recv_end() == (b"", RST)


def test_full_duplex_survivors_go_on_and_the_end_tells_of_the_loss(bus):
    fan = Fan(bus, 3, FULL).start()
    client, (first, second, third) = fan.session(b"q")
    second.reset()
    client.silent(0.3)
    client.send(b"go on")
    for member in (first, third):
        assert member.recv_exactly(5) == b"go on"
        member.send(b"ok")
        assert client.recv_exactly(2) == b"ok"
        member.fin()
    assert client.recv_end() == (b"", RST)


def test_half_duplex_fin_without_data_is_not_an_answer(bus):
    fan = Fan(bus, 3, HALF).start()
    client, (first, second, third) = fan.session(b"q")
    first.fin()
    second.fin()
    client.silent(0.3)
    client.send(b"r")
    assert third.recv_exactly(1) == b"r"
    third.send(b"a")
    third.fin()
    assert client.recv_end() == (b"a", FIN)


def test_half_duplex_all_members_finish_without_data_is_a_clean_end(bus):
    fan = Fan(bus, 3, HALF).start()
    client, members = fan.session(b"q")
    for member in members:
        client.silent(0.1)
        member.fin()
    assert client.recv_end() == (b"", FIN)
    client.fin()
    for member in members:
        assert member.recv_end() == (b"", FIN)


def test_case_55_two_first_replies_at_once(bus):
    fan = Fan(bus, 2, HALF).start()
    for number in range(40):
        client, members = fan.session(b"now")
        replies = [bytes([65 + n]) * 5000 for n in range(2)]
        order = (0, 1) if number % 2 else (1, 0)
        for index in order:
            _send(members[index], replies[index])
        client.fin()
        got = client.recv_exactly(5000)
        assert got in replies
        winner = members[replies.index(got)]
        loser = members[1 - replies.index(got)]
        winner.fin()
        assert client.recv_end() == (b"", FIN)
        eventually(lambda s=loser: s.ended() or _broken(s), "the loser is closed")
        for stream in (client, winner, loser):
            stream.reset()


def test_case_56_latch_while_the_client_is_half_closed(bus):
    fan = Fan(bus, 3, HALF).start()
    client, members = fan.session(b"q")
    client.fin()
    for member in members:
        assert member.recv_end() == (b"", FIN)
    client.silent(0.3)
    members[1].send(b"a")
    assert client.recv_exactly(1) == b"a"
    client.silent(0.3)
    members[1].fin()
    assert client.recv_end() == (b"", FIN)


def test_case_56_fin_behind_unread_bytes_reaches_the_winner(bus):
    """The winner answers before it has read everything; the rest and the FIN still come."""
    fan = Fan(bus, 2, HALF).start()
    client, (winner, loser) = fan.session()
    data = pattern(8 * MIB)
    sending = Task(lambda: (client.send(data), client.fin()))
    winner.send(b"early")
    assert client.recv_exactly(5) == b"early"
    lost(loser)
    assert winner.recv_end() == (data, FIN)
    sending.result()
    winner.fin()
    assert client.recv_end() == (b"", FIN)


@pytest.mark.parametrize("mode", [HALF, FULL])
def test_case_57_client_gone_before_any_answer(bus, mode):
    fan = Fan(bus, 3, mode).start()
    client, members = fan.session(b"q")
    client.reset()
    for member in members:
        assert member.recv_end() == (b"", RST)


@pytest.mark.parametrize("mode", [HALF, FULL])
def test_case_58_a_member_joins_no_session_that_runs(bus, mode):
    fan = Fan(bus, 3, mode)
    late = bus.segments[2]
    for node in bus.segments[:2]:
        node.start()
    bus.controller.start()
    bus.controller.daemon.wait_links(2)
    client = bus.connect(fan.service)
    members = [backend.accept() for backend in fan.backends[:2]]
    late.start()
    bus.controller.daemon.wait_links(3)
    client.send(b"q")
    for member in members:
        assert member.recv_exactly(1) == b"q"
    members[0].send(b"a")
    assert client.recv_exactly(1) == b"a"
    client.send(b"r")
    assert members[0].recv_exactly(1) == b"r"
    fan.backends[2].untouched(0.3)
    # the next session has all three
    fan.session(b"all")


def test_without_a_link_the_first_to_come_up_is_the_session(bus):
    fan = Fan(bus, 2, HALF, connect_timeout="60s")
    bus.controller.start()
    client = bus.connect(fan.service)
    client.send(b"early")
    bus.segments[1].start()
    member = fan.backends[1].accept()
    assert member.recv_exactly(5) == b"early"
    bus.segments[0].start()
    bus.wait_links()
    fan.backends[0].untouched(0.3)
    member.send(b"a")
    assert client.recv_exactly(1) == b"a"


def test_a_link_that_is_down_sets_no_pace(bus):
    fan = Fan(bus, 2, FULL)
    bus.segments[0].start()
    bus.controller.start()
    bus.controller.daemon.wait_links(1)
    client = bus.connect(fan.service)
    member = fan.backends[0].accept()
    data = pattern(8 * MIB)
    sending = Task(lambda: (client.send(data), client.fin()))
    assert member.recv_end() == (data, FIN)
    sending.result()
    member.send(b"a")
    member.fin()
    assert client.recv_end() == (b"a", FIN)


def test_losers_leave_nothing_behind(bus):
    fan = Fan(bus, 3, HALF).start()
    before = [run.fds() for run in bus.daemons()]

    def closed():
        return all(run.fds() <= had for run, had in zip(bus.daemons(), before))
    for number in range(30):
        client, members = fan.session(b"q")
        members[number % 3].send(b"a")
        members[number % 3].fin()
        client.fin()
        assert client.recv_end() == (b"a", FIN)
        for stream in (client, *members):
            stream.close()
    eventually(closed, "descriptors are closed")
    remains(lambda: all(run.running() for run in bus.daemons()), 0.1)
