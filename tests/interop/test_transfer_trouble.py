"""What the documents say of a transfer that goes wrong, seen from both sides: the stranger of transfer_peer.py and ours."""
import base64
import os
import time
import unittest

from transfer_stage import DONE, INSTALLED, Case, Dies, Killed  # first: it says which transfer.py is meant

import transfer
from otc import Acceptor
from otc_core import Secret
from mailbox import Mailbox
from stage import STATUS, Person, Terminal, finish, read_event
from transfer_peer import DIGITS, Receiver, Sender

DAY = 86400
SOON = 5  # seconds: enough to make a mailbox on a busy machine


def text(data):
    return base64.b64encode(data).decode()


class Trouble(Case):
    def put(self, party, data, kind="AEAD_AES_256_GCM"):
        """Overwrites the slot in the name of a party."""
        self.request("PUT", party, {"payload": {"type": kind, "data": data}})

    def forge(self, party, role, seq, ack, tokens, **more):
        """Puts a packet that a holder of the link could seal."""
        self.put(party, text(transfer.seal(party.s["secret"], os.urandom(12), transfer.packet(role, seq, ack, tokens, **more))))

    def claimed(self, link):
        """A receiver that has claimed and read, and does nothing more of itself."""
        receiver = self.receiver(link)
        receiver.slot.show(False)
        return receiver

    def bound(self, **options):
        """(a sender of the stranger's, our accept that has answered it)"""
        sender, link = self.sender(**options)
        accept = self.accept(link)
        self.waits(accept, "the sender's answer")
        self.written(sender, 2)
        return sender, accept

    def nothing_received(self):
        self.assertEqual((os.listdir(self.person.work), self.received()), ([], {}))


class Links(Trouble):
    def test_a_wrong_link_opens_nothing(self):
        share, link = self.share("--detach")
        finish(share)
        wrong = transfer.link(link.partition("#")[0], os.urandom(32))
        self.assertEqual(self.receiver(wrong).run(), ["not installed", "damaged"])
        self.assertEqual(self.received(), {})

        sender, link = self.sender()
        accept = self.accept(transfer.link(sender.s["url"], os.urandom(32)))
        self.assertEqual(self.ended(accept), ("not installed", "E_AUTH"))

    def test_a_link_that_somebody_uses_is_told_by_401(self):
        share, link = self.share("--detach")
        finish(share)
        self.claimed(link)
        self.assertEqual(self.receiver(link).run(), ["not installed", "used"])
        self.assertEqual(self.ended(self.accept(link)), ("not installed", "E_USED"))

    def test_a_link_that_was_used_up_is_gone(self):
        share, link = self.share()
        self.receiver(link).run()
        self.assertEqual(self.ended(share), DONE)
        self.assertEqual(self.receiver(link).run(), ["not installed", "gone"])

        sender, link = self.sender(name="other")
        accept = self.accept(link)
        sender.run()
        self.assertEqual(self.ended(accept), INSTALLED)
        with Person(self.relay) as self.person:
            self.assertEqual(self.ended(self.accept(link)), ("not installed", "E_NOT_FOUND"))

    def test_an_expired_link_is_gone_and_nothing_was_released(self):
        share, link = self.share("--detach", "--expires", f"{SOON}s")
        finish(share)
        sender, other = self.sender(life=SOON)
        time.sleep(SOON + 1)
        self.assertEqual(self.ended(self.accept(other)), ("not installed", "E_NOT_FOUND"))
        self.assertEqual(self.receiver(link).run(), ["not installed", "gone"])
        self.assertEqual(sender.run(), ["not released", "gone"])
        self.assertEqual(self.ended(self.person.start("resume", "--json")), ("not released", "E_EXPIRED"))

    def test_an_answer_after_the_expiry_is_too_late(self):
        """By the sender's clock, which is two days ahead here when it reads: the relay still shows the answer."""
        sender, accept = self.bound()
        ahead = Sender.resume(sender.path, clock=lambda: time.time() + 2 * DAY)
        self.assertEqual(ahead.run(), ["not released", "expired"])
        self.nothing_received()


    def test_an_answer_after_the_expiry_is_too_late_for_our_share(self):
        """At a relay that keeps mailboxes for longer than they were asked for."""
        self.relay = self.enterContext(Mailbox())
        self.person = self.enterContext(Person(self.relay))
        share, link = self.share("--detach", "--expires", f"{SOON}s")
        finish(share)
        receiver = self.receiver(link)
        receiver.take(receiver.slot.news())
        receiver.slot.settle(False)
        receiver.client.close()
        time.sleep(SOON + 1)
        self.assertEqual(self.ended(self.person.start("resume", "--json")), ("not released", "E_EXPIRED"))


