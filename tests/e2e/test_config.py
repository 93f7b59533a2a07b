"""Configuration files through the real binaries: every error with its place, and the seed's forms.
(The parser's own tests are the unit tests; these show that the binaries use it.)"""

import re

import pytest

from daemon import PROGRAMS, run
from net import FIN, echo

HEAD = "[svc]\nbind=tcp://127.0.0.1:9\n"
GOOD = HEAD + "server=tcp://127.0.0.1:10\n"


def check(tmp_path, program, text):
    """(exit status, the reported lines' numbers in order, standard error) of `-t`."""
    path = tmp_path / "test.ini"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = run(program, "-t", "-c", str(path))
    lines = [int(n) for n in re.findall(re.escape(str(path)) + r":(\d+):", done.stderr)]
    return done.returncode, lines, done.stderr


@pytest.mark.parametrize("text,line,says", [
    (GOOD + "conect_timeout=5s\n", 4, "connect_timeout"),
    (GOOD + "mode=sideways\n", 4, "half duplex"),
    (GOOD + "idle_timeout=soon\n", 4, "soon"),
    (GOOD + "connect_timeout=5\n", 4, "unit"),
    (GOOD + "max_sessions=-1\n", 4, "-1"),
    (GOOD + "this is no line\n", 4, ""),
    (GOOD + "[svc]\nbind=tcp://127.0.0.1:11\nserver=tcp://127.0.0.1:12\n", 4, "svc"),
    (GOOD + "[other]\nserver=tcp://127.0.0.1:12\n", 4, "bind"),
    (GOOD + "bind=tcp://127.0.0.1:11\n", 4, "bind"),
    ("bind=tcp://127.0.0.1:9\n" + GOOD, 1, ""),
    ("[svc]\nbind=tcp://127.0.0.1:0\nserver=tcp://127.0.0.1:10\n", 2, "65535"),
    ("[svc]\nbind=tcp://127.0.0.1:65536\nserver=tcp://127.0.0.1:10\n", 2, "65535"),
    ("[svc]\nbind=tcp://example.test:9\nserver=tcp://127.0.0.1:10\n", 2, "example.test"),
    ("[svc]\nbind=udp://127.0.0.1:9\nserver=tcp://127.0.0.1:10\n", 2, "udp"),
    ("[svc]\nbind=unix://relative\nserver=tcp://127.0.0.1:10\n", 2, "relative"),
    ("[svc]\nbind=unix:///" + "x" * 200 + "\nserver=tcp://127.0.0.1:10\n", 2, "107"),
    (HEAD + "server=tcp://::1:10\n", 3, "brackets"),
    (HEAD, 1, "server"),
    ("[Cloudbus]\nlink_timeout=0s\n" + GOOD, 2, "link_timeout"),
    ("[Cloudbus]\nbind=tcp://127.0.0.1:9\n" + GOOD, 2, "bind"),
    ("[Cloudbus]\ndns=nowhere\n" + GOOD, 2, "nowhere"),
    (GOOD + "mode=half\0duplex\n", 4, ""),
])
def test_error_has_its_line(tmp_path, text, line, says):
    status, lines, stderr = check(tmp_path, "controller", text)
    assert status == 78
    assert lines == [line], stderr
    assert says in stderr


@pytest.mark.parametrize("text", ["", "\n\n; nothing\n", "[Cloudbus]\nlog=info\n"])
def test_file_without_a_service(tmp_path, text):
    status, _, stderr = check(tmp_path, "controller", text)
    assert status == 78 and stderr


def test_all_errors_are_reported(tmp_path):
    status, lines, stderr = check(
        tmp_path, "controller",
        "[one]\nbind=nonsense\nserver=tcp://127.0.0.1:10\nmode=odd\n"
        "[two]\nbind=tcp://127.0.0.1:9\nserver=tcp://h:99999\nwhat=1\n")
    assert status == 78
    assert sorted(lines) == [2, 4, 7, 8], stderr
    assert "[one]" in stderr and "[two]" in stderr


def test_segment_service_has_exactly_one_server(tmp_path):
    text = GOOD + "server=tcp://127.0.0.1:11\n"
    assert check(tmp_path, "controller", text)[0] == 0
    status, lines, _ = check(tmp_path, "segment", text)
    assert status == 78 and lines == [4]


