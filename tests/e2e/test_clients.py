"""Real clients and real servers, unmodified, through the bus."""

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

from net import FIN, Stream, pattern
from wait import DEADLINE, PATIENCE, eventually

LONG = 240 * PATIENCE
POSTGRES = tuple(f"/usr/lib/postgresql/{version}/bin" for version in range(20, 12, -1))


def run(*argv, deadline=LONG, **kwargs):
    done = subprocess.run([str(arg) for arg in argv], capture_output=True, text=True, check=False,
                          timeout=deadline, stdin=subprocess.DEVNULL, **kwargs)
    assert done.returncode == 0, f"{argv[0]} exited with {done.returncode}:\n" \
        f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def host_port(url):
    return url.removeprefix("tcp://").split(":")


class Program:
    """A real server; killed at the end, its output shown if the test fails."""

    def __init__(self, folder, *argv, **kwargs):
        self.log = folder / f"{os.path.basename(str(argv[0]))}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(arg) for arg in argv], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, **kwargs)

    def said(self):
        """Its log so far, of a process that runs."""
        assert self.process.poll() is None, self.log.read_text()
        return self.log.read_text(errors="replace")

    def wait_port(self, url):
        def answers():
            self.said()
            try:
                Stream.connect(url).close()
            except OSError:
                return False
            return True
        eventually(answers, f"a server at {url}", 2 * DEADLINE)

    def close(self):
        self.process.send_signal(signal.SIGINT)  # PostgreSQL waits for nobody then
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        print(f"--- {self.log.name} ---\n{self.log.read_text(errors='replace')[-5000:]}")


# --- HTTP ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("front", ["tcp", "unix"])
def test_curl_downloads_300_mb(bus, need, tmp_path, front):
    curl, size = need("curl"), 300_000_000
    folder = tmp_path / "www"
    folder.mkdir()
    block, sha = pattern(1 << 20, 300), hashlib.sha256()
    with open(folder / "big", "wb") as file:
        left = size
        while left:
            part = block[:left]
            file.write(part)
            sha.update(part)
            left -= len(part)
    url = bus.address()
    host, port = host_port(url)
    server = bus.keep(Program(tmp_path, sys.executable, "-m", "http.server", port, "--bind", host,
                              "--directory", folder))
    server.wait_port(url)
    service = bus.service(url, front=front)
    bus.start()
    if front == "tcp":
        at = [f"http://{service.url.removeprefix('tcp://')}/big"]
    else:
        at = ["--unix-socket", service.url.removeprefix("unix://"), "http://localhost/big"]
    out = tmp_path / "out"
    run(curl, "-sS", "--fail", "-o", out, *at)
    got = hashlib.sha256()
    with open(out, "rb") as file:
        while chunk := file.read(1 << 20):
            got.update(chunk)
    assert out.stat().st_size == size and got.hexdigest() == sha.hexdigest()
    out.unlink()
    (folder / "big").unlink()


def test_curl_many_small_requests_and_a_not_found(bus, need, tmp_path):
    curl = need("curl")
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "small").write_text("small file\n")
    url = bus.address()
    host, port = host_port(url)
    server = bus.keep(Program(tmp_path, sys.executable, "-m", "http.server", port, "--bind", host,
                              "--directory", folder))
    server.wait_port(url)
    service = bus.service(url)
    bus.start()
    base = f"http://{service.url.removeprefix('tcp://')}"
    text = run(curl, "-sS", "--fail", f"{base}/small?[1-200]")
    assert text == "small file\n" * 200
    assert run(curl, "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"{base}/none") == "404"


# --- redis --------------------------------------------------------------------------------------

def test_redis_benchmark_and_cli(bus, need, tmp_path):
    cli, benchmark, redis = need("redis-cli"), need("redis-benchmark"), need("redis-server")
    url = bus.address()
    host, port = host_port(url)
    server = bus.keep(Program(tmp_path, redis, "--bind", host, "--port", port, "--save", "",
                              "--appendonly", "no", "--dir", tmp_path))
    server.wait_port(url)
    service = bus.service(url)
    bus.start()
    host, port = host_port(service.url)
    out = run(benchmark, "-h", host, "-p", port, "-q", "--csv", "-n", 20000, "-c", 50,
              "-t", "ping_inline,set,get,incr,lpush,lrange_100,mset")
    tests = [line for line in out.splitlines() if line.startswith('"')]
    assert len(tests) >= 8, out
    out = run(benchmark, "-h", host, "-p", port, "-q", "--csv", "-n", 20000, "-c", 8, "-P", 64,
              "-d", 2000, "-t", "set,get")
    assert '"SET"' in out and '"GET"' in out, out

    def redis_cli(*args, text=None):
        done = subprocess.run([cli, "-h", host, "-p", port, *args], capture_output=True, check=True,
                              input=text, timeout=LONG)
        return done.stdout
    big = pattern(5_000_000, 9).hex().encode()
    assert redis_cli("-x", "set", "big", text=big).strip() == b"OK"
    assert redis_cli("--raw", "get", "big").rstrip(b"\n") == big
    assert redis_cli("incr", "counter").strip().endswith(b"1")


# --- PostgreSQL ---------------------------------------------------------------------------------

@pytest.fixture
def postgres(bus, need, tmp_path):
    """A cluster of its own, with TCP and a Unix socket: (TCP url, Unix url, user)."""
    initdb, server = need("initdb", *POSTGRES), need("postgres", *POSTGRES)
    # not in tmp_path: other users cannot enter that
    folder = tempfile.mkdtemp(prefix="cloudbus-e2e-pg-")
    user, prefix = pwd.getpwuid(os.getuid()).pw_name, []
    if os.getuid() == 0:
        user = next((name for name in ("postgres", "nobody") if _exists(name)), None)
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        prefix = [need("setpriv"), f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}",
                  "--clear-groups"]
    env = {"PATH": os.environ["PATH"], "HOME": folder, "LC_ALL": "C"}
    try:
        run(*prefix, initdb, "-D", f"{folder}/data", "-U", user, "-A", "trust", "-E", "UTF8",
            "--no-sync", env=env, cwd=folder)
        url = bus.address()
        host, port = host_port(url)
        program = bus.keep(Program(
            tmp_path, *prefix, server, "-D", f"{folder}/data", "-h", host, "-p", port,
            "-k", folder, "-c", "fsync=off", "-c", "max_connections=64", env=env, cwd=folder))
        # It listens before that, and turns clients away.
        eventually(lambda: "ready to accept connections" in program.said(), "PostgreSQL is ready",
                   2 * DEADLINE)
        yield url, f"unix://{folder}/.s.PGSQL.{port}", user
        program.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _exists(name):
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def connection(url, user):
    host, port = host_port(url)
    return ["-h", host, "-p", port, "-U", user]


