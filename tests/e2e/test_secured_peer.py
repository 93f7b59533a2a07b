"""What a node makes of a peer that shows it a bad token or key: a scripted one, on either side."""

import signal
import time

import pytest

from bus import Keys
from net import FIN as CLEAN, RST, echo
from noise import Key, Sealed, claims, encode, field, part, sign, signer
from proto import (CONTROLLER, DATA, GOAWAY, RESET, REVOKED, SEGMENT, Peer, data, goaway_code, hello,
                   open_, reset_code)

ROLES = {"segment": "controller", "controller": "segment"}  # of a node under test: of its peer


class Script:
    """One node under test, and all that a scripted peer of it needs."""

    def __init__(self, bus, program):
        self.bus, self.program, self.role = bus, program, ROLES[program]
        if program == "segment":
            self._service = bus.service(bus.serve(echo), name="echo", link="bus")
            self.node = bus.segments[0]
            self._url = self.node.sections[0][1][0][1].replace("bus:", "tcp:")
        else:
            self._listener = bus.listen()
            bus.secure()
            self.node = bus.controller
            self.node.section("echo", bus.address(),
                              self._listener.url.replace("tcp:", "bus:"))
        self.folder = bus.keys.folder
        self.secret = field(self.folder / "trust", "network-secret")
        self.signer = signer(self.folder)
        self.key = Key()

    def start(self):
        self.node.options["revoked"] = self.folder / "revoked"
        self.bus.keys.revoke("revoked-node", "revoked-id")
        self.node.start()
        return self

    def claims(self, **changes):
        return claims(self.key, **{"role": self.role, **changes})

    def token(self, **changes):
        return sign(self.signer, self.claims(**changes))

    def meet(self, **kwargs):
        """A handshake with the node, up to where the script says who it is."""
        kwargs = {"secret": self.secret, "static": self.key, **kwargs}
        if self.program == "segment":
            return Sealed(self.bus.connect(self._url), **kwargs).dial()
        return Sealed(self._listener.accept(), **kwargs).accept()

    def is_let_in(self, token):
        """With a session that works."""
        sealed = self.meet().present(token)
        peer = Peer(sealed if self.program == "segment" else sealed.finish())
        if self.program == "controller":
            peer.greet(SEGMENT)
            return peer
        peer.greet(CONTROLLER)
        peer.send(open_(1, "echo"), data(1, b"are you there?"))
        assert peer.expect_data(1, 14) == b"are you there?"
        return peer

    def is_turned_away(self, token, **kwargs):
        """Not a byte is said to it, and it is reset, whatever was wrong and whatever it says."""
        sealed = self.meet(**kwargs)
        if self.program == "segment":
            sealed.present_and_say(token, hello(), open_(1, "echo"), data(1, b"let me in"))
        else:
            sealed.present(token)
        assert sealed.stream.recv_end() == (b"", RST)


@pytest.fixture(params=list(ROLES))
def script(bus, request):
    return Script(bus, request.param)


def changed(token, **changes):
    """Other claims under the same signature."""
    head, _, signature = token.decode().split(".")
    return f"{head}.{part(changes)}.{signature}".encode()


NOW = int(time.time())
# Where the signature holds the log names the node, and says what is wrong.
SIGNED = {
    "expired": ({"nbf": NOW - 7200, "exp": NOW - 31}, "node scripted: exp: expired at "),
    "not yet valid": ({"nbf": NOW + 86400, "exp": NOW + 2 * 86400},
                      "node scripted: nbf: not valid before "),
    "other bus": ({"iss": "umbrella"}, 'iss: "umbrella"; expected example'),
    "revoked by name": ({"sub": "revoked-node"}, "node revoked-node, token id-1: revoked"),
    "revoked by id": ({"jti": "revoked-id"}, "node scripted, token revoked-id: revoked"),
    "other key": ({"cnf": {"jwk": {"kty": "OKP", "crv": "X25519", "x": encode(Key().public)}}},
                  "cnf: the token of node scripted, shown by one that has another key"),
    "for somebody else": ({"aud": "umbrella"}, "aud: "),
    "no end": ({"exp": None}, "exp: missing"),
    "no id": ({"jti": None}, "jti: missing"),
    "end is text": ({"exp": str(NOW + 3600)}, "exp: a string"),
    "a line in its name": ({"sub": "x\n2026 error: all is lost"}, "sub: "),
}


@pytest.mark.parametrize("what", SIGNED)
def test_case_32_a_signed_token_that_does_not_do(script, what):
    changes, words = SIGNED[what]
    script.start().is_turned_away(script.token(**changes))
    script.node.daemon.wait_log(words)
    script.key = Key()
    script.is_let_in(script.token())


