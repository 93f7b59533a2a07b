"""The rows of the table: what is measured, how, and what is asked of it."""

import subprocess
import time
from dataclasses import dataclass
from typing import Callable

from place import Failure, sessions_max
from systems import Cloudbus, Direct, services

GIB = 1 << 30
DELAY_MS = 50
FANOUT = 8
MANY_SERVICES = 1000
OTHERS = 100  # sessions that are open beside the idle ones
PER_ADDRESS = 10000  # connections to one address in a run: beyond, the search for ports counts

PLAIN = ("haproxy", "haproxy-splice", "nginx", "socat")
LIGHT = ("haproxy", "haproxy-splice", "nginx")  # can hold thousands of sessions
STUNNELS = ("stunnel-aes", "stunnel-chacha")
SECURED = STUNNELS + ("ssh",)
WARM = ("haproxy", "nginx", "ssh")  # over a long link

# Words for a row's reference that mean the best of several.
GROUPS = {"peers": "best", "stunnels": "better stunnel"}


@dataclass
class Row:
    """value() takes a measurement: a number and a dict of figures beside it.  The goals are
    ratios to the reference, or plain numbers where there is none: "peers" is the best of them,
    "stunnels" the better one, another word that system.  The short form leaves out more_peers:
    the slow ones, which are far from the best."""

    name: str
    title: str
    unit: str
    value: Callable
    must: float
    goal: float
    reference: str = "peers"
    more_is_better: bool = False
    peers: tuple = PLAIN
    more_peers: tuple = ()
    secured: bool = False  # over secured links
    direct: bool = False  # measured without any proxy, too
    long_only: bool = False
    rarely: bool = False  # in one round only of the short form
    beside: tuple = ()  # keys of the figures printed beneath
    no_less: str = ""  # a figure beside that has to be the reference's at least


def _bulk(streams, down, together=True, per_gib=True):
    def value(bench, system):
        chain = bench.standing(system)
        words = ["-s", streams, "-t", bench.seconds] + (["--down"] if down else [])
        got = bench.load(chain, "bulk", "source" if down else "sink", *words, together=together)
        cost = got["proxy_cpu"] / (got.number("arrived") / GIB)
        rate = got.number("mib_s")
        return (cost, {"MiB/s": rate}) if per_gib else (rate, {"CPU s/GiB": cost})

    return value


def _exchange(conns, size, latency=False):
    def value(bench, system):
        chain = bench.standing(system)
        got = bench.load(chain, "pingpong", "echo", "-c", conns, "-b", size, "-t",
                         bench.seconds, "--warmup", "0.1")
        cost = got["proxy_cpu"] / got.number("total") * 1e5
        beside = {"per s": got.number("per_s"), "p50 us": got.number("p50_us"),
                  "p99 us": got.number("p99_us"), "CPU s/100k": cost}
        return (beside["p50 us"] if latency else cost), beside

    return value


def _connections(bench, system):
    """In a namespace of its own, for none of its ports to be taken."""
    number = PER_ADDRESS if bench.long_form else PER_ADDRESS // 2
    with bench.place() as place:
        chain = bench.launch(system, place, services(place, ("echo",)))
        got = bench.load(chain, "connrate", "echo", "-c", 16, "-t", 3 * bench.seconds, "-n",
                         number)
        return (got["proxy_cpu"] / got.number("total") * 1e5,
                {"per s": got.number("per_s"), "p50 us": got.number("p50_us"),
                 "p99 us": got.number("p99_us")})


def _possible(wanted, system):
    """Sessions of those wanted that the limit on open files lets a system hold."""
    return min(wanted, sessions_max(system.descriptors) - OTHERS)


