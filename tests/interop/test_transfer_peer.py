"""A stranger's sender and receiver (transfer_peer.py, written from the documents) against ours, over a real gage-relayd: each claim is
shown with the stranger on the receiving side and on the sending one."""
import hashlib
import os
import signal
import unittest

from transfer_stage import CONTENT, DONE, INSTALLED, Case, Dies, Killed  # first: it says which transfer.py is meant

import transfer
from otc_core import ALWAYS, DEFAULT_LIFETIME, REPLAY, SEQUENCE
from otc_store import import_context, parse_time
from stage import STATUS, Person, Terminal, finish, read_event
from transfer_peer import Receiver, Sender


class Whole(Case):
    def test_our_share_reaches_the_strangers_receiver(self):
        share, link = self.share("--title", "a title")
        receiver = self.receiver(link)
        self.assertEqual(receiver.run()[0], "installed")
        self.assertEqual(self.ended(share), DONE)
        self.assertEqual(self.received(), {"key.pem": CONTENT})
        self.assertEqual((self.place / "key.pem").stat().st_mode & 0o777, 0o640)
        self.assertEqual(receiver.s["binding"], [link.partition("#")[0], "file", "a title", 0])

    def test_the_strangers_sender_reaches_our_accept(self):
        sender, link = self.sender(mode=0o604, title="a title")
        accept = self.accept(link)
        self.assertEqual(sender.run(), ["delivered", "receipt"])
        self.assertEqual(self.ended(accept), INSTALLED)
        self.assertEqual((self.person.work / "key.pem").read_bytes(), CONTENT)
        self.assertEqual((self.person.work / "key.pem").stat().st_mode & 0o777, 0o604)

    def test_the_receipt_holds_the_contents_hash_both_ways(self):
        """What our accept writes is looked at; our share takes no other than the right one."""
        sender, link = self.sender()
        bodies = []
        take = sender.read
        sender.read = lambda *args: bodies.append(take(*args)) or bodies[-1]
        accept = self.accept(link)
        sender.run()
        self.assertEqual(self.ended(accept), INSTALLED)
        self.assertEqual(bodies, [(transfer.RECEIPT, hashlib.sha256(CONTENT).digest())])

        class Liar(Receiver):
            def answer(self, tokens, *records, **options):
                if records[0][0] == transfer.RECEIPT:
                    records = [transfer.record(transfer.RECEIPT, bytes(32))]
                super().answer(tokens, *records, **options)
        share, link = self.share()
        Liar.new(str(self.folder / "liar"), link, self.relay.pin, self.place).run()
        self.assertEqual(self.ended(share), ("unknown", "E_UNKNOWN_OUTCOME"))

    def test_our_first_token_says_what_the_document_says(self):
        share = self.person.start("share", "--json", "--title", "a title", self.person.file("key.pem", CONTENT))
        told = read_event(share, "invitation")
        receiver = self.receiver(told["link"])
        receiver.take(receiver.slot.news())
        receiver.client.close()
        context = import_context(receiver.s["context"]).pending
        c = context.credential
        self.assertEqual((c.not_after, c.label, c.purpose, c.title, c.format),
                         (parse_time(told["expires"]), b"", b"gage-transfer-1", b"a title", b"file"))
        self.assertEqual((context.flags, context.lifetime), (ALWAYS | REPLAY | SEQUENCE, DEFAULT_LIFETIME))

    def test_every_form_of_invitation_is_read_by_the_other(self):
        invitation = self.person.work / "invitation"
        for words in ((), ("--uri",), ("--invite", "invitation")):
            with self.subTest("of our share", words=words):
                share = self.person.start("share", "--json", *words, self.person.file("key.pem", CONTENT))
                told = read_event(share, "invitation")
                receiver = self.receiver(invitation.read_text() if words[-1:] == ("invitation",) else told["link"])
                self.assertEqual(receiver.run()[0], "installed")
                self.assertEqual(self.ended(share), DONE)
                (self.place / "key.pem").unlink()
        for form in (transfer.link, lambda url, secret: transfer.uri(url, secret, "", self.relay.pin),
                     lambda url, secret: transfer.invitation_file(url, secret, pin=self.relay.pin, format="file", expires="2099-01-31T12:00:00Z")):
            with self.subTest("of the stranger"), Person(self.relay) as self.person:
                sender, _ = self.sender()
                accept = self.accept(form(sender.s["url"], sender.s["secret"]))
                self.assertEqual(sender.run()[0], "delivered")
                self.assertEqual(self.ended(accept), INSTALLED)

    def test_the_first_packet_is_as_long_as_the_one_with_the_content(self):
        for size, verify in ((0, []), (2000, []), (30_000, [])):
            with self.subTest(size=size):
                share, link = self.share(content=bytes(size), name=f"f{size}")
                receiver = self.receiver(link)
                receiver.run()
                self.assertEqual(self.ended(share), DONE)
                self.assertEqual(receiver.s["lengths"], [transfer.first_length(size, len(f"f{size}"))] * 2)

    def test_names_are_made_harmless(self):
        for name, installed in ((".profile", "_profile"), ("-rf", "_rf"), ("a\\b", "a_b"), ("..x", "_.x")):
            with self.subTest(name):
                sender, link = self.sender(name=name)
                accept = self.accept(link)
                self.assertEqual(sender.run()[0], "delivered")
                self.assertEqual(self.ended(accept), INSTALLED)
                self.assertTrue((self.person.work / installed).exists(), os.listdir(self.person.work))


