"""The command line: what it takes, what it prints, and the exit statuses."""

import pytest

from daemon import PROGRAMS, run
from net import tcp_url

GOOD = "[svc]\nbind=tcp://127.0.0.1:9\nserver=tcp://127.0.0.1:10\n"


@pytest.fixture(params=PROGRAMS)
def program(request):
    return request.param


@pytest.fixture
def ini(tmp_path):
    def write(text):
        path = tmp_path / "test.ini"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)
    return write


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(program, option):
    done = run(program, option)
    assert done.returncode == 0 and done.stderr == ""
    assert program in done.stdout and any(c.isdigit() for c in done.stdout)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(program, option):
    done = run(program, option)
    assert done.returncode == 0 and done.stderr == ""
    for word in ("-c", "-t", "-V", "-h", f"cloudbus/{program}.ini"):
        assert word in done.stdout


@pytest.mark.parametrize("args", [
    ["-x"], ["--nonsense"], ["-c"], ["stray"], ["-t", "stray"], ["-c", "a.ini", "b.ini"]],
    ids=" ".join)
def test_bad_command_line(program, args):
    done = run(program, *args)
    assert done.returncode == 64
    assert done.stderr and done.stdout == ""


@pytest.mark.parametrize("options", [["-t", "-c"], ["-c"], ["--config"]], ids=" ".join)
def test_configuration_is_tested(program, ini, options):
    if options != ["-t", "-c"]:
        options = ["-t" if options == ["-c"] else "--test", *options]
    done = run(program, *options, ini(GOOD))
    assert done.returncode == 0, done.stderr


def test_configuration_is_tested_and_bad(program, ini):
    path = ini(GOOD + "nonsense=1\n")
    done = run(program, "-t", "-c", path)
    assert done.returncode == 78
    assert f"{path}:4:" in done.stderr


def test_testing_binds_nothing(program, ini, bus):
    taken = bus.listen()
    done = run(program, "-t", "-c", ini(f"[svc]\nbind={taken.url}\nserver=tcp://127.0.0.1:10\n"))
    assert done.returncode == 0, done.stderr


def test_missing_file(program, tmp_path):
    done = run(program, "-c", str(tmp_path / "none.ini"))
    assert done.returncode == 78
    assert "none.ini" in done.stderr and "No such file" in done.stderr


def test_unreadable_file_is_an_error_not_an_empty_one(program, tmp_path):
    done = run(program, "-c", str(tmp_path))  # a folder
    assert done.returncode == 78
    assert str(tmp_path) in done.stderr


@pytest.mark.parametrize("kind", ["tcp", "tcp6", "unix"])
def test_failing_to_bind_names_address_service_and_reason(program, ini, bus, kind):
    if kind == "unix":
        taken = f"unix://{bus.folder}/no/such/folder/socket"
        reason = "No such file"
    else:
        taken = bus.listen(tcp_url("127.0.0.1" if kind == "tcp" else "::1", 0)).url
        reason = "in use"
    done = run(program, "-c", ini(f"[my-name]\nbind={taken}\nserver=tcp://127.0.0.1:10\n"))
    assert done.returncode == 1
    assert taken in done.stderr and "my-name" in done.stderr and reason in done.stderr


def test_address_that_is_not_ours(program, ini):
    done = run(program, "-c", ini("[svc]\nbind=tcp://192.0.2.99:9\nserver=tcp://127.0.0.1:10\n"))
    assert done.returncode == 1 and "tcp://192.0.2.99:9" in done.stderr