class Place(Trouble):
    """Content that cannot be put in place."""

    def test_the_stranger_installs_elsewhere_or_gives_up_and_our_share_hears_it(self):
        for gives_up, outcome in ((False, DONE), (True, ("declined", "E_REFUSED"))):
            with self.subTest(gives_up=gives_up):
                share, link = self.share()
                (self.place / "key.pem").write_bytes(b"another")
                receiver = self.receiver(link)
                with self.assertRaises(FileExistsError):
                    receiver.run()
                elsewhere = self.folder / "elsewhere"
                elsewhere.mkdir(exist_ok=True)
                receiver = Receiver.resume(receiver.path, elsewhere)
                self.assertEqual(receiver.give_up() if gives_up else receiver.run(),
                                 ["not installed", "refused"] if gives_up else ["installed", str(elsewhere / "key.pem")])
                self.assertEqual(self.ended(share), outcome)
                self.assertEqual((self.place / "key.pem").read_bytes(), b"another")

    def test_ours_installs_elsewhere_or_gives_up_and_the_strangers_sender_hears_it(self):
        (self.person.work / "elsewhere").mkdir()
        for gives_up, outcome in ((False, ["delivered", "receipt"]), (True, ["declined", "refusal 4"])):
            with self.subTest(gives_up=gives_up):
                self.person.file("key.pem", b"another")
                sender, link = self.sender()
                heard = self.beside(sender)
                accept = self.accept(link)
                self.assertEqual(finish(accept)[0], STATUS["E_EXISTS"])
                ident = next(row["transfer"] for row in self.person.state() if row["open"])
                done = self.person.run("cancel", ident) if gives_up else self.person.run("resume", "--output", "elsewhere", ident)
                self.assertEqual((heard(), done.returncode), (outcome, 0), done.stderr)
                self.assertEqual((self.person.work / "key.pem").read_bytes(), b"another")

    def test_a_format_that_our_accept_does_not_know_is_declined(self):
        sender, link = self.sender(form="a-format-of-theirs")
        accept = self.accept(link)
        self.assertEqual(sender.run(), ["declined", "refusal 4"])
        self.assertEqual(self.ended(accept)[0], "not installed")


class Payloads(Trouble):
    """What lies in the slot was not written by the other side."""

    WRONG = {"damaged": "E_AUTH", "reflected": "E_REFLECTED", "forked": "E_FORKED", "lost": "E_LOST"}

    def put_wrong(self, what, party, role, seq, ack):
        """Something wrong where the packet of `role` with this seq and ack is awaited."""
        token = {transfer.CONTEXT: b"a token"}
        if what == "damaged":
            self.put(party, text(os.urandom(600)))
        elif what == "reflected":
            self.forge(party, 3 - role, 1, 0, token)
        elif what == "forked":
            self.forge(party, role, seq, ack + 1, token)
        else:
            self.forge(party, role, seq + 1, ack, token)

    def test_our_share_names_what_is_wrong_and_releases_nothing(self):
        for what, code in self.WRONG.items():
            with self.subTest(what):
                share, link = self.share(name=what)
                self.put_wrong(what, self.claimed(link), transfer.RECEIVER, 1, 1)
                self.assertEqual(self.ended(share), ("not released", code))

    def test_our_accept_names_what_is_wrong_and_installs_nothing(self):
        for what, code in self.WRONG.items():
            with self.subTest(what), Person(self.relay) as self.person:
                sender, accept = self.bound()
                self.put_wrong(what, sender, transfer.SENDER, 2, 1)
                self.assertEqual(self.ended(accept), ("not installed", code))
                self.assertEqual(os.listdir(self.person.work), [])

    def test_the_strangers_sender_names_what_is_wrong_and_releases_nothing(self):
        for what in self.WRONG:
            with self.subTest(what):
                sender, link = self.sender()
                self.put_wrong(what, self.claimed(link), transfer.RECEIVER, 1, 1)
                self.assertEqual(sender.run(), ["not released", what])

    def test_the_strangers_receiver_names_what_is_wrong_and_installs_nothing(self):
        for what in self.WRONG:
            with self.subTest(what):
                sender, link = self.sender()
                receiver = self.receiver(link)
                receiver.take(receiver.slot.news())
                receiver.slot.settle(False)
                self.put_wrong(what, sender, transfer.SENDER, 2, 1)
                self.assertEqual(receiver.run(), ["not installed", what])
                self.assertEqual(self.received(), {})

    def test_a_packet_that_nothing_can_come_of_ends_it_and_the_mailbox(self):
        """From a holder of the link: a token that the mechanism refuses, a packet without one, a packet that is none."""
        for what, tokens in (("refused", {transfer.CONTEXT: b"\x02" + bytes(90)}), ("none", {transfer.MESSAGE: b"m"}), ("no packet", None)):
            with self.subTest(what):
                share, link = self.share(name=what)
                receiver = self.claimed(link)
                self.answer(receiver, tokens)
                self.assertEqual(self.ended(share)[0], "not released")
                self.assertEqual(receiver.run(), ["not installed", "gone"])

                sender, link = self.sender()
                receiver = self.claimed(link)
                self.answer(receiver, tokens)
                self.assertEqual(sender.run()[0], "not released")
                self.assertEqual(receiver.run(), ["not installed", "gone"])

    def answer(self, receiver, tokens):
        if tokens is None:
            self.put(receiver, text(transfer.seal(receiver.s["secret"], os.urandom(12), bytes(600))))
        else:
            self.forge(receiver, transfer.RECEIVER, 1, 1, tokens)

    def test_every_damage_of_an_honest_payload_is_seen_by_ours(self):
        """A bit of the first envelope, its length, its type: our accept installs nothing."""
        for n, change in enumerate((lambda d: (d[:-1] + bytes([d[-1] ^ 1]), None), lambda d: (bytes([d[0] ^ 128]) + d[1:], None),
                                    lambda d: (d[:-1], None), lambda d: (d[:20], None), lambda d: (d, "AEAD_AES_128_GCM"))):
            with self.subTest(n), Person(self.relay) as self.person:
                sender, link = self.sender()
                data, kind = change(sender.s["envelope"])
                self.put(sender, text(data), kind or "AEAD_AES_256_GCM")
                self.assertEqual(self.ended(self.accept(link)), ("not installed", "E_AUTH"))

    def test_what_is_no_payload_is_no_answer_and_asked_for_again(self):
        for wrong in ("", "not base64"):
            with self.subTest(wrong), Person(self.relay) as self.person:
                sender, link = self.sender()
                self.put(sender, wrong)
                accept = self.accept(link)
                while "payload" not in (event := read_event(accept, "waiting"))["trouble"]:
                    pass
                self.assertEqual(event["for"], "the sender's invitation")
                self.put(sender, text(sender.s["envelope"]))
                self.assertEqual(sender.run()[0], "delivered")
                self.assertEqual(self.ended(accept), INSTALLED)


