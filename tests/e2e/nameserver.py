"""A scripted name server on loopback, UDP and TCP, for `dns=`.

    server.zone["app.test"] = [("A", "127.0.0.1", 60)]     records: type, value, time to live
    server.zone["bad.test"] = SERVFAIL                     or NXDOMAIN, or SILENT

A name without an entry does not exist.  A list answers each type with its own records, and a type
of which it has none with an empty answer; ("CNAME", "other.test", ttl) is followed within the zone.
`silent_types` holds (name, type) pairs that get no answer.  `truncate` makes UDP answers empty with
the TC bit, so that the client has to come back over TCP."""

import ipaddress
import selectors
import socket
import struct
import threading
from collections import Counter

from wait import DEADLINE

SERVFAIL, NXDOMAIN, SILENT = "SERVFAIL", "NXDOMAIN", "SILENT"
TYPES = {"A": 1, "CNAME": 5, "AAAA": 28}
NAMES = {number: name for name, number in TYPES.items()}
RCODES = {SERVFAIL: 2, NXDOMAIN: 3}


def _pack_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _question(query):
    """(name in lower case, type, the question's bytes)."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    kind = struct.unpack_from(">H", query, at + 1)[0]
    return ".".join(labels).lower(), NAMES.get(kind, str(kind)), query[12:at + 5]


def _record(owner, kind, value, ttl):
    if kind == "CNAME":
        data = _pack_name(value)
    else:
        data = ipaddress.ip_address(value).packed
    return _pack_name(owner) + struct.pack(">HHIH", TYPES[kind], 1, ttl, len(data)) + data


class NameServer:
    def __init__(self):
        self.zone = {}
        self.silent_types = set()
        self.truncate = False
        self.queries = Counter()  # by (name, type)
        self.tcp_queries = 0
        self._udp, self._tcp = self._bind()
        self.address = "127.0.0.1:%d" % self._udp.getsockname()[1]
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @staticmethod
    def _bind():
        while True:
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            udp.bind(("127.0.0.1", 0))
            try:
                tcp.bind(udp.getsockname())
                tcp.listen(16)
                return udp, tcp
            except OSError:
                udp.close()
                tcp.close()

    def asked(self, name):
        return sum(n for (asked, _), n in list(self.queries.items()) if asked == name)

    def _answer(self, query, tcp):
        """The reply's bytes, or None for silence."""
        name, kind, question = _question(query)
        self.queries[name, kind] += 1
        self.tcp_queries += tcp
        entry = self.zone.get(name, NXDOMAIN)
        if entry == SILENT or (name, kind) in self.silent_types:
            return None
        rcode, records = RCODES.get(entry, 0) if isinstance(entry, str) else 0, b""
        count, truncated = 0, self.truncate and not tcp
        owner, seen = name, set()
        while rcode == 0 and not truncated and owner not in seen:
            seen.add(owner)
            follow = None
            for record_kind, value, ttl in self.zone.get(owner, []):
                if record_kind == kind or record_kind == "CNAME":
                    records += _record(owner, record_kind, value, ttl)
                    count += 1
                    follow = value if record_kind == "CNAME" else follow
            owner = follow or owner
        flags = 0x8580 | (0x0200 if truncated else 0) | rcode
        return query[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0) + question + records

    def _run(self):
        selector = selectors.DefaultSelector()
        for sock in (self._udp, self._tcp, self._woken):
            selector.register(sock, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self._woken:
                    return
                if key.fileobj is self._udp:
                    query, peer = self._udp.recvfrom(4096)
                    if reply := self._answer(query, False):
                        self._udp.sendto(reply, peer)
                else:
                    conn = self._tcp.accept()[0]
                    threading.Thread(target=self._serve_tcp, args=(conn,), daemon=True).start()

    def _serve_tcp(self, conn):
        with conn:
            conn.settimeout(DEADLINE)
            try:
                stream = conn.makefile("rb")
                while head := stream.read(2):
                    query = stream.read(struct.unpack(">H", head)[0])
                    if reply := self._answer(query, True):
                        conn.sendall(struct.pack(">H", len(reply)) + reply)
            except (OSError, struct.error):
                pass

    def close(self):
        self._wake.send(b"x")
        self._thread.join()
        for sock in (self._udp, self._tcp, self._wake, self._woken):
            sock.close()
