"""Where measurements happen: network namespaces of our own, processes in them, and what the
kernel says about the processor time and the memory of those."""

import ctypes
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PREFIX = "cbench-"  # of the names of namespaces
PR_SET_PDEATHSIG = 1
STOP_SECONDS = 3  # until a process that was told to end is killed
OPEN_FILES = 1 << 20  # wanted: two for each session of a proxy, and room
OWN_FILES = 600  # of a process, beside its sessions

_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """A measurement that could not be taken; the text says why."""


def raise_file_limit():
    """As far as it may be, for all processes started from now on."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def sessions_max(descriptors):
    """Sessions that a process can hold which needs so many descriptors for each."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OWN_FILES) // descriptors


# --- what the kernel knows about processes ---


def _stat(pid):
    """The fields of /proc/PID/stat behind the name, or None: the state is the first."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2:].split()


def tree(roots):
    """The processes that live of these and of their descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _stat(name)
            if fields is not None and fields[0] not in "ZX":
                children.setdefault(int(fields[1]), []).append(int(name))
    found, left = [], [pid for pid in roots if os.path.exists(f"/proc/{pid}")]
    while left:
        pid = left.pop()
        found.append(pid)
        left.extend(children.get(pid, ()))
    return found


def _run_seconds(pid):
    """Of the threads that live, to the nanosecond."""
    total = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
    except OSError:
        pass  # ended meanwhile, or a kernel without it
    return total / 1e9


def cpu_seconds(roots):
    """Processor time of these processes and of all they ever forked, user and system.  The
    kernel's fine count knows only threads that live, its coarse one all of them: the larger
    is the truth, but for 10 ms."""
    total = 0.0
    for pid in tree(roots):
        fields = _stat(pid)
        if fields is not None:
            own = (int(fields[11]) + int(fields[12])) / TICKS
            total += max(own, _run_seconds(pid))
            total += (int(fields[13]) + int(fields[14])) / TICKS
    return total


def memory_kib(roots):
    """User memory of the processes: proportional set size, KiB."""
    total = 0
    for pid in tree(roots):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in text.splitlines()
                      if line.startswith("Pss:"))
    return total


def settled_memory_kib(roots, limit=3.0):
    """The same when two readings, 0.1 s apart, are alike within 0.2 %, or the time is up."""
    deadline = time.monotonic() + limit
    before = memory_kib(roots)
    while time.monotonic() < deadline:
        time.sleep(0.1)
        now = memory_kib(roots)
        if abs(now - before) <= before / 500:
            return now
        before = now
    return before


def pin(roots, cpus):
    """Every thread of the processes and of their descendants."""
    for pid in tree(roots):
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(task), cpus)
        except OSError:
            pass  # ended meanwhile


# --- places ---


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def remove_leftovers():
    """Namespaces of an earlier run that was killed; its processes have ended with it."""
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0]
        owner = name.split("-")[1] if name.startswith(PREFIX) and name.count("-") == 2 else ""
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


class Place:
    """One namespace with the whole chain in it, or two with a link of some delay between.
    near has the client and the first proxy, far the second one and the server.  congestion is
    what all sockets use that do not choose for themselves."""

    _made = 0

    def __init__(self, congestion, tunlink=None, delay_ms=0):
        Place._made += 1
        self.processes = []
        self.names = []
        self.delay_ms = delay_ms
        self.congestion = congestion
        base = f"{PREFIX}{os.getpid()}-{Place._made}"
        try:
            self.near = self._namespace(base + "n")
            if delay_ms == 0:
                self.far, self.middle = self.near, "127.2.0.1"
            else:
                self.far, self.middle = self._namespace(base + "f"), "10.213.0.2"
                self._link(tunlink)
        except BaseException:
            self.close()
            raise

    def _namespace(self, name):
        run("ip", "netns", "add", name)
        self.names.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "netns", "exec", name, "sysctl", "-qw",
            "net.ipv4.ip_local_port_range=10000 65535", "net.core.somaxconn=16384",
            "net.ipv4.tcp_max_syn_backlog=16384",
            f"net.ipv4.tcp_congestion_control={self.congestion}")
        return name

    def _link(self, tunlink):
        command = [tunlink, self.near, "10.213.0.1", self.far, self.middle,
                   str(self.delay_ms / 2)]
        link = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, preexec_fn=_die_with_parent)
        self.processes.append(link)
        if link.stdout.readline() != "ready\n":
            raise Failure(f"tunlink: {link.stderr.read().strip()}")

    def spawn(self, command, far=False, cpus=None, **how):
        """Starts a process that ends with this place."""

        def prepare():
            _die_with_parent()
            if cpus:
                os.sched_setaffinity(0, cpus)

        prefix = ["nsenter", f"--net=/var/run/netns/{self.far if far else self.near}", "--"]
        process = subprocess.Popen(prefix + [str(word) for word in command],
                                   stdin=how.pop("stdin", subprocess.DEVNULL),
                                   start_new_session=True, preexec_fn=prepare, **how)
        self.processes.append(process)
        return process

    def stop(self, processes):
        """Ends these and what they forked: told first, killed then."""
        pids = tree([p.pid for p in processes])
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
            if process in self.processes:
                self.processes.remove(process)
        self._kill(set(pids) - {p.pid for p in processes})

    @staticmethod
    def _kill(pids):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def close(self):
        """Ends everything here.  What a proxy may have detached is found by its namespace, in
        which nothing is but ours."""
        self.stop(list(self.processes))
        for name in self.names:
            left = subprocess.run(["ip", "netns", "pids", name], capture_output=True,
                                  text=True, check=False).stdout.split()
            self._kill(int(pid) for pid in left)
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        self.names = []


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
