"""A TCP relay that stands between a controller and a segment and behaves as badly as told."""

import socket
import struct
import threading
import time

from net import CHUNK, listening_socket, parse, tcp_url
from wait import DEADLINE, eventually

# The two directions of a connection through the relay.
UP, DOWN = "up", "down"  # from the dialler to the target, and back
TURN = 0.05  # seconds after which a waiting thread looks whether it shall end


class _Ended(Exception):
    pass


class _Connection:
    """The two sockets of a relayed connection, with a thread for each direction."""

    def __init__(self, relay, near, far):
        self.relay = relay
        self.socks = (near, far)
        self.count = {UP: 0, DOWN: 0}
        self.ended = False  # no byte moves any more
        self.closed = False
        self._lock = threading.Lock()
        self._left = 2
        for sock in self.socks:
            sock.settimeout(TURN)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self):
        near, far = self.socks
        for args in ((near, far, UP), (far, near, DOWN)):
            threading.Thread(target=self._run, args=args, daemon=True).start()

    def _run(self, source, sink, way):
        try:
            self._pump(source, sink, way)
        except _Ended:
            pass
        except OSError:
            self.cut()
        with self._lock:
            self._left -= 1
            if self._left:
                return
        self.ended = True
        for sock in self.socks:
            sock.close()
        self.closed = True

    def _pump(self, source, sink, way):
        relay = self.relay
        while True:
            self._wait_open(way)
            data = self._recv(source)
            self._wait_open(way)
            swallow = way in relay.swallowing
            if not data:
                if not swallow:
                    sink.shutdown(socket.SHUT_WR)
                return
            limit = relay.cut_after if way == relay.cut_way else None
            if limit is not None:
                data = data[:max(0, limit - self.count[way])]
            self.count[way] += len(data)
            if relay.delay:
                time.sleep(relay.delay)
            if not swallow:
                self._send(sink, data)
            if limit is not None and self.count[way] >= limit:
                self.cut(relay.cut_rst)
                return

    def _wait_open(self, way):
        while not self.relay.gate[way].wait(TURN):
            if self.ended:
                raise _Ended
        if self.ended:
            raise _Ended

    def _recv(self, source):
        while True:
            try:
                return source.recv(self.relay.chunk or CHUNK)
            except TimeoutError:
                if self.ended:
                    raise _Ended from None

    def _send(self, sink, data):
        view = memoryview(data)
        while view:
            try:
                view = view[sink.send(view):]
            except TimeoutError:
                if self.ended:
                    raise _Ended from None

    def cut(self, rst=True):
        """Ends both connections, with RST or FIN."""
        for sock in self.socks:
            if rst and sock.family != socket.AF_UNIX and not self.ended:
                try:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                except OSError:
                    pass  # closed already
        self.ended = True


class Relay:
    """Passes everything on until told otherwise; holding and swallowing work per direction."""

    def __init__(self, target, chunk=None, delay=0):
        self.target = target
        self.delay = delay  # seconds that what is read waits before it goes on
        self.chunk = chunk  # bytes that move at a time
        self.swallowing = set()  # directions whose bytes are read and forgotten
        self.cut_after, self.cut_way, self.cut_rst = None, UP, True
        self.refusing = False  # reset new connections at once
        self.refused = 0
        self.connections = []
        self.gate = {UP: threading.Event(), DOWN: threading.Event()}
        self.resume()
        self._sock = listening_socket("tcp://127.0.0.1:0")
        self.url = tcp_url(*self._sock.getsockname()[:2])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                near = self._sock.accept()[0]
            except OSError:
                return
            family, address = parse(self.target)
            far = socket.socket(family, socket.SOCK_STREAM)
            try:
                if self.refusing:
                    raise OSError("refusing")
                far.connect(address)
            except OSError:
                self.refused += 1
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                near.close()
                far.close()
                continue
            self.connections.append(_Connection(self, near, far))
            self.connections[-1].start()

    def hold(self, *ways):
        """Moves nothing more: what is sent piles up, as behind a link that loses its packets."""
        for way in ways or (UP, DOWN):
            self.gate[way].clear()

    def resume(self):
        for gate in self.gate.values():
            gate.set()

    def live(self):
        """Connections that still move bytes."""
        return sum(not connection.ended for connection in self.connections)

    def bytes(self, way):
        return sum(connection.count[way] for connection in self.connections)

    def cut(self, rst=True):
        """Cuts all connections and waits until that is done; new ones are served."""
        cut = list(self.connections)
        for connection in cut:
            connection.cut(rst)
        eventually(lambda: all(connection.closed for connection in cut), "the relay has cut")

    def close(self):
        self.refusing = True
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join(DEADLINE)
        self._sock.close()
        self.cut()
