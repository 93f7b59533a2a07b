"""What a process gives up: privileges, files, system calls."""

import os
import pwd
import re
import resource
import shutil
import socket
import stat
import struct
import tempfile
from pathlib import Path

import pytest

from daemon import PROGRAMS, binary, run, sanitized, wrapped
from net import FIN, echo, parse, tcp_url
from wait import eventually

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
        own = int(status("self")["CapPrm"][0], 16)
        for caps in ("CapPrm", "CapEff", "CapBnd"):
            assert int(said[caps][0], 16) == own & CAP_NET_BIND_SERVICE
        for caps in ("CapInh", "CapAmb"):
            assert int(said[caps][0], 16) == 0
        if not sanitized():  # what is not dumpable belongs to root in /proc
            assert os.stat(f"/proc/{daemon.pid}/environ").st_uid == 0
            assert said["NoNewPrivs"] == ["1"] and said["Seccomp"] == ["2"]
    assert [path.stat().st_uid for path in sockets(home)] == [someone.pw_uid] * 2
    for daemon in bus.daemons():
        daemon.stop()
    assert not sockets(home)


@as_root
@bare
def test_user_may_bind_a_low_port(public, bus, someone):
    bus.address = lambda kind, plain=bus.address: (
        tcp_url("127.0.0.1", bus.ports.reserve_low()) if kind == "low" else plain(kind))
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
    if key == "group":  # root's own file is readable for root in any group
        done = run(program, "-t", "-c", str(path))
        assert done.returncode == 0, done.stderr
        return
    for options in (["-t"], []):
        done = run(program, *options, "-c", str(path))
        assert done.returncode == 1
        assert str(path) in done.stderr and someone.pw_name in done.stderr
        assert "cannot read it" in done.stderr and "Permission denied" in done.stderr


@as_root
@pytest.mark.parametrize("options", [["-t"], []], ids=["test", "run"])
def test_keys_that_only_root_can_read(public, bus, someone, options):
    """-t says what the start would say."""
    bus.folder = public
    segment = bus.service("tcp://127.0.0.1:10", link="bus").segments[0]
    segment.path = public / "segment.ini"
    segment.options["user"] = someone.pw_name
    segment.write()
    segment.path.chmod(0o644)
    bus.keys.folder.chmod(0o755)
    done = run("segment", *options, "-c", str(segment.path))
    assert done.returncode == 78
    assert "trust: cannot open: Permission denied" in done.stderr
    assert f'(read as user "{someone.pw_name}")' in done.stderr
    given_to(bus.keys, someone)
    done = run("segment", "-t", "-c", str(segment.path))
    assert done.returncode == 0, done.stderr


@as_root
@as_built
def test_key_files_in_a_folder_that_is_switched(bus, public):
    """A link to a folder beside it leads to another one; whatever else it leads to is shut."""
    service = bus.service(bus.serve(echo), link="bus")
    segment = bus.segments[0]
    for version in ("v1", "v2"):
        shutil.copytree(bus.keys.folder, public / version)
    (public / "cur").symlink_to("v1")
    segment.options.update({key: public / "cur" / Path(path).name
                            for key, path in bus.keys.options(segment.name).items()})
    bus.start()
    check_echo(bus, service)
    bus.keys.issue(segment.name, "segment", ttl="2d")
    shutil.copy(bus.keys.folder / f"{segment.name}.token", public / "v2")
    (public / "next").symlink_to("v2")
    (public / "next").rename(public / "cur")
    segment.reload()
    assert segment.daemon.logged("a fresh token is in force")
    with tempfile.TemporaryDirectory(dir="/tmp") as elsewhere:
        shutil.copy(bus.keys.folder / "trust", elsewhere)
        segment.options["trust"] = Path(elsewhere) / "trust"
        segment.reload(good=False)
        assert segment.daemon.logged(rf"error: {elsewhere}/trust: this process may read files "
                                     r"only in the folders .*Landlock.* takes a restart")
    check_echo(bus, service)


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
def test_user_that_one_may_not_become(bus, tmp_path, program):
    path = tmp_path / "x.ini"
    port = int(bus.address().rsplit(":", 1)[1])
    path.write_text(GOOD.format(port) + "[Cloudbus]\nuser=root\n", encoding="ascii")
    done = run(program, "-c", str(path))
    assert done.returncode == 1 and "cannot become" in done.stderr


# --- bound by root, and served by the user ---


