"""Sockets as the tests use them: addresses in the form of the configuration, streams that tell a
clean end from a reset, listeners, and ports that nobody else takes."""

import fcntl
import hashlib
import os
import random
import select
import socket
import struct
import termios
import threading
from collections import namedtuple

from wait import DEADLINE, Task, eventually

CHUNK = 256 * 1024
TCP_CLOSE = 7  # of enum in <netinet/tcp.h>
BACKLOG = 4096

# How a stream ended: `how` is FIN or RST, with what came before it.
FIN, RST = "fin", "reset"
End = namedtuple("End", "data how")
Digest = namedtuple("Digest", "size sha256 how")


def pattern(size, seed=1):
    """`size` bytes in which every position differs from its neighbours megabytes away."""
    block = random.Random(seed).randbytes(min(size, (1 << 20) + 7))
    return (block * (size // len(block) + 1))[:size] if size else b""


def digest(data):
    return Digest(len(data), hashlib.sha256(data).hexdigest(), FIN)


def parse(url):
    """(family, address for the socket module) of tcp://host:port, unix:///path, unix://@name."""
    scheme, rest = url.split("://", 1)
    if scheme == "unix":
        return socket.AF_UNIX, "\0" + rest[1:] if rest.startswith("@") else rest
    host, port = rest.rsplit(":", 1)
    if host.startswith("["):
        return socket.AF_INET6, (host[1:-1], int(port))
    return socket.AF_INET, (host, int(port))


def tcp_url(host, port):
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def listening_socket(url, backlog=BACKLOG):
    family, address = parse(url)
    sock = socket.socket(family, socket.SOCK_STREAM)
    if family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(address)
    sock.listen(backlog)
    return sock


class Stream:
    """A connected socket with a deadline on everything it does."""

    def __init__(self, sock):
        sock.settimeout(DEADLINE)
        self.sock = sock
        self._sent_fin = False

    @classmethod
    def connect(cls, url, rcvbuf=None, deadline=DEADLINE):
        family, address = parse(url)
        sock = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(deadline)
        try:
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock)

    def send(self, data):
        self.sock.settimeout(4 * DEADLINE if len(data) > CHUNK else DEADLINE)
        self.sock.sendall(data)

    def send_some(self):
        """Sends zeros until the socket takes no more for half a second; how many it took."""
        sent, block = 0, bytes(CHUNK)
        self.sock.settimeout(0.5)
        try:
            while True:
                sent += self.sock.send(block)
        except TimeoutError:
            return sent
        finally:
            self.sock.settimeout(DEADLINE)

    def recv(self, size=CHUNK):
        """At most `size` bytes; b"" at a clean end; ConnectionResetError at a reset."""
        return self.sock.recv(size)

    def recv_exactly(self, size):
        data = bytearray(size)
        view, have = memoryview(data), 0
        while have < size:
            n = self.sock.recv_into(view[have:])
            if n == 0:
                raise EOFError(f"clean end after {have} of {size} bytes")
            have += n
        return bytes(data)

    def recv_end(self):
        """Everything up to the end, and how it ended."""
        data = bytearray()
        try:
            while chunk := self.recv():
                data += chunk
        except (ConnectionResetError, BrokenPipeError):
            return End(bytes(data), RST)
        return End(bytes(data), self._how())

    def recv_digest(self):
        """Like recv_end() for more than one wants to keep."""
        sha, size, view = hashlib.sha256(), 0, memoryview(bytearray(CHUNK))
        try:
            while n := self.sock.recv_into(view):
                sha.update(view[:n])
                size += n
            how = self._how()
        except (ConnectionResetError, BrokenPipeError):
            how = RST
        return Digest(size, sha.hexdigest(), how)

    def _how(self):
        """What an end really was that recv() shows as a clean one: the kernel tells of a reset
        once, and a send() in another thread may have been told."""
        if self.sock.family == socket.AF_UNIX or self._sent_fin:
            return FIN
        state = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return RST if state == TCP_CLOSE else FIN

    def silent(self, seconds):
        """Asserts that neither a byte nor an end arrives for a while."""
        self.sock.settimeout(seconds)
        try:
            got = self.sock.recv(1)
        except TimeoutError:
            return
        finally:
            self.sock.settimeout(DEADLINE)
        raise AssertionError(f"expected silence, got {got or 'the end'}")

    def send_for_ever(self, data):
        """Sends it again and again until the stream fails, with that error: whatever the buffers
        on the way take."""
        while True:
            self.send(data)

    def send_and_reset(self, data):
        """Both at once.  From one processor: loopback delivers in order what each has sent, and
        whoever is moved to another one in between may overtake himself, RST before the data."""
        processors = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(processors)})
        try:
            self.send(data)
            self.reset()
        finally:
            os.sched_setaffinity(0, processors)

    def fin(self):
        self._sent_fin = True
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with RST (TCP)."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # already closed
        self.sock.close()

    def close(self):
        self.sock.close()

    def unsent(self):
        """Bytes that the peer's kernel has not acknowledged yet."""
        return struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4)))[0]

    def flush(self):
        """Waits until the peer's kernel has everything."""
        eventually(lambda: self.unsent() == 0, "the send queue is empty")

    def ended(self):
        """Whether the end can be seen already, without taking bytes: FIN, RST or None."""
        self.sock.settimeout(0)
        try:
            got = self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except (ConnectionResetError, BrokenPipeError):
            return RST
        finally:
            self.sock.settimeout(DEADLINE)
        return None if got else self._how()


