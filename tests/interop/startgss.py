"""STARTGSS a second time, in Python over python3-gssapi, written from doc/startgss.md alone. Section names are the document's."""
import ctypes
import hashlib
import hmac
import secrets
import struct

import gssapi
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HANDSHAKE, WRAP, AEAD, ERROR = 0, 1, 2, 3
LIMITS = {HANDSHAKE: (1, 131072), WRAP: (1, 66560), AEAD: (16, 65552), ERROR: (1, 255)}
LABEL = b"gage-startgss-1"
UPDATE_RECORDS, UPDATE_BYTES = 1 << 24, 1 << 36
DATA_MAX = 65536
F = gssapi.RequirementFlag
FLAGS = (F.mutual_authentication | F.confidentiality | F.integrity | F.replay_detection | F.out_of_sequence_detection)


class Failed(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Failed(what)


def hkdf_extract(salt, ikm):
    return hmac.new(salt, ikm, hashlib.sha256).digest()


def hkdf_expand(prk, info, n):
    out = block = b""
    i = 1
    while len(out) < n:
        block = hmac.new(prk, block + info + bytes([i]), hashlib.sha256).digest()
        out, i = out + block, i + 1
    return out[:n]


def len4(x):
    return struct.pack(">I", len(x))


# ---- The line ----

def make_line(role, differs_from=None):
    while True:
        low = secrets.randbelow(1 << 30)
        number = {"initiator": low, "acceptor": (3 << 30) + low, "any": (1 << 30) + secrets.randbelow(1 << 31)}[role]
        if number != differs_from:
            return b"STARTGSS %d\n" % number


def read_number(line):
    need(line.startswith(b"STARTGSS ") and line.endswith(b"\n") and len(line) <= 32, "not a line")
    digits = line[9:-2] if line.endswith(b"\r\n") else line[9:-1]
    need(digits.isdigit() and (digits == b"0" or digits[:1] != b"0") and int(digits) < 1 << 32, "bad number")
    return int(digits)


def is_initiator(ours, theirs):
    need(ours != theirs, "refused")
    need(not (ours < 1 << 30 and theirs < 1 << 30), "both initiators")
    need(not (ours >= 3 << 30 and theirs >= 3 << 30), "both acceptors")
    return ours < theirs


# ---- Context key agreement ----

class _Buffer(ctypes.Structure):
    _fields_ = [("length", ctypes.c_size_t), ("value", ctypes.c_char_p)]


def prf(context, label, n):
    """gss_pseudo_random, which python3-gssapi does not have: through the library, on the context's own handle."""
    lib = ctypes.CDLL("libgssapi_krb5.so.2")
    token = context.export()  # the handle itself is hidden; an exported context gives another of the same keys
    handle, minor = ctypes.c_void_p(), ctypes.c_uint32()
    saved = ctypes.create_string_buffer(token, len(token))
    class Raw(ctypes.Structure):
        _fields_ = [("length", ctypes.c_size_t), ("value", ctypes.c_void_p)]
    raw = Raw(len(token), ctypes.cast(saved, ctypes.c_void_p).value)
    need(lib.gss_import_sec_context(ctypes.byref(minor), ctypes.byref(raw), ctypes.byref(handle)) == 0, "import")
    inp, out = _Buffer(len(label), label), Raw(0, None)
    major = lib.gss_pseudo_random(ctypes.byref(minor), handle, 0, ctypes.byref(inp), ctypes.c_ssize_t(n), ctypes.byref(out))
    need(major == 0, "prf")
    value = ctypes.string_at(out.value, out.length)
    return value, gssapi.SecurityContext(token=token)


class Agreement:
    def __init__(self, context, initiator, transcript, offer, label=LABEL):
        self.initiator, self.transcript, self.label = initiator, transcript, label
        self.private, self.random = X25519PrivateKey.generate(), secrets.token_bytes(32)
        share = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        body = (bytes([len(label)]) + label + (b"i" if initiator else b"a") + transcript + bytes([len(offer)]) + offer
                + share + self.random)
        wrapped = context.wrap(body, True)
        need(wrapped.encrypted, "confirmation not encrypted")
        self.token = wrapped.message

    def finish(self, context, token, p):
        need(len(token) <= 1024, "confirmation too long")
        opened = context.unwrap(token)
        need(opened.encrypted, "peer's confirmation not encrypted")
        body = opened.message
        n = body[0]
        label, role, rest = body[1:1 + n], body[1 + n:2 + n], body[2 + n:]
        transcript, m, rest = rest[:32], rest[32], rest[33:]
        offer, share, random, end = rest[:m], rest[m:m + 32], rest[m + 32:m + 64], rest[m + 64:]
        need(end == b"" and len(random) == 32, "confirmation of another form")
        need(label == self.label, "another label")
        need(role == (b"a" if self.initiator else b"i"), "our own role")
        need(hmac.compare_digest(transcript, self.transcript), "another transcript")
        dh = self.private.exchange(X25519PublicKey.from_public_bytes(share))
        mine, theirs = self.token, token
        i, a = (mine, theirs) if self.initiator else (theirs, mine)
        salt = hashlib.sha256(self.transcript + len4(i) + i + len4(a) + a).digest()
        self.prk = hkdf_extract(salt, p + dh)
        return offer


# ---- AEAD records ----

class Direction:
    def __init__(self, secret, update_records=UPDATE_RECORDS, update_bytes=UPDATE_BYTES):
        self.limits = update_records, update_bytes
        self.use(secret)

    def use(self, secret):
        self.secret, both = secret, hkdf_expand(secret, b"key", 44)
        self.cipher, self.iv, self.records, self.bytes = AESGCM(both[:32]), both[32:], 0, 0

    def next_nonce(self):
        if self.records >= self.limits[0] or self.bytes >= self.limits[1]:
            self.use(hkdf_expand(self.secret, b"update", 32))
        counter = bytes(4) + struct.pack(">Q", self.records)
        self.records += 1
        return bytes(x ^ y for x, y in zip(self.iv, counter))

    def seal(self, data):
        nonce, header = self.next_nonce(), frame_header(AEAD, len(data) + 16)
        self.bytes += len(data)
        return header + self.cipher.encrypt(nonce, data, header)

    def open(self, header, payload):
        data = self.cipher.decrypt(self.next_nonce(), payload, header)
        self.bytes += len(data)
        return data


# ---- Frames, Handshake, Records ----

def frame_header(kind, length):
    return bytes([kind]) + length.to_bytes(3, "big")


class Stream:
    """One end over a blocking socket. `records`: "any", "aead", "wrap" or "bare"."""

    def __init__(self, sock, role="any", target=None, creds=None, accept_creds=None, records="any", passive=False, mech=None):
        self.sock, self.records = sock, records
        self.creds, self.accept_creds, self.target, self.mech = creds, accept_creds, target, mech
        self.open_lines(role, passive)
        self.handshake()

    def read(self, n):
        data = b""
        while len(data) < n:
            piece = self.sock.recv(n - len(data))
            need(piece, "closed")
            data += piece
        return data

    def open_lines(self, role, passive):
        ours = b""
        if not passive:
            ours = make_line(role)
            self.sock.sendall(ours)
        theirs = b""
        while not theirs.endswith(b"\n"):
            theirs += self.read(1)
            need(len(theirs) <= 32 and theirs[:9] == b"STARTGSS "[:len(theirs)], "not a line")
        if passive:
            ours = make_line(role, read_number(theirs))
            self.sock.sendall(ours)
        self.initiator = is_initiator(read_number(ours), read_number(theirs))
        self.transcript = hashlib.sha256(ours + theirs if self.initiator else theirs + ours)

    def send_frame(self, kind, payload):
        self.sock.sendall(frame_header(kind, len(payload)) + payload)

    def read_frame(self):
        header = self.read(4)
        kind, length = header[0], int.from_bytes(header[1:], "big")
        need(kind in LIMITS and LIMITS[kind][0] <= length <= LIMITS[kind][1], "bad frame")
        payload = self.read(length)
        if kind == ERROR:
            raise Failed("the peer says: " + payload.decode())
        return header, kind, payload

    def handshake(self):
        if self.initiator:
            c = gssapi.SecurityContext(name=self.target, flags=FLAGS, usage="initiate", creds=self.creds, mech=self.mech)
        else:
            c = gssapi.SecurityContext(usage="accept", creds=self.accept_creds)
        token = c.step() if self.initiator else None
        rounds = 0
        while True:
            if token:
                self.send_token(token)
            if c.complete:
                break
            header, kind, payload = self.read_frame()
            need(kind == HANDSHAKE and rounds < 16, "not a token")
            self.transcript.update(header + payload)
            rounds, token = rounds + 1, c.step(payload)
        need(c.actual_flags & FLAGS == FLAGS, "flags")
        self.context, self.peer = c, str(c.target_name if self.initiator else c.initiator_name)
        self.confirm()

    def send_token(self, token):
        self.transcript.update(frame_header(HANDSHAKE, len(token)) + token)
        self.send_frame(HANDSHAKE, token)

    def confirm(self):
        if self.records == "bare":
            self.kind = "bare"
            return
        p, self.context = prf(self.context, LABEL, 32)
        offer = {"any": b"\x01\x02", "aead": b"\x02", "wrap": b"\x01"}[self.records]
        agreement = Agreement(self.context, self.initiator, self.transcript.digest(), offer)
        self.send_frame(WRAP, agreement.token)
        _, kind, payload = self.read_frame()
        need(kind == WRAP, "not a confirmation")
        theirs = agreement.finish(self.context, payload, p)
        need(theirs, "refused")
        both = set(offer) & set(theirs) & {WRAP, AEAD}
        need(both, "no kind in common")
        self.kind = "aead" if AEAD in both else "wrap"
        i2a, a2i = (Direction(hkdf_expand(agreement.prk, x, 32)) for x in (b"i2a", b"a2i"))
        self.out, self.inward = (i2a, a2i) if self.initiator else (a2i, i2a)

    def send(self, data):
        """One record; b"" is the end."""
        if self.kind == "aead":
            self.sock.sendall(self.out.seal(data))
            return
        wrapped = self.context.wrap(data, True)
        need(wrapped.encrypted, "not encrypted")
        self.send_frame(WRAP if self.kind == "wrap" else HANDSHAKE, wrapped.message)

    def receive(self):
        """One record's data; b"" at the authenticated end."""
        header, kind, payload = self.read_frame()
        need(kind == {"aead": AEAD, "wrap": WRAP, "bare": HANDSHAKE}[self.kind], "another kind of record")
        if kind == AEAD:
            return self.inward.open(header, payload)
        opened = self.context.unwrap(payload)
        need(opened.encrypted, "not encrypted")
        return opened.message

    def receive_all(self):
        parts = []
        while data := self.receive():
            parts.append(data)
        return b"".join(parts)
