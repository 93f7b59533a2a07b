"""Metrics over HTTP: metrics= in both programs, as it starts, reloads, drains and is hardened."""

import http.client
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from daemon import PROGRAMS, run, sanitized, wrapped
from net import Stream, echo, parse
from wait import DEADLINE, eventually

SAMPLE = re.compile(r"[a-z_]+(\{[a-z_]+=\"[^\"]*\"(,[a-z_]+=\"[^\"]*\")*\})? [0-9.e+-]+")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
bare = pytest.mark.skipif(wrapped(), reason="the process is another program's")


@pytest.fixture(autouse=True)
def fixture_built(tmp_path):
    path = tmp_path / "probe.ini"
    path.write_text("[Cloudbus]\nmetrics=unix://@m\n[a]\nbind=unix://@a\nserver=unix://@b\n")
    if "built without libmicrohttpd" in run("segment", "-t", "-c", str(path)).stderr:
        pytest.skip("built without metrics")


class Scraper(http.client.HTTPConnection):
    """A client of HTTP for any address; http.client keeps its connection."""

    def __init__(self, url):
        super().__init__("localhost", timeout=DEADLINE)
        self._url = url

    def connect(self):
        family, address = parse(self._url)
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(address)

    def ask(self, method="GET", path="/metrics"):
        self.request(method, path)
        answer = self.getresponse()
        return answer.status, answer.headers, answer.read().decode()


def scrape(url):
    """The text, in good form."""
    client = Scraper(url)
    status, headers, text = client.ask()
    client.close()
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert text.endswith("\n")
    for line in text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or SAMPLE.fullmatch(line), line
    return text


def says(url, program):
    return f'role="{program}"' in scrape(url)


def refused(url):
    try:
        Stream.connect(url).reset()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def node_of(bus, program):
    return bus.controller if program == "controller" else bus.segments[0]


def check_echo(bus, service):
    client = bus.connect(service)
    client.send(b"x")
    assert client.recv_exactly(1) == b"x"
    client.close()


def paired(bus):
    """A service that echoes.  A hardened process removes files only in folders where it bound a
    socket when it started; hence these."""
    return bus.service(bus.serve(echo), front="unix", link="unix")


def started(bus, kind="tcp"):
    """A started pair that echoes, with metrics of both: the service and the two addresses."""
    service = paired(bus)
    urls = {}
    for program in PROGRAMS:
        urls[program] = node_of(bus, program).options["metrics"] = bus.address(kind)
    bus.start()
    return service, urls


# --- served -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp", "tcp6", "unix", "abstract"])
def test_both_programs_serve_metrics(bus, kind):
    service, urls = started(bus, kind)
    for program, url in urls.items():
        assert says(url, program)
        assert 'cloudbus_build_info{version="' in scrape(url)
        client = Scraper(url)
        for _ in range(5):  # on one connection
            assert client.ask()[0] == 200
        status, headers, text = client.ask("HEAD")
        assert status == 200 and int(headers["Content-Length"]) > 0 and text == ""
        assert client.ask(path="/")[::2] == (404, "The metrics are at /metrics.\n")
        status, headers, _ = client.ask("DELETE")
        assert status == 405 and headers["Allow"] == "GET, HEAD"
        client.close()
    check_echo(bus, service)
    if not wrapped() and not sanitized() and os.geteuid() == 0:
        for daemon in bus.daemons():  # what answered was hardened
            with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
                assert "\nSeccomp:\t2\n" in file.read()
            assert len(os.listdir(f"/proc/{daemon.pid}/task")) == 1


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_curl(bus, need, kind):
    curl = need("curl")
    _, urls = started(bus, kind)
    for program, url in urls.items():
        where = ["--unix-socket", url.removeprefix("unix://"), "http://localhost/metrics"] \
            if kind == "unix" else [url.replace("tcp:", "http:") + "/metrics"]
        done = subprocess.run([curl, "-sS", "--noproxy", "*", "--fail", *where],
                              capture_output=True, text=True, timeout=DEADLINE, check=True)
        assert f'role="{program}"' in done.stdout


