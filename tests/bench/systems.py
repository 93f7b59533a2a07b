"""The program and its peers, each as a chain of two proxies, configured as well as their manuals
allow for one core."""

import os
import pwd
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

from place import OWN_FILES, Failure, run, sessions_max

# A way through the chain: clients connect to front, the first proxy to middle, the second to back.
Service = namedtuple("Service", "name kind front middle back")

PORTS = {"echo": 7001, "sink": 7002, "quiet": 7003, "source": 7004}  # of the server
FRONT_PORT, MIDDLE_PORT = 8000, 9000
CACHED = 20000  # sessions that stunnel may resume
PIPES = 128  # that haproxy may splice through: two a stream, and each is two files
SESSIONS_MAX = 110000  # that a chain is configured for, if it may open so many files


def _address(net, number, port):
    return f"127.{net}.{number // 250}.{number % 250 + 1}:{port}"


def services(place, kinds=tuple(PORTS), copies=1):
    """One service of every kind, or several, each on addresses of its own."""
    made = []
    for copy in range(copies):
        for kind in kinds:
            number = len(made)
            middle = (_address(2, copy, MIDDLE_PORT + PORTS[kind] % 100) if place.delay_ms == 0
                      else f"{place.middle}:{MIDDLE_PORT + number}")
            made.append(Service(f"{kind}-{copy}", kind,
                                _address(1, copy, FRONT_PORT + PORTS[kind] % 100), middle,
                                _address(3, copy, PORTS[kind])))
    return made


class Chain:
    """Proxies that run: a list of processes, and the services they carry."""

    def __init__(self, place, folder, carried):
        self.place, self.folder, self.services = place, folder, carried
        self.proxies = []
        self.members = 1  # servers that a stream reaches
        folder.mkdir(parents=True, exist_ok=True)

    def fronts(self, kind):
        return [s.front for s in self.services if s.kind == kind]

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def spawn(self, command, far):
        with open(self.folder / f"log-{len(self.proxies)}", "wb") as log:
            self.proxies.append(self.place.spawn(command, far, stdout=log, stderr=log))

    def pids(self):
        return [p.pid for p in self.proxies]

    def complaint(self):
        """The last line that any of the proxies has written, for messages."""
        lines = []
        for path in sorted(self.folder.glob("log-*")):
            text = path.read_text(encoding="utf-8", errors="replace").strip()
            lines += text.splitlines()[-1:]
        return "; ".join(lines)

    def stop(self):
        self.place.stop(self.proxies)


class System:
    """What can carry a stream; start() makes a chain of it."""

    program = None  # looked for in PATH
    package = None
    peer = True
    floor = False  # no product, but the least that the work can cost: never the best peer
    descriptors = 2  # a session's, in each of its processes

    def __init__(self, name):
        self.name = name

    def secured(self):
        """What is measured in rows of secured links: itself, where it has no other way."""
        return self

    def missing(self):
        """Why it cannot run here, or None."""
        if self.program is None or shutil.which(self.program, path=_PATH):
            return None
        return f"{self.program} is not installed (Debian: {self.package})"

    def version(self):
        return ""

    def start(self, place, folder, carried):
        chain = Chain(place, folder, carried)
        self.launch(chain)
        return chain

    def launch(self, chain):
        raise NotImplementedError


_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _which(program):
    return shutil.which(program, path=_PATH)


