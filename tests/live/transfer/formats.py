"""Credentials that the sender makes for a key of the receiver's: certificates that ssh-keygen and openssl verify, and commands of one's own."""
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

from stage import ROOT, STATUS, Person, Relay, Terminal, finish, read_event, read_link

KILLER = pathlib.Path(os.environ.get("GAGE_KILLER", ROOT / "build/obj/tests/live/transfer/killer.so"))


def run(*words, **kwargs):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True, **kwargs).stdout


class Stage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay().start()
        cls.folder = tempfile.TemporaryDirectory()
        cls.home = pathlib.Path(cls.folder.name)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ca", "-f", cls.home / "ca")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=test ca",
            "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", cls.home / "ca.key", "-out", cls.home / "ca.crt")
        cls.ssh = ("--format", "ssh-certificate", "--ca-key", cls.home / "ca", "--identity", "alice's laptop", "--principals", "alice,root", "--valid", "8h")
        cls.x509 = ("--format", "x509", "--ca-key", cls.home / "ca.key", "--ca-cert", cls.home / "ca.crt", "--identity", "alice")

    @classmethod
    def tearDownClass(cls):
        cls.relay.__exit__()
        cls.folder.cleanup()

    def setUp(self):
        self.sender = self.enterContext(Person(self.relay))
        self.receiver = self.enterContext(Person(self.relay))
        self.work = self.receiver.work

    def share(self, *words):
        share = self.sender.start("share", *map(str, words))
        return share, read_link(share)

    def whole(self, words, *accept_words):
        share, link = self.share(*words)
        accept = self.receiver.run("accept", "--yes", *accept_words, "-", input=link)
        self.assertEqual((accept.returncode, finish(share)[0]), (0, 0), accept.stderr)
        return accept

    def nothing_left(self):
        for person in (self.sender, self.receiver):
            self.assertEqual([p.name for p in person.records() if p.name.startswith("work-")], [])
            for record in person.records():
                self.assertNotIn(b"PRIVATE KEY", record.read_bytes())


