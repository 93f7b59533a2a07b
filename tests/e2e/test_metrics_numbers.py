"""The numbers of metrics=, of real processes to which real things happen: cloudbus-metrics(7)."""

import signal
import time

import pytest

from daemon import run, wrapped
from metrics import Metrics
from nameserver import NXDOMAIN, SILENT
from net import FIN, RST, echo, pattern
from wait import Task, eventually, patient

MIB = 1 << 20
DAY = 86400


@pytest.fixture(autouse=True)
def fixture_built(tmp_path):
    path = tmp_path / "probe.ini"
    path.write_text("[Cloudbus]\nmetrics=unix://@m\n[a]\nbind=unix://@a\nserver=unix://@b\n")
    if "built without libmicrohttpd" in run("segment", "-t", "-c", str(path)).stderr:
        pytest.skip("built without metrics")


def test_sessions_and_their_bytes(bus):
    backend = bus.listen()
    service = bus.service(backend, name="web")
    near, far = Metrics(bus, bus.controller), Metrics(bus, bus.segments[0])
    bus.start()
    client, server = bus.pair(service, backend)
    sending = Task(lambda: (client.send(pattern(5 * MIB)), client.fin()))
    assert server.recv_digest().size == 5 * MIB
    sending.result()
    for node in (near, far):
        assert node("sessions", service="web") == 1
        assert node("sessions_opened_total", service="web") == 1
        assert node("sessions_waiting", service="web") == 0
    server.send(b"answer")
    server.fin()
    assert client.recv_end() == (b"answer", FIN)
    for node in (near, far):
        node.becomes(1, "sessions_ended_total", service="web", reason="clean")
        assert node("sessions", service="web") == 0
    assert near("session_received_bytes_total", service="web") == 5 * MIB
    assert far("session_sent_bytes_total", service="web") == 5 * MIB
    assert far("session_received_bytes_total", service="web") == len(b"answer")
    assert near("session_sent_bytes_total", service="web") == len(b"answer")
    assert near("transport_sent_bytes_total") > 5 * MIB
    assert near("cpu_seconds_total") > 0
    assert abs(near("start_time_seconds") - time.time()) < 600


def test_who_is_refused_and_why(bus):
    backend = bus.listen(bus.address())  # a port that is nobody else's when it is closed
    service = bus.service(backend, name="web", max_sessions=1)
    near, far = Metrics(bus, bus.controller), Metrics(bus, bus.segments[0])
    bus.start()
    client, server = bus.pair(service, backend)
    bus.refused(service)
    near.becomes(1, "sessions_refused_total", service="web", reason="max_sessions")
    client.reset()
    near.becomes(1, "sessions_ended_total", service="web", reason="local_reset")
    far.becomes(1, "sessions_ended_total", service="web", reason="remote_reset")
    assert server.recv_end().how == RST
    backend.close()
    bus.refused(service)
    far.becomes(1, "sessions_refused_total", service="web", reason="backend_refused")
    near.becomes(1, "sessions_ended_total", service="web", reason="backend_failed")
    assert far("sessions_opened_total", service="web") == 1


def test_a_link_goes_down_and_up(bus):
    service = bus.service(bus.serve(echo), name="web")
    segment = bus.segments[0]
    link = dict(segment.sections[0][1])["bind"]
    near = Metrics(bus, bus.controller)
    bus.start()
    assert near("link_up", link=link) == 1
    assert near("link_transports", link=link) == 1
    client = bus.connect(service)
    client.send(b"x")
    assert client.recv_exactly(1) == b"x"
    segment.daemon.kill()
    near.becomes(0, "link_up", link=link)
    near.becomes(1, "sessions_ended_total", service="web", reason="link_lost")
    eventually(lambda: near("link_dial_failures_total", link=link) >= 2, "it dials on")
    assert near("dial_failures_total", reason="connect") >= 2
    assert near("transports_ended_total", reason="lost") == 1
    segment.start()
    near.becomes(1, "link_up", link=link)
    assert near("transports_opened_total", side="dialled", security="plain") == 2


def test_a_token_that_ends_soon(bus):
    """As the log says it, and not before; a fresh one ends it, without a restart."""
    bus.service(bus.serve(echo), link="bus")
    near, far = Metrics(bus, bus.controller), Metrics(bus, bus.segments[0])
    name = bus.controller.name
    bus.keys.issue(name, "controller", ttl="13d")
    bus.keys.issue(bus.segments[0].name, "segment", ttl="15d")
    bus.start()
    assert near("token_expiring") == 1
    assert bus.controller.daemon.logged("this node's token expires in")
    assert abs(near("token_expiry_timestamp_seconds") - time.time() - 13 * DAY) < 600
    assert far("token_expiring") == 0
    assert not bus.segments[0].daemon.logged("this node's token expires in")
    far.becomes(1, "node_transports", node=name)  # of which each side hears by itself
    assert far("peer_tokens_expiring") == far("nodes") == 1
    ends = far("node_token_expiry_timestamp_seconds", node=name)
    assert ends == far("peer_token_expiry_timestamp_seconds") \
        == near("token_expiry_timestamp_seconds")
    bus.keys.issue(name, "controller", ttl="90d")
    bus.controller.reload()
    assert near("token_expiring") == 0
    assert near("key_reloads_total", result="ok") == 1
    far.becomes(0, "peer_tokens_expiring")
    assert far("node_token_expiry_timestamp_seconds", node=name) > ends + 70 * DAY


