"""What all of the second implementation of the one-time-credential mechanism stands on: constants, HKDF, X25519, the secret, the
credential and what is asked, channel bindings. "Section" means one of doc/otc.md, everywhere in these files.
"""
import hashlib
import hmac
import struct
import uuid
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

OID = bytes.fromhex("2a864886f71401be40937a81be7882ac2b874981964782e26f83cea20782b59137")
DER_OID = b"\x06" + bytes([len(OID)]) + OID
LINK, SIDE_A, SIDE_B = 0x00, 0x61, 0x62
PEER_SIDE = {LINK: LINK, SIDE_A: SIDE_B, SIDE_B: SIDE_A}
INITIATOR, ACCEPTOR = 0, 1

MUTUAL, REPLAY, SEQUENCE, CONF, INTEG, TRANS = 0x02, 0x04, 0x08, 0x10, 0x20, 0x100
ALWAYS = MUTUAL | CONF | INTEG | TRANS
FOREVER = 0xFFFFFFFF
DEFAULT_LIFETIME = 7 * 86400
GRACE = 300
NO_BINDINGS = bytes(33)


class Refused(Exception):
    """The token or the call is refused; `name` is a name of section 13, `token` what goes to the peer all the same."""

    def __init__(self, name, token=b""):
        super().__init__(name)
        self.name, self.token = name, token


# Primitives

def extract(salt, ikm):
    return hmac.digest(salt, ikm, "sha256")


def expand(prk, info, length):
    if length > 255 * 32:
        raise Refused("PRF_LIMIT")
    out, block = b"", b""
    for i in range(1, (length + 31) // 32 + 1):
        block = hmac.digest(prk, block + info + bytes([i]), "sha256")
        out += block
    return out[:length]


def public_of(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def x25519(private, public):
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:  # what OpenSSL says to an all-zero result
        raise Refused("DAMAGED") from None


def vec(width, data):
    """vec8, vec16, vec32 are widths 1, 2, 4."""
    return len(data).to_bytes(width, "big") + data


class Reader:
    def __init__(self, data, short="DAMAGED"):
        self.data, self.short = bytes(data), short

    def take(self, n):
        if len(self.data) < n:
            raise Refused(self.short)
        head, self.data = self.data[:n], self.data[n:]
        return head

    def number(self, n):
        return int.from_bytes(self.take(n), "big")

    def vec(self, width):
        return self.take(self.number(width))

    def end(self, name="DAMAGED"):
        if self.data:
            raise Refused(name)


# Section 2: the secret

def psk_of(secret):
    return expand(extract(b"gage/otc/1", secret), b"psk", 32)


@dataclass
class Secret:
    """One's own side of a secret."""
    side: int
    psk: bytes

    @classmethod
    def link(cls, secret):
        return cls(LINK, psk_of(secret))

    @classmethod
    def pair(cls, side, secret):
        return cls(ord(side), psk_of(secret))


# Section 3.3: the credential, and what is asked

BAD_CHARACTERS = {*range(0x00, 0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def check_text(data):
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("DAMAGED") from None
    if any(ord(c) in BAD_CHARACTERS for c in text):
        raise Refused("DAMAGED")
    return data


def fresh_id(random):
    return uuid.UUID(bytes=random(16), version=4).bytes


@dataclass
class Credential:
    id: bytes
    not_after: int = 0
    label: bytes = b""
    purpose: bytes = b""
    title: bytes = b""
    format: bytes = b""

    def strings(self):
        return vec(1, self.label) + vec(1, self.purpose) + vec(2, self.title) + vec(1, self.format)

    def encode(self):
        return self.id + struct.pack(">Q", self.not_after) + self.strings()

    @classmethod
    def decode(cls, r, id=None, not_after=None):
        id = r.take(16) if id is None else id
        not_after = r.number(8) if not_after is None else not_after
        texts = [check_text(r.vec(width)) for width in (1, 1, 2, 1)]
        if len(texts[2]) > 1024:
            raise Refused("DAMAGED")
        return cls(id, not_after, *texts)

    def principal(self, role):
        return f"{uuid.UUID(bytes=self.id)}/{'acceptor' if role else 'initiator'}"

    def exported_name(self, role):
        name = self.principal(role).encode()
        return b"\x04\x01" + vec(2, DER_OID) + vec(4, name)


@dataclass
class Ask:
    """Payload 1."""
    credential: Credential
    lifetime: int
    flags: int
    bindings: bytes

    def encode(self):
        c = self.credential
        return (c.id + struct.pack(">QII", c.not_after, self.lifetime, self.flags) + self.bindings + c.strings())

    @classmethod
    def decode(cls, data):
        r = Reader(data)
        id, not_after, lifetime, flags = r.take(16), r.number(8), r.number(4), r.number(4)
        bindings = check_bindings(r.take(33))
        ask = cls(Credential.decode(r, id, not_after), lifetime, flags, bindings)
        r.end()
        if lifetime == 0 or not flags_allowed(flags):
            raise Refused("DAMAGED")
        return ask


def flags_allowed(flags):
    return flags & ALWAYS == ALWAYS and not flags & ~(ALWAYS | REPLAY | SEQUENCE)


# Section 6: channel bindings

def bindings_of(initiator_addrtype, initiator_address, acceptor_addrtype, acceptor_address, data):
    fields = (struct.pack(">I", initiator_addrtype) + vec(4, initiator_address)
              + struct.pack(">I", acceptor_addrtype) + vec(4, acceptor_address) + vec(4, data))
    return b"\x01" + hashlib.sha256(b"gage/otc/1 bindings" + fields).digest()


def check_bindings(data):
    if data[0] > 1 or (data[0] == 0 and data != NO_BINDINGS):
        raise Refused("DAMAGED")
    return data


def bound(mine, peers):
    """Whether CHANNEL_BOUND is reported; BAD_BINDINGS where both are present and differ."""
    if not (mine[0] and peers[0]):
        return False
    if mine != peers:
        raise Refused("BAD_BINDINGS")
    return True