def _idle(wanted):
    def value(bench, system):
        number = _possible(wanted, system)
        with bench.place() as place:
            copies = -(-number // PER_ADDRESS)
            chain = bench.launch(system, place, services(place, ("echo",), copies))
            empty = bench.memory(chain)
            with bench.idle(chain, number):
                full = bench.memory(chain)
            return (full - empty) / number, {"empty MiB": empty / 1024, "sessions": number}

    return value


def _scale(wanted):
    """An exchange beside many idle sessions, beside 10 of them: the ratio of what they cost."""

    def cost(bench, chain):
        words = ["-c", 64, "-t", 2 * bench.seconds, "--warmup", "0.1"]
        got = bench.load(chain, "pingpong", "echo", *words)
        return got["proxy_cpu"] / got.number("total") * 1e5

    def value(bench, system):
        number = _possible(wanted, system) - OTHERS
        with bench.place() as place:
            copies = -(-number // PER_ADDRESS)
            chain = bench.launch(system, place, services(place, ("echo",), copies))
            with bench.idle(chain, 10):
                before = cost(bench, chain)
                with bench.idle(chain, number):
                    many = cost(bench, chain)
                after = cost(bench, chain)
            few = (before + after) / 2  # for the noise that comes and goes slowly
            return many / few, {"few": few, "many": many, "sessions": number}

    return value


def _mixed(bench, system):
    chain = bench.standing(system)
    got = bench.load(chain, "mixed", "echo", "-c", 8, "-b", 65536, "-t", 2 * bench.seconds,
                     "--warmup", "0.1")
    return got.number("p99_us"), {"MiB/s": got.number("bulk_mib_s"),
                                  "p50 us": got.number("p50_us")}


def _first_byte(bench, system):
    """In round trips of the link: half of what the fastest plain connection takes."""
    words = ["first", "echo", "-n", 20 if bench.long_form else 5]
    plain = bench.load(bench.standing(Direct("direct"), DELAY_MS), *words, together=False)
    got = bench.load(bench.standing(system, DELAY_MS), *words, together=False)
    ms = got.number("p50_us") / 1000
    return ms / (plain.number("min_us") / 2000), {"ms": ms}


def _long_link(streams):
    def value(bench, system):
        chain = bench.standing(system, DELAY_MS)
        got = bench.load(chain, "bulk", "sink", "-s", streams, "-t", max(2, 2 * bench.seconds),
                         "--drain", 20, together=False)
        return got.number("mib_s"), {"CPU s": got["proxy_cpu"]}

    return value


def _fanout(bench, system):
    """The cost of a GiB delivered to many, in those of a GiB delivered to one."""
    words = ["-s", 1, "-t", bench.seconds, "--drain", 20]
    with bench.place() as place:
        one = bench.launch(system, place, services(place, ("quiet",)))
        got = bench.load(one, "bulk", "quiet", *words)
        single = got["proxy_cpu"] / (got.number("arrived") / GIB)
    with bench.place() as place:
        chain = system.start_fanout(place, bench.folder(), services(place, ("quiet",)), FANOUT)
        bench.until_ready(chain)
        got = bench.load(chain, "bulk", "quiet", *words, "--members", FANOUT)
        many = got["proxy_cpu"] / (got.number("arrived") / GIB)
    return many / single, {"one": single, "many": many, "MiB/s": got.number("mib_s")}


def _start(bench, system):
    """From the start of both proxies to the first byte that came back, the client trying every
    millisecond.  The median of three."""
    taken = sorted(_start_once(bench, system) for _ in range(3))
    return taken[1], {"min": taken[0], "max": taken[2]}


def _start_once(bench, system):
    with bench.place() as place:
        carried = services(place, ("echo",), MANY_SERVICES)
        client = place.spawn([bench.loadgen, "ready", "--to", carried[-1].front, "-t", 20,
                              "--timeout", 5], stdout=subprocess.PIPE, text=True)
        began = time.monotonic()
        chain = system.start(place, bench.folder(), carried)
        try:
            text, _ = client.communicate(timeout=30)
        except subprocess.TimeoutExpired as error:
            raise Failure("carries nothing within 30 s") from error
        if client.returncode != 0:
            raise Failure(f"carries nothing: {chain.complaint()}")
        return (float(text.split("at=")[1].split()[0]) - began) * 1000


_RATE = {"more_is_better": True, "must": 1.1, "goal": 1.4, "unit": "MiB/s",
         "beside": ("CPU s/GiB",), "more_peers": SECURED}
_COST = {"must": 0.6, "goal": 0.4, "unit": "CPU s/GiB", "beside": ("MiB/s",),
         "peers": PLAIN + ("bare",), "more_peers": SECURED}
_OURS = {"peers": (), "reference": "", "rarely": True}
_FLAT = dict(_OURS, unit="x", must=1.1, goal=1.03, beside=("few", "many", "sessions"))
_MEMORY = {"unit": "KiB", "must": 1.5, "goal": 0.8, "reference": "", "rarely": True,
           "beside": ("sessions",)}
_LINK = {"unit": "MiB/s", "more_is_better": True, "reference": "direct", "direct": True,
         "peers": WARM, "more_peers": STUNNELS, "rarely": True, "beside": ("CPU s",)}
_SMALL = {"peers": LIGHT + ("ssh", "bare"), "more_peers": ("socat",) + STUNNELS}
_BIGGER = {"peers": LIGHT + ("bare",), "more_peers": ("socat",) + SECURED}
_TLS = {"peers": SECURED, "reference": "stunnels", "secured": True}
_TLS_COST = dict(_TLS, must=0.8, goal=0.65, unit="CPU s/GiB", beside=("MiB/s",))

ROWS = [
    Row("bulk-up-1", "bulk up, 1 stream", value=_bulk(1, False), **_COST),
    Row("bulk-up-16", "bulk up, 16 streams", value=_bulk(16, False), **_COST),
    Row("bulk-down-1", "bulk down, 1 stream", value=_bulk(1, True), **_COST),
    Row("bulk-down-16", "bulk down, 16 streams", value=_bulk(16, True), **_COST),
    Row("rate-1", "throughput, 1 stream, unpinned", value=_bulk(1, False, False, False),
        **_RATE),
    Row("rate-16", "throughput, 16 streams, unpinned", value=_bulk(16, False, False, False),
        **_RATE),
    Row("rate-down-1", "throughput down, 1 stream, unpinned",
        value=_bulk(1, True, False, False), long_only=True, **_RATE),
    Row("rate-down-16", "throughput down, 16 streams, unpinned",
        value=_bulk(16, True, False, False), long_only=True, **_RATE),
    Row("rr64", "64 B requests, 64 connections", "CPU s/100k", _exchange(64, 64), 0.6, 0.5,
        beside=("per s", "p50 us"), **_SMALL),
    Row("rr64-1", "64 B requests, 1 connection", "p50 us", _exchange(1, 64, latency=True),
        0.95, 0.85, direct=True, beside=("p99 us", "CPU s/100k"), peers=PLAIN + ("ssh", "bare"),
        more_peers=STUNNELS),
    Row("rr16k", "16 KiB requests, 16 connections", "CPU s/100k", _exchange(16, 16384),
        0.8, 0.65, beside=("per s", "p50 us"), **_BIGGER),
    Row("conn", "new connections", "CPU s/100k", _connections, 0.8, 0.65,
        beside=("per s", "p50 us"), **_SMALL),
    Row("mixed", "64 B beside 8 x 64 KB", "p99 us", _mixed, 0.7, 0.4, reference="haproxy",
        beside=("MiB/s",), no_less="MiB/s", **_BIGGER),
    Row("idle-1k", "memory of an idle session, 1 000", value=_idle(1000), **dict(
        _MEMORY, peers=LIGHT, more_peers=SECURED)),
    Row("idle-10k", "memory of an idle session, 10 000", value=_idle(10000), **dict(
        _MEMORY, peers=("haproxy", "nginx"))),
    Row("idle-100k", "memory of an idle session, 100 000", value=_idle(100000), long_only=True,
        **dict(_MEMORY, peers=("haproxy",))),
    Row("scale-10k", "cost beside 10 000 idle sessions", value=_scale(10000), **dict(
        _FLAT, peers=("haproxy",))),
    Row("scale-100k", "cost beside 100 000 idle sessions", value=_scale(100000),
        long_only=True, **_FLAT),
    Row("first", "first byte over a 50 ms link", "round trips", _first_byte, 1.05, 1.0,
        reference="", direct=True, peers=WARM, more_peers=STUNNELS, rarely=True,
        beside=("ms",)),
    Row("wan-1", "1 stream over a 50 ms link", value=_long_link(1), must=1.0, goal=1.2, **_LINK),
    Row("wan-16", "16 streams over a 50 ms link", value=_long_link(16), must=0.9, goal=1.0,
        **_LINK),
    Row("fanout", "fan-out to 8, of one-to-one", "x", _fanout, 1.15, 1.0,
        beside=("one", "many", "MiB/s"), **_OURS),
    Row("start", "start with 1 000 services", "ms", _start, 150, 50, reference="", rarely=True,
        peers=("haproxy", "nginx"), beside=("min", "max")),
    Row("sec-bulk-1", "secured bulk up, 1 stream", value=_bulk(1, False), **_TLS_COST),
    Row("sec-bulk-16", "secured bulk up, 16 streams", value=_bulk(16, False), **_TLS_COST),
    Row("sec-down-1", "secured bulk down, 1 stream", value=_bulk(1, True), long_only=True,
        **_TLS_COST),
    Row("sec-down-16", "secured bulk down, 16 streams", value=_bulk(16, True), long_only=True,
        **_TLS_COST),
    Row("sec-rr64", "secured 64 B requests, 64 connections", "CPU s/100k", _exchange(64, 64),
        0.5, 0.4, beside=("per s", "p50 us"), **_TLS),
    Row("sec-rr16k", "secured 16 KiB requests, 16 connections", "CPU s/100k",
        _exchange(16, 16384), 0.8, 0.65, beside=("per s", "p50 us"), **_TLS),
    Row("sec-conn", "secured new connections", "CPU s/100k", _connections, 0.5, 0.4,
        beside=("per s", "p50 us"), **_TLS),
    Row("sec-first", "secured first byte over a 50 ms link", "round trips", _first_byte, 1.05,
        1.0, beside=("ms",), rarely=True, **dict(_TLS, reference="")),
    Row("sec-idle", "memory of an idle secured session", value=_idle(1000),
        **dict(_TLS, **_MEMORY)),
]


def can_measure(row, system, long_form):
    """Whether a row has a column for a system."""
    if isinstance(system, Cloudbus):
        return True
    if not system.peer:
        return row.direct
    return system.name in row.peers or (long_form and system.name in row.more_peers)
