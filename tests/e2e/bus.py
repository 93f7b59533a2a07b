"""A bus of real daemons: configuration files in a folder of the test, processes, and everything a
test puts around them, all taken down in the right order at the end."""

import base64
import json
import os
import re
import signal
import subprocess
import time
from collections import namedtuple

from daemon import Daemon, run, wrapped
from net import RST, Listener, Ports, Server, Stream, Unanswering, tcp_url
from nameserver import NameServer
from relay import Relay
from wait import DEADLINE, eventually

Service = namedtuple("Service", "name url segments relays")


class Node:
    """One controller or segment: what its file says, and its process while it runs."""

    def __init__(self, folder, program, name):
        self.program, self.name = program, name
        self.path = folder / f"{name}.ini"
        # Long enough on any machine.  And one transport for each link, as on every short path:
        # a kernel that is behind may take loopback for a long one.
        self.options = {"drain_timeout": f"{DEADLINE / 2:.0f}s", "transports": 1}
        if wrapped() or os.geteuid() != 0:
            # A wrapper has calls of its own to make; and who is not root cannot look into a
            # hardened process, to count its descriptors.
            self.options["hardening"] = "off"
        self.sections = []
        self.daemon = None
        self.runs = []
        self.prefix = ()  # of the command line
        self._folder = folder

    def section(self, name, bind, *servers, **keys):
        """Adds a service; a bind or a key whose value is None is left out."""
        lines = [("bind", bind)] if bind is not None else []
        lines += [("server", server) for server in servers]
        lines += [(key, value) for key, value in keys.items() if value is not None]
        self.sections.append((name, lines))

    def text(self):
        sections = [("Cloudbus", [])] + self.sections
        for key, value in self.options.items():
            values = value if isinstance(value, (list, tuple)) else [value]
            sections[0][1].extend((key, item) for item in values)
        return "\n".join(f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in lines)
                         for name, lines in sections)

    def write(self):
        """Writes the file as an editor does: all at once, under the same name."""
        new = self.path.with_suffix(".new")
        new.write_text(self.text(), encoding="utf-8")
        new.replace(self.path)

    def reload(self, good=True):
        """Writes the file and has it read again; waits for the outcome, which must be as said."""
        said = r"SIGHUP: (configuration reloaded.*|nothing was changed)"
        before = len(re.findall(said, self.daemon.log()))
        self.write()
        self.daemon.signal(signal.SIGHUP)
        lines = eventually(lambda: re.findall(said, self.daemon.log())[before:],
                           f"{self.name} has reloaded")
        assert lines[-1].startswith("configuration reloaded" if good else "nothing"), lines
        return lines[-1]

    def spawn(self):
        """Starts the process without waiting for it."""
        self.write()
        log = self._folder / f"{self.name}.{len(self.runs) + 1}.log"
        self.daemon = Daemon(self.program, self.path, log, self.prefix)
        self.runs.append(self.daemon)
        return self.daemon

    def start(self):
        """Starts the process and waits until it is ready."""
        self.spawn().wait_ready()
        return self.daemon


class Keys:
    """A bus of the administrator: its key, trust, and what was issued to its nodes."""

    def __init__(self, folder, name="keys"):
        self.folder = folder / name
        self._call("init", str(self.folder), "--name", "example")

    def _call(self, *args):
        done = run("cloudbus", *args)
        assert done.returncode == 0, done.stderr

    def issue(self, name, role, *args, serve="*", open="*", ttl="1d"):
        """A key, unless it is there, and a token, for a node."""
        patterns = ["--serve", serve] if role == "segment" else []
        patterns += ["--open", open] if role == "controller" else []
        self._call("issue", "-d", str(self.folder), name, "--role", role, "--force",
                   "--ttl", ttl, *patterns, *args)

    def forge(self, openssl, name, **claims):
        """Signs the node's token anew with other claims, by OpenSSL: what the tool would not."""
        head, body, _ = (self.folder / f"{name}.token").read_text().strip().split(".")
        body = {**json.loads(base64.urlsafe_b64decode(body + "==")), **claims}
        body = base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip("=")
        secret = re.search(r"(?m)^secret-key (\S+)$", (self.folder / "cluster.key").read_text())[1]
        der = bytes.fromhex("302e020100300506032b657004220420")  # RFC 8410: PrivateKeyInfo
        (self.folder / "signer").write_bytes(der + base64.urlsafe_b64decode(secret + "=="))
        (self.folder / "signed").write_text(f"{head}.{body}")
        signature = subprocess.run(
            [openssl, "pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey",
             self.folder / "signer", "-in", self.folder / "signed"],
            capture_output=True, check=True).stdout
        signature = base64.urlsafe_b64encode(signature).decode().rstrip("=")
        (self.folder / f"{name}.token").write_text(f"{head}.{body}.{signature}\n")

    def options(self, name):
        """What [Cloudbus] has to say of a node."""
        return {"trust": self.folder / "trust", "identity": self.folder / f"{name}.key",
                "token": self.folder / f"{name}.token"}

    def revoke(self, *entries):
        (self.folder / "revoked").write_text("".join(f"{entry}\n" for entry in entries))


