"""Transfers that do not go smoothly: each ends with the outcome that is true, and says it."""
import os
import signal
import subprocess
import time
import unittest

from mailbox import Mailbox
from stage import STATUS, Person, Relay, Terminal, events, finish, read_event, read_link, until


class Stage(unittest.TestCase):
    def setUp(self):
        self.relay = self.enterContext(Relay())
        self.sender = self.enterContext(Person(self.relay))
        self.receiver = self.enterContext(Person(self.relay))

    def share(self, *words, content=b"secret"):
        share = self.sender.start("share", *words, self.sender.file("secret.txt", content))
        return share, read_link(share)

    def accept(self, link, *words, person=None):
        accept = (person or self.receiver).start("accept", "--yes", *words, "-", stdin=subprocess.PIPE)
        accept.stdin.write(link)
        accept.stdin.close()
        accept.stdin = None
        return accept

    def installed(self, person=None):
        return os.listdir((person or self.receiver).work)

    def only(self, person):
        rows = person.state()
        self.assertEqual(len(rows), 1, rows)
        return rows[0]

    def accept_until_answered(self, link):
        """An accept that has answered and waits for the content."""
        accept = self.accept(link, "--json")
        self.waits_for(accept, "the sender's answer")
        return accept

    def waits_for(self, process, what):
        while event := read_event(process, "waiting"):
            if event["for"] == what:
                return
        self.fail(f"it never waited for {what}: {finish(process)}")


class Ends(Stage):
    def test_a_second_receiver_is_told_and_the_first_is_unharmed(self):
        share, link = self.share()
        second = self.enterContext(Person(self.relay))
        first = self.accept(link)
        self.assertEqual((finish(first)[0], finish(share)[0]), (0, 0))
        late = finish(self.accept(link, person=second))
        self.assertIn(late[0], (STATUS["E_USED"], STATUS["E_NOT_FOUND"]))
        self.assertEqual(self.installed(second), [])
        self.assertEqual(self.installed(), ["secret.txt"])

    def test_a_second_receiver_while_the_first_is_at_it_is_told_that_somebody_was_first(self):
        share, link = self.share("--detach")
        finish(share)
        first = self.accept_until_answered(link)
        second = self.enterContext(Person(self.relay))
        late = finish(self.accept(link, person=second))
        self.assertEqual(late[0], STATUS["E_USED"], late)
        self.assertIn("somebody else", late[2])
        self.assertEqual(self.sender.run("resume").returncode, 0)
        self.assertEqual(finish(first)[0], 0)
        self.assertEqual((self.installed(), self.installed(second)), (["secret.txt"], []))

    def test_a_link_with_another_secret_opens_nothing(self):
        share, link = self.share()
        wrong = link.partition("#")[0] + "#" + "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
        done = finish(self.accept(wrong))
        self.assertIn(done[0], (STATUS["E_AUTH"], STATUS["E_SECRET"]), done)
        self.assertEqual(self.installed(), [])
        share.kill()
        finish(share)

    def test_expired_before_anybody_came(self):
        share = self.sender.start("share", "--json", "--expires", "2s", self.sender.file("secret.txt"))
        link = read_event(share, "invitation")["link"]
        status, out, _ = finish(share, 90)
        last = events(out)[-1]
        self.assertEqual((last["outcome"], status), ("not released", STATUS["E_EXPIRED"]), last)
        late = finish(self.accept(link))
        self.assertIn(late[0], (STATUS["E_NOT_FOUND"], STATUS["E_EXPIRED"]), late)

    def test_cancelled_by_the_sender_while_it_waits(self):
        share, link = self.share()
        cancel = self.sender.run("cancel", self.only(self.sender)["transfer"])
        self.assertEqual(cancel.returncode, 0, cancel.stderr)
        self.assertIn("not released", cancel.stderr)
        self.assertEqual(finish(share)[0], STATUS["E_CANCELLED"])
        late = finish(self.accept(link))
        self.assertEqual(late[0], STATUS["E_NOT_FOUND"], late)

    def test_cancelled_by_the_sender_detached(self):
        share, link = self.share("--detach")
        finish(share)
        cancel = self.sender.run("cancel", self.only(self.sender)["transfer"][:4])
        self.assertEqual(cancel.returncode, 0, cancel.stderr)
        self.assertFalse(self.only(self.sender)["open"])
        self.assertEqual(self.sender.run("cancel", self.only(self.sender)["transfer"]).returncode, STATUS["E_STATE"])
        self.assertEqual(finish(self.accept(link))[0], STATUS["E_NOT_FOUND"])

    def test_cancelled_by_the_receiver(self):
        share, link = self.share("--detach")
        finish(share)
        accept = self.accept_until_answered(link)
        cancel = self.receiver.run("cancel", self.only(self.receiver)["transfer"])
        self.assertEqual(cancel.returncode, 0, cancel.stderr)
        self.assertEqual(finish(accept)[0], STATUS["E_CANCELLED"])
        resumed = self.sender.run("resume", "--json")
        self.assertEqual(events(resumed.stdout)[-1]["outcome"], "not released", resumed.stdout)
        self.assertEqual(self.installed(), [])

    def test_too_late_to_cancel_is_said(self):
        share, link = self.share()
        self.assertEqual((finish(self.accept(link))[0], finish(share)[0]), (0, 0))
        done = self.sender.run("cancel", self.only(self.sender)["transfer"])
        self.assertEqual(done.returncode, STATUS["E_STATE"])
        self.assertIn("delivered", done.stderr)

    def test_there_is_no_such_transfer(self):
        for words in (("show", "feedbeef"), ("cancel", "feedbeef"), ("resume", "feedbeef")):
            self.assertEqual(self.sender.run(*words).returncode, STATUS["E_NOT_FOUND"])


