"""Secured transports by hand (cloudbus-protocol(7), SECURED TRANSPORTS), for peers that misbehave:
the handshake and the records, from the page and the Noise Protocol Framework alone, and tokens with
whatever one likes in them.  Nothing of it is the code under test."""

import base64
import hashlib
import hmac
import json
import os
import re
import struct
import time

import pytest

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ImportError:
    if os.environ.get("CLOUDBUS_E2E_REQUIRE") == "1":
        raise
    pytest.skip("python3-cryptography is not installed", allow_module_level=True)

NAME = b"Noise_XXpsk3_25519_ChaChaPoly_BLAKE2b"
PROLOGUE = b"cloudbus\0\1"
MESSAGE_1 = 88
TAG = 16
KEY = 32


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def field(path, name):
    """The bytes of a key in a file of keys."""
    return decode(re.search(rf"(?m)^{name} (\S+)$", path.read_text())[1])


# --- tokens -----------------------------------------------------------------------------------

class Key:
    """A node's."""

    def __init__(self):
        self._key = X25519PrivateKey.generate()
        self.public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def shared(self, public):
        return self._key.exchange(X25519PublicKey.from_public_bytes(public))


def signer(folder):
    """The cluster key of a bus."""
    return Ed25519PrivateKey.from_private_bytes(field(folder / "cluster.key", "secret-key"))


def claims(key, role, **changes):
    """What the administrator would say of a node that may do all; None leaves a claim out."""
    now = int(time.time())
    all_ = {"iss": "example", "sub": "scripted", "role": role,
            "cnf": {"jwk": {"kty": "OKP", "crv": "X25519", "x": encode(key.public)}},
            "serve": ["*"], "open": ["*"], "nbf": now - 60, "exp": now + 3600, "jti": "id-1",
            **changes}
    return {name: value for name, value in all_.items() if value is not None}


def part(value):
    return encode(json.dumps(value).encode())


def sign(by, body, header=None):
    """A token, as bytes."""
    text = part(header or {"alg": "EdDSA", "typ": "JWT"}) + "." + part(body)
    return f"{text}.{encode(by.sign(text.encode()))}".encode()


# --- the handshake ----------------------------------------------------------------------------

def _mac(key, data):
    return hmac.new(key, data, hashlib.blake2b).digest()


def _derive(chain, data, n):
    """HKDF of the framework: n outputs of 64 bytes."""
    key, outputs, last = _mac(chain, data), [], b""
    for i in range(1, n + 1):
        last = _mac(key, last + bytes([i]))
        outputs.append(last)
    return outputs


def _labelled(secret, label):
    return hashlib.blake2b(label, key=secret, digest_size=KEY).digest()


def _nonce(n):
    return bytes(4) + struct.pack("<Q", n)


class Symmetric:
    """SymmetricState and its CipherState."""

    def __init__(self):
        self._hash = self.chain = NAME.ljust(64, b"\0")
        self._key, self._n = None, 0
        self.mix_hash(PROLOGUE)

    def mix_hash(self, data):
        self._hash = hashlib.blake2b(self._hash + data).digest()

    def mix_key(self, data):
        self.chain, key = _derive(self.chain, data, 2)
        self._key, self._n = key[:KEY], 0

    def mix_key_and_hash(self, data):
        self.chain, more, key = _derive(self.chain, data, 3)
        self.mix_hash(more)
        self._key, self._n = key[:KEY], 0

    def mix_ephemeral(self, public):
        """The key too, as in every pattern with a psk (revision 34, 9.2)."""
        self.mix_hash(public)
        self.mix_key(public)

    def encrypt(self, text):
        if self._key is not None:
            text = ChaCha20Poly1305(self._key).encrypt(_nonce(self._n), text, self._hash)
        self._n += 1
        self.mix_hash(text)
        return text

    def decrypt(self, text):
        plain = text
        if self._key is not None:
            plain = ChaCha20Poly1305(self._key).decrypt(_nonce(self._n), text, self._hash)
        self._n += 1
        self.mix_hash(text)
        return plain


