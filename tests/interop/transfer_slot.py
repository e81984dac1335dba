"""The mailbox as one side of a transfer sees it: requests to a relay over HTTPS (section 9 of doc/transfer.md, and doc/relay.md) and the
slot's rules (section 3). Written from the documents alone; "section" means one of doc/transfer.md.
"""
import base64
import binascii
import hashlib
import http.client
import json
import os
import ssl
import time
import urllib.parse
import uuid

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import transfer
from otc_store import parse_time
from transfer import TYPES, Refused, sha256

WAIT = 50  # seconds a read asks the relay to wait
BACK = 10  # seconds until a relay that went back is read again
AGAIN = (408, 425, 429)  # and 5xx: tried again
SOCKET_TIMEOUT = 75  # seconds, above what a read waits
PACES = (1, 2, 4, 8, 16, 30, 60)  # seconds between tries


class Stopped(Exception):
    """This side stops; `name` says why: a verdict of section 3, or one of this file's and of transfer_peer.py's words."""

    def __init__(self, name, detail=""):
        super().__init__(f"{name}: {detail}" if detail else name)
        self.name = name


def pin_of(certificate):
    """The pin of a DER certificate's key (doc/relay.md, Transport)."""
    key = x509.load_der_x509_certificate(certificate).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "sha256//" + base64.b64encode(hashlib.sha256(key).digest()).decode()


def sound(payload):
    """Whether it has a type and an envelope in base64; an answer without is no answer: section 9."""
    try:
        return bool(payload["type"]) and bool(base64.b64decode(payload["data"], validate=True))
    except (KeyError, TypeError, binascii.Error):
        return False


class Answer:
    def __init__(self, response, body):
        self.status, self.headers = response.status, response.headers
        try:
            self.json = json.loads(body)
        except ValueError:
            self.json = {}

    @property
    def version(self):
        told = self.headers.get("Mailbox-Version") or self.json.get("version")
        return None if told is None else int(told)


