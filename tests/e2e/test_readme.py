"""What README, the manual and the examples tell a user to type is typed: secured links."""

import os
import pathlib
import re
import shlex
import subprocess

import pytest

from daemon import PROGRAMS, Daemon, binary, environment, run, wrapped
from net import FIN, echo, parse

TOP = pathlib.Path(__file__).resolve().parents[2]


def section(name):
    """A section of README."""
    text = (TOP / "README").read_text(encoding="utf-8")
    return re.search(rf"(?ms)^{name}\n(.*?)(?=^[A-Z][A-Z ,]+$|\Z)", text)[1]


def block_after(text, words):
    """The indented lines that follow a line which ends in these words."""
    return re.sub("(?m)^    ", "", re.search(
        rf"(?m){re.escape(words)}\n\n((?:    .*\n|\n)+)", text)[1])


def readme():
    """(commands, {program: its file}), as README has them."""
    text = section("SECURED LINKS")
    return (block_after(text, "On a machine of the administrator's, once:"),
            {"segment": block_after(text, "  segment.ini:"),
             "controller": block_after(text, "controller.ini:")})


def example():
    """The same of examples/secured, whose first comment has the commands."""
    files = {program: (TOP / "examples" / "secured" / f"{program}.ini").read_text("utf-8")
             for program in PROGRAMS}
    lines = re.findall(r"(?m)^;     (.*)$", files["controller"].split("[Cloudbus]")[0])
    assert [line for line in lines if line.startswith("segment ")] == ["segment -c segment.ini &"]
    return "\n".join(line for line in lines if line.startswith("cloudbus ")), files


@pytest.fixture
def shell(tmp_path):
    """shell(text): has sh run it, with the program under its own name."""
    (tmp_path / "bin").mkdir()
    os.symlink(binary("cloudbus"), tmp_path / "bin" / "cloudbus")

    def call(text):
        env = environment()
        env["PATH"] = f"{tmp_path}/bin:{env['PATH']}"
        done = subprocess.run(["sh", "-ec", text], cwd=tmp_path, env=env, check=False,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    call.folder = tmp_path
    return call


def port_of(url):
    return str(parse(url)[1][1])


@pytest.mark.parametrize("source", [readme, example], ids=["readme", "example"])
def test_the_secured_set_up_works_as_it_is_written(bus, shell, source):
    commands, files = source()
    assert commands.count("cloudbus") >= 3
    shell(commands)
    server = re.search(r"(?m)^server=tcp://127\.0\.0\.1:(\d+)$", files["segment"])[1]
    link = re.search(r"(?m)^bind=bus://127\.0\.0\.1:(\d+)$", files["segment"])[1]
    front = re.search(r"(?m)^bind=tcp://127\.0\.0\.1:(\d+)$", files["controller"])[1]
    url = bus.address()
    ports = {server: port_of(bus.serve(echo).url), link: port_of(bus.address()),
             front: port_of(url)}
    daemons = {}
    try:
        for program, text in files.items():
            text = re.sub(r"(127\.0\.0\.1:)(\d+)", lambda found: found[1] + ports[found[2]], text)
            if wrapped() or os.geteuid() != 0:
                text = text.replace("[Cloudbus]\n", "[Cloudbus]\nhardening=off\n")
            path = shell.folder / f"{program}.ini"
            path.write_text(text)
            tested = run(program, "-t", "-c", path.name, cwd=shell.folder)
            assert tested.returncode == 0, tested.stderr
            daemons[program] = Daemon(program, path.name, shell.folder / f"{program}.log",
                                      ("env", "-C", str(shell.folder)))
        said = rf"link bus://127\.0\.0\.1:{ports[link]}: up, to node segment-1"
        daemons["controller"].wait_log(said)
        client = bus.connect(url)
        client.send(b"are you there?")
        assert client.recv_exactly(14) == b"are you there?"
        client.fin()
        assert client.recv_end() == (b"", FIN)
    finally:
        for daemon in daemons.values():
            daemon.terminate()
            daemon.wait_exit()
    for daemon in daemons.values():
        daemon.stop()


def test_readme_says_what_the_controller_says():
    """The line that the test above waits for is the one that the user is told of."""
    text = section("SECURED LINKS")
    link = re.search(r"(?m)^ *bind=(bus://\S+)$", text)[1]
    assert f'"link {link}: up, to node segment-1"' in " ".join(text.split())


def manual_commands(page, heading):
    """Lines behind a $ in a section of a manual."""
    text = (TOP / "man" / page).read_text(encoding="utf-8")
    text = re.search(rf"(?ms)^\.Sh {heading}\n(.*?)(?=^\.Sh |\Z)", text)[1]
    return [line.replace("\\", "") for line in re.findall(r"(?m)^\$ (cloudbus .*)$", text)]


def test_the_examples_of_the_manual_can_be_typed(shell):
    commands = manual_commands("cloudbus.1", "EXAMPLES")
    assert {shlex.split(line)[1] for line in commands} == {"init", "issue", "keygen", "token"}
    for line in commands:
        shell(line)
    assert "valid now" in shell(commands[-2] if "show" in commands[-2] else commands[-1])


def test_the_way_to_change_keys_can_be_typed(shell):
    """CHANGING KEYS of cloudbus-security(7): the same node before and after."""
    shell("cloudbus init mybus; cloudbus issue -d mybus seg-1 --role segment --serve web")
    key = shell.folder / "mybus" / "seg-1.key"
    before = key.read_text()
    fresh, other = manual_commands("cloudbus-security.7", "CHANGING KEYS")
    shell(fresh)
    assert key.read_text() == before
    shell(other)
    assert key.read_text() != before
    assert "valid now" in shell("cloudbus token show mybus/seg-1.token")