class Size(Stage):
    def test_what_is_too_large_for_the_relay_is_said_with_its_limit_and_not_released(self):
        name = self.sender.file("large", os.urandom(100_000))
        done = self.sender.run("share", "--json", name)
        self.assertEqual(done.returncode, STATUS["E_LIMIT"], done.stderr)
        last = events(done.stdout)[-1]
        self.assertEqual(last["outcome"], "not released")
        self.assertIn("65536", last["text"])
        self.assertNotIn("invitation", [e["event"] for e in events(done.stdout)])

    def test_thirty_thousand_bytes_pass_the_default_limit(self):
        content = os.urandom(30_000)
        share, link = self.share(content=content)
        self.assertEqual((finish(self.accept(link))[0], finish(share)[0]), (0, 0))
        self.assertEqual((self.receiver.work / "secret.txt").read_bytes(), content)

    def test_what_no_transfer_can_carry_is_refused_before_anything_leaves(self):
        done = self.sender.run("share", self.sender.file("huge", bytes(12 << 20)))
        self.assertEqual(done.returncode, STATUS["E_LIMIT"])
        self.assertIn("gage connect", done.stderr)
        self.assertEqual(self.sender.state(), [])

    def test_things_that_are_no_files_are_refused(self):
        self.assertEqual(self.sender.run("share", "missing").returncode, STATUS["E_NOT_FOUND"])
        self.assertEqual(self.sender.run("share", ".").returncode, STATUS["E_USAGE"])


class TheRelayFails(Stage):
    def test_interrupted_before_anything_was_sent_it_says_that_nothing_was_begun(self):
        self.relay.stop()
        share = self.sender.start("share", self.sender.file("secret.txt"))
        until(lambda: self.sender.state(), "the share has a record")
        share.send_signal(signal.SIGINT)
        status, _, errors = finish(share)
        self.assertEqual(status, -signal.SIGINT, errors)
        self.assertIn("nothing was begun", errors)
        self.assertEqual(self.sender.state(), [])

    def test_down_from_the_start_it_is_said_and_nothing_remains(self):
        self.relay.stop()
        done = self.sender.run("share", self.sender.file("secret.txt"))
        self.assertEqual(done.returncode, STATUS["E_UNAVAILABLE"], done.stderr)
        self.assertEqual(self.sender.state(), [])

    def test_killed_and_back_in_the_middle_it_goes_on(self):
        share, link = self.share("--detach")
        finish(share)
        accept = self.accept_until_answered(link)
        self.relay.kill()
        resume = self.sender.start("resume")
        time.sleep(0.5)
        self.relay.start()
        self.assertEqual((finish(resume)[0], finish(accept)[0]), (0, 0))
        self.assertEqual(self.installed(), ["secret.txt"])

    def test_a_wrong_pin_ends_it_before_anything_is_sent(self):
        with Mailbox() as other:
            pin = other.pin
        done = self.sender.run("share", "--relay-pin", pin, self.sender.file("secret.txt"))
        self.assertEqual(done.returncode, STATUS["E_AUTH"])
        self.assertIn("pinned key", done.stderr)
        self.assertEqual(self.sender.state(), [])

    def test_a_relay_that_is_not_listed_is_not_contacted(self):
        share, link = self.share()
        self.receiver.configure("[accept]\nrelays = relay.example\n")
        done = finish(self.accept(link))
        self.assertEqual(done[0], STATUS["E_REFUSED"])
        self.assertIn("127.0.0.1", done[2])
        share.kill()
        finish(share)