def test_nobody_is_served_unasked(bus):
    bus.service(bus.serve(echo))
    bus.start()
    assert not bus.controller.daemon.logged("metrics")


@bare
def test_who_is_connected_and_silent_wakes_nobody(bus):
    """No wake-up of its own, and none that a connection at rest needs before its time."""
    _, urls = started(bus)
    for program, url in urls.items():
        client = Scraper(url)
        assert client.ask()[0] == 200
        pid = node_of(bus, program).daemon.pid

        def switches(pid=pid):
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                return int(re.search(r"(?m)^voluntary_ctxt_switches:\s*(\d+)", file.read())[1])

        def asleep():
            before = switches()
            time.sleep(0.5)
            return switches() - before <= 1  # a link's PING may be due
        sock = client.sock
        eventually(asleep, f"the {program} sleeps")
        assert client.ask()[0] == 200 and client.sock is sock  # it was connected all the while
        client.close()


@bare
def test_descriptors_run_out(bus):
    _, urls = started(bus)
    daemon = bus.controller.daemon
    at_rest = daemon.fds()
    assert says(urls["controller"], "controller")
    eventually(lambda: daemon.fds() == at_rest, "the first scrape is gone")
    daemon.leave_files(0)
    client = bus.connect(urls["controller"])
    client.send(b"GET /metrics HTTP/1.0\r\n\r\n")
    daemon.wait_log(f"{urls['controller']}: cannot accept: Too many open files")
    daemon.wait_idle()
    daemon.free_files()
    assert client.recv_end().data.startswith(b"HTTP/1.1 200 ")
    daemon.wait_log(f"{urls['controller']}: accepting again")


# --- bad configurations -------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
def test_address_of_a_service_is_an_error(tmp_path, program):
    path = tmp_path / "x.ini"
    path.write_text("[a]\nbind=tcp://127.0.0.1:9\nserver=tcp://127.0.0.1:10\n"
                    "[Cloudbus]\nmetrics=tcp://127.0.0.1:9\n")
    for args in (["-t"], []):
        done = run(program, *args, "-c", str(path))
        assert done.returncode == 78
        assert (f'{path}:5: [Cloudbus] metrics: "tcp://127.0.0.1:9": a service binds it in line 2'
                in done.stderr)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_address_that_is_taken_stops_the_start(bus, tmp_path, program, kind):
    taken = bus.listen(bus.address(kind)).url
    path = tmp_path / "x.ini"
    path.write_text(f"[a]\nbind={bus.address()}\nserver=tcp://127.0.0.1:10\n"
                    f"[Cloudbus]\nmetrics={taken}\n")
    done = run(program, "-c", str(path))
    assert done.returncode == 1
    assert f"error: metrics (line 5): cannot bind {taken}: Address already in use" in done.stderr


# --- reload -------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_address_comes_moves_and_goes_at_reload(bus, program, kind):
    service = paired(bus)
    bus.start()
    node = node_of(bus, program)
    first, second = bus.address(kind), bus.address(kind)
    node.options["metrics"] = first
    node.reload()
    assert says(first, program)
    node.options["metrics"] = second
    node.reload()
    assert says(second, program) and refused(first)
    del node.options["metrics"]
    node.reload()
    assert refused(second)
    if kind == "unix":
        for url in (first, second):
            assert not os.path.exists(url.removeprefix("unix://"))
    check_echo(bus, service)


@pytest.mark.parametrize("program", PROGRAMS)
def test_address_that_stays_keeps_its_connections(bus, program):
    _, urls = started(bus)
    node, client = node_of(bus, program), Scraper(urls[program])
    assert client.ask()[0] == 200
    sock = client.sock
    node.options["log"] = "debug"
    node.reload()
    assert client.ask()[0] == 200 and client.sock is sock
    client.close()


