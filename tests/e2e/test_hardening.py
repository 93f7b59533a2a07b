"""What a process gives up: privileges, files, system calls."""

import os
import pwd
import resource
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from daemon import PROGRAMS, run, sanitized, wrapped
from net import FIN, echo, tcp_url

GOOD = "[svc]\nbind=tcp://127.0.0.1:{}\nserver=tcp://127.0.0.1:10\n"
CAP_NET_BIND_SERVICE = 1 << 10

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
bare = pytest.mark.skipif(wrapped(), reason="the process is another program's")
as_built = pytest.mark.skipif(wrapped() or sanitized(),
                              reason="built with sanitizers, or wrapped: nothing is hardened")


def status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return {key: value.split() for key, value in (line.split(":", 1) for line in file)}


@pytest.fixture(name="someone")
def fixture_someone():
    return next(user for user in pwd.getpwall() if user.pw_uid and user.pw_gid)


@pytest.fixture(name="public")
def fixture_public():
    """A folder that every user can reach, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="cloudbus-e2e-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def running(bus, options, folder=None, **service_keys):
    """A started pair that echoes, with these options on both sides."""
    service = bus.service(bus.serve(echo), **service_keys)
    for node in (bus.controller, *bus.segments):
        node.options.update(options)
        if folder is not None:
            node.path = folder / f"{node.name}.ini"
    bus.start()
    return service


def check_echo(bus, service):
    client = bus.connect(service)
    client.send(b"x")
    client.fin()
    assert client.recv_end() == (b"x", FIN)
    client.close()


@as_built
def test_processes_are_hardened_unless_they_are_told_not_to_be(bus):
    check_echo(bus, running(bus, {"hardening": "on"}))
    for daemon in bus.daemons():
        said = status(daemon.pid)
        assert said["NoNewPrivs"] == ["1"] and said["Seccomp"] == ["2"]
        assert resource.prlimit(daemon.pid, resource.RLIMIT_CORE) == (0, 0)
    if os.geteuid() != 0:  # root may look into any
        with pytest.raises(PermissionError):
            os.listdir(f"/proc/{bus.controller.daemon.pid}/fd")


@bare
def test_hardening_off(bus):
    check_echo(bus, running(bus, {"hardening": "off"}))
    for daemon in bus.daemons():
        said = status(daemon.pid)
        assert said["NoNewPrivs"] == status("self")["NoNewPrivs"]
        assert said["Seccomp"] == status("self")["Seccomp"]
        assert daemon.logged("hardening=off")


@as_root
@bare
def test_user_is_kept_to_and_its_sockets_are_removed(public, bus, someone):
    home = public / "run"
    home.mkdir()
    os.chown(home, someone.pw_uid, someone.pw_gid)
    bus.folder = home  # for the addresses of Unix sockets
    service = running(bus, {"user": someone.pw_name}, folder=public, front="unix", link="unix")
    check_echo(bus, service)
    groups = sorted(os.getgrouplist(someone.pw_name, someone.pw_gid))
    for daemon in bus.daemons():
        said = status(daemon.pid)
        assert said["Uid"] == [str(someone.pw_uid)] * 4
        assert said["Gid"] == [str(someone.pw_gid)] * 4
        assert sorted(map(int, said["Groups"])) == groups
        for caps in ("CapPrm", "CapEff", "CapBnd"):
            assert int(said[caps][0], 16) & ~CAP_NET_BIND_SERVICE == 0
        if not sanitized():  # what is not dumpable belongs to root in /proc
            assert os.stat(f"/proc/{daemon.pid}/environ").st_uid == 0
    sockets = [path for path in home.iterdir() if path.is_socket()]
    assert [path.stat().st_uid for path in sockets] == [someone.pw_uid] * 2
    for daemon in bus.daemons():
        daemon.stop()
    assert not any(path.exists() for path in sockets)


@as_root
@bare
def test_user_may_bind_a_low_port(public, bus, someone):
    def low_port():
        for port in range(1023, 511, -1):
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
        raise AssertionError("no free port below 1024")
    bus.address = lambda kind, plain=bus.address: (
        tcp_url("127.0.0.1", low_port()) if kind == "low" else plain(kind))
    check_echo(bus, running(bus, {"user": str(someone.pw_uid)}, folder=public, front="low"))


@as_root
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("key", ["user", "group"])
def test_file_that_could_not_be_read_again_is_an_error(public, bus, someone, program, key):
    path = public / "private.ini"
    name = someone.pw_name if key == "user" else str(someone.pw_gid)
    port = int(bus.address().rsplit(":", 1)[1])
    path.write_text(GOOD.format(port) + f"[Cloudbus]\n{key}={name}\n", encoding="ascii")
    path.chmod(0o600)
    done = run(program, "-t", "-c", str(path))
    assert done.returncode == 0, done.stderr
    if key == "group":
        return  # root's own file is readable for root in any group
    done = run(program, "-c", str(path))
    assert done.returncode == 1
    assert str(path) in done.stderr and someone.pw_name in done.stderr
    assert "cannot read it" in done.stderr and "Permission denied" in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("key", ["user", "group"])
@pytest.mark.parametrize("options", [["-t"], []], ids=["test", "run"])
def test_account_that_there_is_not(tmp_path, program, key, options):
    path = tmp_path / "x.ini"
    path.write_text(GOOD.format(9) + f"[Cloudbus]\n{key}=no-such-{key}\n", encoding="ascii")
    done = run(program, *options, "-c", str(path))
    assert done.returncode == 78
    assert f'{path}:5: [Cloudbus] {key}: "no-such-{key}": expected' in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may become anybody")
@pytest.mark.parametrize("program", PROGRAMS)
def test_user_that_one_may_not_become(tmp_path, program):
    path = tmp_path / "x.ini"
    path.write_text(GOOD.format(9) + "[Cloudbus]\nuser=root\n", encoding="ascii")
    done = run(program, "-c", str(path))
    assert done.returncode == 1 and "cannot become" in done.stderr
