"""A second implementation of the transfer protocol's formats, written from doc/transfer.md alone: packets, envelopes, the transcript,
messages, digits, invitations. Prints doc/vectors/transfer.json; test_transfer_vectors.py holds the file to it.
"section" means one of doc/transfer.md.
"""
import base64
import hashlib
import json
import re
import struct
import sys
import unicodedata

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SENDER, RECEIVER = 1, 2
CONTEXT, MESSAGE, DELETE = 1, 2, 3
BINDING, CONTENT, RECEIPT, REFUSAL, OFFER, REQUEST, ANSWER, COMMIT, NONCE, REVEAL, COMPARED = range(1, 12)
TYPES = {32: "AEAD_AES_256_GCM", 16: "AEAD_AES_128_GCM"}
FLOOR, SEQ_MAX, ATTEMPT_MAX, ENVELOPE_MAX = 512, 1024, 64, 12 << 20
T0 = bytes(32)
BIDI = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
DIGITS = b"gage-transfer-1 digits"


class Refused(Exception):
    """What a decoder must not take."""


def sha256(data):
    return hashlib.sha256(data).digest()


def vec(size, data):
    return len(data).to_bytes(size, "big") + data


# ---- section 2: packets and envelopes ----


def padded(n):
    """The Padme length, at least the floor."""
    if n <= FLOOR:
        return FLOOR
    e = n.bit_length() - 1
    step = 1 << (e - e.bit_length())
    return -(-n // step) * step


def first_length(content, name):
    """To which the sender's first packet, and the one with content, are padded."""
    return padded(content + name + 2048)


def packet(role, seq, ack, tokens, attempt=1, final=False, length=0):
    """`tokens`: by kind."""
    out = struct.pack(">BBHIIBB", 1, role, attempt, seq, ack, final, len(tokens))
    for kind in sorted(tokens):
        out += bytes([kind]) + vec(4, tokens[kind])
    return out.ljust(max(length, padded(len(out))), b"\0")


def take(data, n):
    if len(data) < n:
        raise Refused("truncated")
    return data[:n], data[n:]


def parse_packet(data):
    head, rest = take(data, 14)
    version, role, attempt, seq, ack, final, count = struct.unpack(">BBHIIBB", head)
    good = version == 1 and role in (1, 2) and 1 <= attempt <= ATTEMPT_MAX and 1 <= seq <= SEQ_MAX
    if not (good and ack <= SEQ_MAX and final in (0, 1) and count <= 3):
        raise Refused("header")
    tokens, last = {}, 0
    for _ in range(count):
        head, rest = take(rest, 5)
        kind, length = struct.unpack(">BI", head)
        token, rest = take(rest, length)
        if not last < kind <= 3 or length == 0:
            raise Refused("token")
        tokens[kind], last = token, kind
    if rest.strip(b"\0") or len(data) < FLOOR:
        raise Refused("padding")
    return {"role": role, "attempt": attempt, "seq": seq, "ack": ack, "final": final, "tokens": tokens,
            "length": len(data)}


def seal(secret, iv, text):
    return iv + AESGCM(secret).encrypt(iv, text, None)


def open_envelope(secret, envelope):
    iv, rest = take(envelope, 12)
    try:
        return AESGCM(secret).decrypt(iv, rest, None)
    except InvalidTag:
        raise Refused("tag") from None


# ---- section 4: transcript, messages, digits ----


def transcript(before, role, seq, envelope):
    return sha256(before + struct.pack(">BI", role, seq) + sha256(envelope))


def printable(data):
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(c) in BIDI or c in "\u061c\u200e\u200f" for c in text):
        raise Refused("not printable")
    return text


def record(kind, body):
    return bytes([kind]) + vec(4, body)


def binding(url, name_of_format, title, flags):
    return record(BINDING, vec(2, url.encode()) + vec(1, name_of_format.encode()) + vec(2, title.encode()) + bytes([flags]))


def content(name, mode, data):
    return record(CONTENT, vec(1, name.encode()) + struct.pack(">H", mode) + sha256(data) + data)


def message(before, *records):
    return b"\x01" + before + b"".join(records)


def parse_message(data):
    """(the transcript, [(kind, body)]), the binding first if there is one."""
    first, rest = take(data, 33)
    if first[0] != 1:
        raise Refused("version")
    out = []
    while rest:
        head, rest = take(rest, 5)
        kind, length = struct.unpack(">BI", head)
        body, rest = take(rest, length)
        out.append((kind, body))
    kinds = [kind for kind, _ in out]
    if len(kinds) not in (1, 2) or kinds[-1] not in range(2, 12) or kinds[:-1] not in ([], [BINDING]):
        raise Refused("records")
    fixed = {RECEIPT: 32, REFUSAL: 1, OFFER: 0, COMMIT: 32, NONCE: 32, REVEAL: 32, COMPARED: 0}
    kind, body = out[-1]
    if len(body) != fixed.get(kind, len(body)):
        raise Refused("length")
    if kind == CONTENT:
        parse_content(body)
    return first[1:], out


def parse_binding(body):
    """(mailbox URL, format, title, flags)"""
    texts = []
    for size in (2, 1, 2):
        length, body = take(body, size)
        text, body = take(body, int.from_bytes(length, "big"))
        texts.append(printable(text))
    if len(body) != 1 or body[0] > 3:
        raise Refused("binding")
    return *texts, body[0]


