"""Whole transfers with gage share and gage accept over gage-relayd and SQLite."""
import os
import pathlib
import re
import subprocess
import unittest
import urllib.request

import stage
from stage import STATUS, Person, Relay, Terminal, events, finish, free_port, read_event, read_link, share_and_accept, until


class Stage(stage.Stage):
    def received(self, name="secret.txt"):
        return (self.receiver.work / name).read_bytes()

    def whole(self, file, *accept_words, share_words=()):
        sent, received, link = share_and_accept(self.sender, self.receiver, file, *accept_words, share_words=share_words)
        self.assertEqual((sent[0], received[0]), (0, 0), f"{sent}\n{received}")
        return link


class Content(Stage):
    def test_bytes_name_and_mode_arrive(self):
        for content, mode in ((b"secret\n", 0o640), (b"", 0o600), (bytes(range(256)) * 120, 0o755), (b"\0", 0o444)):
            with self.subTest(size=len(content), mode=oct(mode)):
                name = f"file {len(content)}.bin"
                self.whole(self.sender.file(name, content, mode))
                self.assertEqual(self.received(name), content)
                self.assertEqual((self.receiver.work / name).stat().st_mode & 0o7777, mode)
                self.assertEqual([f for f in os.listdir(self.receiver.work) if not f.startswith("file ")], [])

    def test_standard_input_is_shared_without_a_name(self):
        share = self.sender.start("share", "-", stdin=subprocess.PIPE)
        share.stdin.write("from a pipe")
        share.stdin.close()
        share.stdin = None
        link = read_link(share)
        accept = self.receiver.run("accept", "--yes", "--output", "chosen", "-", input=link)
        self.assertEqual((accept.returncode, finish(share)[0]), (0, 0), accept.stderr)
        self.assertEqual(self.received("chosen"), b"from a pipe")
        self.assertEqual((self.receiver.work / "chosen").stat().st_mode & 0o777, 0o600)

    def test_output_may_name_a_folder_or_a_file(self):
        (self.receiver.work / "folder").mkdir()
        self.whole(self.sender.file("a", b"1"), "--output", "folder")
        self.assertEqual(self.received("folder/a"), b"1")
        self.whole(self.sender.file("a", b"2"), "--output", "folder/b")
        self.assertEqual(self.received("folder/b"), b"2")

    def test_a_transfer_takes_seven_requests(self):
        """Each write brings back what the other side answers, nobody looks at the preview, and the relay deletes when it likes."""
        metrics = f"127.0.0.1:{free_port()}"
        with Relay("--metrics", metrics) as relay, Person(relay) as sender, Person(relay) as receiver:
            sent, received, _ = share_and_accept(sender, receiver, sender.file("key.pem"))
            page = urllib.request.urlopen(f"http://{metrics}/metrics").read().decode()
        self.assertEqual((sent[0], received[0]), (0, 0), f"{sent}\n{received}")
        answers = re.findall(r'gage_relay_answers_total\{request="(\w+)",status="\dxx"\} ([1-9]\d*)', page)
        asked = sorted(row for row in answers if row[0] != "health")  # that one the relay asks itself as it starts
        self.assertEqual(asked, [("create", "1"), ("delete", "1"), ("read", "2"), ("update", "3")])

    def test_the_relay_stores_nothing_readable(self):
        content = b"-----BEGIN PRIVATE KEY----- nobody may read this"
        share = self.sender.start("share", self.sender.file("key.pem", content))
        link = read_link(share)
        secret = link.partition("#")[2].encode()
        self.assertNotIn(secret, self.relay.stored())
        accept = self.receiver.run("accept", "--yes", "-", input=link)
        stored = self.relay.stored()
        finish(share)
        self.assertEqual(accept.returncode, 0, accept.stderr)
        for needle in (content, b"key.pem", secret):
            self.assertNotIn(needle, stored)
        self.assertNotIn(secret.decode(), self.relay.log())


