"""gage pair by a relay's link and over STARTGSS: whole, refused, and killed at every point, both sides, with a real relay and a real KDC."""
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "transfer"), str(HERE.parents[1] / "lib")]
import stage  # noqa: E402
from people import EXIT, Folder  # noqa: E402
from realm import Realm  # noqa: E402
from stage import GAGE, ROOT, Terminal, events, finish, read_event, read_link  # noqa: E402

KILLER = os.environ.get("GAGE_KILLER", str(ROOT / "build/obj/tests/live/transfer/killer.so"))


def sealed_both_ways(test, one, other, one_calls="bob", other_calls="alice"):
    """Each seals, the other opens and knows from whom."""
    for a, b, to, by in ((one, other, one_calls, other_calls), (other, one, other_calls, one_calls)):
        seal = subprocess.run([GAGE, "seal", "--to", to], input=b"across", capture_output=True, env=a.env, cwd=a.work, timeout=30)
        test.assertEqual(seal.returncode, 0, seal.stderr)
        opened = subprocess.run([GAGE, "unseal", "--from", by], input=seal.stdout, capture_output=True, env=b.env, cwd=b.work, timeout=30)
        test.assertEqual((opened.returncode, opened.stdout), (0, b"across"), opened.stderr)


class Stage(stage.Stage):
    def setUp(self):
        super().setUp()
        self.alice, self.bob = self.sender, self.receiver

    def peers(self, person):
        return [row["alias"] for row in events(person.run("peers", "--json").stdout)]

    def accept(self, link, *words, person=None, **options):
        return (person or self.bob).run("pair", "--as", "alice", "--accept", "--yes", *words, "-", input=link + "\n", **options)