def test_a_handshake_with_a_stranger(bus):
    service = bus.service(bus.serve(echo), link="bus")
    far = Metrics(bus, bus.segments[0])
    bus.start()
    far.becomes(1, "handshakes_total", side="accepted", result="ok")
    bind = dict(bus.segments[0].sections[0][1])["bind"]
    stranger = bus.connect(bind.replace("bus:", "tcp:"))
    stranger.send(bytes(200))
    far.becomes(1, "handshakes_total", side="accepted", result="stranger")
    # Its address has a link, so it is not turned away; the link goes on.
    client = bus.connect(service)
    client.send(b"x")
    assert client.recv_exactly(1) == b"x"


def test_member_timeout_is_counted(bus):
    backends = [bus.listen() for _ in range(3)]
    service = bus.service(*backends, name="fan", member_timeout=patient(5))
    near = Metrics(bus, bus.controller)
    bus.start()
    client = bus.connect(service)
    first, slow, third = [backend.accept() for backend in backends]
    sending = Task(lambda: (client.send(pattern(128 * MIB)), client.fin()))
    reads = [Task(member.recv_digest) for member in (first, third)]
    assert [task.result().size for task in reads] == [128 * MIB] * 2
    sending.result()
    assert near("members_dropped_total", service="fan", reason="slow") == 1
    assert near("members_dropped_total", service="fan", reason="lost") == 0
    assert near("session_received_bytes_total", service="fan") == 128 * MIB
    third.send(b"me")
    assert client.recv_exactly(2) == b"me"
    assert near("latches_total", service="fan") == 1
    assert slow.recv_end().how == RST


@pytest.mark.skipif(wrapped(), reason="the process is another program's")
def test_descriptors_run_out(bus):
    service = bus.service(bus.serve(echo))
    near = Metrics(bus, bus.controller)
    bus.start()
    assert near("listeners_paused") == 0  # and the connection for asking is there
    bus.controller.daemon.leave_files(0)
    client = bus.connect(service)
    client.send(b"x")
    eventually(lambda: near("accept_failures_total", reason="descriptors") >= 2, "it was tried")
    assert near("listeners_paused") == 1
    bus.controller.daemon.free_files()
    assert client.recv_exactly(1) == b"x"
    assert near("listeners_paused") == 0


def test_reloads_and_the_drain(bus):
    service = bus.service(bus.serve(echo), name="web")
    near = Metrics(bus, bus.controller)
    bus.start()
    at_start = near("last_reload_timestamp_seconds")
    assert at_start == near("start_time_seconds")
    client = bus.connect(service)
    client.send(b"x")
    assert client.recv_exactly(1) == b"x"
    bus.controller.section("more", bus.address(), "tcp://127.0.0.1:9")
    eventually(lambda: time.time() >= at_start + 1, "the clock shows another second")
    bus.controller.reload()
    assert near("reloads_total", result="ok") == 1
    assert near("last_reload_timestamp_seconds") > at_start
    # What a service has counted stays its own; what is gone has no line.
    assert near("sessions_opened_total", service="web") == 1
    assert near("sessions_opened_total", service="more") == 0
    bus.controller.sections.pop()
    bus.controller.reload()
    assert near("sessions_opened_total", service="more") is None
    bus.controller.section("bad", "nonsense")
    bus.controller.reload(good=False)
    assert near("reloads_total", result="failed") == 1
    assert near("draining") == 0
    bus.controller.daemon.signal(signal.SIGTERM)
    near.becomes(1, "draining")
    assert near("sessions", service="web") == 1
    client.close()
    assert bus.controller.daemon.wait_exit() == 0


def test_questions_to_name_servers(bus):
    dns = bus.nameserver()
    dns.zone["app.test"] = NXDOMAIN
    bus.controller.section("app", bus.address(), "tcp://app.test:9")
    near = Metrics(bus, bus.controller)
    bus.controller.start()
    eventually(lambda: (near("dns_answers_total", result="not_found") or 0) >= 2, "no such name")
    assert near("dns_queries_total") >= 2
    dns.zone["app.test"] = SILENT
    eventually(lambda: near("dns_answers_total", result="timed_out") >= 1, "no answer")


def test_ten_thousand_services(bus):
    """The text stays short, and the process is not busy with it for long."""
    node = bus.segment()
    bind = bus.address()
    for i in range(10_000):
        node.section(f'service "{i}"', bind, "tcp://127.0.0.1:9")
    numbers = Metrics(bus, node)
    node.start()
    assert len(numbers.text()) < 8 * MIB
    everything = numbers.all()
    assert everything[("sessions", frozenset({("service", r'service \"42\"')}))] == 0
    assert sum(name == "sessions_opened_total" for name, _ in everything) == 10_000
    assert everything[("metrics_omitted_lines", frozenset())] == 0
    assert sum(name == "sessions_refused_total" for name, _ in everything) == 0
    before = node.daemon.cpu()
    for _ in range(20):
        numbers.text()
    assert node.daemon.cpu() - before < 5
