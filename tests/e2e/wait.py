"""Waiting: every wait of these tests has a condition and a deadline, and nothing else."""

import os
import threading
import time

# A slow machine or an instrumented binary asks for more; a test that passes never waits so long.
PATIENCE = float(os.environ.get("CLOUDBUS_E2E_PATIENCE", "1"))
DEADLINE = 30.0 * PATIENCE


def patient(seconds):
    """A duration for a configuration, of which the test needs a good part for itself: longer
    where all takes longer."""
    return f"{seconds * PATIENCE * 1000:.0f}ms"


def eventually(condition, what="the condition", deadline=DEADLINE, every=0.01):
    """Polls until condition() is true and returns its value; AssertionError at the deadline."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:.0f} s: {what}")
        time.sleep(every)


def remains(condition, seconds, what="the condition"):
    """Asserts that condition() stays true for a while: for what must *not* happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"did not last {seconds} s: {what}"
        time.sleep(0.02)


class Task:
    """A function running beside the test; result() gives what it returned or raises its error."""

    def __init__(self, function, *args):
        self._function, self._args = function, args
        self._value = self._error = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._value = self._function(*self._args)
        except BaseException as error:  # handed over, not swallowed
            self._error = error

    def running(self):
        return self._thread.is_alive()

    def result(self, deadline=4 * DEADLINE):
        self._thread.join(deadline)
        assert not self.running(), f"{self._function} still running after {deadline:.0f} s"
        if self._error is not None:
            raise self._error
        return self._value