class Bus:
    """A controller and any number of segments; further controllers where asked for.  Nothing of it
    outlives close()."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = Ports()
        self.controller = Node(folder, "controller", "controller")
        self.segments, self.others = [], []
        self.keys = None  # of secured links
        self._things = []  # streams, listeners, servers, relays: in order of creation
        self._numbers = 0

    # --- configuration ---

    def _number(self):
        self._numbers += 1
        return self._numbers

    def address(self, kind="tcp"):
        """A fresh address of a kind: tcp, tcp6, unix, abstract."""
        if kind == "tcp":
            return tcp_url("127.0.0.1", self.ports.reserve("127.0.0.1"))
        if kind == "tcp6":
            return tcp_url("::1", self.ports.reserve("::1"))
        if kind == "unix":
            return f"unix://{self.folder}/s{self._number()}"
        assert kind == "abstract"
        return f"unix://@cloudbus-e2e-{self.folder.name}-{id(self):x}-{self._number()}"

    def segment(self):
        node = Node(self.folder, "segment", f"segment{len(self.segments) + 1}")
        self.segments.append(node)
        return node

    def secure(self, *nodes):
        """Issues keys and tokens to the controller and to these nodes, where they have none."""
        self.keys = self.keys or Keys(self.folder)
        for node in (self.controller, *nodes):
            if "token" not in node.options:
                self.keys.issue(node.name, node.program)
                node.options.update(self.keys.options(node.name))

    def other_controller(self):
        node = Node(self.folder, "controller", f"controller{len(self.others) + 2}")
        self.others.append(node)
        return node

    def service(self, *backends, name=None, front="tcp", link=None, relay=None,
                segment_keys=None, **keys):
        """A service of the controller with a segment of its own for every backend.

        `front` and `link` are kinds of addresses, of the link also bus and bus+unix, for a
        secured one; without it CLOUDBUS_E2E_LINK decides.  `relay` puts a relay before every segment, made
        with these arguments.  `keys` go to the controller's section."""
        name = name or f"service{self._number()}"
        url, servers, nodes, relays = self.address(front), [], [], []
        link = link or os.environ.get("CLOUDBUS_E2E_LINK", "tcp")
        secured = link.startswith("bus")
        plain = {"bus": "tcp", "bus+unix": "unix"}.get(link, link)
        for backend in backends:
            node = self.segment()
            bind = self.address(plain)
            scheme = (lambda at: at.replace("tcp:", "bus:").replace("unix:", "bus+unix:")) \
                if secured else str
            if secured:
                self.secure(node)
            node.section(name, scheme(bind), getattr(backend, "url", backend),
                         **(segment_keys or {}))
            if relay is not None:
                relays.append(self.relay(bind, **relay))
            servers.append(scheme(bind if relay is None else relays[-1].url))
            nodes.append(node)
        self.controller.section(name, url, *servers, **keys)
        return Service(name, url, nodes, relays)

    # --- running ---

    def start(self):
        """Starts every segment, then the controller, and waits for the links."""
        for node in self.segments:
            node.spawn()
        for node in self.segments:
            node.daemon.wait_ready()
        self.controller.start()
        self.wait_links()

    def wait_links(self):
        servers = {value.lower() for _, lines in self.controller.sections
                   for key, value in lines if key == "server"}
        self.controller.daemon.wait_links(len(servers))

    def daemons(self):
        """The runs of all nodes, the oldest first."""
        return [run for node in self._nodes() for run in node.runs]

    def _nodes(self):
        return [self.controller, *self.others, *self.segments]

    # --- around it ---

    def keep(self, thing):
        self._things.append(thing)
        return thing

    def connect(self, service, **kwargs):
        return self.keep(Stream.connect(getattr(service, "url", service), **kwargs))

    def refused(self, service):
        """Asserts that a new TCP client is reset without having got a byte."""
        try:
            client = self.connect(service)
            client.send(b"refused?")
        except ConnectionResetError:
            return  # before connect() or send() had returned
        assert client.recv_end() == (b"", RST)

    def listen(self, url="tcp://127.0.0.1:0", **kwargs):
        """A backend that the test plays by hand."""
        return self.keep(Listener(url, **kwargs))

    def serve(self, handler, url="tcp://127.0.0.1:0"):
        """A backend that serves by itself."""
        return self.keep(Server(handler, url))

    def relay(self, target, **kwargs):
        """A TCP relay to `target` that a test can disturb."""
        return self.keep(Relay(target, **kwargs))

    def nameserver(self):
        server = self.keep(NameServer())
        self.controller.options["dns"] = server.address
        return server

    def unanswering(self, **kwargs):
        return self.keep(Unanswering(**kwargs))

    def pair(self, service, backend):
        """A session seen from both ends: the client's stream and the backend's."""
        client = self.connect(service)
        return client, backend.accept()

    def close(self):
        """Takes everything down.  With all their peers gone the daemons must have no session left:
        each drains at once and exits 0.  A list of what was wrong."""
        wrong = []
        for thing in self._things:
            (thing.reset if isinstance(thing, Stream) else thing.close)()
        running = [run for run in self.daemons() if run.running()]
        for run in running:
            run.thaw()
            run.terminate()
        end = time.monotonic() + DEADLINE
        for run in running:
            try:
                status = run.wait_exit(max(1.0, end - time.monotonic()))
                if status != 0:
                    wrong.append(f"{run.program} exited with {status}")
            except AssertionError:
                wrong.append(f"{run.program} had to be killed")
                run.kill()
        for run in self.daemons():
            try:
                run.check()
            except AssertionError as error:
                wrong.append(str(error))
        self.ports.close()
        return wrong

    def print_logs(self):
        for node in self._nodes():
            for number, run in enumerate(node.runs, 1):
                print(f"--- {node.name}.ini ---\n{node.text()}")
                print(f"--- {node.name}, run {number}, exit {run.process.returncode} ---")
                print(run.log())
