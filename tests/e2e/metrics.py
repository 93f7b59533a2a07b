"""What a node says at its metrics=, as numbers."""

import http.client
import re
import time

from net import parse
from wait import DEADLINE, eventually

FRESH = 0.12  # seconds; EXPORTER_RENDERS a second are made
IDLE = 8  # after EXPORTER_TIMEOUT seconds the node would close the connection

LINE = re.compile(r"([a-z_]+)(?:\{(.*)\})? ([0-9.]+)")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """Of one node, over one connection that is kept; gives the node its address, before it starts."""

    def __init__(self, bus, node):
        self.url = node.options["metrics"] = bus.address()
        _, address = parse(self.url)
        self._asked = 0.0
        self._client = bus.keep(http.client.HTTPConnection(*address, timeout=DEADLINE))

    def text(self):
        """What is true now: sooner after the last text than FRESH the same one would come again."""
        if time.monotonic() > self._asked + IDLE:
            self._client.close()  # request() makes another
        time.sleep(max(0.0, self._asked + FRESH - time.monotonic()))
        self._client.request("GET", "/metrics")
        self._asked = time.monotonic()
        answer = self._client.getresponse()
        assert answer.status == 200
        return answer.read().decode()

    def all(self):
        """{(name, {(label, value), ...}): number}"""
        numbers = {}
        for line in self.text().splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = LINE.fullmatch(line).groups()
            key = (name.removeprefix("cloudbus_"), frozenset(LABEL.findall(labels or "")))
            assert key not in numbers
            numbers[key] = float(value)
        return numbers

    def __call__(self, name, **labels):
        """One number; None where it is not there."""
        return self.all().get((name, frozenset(labels.items())))

    def becomes(self, value, name, **labels):
        eventually(lambda: self(name, **labels) == value, f"{name} {labels} is {value}")