class Listener:
    """A scripted server: the test takes its connections by hand with accept()."""

    def __init__(self, url="tcp://127.0.0.1:0", backlog=BACKLOG):
        self.sock = listening_socket(url, backlog)
        if url.startswith("tcp:"):
            url = tcp_url(*self.sock.getsockname()[:2])
        self.url = url
        self.streams = []

    def accept(self, deadline=DEADLINE):
        self.sock.settimeout(deadline)
        stream = Stream(self.sock.accept()[0])
        self.streams.append(stream)
        return stream

    def poll(self):
        """The next connection if there is one already, else None."""
        try:
            return self.accept(0)
        except BlockingIOError:
            return None

    def untouched(self, seconds):
        """Asserts that nobody connects for a while."""
        try:
            self.accept(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"a connection arrived at {self.url}")

    def close(self):
        self.sock.close()
        for stream in self.streams:
            stream.reset()


class Server:
    """A server that serves every connection with `handler(stream)` in a thread of its own.

    What the handlers return, or the exception that ended them, stands in `outcomes` in the order
    in which they finished."""

    def __init__(self, handler, url="tcp://127.0.0.1:0"):
        self._listener = Listener(url)
        self._handler = handler
        self._lock = threading.Lock()
        self._live = set()
        self.accepted = 0
        self.outcomes = []
        self.url = self._listener.url
        self._closing = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while not self._closing:
            try:
                stream = Stream(self._listener.sock.accept()[0])
            except OSError:
                return
            with self._lock:
                self.accepted += 1
                self._live.add(stream)
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream):
        try:
            outcome = self._handler(stream)
        except (OSError, EOFError) as error:
            outcome = error
        with self._lock:
            self._live.discard(stream)
            stream.close()
            self.outcomes.append(outcome)

    def outcome(self, index=0):
        eventually(lambda: len(self.outcomes) > index, f"outcome {index} at {self.url}")
        return self.outcomes[index]

    def live(self):
        return len(self._live)

    def close(self):
        self._closing = True
        try:
            self._listener.sock.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread
        except OSError:
            pass
        self._thread.join(DEADLINE)
        self._listener.close()
        with self._lock:
            for stream in self._live:
                try:
                    stream.sock.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    stream.sock.shutdown(socket.SHUT_RDWR)  # wakes its thread, which closes it
                except OSError:
                    pass


# --- handlers ---------------------------------------------------------------------------------

def echo(stream):
    """Sends back what comes, and closes cleanly after a clean end."""
    size, view = 0, memoryview(bytearray(CHUNK))
    while n := stream.sock.recv_into(view):
        stream.sock.sendall(view[:n])
        size += n
    return size


def sink(stream):
    """Swallows up to the clean end, then answers with size and checksum."""
    got = stream.recv_digest()
    if got.how == FIN:
        stream.send(f"{got.size} {got.sha256}\n".encode())
    return got


def source(data):
    """Sends `data`, closes, and reports how the client ended."""
    def handler(stream):
        stream.send(data)
        stream.fin()
        return stream.recv_end().how
    return handler


def name_server_of(name):
    """Answers every connection with a name at once: which of several servers is this?"""
    def handler(stream):
        stream.send(name.encode())
        stream.fin()
        return stream.recv_end().how
    return handler


# --- ports ------------------------------------------------------------------------------------

class Ports:
    """Ports for daemons, below the range from which the kernel gives ports to connections.

    A port stays bound here, without listening, until close(): daemons set SO_REUSEADDR and so
    can listen on it and listen again after a restart, other test runs cannot, and a connection to
    it while no daemon listens is refused."""

    def __init__(self):
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            below = int(file.read().split()[0])
        self._usual = (10000, below - 1) if below > 12000 else (61000, 65535)
        self._random = random.Random(os.urandom(8))
        self._held = []

    def reserve(self, *hosts):
        """One port that is free on all of `hosts` (127.0.0.1 by default)."""
        return self._reserve(hosts, *self._usual)

    def reserve_low(self):
        """One that takes a privilege to be bound."""
        return self._reserve((), 512, 1023)

    def _reserve(self, hosts, first, last):
        for _ in range(1000):
            port = self._random.randint(first, last)
            socks = []
            try:
                for host in hosts or ("127.0.0.1",):
                    family = socket.AF_INET6 if ":" in host else socket.AF_INET
                    socks.append(socket.socket(family, socket.SOCK_STREAM))
                    socks[-1].bind((host, port))
            except OSError:
                for sock in socks:
                    sock.close()
                continue
            for sock in socks:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._held += socks
            return port
        raise RuntimeError("no free port")

    def close(self):
        for sock in self._held:
            sock.close()


class Unanswering:
    """A TCP address at which connection attempts hang: its accept queue is full."""

    def __init__(self, url="tcp://127.0.0.1:0"):
        self._listener = Listener(url, backlog=0)
        self.url = self._listener.url
        family, address = parse(self.url)
        self._fill = []
        for _ in range(4):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.connect_ex(address)
            self._fill.append(sock)
        # Where one is through there is room for no other.
        assert select.select([], self._fill, [], DEADLINE)[1], "nobody fills the queue"

    def close(self):
        for sock in self._fill:
            sock.close()
        self._listener.close()


def in_background(function, *args):
    return Task(function, *args)
