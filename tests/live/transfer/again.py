"""Transfers that go on, are stopped from outside, are given up, or come from a relay that the configuration names."""
import json
import os
import pathlib
import signal
import subprocess
import unittest

import stage
from stage import STATUS, Terminal, finish, read_event, read_link, until


class Stage(stage.Stage):
    def share(self, *words, name="secret.txt"):
        share = self.sender.start("share", *words, self.sender.file(name))
        return share, read_link(share)

    def detached(self, name="secret.txt"):
        share, link = self.share("--detach", name=name)
        self.assertEqual(finish(share)[0], 0)
        return link

    def accept(self, link, *words):
        accept = self.receiver.start("accept", "--yes", "--json", *words, "-", stdin=subprocess.PIPE)
        accept.stdin.write(link)
        accept.stdin.close()
        accept.stdin = None
        return accept

    def killed_accept(self, link, *words):
        """One that has claimed and answered, and then dies."""
        accept = self.accept(link, *words)
        while event := read_event(accept, "waiting"):
            if event["for"] == "the sender's answer":
                break
        self.assertIsNotNone(event)
        accept.kill()
        finish(accept)

    def installed(self):
        return sorted(os.listdir(self.receiver.work))


class AcceptAgain(Stage):
    def test_what_is_chosen_now_replaces_what_was_chosen_then(self):
        (self.receiver.work / "folder").mkdir()
        for words, place in ((("--output", "other"), "other"), (("--output", "folder"), "folder/secret.txt"), ((), "secret.txt")):
            with self.subTest(words):
                link = self.detached()
                self.killed_accept(link)
                resume = self.sender.start("resume")
                again = self.receiver.run("accept", "--yes", *words, "-", input=link)
                self.assertEqual((again.returncode, finish(resume)[0]), (0, 0), again.stderr)
                self.assertIn("under way here already", again.stderr)
                self.assertEqual((self.receiver.work / place).read_bytes(), b"secret")
                (self.receiver.work / place).unlink()

    def test_force_and_yes_hold_too(self):
        self.receiver.file("secret.txt", b"older")
        link = self.detached()
        self.killed_accept(link)
        resume = self.sender.start("resume")
        again = self.receiver.run("accept", "--force", "-", input=link)
        self.assertEqual((again.returncode, finish(resume)[0]), (0, 0), again.stderr)
        self.assertEqual((self.receiver.work / "secret.txt").read_bytes(), b"secret")

    def test_an_output_in_the_way_is_said(self):
        self.receiver.file("taken", b"older")
        link = self.detached()
        self.killed_accept(link)
        again = self.receiver.run("accept", "--yes", "--output", "taken", "-", input=link)
        self.assertEqual(again.returncode, STATUS["E_EXISTS"], again.stderr)

    def test_another_pin_holds_too(self):
        link = self.detached()
        self.killed_accept(link)
        again = self.receiver.run("accept", "--yes", "--relay-pin", "sha256//" + "A" * 43 + "=", "-", input=link)
        self.assertEqual(again.returncode, STATUS["E_AUTH"], again.stderr)


class GivenUp(Stage):
    def kept(self):
        """An accept that could not install; returns the waiting share."""
        self.receiver.file("secret.txt", b"older")
        share, link = self.share()
        done = finish(self.accept(link))
        self.assertEqual(done[0], STATUS["E_EXISTS"], done)
        self.assertIn("gage cancel", done[2])
        self.assertIn("gage resume --output", done[2])
        return share, self.receiver.state()[0]["transfer"]

    def test_content_that_cannot_be_put_in_place_is_kept_until_it_is_given_up_and_the_sender_is_told(self):
        share, ident = self.kept()
        self.assertIsNone(share.poll())
        cancel = self.receiver.run("cancel", ident)
        self.assertEqual(cancel.returncode, 0, cancel.stderr)
        self.assertIn("not installed", cancel.stderr)
        status, _, errors = finish(share)
        self.assertEqual(status, STATUS["E_REFUSED"], errors)
        self.assertIn("declined", errors)
        self.assertIn("could not be put in place", errors)
        self.assertEqual((self.installed(), (self.receiver.work / "secret.txt").read_bytes()), (["secret.txt"], b"older"))
        for record in self.receiver.records():
            self.assertNotIn(b"secret", record.read_bytes().replace(b"secret.txt", b""))

    def test_what_is_in_place_is_not_given_up(self):
        share, ident = self.kept()
        (self.receiver.work / "secret.txt").write_bytes(b"secret")  # as after a kill between install and record
        cancel = self.receiver.run("cancel", ident)
        self.assertEqual((cancel.returncode, finish(share)[0]), (STATUS["E_STATE"], 0), cancel.stderr)
        self.assertIn("installed", cancel.stderr)


class Stopped(Stage):
    def children(self, parent):
        return [int(pid) for pid in pathlib.Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]

    def resume_three(self):
        for name in ("one", "two", "three"):
            self.detached(name)
        resume = self.sender.start("resume")
        until(lambda: len(self.children(resume)) == 3, "three children")
        until(lambda: all(pathlib.Path(f"/proc/{pid}/wchan").exists() for pid in self.children(resume)), "they run")
        return resume, self.children(resume)

    def gone(self, pids):
        until(lambda: not any(self.runs(pid) for pid in pids), "the children have ended")

    @staticmethod
    def runs(pid):
        try:
            return "State:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return False

    def test_sigterm_reaches_every_child_and_each_transfer_stands(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number.name):
                resume, children = self.resume_three()
                resume.send_signal(number)
                status, _, errors = finish(resume)
                self.assertEqual(status, -number, errors)
                self.assertFalse([pid for pid in children if self.runs(pid)], "it waited for them")
                self.assertTrue(all(row["open"] for row in self.sender.state()))
                for row in self.sender.state():
                    self.assertEqual(self.sender.run("cancel", row["transfer"]).returncode, 0)
                for record in self.sender.records():
                    record.unlink()

    def test_killed_it_leaves_no_child_behind(self):
        resume, children = self.resume_three()
        resume.kill()
        resume.wait()
        self.gone(children)


