"""A path of some length between two machines, which are network namespaces: the round trip is
the kernel's own, as no relay can make it."""

import ctypes
import os
import re
import signal
import subprocess
from pathlib import Path

from daemon import needed

NEAR, FAR = "10.213.0.1", "10.213.0.2"
TUNLINK = Path(os.environ.get("BUILDDIR", ".")) / "tests" / "bench" / "tunlink"


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Wan:
    """`near` and `far` are prefixes of a command line; who is there has the address NEAR, FAR.
    Unix sockets in the file system lead from one to the other at no distance."""

    def __init__(self, ip, delay_ms):
        self._ip, self._link, self._names = ip, None, []
        # Of its own, also beside what a run that was killed has left behind.
        mark = os.urandom(4).hex()
        names = [f"cloudbus-e2e-{mark}-{side}" for side in ("near", "far")]
        try:
            for name in names:
                self._run("netns", "add", name)
                self._names.append(name)
                self._run("-n", name, "link", "set", "lo", "up")
            self._link = subprocess.Popen(
                [TUNLINK, names[0], NEAR, names[1], FAR, str(delay_ms / 2)],
                stdout=subprocess.PIPE, text=True, preexec_fn=_die_with_parent)
            assert self._link.stdout.readline() == "ready\n"
        except BaseException:
            self.close()
            raise
        self.near, self.far = (("nsenter", f"--net=/var/run/netns/{name}", "--")
                               for name in names)

    def _run(self, *args):
        done = subprocess.run([self._ip, *args], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def close(self):
        if self._link is not None:
            self._link.terminate()
            self._link.communicate()
        for name in self._names:
            self._run("netns", "del", name)


def _established(prefix, port, options):
    """What ss says; /proc/net/tcp would have all that wait for their time to be over as well."""
    done = subprocess.run([*prefix, needed("ss"), options, "state", "established",
                           f"( dport = :{port} )"], capture_output=True, text=True, check=True)
    return done.stdout


def connections(port, prefix=()):
    """The ports of this side from which somebody is connected to that port, where `prefix`
    leads."""
    found = re.findall(r":(\d+) +[\d.]+:\d+", _established(prefix, port, "-tnH"))
    return {int(own) for own in found}


def carried(port, prefix):
    """Bytes that have come in on each connection to that port, by the order of our own ports."""
    found = re.findall(r":(\d+) +[\d.]+:\d+.*(?:\n\s.*)*?bytes_received:(\d+)",
                       _established(prefix, port, "-tinH"))
    return [int(n) for _, n in sorted(found)]