class NeverTogether(Stage):
    def test_each_side_runs_alone_and_briefly(self):
        """Sender and receiver are never online at the same time: every step is a process that was killed in its wait."""
        share, link = self.share("--detach")
        self.assertEqual(finish(share)[0], 0)
        self.kill(self.accept_until_answered(link))
        resume = self.sender.start("resume", "--json")
        self.waits_for(resume, "the receipt")
        self.kill(resume)
        last = self.receiver.run("resume")
        self.assertEqual(last.returncode, 0, last.stderr)
        self.assertEqual(self.installed(), ["secret.txt"])
        self.assertEqual(self.sender.run("resume").returncode, 0)
        self.assertIn("delivered", self.only(self.sender)["state"])

    def kill(self, process):
        process.send_signal(signal.SIGKILL)
        finish(process)

    def test_several_are_resumed_at_once(self):
        links = []
        for name in ("one", "two", "three"):
            share = self.sender.start("share", "--detach", self.sender.file(name, name.encode()))
            links.append(read_link(share))
            finish(share)
        resume = self.sender.start("resume")
        for link in links:
            self.assertEqual(finish(self.accept(link))[0], 0)
        self.assertEqual(finish(resume)[0], 0)
        self.assertEqual(sorted(self.installed()), ["one", "three", "two"])

    def test_one_transfer_is_worked_on_by_one_process(self):
        share, link = self.share()
        done = self.sender.run("resume")
        self.assertEqual(done.returncode, STATUS["E_STATE"])
        self.assertIn("another gage", done.stderr)
        share.kill()
        finish(share)


class AHostileRelay(unittest.TestCase):
    def setUp(self):
        self.relay = self.enterContext(Mailbox())
        self.sender = self.enterContext(Person(self.relay))
        self.receiver = self.enterContext(Person(self.relay))

    def share(self, *words):
        share = self.sender.start("share", *words, self.sender.file("secret.txt"))
        self.addCleanup(share.communicate)
        self.addCleanup(share.kill)
        return share, read_link(share)

    def test_an_honest_one_for_comparison(self):
        share, link = self.share()
        self.assertEqual(self.receiver.run("accept", "--yes", "-", input=link).returncode, 0)
        self.assertEqual(share.wait(60), 0)

    def lie(self, title):
        def hook(request):
            if request.method == "GET":
                return 200, {"Content-Type": "text/html"}, f'<html><head><meta property="og:title" content="{title}"></head></html>'.encode()
            return None
        self.relay.hook = hook

    def test_a_title_it_made_up_is_asked_about_again(self):
        share, link = self.share("--title", "a test key")
        self.lie("the production key")
        done = self.receiver.run("accept", "--yes", "--json", "-", input=link)
        self.assertEqual(done.returncode, STATUS["E_MISMATCH"], done.stderr)
        self.assertIn("a test key", done.stderr)
        self.assertEqual(os.listdir(self.receiver.work), [])
        terminal = Terminal(self.receiver, "resume")
        terminal.expect("announced: \"the production key\"")
        terminal.expect("sent: +\"a test key\"")
        terminal.expect(r"\[y/N\] ")
        terminal.type("y\n")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(os.listdir(self.receiver.work), ["secret.txt"])

    def test_no_escape_of_its_title_reaches_the_terminal(self):
        share, link = self.share()
        self.lie("\x1b]0;owned\x07\x1b[2J\u202ekey\x9b31m")
        terminal = Terminal(self.receiver, "accept")
        terminal.expect("Paste")
        terminal.type(link + "\n")
        shown = terminal.expect(r"(?s)says:.*\[y/N\] ").group(0).replace("\x1b[K", "")
        for bad in ("\x1b", "\x07", "\u202e", "\x9b"):
            self.assertNotIn(bad, shown)
        terminal.type("n\n")
        terminal.wait()

    def test_answers_that_make_no_sense_end_it_or_are_waited_out_but_never_believed(self):
        share, link = self.share()
        for answer in ((200, {}, b""), (200, {}, b"{"), (200, {}, b"[]"), (200, {"Content-Type": "application/json"}, b'{"payload": 1}'),
                       (302, {"Location": "https://127.0.0.1:1/"}, b""), (200, {"Location": "x"}, b"\xff" * 1000)):
            with self.subTest(answer=answer):
                with Person(self.relay) as person:
                    self.relay.hook = lambda request, answer=answer: answer if request.method == "POST" else None
                    accept = person.start("accept", "--yes", "-", stdin=subprocess.PIPE)
                    accept.stdin.write(link)
                    accept.stdin.close()
                    accept.stdin = None
                    try:
                        accept.wait(1.5)
                    except subprocess.TimeoutExpired:
                        accept.kill()
                    status, _, err = finish(accept)
                    self.assertNotEqual(status, 0)
                    self.assertNotIn(status, (-signal.SIGSEGV, -signal.SIGABRT), err)
                    self.assertEqual(os.listdir(person.work), [])

    def test_an_endless_answer_is_cut_off(self):
        share, link = self.share()
        self.relay.hook = lambda request: (200, {"Content-Type": "text/html"}, b"x" * (40 << 20)) if request.method == "GET" else None
        done = self.receiver.run("accept", "--yes", "-", input=link)
        self.assertNotIn(done.returncode, (-signal.SIGSEGV, -signal.SIGABRT))


if __name__ == "__main__":
    unittest.main()
