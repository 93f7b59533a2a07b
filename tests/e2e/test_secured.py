"""Secured links: real daemons, real keys, and whatever may go wrong between them."""

import collections
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from bus import Keys
from daemon import run, sanitized, wrapped
from net import FIN, RST, echo, parse, pattern
from wait import DEADLINE, Task, eventually

MIB = 1 << 20


@pytest.fixture(params=["bus", "bus+unix"])
def kind(request):
    return request.param


def secured(bus, handler=echo, link="bus", **keys):
    """A bus with one secured service, not started."""
    server = bus.serve(handler)
    return bus.service(server, name="echo", link=link, **keys)


def works(bus, service):
    client = bus.connect(service)
    client.send(b"are you there?")
    assert client.recv_exactly(14) == b"are you there?"
    client.fin()
    assert client.recv_end() == (b"", FIN)


def session(bus, revoked=False):
    """A started bus whose backend the test plays, with a session that works: (the segment, what a
    further one takes, client, server).  The segment may have a list of who is revoked: nobody."""
    backend = bus.listen()
    service = bus.service(backend, name="any", link="bus")
    segment = service.segments[0]
    if revoked:
        bus.keys.revoke("# nobody yet")
        segment.options["revoked"] = bus.keys.folder / "revoked"
    bus.start()
    client, server = bus.pair(service, backend)
    client.send(b"x")
    assert server.recv_exactly(1) == b"x"
    return segment, (service, backend), client, server


# --- it works -------------------------------------------------------------------------------------

def test_session_both_ways(bus, kind):
    service = secured(bus, link=kind)
    bus.start()
    works(bus, service)
    segment = service.segments[0]
    segment.daemon.wait_log(r"transport from node controller \(.*\): up")
    assert bus.controller.daemon.logged(rf"link {re.escape(kind)}://.*: up, to node segment1")


def test_great_transfers_arrive_as_they_were(bus, kind):
    backend = bus.listen()
    service = bus.service(backend, name="bulk", link=kind)
    bus.start()
    client, server = bus.pair(service, backend)
    data = pattern(96 * MIB)
    for sender, receiver in ((client, server), (server, client)):
        sending = Task(sender.send, data)
        assert receiver.recv_exactly(len(data)) == data
        sending.result()


def test_half_close_and_reset(bus):
    backend = bus.listen()
    service = bus.service(backend, name="any", link="bus")
    bus.start()
    client, server = bus.pair(service, backend)
    client.send(b"give")
    client.fin()
    assert server.recv_end() == (b"give", FIN)
    server.send(b"taken")
    server.fin()
    assert client.recv_end() == (b"taken", FIN)
    client, server = bus.pair(service, backend)
    client.send(b"x")
    assert server.recv_exactly(1) == b"x"
    client.reset()
    assert server.recv_end() == (b"", RST)
    client, server = bus.pair(service, backend)
    server.reset()
    assert client.recv_end() == (b"", RST)


def test_redis_over_it(bus, need, tmp_path):
    server, bench = need("redis-server"), need("redis-benchmark")
    path = tmp_path / "redis.sock"
    process = subprocess.Popen([server, "--port", "0", "--unixsocket", str(path), "--save", "",
                                "--dir", str(tmp_path)], stdout=subprocess.DEVNULL)
    try:
        eventually(path.exists, "redis listens")
        service = bus.service(f"unix://{path}", name="redis", link="bus")
        bus.start()
        port = parse(service.url)[1][1]
        done = subprocess.run([bench, "-p", str(port), "-q", "-n", "20000", "-c", "50",
                               "-t", "ping,set,get,lrange_100"], capture_output=True, text=True,
                              timeout=4 * DEADLINE, check=False)
        assert done.returncode == 0 and done.stdout.count("requests per second") >= 4, done
    finally:
        process.kill()
        process.wait()


def test_orderly_end_is_seen_as_one(bus):
    service = secured(bus)
    bus.start()
    works(bus, service)
    bus.controller.daemon.stop()
    segment = service.segments[0].daemon
    segment.wait_log(r"transport from node controller .*: closed")
    assert not segment.logged("goodbye")


def test_kill_is_no_clean_end(bus):
    segment, _, client, _ = session(bus)
    segment.daemon.kill()
    assert client.recv_end() == (b"", RST)


# --- who is let in ----------------------------------------------------------------------------------

