"""The binaries under test as processes: started, watched, faulted, stopped, and held to account."""

import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import time

import pytest

from wait import DEADLINE, eventually

PROGRAMS = ("controller", "segment")
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|notice|info|debug): .+")
SANITIZER = re.compile(r"Sanitizer|runtime error:|==\d+==")
LINK = re.compile(r"\blink\b.*?(?P<url>(?:bus|bus\+unix|tcp|unix)://\S+?)[,:;]?\s"
                  r".*?\b(?P<state>up|down)\b")
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def binary(program):
    """The path of a program under test, from the environment (tests/e2e/run sets it)."""
    path = os.environ.get(program.upper())
    if not path:
        build = os.environ.get("BUILDDIR", os.getcwd())
        path = os.path.join(build, program)
    if not os.access(path, os.X_OK):
        raise RuntimeError(f"no executable {path}: set {program.upper()} or BUILDDIR")
    return os.path.abspath(path)


def needed(tool, *folders):
    """The path of a tool; without it the test is skipped, or fails if CLOUDBUS_E2E_REQUIRE=1."""
    path = shutil.which(tool, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", *folders]))
    if path is None:
        message = f"{tool} is not installed"
        if os.environ.get("CLOUDBUS_E2E_REQUIRE") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return path


def sanitized():
    """Whether the binaries carry AddressSanitizer (their memory means less then)."""
    with open(binary("controller"), "rb") as file:
        return b"__asan_init" in file.read()


def wrapped():
    return bool(os.environ.get("CLOUDBUS_E2E_WRAP"))


def environment():
    env = dict(os.environ)
    env.setdefault("ASAN_OPTIONS", "exitcode=99:detect_leaks=1:quarantine_size_mb=8:"
                   "malloc_context_size=8:detect_stack_use_after_return=0")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    return env


def command(program, *args):
    return shlex.split(os.environ.get("CLOUDBUS_E2E_WRAP", "")) + [binary(program), *args]


def run(program, *args, deadline=DEADLINE, **kwargs):
    """Runs to the end: a CompletedProcess with text in stdout and stderr."""
    done = subprocess.run(command(program, *args), capture_output=True, text=True, check=False,
                          errors="replace", timeout=deadline, env=environment(),
                          stdin=subprocess.DEVNULL, **kwargs)
    assert not SANITIZER.search(done.stderr), done.stderr
    return done


class Daemon:
    """One run of a program.  It dies with the test run, whatever happens to that."""

    def __init__(self, program, config, log, prefix=()):
        self.program, self.log_path = program, log
        argv = [*prefix, *command(program, "-c", str(config))]
        argv = [shutil.which("setpriv") or "setpriv", "--pdeathsig", "KILL", *argv]
        with open(log, "wb") as stderr:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=stderr,
                                            stdout=stderr, env=environment())
        self.pid = self.process.pid
        self.draining = False  # it was told to end

    # --- what it says ---

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def logged(self, expression):
        return re.search(expression, self.log())

    def logged_all(self, expression):
        return re.findall(expression, self.log())

    def wait_log(self, expression):
        return self._until(lambda: self.logged(expression), f"logs {expression!r}")

    def wait_ready(self):
        self.wait_log(r"\bready\b")

    def links_up(self):
        """Addresses of the links that are up, from the log."""
        state = {}
        for line in self.log().splitlines():
            if found := LINK.search(line + " "):
                state[found["url"]] = found["state"]
        return {url for url, how in state.items() if how == "up"}

    def wait_links(self, number):
        self._until(lambda: len(self.links_up()) == number, f"has {number} links up")

    def _until(self, condition, what):
        def holds():
            ended = not self.running()  # before its log is read: that has its last words then
            value = condition()
            if ended and not value:
                raise AssertionError(
                    f"{self.program} exited with {self.process.returncode}:\n{self.log()}")
            return value
        return eventually(holds, f"the {self.program} {what}")

    # --- what it uses ---

    def running(self):
        return self.process.poll() is None

    def rss(self):
        """Resident bytes."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * PAGE

    def cpu(self):
        """Seconds of processor time so far."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def wait_idle(self):
        """Waits for a tenth of a second in which it does nothing: one that spins never has it."""
        def quiet():
            before = self.cpu()
            time.sleep(0.1)
            return self.cpu() - before <= 0.02
        eventually(quiet, f"the {self.program} idles")

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def leave_files(self, spare):
        """Lets it open `spare` more descriptors, and no other."""
        taken, limit = {int(fd) for fd in os.listdir(f"/proc/{self.pid}/fd")}, 0
        while spare or limit in taken:
            spare -= limit not in taken
            limit += 1
        self._limit_files(limit)

    def free_files(self):
        """Takes that back."""
        self._limit_files(None)

    def _limit_files(self, limit):
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (limit or hard, hard))

    # --- what is done to it ---

    def signal(self, number):
        self.draining |= number in (signal.SIGTERM, signal.SIGINT)
        self.process.send_signal(number)

    def freeze(self):
        self.signal(signal.SIGSTOP)
        eventually(lambda: self._state() == "T", "the process is stopped")

    def thaw(self):
        self.signal(signal.SIGCONT)

    def _state(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def terminate(self):
        """SIGTERM, once: a second one would be another thing."""
        if self.running() and not self.draining:
            self.signal(signal.SIGTERM)

    def wait_exit(self, deadline=DEADLINE):
        """Its exit status (negative: the signal that ended it)."""
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.program} did not exit within {deadline:.0f} s:\n"
                                 + self.log()) from None

    def stop(self, expect=0):
        """SIGTERM, and the exit status it must have."""
        self.terminate()
        status = self.wait_exit()
        self.check()
        assert status == expect, f"{self.program} exited with {status}, not {expect}:\n{self.log()}"

    def check(self):
        """Its log has lines of the one form, and no report of a sanitizer."""
        text = self.log()
        assert not SANITIZER.search(text), text
        if not wrapped():
            for line in text.splitlines():
                assert LINE.fullmatch(line), f"{self.program} wrote a strange line: {line!r}"
