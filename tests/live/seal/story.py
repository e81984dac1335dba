"""gage pair, seal, unseal and peers, as people use them."""
import os
import pathlib
import subprocess
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[2] / "lib")]
from people import EXIT, GAGE, Folder  # noqa: E402
from realm import Realm  # noqa: E402


def flipped(seal, at):
    bad = bytearray(seal)
    bad[at] ^= 1
    return bytes(bad)


class Story(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.f = Folder()
        for a, b in (("alice", "bob"), ("alice", "carol")):
            cls.f.pair(a, b)

    @classmethod
    def tearDownClass(cls):
        cls.f.remove()

    def setUp(self):
        self.f = type(self).f
        self.n = getattr(Story, "n", 0) + 1
        Story.n = self.n
        self.file = self.f.path / f"letter{self.n}"

    def seal(self, text=b"come on Thursday\n", *words):
        self.file.write_bytes(text)
        self.f.ok("seal", "alice", "--to", "bob", *words, self.file)
        return pathlib.Path(f"{self.file}.seal")

    def refused(self, done, code, *words):
        self.assertEqual(done.returncode, EXIT[code], done.stderr)
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, lines)
        for word in words:
            self.assertIn(word, lines[0])

    def test_a_file_sealed_for_bob_opens_for_bob_and_says_from_whom_and_when(self):
        seal = self.seal()
        self.file.unlink()
        done = self.f.ok("unseal", "bob", "--from", "alice", "--max-age", "10m", seal)
        self.assertRegex(self.f.ok("peers", "bob").stdout.decode(), r"alice .* used 20")
        self.assertEqual(self.file.read_bytes(), b"come on Thursday\n")
        self.assertRegex(done.stdout.decode(), r"from otc:\S+ \(alice\), sealed 20\d\d-\S+Z, carrier anybody")

    def test_standard_streams_and_armor(self):
        for words in ((), ("--armor",)):
            sealed = self.f.ok("seal", "alice", "--to", "bob", *words, stdin=b"x" * 100000).stdout
            self.assertEqual(self.f.ok("unseal", "bob", stdin=sealed).stdout, b"x" * 100000)
        self.assertTrue(sealed.startswith(b"-----BEGIN GAGE SEAL-----\n"))
        self.assertTrue(all(len(line) <= 64 for line in sealed.splitlines()))
        self.refused(self.f.gage("unseal", "bob", stdin=sealed[:-30]), "format", "cut")
        self.refused(self.f.gage("unseal", "bob", stdin=sealed.replace(b"\n", b"\n!", 3)), "format")

    def test_empty_and_large_messages(self):
        for size in (0, 1, 460, 65534, 65535, 3_000_000, 34_000_000):
            data = os.urandom(size)
            seal = self.seal(data)
            self.assertLessEqual(seal.stat().st_size, max(1200, size * 1.13 + 1200))
            self.assertEqual(self.f.ok("unseal", "bob", "--output", "-", seal).stdout, data)
            seal.unlink()

    def test_many_files_in_one_run_and_a_bad_one_does_not_stop_the_others(self):
        folder = self.f.path / "many"
        folder.mkdir()
        for i in range(20):
            (folder / f"f{i}").write_bytes(b"%d" % i)
        (self.f.path / "sealed").mkdir()
        self.f.ok("seal", "alice", "--to", "bob", "--output", "sealed", *sorted(folder.iterdir()))
        bad = self.f.path / "sealed/f7.seal"
        bad.write_bytes(flipped(bad.read_bytes(), -1))
        (self.f.path / "opened").mkdir()
        done = self.f.gage("unseal", "bob", "--output", "opened", *sorted((self.f.path / "sealed").iterdir()))
        self.assertEqual(done.returncode, EXIT["auth"])
        self.assertIn(b"f7.seal", done.stderr)
        self.assertEqual({p.name: p.read_bytes() for p in (self.f.path / "opened").iterdir()},
                         {f"f{i}": b"%d" % i for i in range(20) if i != 7})

    def test_nobody_but_bob_opens_it(self):
        seal = self.seal()
        for who in ("alice", "carol"):
            self.refused(self.f.gage("unseal", who, "--output", "stolen", seal), "not_ours", "not for you")
        self.assertFalse((self.f.path / "stolen").exists())

    def test_nothing_of_a_damaged_seal_comes_out(self):
        seal = self.seal(os.urandom(200000))
        whole = seal.read_bytes()
        for name, bytes_ in (("cut", whole[:140000]), ("at a chunk", whole[:81 + 65552]), ("flipped", flipped(whole, -9))):
            with self.subTest(name):
                done = self.f.gage("unseal", "bob", stdin=bytes_)
                self.refused(done, "auth", "can be trusted")
                self.assertEqual(done.stdout, b"")
                self.refused(self.f.gage("unseal", "bob", "--output", "half", "-", stdin=bytes_), "auth")
        self.assertFalse((self.f.path / "half").exists())
        self.assertEqual([p for p in self.f.path.iterdir() if p.name.startswith(".gage-")], [])

    def test_stream_gives_the_beginning_and_fails_at_the_end(self):
        text = os.urandom(400000)
        seal = self.seal(text).read_bytes()
        done = self.f.gage("unseal", "bob", "--stream", stdin=seal[:-1000])
        self.refused(done, "auth")
        self.assertTrue(0 < len(done.stdout) < len(text) and text.startswith(done.stdout))
        self.assertEqual(self.f.ok("unseal", "bob", "--stream", stdin=seal).stdout, text)

    def test_what_is_not_a_seal_is_said_to_be_none(self):
        self.refused(self.f.gage("unseal", "bob", stdin=b"hello"), "format", "not a seal")
        self.refused(self.f.gage("unseal", "bob", stdin=b"\x02" * 500), "unsupported", "newer version")
        self.refused(self.f.gage("unseal", "bob", stdin=b""), "format")

    def test_another_originator_than_demanded_is_refused(self):
        self.f.pair("carol", "bob")
        self.refused(self.f.gage("unseal", "bob", "--from", "carol", "--output", "-", self.seal()), "originator", "alice")

    def test_once_refuses_the_second_time_and_old_seals(self):
        seal = self.seal()
        words = ("--once", "--max-age", "4h", "--output", f"{self.file}.out")
        self.f.ok("unseal", "bob", *words, seal)
        self.refused(self.f.gage("unseal", "bob", *words, "--force", seal), "used", "opened before")
        late = {"LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "FAKETIME": "+2h"}
        self.refused(self.f.gage("unseal", "bob", "--max-age", "1h", "--output", "-", seal, env=late), "expired", "older")
        early = dict(late, FAKETIME="-10m")
        self.refused(self.f.gage("unseal", "bob", "--output", "-", seal, env=early), "future", "ahead")
        # Used once with the clock two hours on, the keyring takes the right time for a clock set back.
        ahead = ("--once", "--max-age", "4h", "--output", f"{self.file}.ahead")
        self.f.ok("unseal", "bob", *ahead, self.seal(b"ahead", "--force"), env=late)
        self.refused(self.f.gage("unseal", "bob", *words, "--force", self.seal(b"back", "--force")), "clock", "an hour before")
        self.refused(self.f.gage("unseal", "bob", "--once", stdin=seal.read_bytes()), "usage", "--max-age")

    def test_an_existing_file_is_not_overwritten(self):
        seal = self.seal()
        self.file.write_bytes(b"mine")
        self.refused(self.f.gage("unseal", "bob", seal), "exists", "--force")
        self.assertEqual(self.file.read_bytes(), b"mine")
        self.f.ok("unseal", "bob", "--force", seal)
        self.assertEqual(self.file.read_bytes(), b"come on Thursday\n")

    def test_a_carrier_proves_herself_with_the_grant(self):
        seal = self.seal(b"for the gate", "--via", "carol")
        grant = pathlib.Path(f"{seal}.grant")
        occasion = self.f.path / "challenge"
        occasion.write_bytes(os.urandom(32))
        proof = self.f.path / f"proof{self.n}"
        self.f.ok("unseal", "carol", "--from", "alice", "--prove", proof, "--occasion", occasion, grant)
        done = self.f.ok("unseal", "bob", "--carrier-proof", proof, "--occasion", occasion, "--output", f"{self.file}.1", seal)
        self.assertIn(b"carrier who holds the key, checked", done.stdout)
        self.assertIn(b"not checked", self.f.ok("unseal", "bob", "--output", f"{self.file}.2", seal).stdout)
        self.refused(self.f.gage("unseal", "bob", "--carrier-proof", proof, "--output", "-", seal), "carrier", "occasion")
        other = self.seal(b"another", "--via", "carol", "--force")
        self.refused(self.f.gage("unseal", "bob", "--carrier-proof", proof, "--occasion", occasion, "--output", "-", other),
                     "carrier", "another seal")
        self.refused(self.f.gage("unseal", "bob", "--prove", proof, grant), "not_ours")

    def test_peers_lists_renames_expires_and_removes(self):
        self.f.pair("dora", "bob")
        self.assertRegex(self.f.ok("peers", "dora").stdout.decode(), r"bob +otc:\S+ +until 20")
        self.f.ok("peers", "dora", "--rename", "robert", "bob")
        self.refused(self.f.gage("peers", "dora", "--rename", "x", "bob"), "not_found")
        self.f.ok("seal", "dora", "--to", "robert", stdin=b"x")
        self.f.ok("peers", "dora", "--keep", "2")
        self.f.ok("peers", "dora", "--expire", "1s", "robert")
        late = {"LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "FAKETIME": "+1m"}
        self.refused(self.f.gage("seal", "dora", "--to", "robert", stdin=b"x", env=late), "pairing_over", "pair again")
        self.f.ok("peers", "dora", "--remove", "robert")
        self.assertEqual(self.f.ok("peers", "dora", "--json").stdout, b"")
        self.refused(self.f.gage("seal", "dora", "--to", "robert", stdin=b"x"), "not_found")

    def test_the_secret_of_somebody_else_does_not_pair(self):
        one, _ = self.f.secret("right")
        _, other = self.f.secret("wrong")
        for status, text in self.f.meet("eve", "bob", one, other):
            self.assertNotEqual(status, 0, text)
        self.assertNotIn(b"\neve ", b"\n" + self.f.ok("peers", "bob").stdout)

    def test_a_keyring_that_others_may_read_is_refused(self):
        self.f.pair("frank", "bob")
        os.chmod(self.f.ring("frank"), 0o644)
        self.refused(self.f.gage("peers", "frank"), "refused", "chmod")

    def test_the_machine_s_openssl_configuration_chooses_the_providers(self):
        """As it does where only a validated one may be used. The provider `base` has no algorithms."""
        seal = self.seal()
        for provider, works in (("base", False), ("default", True)):
            config = self.f.path / f"{provider}.cnf"
            config.write_text(f"openssl_conf = start\n[start]\nproviders = chosen\n[chosen]\n{provider} = on\n[on]\nactivate = 1\n")
            for done in (self.f.gage("seal", "alice", "--to", "bob", stdin=b"x", env={"OPENSSL_CONF": str(config)}),
                         self.f.gage("unseal", "bob", "--output", "-", seal, env={"OPENSSL_CONF": str(config)})):
                self.assertEqual(done.returncode, EXIT["ok"] if works else EXIT["internal"], done.stderr)


class Kerberos(unittest.TestCase):
    def test_pairing_with_a_ticket_and_a_carrier_by_name(self):
        with Realm() as realm:
            f = Folder({k: v for k, v in realm.env.items()})
            self.addCleanup(f.remove)
            for status, text in f.meet("alice", "bob", ("--target", "gage@localhost"), ("--allow", "alice@TEST.GAGE")):
                self.assertEqual(status, 0, text)
            for status, text in f.meet("alice", "bob", ("--target", "gage@localhost"), ("--allow", "carol@TEST.GAGE"),
                                       as_first="mallory", as_second="b2"):
                self.assertNotEqual(status, 0, text)
            self.assertIn(b"krb5:alice@TEST.GAGE", f.ok("peers", "bob").stdout)
            self.assertNotIn(b"mallory", f.ok("peers", "bob").stdout)
            sealed = f.ok("seal", "alice", "--to", "bob", "--via", "krb5:carol@TEST.GAGE", stdin=b"by carol").stdout
            opened = f.ok("unseal", "bob", "--from", "krb5:alice@TEST.GAGE", "--via", "krb5:carol@TEST.GAGE", stdin=sealed)
            self.assertEqual(opened.stdout, b"by carol")
            self.assertIn(b"carrier krb5:carol@TEST.GAGE, checked", opened.stderr)
            wrong = f.gage("unseal", "bob", "--via", "krb5:bob@TEST.GAGE", stdin=sealed)
            self.assertEqual((wrong.returncode, wrong.stdout), (EXIT["carrier"], b""))

    def test_bob_checks_the_carrier_over_the_stream_that_brought_it(self):
        """Carol delivers through gage connect; gage listen tells the opener her authenticated name."""
        with Realm() as realm:
            f = Folder(realm.env)
            self.addCleanup(f.remove)
            for status, text in f.meet("alice", "bob", ("--target", "gage@localhost"), ("--allow", "alice@TEST.GAGE")):
                self.assertEqual(status, 0, text)
            sealed = f.ok("seal", "alice", "--to", "bob", "--via", "krb5:carol@TEST.GAGE", stdin=b"at the gate").stdout
            carol = realm.kinit("carol", "FILE:" + realm.path("carol.cc"))
            door = "unix:" + str(f.path / "gate")
            opener = f'exec {GAGE} unseal --keyring {f.ring("bob")} --via "$GAGE_PEER" --output {f.path}/delivered-$$ - 2>{f.path}/why'
            listen = subprocess.Popen([GAGE, "listen", "--allow", "*", "--exec", opener, door], env=f.env,
                                      stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
            try:
                listen.stderr.readline()
                for who, env in (("carol", carol), ("alice", realm.env)):
                    subprocess.run([GAGE, "connect", "--target", "gage@localhost", door], input=sealed, env=env,
                                   capture_output=True, timeout=30)
            finally:
                listen.terminate()
                listen.communicate(timeout=20)
            delivered = list(f.path.glob("delivered-*"))
            self.assertEqual([p.read_bytes() for p in delivered], [b"at the gate"])
            self.assertIn("somebody else", (f.path / "why").read_text())


if __name__ == "__main__":
    unittest.main()