class Link(Stage):
    def test_a_link_pairs_two_people_who_are_never_online_together(self):
        link = read_link(made := self.alice.start("pair", "--as", "bob", "--link", "--detach"))
        self.assertEqual(finish(made)[0], 0)
        self.assertEqual(self.peers(self.alice), [])
        with concurrent.futures.ThreadPoolExecutor() as pool:
            taken = pool.submit(self.accept, link)
            resumed = self.alice.run("resume")
            done = taken.result()
        self.assertEqual((resumed.returncode, done.returncode), (0, 0), (resumed.stderr, done.stderr))
        self.assertRegex(resumed.stdout, r"^paired with otc:[0-9a-f-]+/acceptor as bob\n$")
        self.assertRegex(done.stdout, r"^paired with otc:[0-9a-f-]+/initiator as alice\n$")
        sealed_both_ways(self, self.alice, self.bob)
        again = self.accept(link, "--replace")
        self.assertEqual(again.returncode, EXIT["used"], again.stderr)

    def whole(self, make=(), take=(), json=False):
        made = self.alice.start("pair", "--as", "bob", "--link", *make)
        link = read_link(made)
        done = self.accept(link, *take)
        return finish(made), (done.returncode, done.stdout, done.stderr)

    def test_nothing_secret_stays_in_the_records_or_at_the_relay(self):
        made, done = self.whole()
        self.assertEqual((made[0], done[0]), (0, 0), (made, done))
        for person in (self.alice, self.bob):
            rows = person.state()
            self.assertEqual([row["open"] for row in rows], [False])
            for path in person.records():
                if not path.name.startswith("keyring"):
                    self.assertNotIn(b"gage-pair-note-1", path.read_bytes())
        self.assertNotIn(b"gage-pair", self.relay.stored())

    def test_a_link_on_the_command_line_is_refused_and_on_a_terminal_it_is_asked_for(self):
        made = self.alice.start("pair", "--as", "bob", "--link")
        link = read_link(made)
        refused = self.bob.run("pair", "--as", "alice", "--accept", link)
        self.assertEqual(refused.returncode, EXIT["usage"])
        self.assertNotIn(link.partition("#")[2], refused.stderr)
        terminal = Terminal(self.bob, "pair", "--as", "alice", "--accept")
        terminal.expect("Paste the invitation")
        terminal.type(link + "\n")
        terminal.expect(r"Accept it\?")
        terminal.type("yes\n")
        terminal.expect("paired with otc:")
        self.assertEqual(terminal.wait(), 0)
        self.assertNotIn(link.partition("#")[2], terminal.shown)
        self.assertEqual(finish(made)[0], 0)

    def test_invitation_file_json_and_validity(self):
        made = self.alice.start("pair", "--as", "bob", "--link", "--json", "--invite", "inv", "--validity", "10d")
        self.assertIsNotNone(read_event(made, "invitation"))
        done = self.bob.run("pair", "--as", "alice", "--accept", "--json", "--yes", str(self.alice.work / "inv"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("paired", [e["event"] for e in events(done.stdout)])
        self.assertEqual(finish(made)[0], 0)
        for person in (self.alice, self.bob):
            (row,) = events(person.run("peers", "--json").stdout)
            days = (sec(row["until"]) - sec(row["made"])) / 86400
            self.assertEqual(round(days), 10)

    def test_digits_that_a_person_denies_leave_no_pairing(self):
        made = Terminal(self.alice, "pair", "--as", "bob", "--link", "--verify")
        link = made.expect(r"(https://\S+#\S+)").group(1)
        taken = Terminal(self.bob, "pair", "--as", "alice", "--accept", "--yes")
        taken.expect("Paste")
        taken.type(link + "\n")
        taken.expect("same six digits")
        taken.type("no\n")
        self.assertNotEqual(taken.wait(), 0)
        made.expect("same six digits")
        made.type("yes\n")
        self.assertNotEqual(made.wait(), 0)
        self.assertEqual((self.peers(self.alice), self.peers(self.bob)), ([], []))

    def test_a_file_for_accept_and_a_pairing_for_pair_each_says_which_command_it_wants(self):
        made = self.alice.start("pair", "--as", "bob", "--link")
        link = read_link(made)
        wrong = self.bob.run("accept", "--yes", "-", input=link)
        self.assertEqual(wrong.returncode, EXIT["usage"], wrong.stderr)
        self.assertIn("gage pair --accept", wrong.stderr)
        right = self.accept(link)
        self.assertEqual((right.returncode, finish(made)[0]), (0, 0), right.stderr)
        shared = self.alice.start("share", self.alice.file("letter", b"text"))
        link = read_link(shared)
        wrong = self.bob.run("pair", "--as", "carol", "--accept", "--yes", "-", input=link)
        self.assertEqual(wrong.returncode, EXIT["usage"], wrong.stderr)
        self.assertIn("gage resume --output", wrong.stderr)
        resumed = self.bob.run("resume", "--output", "letter")
        self.assertEqual((resumed.returncode, finish(shared)[0]), (0, 0), resumed.stderr)
        self.assertEqual((self.bob.work / "letter").read_bytes(), b"text")
        self.assertEqual(self.peers(self.bob), ["alice"])

    def test_a_taken_alias_is_said_before_anything_and_replace_mends_half_a_pairing(self):
        made, done = self.whole()
        self.assertEqual((made[0], done[0]), (0, 0))
        early = self.alice.run("pair", "--as", "bob", "--link")
        self.assertEqual(early.returncode, EXIT["exists"], early.stderr)
        self.assertIn("--replace", early.stderr)
        self.assertEqual(self.bob.run("peers", "--remove", "alice").returncode, 0)
        made, done = self.whole(make=("--replace",))
        self.assertEqual((made[0], done[0]), (0, 0), (made, done))
        sealed_both_ways(self, self.alice, self.bob)

    def test_clocks_weeks_apart_make_no_pairing_on_either_side(self):
        made = self.alice.start("pair", "--as", "bob", "--link")
        link = read_link(made)
        done = self.accept(link, env={"LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "FAKETIME": "-15d"})
        status, _, err = finish(made)
        self.assertNotEqual(status, 0)
        self.assertIn("clocks", err)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual((self.peers(self.alice), self.peers(self.bob)), ([], []))


def sec(text):
    import datetime
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Killed(Stage):
    """Each side dies before its Nth noticeable call, for every N; whoever is resumed, or begins again, ends up paired."""

    def pair(self, alice_env=None, bob_env=None):
        made = self.alice.start("pair", "--as", "bob", "--link", "--json", env=alice_env or {})
        event = read_event(made, "invitation")
        while event is None:  # died before the link was told: resumed, or begun anew
            self.assertEqual(finish(made)[0], -signal.SIGKILL)
            begun = any(row["open"] for row in self.alice.state())
            made = self.alice.start("resume", "--json") if begun else self.alice.start("pair", "--as", "bob", "--link", "--json")
            event = read_event(made, "invitation")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            going = pool.submit(self.to_the_end, self.alice, made)
            first = self.bob.start("pair", "--as", "alice", "--accept", "--json", "--yes", "-", stdin=subprocess.PIPE, env=bob_env or {})
            try:
                first.stdin.write(event["link"] + "\n")
                first.stdin.close()
            except BrokenPipeError:
                pass
            first.stdin = None
            if not self.to_the_end(self.bob, first):
                self.assertEqual(self.accept(event["link"]).returncode, 0)
            self.assertTrue(going.result())

    def to_the_end(self, person, process):
        """Waits, resumes after a kill. False: killed before anything was begun."""
        status, out, err = finish(process)
        if status == -signal.SIGKILL:
            rows = person.state()
            if not rows:
                return False
            if not any(row["open"] for row in rows):
                return True
            done = person.run("resume", "--json")
            status, out, err = done.returncode, done.stdout, done.stderr
        self.assertEqual(status, 0, (out, err))
        return True

    def forget(self):
        for person in (self.alice, self.bob):
            for path in person.records():
                path.unlink()

    def sweep(self, who):
        count = self.alice.home / "count"
        env = {"LD_PRELOAD": KILLER, "GAGE_KILL_COUNT": str(count)}
        self.pair(**{who: env})
        self.forget()
        calls = count.stat().st_size
        self.assertGreater(calls, 60)
        for at in range(1, calls + 1):
            with self.subTest(at):
                self.pair(**{who: {"LD_PRELOAD": KILLER, "GAGE_KILL_AT": str(at)}})
                self.assertEqual((self.peers(self.alice), self.peers(self.bob)), (["bob"], ["alice"]))
                ids = [events(p.run("peers", "--json").stdout)[0]["peer"].partition("/")[0] for p in (self.alice, self.bob)]
                self.assertEqual(ids[0], ids[1])
                self.forget()

    def test_the_side_that_makes_the_link(self):
        self.sweep("alice_env")

    def test_the_side_that_takes_it(self):
        self.sweep("bob_env")


class Doors(unittest.TestCase):
    """Both sides of a pairing over STARTGSS, one of which may die before its Nth noticeable call."""

    def setUp(self):
        self.f = Folder(self.environment())
        self.addCleanup(self.f.remove)

    def environment(self):
        return None

    def carries(self, text):
        sealed = self.f.ok("seal", "alice", "--to", "bob", stdin=text).stdout
        self.assertEqual(self.f.ok("unseal", "bob", "--from", "alice", stdin=sealed).stdout, text)

    def mended(self, one, other):
        """After a kill: whatever is there, pairing again with --replace leaves both sides with one pairing."""
        for status, text in self.f.meet("alice", "bob", (*one, "--replace"), (*other, "--replace")):
            self.assertEqual(status, 0, text)
        self.carries(b"mended")

    def killed(self, who, one, other, at=None, count=None):
        env = {"LD_PRELOAD": KILLER, **({"GAGE_KILL_AT": str(at)} if at else {"GAGE_KILL_COUNT": str(count)})}
        address = "unix:" + str(self.f.path / "door")
        waiting = self.f.start("pair", "bob", "--listen", address, "--as", "alice", "--timeout", "2s", *other,
                               env=env if who == "bob" else None)
        listening = waiting.stderr.readline()
        going = self.f.start("pair", "alice", address, "--as", "bob", "--timeout", "2s", *one, env=env if who == "alice" else None)
        statuses = {}
        for name, process in (("alice", going), ("bob", waiting)):
            if name == "bob" and (not listening or going.returncode == EXIT["unavailable"]):
                process.kill()
            try:
                process.communicate(timeout=20 if going.returncode is None or name == "alice" else 0.5)
            except subprocess.TimeoutExpired:  # killed before it connected: the listener waits on
                process.kill()
                process.communicate()
            statuses[name] = process.returncode
        return statuses

    def fresh(self):
        for path in self.f.path.glob("*.ring*"):
            path.unlink()

    def sweep(self, one, other):
        for who, survivor in (("alice", "bob"), ("bob", "alice")):
            self.fresh()
            count = self.f.path / f"count-{who}"
            self.assertEqual(set(self.killed(who, one, other, count=count).values()), {0})
            calls = count.stat().st_size
            self.assertGreater(calls, 20)
            for at in range(1, calls + 1):
                with self.subTest(f"{who} {at}"):
                    self.fresh()
                    status = self.killed(who, one, other, at=at)
                    self.assertIn(status[who], (-signal.SIGKILL, 0), "0: bytes came in fewer pieces than when calls were counted")
                    if status[survivor] == 0:  # it was told that the other has stored
                        self.carries(b"both have it")
                    self.mended(one, other)


class Connection(Doors):
    """The two sides' line, tokens and confirmation are doc/startgss.md's."""

    def test_killed_at_every_point_one_more_pairing_mends_it(self):
        self.sweep(*self.f.secret())

    def test_an_alias_that_nobody_can_have_is_refused_before_the_peer_is_asked(self):
        for alias in ("a:b", "-a", "", "a\nb", "a" * 65):
            for way in (("unix:/nowhere",), ("--link", "--relay", "https://127.0.0.1:1")):
                done = self.f.gage("pair", "alice", "--as", alias, *way)
                self.assertEqual(done.returncode, EXIT["usage"], (alias, way, done.stderr))

    def test_what_answers_without_the_protocol_is_refused_and_nothing_stored(self):
        import socket
        path = str(self.f.path / "door")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            one, _ = self.f.secret()
            for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"STARTGSS 0\n" + bytes(400), b"\x00\x00\x10\x00" + bytes(4096)):
                with self.subTest(answer[:12]):
                    going = self.f.start("pair", "alice", "unix:" + path, "--as", "bob", "--timeout", "2s", *one)
                    peer, _ = listener.accept()
                    peer.sendall(answer)
                    peer.shutdown(socket.SHUT_WR)
                    _, err = going.communicate(timeout=20)
                    peer.close()
                    self.assertNotIn(going.returncode, (0, -signal.SIGSEGV, -signal.SIGABRT), err)
                    self.assertEqual(len(err.splitlines()), 1, err)
        self.assertEqual(self.f.ok("peers", "alice").stdout, b"")

    def test_over_kerberos_with_either_side_listening(self):
        with Realm() as realm:
            f = Folder(realm.env)
            self.addCleanup(f.remove)
            for status, text in f.meet("alice", "bob", ("--target", "gage@localhost"), ("--allow", "alice@TEST.GAGE")):
                self.assertEqual(status, 0, text)
            self.assertRegex(f.ok("peers", "bob").stdout.decode(), r"alice +krb5:alice@TEST\.GAGE ")
            self.assertRegex(f.ok("peers", "alice").stdout.decode(), r"bob +krb5:gage/localhost@TEST\.GAGE ")
            for status, text in f.meet("alice", "bob", ("--target", "gage@localhost", "--as", "again"),
                                       ("--allow", "carol@TEST.GAGE", "--as", "mallory")):
                self.assertNotEqual(status, 0, text)
            self.assertNotIn(b"mallory", f.ok("peers", "bob").stdout)
            nobody = f.gage("pair", "bob", "--listen", "unix:" + str(f.path / "x"), "--as", "any")
            self.assertEqual(nobody.returncode, EXIT["usage"])
            self.assertIn(b"--allow", nobody.stderr)


class Kerberos(Doors):
    """The same where a KDC vouches for both."""

    def environment(self):
        return self.enterContext(Realm()).env

    def test_killed_at_every_point_one_more_pairing_mends_it(self):
        self.sweep(("--target", "gage@localhost"), ("--allow", "alice@TEST.GAGE"))


# Run with the name of a class, only that one's cases: so that the parts run beside each other.
for part in ("Link", "Killed", "Connection", "Kerberos"):
    if len(sys.argv) > 1 and sys.argv[0].endswith("pairing.py") and part not in " ".join(sys.argv[1:]):
        del globals()[part]


if __name__ == "__main__":
    unittest.main()