def test_psql_and_pgbench(bus, need, postgres):
    psql, pgbench = need("psql", *POSTGRES), need("pgbench", *POSTGRES)
    url, _, user = postgres
    service = bus.service(url)
    bus.start()
    args = connection(service.url, user)

    def query(sql):
        return run(psql, *args, "-d", "postgres", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql)
    assert query("select 6 * 7").strip() == "42"
    # half a million rows out, and a large value in and out
    rows = query("select n, md5(n::text) from generate_series(1, 200000) n")
    assert rows.count("\n") == 200_000
    assert rows.splitlines()[-1] == "200000|" + hashlib.md5(b"200000").hexdigest()
    assert query("select md5(repeat('x', 50000000))").strip() \
        == hashlib.md5(b"x" * 50_000_000).hexdigest()
    run(pgbench, *args, "-i", "-q", "-s", 2, "postgres")
    out = run(pgbench, *args, "-n", "-c", 16, "-j", 2, "-t", 100, "postgres")
    assert "1600/1600" in out, out
    out = run(pgbench, *args, "-n", "-S", "-C", "-c", 8, "-t", 25, "postgres")  # connects each time
    assert "200/200" in out, out
    assert query("select count(*) from pgbench_history").strip() == "1600"


def test_psql_over_unix_sockets_on_both_ends(bus, need, postgres, tmp_path):
    psql = need("psql", *POSTGRES)
    _, backend, user = postgres
    service = bus.service(backend, front="tcp", link="unix")
    bus.controller.section("pg-unix", f"unix://{tmp_path}/.s.PGSQL.5432",
                           dict(bus.segments[0].sections[0][1])["bind"])
    bus.start()
    for args in (["-h", tmp_path, "-p", 5432, "-U", user], connection(service.url, user)):
        out = run(psql, *args, "-d", "postgres", "-XAtq", "-c", "select 6 * 7")
        assert out.strip() == "42"


def test_psql_when_the_segment_is_killed_reports_a_lost_connection(bus, need, postgres):
    """A client in mid-query sees an error, not an answer that ends early."""
    psql = need("psql", *POSTGRES)
    url, _, user = postgres
    service = bus.service(url)
    bus.start()
    process = subprocess.Popen(
        [psql, *connection(service.url, user), "-d", "postgres", "-XAtq", "-c",
         "select pg_sleep(600)"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    try:
        def sleeps():
            return "1" in run(psql, *connection(url, user), "-d", "postgres", "-XAtq", "-c",
                              "select count(*) from pg_stat_activity where query = "
                              "'select pg_sleep(600)' and state = 'active'")
        eventually(sleeps, "the query runs", every=0.2)
        bus.segments[0].daemon.kill()
        _, stderr = process.communicate(timeout=DEADLINE)
        assert process.returncode != 0 and stderr
    finally:
        process.kill()
        process.wait()


def test_server_that_goes_away_and_comes_back(bus, tmp_path):
    """The real server restarts behind the segment: refused meanwhile, served after."""
    (tmp_path / "index.html").write_text("hello\n")
    url = bus.address()
    host, port = host_port(url)
    argv = (sys.executable, "-m", "http.server", port, "--bind", host, "--directory", tmp_path)
    first = bus.keep(Program(tmp_path, *argv))
    first.wait_port(url)
    service = bus.service(url)
    bus.start()

    def fetch():
        try:
            client = bus.connect(service)
            client.send(b"GET / HTTP/1.0\r\n\r\n")
        except ConnectionResetError:
            return False
        end = client.recv_end()
        return end.how == FIN and end.data.endswith(b"hello\n")
    assert fetch()
    first.close()
    assert not fetch()
    second = bus.keep(Program(tmp_path, *argv))
    second.wait_port(url)
    assert fetch()