class Invitations(Stage):
    def accept_and_check(self, share, *words, input=""):
        accept = self.receiver.run("accept", "--yes", *words, input=input)
        self.assertEqual((accept.returncode, finish(share)[0]), (0, 0), accept.stderr)
        self.assertEqual(self.received("secret.txt"), b"secret")

    def test_a_gage_uri(self):
        share = self.sender.start("share", "--uri", self.sender.file("secret.txt"))
        uri = read_link(share)
        self.assertTrue(uri.startswith("gage:"))
        self.accept_and_check(share, "-", input=uri)

    def test_an_invitation_file_with_the_pin_in_it(self):
        self.receiver.configure("")
        share = self.sender.start("share", "--invite", "invitation", self.sender.file("secret.txt"))
        path = self.sender.work / "invitation"
        until(path.exists, "the invitation is written")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.accept_and_check(share, str(path))

    def test_a_file_that_exists_is_not_overwritten_and_nothing_is_sent(self):
        self.sender.file("taken", b"kept")
        done = self.sender.run("share", "--invite", "taken", self.sender.file("secret.txt"))
        self.assertEqual(done.returncode, STATUS["E_EXISTS"])
        self.assertEqual((self.sender.work / "taken").read_bytes(), b"kept")
        self.assertEqual(self.sender.state(), [])

    def test_a_png_that_a_scanner_reads(self):
        share = self.sender.start("share", "--qr-png", "code.png", self.sender.file("secret.txt"))
        link = read_link(share)
        scanned = subprocess.run(["zbarimg", "--quiet", "--raw", self.sender.work / "code.png"], capture_output=True, text=True, check=True)
        self.assertEqual(scanned.stdout.strip(), link)
        self.accept_and_check(share, "-", input=scanned.stdout)

    def test_a_code_on_the_terminal_that_a_scanner_reads(self):
        share = self.sender.start("share", "--detach", "--qr", self.sender.file("secret.txt"))
        _, out, _ = finish(share)
        link, *rows = out.splitlines()
        picture = self.sender.work / "shown.pbm"
        picture.write_text(self.as_pbm(rows))
        scanned = subprocess.run(["zbarimg", "--quiet", "--raw", picture], capture_output=True, text=True, check=True)
        self.assertEqual(scanned.stdout.strip(), link)

    @staticmethod
    def as_pbm(rows, scale=4):
        """What a terminal shows of half blocks: drawn is light."""
        light = {" ": (0, 0), "\u2580": (1, 0), "\u2584": (0, 1), "\u2588": (1, 1)}
        pixels = [[light[cell][half] for cell in row] for row in rows for half in (0, 1)]
        lines = ["".join(("0" if on else "1") * scale for on in row) for row in pixels for _ in range(scale)]
        return f"P1\n{len(lines[0])} {len(lines)}\n" + "\n".join(" ".join(line) for line in lines) + "\n"

    def test_garbage_is_refused_without_repeating_it(self):
        for text in ("", "hello", "https://relay.example/v1/m/1", "gage://x", "{}", "https://relay.example/v1/m/x#c2VjcmV0c2VjcmV0"):
            with self.subTest(text):
                done = self.receiver.run("accept", "--yes", "-", input=text)
                self.assertEqual(done.returncode, STATUS["E_FORMAT"], done.stderr)
                self.assertNotIn("c2VjcmV0", done.stderr)