class Ssh(Stage):
    def check(self, base):
        """The certificate is the CA's, for the key beside it, and says what the sender wanted."""
        told = run("ssh-keygen", "-L", "-f", f"{base}-cert.pub")
        self.assertIn('Key ID: "alice\'s laptop"', told)
        self.assertRegex(told, r"Principals:\s+alice\s+root\n")
        self.assertIn("user certificate", told)
        ca = run("ssh-keygen", "-l", "-f", self.home / "ca.pub").split()[1]
        key = run("ssh-keygen", "-l", "-f", f"{base}.pub").split()[1]
        self.assertIn(f"Signing CA: ED25519 {ca}", told)
        self.assertIn(f"Public key: ED25519-CERT {key}", told)
        self.assertEqual(run("ssh-keygen", "-y", "-f", base).split()[:2], pathlib.Path(f"{base}.pub").read_text().split()[:2])
        self.assertEqual([os.stat(f"{base}{end}").st_mode & 0o777 for end in ("", ".pub", "-cert.pub")], [0o600, 0o644, 0o644])

    def test_a_certificate_for_a_key_that_never_left(self):
        accept = self.whole(self.ssh)
        self.check(self.work / "id_gage")
        self.assertEqual(sorted(os.listdir(self.work)), ["id_gage", "id_gage-cert.pub", "id_gage.pub"])
        self.assertIn("id_gage-cert.pub", accept.stderr)
        self.nothing_left()

    def test_it_signs_what_ssh_verifies(self):
        self.whole(self.ssh, "--output", "key")
        signature = run("ssh-keygen", "-Y", "sign", "-f", self.work / "key-cert.pub", "-n", "test", input="message")
        (self.work / "signature").write_text(signature)
        (self.work / "allowed").write_text('alice cert-authority ' + (self.home / "ca.pub").read_text())
        told = run("ssh-keygen", "-Y", "verify", "-f", self.work / "allowed", "-I", "alice", "-n", "test", "-s", self.work / "signature", input="message")
        self.assertIn('Good "test" signature for alice', told)

    def test_digits_come_before_it(self):
        share = Terminal(self.sender, "share", "--verify", *self.ssh)
        link = share.expect(r"(https://\S+#\S+)\r\n").group(1)
        accept = Terminal(self.receiver, "accept", "--yes")
        accept.expect("Paste")
        accept.type(link + "\n")
        for person in (share, accept):
            person.expect(r"\[y/N\] ")
            self.assertEqual(os.listdir(self.work), [])
            person.type("y\n")
        self.assertEqual((accept.wait(), share.wait()), (0, 0))
        self.check(self.work / "id_gage")

    def test_a_key_in_the_way_stays(self):
        (self.work / "id_gage").write_text("mine")
        share, link = self.share(*self.ssh)
        done = self.receiver.run("accept", "--yes", "-", input=link)
        self.assertEqual(done.returncode, STATUS["E_EXISTS"], done.stderr)
        self.assertEqual((self.work / "id_gage").read_text(), "mine")
        again = self.receiver.run("resume", "--output", "other")
        self.assertEqual((again.returncode, finish(share)[0]), (0, 0), again.stderr)
        self.check(self.work / "other")

    def test_what_is_no_public_key_is_refused(self):
        for request in ("hello", "ssh-ed25519-cert-v01@openssh.com AAAA", 'command="x" ssh-ed25519 AAAA', "ssh-ed25519 AAAA\nssh-ed25519 AAAA", ""):
            with self.subTest(request), Person(self.relay) as receiver:
                share, link = self.share(*self.ssh)
                done = receiver.run("accept", "--yes", "--exec", f"printf '%s' '{request}'", "-", input=link)
                status, _, errors = finish(share)
                self.assertEqual((done.returncode, status), (STATUS["E_REFUSED"], STATUS["E_REFUSED"]), errors)
                self.assertIn("not released", errors)
                self.assertEqual(os.listdir(receiver.work), [])

    def test_an_authority_that_cannot_sign_now_leaves_the_transfer_standing(self):
        broken = self.sender.work / "ca"
        broken.write_text("no key")
        broken.chmod(0o600)
        share, link = self.share("--format", "ssh-certificate", "--ca-key", broken, "--identity", "x", "--principals", "alice")
        accept = self.receiver.start("accept", "--yes", "-", stdin=subprocess.PIPE)
        accept.stdin.write(link)
        accept.stdin.close()
        accept.stdin = None
        status, _, errors = finish(share)
        self.assertEqual(status, STATUS["E_IO"], errors)
        self.assertIn("gage resume", errors)
        broken.write_bytes((self.home / "ca").read_bytes())
        resume = self.sender.run("resume")
        self.assertEqual((resume.returncode, finish(accept)[0]), (0, 0), resume.stderr)

    def killed(self, side, at):
        """Kill -9 before the Nth call of one side, resume: the certificate is for the key that is there."""
        with Person(self.relay) as sender, Person(self.relay) as receiver:
            env = {"LD_PRELOAD": str(KILLER), "GAGE_KILL_AT": str(at)}
            words = [str(w) for w in self.ssh]
            share = sender.start("share", "--json", *words, env=env if side == "sender" else {})
            event = read_event(share, "invitation")
            if event is None:
                finish(share)
                share = sender.start(*(("resume", "--json") if sender.state() else ("share", "--json", *words)))
                event = read_event(share, "invitation")
            accept = receiver.start("accept", "--yes", "--json", "-", stdin=subprocess.PIPE, env=env if side == "receiver" else {})
            accept.stdin.write(event["link"])
            accept.stdin.close()
            accept.stdin = None
            with concurrent.futures.ThreadPoolExecutor() as pool:
                ends = list(pool.map(lambda one: self.to_the_end(*one), ((sender, share, None), (receiver, accept, event["link"]))))
            self.assertEqual(ends, [0, 0])
            self.check(receiver.work / "id_gage")
            self.assertEqual(sorted(os.listdir(receiver.work)), ["id_gage", "id_gage-cert.pub", "id_gage.pub"])

    @staticmethod
    def to_the_end(person, process, link):
        status, _, _ = finish(process)
        while status == -signal.SIGKILL:
            rows = person.state()
            if rows and not rows[0]["open"]:
                return 0
            status = (person.run("resume") if rows else person.run("accept", "--yes", "-", input=link)).returncode
        return status

    def test_killed_anywhere_it_is_one_certificate_for_the_key_that_is_there(self):
        points = [(side, at) for side in ("receiver", "sender") for at in range(3, 140, 6)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            results = [(point, pool.submit(self.killed, *point)) for point in points]
        for point, result in results:
            with self.subTest(point=point):
                result.result()


class X509(Stage):
    def test_a_certificate_for_a_key_that_never_left(self):
        self.whole(self.x509, "--output", "client")
        crt, key = self.work / "client.crt", self.work / "client.key"
        self.assertIn("OK", run("openssl", "verify", "-CAfile", self.home / "ca.crt", "-purpose", "sslclient", crt))
        told = run("openssl", "x509", "-in", crt, "-noout", "-subject", "-issuer", "-ext", "basicConstraints,keyUsage,extendedKeyUsage")
        for words in ("CN = alice", "CN = test ca", "CA:FALSE", "Digital Signature", "TLS Web Client Authentication"):
            self.assertIn(words, told)
        self.assertEqual(run("openssl", "x509", "-in", crt, "-noout", "-pubkey"), run("openssl", "pkey", "-in", key, "-pubout"))
        self.assertEqual((key.stat().st_mode & 0o777, sorted(os.listdir(self.work))), (0o600, ["client.crt", "client.key"]))
        self.nothing_left()

    def test_the_subject_is_the_senders_and_no_extension_is_taken_over(self):
        request = self.receiver.work / "make"
        request.write_text("#!/bin/sh\ntest $GAGE_SIDE = receiver && test $GAGE_FORMAT = x509 || exit 1\n"
                           "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout mine.key -subj /CN=root "
                           "-addext basicConstraints=CA:TRUE -addext subjectAltName=DNS:evil.example 2>/dev/null\n")
        self.whole((*self.x509[:-1], "/O=Example/CN=alice"), "--exec", f"sh {request}", "--output", "mine.crt")
        told = run("openssl", "x509", "-in", self.work / "mine.crt", "-noout", "-text")
        self.assertIn("Subject: O = Example, CN = alice", told)
        self.assertIn("CA:FALSE", told)
        self.assertNotIn("evil.example", told)

    def test_a_request_that_its_key_did_not_sign_is_refused(self):
        share, link = self.share(*self.x509)
        done = self.receiver.run("accept", "--yes", "--exec", "echo hello", "--output", "x", "-", input=link)
        self.assertEqual((done.returncode, finish(share)[0]), (STATUS["E_REFUSED"], STATUS["E_REFUSED"]), done.stderr)


class WrongCertificates(Stage):
    def test_what_is_no_certificate_for_the_key_made_here_is_refused_and_the_sender_told(self):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", self.home / "other")
        run("ssh-keygen", "-q", "-s", self.home / "ca", "-I", "x", "-n", "alice", self.home / "other.pub")
        for format, content in (("ssh-certificate", self.home / "other-cert.pub"), ("x509", self.home / "ca.crt"), ("ssh-certificate", "/dev/null"), ("x509", "/dev/null")):
            with self.subTest(format=format, content=content), Person(self.relay) as receiver:
                share, link = self.share("--format", format, "--exec", f"cat {content}")
                done = receiver.run("accept", "--yes", "-", input=link)
                self.assertEqual((done.returncode, finish(share)[0]), (STATUS["E_IO"], STATUS["E_REFUSED"]), done.stderr)
                self.assertIn("no certificate for the key made here", done.stderr)
                self.assertEqual(os.listdir(receiver.work), [])


class Exec(Stage):
    def test_any_number_of_rounds(self):
        answers = 'read asked; test "$asked" = "request $GAGE_ROUND" || exit 1; echo "answer $GAGE_ROUND"; test $GAGE_ROUND = 4 || exit 10'
        requests = 'echo "$GAGE_ROUND: $(cat)" >> ../seen; echo "request $GAGE_ROUND"'
        self.whole(("--format", "token+json", "--exec", answers), "--exec", requests, "--output", "token")
        self.assertEqual((self.work / "token").read_text(), "answer 4\n")
        self.assertEqual((self.receiver.home / "seen").read_text(), "1: \n2: answer 1\n3: answer 2\n4: answer 3\n")

    def test_what_a_command_is_told(self):
        answers = 'echo "$GAGE_SIDE $GAGE_FORMAT $GAGE_ROUND $(expr length "$GAGE_KEY") $GAGE_PEER"'
        self.whole(("--format", "a.format", "--exec", answers), "--exec", "true", "--output", "told")
        self.assertRegex((self.work / "told").read_text(), r"^sender a.format 1 32 otc:\S+/acceptor\n$")

    def test_a_command_that_fails_refuses_and_the_other_side_is_told(self):
        share, link = self.share("--format", "token", "--exec", "exit 3")
        done = self.receiver.run("accept", "--yes", "--exec", "true", "--output", "x", "-", input=link)
        self.assertEqual((done.returncode, finish(share)[0]), (STATUS["E_REFUSED"], STATUS["E_REFUSED"]), done.stderr)
        self.assertEqual(os.listdir(self.work), [])

    def test_a_command_that_cannot_now_is_run_again_by_resume(self):
        share, link = self.share("--format", "token", "--exec", "test -e ready || exit 75; cat ready")
        accept = self.receiver.start("accept", "--yes", "--exec", "true", "--output", "token", "-", stdin=subprocess.PIPE)
        accept.stdin.write(link)
        accept.stdin.close()
        accept.stdin = None
        status, _, errors = finish(share)
        self.assertEqual(status, STATUS["E_UNAVAILABLE"], errors)
        self.sender.file("ready", b"now")
        self.assertEqual((self.sender.run("resume").returncode, finish(accept)[0]), (0, 0))
        self.assertEqual((self.work / "token").read_text(), "now")

    def test_a_format_nobody_knows_here_is_refused_and_said(self):
        share, link = self.share("--format", "token", "--exec", "true")
        done = self.receiver.run("accept", "--yes", "-", input=link)
        self.assertEqual((done.returncode, finish(share)[0]), (STATUS["E_REFUSED"], STATUS["E_REFUSED"]), done.stderr)
        self.assertIn("--exec", done.stderr)

    def test_options_that_do_not_fit_are_refused_before_anything_is_sent(self):
        file = self.sender.file("file")
        for words, says in (((), "FILE|-"), (("--format", "ssh-certificate"), "--ca-key"), (("--format", "x509", "--ca-key", "x"), "--identity"),
                            (("--format", "token"), "--exec"), (("--exec", "true", file), "--format"), (("--format", "token", "--exec", "true", file), "no FILE"),
                            ((*self.ssh[:6],), "--principals"), (("--format", "x509", "--ca-key", "x", "--identity", "x"), "--ca-cert"),
                            (("--format", "not a token", "--exec", "true"), "format")):
            done = self.sender.run("share", *map(str, words))
            self.assertEqual(done.returncode, STATUS["E_USAGE"], (words, done.stderr))
            self.assertIn(says, done.stderr)
        self.assertEqual(self.sender.state(), [])
        missing = self.sender.run("share", "--format", "ssh-certificate", "--ca-key", "missing", "--identity", "x", "--principals", "x")
        self.assertEqual(missing.returncode, STATUS["E_NOT_FOUND"])


if __name__ == "__main__":
    unittest.main()
