"""The means of the rows: chains that stand for a round, and the load tool."""

import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from place import Failure, Place, cpu_seconds, pin, settled_memory_kib
from systems import PORTS, Direct, services

READY_SECONDS = 15
PATIENCE = 30  # seconds beyond its own time that a run of the load tool may take


class Figures(dict):
    """The key=value pairs of one line of the load tool."""

    def __init__(self, line):
        super().__init__(word.split("=", 1) for word in line.split() if "=" in word)

    def number(self, key):
        return float(self[key])


class Bench:
    """Everything that is open while measurements run; close() ends all of it."""

    def __init__(self, tools, seconds, long_form, congestion):
        self.loadgen, self.tunlink = Path(tools) / "loadgen", Path(tools) / "tunlink"
        self.seconds, self.long_form = seconds, long_form
        self.congestion = congestion
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            raise Failure("two processors are needed: one for the proxies, one for the load")
        self.every_cpu, self.proxy_cpu, self.load_cpu = set(cpus), {cpus[0]}, {cpus[1]}
        self._folder = tempfile.TemporaryDirectory(prefix="cloudbus-bench-")
        self._count = 0
        self._places = []
        self._standing = {}  # of this round: system's name and delay -> chain

    # --- chains ---

    @contextmanager
    def place(self, delay_ms=0):
        place = Place(self.congestion, self.tunlink, delay_ms)
        self._places.append(place)
        try:
            self._serve(place)
            yield place
        finally:
            self._places.remove(place)
            place.close()

    def _serve(self, place):
        command = [self.loadgen, "server"]
        for kind, port in PORTS.items():
            command += [f"--{kind}", f"0.0.0.0:{port}"]
        place.server = place.spawn(command, far=True, stdout=subprocess.PIPE, text=True)
        if not place.server.stdout.readline().startswith("listening echo="):
            raise Failure("the load tool's server does not start")

    def folder(self):
        self._count += 1
        return Path(self._folder.name) / str(self._count)

    def launch(self, system, place, carried):
        """A chain in a place, ready to carry."""
        chain = system.start(place, self.folder(), carried)
        self.until_ready(chain)
        return chain

    def until_ready(self, chain):
        deadline = time.monotonic() + READY_SECONDS
        for kind in {s.kind for s in chain.services}:
            while not self._carries(chain, kind):
                if time.monotonic() > deadline:
                    raise Failure(f"does not carry: {chain.complaint()}")
                time.sleep(0.02)

    def _carries(self, chain, kind):
        front = chain.fronts(kind)[0]
        command = {"echo": ["ready", "-t", "1"], "source": ["bulk", "--down"]}.get(kind, ["bulk"])
        if kind != "echo":
            command += ["--bytes", "16", "-t", "1", "--drain", "1"]
        if kind == "quiet" and chain.members > 1:
            command += ["--members", chain.members]
        probe = chain.place.spawn([self.loadgen, *command, "--to", front, "--timeout", "2"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        status = probe.wait(PATIENCE)
        chain.place.stop([probe])
        return status == 0

    def standing(self, system, delay_ms=0):
        """The chain of a system that stays for the round, idle while others are measured."""
        key = (system.name, delay_ms)
        if key not in self._standing:
            # close() ends the place with the round
            manager = self.place(delay_ms)
            place = manager.__enter__()
            try:
                chain = self.launch(system, place, services(place))
            except BaseException:
                manager.__exit__(None, None, None)
                raise
            self._standing[key] = (manager, chain)
        return self._standing[key][1]

    def end_round(self):
        while self._standing:
            _, (manager, _) = self._standing.popitem()
            manager.__exit__(None, None, None)

    def close(self):
        self.end_round()
        for place in list(self._places):
            place.close()
        self._folder.cleanup()

    # --- the load tool ---

    def pin(self, chain, together):
        """The proxies on one processor and the load on another, or all of them anywhere."""
        pin(chain.pids(), self.proxy_cpu if together else self.every_cpu)
        load = self.load_cpu if together else self.every_cpu
        pin([chain.place.server.pid], load)
        return load

    def load(self, chain, command, kind, *words, together=True):
        """One run of the load tool through a chain: its figures, with the processor seconds
        that the proxies took in "proxy_cpu"."""
        cpus = self.pin(chain, together)
        targets = [word for front in chain.fronts(kind) for word in ("--to", front)]
        before = cpu_seconds(chain.pids())
        process = chain.place.spawn([self.loadgen, command, *targets, *words], cpus=cpus,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            text, _ = process.communicate(timeout=60 + PATIENCE)
        except subprocess.TimeoutExpired:
            text = "takes too long"
        status = process.returncode
        chain.place.stop([process])
        if status != 0:
            raise Failure(f"{command}: {text.strip()} {chain.complaint()}".strip())
        figures = Figures(text)
        figures["proxy_cpu"] = cpu_seconds(chain.pids()) - before
        return figures

    @contextmanager
    def idle(self, chain, number):
        """So many idle sessions over the echo services of a chain, checked again at the end."""
        cpus = self.pin(chain, True)
        targets = [word for front in chain.fronts("echo") for word in ("--to", front)]
        process = chain.place.spawn(
            [self.loadgen, "idle", *targets, "-n", number, "-c", 64, "-t", 120], cpus=cpus,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            line = process.stdout.readline()
            opened = Figures(line)
            if opened.get("open") != str(number):
                raise Failure(f"idle: {line.strip()} {chain.complaint()}")
            yield
            text, _ = process.communicate(timeout=120 + PATIENCE)
            if process.returncode != 0:
                raise Failure(f"idle sessions were lost: {text.strip()} {chain.complaint()}")
        except subprocess.TimeoutExpired as error:
            raise Failure("idle: takes too long") from error
        finally:
            chain.place.stop([process])
        self._until_still(chain)

    @staticmethod
    def _until_still(chain):
        """Waits for the proxies to have closed what they closed: not to be charged to what is
        measured next."""
        deadline = time.monotonic() + READY_SECONDS
        before = cpu_seconds(chain.pids())
        while time.monotonic() < deadline:
            time.sleep(0.1)
            now = cpu_seconds(chain.pids())
            if now - before < 0.002:
                return
            before = now

    def memory(self, chain):
        return settled_memory_kib(chain.pids())


def is_direct(system):
    return isinstance(system, Direct)
