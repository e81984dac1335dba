"""What a person sees where something is wrong: one line that says what, what it means and what to do, and the documented exit status."""
import os
import subprocess
import tempfile
import unittest

from mailbox import Mailbox
from stage import STATUS, Person, Relay, finish, free_port, read_link

SECRET = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="


class Errors(unittest.TestCase):
    def setUp(self):
        self.person = self.enterContext(Person())
        self.file = self.person.file("file")
        self.down = f"https://127.0.0.1:{free_port()}"
        self.link = self.down + "/v1/m/00000000-0000-4000-8000-000000000000#" + SECRET

    def ends(self, status, says, *words, input="", env=None):
        """Ends with this status, and its last line says this."""
        done = self.person.run(*words, input=input, env=env)
        last = done.stderr.strip().splitlines()[-1]
        self.assertEqual(done.returncode, STATUS[status], done.stderr)
        self.assertTrue(last.startswith("gage: "), done.stderr)
        self.assertRegex(last, says)
        self.assertNotIn(SECRET[:20], done.stdout + done.stderr)
        return done

    def accept_says(self, status, says, text):
        self.ends(status, says, "accept", "--yes", "-", input=text)
        self.assertEqual(self.person.state(), [])

    # ---- what is typed ----

    def test_a_link_that_came_apart(self):
        for cut in (20, 40, 70, len(self.link) - 10):
            for gap in (" ", "\n", "\r\n> ", "\t"):
                self.accept_says("E_FORMAT", "space or line break in it: copy it again", self.link[:cut] + gap + self.link[cut:])
        self.accept_says("E_FORMAT", "not whole: copy everything after the #", self.link[:-6])
        for whole in (self.link.partition("#")[0], self.link[:40]):
            self.accept_says("E_FORMAT", "part after # is missing, copy it whole", whole)
        self.accept_says("E_FORMAT", "neither a link, a gage: URI nor an invitation file", "hello")
        self.accept_says("E_REFUSED", "not https", self.link.replace("https", "http"))

    def test_blanks_around_a_link_are_none_of_it(self):
        self.ends("E_UNAVAILABLE", "cannot be reached", "accept", "--yes", "-", input=f"\n  {self.link} \r\n\n")

    def test_nobody_to_ask(self):
        self.ends("E_USAGE", "give - to read it from standard input", "accept")

    def test_a_pin_that_is_none(self):
        for pin in ("abc", "sha256//abc", "sha256//", "sha256//" + "A" * 44, "sha1//" + "A" * 43 + "="):
            self.ends("E_USAGE", "sha256// and the base64 of 32 bytes", "share", "--relay", self.down, "--relay-pin", pin, self.file)

    def test_texts_that_are_too_long_or_have_lines(self):
        self.ends("E_USAGE", "title .one line, at most 200 bytes", "share", "--relay", self.down, "--title", "x" * 201, self.file)
        self.ends("E_USAGE", "description .one line", "share", "--relay", self.down, "--description", "a\nb", self.file)

    def test_a_file_for_the_invitation_that_cannot_be_made(self):
        for option in ("--invite", "--qr-png"):
            self.ends("E_NOT_FOUND", "nothing was sent", "share", "--relay", self.down, option, "missing/file", self.file)

    # ---- the machine ----

    def test_no_home_and_a_home_that_is_no_folder(self):
        self.ends("E_CONFIG", "XDG_STATE_HOME nor HOME .*: set one", "list", env={"HOME": ""})
        self.ends("E_IO", "/dev/null/.local", "list", env={"HOME": "/dev/null"})

    def test_a_key_outside_any_section(self):
        self.person.configure("url = https://relay.example\n")
        self.ends("E_CONFIG", "before any section in brackets, such as .relay.", "share", self.file)

    def test_no_relay(self):
        self.ends("E_USAGE", "--relay https://...*gage.conf", "share", self.file)

    # ---- the relay ----

    def test_a_relay_that_is_not_there(self):
        self.ends("E_UNAVAILABLE", "cannot be reached.*nothing was sent: check address and network", "share", "--relay", self.down, self.file)
        self.assertEqual(self.person.state(), [])
        done = self.ends("E_UNAVAILABLE", "cannot be reached", "accept", "--yes", "-", input=self.link)
        self.assertNotIn("says:", done.stderr)
        self.assertEqual(self.person.state(), [])

    def test_something_that_is_no_relay(self):
        with Mailbox() as web:
            web.hook = lambda request: (404, {}, b"<html>no such page</html>")
            self.ends("E_UNAVAILABLE", "404 .is this the address of a relay", "share", "--relay", web.url, "--relay-pin", web.pin, self.file)

    def test_a_relay_that_is_busy_for_good(self):
        with Mailbox() as relay:
            relay.hook = lambda request: (503, {"Retry-After": "1"}, b"")
            done = self.ends("E_UNAVAILABLE", "only answers 503.*gage resume", "share", "--relay", relay.url, "--relay-pin", relay.pin, self.file)
            relay.hook = None
            resume = self.person.start("resume", "--json")
            self.assertIn("gage cancel", done.stderr)
            self.assertIn("the receiver to open the link", "".join(resume.stdout.readline() for _ in range(2)))

    def test_a_wrong_clock_is_told(self):
        with Mailbox() as relay:
            handler = relay.server.RequestHandlerClass
            kept, handler.date_time_string = handler.date_time_string, lambda *_: "Thu, 01 Jan 2026 00:00:00 GMT"
            self.addCleanup(setattr, handler, "date_time_string", kept)
            share = self.person.run("share", "--detach", "--relay", relay.url, "--relay-pin", relay.pin, self.file)
            self.assertEqual(share.returncode, 0, share.stderr)
            self.assertEqual(share.stderr.count("ahead of the relay's: set it"), 1)


class FullDisk(unittest.TestCase):
    def test_the_content_is_kept_and_installed_where_there_is_room(self):
        with Relay() as relay, Person(relay) as sender, Person(relay) as receiver, tempfile.TemporaryDirectory() as full:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", full], check=True)
            self.addCleanup(subprocess.run, ["umount", full], stderr=subprocess.DEVNULL)
            with open(os.path.join(full, "filler"), "wb") as filler:
                filler.write(b"x" * 4096)
            share = sender.start("share", sender.file("secret.txt"))
            link = read_link(share)
            done = receiver.run("accept", "--yes", "--output", full, "-", input=link)
            self.assertEqual(done.returncode, STATUS["E_IO"], done.stderr)
            self.assertRegex(done.stderr, "No space left on device; the content is kept: `gage resume --output")
            self.assertEqual(os.listdir(full), ["filler"])
            again = receiver.run("resume", "--output", str(receiver.work))
            self.assertEqual((again.returncode, finish(share)[0]), (0, 0), again.stderr)
            self.assertEqual((receiver.work / "secret.txt").read_bytes(), b"secret")
            subprocess.run(["umount", full], check=True)

    def test_a_state_folder_without_room_begins_nothing(self):
        with Relay() as relay, Person(relay) as person:
            state = person.home / ".local/state"
            state.mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", state], check=True)
            try:
                (state / "filler").write_bytes(b"x" * 8192)
                done = person.run("share", person.file("file", b"x" * 3000))
                self.assertEqual(done.returncode, STATUS["E_IO"], done.stderr)
                self.assertIn("No space left on device", done.stderr)
            finally:
                subprocess.run(["umount", state], check=True)


if __name__ == "__main__":
    unittest.main()