def refused(bus, node, expression):
    """The bus runs without a link, and the node's log says why."""
    for segment in bus.segments:
        segment.start()
    bus.controller.start()
    node.daemon.wait_log(expression)
    assert not bus.controller.daemon.links_up()


def test_case_32_another_network_secret(bus):
    service = secured(bus)
    other = Keys(bus.folder, "other")
    other.issue("controller", "controller")
    bus.controller.options.update(other.options("controller"))
    refused(bus, service.segments[0], r"refused: .*network secret")
    bus.controller.daemon.wait_log(r"cannot connect: closed without an answer.*network secret")


def test_case_32_signed_by_another_bus(bus):
    """The same network secret, another cluster key."""
    service = secured(bus)
    other = Keys(bus.folder, "other")
    other.issue("controller", "controller")
    trust = (other.folder / "trust").read_text()
    secret = re.search(r"^network-secret .*$", (bus.keys.folder / "trust").read_text(), re.M)[0]
    (other.folder / "trust").write_text(re.sub(r"(?m)^network-secret .*$", secret, trust))
    bus.controller.options.update(other.options("controller"))
    refused(bus, bus.controller, r"cannot connect: .*sign")
    service.segments[0].daemon.wait_log(r"refused: closed when it had this node's token")


def test_case_32_a_controller_is_no_segment(bus):
    """It may not take the place of a segment, whatever it is configured as."""
    service = secured(bus)
    bus.keys.issue("impostor", "controller")
    service.segments[0].options.update(bus.keys.options("impostor"))
    service.segments[0].spawn()
    assert service.segments[0].daemon.wait_exit() == 78
    assert service.segments[0].daemon.logged(r"error: .*role")


def test_case_32_another_nodes_key(bus):
    service = secured(bus)
    bus.keys.issue("other", "controller")
    bus.controller.options["identity"] = bus.keys.folder / "other.key"
    service.segments[0].start()
    bus.controller.spawn()
    assert bus.controller.daemon.wait_exit() == 78
    assert bus.controller.daemon.logged(r"error: .*controller\.token")


