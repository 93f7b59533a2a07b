"""The wire protocol by hand (cloudbus-protocol(7)), for peers that misbehave.

Nothing here checks what is sent: a test may build any frame.  What is received is taken apart, and
a frame that breaks the format is an assertion."""

import os
import struct
import time
from collections import namedtuple

from net import FIN as CLEAN, RST
from wait import DEADLINE

HELLO, OPEN, DATA, RESET, CREDIT, PING, GOAWAY, LIMITS, ANNOUNCE, TOKEN = range(1, 11)
FIN, ACK, IGNORABLE = 1, 2, 4
CONTROLLER, SEGMENT = 1, 2
VERSION = 1
WINDOW = 256 << 10
GOAWAY_OPEN = 0xffffffff  # announced; the last id is not known yet
DATA_MAX = 1 << 20
# Codes of RESET and GOAWAY.
OK, ABORTED, REFUSED, UNREACHABLE, TIMED_OUT, NO_SERVICE, BUSY, LATCHED = range(8)
PROTOCOL, FLOOD, INTERNAL = range(11, 14)
SAME_ROLE = 16
EXPIRED, REVOKED, REPLACED, UNUSED = range(17, 21)
CHANGES, LIST, LIST_END = range(3)  # kinds of ANNOUNCE
KNOWS_ALL = 3  # capabilities: ANNOUNCE and TOKEN

Frame = namedtuple("Frame", "type flags stream payload")


def frame(kind, stream=0, payload=b"", flags=0, length=None):
    """Bytes of a frame; `length` lies about the payload's."""
    length = len(payload) if length is None else length
    return struct.pack(">II", length << 8 | kind << 3 | flags, stream) + payload


def hello(role=CONTROLLER, version=VERSION, magic=b"CLOUDBUS", window=WINDOW, max_streams=131072,
          instance=None, capabilities=KNOWS_ALL):
    return frame(HELLO, 0, magic + struct.pack(">HBBI", version, role, 0, capabilities)
                 + (instance or os.urandom(16)) + struct.pack(">II", max_streams, window))


def open_(stream, name="test", window=WINDOW, hops=8, options=b""):
    name = name.encode()
    return frame(OPEN, stream, os.urandom(16) + struct.pack(">IBBH", window, hops, 4, 4711)
                 + bytes([127, 0, 0, 1]) + bytes(12) + bytes([len(name)]) + name + options)


def data(stream, payload, fin=False):
    return frame(DATA, stream, payload, FIN if fin else 0)


def reset(stream, code=ABORTED):
    return frame(RESET, stream, struct.pack(">I", code))


def credit(stream, offset):
    return frame(CREDIT, stream, struct.pack(">Q", offset))


def ping(opaque=1, ack=False):
    return frame(PING, 0, struct.pack(">Q", opaque), ACK if ack else 0)


def announce(*names, version=1, kind=LIST_END):
    """A name with a minus before it is withdrawn."""
    entries = b"".join(bytes([name[0] != "-", len(name.lstrip("-").encode())])
                       + name.lstrip("-").encode() for name in names)
    return frame(ANNOUNCE, 0, struct.pack(">IB", version, kind) + entries)


def token(text):
    return frame(TOKEN, 0, text)


def goaway(last=GOAWAY_OPEN, code=OK):
    return frame(GOAWAY, 0, struct.pack(">II", last, code))


def reset_code(frame_):
    assert frame_.type == RESET
    return struct.unpack(">I", frame_.payload)[0]


def goaway_last(frame_):
    assert frame_.type == GOAWAY
    return struct.unpack(">I", frame_.payload[:4])[0]


def goaway_code(frame_):
    assert frame_.type == GOAWAY
    return struct.unpack(">I", frame_.payload[4:])[0]


def announced(frame_):
    """(version, kind, [names, those withdrawn with a minus before them])"""
    assert frame_.type == ANNOUNCE
    version, kind = struct.unpack_from(">IB", frame_.payload)
    names, at = [], 5
    while at < len(frame_.payload):
        served, n = frame_.payload[at:at + 2]
        names.append(("" if served else "-") + frame_.payload[at + 2:at + 2 + n].decode())
        at += 2 + n
    return version, kind, names