def parse_content(body):
    """(name, mode, bytes)"""
    length, rest = take(body, 1)
    name, rest = take(rest, length[0])
    head, data = take(rest, 34)
    mode = int.from_bytes(head[:2], "big")
    if head[2:] != sha256(data) or b"/" in name or name in (b".", b"..") or mode > 0o777:
        raise Refused("content")
    return printable(name), mode, data


def digits_of(prf_output):
    return f"{int.from_bytes(prf_output[:8], 'big') % 10**6:06d}"


# ---- section 1: invitations ----


def link(mailbox, secret, vertical=""):
    return mailbox + (f"?v={vertical}" if vertical else "") + "#" + base64.b64encode(secret).decode()


def uri(mailbox, secret, vertical="", pin=""):
    scheme = "gage" if mailbox.startswith("https://") else "gage+http"
    query = "&".join(part for part in (vertical and f"v={vertical}", pin and f"pin={pin}") if part)
    text = base64.urlsafe_b64encode(secret).decode().rstrip("=")
    return scheme + mailbox[mailbox.index(":"):] + ("?" + query if query else "") + "#" + text


def invitation_file(mailbox, secret, **more):
    value = {"type": "gage-invitation", "version": 1, "mailbox": mailbox, "secret": base64.b64encode(secret).decode()}
    return json.dumps({**value, **more}, indent=2, ensure_ascii=False) + "\n"


def parse_invitation(text):
    """Any of the three forms; (mailbox, secret)."""
    text = text.strip()
    if text.startswith("{"):
        value = json.loads(text)
        return value["mailbox"], base64.b64decode(value["secret"])
    url, _, fragment = text.partition("#")
    url = re.sub("^gage(\\+http)?:", lambda m: "http:" if m.group(1) else "https:", url).partition("?")[0]
    fragment = fragment.replace("-", "+").replace("_", "/").rstrip("=")
    return url, base64.b64decode(fragment + "=" * (-len(fragment) % 4))


# ---- the vectors ----

KEY = bytes(range(32))
MAILBOX = "https://relay.example/v1/m/0b8c7f0e-6d1c-4a4e-9b5e-0123456789ab"
PIN = "sha256//abc="
GIVEN = [  # secret, IV's byte, role, seq, ack, tokens, final
    (KEY, 0xA0, SENDER, 1, 0, {CONTEXT: b"first token"}, False),
    (KEY, 0xA1, RECEIVER, 1, 1, {CONTEXT: b"second token"}, False),
    (KEY, 0xA2, SENDER, 2, 1, {CONTEXT: b"third token", MESSAGE: b"m" * 700}, False),
    (KEY[:16], 0xA3, RECEIVER, 2, 2, {MESSAGE: b"receipt", DELETE: b"end"}, True),
]


def envelopes():
    out, running = [], T0
    for secret, byte, role, seq, ack, tokens, final in GIVEN:
        iv, text = bytes([byte] * 12), packet(role, seq, ack, tokens, final=final)
        sealed = seal(secret, iv, text)
        running = transcript(running, role, seq, sealed)
        out.append({"secret": secret.hex(), "iv": iv.hex(), "role": role, "attempt": 1, "seq": seq, "ack": ack,
                    "final": int(final), "context": tokens.get(CONTEXT, b"").hex(),
                    "message": tokens.get(MESSAGE, b"").hex(), "delete": tokens.get(DELETE, b"").hex(),
                    "packet": text.hex(), "type": TYPES[len(secret)], "data": base64.b64encode(sealed).decode(),
                    "transcript": running.hex()})
    return out


def messages():
    before, fixed = bytes([9] * 32), bytes([7] * 32)
    bound = binding(MAILBOX, "file", "a title", 1)
    bodies = {REFUSAL: b"\x02", REQUEST: b"bytes", ANSWER: b"bytes", COMMIT: fixed, NONCE: fixed, REVEAL: fixed}
    out = [(CONTENT, message(before, bound, content("key.pem", 0o600, b"the content"))),
           (RECEIPT, message(before, bound, record(RECEIPT, fixed)))]
    out += [(kind, message(before, record(kind, bodies.get(kind, b"")))) for kind in range(REFUSAL, COMPARED + 1)]
    return [{"type": kind, "message": data.hex()} for kind, data in out]


def digits():
    out = []
    for byte, output in ((1, "0000000000000000"), (2, "00000000000f4240"), (3, "ffffffffffffffff"), (4, "0123456789abcdef")):
        ours, theirs = bytes([byte] * 32), bytes([byte + 0x80] * 32)
        out.append({"sender_nonce": ours.hex(), "receiver_nonce": theirs.hex(), "commit": sha256(ours).hex(),
                    "prf_input": (DIGITS + ours + theirs).hex(), "prf_output": output,
                    "digits": digits_of(bytes.fromhex(output))})
    return out


def invitations():
    secret = KEY[:31] + b"\xfb"
    more = {"title": "a title", "format": "file", "expires": "2030-01-31T12:00:00Z", "pin": PIN}
    return [{"secret": secret.hex(), "mailbox": MAILBOX, "link": link(MAILBOX, secret, "a"),
             "uri": uri(MAILBOX, secret, "a", PIN), "file": invitation_file(MAILBOX, secret, **more)}]


def vectors():
    return {"document": "doc/transfer.md", "envelopes": envelopes(), "messages": messages(), "digits": digits(),
            "invitations": invitations()}


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1, ensure_ascii=True)
    print()
