"""The one-time-credential mechanism in Python, written from doc/otc.md alone: the handshake (sections 3 to 6).

A second opinion for the tests, not a product: nothing is wiped, nothing is constant in time but what hmac.compare_digest compares.
otc_core.py holds what this stands on, otc_message.py the messages, otc_store.py text forms, files and exported contexts.
"""
import hashlib
import hmac
import os
import struct
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otc_core import (ACCEPTOR, ALWAYS, DEFAULT_LIFETIME, DER_OID, GRACE, INITIATOR, NO_BINDINGS, OID, PEER_SIDE, Ask, Reader,
                      Refused, bound, check_bindings, expand, extract, public_of, x25519)
from otc_message import Context

# Section 3: framing and the clear header

def der_length(n):
    if n < 128:
        return bytes([n])
    size = (n.bit_length() + 7) // 8
    return bytes([0x80 | size]) + n.to_bytes(size, "big")


def frame(inner):
    body = DER_OID + inner
    return b"\x60" + der_length(len(body)) + body


def unframe(token):
    if len(token) > 4096:
        raise Refused("DAMAGED")
    r = Reader(token, "TRUNCATED")
    if r.take(1) != b"\x60":
        raise Refused("FOREIGN")
    length = r.number(1)
    if length > 0x82 or length == 0x80:
        raise Refused("DAMAGED")
    if length > 0x80:
        length = r.number(length & 0x7F)
        if der_length(length) != token[1:len(token) - len(r.data)]:
            raise Refused("DAMAGED")
    if len(r.data) < length:
        raise Refused("TRUNCATED")
    if len(r.data) > length:
        raise Refused("DAMAGED")
    if r.take(len(DER_OID)) != DER_OID:
        raise Refused("FOREIGN")
    return r.data


def kid_of(psk, salt):
    return expand(psk, b"kid" + salt, 32)


def prologue_of(header):
    return b"gage-otc-1" + bytes([len(OID)]) + OID + header


# Section 3.2: Noise_NNpsk0_25519_AESGCM_SHA256

class Noise:
    def __init__(self, prologue, psk):
        self.h = self.ck = b"Noise_NNpsk0_25519_AESGCM_SHA256"
        self.k, self.n = None, 0
        self.mix_hash(prologue)
        self.ck, t, self.k = self.hkdf(psk, 3)
        self.mix_hash(t)

    def hkdf(self, data, n):
        out = expand(extract(self.ck, data), b"", 32 * n)
        return [out[i:i + 32] for i in range(0, 32 * n, 32)]

    def mix_hash(self, data):
        self.h = hashlib.sha256(self.h + data).digest()

    def mix_key(self, data):
        self.ck, self.k = self.hkdf(data, 2)
        self.n = 0

    def mix_public(self, public):
        self.mix_hash(public)
        self.mix_key(public)

    def nonce(self):
        return struct.pack(">IQ", 0, self.n)

    def encrypt(self, plain):
        c = AESGCM(self.k).encrypt(self.nonce(), plain, self.h)
        self.mix_hash(c)
        self.n += 1
        return c

    def decrypt(self, c):
        try:
            plain = AESGCM(self.k).decrypt(self.nonce(), c, self.h)
        except InvalidTag:
            raise Refused("DAMAGED") from None
        self.mix_hash(c)
        self.n += 1
        return plain

    def prk(self):
        return extract(self.h, self.ck)

    def copy(self):
        twin = object.__new__(Noise)
        twin.__dict__.update(self.__dict__)
        return twin


# Sections 3.4, 3.5: answer and confirmation

RESULTS = {1: "EXPIRED", 2: "USED", 3: "BAD_BINDINGS"}


def confirmation_of(prk, h):
    return hmac.digest(expand(prk, b"confirm initiator", 32), h, "sha256")