class Digits(Case):
    def terminal_share(self):
        share = Terminal(self.person, "share", "--verify", self.person.file("key.pem", CONTENT))
        return share, share.expect(r"(https://\S+#\S+)\r\n").group(1)

    def terminal_accept(self, link):
        accept = Terminal(self.person, "accept", "--yes")
        accept.expect("Paste")
        accept.type(link + "\n")
        return accept

    def answer(self, terminal, text):
        digits = terminal.expect(r"face to face: (\d{3} \d{3})").group(1)
        terminal.expect(r"\[y/N\] ")
        terminal.type(text + "\n")
        return digits.replace(" ", "")

    def test_both_sides_show_the_same_and_our_share_releases(self):
        share, link = self.terminal_share()
        receiver = self.receiver(link)
        outcome = self.beside(receiver)
        shown = self.answer(share, "y")
        self.assertEqual((outcome()[0], share.wait()), ("installed", 0))
        self.assertEqual(receiver.s["digits"], shown)

    def test_both_sides_show_the_same_and_our_accept_receives(self):
        sender, link = self.sender(verify=True)
        outcome = self.beside(sender)
        accept = self.terminal_accept(link)
        shown = self.answer(accept, "y")
        self.assertEqual((outcome(), accept.wait()), (["delivered", "receipt"], 0))
        self.assertEqual(sender.s["digits"], shown)

    def test_the_strangers_no_releases_nothing(self):
        share, link = self.terminal_share()
        outcome = self.beside(self.receiver(link, agree=lambda _: False))
        self.answer(share, "y")
        self.assertEqual((outcome(), share.wait()), (["not installed", "refused"], STATUS["E_REFUSED"]))
        self.assertIn("not released", share.shown)

        sender, link = self.sender(verify=True, agree=lambda _: False)
        outcome = self.beside(sender)
        accept = self.terminal_accept(link)
        self.answer(accept, "y")
        self.assertEqual(outcome(), ["not released", "digits differ"])
        self.assertEqual(accept.wait(), STATUS["E_NOT_FOUND"])

    def test_our_no_releases_nothing(self):
        share, link = self.terminal_share()
        outcome = self.beside(self.receiver(link))
        self.answer(share, "n")
        self.assertEqual((outcome(), share.wait()), (["not installed", "gone"], STATUS["E_REFUSED"]))

        sender, link = self.sender(verify=True)
        outcome = self.beside(sender)
        accept = self.terminal_accept(link)
        self.answer(accept, "n")
        self.assertEqual((outcome(), accept.wait()), (["not released", "refusal 2"], STATUS["E_REFUSED"]))


class Kills(Case):
    def test_the_strangers_receiver_killed_anywhere_goes_on(self):
        points = []
        for n in range(1, 100):
            share, link = self.share(name=f"f{n}")
            receiver = self.receiver(link, point=Dies(n))
            try:
                receiver.run()
                killed = False
            except Killed as e:
                points.append(str(e))
                killed = True
                receiver = Receiver.resume(receiver.path)
                receiver.run()
            self.assertEqual((self.ended(share), receiver.outcome[0]), (DONE, "installed"), points[-1:])
            self.assertEqual(self.received()[f"f{n}"], CONTENT)
            if not killed:
                break
        self.assertEqual(points, ["read", "saved", "written", "read", "content", "placed", "saved", "written", "ended"])

    def test_the_strangers_sender_killed_anywhere_goes_on(self):
        points = []
        for n in range(1, 100):
            sender = Sender.new(str(self.folder / "sender"), self.relay.url, self.relay.pin, CONTENT, f"f{n}", point=Dies(n))
            try:
                link = sender.create()
            except Killed as e:
                points.append(str(e))
                sender = Sender.resume(sender.path)
                link = sender.create()
            accept = self.accept(link)
            try:
                sender.run()
                killed = str(n) if sender.point is not None and n <= 2 else ""
            except Killed as e:
                points.append(str(e))
                killed = str(e)
                sender = Sender.resume(sender.path)
                sender.run()
            self.assertEqual((self.ended(accept), sender.outcome[0]), (INSTALLED, "delivered"), points[-1:])
            if not killed:
                break
        self.assertEqual(points, ["saved", "written", "read", "saved", "written", "read", "ended"])

    def kill(self, process, what, party, version):
        """In its wait for `what`, with its own word in the mailbox of the party of the stranger's."""
        self.waits(process, what)
        self.written(party, version)
        process.send_signal(signal.SIGKILL)
        finish(process)

    def resumed(self):
        return self.ended(self.person.start("resume", "--json"))

    def test_our_share_killed_in_each_wait_goes_on(self):
        share, link = self.share("--detach")
        finish(share)
        receiver = self.receiver(link, point=Dies(4))
        resume = self.person.start("resume", "--json")
        with self.assertRaises(Killed):
            receiver.run()
        self.kill(resume, "the receipt", receiver, 3)
        outcome = self.beside(Receiver.resume(receiver.path))
        self.assertEqual((outcome()[0], self.resumed()), ("installed", DONE))

    def test_our_accept_killed_in_its_wait_goes_on(self):
        sender, link = self.sender()
        self.kill(self.accept(link), "the sender's answer", sender, 2)
        outcome = self.beside(sender)
        self.assertEqual((self.resumed(), outcome()[0]), (INSTALLED, "delivered"))

    def test_both_killed_go_on(self):
        sender, link = self.sender(point=Dies(5))
        self.kill(self.accept(link), "the sender's answer", sender, 2)
        with self.assertRaises(Killed):
            sender.run()
        sender = Sender.resume(sender.path)
        outcome = self.beside(sender)
        self.assertEqual((self.resumed(), outcome()[0]), (INSTALLED, "delivered"))


if __name__ == "__main__":
    unittest.main()