def test_segment_services_may_share_a_bind_but_a_controllers_may_not(tmp_path):
    text = GOOD + GOOD.replace("svc", "other")
    assert check(tmp_path, "segment", text)[0] == 0
    status, lines, stderr = check(tmp_path, "controller", text)
    assert status == 78 and lines == [5] and "line 2" in stderr


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("text", [
    GOOD,
    GOOD.rstrip("\n"),
    GOOD.replace("\n", "\r\n"),
    "; a comment\n# another\n\n[Cloudbus]\n\n" + GOOD,
    GOOD.replace("bind", "BIND").replace("server", "Server"),
    GOOD.replace("server", "backend"),
    GOOD.replace("=", " = "),
    GOOD.replace("[svc]", "[" + "n" * 255 + "]"),
    GOOD + "connect_timeout=500ms\nidle_timeout=90d\nmax_sessions=10\n",
    "[CLOUDBUS]\ndns=127.0.0.1\ndns=[::1]:5353\ndrain_timeout=2m\nlink_timeout=5s\n"
    "memory=64M\nmax_window=1M\nlog=debug\n" + GOOD,
    HEAD + "server=tcp://some-host.example:10\n",
    HEAD + "server=unix://@abstract\n",
], ids=["plain", "no-newline", "crlf", "comments", "case", "alias", "spaces", "long-name", "keys",
        "global", "host", "abstract"])
def test_forms_that_must_work(tmp_path, program, text):
    status, lines, stderr = check(tmp_path, program, text)
    assert (status, lines) == (0, []), stderr


@pytest.mark.parametrize("mode", ["half duplex", "half_duplex", "Half Duplex", "FULL DUPLEX",
                                  "full_duplex"])
def test_modes(tmp_path, mode):
    assert check(tmp_path, "controller", GOOD + f"mode={mode}\n")[0] == 0


def test_case_66_last_line_without_a_newline_counts(tmp_path):
    status, lines, _ = check(tmp_path, "controller", GOOD + "mode=wrong")
    assert status == 78 and lines == [4]


def test_case_66_errors_never_abort(tmp_path):
    for text in (b"[", b"]", b"[]", b"=", b"[svc", b"[svc]\n=\n", b"\xff\xfe[svc]\n", b"\0" * 5000,
                 b"[svc]\nbind\n", b"[svc]\nbind=\n", b"[svc]\nbind=tcp://\n", b"\xef\xbb\xbf"):
        for program in PROGRAMS:
            status, _, stderr = check(tmp_path, program, text)
            assert status == 78 and stderr, text


def test_case_48_ten_thousand_sections(tmp_path):
    text = "".join(f"[s{n}]\nbind=unix://@e2e-{n}\nserver=tcp://127.0.0.1:{n % 60000 + 1}\n"
                   for n in range(10_000))
    assert check(tmp_path, "controller", text)[0] == 0
    status, lines, _ = check(tmp_path, "controller", text + "[last]\nbind=wrong\n")
    assert status == 78 and lines and set(lines) <= {30_001, 30_002}


def test_case_48_line_of_a_mebibyte(tmp_path):
    status, lines, stderr = check(tmp_path, "controller",
                                  GOOD + "mode=" + "x" * (1 << 20) + "\nwrong=1\n")
    assert status == 78 and set(lines) == {4, 5}
    assert len(stderr) < 100_000  # the value is quoted in part
    status, lines, _ = check(tmp_path, "controller", GOOD + "; " + "x" * (1 << 20) + "\nwrong=1\n")
    assert status == 78 and lines == [5]


def test_case_48_nul_bytes(tmp_path):
    status, lines, _ = check(tmp_path, "controller", GOOD.encode() + b"mode=\0\0\0\n")
    assert status == 78 and set(lines) == {4}


def test_a_thousand_services_are_served(bus):
    """Many services in one process: each listener leads to its own."""
    backend = bus.serve(echo)
    node, bind = bus.segment(), bus.address()
    node.section("all", bind, backend.url)
    for number in range(1000):
        bus.controller.section(f"s{number}", f"unix://{bus.folder}/u{number}", bind)
    bus.start()
    for number in range(0, 1000, 100):
        client = bus.connect(f"unix://{bus.folder}/u{number}")
        client.send(b"x")
        client.fin()
        assert client.recv_end() == (b"x", FIN)
