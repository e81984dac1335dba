"""What the tests of the transfer's second implementation stand on: a real relay, a person of ours and a stranger (transfer_peer.py)."""
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "live/transfer")]  # both have a transfer.py: this folder's is meant

from stage import STATUS, Person, Relay, events, finish, read_event
from transfer_peer import Receiver, Sender
from transfer_slot import Client

CONTENT = bytes(range(256)) * 9
DONE = ("delivered", "OK")
INSTALLED = ("installed", "OK")


class Killed(BaseException):
    pass


class Dies:
    """Ends a party at its nth point."""

    def __init__(self, n):
        self.left = n

    def __call__(self, word):
        self.left -= 1
        if self.left == 0:
            raise Killed(word)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = cls.enterClassContext(Relay())

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="gage-stranger-")))
        self.person = self.enterContext(Person(self.relay))
        self.place = self.folder / "received"
        self.place.mkdir()

    # the stranger

    def receiver(self, invitation, **options):
        return Receiver.new(str(self.folder / "receiver"), invitation, self.relay.pin, self.place, **options)

    def sender(self, data=CONTENT, name="key.pem", **options):
        """(a sender whose mailbox is there, the link)"""
        sender = Sender.new(str(self.folder / "sender"), self.relay.url, self.relay.pin, data, name, **options)
        return sender, sender.create()

    def received(self):
        return {p.name: p.read_bytes() for p in self.place.iterdir()}

    # ours

    def share(self, *words, content=CONTENT, name="key.pem", mode=0o640):
        """(a share under way, the link)"""
        share = self.person.start("share", "--json", *words, self.person.file(name, content, mode))
        return share, read_event(share, "invitation")["link"]

    def accept(self, invitation, *words):
        accept = self.person.start("accept", "--yes", "--json", *words, "-", stdin=subprocess.PIPE)
        accept.stdin.write(invitation)
        accept.stdin.close()
        accept.stdin = None
        return accept

    def ended(self, process):
        """(outcome, exit status's name)"""
        status, out, err = finish(process)
        last = events(out)[-1] if out else {}
        self.assertEqual(last.get("event"), "outcome", (status, out, err))
        return last["outcome"], {v: k for k, v in STATUS.items()}.get(status, status)

    def beside(self, party):
        """Runs the stranger in a thread; call the result to get its outcome."""
        thread = threading.Thread(target=party.run, daemon=True)
        thread.start()

        def outcome():
            thread.join(60)
            self.assertIsNotNone(party.outcome)
            return party.outcome
        return outcome

    # both

    def waits(self, process, what):
        while event := read_event(process, "waiting"):
            if event["for"] == what:
                return
        self.fail(f"it never waited for {what}: {finish(process)}")

    def written(self, party, version):
        """Waits until the mailbox of a party of the stranger's, which is not at it, has that version."""
        while self.request("POST", party)["version"] < version:
            time.sleep(0.01)

    def request(self, method, party, body=None):
        """One request in the name of a party of the stranger's; the answer's JSON."""
        client = Client(self.relay.url, self.relay.pin)
        answer = client.call(method, party.slot.path(), party.s["claim"], str(uuid.uuid4()), body)
        client.close()
        self.assertEqual(answer.status, 200)
        return answer.json
