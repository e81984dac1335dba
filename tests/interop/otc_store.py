"""Text forms, files, exported contexts and credentials of the one-time-credential mechanism: sections 2, 10, 11 and 12 of doc/otc.md."""
import base64
import calendar
import fcntl
import hashlib
import os
import re
import stat
import struct
import time
from dataclasses import dataclass

from otc import Acceptor, Initiator, Noise
from otc_core import ACCEPTOR, GRACE, INITIATOR, LINK, Ask, Credential, Reader, Refused, Secret, check_bindings, expand, vec
from otc_message import WINDOW, Context


# Section 2

def secret_text(secret):
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode()


def parse_secret(text):
    """The 32 bytes of a link secret's text."""
    match = re.fullmatch(r"([A-Za-z0-9+/_-]{43})(=|%3[Dd]){0,2}", text)
    if not match:
        raise Refused("BAD_SECRET")
    body = match[1].replace("+", "-").replace("/", "_")
    secret = base64.urlsafe_b64decode(body + "=")
    if secret_text(secret) != body:  # the last character's two spare bits
        raise Refused("BAD_SECRET")
    return secret


# Section 12

def parse_time(text):
    try:
        return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        raise Refused("SECRET_FILE_FORMAT") from None


def write_secret_file(path, secret, side=None, **fields):
    lines = ["gage-otc-secret 1"] + ([f"side={side}"] if side else []) + [f"secret={secret_text(secret)}"]
    lines += [f"{key.replace('_', '-')}={value}" for key, value in fields.items()]
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write("\n".join(lines) + "\n")


def read_secret_file(path):
    """(Secret, the other fields as a dict of text)"""
    with open(path, encoding="utf-8", newline="") as f:
        if os.fstat(f.fileno()).st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_IROTH):
            raise Refused("SECRET_FILE_OPEN")
        text = f.read(8193)
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if len(text.encode()) > 8192 or lines[0] != "gage-otc-secret 1":
        raise Refused("SECRET_FILE_FORMAT")
    fields = {}
    for line in lines[1:]:
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals or key in fields or key not in ("side", "secret", "not-after", "label", "purpose"):
            raise Refused("SECRET_FILE_FORMAT")
        fields[key] = value
    if "secret" not in fields or fields.get("side", "a") not in ("a", "b"):
        raise Refused("SECRET_FILE_FORMAT")
    if "not-after" in fields and parse_time(fields["not-after"]) < time.time():
        raise Refused("EXPIRED")
    secret = parse_secret(fields.pop("secret"))
    return (Secret.pair(fields.pop("side"), secret) if "side" in fields else Secret.link(secret)), fields


# Section 10: the used store