def _first_line(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    return (done.stdout.strip().splitlines() or [""])[0]


class Direct(System):
    """No proxy at all: what the machine and the load tool do by themselves."""

    peer = False
    descriptors = 1

    def start(self, place, folder, carried):
        if place.delay_ms:
            carried = [s._replace(front=f"{place.middle}:{PORTS[s.kind]}") for s in carried]
        else:
            carried = [s._replace(front=s.back) for s in carried]
        return Chain(place, folder, carried)


class Cloudbus(System):
    """The controller and the segment of a build directory."""

    peer = False
    descriptors = 1

    def __init__(self, name, folder, scheme="tcp"):
        super().__init__(name)
        self.folder, self.scheme = Path(folder).resolve(), scheme

    def secured(self):
        return Cloudbus(self.name + "+bus", self.folder, "bus")

    def missing(self):
        for program in ("controller", "segment"):
            if not os.access(self.folder / program, os.X_OK):
                return f"no program {self.folder / program}"
        return None

    def version(self):
        return _first_line(self.folder / "controller", "-V")

    def _make_bus(self, folder):
        """Keys and tokens for a node of each role, which may have every service."""
        tool = self.folder / "cloudbus"
        if not os.access(tool, os.X_OK):
            raise Failure(f"no program {tool}")
        run(str(tool), "init", str(folder))
        for role, allows in (("segment", "--serve"), ("controller", "--open")):
            run(str(tool), "issue", "-d", str(folder), role, "--role", role, allows, "*")

    def launch(self, chain):
        if self.scheme == "bus":
            self._make_bus(chain.folder / "bus")
        # One bind of the segment for all services: they share its link.
        middle = chain.services[0].middle
        self._node(chain, "segment", "segment", [(s.name, middle, [s.back])
                                                 for s in chain.services])
        self._node(chain, "controller", "controller", [(s.name, s.front, [middle])
                                                       for s in chain.services])

    def start_fanout(self, place, folder, carried, members):
        """One service to so many segments, full duplex."""
        chain = Chain(place, folder, carried)
        chain.members = members
        service = carried[0]
        middles = [_address(2, 100 + i, MIDDLE_PORT) for i in range(members)]
        for i, middle in enumerate(middles):
            self._node(chain, "segment", f"segment-{i}", [(service.name, middle,
                                                           [service.back])])
        self._node(chain, "controller", "controller", [(service.name, service.front, middles)],
                   mode="full duplex")
        return chain

    def _node(self, chain, program, name, sections, **keys):
        text = "[Cloudbus]\nlog=warning\ndrain_timeout=0s\n"
        if self.scheme == "bus":
            bus = chain.folder / "bus"
            text += f"trust={bus}/trust\nidentity={bus}/{name}.key\ntoken={bus}/{name}.token\n"
        near, far = ("tcp", self.scheme) if program == "controller" else (self.scheme, "tcp")
        for section, bind, servers in sections:
            text += f"\n[{section}]\nbind={near}://{bind}\n"
            text += "".join(f"server={far}://{server}\n" for server in servers)
            text += "".join(f"{key}={value}\n" for key, value in keys.items())
        path = chain.write(f"{name}.ini", text)
        chain.spawn([self.folder / program, "-c", path], far=program == "segment")


class Haproxy(System):
    program, package = "haproxy", "haproxy"

    def __init__(self, name, splice, tuning):
        super().__init__(name)
        self.splice, self.tuning = splice, tuning

    def version(self):
        return _first_line(_which("haproxy"), "-v")

    def launch(self, chain):
        sessions = min(SESSIONS_MAX, sessions_max(2) - len(chain.services))
        for far in (True, False):
            text = ("global\n nbthread 1\n"
                    f" maxconn {sessions}\n" + self.tuning +
                    "defaults\n mode tcp\n timeout connect 10s\n timeout client 1h\n"
                    f" timeout server 1h\n maxconn {sessions}\n backlog 16384\n")
            if self.splice:
                text = text.replace(" nbthread", f" maxpipes {PIPES}\n nbthread") + (
                    " option splice-auto\n")
            for s in chain.services:
                bind, server = (s.middle, s.back) if far else (s.front, s.middle)
                text += f"listen {s.name}\n bind {bind}\n server s {server}\n"
            path = chain.write("far.cfg" if far else "near.cfg", text)
            chain.spawn([_which("haproxy"), "-db", "-f", path], far)


class Nginx(System):
    program, package = "nginx", "libnginx-mod-stream"
    module = "/usr/lib/nginx/modules/ngx_stream_module.so"

    def missing(self):
        if not os.path.exists(self.module):
            return f"nginx's stream module is not installed (Debian: {self.package})"
        return super().missing()

    def version(self):
        return _first_line(_which("nginx"), "-v")

    def launch(self, chain):
        # A session takes two connections; the table of them is made at start.
        connections = min(2 * SESSIONS_MAX if len(chain.services) > 4 else 24000,
                          2 * sessions_max(2) + OWN_FILES)
        for far in (True, False):
            folder = chain.folder / ("far" if far else "near")
            folder.mkdir(exist_ok=True)
            text = (f"load_module {self.module};\nworker_processes 1;\ndaemon off;\n"
                    f"pid {folder}/pid;\nerror_log stderr crit;\n"
                    f"events {{ worker_connections {connections}; multi_accept on; }}\n"
                    "stream {\n access_log off;\n proxy_buffer_size 64k;\n"
                    " proxy_timeout 1h;\n proxy_connect_timeout 10s;\n tcp_nodelay on;\n"
                    " proxy_half_close on;\n")
            for s in chain.services:
                bind, server = (s.middle, s.back) if far else (s.front, s.middle)
                text += (f" server {{ listen {bind} backlog=16384; "
                         f"proxy_pass {server}; }}\n")
            path = chain.write(f"{folder.name}.conf", text + "}\n")
            chain.spawn([_which("nginx"), "-p", folder, "-e", "stderr", "-c", path], far)


class Socat(System):
    program, package = "socat", "socat"

    def version(self):
        return "socat " + run(_which("socat"), "-V").split("version ")[1].split()[0]

    def launch(self, chain):
        for s in chain.services:
            for far, bind, server in ((True, s.middle, s.back), (False, s.front, s.middle)):
                host, port = bind.rsplit(":", 1)
                chain.spawn([_which("socat"), "-b", "131072",
                             f"TCP-LISTEN:{port},bind={host},fork,reuseaddr,backlog=4096,nodelay",
                             f"TCP:{server},nodelay"], far)


class Ssh(System):
    program, package = "sshd", "openssh-server"
    cipher = "aes128-gcm@openssh.com"

    def version(self):
        return _first_line(_which("ssh"), "-V")

    def launch(self, chain):
        folder = chain.folder
        for key in ("host", "user"):
            if not (folder / key).exists():
                run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key))
        shutil.copy(folder / "user.pub", folder / "authorized")
        host, port = chain.services[0].middle.rsplit(":", 1)
        server = chain.write("sshd_config", (
            f"ListenAddress {host}\nPort {port}\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPidFile none\n"
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUseDNS no\n"
            f"Ciphers {self.cipher}\nCompression no\nLogLevel ERROR\nPrintMotd no\n"))
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        chain.spawn([_which("sshd"), "-D", "-e", "-f", server], far=True)
        self._until_listening(chain, host, port)
        forwards = [word for s in chain.services for word in ("-L", f"{s.front}:{s.back}")]
        user = pwd.getpwuid(os.getuid()).pw_name
        chain.spawn(["ssh", "-F", "none", "-N", "-T", "-o", "StrictHostKeyChecking=no",
                     "-o", "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes",
                     "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", "Compression=no",
                     "-c", self.cipher, "-i", folder / "user", "-p", port, *forwards,
                     f"{user}@{host}"], far=False)

    @staticmethod
    def _until_listening(chain, host, port):
        """ssh itself does not try again."""
        command = ["bash", "-c", f"for i in $(seq 200); do : 2>/dev/null </dev/tcp/{host}/{port} "
                                 "&& exit; sleep 0.02; done; exit 1"]
        waiting = chain.place.spawn(command, stderr=subprocess.DEVNULL)
        if waiting.wait(30) != 0:
            raise Failure(f"sshd does not listen: {chain.complaint()}")