class Client:
    """Requests to one origin, trusted by its key's pin alone."""

    def __init__(self, url, pin):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.pin, self.connection = parts.hostname, parts.port or 443, pin, None

    def connect(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=SOCKET_TIMEOUT, context=context)
        connection.connect()
        if pin_of(connection.sock.getpeercert(binary_form=True)) != self.pin:
            connection.close()
            raise Stopped("pin")
        return connection

    def once(self, method, path, headers, body):
        """One request; None where no answer came."""
        try:
            self.connection = self.connection or self.connect()
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            answer = Answer(response, response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            return None
        ident = headers.get("Mailbox-Request-ID", "").lower()
        return answer if answer.headers.get("Mailbox-Request-ID", ident).lower() == ident else None

    def call(self, method, path, claim, ident=None, body=None, first=None, **more):
        """A request until it is answered. `first`: fields of the first attempt only."""
        headers = {"Mailbox-Device-Claim": claim, **more, **(first or {})}
        if ident is not None:
            headers["Mailbox-Request-ID"] = ident
        if body is not None:
            headers["Content-Type"], body = "application/json", json.dumps(body).encode()
        for pace in PACES:
            fresh = self.connection is None
            answer = self.once(method, path, headers, body)
            if answer is None and not fresh:  # an idle connection that the relay closed meanwhile
                answer = self.once(method, path, headers, body)
            if answer is not None and answer.status not in AGAIN and answer.status < 500:
                return answer
            time.sleep(float(answer.headers.get("Retry-After") or pace) if answer else pace)
            for name in first or {}:
                headers.pop(name, None)
        raise Stopped("unavailable")

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


class Slot:
    """Section 3 over `s`, the side's state, a dict that its owner makes durable before write(). `point`: as in transfer_peer.py."""

    def __init__(self, s, client, point, clock):
        self.s, self.client, self.point, self.clock = s, client, point, clock
        self.late = 0

    @staticmethod
    def fresh(role, secret):
        return {"role": role, "secret": secret, "url": "", "claim": str(uuid.uuid4()), "version": None, "expires": None, "seq": 0, "read": 0,
                "own": [], "peers": [], "lengths": [], "envelope": b"", "ident": "", "before": transfer.T0, "transcript": transfer.T0, "final": False}

    # Writing

    def seal(self, tokens, final=False, length=0):
        """Makes the next envelope part of the state; the caller saves, then calls write()."""
        s = self.s
        s["seq"] += 1
        packet = transfer.packet(s["role"], s["seq"], s["read"], tokens, final=final, length=length)
        s["envelope"] = transfer.seal(s["secret"], os.urandom(12), packet)
        s["transcript"] = transfer.transcript(s["transcript"], s["role"], s["seq"], s["envelope"])
        s["own"].append(sha256(s["envelope"]))
        s["ident"], s["final"] = str(uuid.uuid4()), final

    def payload(self):
        return {"type": TYPES[len(self.s["secret"])], "data": base64.b64encode(self.s["envelope"]).decode()}

    def write(self):
        """The last envelope, with its own request id; False where the slot is not as last seen."""
        s = self.s
        self.point("saved")
        match = {} if s["version"] is None else {"If-Match": f'"{s["version"]}"'}
        answer = self.client.call("PUT", self.path(), s["claim"], s["ident"], {"payload": self.payload()}, **match)
        if answer.status == 412:
            return False
        self.check(answer)
        self.point("written")
        return True

    def path(self):
        return urllib.parse.urlsplit(self.s["url"]).path

    def delete(self):
        self.client.call("DELETE", self.path(), self.s["claim"], str(uuid.uuid4()))

    # Reading

    def check(self, answer):
        if answer.status not in (200, 201):
            raise Stopped({401: "used", 404: "gone", 413: "too large"}.get(answer.status, "refused by the relay"), answer.json.get("detail", ""))
        self.s["version"] = answer.version or self.s["version"]
        self.told(answer.json.get("expiration"))

    def told(self, expiration):
        """Shortens, never lengthens."""
        if expiration is not None:
            seconds = parse_time(expiration)
            self.s["expires"] = min(self.s["expires"] or seconds, seconds)

    def show(self, wait):
        """What the slot holds; None: nothing above the version that is known, although it was waited for. A relay that was away, or tells a
        lower version, may have gone back: it is read without waiting."""
        more = {}
        if wait and self.s["version"] is not None:
            rest = WAIT if self.s["expires"] is None else max(1, min(WAIT, int(self.s["expires"] - self.clock()) + 1))
            more = {"Mailbox-After": str(self.s["version"]), "Prefer": f"wait={rest}"}
        if self.s["expires"] is not None and self.clock() > self.s["expires"]:
            self.late += 1
        for pace in PACES:
            known = self.s["version"]
            answer = self.client.call("POST", self.path(), self.s["claim"], first=more)
            self.check(answer)
            if answer.json.get("unchanged"):
                return None if self.s["version"] >= known else self.show(wait=False)
            if sound(answer.json.get("payload")):
                return answer.json["payload"]
            time.sleep(pace)
        raise Stopped("unavailable", "answers without payload")

    def judge(self, payload):
        """Rule 4: the packet where it is new, "same" for the own last envelope, "back" where the relay went back."""
        s = self.s
        if payload["type"] != TYPES[len(s["secret"])]:
            raise Stopped("damaged", "type")
        envelope = base64.b64decode(payload["data"])
        digest = sha256(envelope)
        if s["own"] and digest == s["own"][-1]:
            return "same"
        if digest in s["own"] or digest in s["peers"]:
            return "back"
        try:
            opened = transfer.open_envelope(s["secret"], envelope)
        except Refused as e:
            raise Stopped("damaged", str(e)) from None
        packet = transfer.parse_packet(opened)
        if packet["role"] == s["role"]:
            raise Stopped("reflected")
        if packet["seq"] <= s["read"] or packet["ack"] > s["seq"]:
            raise Stopped("forked")
        if packet["seq"] != s["read"] + 1 or packet["ack"] != s["seq"]:
            raise Stopped("lost", f"{packet['seq']}, ack {packet['ack']} after {s['read']}, own {s['seq']}")
        s["read"] += 1
        s["peers"].append(digest)
        s["lengths"].append(packet["length"])
        s["before"] = s["transcript"]
        s["transcript"] = transfer.transcript(s["before"], packet["role"], packet["seq"], envelope)
        self.point("read")
        return packet

    def settle(self, look):
        """Sees to it that the slot holds the own last envelope. `look`: it may do so already (a restart), so read first. Returns the peer's
        next packet where that is there already, as after a 412."""
        if not self.s["seq"] or (not look and self.write()):
            return None
        while True:
            seen = self.judge(self.show(wait=False))
            if isinstance(seen, dict):
                return seen
            if seen == "same" or self.write():
                return None

    def news(self):
        """The peer's next packet, waited for. It becomes part of the state, which is not saved."""
        pause = 2
        while True:
            payload = self.show(wait=True)
            seen = "same" if payload is None else self.judge(payload)
            if seen == "back":
                time.sleep(BACK)
                seen = self.settle(look=True) or "same"
            if isinstance(seen, dict):
                return seen
            if self.late >= 2:
                raise Stopped("expired")
            if self.s["version"] is None:
                time.sleep(pause)
                pause = min(30, pause * 2)