class UsedStore:
    FIRST = b"gage-otc-used 1\n"

    def __init__(self, path):
        self.path = path

    def entries(self):
        """(expires, key) of each whole entry."""
        if not os.path.exists(self.path):
            return []
        data = open(self.path, "rb").read()
        if not data.startswith(self.FIRST):
            raise Refused("USED_STORE")
        data = data[len(self.FIRST):]
        return [struct.unpack(">Q32s", data[i:i + 40]) for i in range(0, len(data) - 39, 40)]

    def keys_of(self, credential, secret):
        limit = credential.not_after + GRACE if credential.not_after else 0
        yield limit, hashlib.sha256(b"gage/otc/1 used" + credential.id).digest()
        if secret.side == LINK:
            yield 0, expand(secret.psk, b"used", 32)

    def claim(self, credential, secret, now):
        with open(self.path + ".lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            held = [e for e in self.entries() if not e[0] or e[0] >= now]
            mine = list(self.keys_of(credential, secret))
            if {key for _, key in held} & {key for _, key in mine}:
                raise Refused("USED")
            with open(self.path + ".new", "wb") as f:
                f.write(self.FIRST + b"".join(struct.pack(">Q32s", *e) for e in held + mine))
                f.flush()
                os.fsync(f.fileno())
            os.replace(self.path + ".new", self.path)


# Section 11: exported contexts

def export_initiator(i):
    return export_head(1, INITIATOR, i.ask, False) + i.noise.h + i.noise.ck + i.e


def export_acceptor(a):
    ask = Ask(a.pending.credential, a.pending.lifetime, a.pending.flags, a.bindings)
    return export_head(2, ACCEPTOR, ask, a.pending.bound) + a.h + a.pending.prk


def export_context(c, bindings):
    ask = Ask(c.credential, c.lifetime, c.flags, bindings)
    window = bytearray(WINDOW // 8)
    for s in c.seen:
        window[s % WINDOW // 8] |= 1 << s % 8
    ended = c.final is not None
    numbers = struct.pack(">QQQ", c.expires, c.send, c.next) + window + struct.pack(">BQ", ended, c.final or 0)
    return export_head(3, c.role, ask, c.bound) + c.prk + numbers


def export_head(state, role, ask, is_bound):
    return (bytes([1, state, role, 1]) + ask.credential.encode() + struct.pack(">I", ask.flags) + ask.bindings
            + bytes([is_bound]) + struct.pack(">I", ask.lifetime))


def import_context(token, random=os.urandom, now=time.time):
    """An Initiator before step(), an Acceptor before finish(), or a Context."""
    r = Reader(token, "BAD_IMPORT")
    version, state, role, suite = r.take(4)
    if version != 1 or suite != 1 or (state, role) not in ((1, 0), (2, 1), (3, 0), (3, 1)):
        raise Refused("BAD_IMPORT")
    credential, flags = Credential.decode(r), r.number(4)
    ask = Ask(credential, 0, flags, check_bindings(r.take(33)))
    is_bound, ask.lifetime = r.number(1), r.number(4)
    made = (import_initiator, import_acceptor, import_complete)[state - 1](r, role, ask, random, now)
    r.end("BAD_IMPORT")
    context = made if state == 3 else getattr(made, "pending", None)
    if context:
        context.bound = bool(is_bound)
    return made


def import_initiator(r, role, ask, random, now):
    i = object.__new__(Initiator)
    i.ask, i.random, i.now, i.context = ask, random, now, None
    i.noise = object.__new__(Noise)
    i.noise.h, i.noise.ck, i.e = r.take(32), r.take(32), r.take(32)
    return i


def import_acceptor(r, role, ask, random, now):
    a = Acceptor([], ask.lifetime, ask.bindings, None, random, now)
    a.h = r.take(32)
    a.pending = Context(ACCEPTOR, ask.credential, ask.flags, ask.lifetime, r.take(32), random, now)
    return a


def import_complete(r, role, ask, random, now):
    c = Context(role, ask.credential, ask.flags, ask.lifetime, r.take(32), random, now)
    c.expires, c.send, c.next = r.number(8), r.number(8), r.number(8)
    window = r.take(WINDOW // 8)
    c.seen = {s for s in range(max(0, c.next - WINDOW), c.next) if window[s % WINDOW // 8] >> s % 8 & 1}
    ended, final = r.number(1), r.number(8)
    c.final = final if ended else None
    return c


# Section 11: exported credentials

@dataclass
class HeldCredential:
    """What a credential token holds. `secrets` are (Secret, its file's not_after or 0)."""
    usage: int
    secrets: list
    credential: Credential
    lifetime: int
    fixed_id: bool
    claim: int = 0
    used: str = ""


def export_credential(c):
    secrets = b"".join(bytes([s.side]) + s.psk + struct.pack(">Q", end) for s, end in c.secrets)
    return (bytes([1, c.usage, len(c.secrets)]) + secrets + struct.pack(">BII", c.fixed_id, c.claim, c.lifetime)
            + c.credential.encode() + vec(2, c.used.encode()))


def import_credential(token):
    r = Reader(token, "BAD_IMPORT_CRED")
    if r.number(1) != 1:
        raise Refused("BAD_IMPORT_CRED")
    usage = r.number(1)
    secrets = [(Secret(r.number(1), r.take(32)), r.number(8)) for _ in range(r.number(1))]
    fixed_id, claim, lifetime = bool(r.number(1)), r.number(4), r.number(4)
    made = HeldCredential(usage, secrets, Credential.decode(r), lifetime, fixed_id, claim, r.vec(2).decode())
    r.end("BAD_IMPORT_CRED")
    return made
