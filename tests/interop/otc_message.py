"""Per-message tokens, the sequence window and the PRF of the one-time-credential mechanism: sections 7, 8 and 10 of doc/otc.md."""
import os
import struct
import time
from dataclasses import dataclass, field, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otc_core import FOREVER, REPLAY, SEQUENCE, Credential, Refused, expand

WRAP_CONF, WRAP_INTEG, MIC, DELETE = 0x11, 0x12, 0x13, 0x14
CLASSES = {WRAP_CONF: b"wrap", WRAP_INTEG: b"wrap", MIC: b"mic", DELETE: b"delete"}
ROLES = (b"initiator", b"acceptor")
WINDOW = 1024
LAST = 2**64 - 2


@dataclass
class Context:
    role: int
    credential: Credential
    flags: int
    lifetime: int
    prk: bytes
    random: object = os.urandom
    now: object = time.time
    bound: bool = False
    expires: int = 0
    epoch: bytes = b""
    send: int = 0
    next: int = 0
    seen: set = field(default_factory=set)
    final: int | None = None  # the number in the peer's delete token

    def start(self):
        """The lifetime counts from here: section 10."""
        self.expires = 0 if self.lifetime == FOREVER else int(self.now()) + self.lifetime
        return self

    def copy(self):
        """What an import, or a fork, makes of the context: a new epoch, all else alike."""
        return replace(self, epoch=b"", seen=set(self.seen))

    # Keys

    def seal(self, header, okm_length=44):
        kind, sender, epoch, seq = struct.unpack(">BB8sQ", header)
        base = expand(self.prk, CLASSES[kind] + b" " + ROLES[sender], 32)
        okm = expand(base, bytes([kind]) + epoch + struct.pack(">Q", seq >> 16), okm_length)
        nonce = bytes(a ^ b for a, b in zip(okm[32:], struct.pack(">IQ", 0, seq)))
        return AESGCM(okm[:32]), nonce

    def next_header(self, kind):
        self.epoch = self.epoch or self.random(8)
        return struct.pack(">BB8sQ", kind, self.role, self.epoch, self.send)

    # Sending

    def send_token(self, kind, message, associated=b""):
        self.check_time()
        if self.final is not None:
            raise Refused("ENDED")
        if self.send > LAST:
            raise Refused("USED_UP")
        token = self.make(self.next_header(kind), message, associated)
        self.send += 1
        return token

    def make(self, header, message, associated):
        plain, after, body = self.split(header[0], message, associated)
        aead, nonce = self.seal(header)
        sealed = aead.encrypt(nonce, plain, header + after)
        return header + sealed[-16:] + (body if body is not None else sealed[:-16])

    @staticmethod
    def split(kind, message, associated):
        """What is encrypted, what is authenticated after the header, the body where it is not the ciphertext: section 7's table."""
        length = struct.pack(">Q", len(associated))
        return {
            WRAP_CONF: (message, length + associated, None),
            WRAP_INTEG: (b"", length + associated + message, message),
            MIC: (b"", length + message, b""),
            DELETE: (b"", length, b""),
        }[kind]

    def wrap(self, message, conf=True, associated=b""):
        return self.send_token(WRAP_CONF if conf else WRAP_INTEG, message, associated)

    def get_mic(self, message):
        return self.send_token(MIC, message)

    def delete(self):
        return self.make(self.next_header(DELETE), b"", b"")

    def prf(self, data, length):
        return expand(expand(self.prk, b"prf", 32), data, length)

    # Receiving

    def open(self, token, kinds):
        """The header's parts, for one who will verify: everything refused before any cryptography is refused here."""
        if len(token) < 34:
            raise Refused("TRUNCATED")
        kind, sender, _, seq = struct.unpack(">BB8sQ", token[:18])
        if kind not in CLASSES:
            raise Refused("FOREIGN")
        if kind not in kinds:
            raise Refused("WRONG_STATE")
        if sender == self.role:
            raise Refused("REFLECTED")
        if sender > 1 or (seq > LAST and kind != DELETE) or (kind in (MIC, DELETE) and len(token) != 34):
            raise Refused("DAMAGED")
        return kind, seq

    def verify(self, token, kind, after, body, bad="DAMAGED"):
        aead, nonce = self.seal(token[:18])
        try:
            return aead.decrypt(nonce, body + token[18:34], token[:18] + after)
        except InvalidTag:
            raise Refused(bad) from None

    def unwrap(self, token, associated=b""):
        """(message, confidential, supplementary status or "")"""
        self.check_time()
        kind, seq = self.open(token, (WRAP_CONF, WRAP_INTEG))
        body = token[34:]
        _, after, clear = self.split(kind, body, associated)
        plain = self.verify(token, kind, after, b"" if clear is not None else body)
        return (body if clear is not None else plain), kind == WRAP_CONF, self.order(seq)

    def verify_mic(self, message, token):
        self.check_time()
        kind, seq = self.open(token, (MIC,))
        self.verify(token, kind, self.split(MIC, message, b"")[1], b"", "BAD_MIC")
        return self.order(seq)

    def read_delete(self, token):
        kind, seq = self.open(token, (DELETE,))
        self.verify(token, kind, bytes(8), b"")
        if self.final is None:
            if seq < self.next:
                raise Refused("DAMAGED")
            self.final = seq

    def order(self, seq):
        """Section 7.1; the number is taken."""
        if self.final is not None and seq >= self.final:
            raise Refused("ENDED")
        if seq >= self.next:
            status = "" if seq == self.next else "GAP"
            self.next = seq + 1
        elif seq < self.next - WINDOW:
            status = "OLD"
        else:
            status = "DUPLICATE" if seq in self.seen else "UNSEQ"
        self.seen = {s for s in self.seen | {seq} if s >= self.next - WINDOW}
        granted = self.flags & (REPLAY | SEQUENCE) if status in ("OLD", "DUPLICATE") else self.flags & SEQUENCE
        return status if granted else ""

    def check_time(self):
        if self.expires and self.now() > self.expires:
            raise Refused("CONTEXT_EXPIRED")
