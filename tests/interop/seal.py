"""Seals, a second implementation, from doc/seal.md alone: sections 1 (keys), 2 (seal), 3 (opening)."""
import hashlib
import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

WEEK = 604800
CHUNK = 65536
M64 = (1 << 64) - 1


class Refused(Exception):
    pass


def extract(salt, ikm):
    return hmac.digest(salt, ikm, "sha256")


def expand(prk, info, n):
    out, block, i = b"", b"", 1
    while len(out) < n:
        block = hmac.digest(prk, block + info + bytes([i]), "sha256")
        out, i = out + block, i + 1
    return out[:n]


def sha256(data):
    return hashlib.sha256(data).digest()


def rotl(x, b):
    return (x << b | x >> (64 - b)) & M64


def siphash128(key, message):
    """SipHash-2-4 with 128-bit output."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & M64
            v[1] = rotl(v[1], 13) ^ v[0]
            v[0] = rotl(v[0], 32)
            v[2] = (v[2] + v[3]) & M64
            v[3] = rotl(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & M64
            v[3] = rotl(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & M64
            v[1] = rotl(v[1], 17) ^ v[2]
            v[2] = rotl(v[2], 32)

    tail = len(message) % 8
    padded = message + bytes(7 - tail) + bytes([len(message) & 255])
    for i in range(0, len(padded), 8):
        m = struct.unpack_from("<Q", padded, i)[0]
        v[3] ^= m
        rounds(2)
        v[0] ^= m
    v[2] ^= 0xEE
    rounds(4)
    low = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(4)
    return struct.pack("<QQ", low, v[0] ^ v[1] ^ v[2] ^ v[3])


def pairing_keys(prk, initiator, acceptor, week):
    """What both sides derive from the agreement's PRK: {direction: (first seal key, hint key)} and the id."""
    h = sha256(struct.pack(">I", len(initiator)) + initiator + struct.pack(">I", len(acceptor)) + acceptor)
    out = {d: (expand(prk, b"gage-pair-1 seal " + d.encode() + h, 32), expand(prk, b"gage-pair-1 hint " + d.encode() + h, 16))
           for d in ("i2a", "a2i")}
    return out, expand(prk, b"gage-pair-1 id" + h, 16), week


def step(key, weeks):
    for _ in range(weeks):
        key = expand(key, b"gage-pair-1 step", 32)
    return key


def padded_length(n):
    if n <= 512:
        return 512
    e = n.bit_length() - 1
    s = e.bit_length()
    low = (1 << (e - s)) - 1
    return (n + low) & ~low


def vec16(x):
    return struct.pack(">H", len(x)) + x


def frames_of(data):
    """The plaintexts of all chunks."""
    frames = b""
    while len(data) > CHUNK - 2:
        frames, data = frames + struct.pack(">H", CHUNK - 2) + data[:CHUNK - 2], data[CHUNK - 2:]
    frames += struct.pack(">H", len(data)) + data
    return frames + bytes(padded_length(len(frames)) - len(frames))


def iv(i, last):
    return bytes(7) + struct.pack(">I", i) + bytes([last])


def seal(key, hint_key, originator, recipient, now, message, carrier=b"\0", nonce=None, ident=None):
    nonce, ident = nonce or os.urandom(32), ident or os.urandom(16)
    k = extract(nonce, key)
    header = b"\1" + nonce + siphash128(hint_key, nonce) + expand(k, b"gage-seal-1 commit", 32)
    inner = b"\1" + ident + struct.pack(">Q", now) + vec16(originator) + vec16(recipient) + carrier
    text = frames_of(inner + message)
    chunks = [text[i:i + CHUNK] for i in range(0, len(text), CHUNK)]
    aead, aad = AESGCM(expand(k, b"gage-seal-1 chunks", 32)), sha256(header)
    return header + b"".join(aead.encrypt(iv(i, i == len(chunks) - 1), c, aad) for i, c in enumerate(chunks))


def decrypt(chunk_key, header, body):
    chunks = [body[i:i + CHUNK + 16] for i in range(0, len(body), CHUNK + 16)]
    aead, aad, out = AESGCM(chunk_key), sha256(header), b""
    try:
        for i, c in enumerate(chunks):
            out += aead.decrypt(iv(i, i == len(chunks) - 1), c, aad)
    except InvalidTag:
        raise Refused("damaged") from None
    if not chunks:
        raise Refused("cut")
    return out


def data_of(text):
    data, framed, padding = b"", 0, False
    for at in range(0, len(text), CHUNK):
        frame = text[at:at + CHUNK]
        used = int.from_bytes(frame[:2], "big") if len(frame) >= 2 else 0
        if used > len(frame) - 2 and used or (padding and used) or any(frame[2 + used:]):
            raise Refused("malformed")
        if not padding:
            framed = at + 2 + used
        data += frame[2:2 + used]
        padding = padding or used < CHUNK - 2
    if len(text) != padded_length(framed):
        raise Refused("padding")
    return data


def unseal(key, week, hint_key, self_name, peer_name, now, sealed, keep=4):
    """The message, and (id, time, carrier kind). `key` is that of `week`."""
    if len(sealed) < 81 or sealed[0] != 1:
        raise Refused("not a seal")
    header, nonce, hint, commitment = sealed[:81], sealed[1:33], sealed[33:49], sealed[49:81]
    if siphash128(hint_key, nonce) != hint:
        raise Refused("not for us")
    this = now // WEEK
    found = []
    for w in range(max(week, this - keep), this + 2):
        k = extract(nonce, step(key, w - week))
        if hmac.compare_digest(expand(k, b"gage-seal-1 commit", 32), commitment):
            found.append((k, w))
    if len(found) != 1:
        raise Refused("not for us")
    data = data_of(decrypt(expand(found[0][0], b"gage-seal-1 chunks", 32), header, sealed[81:]))
    ident, time = data[1:17], int.from_bytes(data[17:25], "big")
    at, names = 25, []
    for _ in range(2):
        n = int.from_bytes(data[at:at + 2], "big")
        names.append(data[at + 2:at + 2 + n])
        at += 2 + n
    kind = data[at]
    at += 1 + {0: 0, 1: 2 + int.from_bytes(data[at + 1:at + 3], "big"), 2: 32}[kind]
    if data[0] != 1 or names != [peer_name, self_name] or time > now + 300 or time // WEEK != found[0][1]:
        raise Refused("inner")
    return data[at:], (ident, time, kind)


def grant(header, key, recipient):
    return b"gage-carrier-1" + sha256(header) + key + vec16(recipient)


def proof(header, key, context):
    return b"gage-proof-1" + sha256(header) + hmac.digest(key, b"gage-proof-1" + sha256(header) + vec16(context), "sha256")