@pytest.fixture(name="roots")
def fixture_roots(public):
    """A folder of root's, that everybody can reach."""
    folder = public / "roots"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def served_by(url):
    """Whom the kernel says to a client that it is connected to: pid, user, group."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(parse(url)[1])
        return struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))


def sockets(folder):
    return [path for path in folder.iterdir() if path.is_socket()]


def given_to(keys, user):
    """The files of a bus, to the user of its nodes."""
    for path in (keys.folder, *keys.folder.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)


@as_root
@bare
def test_socket_in_a_folder_of_roots(public, roots, bus, someone):
    bus.folder = roots
    metrics = "MHD_start_daemon" in Path(binary("controller")).read_text("latin-1")
    if metrics:
        bus.controller.options["metrics"] = bus.address("unix")
    service = running(bus, {"user": someone.pw_name}, folder=public, front="unix", link="unix")
    check_echo(bus, service)
    umask = os.umask(0)
    os.umask(umask)
    before = {}
    for path in sockets(roots):
        assert served_by(f"unix://{path}")[1] == someone.pw_uid
        file = before[path] = path.stat()
        assert (file.st_uid, file.st_gid) == (someone.pw_uid, someone.pw_gid)
        assert file.st_mode == stat.S_IFSOCK | 0o777 & ~umask  # as of whom nobody is become
    assert len(before) == 2 + metrics
    assert served_by(service.url) == (bus.controller.daemon.pid, someone.pw_uid, someone.pw_gid)
    for daemon in bus.daemons():
        daemon.stop()
        assert daemon.logged(r"info: unix://\S+: its file stays") and not daemon.logged("warning:")
    assert all(path.is_socket() for path in before)  # the user could not remove them
    bus.start()
    check_echo(bus, service)
    assert all(path.stat().st_ino != file.st_ino or path.stat().st_ctime_ns != file.st_ctime_ns
               for path, file in before.items())


@as_root
@bare
def test_reload_does_what_the_user_can(public, roots, bus, someone):
    home = public / "home"
    home.mkdir()
    os.chown(home, someone.pw_uid, someone.pw_gid)
    bus.folder = roots
    backend = bus.serve(echo)
    service = bus.service(backend, front="unix", link="bus+unix")
    given_to(bus.keys, someone)
    for node in (bus.controller, *bus.segments):
        node.options["user"] = someone.pw_name
        node.path = public / f"{node.name}.ini"
    bus.start()
    check_echo(bus, service)
    kept = {path: path.stat().st_ino for path in sockets(roots)}
    segment_url = dict(bus.controller.sections[0][1])["server"]

    def also(bind, good=True):
        """A reload that adds a service; taken back if it is not to be."""
        bus.controller.section("more", bind, segment_url, service=service.name)
        bus.controller.reload(good)
        if good:
            check_echo(bus, service._replace(url=bind))
        bus.controller.sections.pop()
    also(f"unix://{roots}/new", good=False)
    assert bus.controller.daemon.logged(rf"\[more\].* cannot bind unix://{roots}/new: Permission")
    assert not (roots / "new").exists()
    also(f"unix://{home}/new")
    assert (home / "new").stat().st_uid == someone.pw_uid
    also(tcp_url("127.0.0.1", bus.ports.reserve_low()))
    given_to(bus.keys, pwd.getpwuid(0))
    bus.keys.issue("controller", "controller")
    given_to(bus.keys, someone)
    bus.controller.reload()
    assert bus.controller.daemon.logged("a fresh token is in force")
    assert kept == {path: path.stat().st_ino for path in sockets(roots)}
    check_echo(bus, service)


@as_root
@pytest.mark.parametrize("program", PROGRAMS)
def test_start_that_fails_leaves_no_socket(public, roots, bus, someone, program):
    taken, node = bus.listen(), bus.controller if program == "controller" else bus.segment()
    node.path = public / "x.ini"
    node.options["user"] = someone.pw_name
    node.section("a", f"unix://{roots}/a", "tcp://127.0.0.1:9",
                 connect_timeout="100ms" if program == "controller" else None)
    node.section("b", taken.url, "tcp://127.0.0.1:9")
    node.write()
    done = run(program, "-t", "-c", str(node.path))
    assert done.returncode == 0, done.stderr  # it binds nothing
    done = run(program, "-c", str(node.path))
    assert done.returncode == 1
    assert re.search(rf"service \[b\] \(line \d+\): cannot bind {taken.url}", done.stderr)
    assert not any(roots.iterdir())
    # What fails later fails as the user, who cannot remove it; the next start replaces it.
    node.sections[1] = ("b", [("bind", bus.address()), ("server", "tcp://127.0.0.1:9")])
    node.write()
    node.path.chmod(0o600)
    done = run(program, "-c", str(node.path))
    assert done.returncode == 1 and "cannot read it" in done.stderr
    assert "its file stays" in done.stderr and (roots / "a").is_socket()
    node.start()
    assert served_by(f"unix://{roots}/a")[1] == someone.pw_uid


def unit_capabilities():
    """What the unit files say that user= needs."""
    text = (Path(__file__).parents[2] / "etc/cloudbus-controller.service").read_text("ascii")
    needed = re.search(r"#  +CapabilityBoundingSet=((?:.*\\\n)*.*)", text)[1]
    return [name.lower() for name in re.findall(r"CAP_(\w+)", needed)]


@as_root
@bare
def test_capabilities_of_the_unit_files_are_enough(public, roots, bus, someone):
    bus.folder = roots
    caps = unit_capabilities()
    assert len(caps) == 6
    service = bus.service(bus.serve(echo), front="unix", link="bus+unix")
    given_to(bus.keys, someone)
    for node in (bus.controller, *bus.segments):
        node.options["user"] = someone.pw_name
        node.path = public / f"{node.name}.ini"
        node.prefix = ("setpriv", "--bounding-set=-all," + ",".join(f"+{cap}" for cap in caps))
    for _ in range(2):  # the second finds the files of the first
        bus.start()
        check_echo(bus, service)
        for node in (bus.controller, *bus.segments):
            node.daemon.stop()
    kept = sockets(roots)
    bus.controller.write()
    done = run("controller", "-t", "-c", str(bus.controller.path))
    assert done.returncode == 0, done.stderr
    # Without the one to give files away nothing is served that clients could not reach.
    for path in kept:
        path.unlink()
    bus.controller.prefix = ("setpriv", "--bounding-set=-chown")
    daemon = bus.controller.spawn()
    assert daemon.wait_exit() == 1 and daemon.logged("cannot give its file to user")
    assert not sockets(roots)


@as_root
@bare
def test_user_that_it_is_already(public, bus, someone, monkeypatch):
    home = public / "home"
    home.mkdir()
    os.chown(home, someone.pw_uid, someone.pw_gid)
    for program in PROGRAMS:  # the build folder may be out of reach
        monkeypatch.setenv(program.upper(), shutil.copy(binary(program), public))
    bus.folder = home
    service = bus.service(bus.serve(echo), front="unix", link="unix")
    for node in (bus.controller, *bus.segments):
        node.path = public / f"{node.name}.ini"
        node.options["user"] = someone.pw_name
        node.prefix = ("setpriv", f"--reuid={someone.pw_uid}", f"--regid={someone.pw_gid}",
                       "--clear-groups")
    bus.start()
    check_echo(bus, service)
    assert [path.stat().st_uid for path in sockets(home)] == [someone.pw_uid] * 2
    for daemon in bus.daemons():
        for caps in ("CapPrm", "CapEff"):
            assert status(daemon.pid)[caps] == ["0" * 16]
        daemon.stop()
    assert not sockets(home)


def calls(trace, names, about=""):
    """Where in a trace these calls are made whose arguments match, but for those that fail."""
    return [place for place, line in enumerate(trace.read_text(errors="replace").splitlines())
            if re.match(rf"(\d+ +)?({names})\(.*({about}).*\) += (?!-1 E(?!INPROGRESS))", line)]


@as_root
@as_built
def test_order_of_the_start(public, roots, bus, someone, need):
    """Bound by root; then root no more, then confined, then keys are read, then others heard."""
    strace = need("strace")
    bus.folder = roots
    dns = bus.nameserver()
    dns.zone["segment.test"] = [("A", "127.0.0.1", 60)]
    service = bus.service(bus.serve(echo), front="unix", link="bus")
    other, at = bus.segment(), bus.address()
    other.section("named", at, bus.serve(echo).url)
    named = bus.address()
    bus.controller.section("named", named, "tcp://segment.test:" + at.rsplit(":", 1)[1])
    bus.controller.options["listen"] = bus.address()
    given_to(bus.keys, someone)
    for node in (bus.controller, *bus.segments):
        node.options["user"] = someone.pw_name
        node.path = public / f"{node.name}.ini"
        node.prefix = (strace, "-D", "-o", str(public / f"{node.name}.trace"))
    bus.start()
    check_echo(bus, service)
    check_echo(bus, service._replace(url=named))
    for node, bound in zip((bus.controller, *bus.segments), (3, 1, 1)):
        node.daemon.stop()
        trace = public / f"{node.name}.trace"
        eventually(lambda t=trace: "+++ exited" in t.read_text(errors="replace"), "it is traced")
        binds = calls(trace, "bind", "sa_family=AF_(INET|UNIX)")
        given = calls(trace, "fchownat", "AT_EMPTY_PATH")
        became = calls(trace, "setresuid")
        confined = calls(trace, "prctl|seccomp", "PR_SET_(NO_NEW_PRIVS|DUMPABLE)|_MODE_FILTER")
        keys = calls(trace, "open|openat", re.escape(f"{bus.keys.folder}/{node.name}."))
        heard = calls(trace, "accept4?|connect|(send|recv)(to|from|msg)")
        assert len(binds) == bound and len(became) == 1 and len(confined) >= 3
        assert len(given) == (node is bus.controller)
        assert max(binds + given) < became[0] < confined[0] and confined[-1] < heard[0]
        if node is not other:
            assert confined[-1] < keys[0] and keys[-1] < heard[0]
        assert calls(trace, "connect", "AF_INET") and calls(trace, "accept4")