class NamedRelays(Stage):
    """A pin in an invitation is its writer's word. For a relay that the person named, the certificate counts as well."""

    def invitation(self):
        share = self.sender.start("share", "--invite", "invitation", self.sender.file("secret.txt"))
        path = self.sender.work / "invitation"
        until(path.exists, "the invitation is written")
        self.assertEqual(json.loads(path.read_text())["pin"], self.relay.pin)
        return share, str(path)

    def refuse(self, configuration):
        self.receiver.configure(configuration)
        share, path = self.invitation()
        done = self.receiver.run("accept", "--yes", path)
        self.assertEqual(done.returncode, STATUS["E_AUTH"], done.stderr)
        self.assertIn("the invitation's pin is not enough", done.stderr)
        self.assertEqual(self.receiver.state(), [])
        given = self.receiver.run("accept", "--yes", "--relay-pin", self.relay.pin, path)
        self.assertEqual((given.returncode, finish(share)[0]), (0, 0), given.stderr)

    def test_a_listed_relay_must_show_a_good_certificate_too(self):
        self.refuse(f"[accept]\nrelays = 127.0.0.1:{self.relay.port}\n")

    def test_so_must_the_configured_one(self):
        self.refuse(f"[relay]\nurl = {self.relay.url}\n")

    def test_a_good_certificate_with_another_key_than_the_invitations_pin_is_refused(self):
        self.receiver.configure(f"[relay]\nurl = {self.relay.url}\nca = {self.relay.cert}\n")
        share, path = self.invitation()
        changed = json.loads(pathlib.Path(path).read_text()) | {"pin": "sha256//" + "A" * 43 + "="}
        done = self.receiver.run("accept", "--yes", "-", input=json.dumps(changed))
        self.assertEqual(done.returncode, STATUS["E_AUTH"], done.stderr)
        self.assertIn("pinned key", done.stderr)
        good = self.receiver.run("accept", "--yes", path)
        self.assertEqual((good.returncode, finish(share)[0]), (0, 0), good.stderr)

    def test_any_other_relay_is_known_by_the_pin_alone(self):
        self.receiver.configure("")
        share, path = self.invitation()
        done = self.receiver.run("accept", "--yes", path)
        self.assertEqual((done.returncode, finish(share)[0]), (0, 0), done.stderr)


class Digits(Stage):
    """Two people on a telephone: both see the digits and are asked, whoever answers first."""

    def both_asked(self):
        share = Terminal(self.sender, "share", "--verify", self.sender.file("secret.txt"))
        link = share.expect(r"(https://\S+#\S+)\r\n").group(1)
        accept = Terminal(self.receiver, "accept", "--yes")
        accept.expect("Paste")
        accept.type(link + "\n")
        seen = [person.expect(r"face to face: (\d{3} \d{3})").group(1) for person in (share, accept)]
        self.assertEqual(seen[0], seen[1])
        for person in (share, accept):
            person.expect(r"same six digits\? \[y/N\] ")
        self.assertEqual(self.installed(), [])
        return share, accept

    def test_the_sender_may_answer_first(self):
        share, accept = self.both_asked()
        share.type("y\n")
        share.expect("the receiver to say that the digits are the same")
        self.assertEqual(self.installed(), [])
        accept.type("y\n")
        self.assertEqual((accept.wait(), share.wait()), (0, 0))
        self.assertEqual(self.installed(), ["secret.txt"])

    def test_the_receiver_may_answer_first(self):
        share, accept = self.both_asked()
        accept.type("y\n")
        accept.expect("the sender to say that the digits are the same")
        self.assertEqual(self.installed(), [])
        share.type("y\n")
        self.assertEqual((accept.wait(), share.wait()), (0, 0))

    def test_a_no_of_either_releases_nothing(self):
        for who in (0, 1):
            people = self.both_asked()
            people[who].type("n\n")
            people[who].expect("refused")
            people[1 - who].type("y\n")
            people[1 - who].expect("digits")
            self.assertEqual(people[who].wait(), STATUS["E_REFUSED"])
            self.assertIn(people[1 - who].wait(), (STATUS["E_REFUSED"], STATUS["E_NOT_FOUND"]))
            self.assertEqual(self.installed(), [])

    def test_killed_at_the_question_both_are_asked_again(self):
        share, accept = self.both_asked()
        for person in (share, accept):
            os.kill(person.pid, signal.SIGKILL)
            self.assertEqual(person.wait(), -signal.SIGKILL)
        share, accept = Terminal(self.sender, "resume"), Terminal(self.receiver, "resume")
        seen = [person.expect(r"face to face: (\d{3} \d{3})").group(1) for person in (share, accept)]
        self.assertEqual(seen[0], seen[1])
        for person in (share, accept):
            person.expect(r"\[y/N\] ")
            person.type("y\n")
        self.assertEqual((accept.wait(), share.wait()), (0, 0))
        self.assertEqual(self.installed(), ["secret.txt"])


if __name__ == "__main__":
    unittest.main()