class Stunnel(System):
    """One suite of TLS 1.3.  A client's further connections resume its first session: no
    certificate is sent or verified again.  The server is asked for its certificate alone, the
    client for none: the least that TLS can do."""

    program, package = "stunnel4", "stunnel4"

    def __init__(self, name, suite):
        super().__init__(name)
        self.suite = suite

    def version(self):
        done = subprocess.run([_which("stunnel4"), "-version"], stdin=subprocess.DEVNULL,
                              stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True,
                              check=False)
        return next((line for line in done.stdout.splitlines() if line.startswith("stunnel ")),
                    "stunnel4")

    def launch(self, chain):
        key = chain.folder / "key.pem"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=bench", "-keyout", str(key),
            "-out", str(chain.folder / "cert.pem"))
        for far in (True, False):
            text = ("foreground = yes\npid =\ndebug = err\nsslVersion = TLSv1.3\n"
                    f"ciphersuites = {self.suite}\ncurves = X25519\nlibwrap = no\n"
                    f"sessionResume = yes\nsessionCacheSize = {CACHED}\n"
                    "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n")
            for s in chain.services:
                bind, server = (s.middle, s.back) if far else (s.front, s.middle)
                text += f"[{s.name}]\naccept = {bind}\nconnect = {server}\n"
                text += (f"cert = {chain.folder}/cert.pem\nkey = {key}\n" if far
                         else "client = yes\n")
            path = chain.write("far.conf" if far else "near.conf", text)
            chain.spawn([_which("stunnel4"), path], far)


class Bare(System):
    """The floor: splices bulk streams, each over a connection of its own, and sends what all
    others say in a turn in one write.  See bare.c."""

    floor = True

    def __init__(self, name, tools):
        super().__init__(name)
        self.binary = Path(tools).resolve() / "bare"

    def missing(self):
        return None if os.access(self.binary, os.X_OK) else f"no program {self.binary}"

    def launch(self, chain):
        for far in (True, False):
            words = []
            for s in chain.services:
                words += ["--batch" if s.kind == "echo" else "--splice"]
                words += [s.middle, s.back] if far else [s.front, s.middle]
            chain.spawn([self.binary, "far" if far else "near", *words], far)


def peers(tools):
    """All peers, in the order of the table."""
    # Buffers of 64 KiB were the cheapest for bulk among 16 to 128, and cost requests nothing;
    # pipes of 1 MiB helped many streams.
    return [Haproxy("haproxy", False, " tune.bufsize 65536\n"),
            Haproxy("haproxy-splice", True, " tune.bufsize 65536\n tune.pipesize 1048576\n"),
            Nginx("nginx"), Socat("socat"), Ssh("ssh"),
            Stunnel("stunnel-aes", "TLS_AES_128_GCM_SHA256"),
            Stunnel("stunnel-chacha", "TLS_CHACHA20_POLY1305_SHA256"), Bare("bare", tools)]