@pytest.mark.parametrize("program", PROGRAMS)
def test_bad_address_at_reload_leaves_all_as_it_was(bus, program):
    service, urls = started(bus)
    node = node_of(bus, program)
    taken, added = bus.listen().url, bus.address()
    node.section("added", added, "tcp://127.0.0.1:9")
    for bad in (taken, "unix:///no/such/folder/metrics", "nonsense", added):
        node.options["metrics"] = bad
        node.reload(good=False)
        assert says(urls[program], program) and refused(added)
    assert node.daemon.logged(rf"error: metrics \(line \d+\): cannot bind {taken}: ")
    node.options["metrics"] = urls[program]
    node.reload()
    assert says(urls[program], program) and not refused(added)
    check_echo(bus, service)


@pytest.mark.parametrize("program", PROGRAMS)
def test_other_errors_at_reload_leave_the_address(bus, program):
    _, urls = started(bus)
    node, another = node_of(bus, program), bus.address("unix")
    node.section("bad", bus.listen().url, "tcp://127.0.0.1:9")
    node.options["metrics"] = another
    node.reload(good=False)
    assert says(urls[program], program)
    assert refused(another) and not os.path.exists(another.removeprefix("unix://"))
    del node.options["metrics"]
    node.reload(good=False)
    assert says(urls[program], program)


def test_address_passes_between_a_service_and_metrics_in_two_steps(bus):
    service, urls = started(bus)
    node, lines = bus.controller, bus.controller.sections[0][1]

    def give(to_service, to_metrics, good):
        lines[0] = ("bind", to_service)
        node.options["metrics"] = to_metrics
        node.reload(good)

    old, another = urls["controller"], bus.address("unix")
    for to_service, to_metrics in ((old, service.url), (old, another), (another, service.url)):
        give(to_service, to_metrics, good=False)
        assert says(old, "controller")
        check_echo(bus, service)
    assert refused(another)
    give(another, old, good=True)
    give(another, service.url, good=True)
    give(old, service.url, good=True)
    assert says(service.url, "controller")
    check_echo(bus, old)


# --- the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_metrics_are_served_until_the_end(bus, program, kind):
    backend = bus.listen()
    service = bus.service(backend)
    node = node_of(bus, program)
    url = node.options["metrics"] = bus.address(kind)
    bus.start()
    client, server = bus.pair(service, backend)
    waiting = Scraper(url)
    assert waiting.ask()[0] == 200
    node.daemon.terminate()
    node.daemon.wait_log("draining")
    assert says(url, program) and waiting.ask()[0] == 200
    client.fin()
    server.recv_end()
    server.close()
    client.recv_end()
    assert node.daemon.wait_exit() == 0
    assert refused(url)
    waiting.close()
    if kind == "unix":
        assert not os.path.exists(url.removeprefix("unix://"))


@as_root
@bare
def test_user_has_the_socket_and_removes_it(bus):
    someone = next(user for user in pwd.getpwall() if user.pw_uid and user.pw_gid)
    public = Path(tempfile.mkdtemp(prefix="cloudbus-e2e-", dir="/tmp"))
    try:
        public.chmod(0o755)
        home = public / "run"
        home.mkdir()
        os.chown(home, someone.pw_uid, someone.pw_gid)
        bus.service(bus.serve(echo))
        urls = {}
        for node in (bus.controller, *bus.segments):
            urls[node] = node.options["metrics"] = f"unix://{home}/{node.name}"
            node.options["user"] = someone.pw_name
            node.path = public / f"{node.name}.ini"
        bus.start()
        for node, url in urls.items():
            assert says(url, node.program)
            assert (home / node.name).stat().st_uid == someone.pw_uid
            node.options["metrics"] = f"{url}.new"
            node.reload()
            assert says(f"{url}.new", node.program) and not (home / node.name).exists()
            node.daemon.stop()
        assert not list(home.iterdir())
    finally:
        shutil.rmtree(public)


def test_kill_leaves_a_socket_that_the_next_one_replaces(bus):
    _, urls = started(bus, "unix")
    node = bus.controller
    node.daemon.signal(signal.SIGKILL)
    node.daemon.wait_exit()
    assert os.path.exists(urls["controller"].removeprefix("unix://"))
    node.start()
    assert says(urls["controller"], "controller")