def test_case_32_a_token_of_the_other_role(script):
    own = script.program
    script.start().is_turned_away(script.token(role=own))
    script.node.daemon.wait_log(f"role: node scripted is a {own}; expected a {script.role}")


NOT_SIGNED = {
    "alg none": (lambda s: f'{part({"alg": "none"})}.{part(s.claims())}.'.encode(),
                 "signature: 0 characters"),
    "alg none, with a signature": (
        lambda s: sign(s.signer, s.claims(), {"alg": "none"}), "alg: "),
    "alg HS256": (lambda s: sign(s.signer, s.claims(), {"alg": "HS256"}), "alg: "),
    "header changed": (
        lambda s: (part({"alg": "none"}) + "." + s.token().decode().split(".", 1)[1]).encode(),
        "signature: not made by the cluster key"),
    "claims changed": (
        lambda s: changed(s.token(open=[], serve=[]), **s.claims()),
        "signature: not made by the cluster key"),
    "signed by another": (
        lambda s: sign(signer(Keys(s.bus.folder, "other").folder), s.claims()),
        "signature: not made by the cluster key"),
    "signature cut": (lambda s: s.token()[:-1], "signature: 85 characters; expected the 86"),
    "signature in another text": (
        lambda s: s.token()[:-1] + bytes([s.token()[-1] + 1]),
        "signature: not base64url: bits of its last character"),
    "no token": (lambda s: b"\xff" * 100, "not a token: "),
}


@pytest.mark.parametrize("what", NOT_SIGNED)
def test_case_32_a_token_that_nobody_signed(script, what):
    make, words = NOT_SIGNED[what]
    script.start().is_turned_away(make(script))
    script.node.daemon.wait_log(words)
    script.key = Key()
    script.is_let_in(script.token())


def test_case_32_a_token_of_4096_bytes_is_the_longest(script):
    rest = 4096 - len(script.token(pad=""))
    # Base64 makes four characters of three bytes; what is left over may not come out even.
    token = next(token for n in range(rest * 3 // 4 - 4, rest)
                 if len(token := script.token(pad="x" * n)) in (4095, 4096))
    script.start()
    script.is_let_in(token).stream.stream.reset()
    script.key = Key()
    sealed = script.meet()
    sealed.present(script.token(pad="x" * (rest + 8)))
    assert sealed.stream.recv_end() == (b"", RST)
    script.node.daemon.wait_log("a handshake message of .* bytes, expected .*: a token too long")


def test_case_32_a_message_under_another_secret(bus):
    """Its first message is right, and what it says then is under another secret: as from who has
    a first message of somebody else."""
    script = Script(bus, "segment").start()
    script.is_turned_away(script.token(), psk=bytes(32))
    script.node.daemon.wait_log("a handshake message does not hold")


def test_case_32_another_network_secret(bus):
    """It is not even answered, with the same end."""
    script = Script(bus, "segment").start()
    with pytest.raises(ConnectionResetError):
        script.meet(secret=bytes(32))
    script.node.daemon.wait_log("refused: its first message does not have this bus's network sec")


@pytest.mark.parametrize("entry", ["id-7", "scripted"])
def test_revoked_by_its_id_while_it_is_used(script, entry):
    """A live link of the token ends, and no other does; a fresh token of the node is let in,
    unless it was the node that is on the list."""
    script.start()
    if script.program == "segment":
        script.key, key = Key(), script.key
        other = script.is_let_in(script.token(jti="id-8", sub="another"))
        script.key = key
    peer = script.is_let_in(script.token(jti="id-7"))
    script.bus.keys.revoke(entry)
    script.node.daemon.signal(signal.SIGHUP)
    frames, how = peer.drain()
    assert how == CLEAN  # behind CLOSE
    assert [goaway_code(frame) for frame in frames if frame.type == GOAWAY] == [REVOKED]
    script.node.daemon.wait_log("node scripted .*is let in no more: it is revoked")
    if entry == "scripted":
        script.is_turned_away(script.token(jti="id-9"))
    else:
        script.is_let_in(script.token(jti="id-9"))
    if script.program == "segment":
        other.expect_pong(1)


def test_what_a_token_does_not_allow_is_refused_on_the_wire(bus):
    """The peer asks for it all the same."""
    script = Script(bus, "segment").start()
    peer = Peer(script.meet().present(script.token(open=["ech", "echo2", "x*"]))).greet(CONTROLLER)
    peer.send(open_(1, "echo"), data(1, b"x"))
    got = peer.expect(RESET, 1, skip=(DATA,))
    assert reset_code(got) != 0
    script.node.daemon.wait_log(r"session refused: node scripted may not open \[echo\] at node "
                                r"segment1 .*the opener's token")
