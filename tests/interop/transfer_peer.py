"""A sender and a receiver of the `file` format of a transfer, written from doc/transfer.md, doc/relay.md and doc/otc.md alone: what a
stranger makes of them. "section" means one of doc/transfer.md.

Each keeps its state in a file, made durable before anything leaves, and goes on from it: Sender.resume(path), Receiver.resume(path).
`point` is called with a word at each place where a kill matters; what it raises ends the party as a kill would.
"""
import os
import pickle
import time
import uuid

import otc
import transfer
from otc_core import REPLAY, SEQUENCE, Credential, Secret, fresh_id
from otc_core import Refused as Failed
from otc_store import export_acceptor, export_context, export_initiator, import_context
from transfer import CONTEXT, DELETE, MESSAGE, Refused, sha256
from transfer_slot import Client, Slot, Stopped

DAY = 86400
DIGITS = 1  # of a binding's flags
HOPELESS = ("mismatch", "unexpected", "no message", "no context token", "no binding", "a second binding", "out of order", "final")
DIFFER, NO_PLACE = 2, 4  # codes of a refusal


def nothing(_):
    pass


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Party:
    """What both sides do. outcome: [word, reason] once there is one."""

    def __init__(self, path, s, agree=lambda digits: True, point=nothing, clock=time.time):
        self.path, self.s, self.agree, self.point, self.clock = path, s, agree, point, clock
        self.client = Client(s["origin"], s["pin"])
        self.slot = Slot(s, self.client, point, clock)

    @staticmethod
    def fresh(role, secret, origin, pin):
        return Slot.fresh(role, secret) | {"origin": origin, "pin": pin, "context": b"", "bound": False, "outcome": None, "binding": None,
                                           "digits": "", "ours": b"", "commit": b"", "content": None}

    @classmethod
    def resume(cls, path, **options):
        with open(path, "rb") as f:
            return cls(path, pickle.load(f), **options)

    def save(self):
        with open(f"{self.path}.new", "wb") as f:
            pickle.dump(self.s, f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(f"{self.path}.new", self.path)
        folder = os.open(os.path.dirname(self.path), os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    @property
    def outcome(self):
        return self.s["outcome"]

    def end(self, word, reason):
        """A finished transfer's record holds no secret: section 8."""
        for key in ("secret", "context", "ours", "content", "envelope"):
            self.s[key] = b""
        self.s["outcome"] = [word, reason]
        self.save()
        self.point("ended")

    def run(self):
        """Goes on until there is an outcome, and returns it."""
        try:
            look = self.begin()
            while not self.outcome:
                packet = self.slot.settle(look)
                self.after_write()
                if self.outcome:
                    break
                self.take(packet or self.slot.news())
                look = False
        except Stopped as e:
            self.stopped(e.name)
        except (Failed, Refused) as e:
            self.stopped(f"refused: {e}")
        finally:
            self.client.close()
        return self.outcome

    def after_write(self):
        pass

    # Messages: section 4

    def answer(self, tokens, *records, final=False, length=0):
        """The next envelope, with a message of these records; saved, not written."""
        context = import_context(self.s["context"], now=self.clock)
        if not self.s["bound"]:
            records = (transfer.binding(*self.s["binding"]), *records)
            self.s["bound"] = True
        tokens = tokens | {MESSAGE: context.wrap(transfer.message(self.s["transcript"], *records))}
        if final:
            tokens[DELETE] = context.delete()
        self.s["context"] = export_context(context, bytes(33))
        self.slot.seal(tokens, final, length)
        self.save()

    def read(self, packet, before):
        """(kind, body) of the packet's message; `before`: the transcript before its envelope."""
        context = import_context(self.s["context"], now=self.clock)
        if MESSAGE not in packet["tokens"]:
            raise Stopped("no message")
        data, confidential, supplementary = context.unwrap(packet["tokens"][MESSAGE])
        if not confidential or supplementary:
            raise Stopped("out of order")
        if DELETE in packet["tokens"]:
            context.read_delete(packet["tokens"][DELETE])
        self.s["context"] = export_context(context, bytes(33))
        covered, records = transfer.parse_message(data)
        if covered != before:
            raise Stopped("mismatch", "transcript")
        if (len(records) == 2) != (packet["seq"] == self.first_message):
            raise Stopped("no binding" if len(records) == 1 else "a second binding")
        if len(records) == 2:
            self.compare(*transfer.parse_binding(records[0][1]))
        if packet["final"] != (records[-1][0] in (transfer.RECEIPT, transfer.REFUSAL)):
            raise Stopped("final")
        return records[-1]


class Sender(Party):
    first_message = 2  # the peer's packet that brings its binding

    @classmethod
    def new(cls, path, relay, pin, data, name="", mode=0o600, title="", form="file", life=DAY, verify=False, **options):
        """Nothing is sent before create()."""
        secret = os.urandom(32)
        s = Party.fresh(transfer.SENDER, secret, relay, pin)
        sender = cls(path, s, **options)
        s["content"], s["binding"] = (name, mode, data), ["", form, title, DIGITS if verify else 0]
        s["expires"] = int(sender.clock()) + life
        credential = Credential(fresh_id(os.urandom), s["expires"], b"", b"gage-transfer-1", title.encode(), form.encode())
        initiator = otc.Initiator(Secret.link(secret), credential, REPLAY | SEQUENCE, now=sender.clock)
        s["context"] = export_initiator(initiator)
        s["agreed"] = s["released"] = False
        s["length"] = transfer.first_length(len(data), len(name.encode()))
        sender.slot.seal({CONTEXT: initiator.token1}, length=s["length"])
        sender.save()
        return sender

    def create(self, shown=None):
        """POST base/v1/m; the same again after a crash, and returns the link. `shown`: another title than the binding's, for the preview."""
        self.point("saved")
        s = self.s
        display = {"title": s["binding"][2] if shown is None else shown, "description": "", "imageURL": ""}
        body = {"payload": self.slot.payload(), "displayInformation": display,
                "mailboxConfiguration": {"accessRights": "RWD", "expiration": stamp(s["expires"])}}
        answer = self.client.call("POST", "/v1/m", s["claim"], s["ident"], body)
        self.slot.check(answer)
        self.point("written")
        url = answer.json["urlLink"]
        if not url.startswith(s["origin"] + "/v1/m/"):
            raise Stopped("another origin")
        s["url"] = s["binding"][0] = url
        self.save()
        return transfer.link(url, s["secret"])

    def begin(self):
        if not self.s["url"]:
            self.create()
        return True

    def take(self, packet):
        before = self.s["before"]
        if packet["seq"] == 1:
            self.establish(packet)
            return
        kind, body = self.read(packet, before)
        if kind == transfer.REFUSAL:
            self.end("declined" if self.s["released"] else "not released", f"refusal {body[0]}")
        elif kind == transfer.NONCE and self.s["commit"] and not self.s["digits"]:
            context = import_context(self.s["context"], now=self.clock)
            self.s["digits"] = transfer.digits_of(context.prf(transfer.DIGITS + self.s["ours"] + body, 8))
            self.answer({}, transfer.record(transfer.REVEAL, self.s["ours"]))
        elif kind == transfer.COMPARED and self.s["agreed"]:
            self.release({})
        elif kind == transfer.RECEIPT and self.s["released"] and body == sha256(self.s["content"][2]):
            self.end("delivered", "receipt")
            self.slot.delete()
        else:
            raise Stopped("unexpected", str(kind))

    def establish(self, packet):
        """Token 2: the transfer is bound to it by the record that holds the answer."""
        if self.clock() > self.s["expires"]:
            raise Stopped("expired")
        if list(packet["tokens"]) != [CONTEXT] or packet["final"]:
            raise Stopped("no context token")
        initiator = import_context(self.s["context"], now=self.clock)
        token3 = initiator.step(packet["tokens"][CONTEXT])
        self.s["context"] = export_context(initiator.context, bytes(33))
        if self.s["binding"][3] & DIGITS:
            self.s["ours"] = os.urandom(32)
            self.s["commit"] = sha256(self.s["ours"])
            self.answer({CONTEXT: token3}, transfer.record(transfer.COMMIT, self.s["commit"]))
        else:
            self.release({CONTEXT: token3})

    def release(self, tokens):
        self.s["released"] = True
        name, mode, data = self.s["content"]
        self.answer(tokens, transfer.content(name, mode, data), length=self.s["length"])

    def after_write(self):
        """The sender's person is asked when the reveal is written."""
        if self.s["digits"] and not self.s["agreed"] and not self.outcome:
            if not self.agree(self.s["digits"]):
                self.slot.delete()
                raise Stopped("digits differ")
            self.s["agreed"] = True
            self.save()

    def compare(self, url, form, title, flags):
        if [url, form, title, flags] != self.s["binding"]:
            raise Stopped("mismatch", "binding")

    def stopped(self, reason):
        """Section 7: the mailbox of which nothing can come is deleted."""
        hopeless = reason.startswith("refused: ") or reason in HOPELESS
        if hopeless and not self.s["released"]:
            self.slot.delete()
        self.end("unknown" if self.s["released"] else "not released", reason)


class Receiver(Party):
    first_message = 2

    @classmethod
    def new(cls, path, invitation, pin, folder, claim=None, **options):
        url, secret = transfer.parse_invitation(invitation)
        s = Party.fresh(transfer.RECEIVER, secret, url[:url.index("/v1/m/")], pin)
        s["url"], s["folder"], s["installed"] = url, str(folder), ""
        s["claim"] = claim or s["claim"]
        receiver = cls(path, s, **options)
        receiver.save()
        return receiver

    @classmethod
    def resume(cls, path, folder=None, **options):
        receiver = super().resume(path, **options)
        receiver.s["folder"] = str(folder or receiver.s["folder"])
        return receiver

    def begin(self):
        if self.s["content"] is not None and not self.s["final"]:
            self.install()
        return True

    def take(self, packet):
        before = self.s["before"]
        tokens = packet["tokens"]
        if packet["seq"] == 1:
            if list(tokens) != [CONTEXT] or packet["final"]:
                raise Stopped("no context token")
            acceptor = otc.Acceptor([Secret.link(self.s["secret"])], now=self.clock)
            token2 = acceptor.step(tokens[CONTEXT])
            self.s["context"] = export_acceptor(acceptor)
            self.slot.seal({CONTEXT: token2})
            self.save()
            return
        if packet["seq"] == 2:
            self.complete(tokens)
        kind, body = self.read(packet, before)
        if kind == transfer.REFUSAL:
            self.end("not installed", f"refusal {body[0]}")
        elif kind == transfer.COMMIT and packet["seq"] == 2 and self.s["binding"][3] & DIGITS:
            self.s["commit"], self.s["ours"] = body, os.urandom(32)
            self.answer({}, transfer.record(transfer.NONCE, self.s["ours"]))
        elif kind == transfer.REVEAL and self.s["commit"] and not self.s["digits"]:
            self.compare_digits(body)
        elif kind == transfer.CONTENT and bool(self.s["digits"]) == bool(self.s["binding"][3] & DIGITS):
            self.s["content"] = transfer.parse_content(body)
            self.save()
            self.point("content")
            self.install()
        else:
            raise Stopped("unexpected", str(kind))

    def complete(self, tokens):
        """Token 3; where it continues another's token 2, somebody else was first."""
        if CONTEXT not in tokens:
            raise Stopped("no context token")
        acceptor = import_context(self.s["context"], now=self.clock)
        try:
            acceptor.finish(tokens[CONTEXT])
        except Failed:
            raise Stopped("somebody else was first") from None
        self.s["context"] = export_context(acceptor.context, bytes(33))

    def compare(self, url, form, title, flags):
        if url != self.s["url"] or form != "file" or flags & ~DIGITS:
            raise Stopped("mismatch", "binding")
        self.s["binding"] = [url, form, title, flags]

    def compare_digits(self, theirs):
        if sha256(theirs) != self.s["commit"]:
            raise Stopped("mismatch", "commitment")
        context = import_context(self.s["context"], now=self.clock)
        self.s["digits"] = transfer.digits_of(context.prf(transfer.DIGITS + theirs + self.s["ours"], 8))
        if self.agree(self.s["digits"]):
            self.answer({}, transfer.record(transfer.COMPARED, b""))
        else:
            self.refuse(DIFFER)

    def refuse(self, code):
        self.answer({}, transfer.record(transfer.REFUSAL, bytes([code])), final=True)

    def install(self):
        """Whole or not at all, over nothing; where a crash came in between, the same content is in place. Raises FileExistsError where the
        place is taken: the state stands, for resume(..., folder=elsewhere) or give_up()."""
        s = self.s
        name, mode, data = s["content"]
        name = name.replace("\\", "_") or "received"
        path = os.path.join(s["folder"], "_" + name[1:] if name[0] in "-." else name)
        part = os.path.join(s["folder"], f".{uuid.uuid4()}")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
            f.write(data)
            os.fchmod(f.fileno(), mode)
            os.fsync(f.fileno())
        try:
            os.link(part, path)
        except FileExistsError:
            with open(path, "rb") as f:
                if sha256(f.read()) != sha256(data):
                    raise
        finally:
            os.unlink(part)
        self.point("placed")
        s["installed"] = path
        self.answer({}, transfer.record(transfer.RECEIPT, sha256(data)), final=True)

    def give_up(self):
        """Of content that could not be put in place."""
        self.refuse(NO_PLACE)
        return self.run()

    def after_write(self):
        if self.s["final"] and not self.outcome:
            if self.s["installed"]:
                self.end("installed", self.s["installed"])
            else:
                self.end("not installed", "refused")

    def stopped(self, reason):
        """A receipt that is durable was made of what is in place, whether or not the sender got it."""
        if self.s["installed"]:
            self.end("installed", reason)
        else:
            self.end("not installed", reason)