class Initiator:
    """Makes token1 at once; step(token 2) returns token 3 and leaves the context in .context."""

    def __init__(self, secret, credential, flags=0, lifetime=DEFAULT_LIFETIME, bindings=NO_BINDINGS, random=os.urandom, now=time.time):
        self.ask = Ask(credential, lifetime, flags | ALWAYS, bindings)
        self.random, self.now, self.context = random, now, None
        self.judge()
        salt = random(16)
        self.header = bytes([1, 1, secret.side]) + salt + kid_of(secret.psk, salt)
        self.noise = Noise(prologue_of(self.header), secret.psk)
        self.e = random(32)
        self.noise.mix_public(public_of(self.e))
        self.token1 = frame(b"\x01" + self.header + public_of(self.e) + self.noise.encrypt(self.ask.encode()))

    def judge(self):
        if self.ask.credential.not_after and self.now() > self.ask.credential.not_after:
            raise Refused("EXPIRED")

    def step(self, token):
        if token[:1] != b"\x02":
            raise Refused("WRONG_STATE" if token else "TRUNCATED")
        if len(token) != 91:
            raise Refused("TRUNCATED" if len(token) < 91 else "DAMAGED")
        noise = self.noise.copy()
        noise.mix_public(token[1:33])
        noise.mix_key(x25519(self.e, token[1:33]))
        granted, lifetime, bindings = self.read_answer(noise.decrypt(token[33:]))
        context = Context(INITIATOR, self.ask.credential, granted, lifetime, noise.prk(), self.random, self.now).start()
        try:
            self.judge()
            context.bound = bound(self.ask.bindings, bindings)
        except Refused as e:
            raise Refused(e.name, context.delete()) from None
        self.context = context
        return b"\x03" + confirmation_of(noise.prk(), noise.h)

    def read_answer(self, payload):
        result, granted, lifetime = struct.unpack(">BII", payload[:9])
        if result:
            raise Refused("DAMAGED" if any(payload[1:]) else RESULTS.get(result, "REFUSED"))
        if granted != self.ask.flags or not 1 <= lifetime <= self.ask.lifetime:
            raise Refused("DAMAGED")
        return granted, lifetime, check_bindings(payload[9:])


class Acceptor:
    """step(token 1) returns token 2; finish(token 3) leaves the context in .context. `used` is a UsedStore of otc_store.py."""

    def __init__(self, secrets, lifetime=DEFAULT_LIFETIME, bindings=NO_BINDINGS, used=None, random=os.urandom, now=time.time):
        self.secrets, self.lifetime, self.bindings, self.used = secrets, lifetime, bindings, used
        self.random, self.now = random, now
        self.pending = self.context = None

    def step(self, token):
        secret, header, r = self.read_header(unframe(token))
        noise = Noise(prologue_of(header), secret.psk)
        noise.mix_public(e1 := r.take(32))
        ask = Ask.decode(noise.decrypt(r.data))
        self.check_side(header[2], secret.side)
        e2 = self.random(32)
        noise.mix_public(public_of(e2))
        noise.mix_key(x25519(e2, e1))
        answer = lambda payload: b"\x02" + public_of(e2) + noise.encrypt(payload)
        try:
            is_bound = self.judge(ask, secret)
        except Refused as e:
            code = {name: number for number, name in RESULTS.items()}[e.name]
            raise Refused(e.name, answer(bytes([code]) + bytes(41))) from None
        lifetime = min(ask.lifetime, self.lifetime)
        token2 = answer(struct.pack(">BII", 0, ask.flags, lifetime) + self.bindings)
        self.h = noise.h
        self.pending = Context(ACCEPTOR, ask.credential, ask.flags, lifetime, noise.prk(), self.random, self.now)
        self.pending.bound = is_bound
        return token2

    def read_header(self, inner):
        """The secret that the token was made with (the one whose side fits, where several match), the header, what follows."""
        r = Reader(inner, "TRUNCATED")
        if r.number(1) != 1:
            raise Refused("WRONG_STATE")
        if r.take(2) != b"\x01\x01":
            raise Refused("UNSUPPORTED")
        header = inner[1:52]
        side, salt, kid = r.number(1), r.take(16), r.take(32)
        if len(r.data) < 32 + 16:
            raise Refused("TRUNCATED")
        if side not in PEER_SIDE:
            raise Refused("DAMAGED")
        fitting = [s for s in self.secrets if hmac.compare_digest(kid_of(s.psk, salt), kid)]
        if not fitting:
            raise Refused("WRONG_SECRET")
        return min(fitting, key=lambda s: PEER_SIDE[s.side] != side), header, r

    @staticmethod
    def check_side(initiators, mine):
        if initiators != PEER_SIDE[mine]:
            raise Refused("EQUAL_SIDES" if initiators == mine else "OTHER_SIDE")

    def judge(self, ask, secret):
        c = ask.credential
        if self.used and c.not_after and self.now() > c.not_after + GRACE:
            raise Refused("EXPIRED")
        is_bound = bound(self.bindings, ask.bindings)
        if self.used:
            self.used.claim(c, secret, self.now())
        return is_bound

    def finish(self, token):
        prk = self.pending.prk
        if token[:1] == b"\x14":
            self.pending.read_delete(token)
            raise Refused("REFUSED")
        if token[:1] != b"\x03":
            raise Refused("WRONG_STATE" if token else "TRUNCATED")
        if len(token) != 33:
            raise Refused("TRUNCATED" if len(token) < 33 else "DAMAGED")
        if not hmac.compare_digest(token[1:], confirmation_of(prk, self.h)):
            raise Refused("DAMAGED")
        self.context = self.pending.start()
