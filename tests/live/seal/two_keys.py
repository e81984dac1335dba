"""A ciphertext that AES-GCM opens under two keys, and what a paired attacker needs to make one of a seal.

GHASH is a polynomial in the ciphertext's blocks over GF(2^128), and the tag is GHASH plus a block of the key's own stream. Two keys
give two tags; their difference is linear in any one block of ciphertext, so that one block can be solved for which makes them equal
(Dodis, Grubbs, Ristenpart, Woodage: Fast Message Franking, CRYPTO 2018; Len, Grubbs, Ristenpart: Partitioning Oracle Attacks, 2021)."""
import pathlib
import sqlite3
import struct
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "interop"))
import seal as form  # noqa: E402

ONE = 1 << 127  # of the field, as SP 800-38D writes it: the first bit is the coefficient of x^0


def product(a, b):
    out = 0
    for i in range(127, -1, -1):
        if a >> i & 1:
            out ^= b
        b = b >> 1 ^ (0xE1 << 120 if b & 1 else 0)
    return out


def power(a, n):
    out = ONE
    while n:
        if n & 1:
            out = product(out, a)
        a, n = product(a, a), n >> 1
    return out


def blocks_of(data):
    return [int.from_bytes(data[i:i + 16].ljust(16, b"\0"), "big") for i in range(0, len(data), 16)]


class Gcm:
    """AES-GCM in its parts."""

    def __init__(self, key, iv, aad):
        self.ecb = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        self.iv, self.aad = iv, aad
        self.h = int.from_bytes(self.ecb.update(bytes(16)), "big")

    def stream(self, i):
        """Block i of the key's stream; the tag's is block -1."""
        return int.from_bytes(self.ecb.update(self.iv + struct.pack(">I", i + 2)), "big")

    def crypt(self, text):
        stream = b"".join(self.stream(i).to_bytes(16, "big") for i in range((len(text) + 15) // 16))
        return bytes(a ^ b for a, b in zip(text, stream))

    def tag(self, ciphertext):
        x = 0
        lengths = len(self.aad) * 8 << 64 | len(ciphertext) * 8
        for block in [*blocks_of(self.aad), *blocks_of(ciphertext), lengths]:
            x = product(x ^ block, self.h)
        return x ^ self.stream(-1)


def ciphertext_for_two(one, other, text, free):
    """The ciphertext and tag that are valid under both keys; under `one` it is `text`, but for block number `free`."""
    c = bytearray(one.crypt(text))
    c[free * 16:free * 16 + 16] = bytes(16)
    after = (len(c) + 15) // 16 - free + 1  # times that the block is multiplied by H: those that follow, and the lengths
    slope = power(one.h, after) ^ power(other.h, after)
    c[free * 16:free * 16 + 16] = product(one.tag(c) ^ other.tag(c), power(slope, 2**128 - 2)).to_bytes(16, "big")
    return bytes(c) + one.tag(c).to_bytes(16, "big")


class Keys:
    """What a pairing's record holds, as its owner knows it."""

    LAYOUT = ">B16sqqI32sI32s16s16s"

    def __init__(self, ring, alias):
        with sqlite3.connect(ring) as db:
            (record,) = db.execute("SELECT record FROM pairing WHERE alias = ?", (alias,)).fetchone()
        (_, self.id, _, _, self.week, self.sending, _, self.receiving, self.hint_send, _) = struct.unpack_from(self.LAYOUT, record)
        at, names = struct.calcsize(self.LAYOUT), []
        for _ in range(2):
            n = int.from_bytes(record[at:at + 2], "big")
            names.append(record[at + 2:at + 2 + n])
            at += 2 + n
        self.me, self.peer = names

    def of_seal(self, nonce):
        """Commitment and chunks' key of a seal with this nonce."""
        k = form.extract(nonce, self.sending)
        return form.expand(k, b"gage-seal-1 commit", 32), form.expand(k, b"gage-seal-1 chunks", 32)


def give_hint_key(ring, alias, owner):
    """The luck of 2^-128 by force: a pairing in the recipient's keyring gets the hint key of another."""
    at = struct.calcsize(">B16sqqI32sI32s16s")
    db = sqlite3.connect(ring)
    records = dict(db.execute("SELECT alias, record FROM pairing"))
    changed = records[alias][:at] + records[owner][at:at + 16] + records[alias][at + 16:]
    db.execute("UPDATE pairing SET record = ? WHERE alias = ?", (changed, alias))
    db.commit()
    db.close()
    pathlib.Path(ring + ".hints").unlink()