class Secrets(Stage):
    def test_a_link_on_the_command_line_is_refused_and_wiped(self):
        secret = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
        link = self.relay.url + "/v1/m/00000000-0000-4000-8000-000000000000#" + secret
        for words in (("accept", link), ("accept", "--yes", link), ("share", link), ("show", link.replace("https", "gage")), ("accept", "--output=" + link)):
            done = self.receiver.run(*words)
            self.assertEqual(done.returncode, STATUS["E_USAGE"], words)
            self.assertIn("gage accept", done.stderr)
            self.assertNotIn(secret, done.stdout + done.stderr)

    def test_it_is_taken_there_only_where_asked_for_and_vanishes(self):
        share = self.sender.start("share", self.sender.file("secret.txt"))
        link = read_link(share)
        self.relay.stop()
        accept = self.receiver.start("accept", "--yes", "--link-in-argv", link)
        until(lambda: link not in self.cmdline(accept), "the link vanishes from the command line")
        self.relay.start()
        self.assertEqual((finish(accept)[0], finish(share)[0]), (0, 0))

    @staticmethod
    def cmdline(process):
        return pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()

    def test_nothing_of_it_in_command_line_environment_or_core(self):
        share = self.sender.start("share", self.sender.file("secret.txt"))
        secret = read_link(share).partition("#")[2]
        for what in ("cmdline", "environ"):
            self.assertNotIn(secret.encode(), pathlib.Path(f"/proc/{share.pid}/{what}").read_bytes())
        limits = pathlib.Path(f"/proc/{share.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size\s+0\s+0\s")
        share.kill()
        finish(share)

    def test_list_and_show_tell_no_secret(self):
        out = finish(self.sender.start("share", "--detach", self.sender.file("secret.txt")))[1]
        secret, ident = out.strip().partition("#")[2], self.sender.state()[0]["transfer"]
        shown = ""
        for words in (("list",), ("list", "--json"), ("show", ident), ("show", "--json", ident)):
            done = self.sender.run(*words)
            self.assertEqual(done.returncode, 0, done.stderr)
            shown += done.stdout + done.stderr
        self.assertNotIn(secret, shown)
        refused = self.sender.run("show", "--secret", ident)
        self.assertEqual(refused.returncode, STATUS["E_REFUSED"])
        self.assertNotIn(secret, refused.stdout + refused.stderr)
        terminal = Terminal(self.sender, "show", "--secret", ident)
        terminal.expect(re.escape(secret))
        self.assertEqual(terminal.wait(), 0)

    def test_state_is_private_and_ends_with_the_transfer(self):
        link = self.whole(self.sender.file("secret.txt", b"the content itself"))
        for person in (self.sender, self.receiver):
            for path in person.records():
                self.assertEqual(path.stat().st_mode & 0o077, 0)
                self.assertNotIn(b"the content itself", path.read_bytes())
                self.assertNotIn(link.partition("#")[2].encode(), path.read_bytes())