def credit_offset(frame_):
    assert frame_.type == CREDIT
    return struct.unpack(">Q", frame_.payload)[0]


class Peer:
    """One end of a transport, over a Stream.  Answers PING by itself unless told not to."""

    def __init__(self, stream, answer_pings=True):
        self.stream = stream
        self.answer_pings = answer_pings
        self._buffer = bytearray()
        self.hello = None  # the other side's, as a Frame

    @classmethod
    def dial(cls, bus, url, greet=True, **kwargs):
        """Plays a controller towards a segment."""
        peer = cls(bus.connect(url), **kwargs)
        return peer.greet(CONTROLLER) if greet else peer

    @classmethod
    def accept(cls, listener, greet=True, **kwargs):
        """Plays a segment towards a controller."""
        peer = cls(listener.accept(), **kwargs)
        return peer.greet(SEGMENT) if greet else peer

    def greet(self, role, **kwargs):
        self.send(hello(role, **kwargs))
        self.hello = self.expect(HELLO)
        return self

    def send(self, *frames):
        self.stream.send(b"".join(frames))

    def _take(self):
        """A frame from the buffer, or None."""
        if len(self._buffer) < 8:
            return None
        head, stream = struct.unpack_from(">II", self._buffer)
        length, kind, flags = head >> 8, head >> 3 & 31, head & 7
        assert length <= DATA_MAX, f"frame of {length} bytes"
        if len(self._buffer) < 8 + length:
            return None
        payload = bytes(self._buffer[8:8 + length])
        del self._buffer[:8 + length]
        return Frame(kind, flags, stream, payload)

    def next(self):
        """The next frame that is no PING; FIN or RST of net.py when the transport has ended."""
        while True:
            while (got := self._take()) is None:
                try:
                    chunk = self.stream.recv()
                except (ConnectionResetError, BrokenPipeError):
                    return RST
                if not chunk:
                    return CLEAN
                self._buffer += chunk
            if got.type != PING:
                return got
            if self.answer_pings and not got.flags & ACK:
                try:
                    self.stream.send(frame(PING, 0, got.payload, ACK))
                except OSError:
                    pass  # its end comes with the next recv()

    def expect(self, kind, stream=None, skip=(CREDIT, LIMITS)):
        """The next frame of a type, past those of the types in `skip`."""
        end = time.monotonic() + DEADLINE
        while True:
            got = self.next()
            assert isinstance(got, Frame), f"the transport ended ({got}) instead of type {kind}"
            if got.type == kind and (stream is None or got.stream == stream):
                return got
            assert got.type in skip, f"expected type {kind}, got {got}"
            assert time.monotonic() < end, f"no frame of type {kind}"

    def expect_data(self, stream, size):
        """`size` bytes of a stream, without its FIN."""
        got = b""
        while len(got) < size:
            got += self.expect(DATA, stream).payload
        assert len(got) == size
        return got

    def expect_pong(self, opaque):
        """Sends PING and waits for its answer: all frames before it have been dealt with.
        Returns the frames that came in between."""
        self.send(ping(opaque))
        between, end = [], time.monotonic() + DEADLINE
        while time.monotonic() < end:
            while (got := self._take()) is None:
                chunk = self.stream.recv()
                assert chunk, "the transport ended instead of a PONG"
                self._buffer += chunk
            if got.type == PING and got.flags & ACK:
                if got.payload == struct.pack(">Q", opaque):
                    return between
            elif got.type == PING:
                self.send(frame(PING, 0, got.payload, ACK))
            else:
                between.append(got)
        raise AssertionError("no PONG")

    def drain(self):
        """Reads to the end: (frames, how)."""
        frames = []
        while isinstance(got := self.next(), Frame):
            frames.append(got)
        return frames, got

    def drain_after_fin(self):
        """Ends our side and reads the other's to its end: (frames, how)."""
        self.stream.fin()
        return self.drain()