class Back(Trouble):
    def test_what_a_relay_forgot_is_written_again_by_ours(self):
        """The relay's store is put back to before the last words of our share and our accept: both find that out and write them again."""
        share, link = self.share("--detach", name="other")
        finish(share)
        receiver = self.receiver(link)
        receiver.take(receiver.slot.news())
        receiver.slot.settle(False)
        sender, link = self.sender()
        for party in (receiver, sender):
            party.client.close()
        self.relay.stop()
        kept = {p: p.read_bytes() for p in self.relay.home.glob("relay.db*")}
        self.relay.start()
        resume, accept = self.person.start("resume", "--json"), self.accept(link)
        self.waits(resume, "the receipt")
        self.waits(accept, "the sender's answer")
        self.written(receiver, 3)
        self.written(sender, 2)
        self.relay.kill()
        for p in self.relay.home.glob("relay.db*"):
            p.write_bytes(kept[p]) if p in kept else p.unlink()
        self.relay.start()
        outcomes = [self.beside(receiver), self.beside(sender)]
        self.assertEqual([self.ended(resume), self.ended(accept)], [DONE, INSTALLED])
        self.assertEqual([outcome()[0] for outcome in outcomes], ["installed", "delivered"])


class OtherTranscript:
    """A party whose messages cover another transcript than was written."""

    def answer(self, *args, **options):
        self.s["transcript"] = bytes(32)
        super().answer(*args, **options)


class OtherTranscriptSender(OtherTranscript, Sender):
    pass


class OtherTranscriptReceiver(OtherTranscript, Receiver):
    pass


class Hasty(Sender):
    """Announces digits and releases at once."""

    def establish(self, packet):
        self.s["binding"][3] = 0
        super().establish(packet)

    def release(self, tokens):
        self.s["binding"][3] = DIGITS
        super().release(tokens)


class OtherBinding:
    """A party that says another URL, or title."""
    changed, value = 0, "https://relay.example/v1/m/0b8c7f0e-6d1c-4a4e-9b5e-0123456789ab"

    def answer(self, *args, **options):
        self.s["binding"] = list(self.s["binding"])
        self.s["binding"][self.changed] = self.value
        super().answer(*args, **options)


class OtherUrlSender(OtherBinding, Sender):
    pass


class OtherUrlReceiver(OtherBinding, Receiver):
    pass


class OtherTitleReceiver(OtherBinding, Receiver):
    changed, value = 2, "another title"