def first_message(state, ephemeral, secret, skew=0):
    """Message 1, its time and MAC."""
    state.mix_ephemeral(ephemeral.public)
    text = ephemeral.public + state.encrypt(b"")
    text += struct.pack(">Q", int((time.time() + skew) * 1e6))
    return text + hashlib.blake2b(text, key=_labelled(secret, b"cloudbus 1 message 1 mac"),
                                  digest_size=KEY).digest()


def _prefixed(message):
    return struct.pack(">H", len(message)) + message


class Sealed:
    """A secured transport over a Stream, with the same functions; Peer of proto.py runs over it.
    dial() and accept() stop before they tell the other side who they are: present() is for that."""

    def __init__(self, stream, secret, static, psk=None):
        self.stream, self.secret, self.static = stream, secret, static
        self.psk = _labelled(psk or secret, b"cloudbus 1 psk")
        self.state, self.ephemeral = Symmetric(), Key()
        self.peer_token = None
        self._dials = self._tx = self._rx = self._theirs = None
        self._buffer = b""

    def dial(self, skew=0):
        """Sends message 1, and takes message 2."""
        self._dials = True
        self.stream.send(first_message(self.state, self.ephemeral, self.secret, skew))
        message = self._unit()
        self._theirs = self._take_ephemeral(message)
        self.state.mix_key(self.ephemeral.shared(self._theirs))
        self.peer_token = self._take_static(message[KEY:])
        return self

    def accept(self):
        """Takes message 1."""
        self._dials = False
        message = self.stream.recv_exactly(MESSAGE_1)
        self._theirs = self._take_ephemeral(message)
        self.state.decrypt(message[KEY:KEY + TAG])
        return self

    def _take_ephemeral(self, message):
        self.state.mix_ephemeral(message[:KEY])
        return message[:KEY]

    def _take_static(self, message):
        """Static key and token of message 2; the token."""
        static = self.state.decrypt(message[:KEY + TAG])
        self.state.mix_key(self.ephemeral.shared(static))
        return self.state.decrypt(message[KEY + TAG:])

    def message(self, token):
        """The message with the token: 3 for who has dialled, else 2."""
        text = b""
        if not self._dials:
            text = self.ephemeral.public
            self.state.mix_ephemeral(text)
            self.state.mix_key(self.ephemeral.shared(self._theirs))
        text += self.state.encrypt(self.static.public)
        self.state.mix_key(self.static.shared(self._theirs))
        if self._dials:
            self.state.mix_key_and_hash(self.psk)
        text += self.state.encrypt(token)
        return _prefixed(text)

    def present(self, token):
        """Sends it.  Who has dialled is done with that."""
        message = self.message(token)
        if self._dials:
            self._split()
        self.stream.send(message)
        return self

    def present_and_say(self, token, *frames):
        """The same of who has dialled, and frames behind it in the same write."""
        message = self.message(token)
        self._split()
        self.stream.send(message + self._seal(b"".join(frames)))

    def finish(self):
        """Takes message 3, of who has dialled."""
        message = self._unit()
        static = self.state.decrypt(message[:KEY + TAG])
        self.state.mix_key(self.ephemeral.shared(static))
        self.state.mix_key_and_hash(self.psk)
        self.peer_token = self.state.decrypt(message[KEY + TAG:])
        self._split()
        return self

    def _split(self):
        keys = [[key[:KEY], 0] for key in _derive(self.state.chain, b"", 2)]
        self._tx, self._rx = keys if self._dials else keys[::-1]

    # --- records ---

    def _unit(self):
        return self.stream.recv_exactly(struct.unpack(">H", self.stream.recv_exactly(2))[0])

    @staticmethod
    def _cipher(direction):
        key, n = direction
        direction[1] += 1
        return ChaCha20Poly1305(key), _nonce(n)

    def _seal(self, data):
        cipher, nonce = self._cipher(self._tx)
        return _prefixed(cipher.encrypt(nonce, data, None))

    def send(self, data):
        self.stream.send(self._seal(data))

    def recv(self):
        """What the next record has: b"" for CLOSE.  An end without that is an EOFError."""
        cipher, nonce = self._cipher(self._rx)
        try:
            return cipher.decrypt(nonce, self._unit(), None)
        except InvalidTag as error:
            raise AssertionError("a record that is not genuine") from error