class OnATerminal(Stage):
    def test_the_link_is_asked_for_and_not_shown_and_the_claim_confirmed(self):
        share = Terminal(self.sender, "share", "--title", "database key", self.sender.file("secret.txt"))
        link = share.expect(r"(https://\S+#\S+)\r\n").group(1)
        share.expect(r"waiting \(\d+ s\) for the receiver")
        accept = Terminal(self.receiver, "accept")
        accept.expect("Paste the invitation")
        accept.type(link + "\n")
        accept.expect(r"the relay 127.0.0.1:\d+ says:")
        accept.expect("database key")
        accept.expect(r"Accept it\?.*\[y/N\] ")
        accept.type("maybe\ny\n")
        accept.expect("installed as .*secret.txt")
        self.assertEqual((accept.wait(), share.wait()), (0, 0))
        self.assertNotIn(link.partition("#")[2], accept.shown)
        self.assertEqual(self.received("secret.txt"), b"secret")

    def test_no_is_no_and_the_link_stays_good(self):
        share = self.sender.start("share", self.sender.file("secret.txt"))
        link = read_link(share)
        accept = Terminal(self.receiver, "accept")
        accept.expect("Paste")
        accept.type(link + "\n")
        accept.expect(r"\[y/N\] ")
        accept.type("\n")
        self.assertEqual(accept.wait(), STATUS["E_REFUSED"])
        self.assertEqual(os.listdir(self.receiver.work), [])
        again = self.receiver.run("accept", "--yes", "-", input=link)
        self.assertEqual((again.returncode, finish(share)[0]), (0, 0), again.stderr)

    def test_digits_are_compared_where_the_sender_wants_it(self):
        share = Terminal(self.sender, "share", "--verify", self.sender.file("secret.txt"))
        link = share.expect(r"(https://\S+#\S+)\r\n").group(1)
        accept = Terminal(self.receiver, "accept", "--yes")
        accept.expect("Paste")
        accept.type(link + "\n")
        theirs = accept.expect(r"face to face: (\d{3} \d{3})").group(1)
        accept.expect(r"\[y/N\] ")
        self.assertEqual(os.listdir(self.receiver.work), [])
        accept.type("y\n")
        ours = share.expect(r"face to face: (\d{3} \d{3})").group(1)
        self.assertEqual(theirs, ours)
        share.expect(r"\[y/N\] ")
        share.type("y\n")
        self.assertEqual((accept.wait(), share.wait()), (0, 0))

    def test_other_digits_release_nothing(self):
        share = Terminal(self.sender, "share", "--verify", self.sender.file("secret.txt"))
        link = share.expect(r"(https://\S+#\S+)\r\n").group(1)
        accept = Terminal(self.receiver, "accept", "--yes")
        accept.expect("Paste")
        accept.type(link + "\n")
        accept.expect(r"\[y/N\] ")
        accept.type("y\n")
        share.expect(r"\[y/N\] ")
        share.type("n\n")
        share.expect("not released")
        self.assertEqual(share.wait(), STATUS["E_REFUSED"])
        self.assertNotEqual(accept.wait(), 0)
        self.assertEqual(os.listdir(self.receiver.work), [])

    def test_interrupted_it_stands(self):
        share = Terminal(self.sender, "share", self.sender.file("secret.txt"))
        link = share.expect(r"(https://\S+#\S+)\r\n").group(1)
        share.expect("waiting")
        share.type("\x03")
        ident = share.expect(r"gage resume (\w+)").group(1)
        self.assertEqual(share.wait(), -2)
        accept = self.receiver.start("accept", "--yes", "-", stdin=subprocess.PIPE)
        accept.stdin.write(link)
        accept.stdin.close()
        accept.stdin = None
        resumed = self.sender.run("resume", ident)
        self.assertEqual((resumed.returncode, finish(accept)[0]), (0, 0), resumed.stderr)

    def test_without_a_terminal_there_are_plain_lines_and_no_escapes(self):
        sent, received, _ = share_and_accept(self.sender, self.receiver, self.sender.file("secret.txt"))
        self.assertIn("delivered", sent[2])
        self.assertIn("installed as", received[2])
        self.assertNotIn("\x1b", sent[2] + received[2])


class Json(Stage):
    def test_every_line_is_an_event(self):
        share = self.sender.start("share", "--json", self.sender.file("secret.txt"))
        link = read_event(share, "invitation")["link"]
        accept = self.receiver.run("accept", "--json", "--yes", "-", input=link)
        got = events(accept.stdout)
        self.assertEqual(got[-1]["outcome"], "installed")
        self.assertEqual(got[-1]["file"], str((self.receiver.work / "secret.txt").resolve()))
        self.assertIn("preview", [e["event"] for e in got])
        status, out, err = finish(share)
        last = events(out)[-1]
        self.assertEqual((status, last["event"], last["outcome"], last["code"], err), (0, "outcome", "delivered", "GAGE_OK", ""))
        self.assertEqual({e["transfer"] for e in events(out)}, {self.sender.state()[0]["transfer"]})

    def test_a_failure_is_an_event_too(self):
        self.receiver.file("secret.txt", b"in the way")
        share = self.sender.start("share", "--json", self.sender.file("secret.txt"))
        link = read_event(share, "invitation")["link"]
        self.sender.run("cancel", self.sender.state()[0]["transfer"])
        status, out, _ = finish(share)
        self.assertEqual((status, events(out)[-1]["outcome"]), (STATUS["E_CANCELLED"], "not released"))
        self.assertIsNotNone(link)