class Mismatches(Trouble):
    """What the two sides say in the messages is not the same."""

    def test_our_accept_takes_nothing_from_a_sender_that_says_something_else(self):
        for kind, code in ((OtherTranscriptSender, "E_MISMATCH"), (OtherUrlSender, "E_MISMATCH"), (Hasty, "E_FORMAT")):
            with self.subTest(kind.__name__), Person(self.relay) as self.person:
                sender = kind.new(str(self.folder / "sender"), self.relay.url, self.relay.pin, b"content", "name")
                accept = self.accept(sender.create())
                sender.take(sender.slot.news())
                sender.slot.settle(False)
                self.assertEqual(self.ended(accept), ("not installed", code))
                self.assertEqual(os.listdir(self.person.work), [])

    def test_our_share_believes_no_receipt_of_a_receiver_that_says_something_else(self):
        for kind in (OtherTranscriptReceiver, OtherUrlReceiver, OtherTitleReceiver):
            with self.subTest(kind.__name__):
                share, link = self.share(name=kind.__name__)
                kind.new(str(self.folder / "receiver"), link, self.relay.pin, self.place).run()
                self.assertEqual(self.ended(share), ("unknown", "E_UNKNOWN_OUTCOME"))

    def test_the_stranger_takes_nothing_from_such_a_sender(self):
        for kind, reason in ((OtherTranscriptSender, "mismatch"), (OtherUrlSender, "mismatch"), (Hasty, "unexpected")):
            with self.subTest(kind.__name__):
                sender = kind.new(str(self.folder / "sender"), self.relay.url, self.relay.pin, b"content", "name")
                outcome = self.beside(self.receiver(sender.create()))
                sender.take(sender.slot.news())
                sender.slot.settle(False)
                self.assertEqual(outcome(), ["not installed", reason])
                self.assertEqual(self.received(), {})

    def test_another_title_than_announced_is_asked_about_and_a_no_declines(self):
        sender = Sender.new(str(self.folder / "sender"), self.relay.url, self.relay.pin, b"content", "name", title="a test key")
        link = sender.create(shown="the production key")
        outcome = self.beside(sender)
        accept = Terminal(self.person, "accept", "--yes")
        accept.expect("Paste")
        accept.type(link + "\n")
        accept.expect("announced: \"the production key\"")
        accept.expect(r"\[y/N\] ")
        accept.type("n\n")
        self.assertEqual((accept.wait(), outcome()), (STATUS["E_REFUSED"], ["declined", "refusal 3"]))
        self.nothing_received()


class Second(Trouble):
    """A second receiver. An honest relay has told it by 401 (Links); here it has got in."""

    def test_our_accept_is_told_that_somebody_else_was_first(self):
        sender, accept = self.bound()
        first = transfer.parse_packet(transfer.open_envelope(sender.s["secret"], sender.s["envelope"]))
        token2 = Acceptor([Secret.link(sender.s["secret"])]).step(first["tokens"][transfer.CONTEXT])
        others = transfer.packet(transfer.RECEIVER, 1, 1, {transfer.CONTEXT: token2})
        sealed = transfer.seal(sender.s["secret"], os.urandom(12), others)
        sender.take(sender.slot.judge({"type": "AEAD_AES_256_GCM", "data": text(sealed)}))
        self.put(sender, text(sender.s["envelope"]))
        self.assertEqual(self.ended(accept), ("not installed", "E_USED"))
        self.nothing_received()

    def test_the_strangers_receiver_finds_that_somebody_else_was_first_who_is_unharmed(self):
        share, link = self.share()
        late = self.receiver(link)
        late.take(late.slot.news())
        first = Receiver.new(str(self.folder / "first"), link, self.relay.pin, self.place, claim=late.s["claim"], point=Dies(4))
        with self.assertRaises(Killed):
            first.run()
        self.assertEqual(late.run(), ["not installed", "somebody else was first"])
        self.assertEqual(Receiver.resume(first.path).run()[0], "installed")
        self.assertEqual(self.ended(share), DONE)

    def test_a_second_answer_after_our_share_bound_stops_it(self):
        share, link = self.share()
        receiver = self.receiver(link)
        receiver.take(receiver.slot.news())
        receiver.slot.settle(False)
        self.waits(share, "the receipt")
        self.written(receiver, 3)
        self.forge(receiver, transfer.RECEIVER, 1, 1, {transfer.CONTEXT: b"another token"})
        self.assertEqual(self.ended(share), ("unknown", "E_UNKNOWN_OUTCOME"))

    def test_a_second_answer_after_the_strangers_sender_bound_stops_it(self):
        sender, accept = self.bound()
        sender.take(sender.slot.news())
        self.forge(sender, transfer.RECEIVER, 1, 1, {transfer.CONTEXT: b"another token"})
        self.assertEqual(sender.run(), ["unknown", "forked"])


if __name__ == "__main__":
    unittest.main()