@pytest.mark.parametrize("change, words", [
    (lambda token: "eyJhbGciOiJub25lIn0." + token.split(".")[1] + ".", "alg|sign"),
    (lambda token: "eyJhbGciOiJIUzI1NiJ9." + token.split(".", 1)[1], "alg|sign"),
    (lambda token: token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"), "sign"),
    (lambda token: token + "x" * 5000, "4096|long"),
    (lambda token: "", "."),
])
def test_case_32_a_token_that_was_changed(bus, change, words):
    secured(bus)
    path = bus.keys.folder / "controller.token"
    path.write_text(change(path.read_text().strip()))
    bus.controller.spawn()
    assert bus.controller.daemon.wait_exit() == 78
    assert bus.controller.daemon.logged(rf"error: .*controller\.token.*({words})")


def test_key_file_that_others_can_read(bus):
    secured(bus)
    path = bus.keys.folder / "controller.key"
    path.chmod(0o644)
    bus.controller.spawn()
    assert bus.controller.daemon.wait_exit() == 78
    assert bus.controller.daemon.logged(r"error: .*controller\.key.*chmod")
    done = run("controller", "-t", "-c", bus.controller.path)
    assert done.returncode == 78 and "chmod" in done.stderr


def test_plain_and_secured_do_not_meet(bus):
    service = secured(bus)
    bind = service.segments[0].sections[0][1][0][1]
    name, lines = bus.controller.sections[0]
    bus.controller.sections[0] = (name, [(key, value.replace("bus:", "tcp:"))
                                         for key, value in lines])
    service.segments[0].start()
    bus.controller.start()
    service.segments[0].daemon.wait_log(r"refused: .*not over in time")
    assert bind.startswith("bus:") and not bus.controller.daemon.links_up()


# --- what they may do -------------------------------------------------------------------------------

def authorised(bus, controller=(), segment=(), **keys):
    service = secured(bus)
    bus.keys.issue("controller", "controller", *controller,
                   **{key: value for key, value in keys.items() if key == "open"})
    bus.keys.issue("segment1", "segment", *segment,
                   **{key: value for key, value in keys.items() if key == "serve"})
    bus.start()
    return service


@pytest.mark.parametrize("keys, words", [
    ({"open": "other"}, "opener's token"),
    ({"serve": "other"}, "server's token"),
    ({"controller": ("--customer", "acme")}, "different customers"),
    ({"controller": ("--customer", "acme"), "segment": ("--customer", "umbrella")}, "customers"),
])
def test_what_a_token_does_not_allow_is_refused_at_once(bus, keys, words):
    service = authorised(bus, **keys)
    bus.refused(service)
    bus.controller.daemon.wait_log(
        rf"session refused: node controller may not open \[echo\] at node segment1 .*{words}")


@pytest.mark.parametrize("keys", [
    {"open": "ec*", "serve": "e*"}, {"open": "ECHO", "serve": "echo"},
    {"controller": ("--customer", "acme"), "segment": ("--customer", "acme")},
])
def test_what_it_allows_works(bus, keys):
    works(bus, authorised(bus, **keys))


# --- the end of tokens --------------------------------------------------------------------------------

def test_revoked_while_it_is_used(bus):
    segment, _, client, server = session(bus, revoked=True)
    bus.keys.revoke("controller")
    segment.daemon.signal(signal.SIGHUP)
    assert client.recv_end() == (b"", RST)
    assert server.recv_end() == (b"", RST)
    segment.daemon.wait_log(r"transport from node controller .*lost")
    segment.daemon.wait_log(r"refused: .*revoked")
    bus.controller.daemon.wait_log(r"link \S+: down: the peer ended it: this node or its token is "
                                   "revoked there")
    assert not bus.controller.daemon.logged(": revoked")  # a handshake is refused without a word


@pytest.mark.parametrize("wrong", ["key", "token", "trust", "ini", "other token", "draining"])
def test_case_47_who_is_revoked_goes_whatever_is_wrong_beside(bus, wrong):
    """A reload that is refused, or files that are, or a drain: the list counts."""
    segment, _, client, server = session(bus, revoked=True)
    bus.keys.revoke("controller")
    if wrong == "ini":
        segment.options["nonsense"] = "1"
        segment.reload(good=False)
    elif wrong == "other token":
        segment.options["token"] = bus.keys.folder / "nothing.token"
        segment.reload(good=False)
    elif wrong == "draining":
        segment.daemon.terminate()
        segment.daemon.wait_log("draining: no new sessions")
        segment.daemon.signal(signal.SIGHUP)
    else:
        name = "trust" if wrong == "trust" else f"{segment.name}.{wrong}"
        (bus.keys.folder / name).write_text("nonsense\n")
        segment.reload(good=False)
        assert segment.daemon.logged(rf"error: .*{name}(:1)?: ")
    assert client.recv_end() == (b"", RST)
    assert server.recv_end() == (b"", RST)
    segment.daemon.wait_log(r"let in no more: it is revoked")


def test_a_list_named_by_a_reload_counts_whatever_the_token_file_is(bus):
    """The configuration is refused, its list is not; nor does a further reload forget it."""
    segment, again, client, server = session(bus)
    (bus.keys.folder / f"{segment.name}.token").write_text("nonsense\n")
    bus.keys.revoke("controller")
    segment.options["revoked"] = bus.keys.folder / "revoked"
    segment.reload(good=False)
    assert segment.daemon.logged(rf"error: \S+{segment.name}\.token: ")
    assert client.recv_end() == (b"", RST)
    assert server.recv_end() == (b"", RST)
    segment.options["nonsense"] = "1"
    segment.reload(good=False)
    before = len(segment.daemon.logged_all(r"refused: .*revoked"))
    eventually(lambda: len(segment.daemon.logged_all(r"refused: .*revoked")) > before,
               "it is still refused")
    # In force at last, the list is the one that counts.
    del segment.options["nonsense"]
    bus.keys.issue(segment.name, "segment")
    bus.keys.revoke("# nobody")
    segment.reload()
    bus.wait_links()
    client, server = bus.pair(*again)
    client.send(b"x")
    assert server.recv_exactly(1) == b"x"


def test_a_bad_list_lets_nobody_in_again(bus):
    """The list before it stays, and the log says so; a fresh token is taken all the same."""
    service = secured(bus)
    segment = bus.segments[0]
    bus.keys.revoke("# nobody yet")
    segment.options["revoked"] = bus.keys.folder / "revoked"
    bus.start()
    works(bus, service)
    bus.keys.revoke("controller")
    segment.reload()
    segment.daemon.wait_log(r"refused: .*revoked")
    bus.keys.revoke("# a line", "that is bad")
    bus.keys.issue(segment.name, "segment", ttl="2d")
    segment.reload()
    assert segment.daemon.logged(r"error: the revocation list was not reloaded, the old one stays "
                                 r"in force: \S+revoked:2: ")
    assert segment.daemon.logged("a fresh token is in force")
    before = len(segment.daemon.logged_all(r"refused: .*revoked"))
    eventually(lambda: len(segment.daemon.logged_all(r"refused: .*revoked")) > before,
               "the next attempt is refused too")
    bus.keys.revoke("# nobody any more")
    segment.reload()
    bus.wait_links()
    works(bus, service)


def test_case_34_a_fresh_token_under_load(bus):
    """Tokens change on both sides, again and again, and no session notices."""
    backend = bus.listen()
    service = bus.service(backend, name="any", link="bus")
    bus.start()
    pairs = [bus.pair(service, backend) for _ in range(4)]
    data = pattern(16 * MIB)

    def stream(ends):
        sending = Task(ends[0].send, data)
        assert ends[1].recv_exactly(len(data)) == data
        sending.result()

    nodes = [bus.controller, service.segments[0]]
    for days in range(2, 6):
        tasks = [Task(stream, ends) for ends in pairs]
        for node in nodes:
            bus.keys.issue(node.name, node.program, ttl=f"{days}d")
            node.daemon.signal(signal.SIGHUP)
        for task in tasks:
            task.result()
        for node in nodes:
            eventually(lambda: len(re.findall("took its fresh token", node.daemon.log()))
                       == days - 1, "the token has come")
    for node in nodes:
        assert not node.daemon.logged(r"\blost\b|\bdown\b|refused")


def test_case_34_a_fresh_token_is_found_at_half_life(bus, need):
    service = secured(bus)
    now = int(time.time())
    bus.keys.forge(need("openssl"), "controller", nbf=now - 3600, exp=now + 60)
    bus.start()
    works(bus, service)
    bus.keys.issue("controller", "controller", ttl="1d")
    service.segments[0].daemon.wait_log("node controller .*took its fresh token")
    works(bus, service)
    assert not bus.controller.daemon.logged(r"\bdown\b")


@pytest.mark.parametrize("wrong", ["token", "open key", "expired token", "fifo"])
def test_bad_files_at_sighup_change_nothing(bus, need, wrong):
    """Nor does the rest of the configuration that was to come with them."""
    service = secured(bus)
    bus.start()
    token, key = (bus.keys.folder / f"controller.{kind}" for kind in ("token", "key"))
    good = token.read_text()
    if wrong == "token":
        token.write_text("nonsense\n")
    elif wrong == "open key":
        key.chmod(0o644)
    elif wrong == "fifo":
        token.unlink()
        os.mkfifo(token, 0o600)  # nobody ever opens its other end
    else:
        bus.keys.forge(need("openssl"), "controller", nbf=1, exp=int(time.time()) - 3600)
    extra = bus.address()
    bus.controller.section("extra", extra, bus.controller.sections[0][1][1][1],
                           service=service.name)
    bus.controller.reload(good=False)
    bus.controller.daemon.wait_log(rf"error: \S+controller\.{'key' if wrong == 'open key' else 'token'}: ")
    with pytest.raises(ConnectionRefusedError):
        bus.connect(extra)
    works(bus, service)
    key.chmod(0o600)
    token.unlink()
    token.write_text(good)
    bus.controller.reload()
    works(bus, service)
    works(bus, extra)


def test_a_reload_beside_a_token_that_has_expired_already(bus, need):
    """It is the one in use, so nothing about it is new; what else changes counts."""
    backend = bus.listen()
    service = bus.service(backend, name="any", link="bus")
    plain = bus.service(backend, name="plain", link="tcp")
    bus.keys.forge(need("openssl"), "controller", nbf=1, exp=int(time.time()) - 3600)
    for node in bus.segments:
        node.start()
    bus.controller.start()
    bus.controller.daemon.wait_log("this node dials nobody")
    extra = bus.address()
    bus.controller.section("extra", extra, plain.segments[0].sections[0][1][0][1])
    bus.controller.reload()
    client, server = bus.pair(extra, backend)
    client.send(b"x")
    assert server.recv_exactly(1) == b"x"
    assert service.segments[0].daemon.running()


def test_warned_before_the_end(bus):
    secured(bus)
    bus.start()
    for node in (bus.controller, *bus.segments):
        node.daemon.wait_log(r"warning: .*token expires in 2[34] hours")


def test_expired_while_it_is_used(bus, need):
    """The peer lets running sessions finish for drain_timeout, then they are lost."""
    backend = bus.listen()
    service = bus.service(backend, name="any", link="bus")
    segment = service.segments[0]
    segment.options["drain_timeout"] = "4s"
    segment.start()
    # 30 s are allowed for clocks that differ.
    now = int(time.time())
    bus.keys.forge(need("openssl"), "controller", nbf=now - 3600, exp=now - 22)
    bus.controller.start()
    bus.wait_links()
    client, server = bus.pair(service, backend)
    segment.daemon.wait_log(r"node controller .*expired.*; running sessions may finish")
    client.send(b"still here")
    assert server.recv_exactly(10) == b"still here"
    bus.controller.daemon.wait_log(r"the segment goes away \(this node's token has expired: issue a fresh one")
    assert client.recv_end() == (b"", RST)
    bus.controller.daemon.wait_log("lost: the peer ended it: this node's token has expired; issue")
    bus.controller.daemon.wait_log("error: .*expired")
    bus.keys.issue("controller", "controller")
    bus.controller.daemon.signal(signal.SIGHUP)
    bus.wait_links()
    client, server = bus.pair(service, backend)
    client.send(b"again")
    assert server.recv_exactly(5) == b"again"


# --- somebody in the middle -----------------------------------------------------------------------------

class Middle:
    """Knows where records begin, and does one thing to one of them."""

    LENGTHS = 2  # messages with a length before the records, dialler to acceptor: 1

    def __init__(self, target, way, deed, when):
        self.target, self.way, self.deed, self.when = target, way, deed, when
        self.done = threading.Event()
        self._socks = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "bus://127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return
            far = socket.create_connection(parse(self.target)[1])
            self._socks += [near, far]
            for args in ((near, far, "up"), (far, near, "down")):
                threading.Thread(target=self._pump, args=args, daemon=True).start()

    @staticmethod
    def _exactly(sock, n):
        data = b""
        while len(data) < n:
            piece = sock.recv(n - len(data))
            if not piece:
                raise OSError("end")
            data += piece
        return data

    def _unit(self, sock):
        head = self._exactly(sock, 2)
        return head + self._exactly(sock, int.from_bytes(head, "big"))

    def _pump(self, source_, sink_, way):
        try:
            if way == "up":
                sink_.sendall(self._exactly(source_, 88))
            sink_.sendall(self._unit(source_))  # message 2 or 3
            number, held = 0, []
            while True:
                record = self._unit(source_)
                number += 1
                if way == self.way and number >= self.when and not self.done.is_set():
                    for piece in self.deed(self, record, held):
                        sink_.sendall(piece)
                else:
                    sink_.sendall(record)
        except OSError:
            for sock in (source_, sink_):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        for sock in [self._listener, *self._socks]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()


def flips(at):
    def deed(middle, record, held):
        middle.done.set()
        i = at if at >= 0 else len(record) + at
        return [record[:i] + bytes([record[i] ^ 4]) + record[i + 1:]]
    return deed


def repeats(middle, record, held):
    middle.done.set()
    return [record, record]


def leaves_out(middle, record, held):
    middle.done.set()
    return []


def reorders(middle, record, held):
    held.append(record)
    if len(held) < 2:
        return []
    middle.done.set()
    return held[::-1]


def cuts(middle, record, held):
    middle.done.set()
    raise OSError("cut, with FIN, between two records")


def cuts_inside(middle, record, held):
    middle.done.set()
    held.append(record)
    return [record[:len(record) // 2], *cut_now()]


def cut_now():
    yield b""
    raise OSError("cut inside a record")


DEEDS = {"flips a byte of the length": flips(1), "flips the first byte": flips(2),
         "flips a byte inside": flips(9), "flips a byte of the tag": flips(-1),
         "repeats": repeats, "leaves out": leaves_out, "reorders": reorders, "cuts": cuts,
         "cuts inside": cuts_inside}


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("deed", DEEDS)
def test_cases_30_31_nothing_passes_a_middle_that_meddles(bus, deed, way):
    """Every session is reset, and what came before is as it was sent: no byte is wrong."""
    backend = bus.listen()
    service = bus.service(backend, name="any", link="bus")
    bind = service.segments[0].sections[0][1][0][1]
    middle = bus.keep(Middle(bind.replace("bus:", "tcp:"), way, DEEDS[deed], when=12))
    name, lines = bus.controller.sections[0]
    bus.controller.sections[0] = (
        name, [(key, middle.url if key == "server" else value) for key, value in lines])
    bus.start()
    client, server = bus.pair(service, backend)
    sender, receiver = (client, server) if way == "up" else (server, client)
    data = pattern(32 * MIB)
    sending = Task(lambda: sender.send(data))
    got, how = receiver.recv_end()
    assert middle.done.is_set()
    assert how == RST and len(got) < len(data) and got == data[:len(got)]
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        sending.result()
    node = service.segments[0] if way == "up" else bus.controller
    node.daemon.wait_log("a record was changed|closed without goodbye|was lost|lost:|down:")
    if not deed.startswith("cuts") and "length" not in deed:
        node.daemon.wait_log("a record was changed, repeated or left out")
    bus.wait_links()
    client, server = bus.pair(service, backend)
    client.send(b"anew")
    assert server.recv_exactly(4) == b"anew"


def test_case_31_a_handshake_that_is_replayed(bus):
    """What a controller said once is said again, byte by byte: no answer, no session."""
    service = secured(bus, relay={})
    heard = []
    relay = service.relays[0]
    original = relay.connections
    bind = parse(relay.target)[1]
    segment = service.segments[0]
    listener = socket.create_server(("127.0.0.1", 0))

    def tap():
        near = listener.accept()[0]
        far = socket.create_connection(bind)
        first = Middle._exactly(near, 88)
        heard.append(first)
        far.sendall(first)
        for a, b in ((near, far), (far, near)):
            threading.Thread(target=pipe, args=(a, b), daemon=True).start()

    def pipe(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for sock in (a, b):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    Task(tap)
    name, lines = bus.controller.sections[0]
    url = "bus://127.0.0.1:%d" % listener.getsockname()[1]
    bus.controller.sections[0] = (name, [(key, url if key == "server" else value)
                                         for key, value in lines])
    bus.start()
    works(bus, service)
    assert len(heard) == 1 and not original
    for _ in range(3):
        with socket.create_connection(bind, timeout=DEADLINE) as stranger:
            stranger.sendall(heard[0])
            try:
                assert stranger.recv(1) == b""
            except ConnectionResetError:
                pass
    segment.daemon.wait_log("refused: its first message was seen before")
    works(bus, service)
    listener.close()


# --- strangers ------------------------------------------------------------------------------------------

def stranger(address, data=b""):
    """Its socket; None where it was reset before connect() had returned."""
    try:
        sock = socket.create_connection(address, timeout=DEADLINE)
    except ConnectionResetError:
        return None
    try:
        sock.sendall(data)
    except OSError:
        pass
    return sock


def ended(sock):
    """Whether the other side has ended it, without having said a byte."""
    if sock is None:
        return True
    sock.settimeout(DEADLINE)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
    finally:
        sock.close()


def test_strangers_get_no_answer(bus):
    service = secured(bus)
    bus.start()
    bind = parse(service.segments[0].sections[0][1][0][1].replace("bus:", "tcp:"))[1]
    rng = random.Random(5)
    for data in (b"GET / HTTP/1.1\r\nHost: example\r\n\r\n" * 4, rng.randbytes(88),
                 rng.randbytes(200)):
        assert ended(stranger(bind, data))
    service.segments[0].daemon.wait_log("refused: .*network secret")
    works(bus, service)


def test_strangers_that_say_nothing_hold_nobody_up(bus):
    """Eight of an address are inside, for five seconds at most; each that comes takes the place of
    one that has said nothing, and who is linked goes on."""
    service = secured(bus)
    bus.start()
    segment = service.segments[0]
    bind = parse(segment.sections[0][1][0][1].replace("bus:", "tcp:"))[1]
    idle = segment.daemon.fds()
    begin = time.monotonic()
    silent = [stranger(bind, b"x" * 87) for _ in range(48)]
    segment.daemon.wait_log("refused: others came from its address, .* drawn by lot")
    eventually(lambda: segment.daemon.fds() <= idle + 8, "eight are inside")
    works(bus, service)
    assert all(ended(sock) for sock in silent)
    assert time.monotonic() - begin < DEADLINE / 2
    eventually(lambda: segment.daemon.fds() == idle, "nothing is left of them")


class Strangers:
    """One connects every five milliseconds, says nothing, and holds on as long as it may; there
    are no more than `most` at a time."""

    def __init__(self, address, most=64):
        self._address, self._most = address, most
        self._over = threading.Event()
        self._held = collections.deque()
        self.n = 0
        self._task = Task(self._run)

    def _run(self):
        while not self._over.wait(0.005):
            self._held.append(stranger(self._address))
            self.n += 1
            if len(self._held) > self._most:
                self._drop()
        while self._held:
            self._drop()

    def _drop(self):
        sock = self._held.popleft()
        if sock is not None:
            sock.close()

    def close(self):
        self._over.set()
        self._task.result()


def test_strangers_of_its_own_address_do_not_keep_a_node_out(bus):
    """They take every place that is free, again and again, long before the node dials: and it has
    no links, for which it would be known."""
    service = secured(bus)
    segment = service.segments[0]
    segment.start()
    bind = parse(segment.sections[0][1][0][1].replace("bus:", "tcp:"))[1]
    strangers = bus.keep(Strangers(bind))
    for number in range(1, 4):
        segment.daemon.wait_log(r"refused: .*\baddress\b")  # they have all its places
        before = strangers.n
        bus.controller.start()
        # On a slow machine its message comes later behind its connection, and loses more lots.
        eventually(bus.controller.daemon.links_up, "it is let in", 4 * DEADLINE)
        works(bus, service)
        eventually(lambda: strangers.n > before + 16, "they have not given up")
        bus.controller.daemon.kill()
        eventually(lambda: segment.daemon.log().count("): lost: ") == number, "it is seen gone")


def test_case_33_rekey_under_load(bus):
    """More records than one key may seal (65536): requests that wait for each other are a record
    each, both ways, while others stream."""
    service = secured(bus)
    bus.start()
    client, bulk = bus.connect(service), bus.connect(service)
    data = pattern(64 * MIB)
    sending = Task(bulk.send, data)
    receiving = Task(bulk.recv_exactly, len(data))
    for number in range(66000):
        word = b"%06d" % number
        client.send(word)
        assert client.recv_exactly(6) == word
    sending.result()
    assert receiving.result() == data
    for node in (bus.controller, service.segments[0]):
        assert not node.daemon.logged(r"\blost\b|\bdown\b")


# --- where keys are in memory ---------------------------------------------------------------------

# mlock() does nothing in a process with AddressSanitizer, and valgrind has mappings of its own.
bare = pytest.mark.skipif(wrapped() or sanitized(), reason="its memory is not its own")


def locked_areas(daemon):
    """The flags of those mappings of a process that are locked in memory."""
    with open(f"/proc/{daemon.pid}/smaps", encoding="utf-8") as file:
        flags = [line.split()[1:] for line in file if line.startswith("VmFlags:")]
    return [area for area in flags if "lo" in area]


@bare
def test_keys_are_in_memory_that_is_locked_and_not_dumped(bus):
    service, plain = secured(bus), bus.service(bus.serve(echo), name="plain")
    bus.start()
    works(bus, service)
    works(bus, plain)
    for node in (bus.controller, service.segments[0]):
        areas = locked_areas(node.daemon)
        # Its credentials, its set of keys, and a block for those of records.
        assert len(areas) >= 3 and all("dd" in area for area in areas), areas
        assert not node.daemon.logged("locked in memory")


@bare
def test_keys_that_cannot_be_locked_are_warned_of_once(bus, need):
    service = secured(bus)
    prefix = [need("prlimit"), "--memlock=0:0"]
    if os.geteuid() == 0:  # who may lock as much as it likes
        prefix = [need("setpriv"), "--bounding-set=-ipc_lock", *prefix]
    for node in (bus.controller, service.segments[0]):
        node.prefix = prefix
    bus.start()
    for _ in range(3):
        works(bus, service)
    said = r"warning: not all keys can be locked in memory.* 0 KiB \(RLIMIT_MEMLOCK\).*LimitMEMLOCK="
    for node in (bus.controller, service.segments[0]):
        assert len(node.daemon.logged_all(said)) == 1, node.daemon.log()
        node.daemon.signal(signal.SIGHUP)
        node.daemon.wait_log("SIGHUP: (nothing|configuration)")
        assert not locked_areas(node.daemon)
        assert len(node.daemon.logged_all(said)) == 1