class InTheWay(Stage):
    def share(self, name="secret.txt", content=b"secret"):
        share = self.sender.start("share", self.sender.file(name, content))
        return share, read_link(share)

    def test_an_existing_file_stays_and_the_content_is_kept_for_another_name(self):
        self.receiver.file("secret.txt", b"older")
        share, link = self.share()
        accept = self.receiver.run("accept", "--yes", "-", input=link)
        self.assertEqual(accept.returncode, STATUS["E_EXISTS"], accept.stderr)
        self.assertEqual(self.received(), b"older")
        ident = self.receiver.state()[0]["transfer"]
        self.assertIn(ident, accept.stderr)
        again = self.receiver.run("resume", "--output", "other", ident)
        self.assertEqual((again.returncode, finish(share)[0]), (0, 0), again.stderr)
        self.assertEqual((self.received(), self.received("other")), (b"older", b"secret"))

    def test_the_content_is_kept_where_the_invitation_is_given_again_or_the_relay_is_gone(self):
        self.receiver.file("secret.txt", b"older")
        share, link = self.share()
        for relay_is_up in (True, True, False):
            if not relay_is_up:
                self.relay.stop()
                self.addCleanup(self.relay.start)
            accept = self.receiver.run("accept", "--yes", "-", input=link)
            self.assertEqual(accept.returncode, STATUS["E_EXISTS"], accept.stderr)
        ident = self.receiver.state()[0]["transfer"]
        again = self.receiver.run("resume", "--output", "other", ident)
        self.assertEqual(self.received("other"), b"secret", again.stderr)
        share.kill()
        finish(share)

    def test_force_replaces_it(self):
        self.receiver.file("secret.txt", b"older", 0o644)
        share, link = self.share()
        accept = self.receiver.run("accept", "--yes", "--force", "-", input=link)
        self.assertEqual((accept.returncode, finish(share)[0]), (0, 0), accept.stderr)
        self.assertEqual(self.received(), b"secret")
        self.assertEqual((self.receiver.work / "secret.txt").stat().st_mode & 0o777, 0o600)

    def test_a_named_output_that_exists_is_said_before_anything_is_claimed(self):
        self.receiver.file("taken", b"older")
        share, link = self.share()
        accept = self.receiver.run("accept", "--yes", "--output", "taken", "-", input=link)
        self.assertEqual(accept.returncode, STATUS["E_EXISTS"])
        self.assertEqual(self.receiver.state(), [])
        again = self.receiver.run("accept", "--yes", "-", input=link)
        self.assertEqual((again.returncode, finish(share)[0]), (0, 0), again.stderr)

    def test_a_dangling_link_is_in_the_way_too(self):
        (self.receiver.work / "secret.txt").symlink_to("/nonexistent/elsewhere")
        share, link = self.share()
        self.assertEqual(self.receiver.run("accept", "--yes", "-", input=link).returncode, STATUS["E_EXISTS"])
        self.assertTrue((self.receiver.work / "secret.txt").is_symlink())
        share.kill()
        finish(share)

    def test_the_same_invitation_again_is_told_about(self):
        link = self.whole(self.sender.file("secret.txt"))
        again = self.receiver.run("accept", "--yes", "-", input=link)
        self.assertEqual(again.returncode, STATUS["E_USED"])
        self.assertIn("secret.txt", again.stderr)

    def test_hidden_names_are_not_installed_unasked(self):
        share, link = self.share(".bashrc")
        accept = self.receiver.run("accept", "--yes", "-", input=link)
        self.assertFalse((self.receiver.work / ".bashrc").exists())
        if accept.returncode != 0:
            ident = self.receiver.state()[0]["transfer"]
            accept = self.receiver.run("resume", "--output", "chosen", ident)
        self.assertEqual((accept.returncode, finish(share)[0]), (0, 0), accept.stderr)


if __name__ == "__main__":
    unittest.main()
