"""Each attack that doc/seal.md answers, made on the command as a user has it; and each refusal with its own exit code and sentence, as the manual
lists them."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import unittest

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import two_keys  # noqa: E402
from people import EXIT, GAGE, ROOT, Folder  # noqa: E402

HEADER, CHUNK = 81, 65552
FAKETIME = {"LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"}


class Stage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.f = Folder()
        for a, b in (("alice", "bob"), ("alice", "carol"), ("mallory", "bob")):
            cls.f.pair(a, b)

    @classmethod
    def tearDownClass(cls):
        cls.f.remove()

    def seal(self, text=b"attack at dawn", who="alice", to="bob", *words, env=None):
        return self.f.ok("seal", who, "--to", to, *words, stdin=text, env=env).stdout

    def refused(self, done, code, word=""):
        self.assertEqual(done.returncode, EXIT[code], done.stderr)
        self.assertEqual(done.stdout, b"")
        (line,) = done.stderr.decode().splitlines()
        self.assertIn(word, line)
        return line

    def all_refused(self, seals, codes):
        """All of them in one run: none leaves a file, each is named with its reason."""
        box, out = self.f.path / "box", self.f.path / "out"
        for folder in (box, out):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        for i, bytes_ in enumerate(seals):
            (box / f"{i}.seal").write_bytes(bytes_)
        done = self.f.gage("unseal", "bob", "--output", out, *sorted(box.iterdir()))
        self.assertIn(done.returncode, {EXIT[c] for c in codes})
        self.assertEqual(list(out.iterdir()), [])
        self.assertEqual(len(done.stderr.splitlines()), len(seals) + 1)
        self.assertEqual(done.stdout, b"")

    def copy_of_bob(self, name):
        for suffix in ("", ".hints"):
            shutil.copy(self.f.ring("bob") + suffix, self.f.ring(name) + suffix)

    def twins(self):
        """A keyring in which two pairings have the same keys: what a seal crafted for two would need."""
        self.copy_of_bob("twins")
        os.unlink(self.f.ring("twins") + ".hints")
        ring = sqlite3.connect(self.f.ring("twins"))
        ring.execute("INSERT INTO pairing(slot, id, alias, record) SELECT (SELECT max(slot) + 1 FROM pairing), x'00', 'twin', record"
                     " FROM pairing WHERE alias = 'alice'")
        ring.commit()
        ring.close()


class Attacks(Stage):
    def test_bit_flips_everywhere(self):
        whole = self.seal()
        for begin in range(0, len(whole), 100):
            flipped = []
            for at in range(begin, min(begin + 100, len(whole))):
                for bit in range(8):
                    bad = bytearray(whole)
                    bad[at] ^= 1 << bit
                    flipped.append(bytes(bad))
            self.all_refused(flipped, ("auth", "not_ours", "unsupported"))

    def test_truncation_at_every_length(self):
        whole = self.seal()
        self.all_refused([whole[:n] for n in range(len(whole))], ("auth", "format"))
        large = self.seal(os.urandom(200000))
        self.all_refused([large[:HEADER + i * CHUNK] for i in range(4)] + [large + b"\0"], ("auth",))

    def test_splicing_of_two_seals(self):
        one, two = (self.seal(os.urandom(140000)) for _ in range(2))
        parts = [[s[:HEADER], *(s[HEADER + i * CHUNK:HEADER + (i + 1) * CHUNK] for i in range(3))] for s in (one, two)]
        spliced = [b"".join(parts[pick >> i & 1][i] for i in range(4)) for pick in range(1, 15)]
        spliced += [b"".join((parts[0][0], parts[0][2], parts[0][1], parts[0][3])), one + two, one + two[HEADER:],
                    one[:33] + two[33:49] + one[49:], one[:49] + two[49:81] + one[81:]]
        self.all_refused(spliced, ("auth", "not_ours"))

    def test_reflection_to_the_sender(self):
        self.refused(self.f.gage("unseal", "alice", stdin=self.seal()), "not_ours", "not for you")

    def test_another_recipient(self):
        for who in ("carol", "mallory"):
            self.refused(self.f.gage("unseal", who, stdin=self.seal()), "not_ours")

    def test_another_originator_who_is_paired_too(self):
        self.refused(self.f.gage("unseal", "bob", "--from", "alice", stdin=self.seal(who="mallory")), "originator", "mallory")

    def test_the_wrong_carrier(self):
        """Mallory, who carried the seal, shows a proof made with a grant of her own, or none that fits."""
        grant, proof = self.f.path / "grant", self.f.path / "proof"
        seal = self.seal(b"by carol", "alice", "bob", "--via", "carol", "--grant", grant, "--force")
        self.f.ok("unseal", "carol", "--prove", proof, "--force", stdin=grant.read_bytes())
        good = proof.read_bytes()
        self.f.ok("unseal", "bob", "--carrier-proof", proof, stdin=seal)
        for bad in (b"x" * 76, good[:-1], good[:-1] + bytes([good[-1] ^ 1]), good + b"\0"):
            proof.write_bytes(bad)
            self.refused(self.f.gage("unseal", "bob", "--carrier-proof", proof, stdin=seal), "carrier")
        proof.write_bytes(good)
        self.refused(self.f.gage("unseal", "bob", "--carrier-proof", proof, stdin=self.seal()), "carrier", "no carrier key")
        self.refused(self.f.gage("unseal", "mallory", "--prove", proof, "--force", stdin=grant.read_bytes()), "not_ours")
        (self.f.path / "nothing").write_bytes(b"")
        for words in (("--carrier-proof", proof, "--occasion", "nothing"), ("--prove", "p2", "--occasion", "nothing"), ("--occasion", proof)):
            self.refused(self.f.gage("unseal", "bob", *words, stdin=seal), "usage", "occasion")

    def test_an_old_seal(self):
        seal = self.seal()
        self.refused(self.f.gage("unseal", "bob", "--max-age", "10m", stdin=seal, env={**FAKETIME, "FAKETIME": "+11m"}), "expired")

    def test_a_seal_that_comes_slowly_is_as_old_as_when_its_end_has_come(self):
        """Who delivers it holds its end back until it is too old: the age is that of the moment in which the message comes out."""
        going = []
        for text in (b"short", os.urandom(200000)):
            seal = self.seal(text)
            for words in ((), ("--stream",), ("--output", f"slow{len(text)}"), ("--once", "--output", f"slow-once{len(text)}")):
                one = subprocess.Popen([GAGE, "unseal", "--keyring", self.f.ring("bob"), "--max-age", "1s", *words], cwd=self.f.path,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.f.env)
                one.stdin.write(seal[:-1])
                one.stdin.flush()
                going.append((one, seal[-1:], words))
        time.sleep(2.1)
        for one, end, words in going:
            out, err = one.communicate(end)
            self.assertEqual((one.returncode, b"" if "--stream" in words else out), (EXIT["expired"], b""), (words, err))
        self.assertEqual(list(self.f.path.glob("slow*")), [])

    def test_a_seal_from_the_future(self):
        seal = self.seal(env={**FAKETIME, "FAKETIME": "+6m"})
        self.refused(self.f.gage("unseal", "bob", stdin=seal), "future", "ahead")

    def test_a_replayed_seal_by_processes_at_once(self):
        """Sixteen at once take the same seal: one opens it."""
        (self.f.path / "s").write_bytes(self.seal())
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            done = list(pool.map(lambda i: self.f.gage("unseal", "bob", "--once", "--max-age", "4h", "--output", f"replay{i}", "s"),
                                 range(16)))
        self.assertEqual(sorted(d.returncode for d in done), [0] + [EXIT["used"]] * 15, [d.stderr for d in done])
        self.assertEqual(len(list(self.f.path.glob("replay*"))), 1)

    def test_processes_at_once_do_not_disturb_each_other(self):
        """Many at once on one keyring, each with its own seal: all open, all files are there once."""
        for i in range(24):
            (self.f.path / f"own{i}.seal").write_bytes(self.seal(b"%d" % i))
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            done = list(pool.map(lambda i: self.f.gage("unseal", "bob", "--once", "--max-age", "4h", f"own{i}.seal"), range(24)))
        self.assertEqual([d.returncode for d in done], [0] * 24, [d.stderr for d in done if d.returncode])
        for i in range(24):
            self.assertEqual((self.f.path / f"own{i}").read_bytes(), b"%d" % i)
        self.assertEqual(list(self.f.path.glob(".gage-*")), [])

    def test_the_clock_set_back(self):
        self.copy_of_bob("late")
        words = ("--once", "--max-age", "4h")
        self.f.ok("unseal", "late", *words, stdin=self.seal(), env={**FAKETIME, "FAKETIME": "+3h"})
        self.refused(self.f.gage("unseal", "late", *words, stdin=self.seal()), "clock", "an hour before")

    def test_a_copied_keyring(self):
        """The documented limit: two copies do not see each other's replays; each sees its own."""
        self.copy_of_bob("copy")
        words = ("--once", "--max-age", "4h")
        seal = self.seal()
        self.f.ok("unseal", "bob", *words, stdin=seal)
        self.f.ok("unseal", "copy", *words, stdin=seal)
        self.refused(self.f.gage("unseal", "copy", *words, stdin=seal), "used")

    def test_a_seal_crafted_for_two_pairings(self):
        self.twins()
        self.refused(self.f.gage("unseal", "twins", stdin=self.seal()), "crafted")

    def test_names_of_files_do_not_move_the_cursor(self):
        name = "evil\x1b[2J\r\n\x07.seal"
        (self.f.path / name).write_bytes(self.seal())
        done = self.f.gage("unseal", "bob", "--output", "plain", "--force", name)
        self.assertEqual(done.returncode, 0, done.stderr)
        again = self.f.gage("unseal", "bob", "--output", "plain", name)
        for text in (done.stdout, done.stderr, again.stdout, again.stderr):
            self.assertFalse(set(text) & set(range(32)) - {10}, text)
            self.assertLessEqual(len(text.splitlines()), 1)

    def test_the_output_follows_no_link_and_leaves_no_folder(self):
        """A link where the message should go is not followed, with --force it is replaced; '..' is no way out."""
        victim = self.f.path / "victim"
        victim.write_bytes(b"mine")
        out = self.f.path / "shelf"
        out.mkdir()
        (out / "l").symlink_to(victim)
        (self.f.path / "l.seal").write_bytes(self.seal(b"new"))
        self.refused(self.f.gage("unseal", "bob", "--output", out, "l.seal"), "exists")
        self.f.ok("unseal", "bob", "--output", out, "--force", "l.seal")
        self.assertEqual((victim.read_bytes(), (out / "l").read_bytes(), (out / "l").is_symlink()), (b"mine", b"new", False))
        before = sorted(self.f.path.rglob("*"))
        for name in ("...seal", "..seal", ".seal"):
            (out.parent / "names").mkdir(exist_ok=True)
            (out.parent / "names" / name).write_bytes(self.seal(b"out"))
            done = self.f.gage("unseal", "bob", "--force", "--output", out, self.f.path / "names" / name)
            self.assertNotEqual(done.returncode, 0)
        after = [p for p in sorted(self.f.path.rglob("*")) if "names" not in p.parts]
        self.assertEqual(before, after)

    def test_armor_takes_its_own_form_alone(self):
        text = self.seal(b"x" * 700, "alice", "bob", "--armor")
        self.f.ok("unseal", "bob", stdin=text)
        self.f.ok("unseal", "bob", stdin=text.replace(b"\n", b"\r\n"))
        self.f.ok("unseal", "bob", stdin=text.rstrip(b"\n"))
        lines = text.splitlines(keepends=True)
        for bad in (b"\n" + text, b" " + text, text + text, text + b"more\n", text.replace(b"\n", b" \n", 3), b"".join(lines[:-1]),
                    b"".join([lines[0], lines[1][:32] + b"\n", lines[1][32:], *lines[2:]]), lines[0] + lines[-1],
                    text.replace(lines[2], b"=" + lines[2][1:]), text.replace(lines[1], b"-" + lines[1][1:]),
                    text.replace(lines[1], b"_" + lines[1][1:]), text.replace(lines[1], lines[1][:62] + b"==\n"),
                    text.replace(b"=\n", b"%3D\n"), text.replace(b"=", b""), lines[0] + b"A" * 70000 + b"\n" + lines[-1]):
            done = self.f.gage("unseal", "bob", stdin=bad)
            self.assertIn(done.returncode, (EXIT["format"], EXIT["unsupported"]), (bad[:40], done.stderr))
            self.assertEqual(done.stdout, b"")


class TwoKeys(unittest.TestCase):
    """Mallory is paired with Bob twice, and makes a seal whose one chunk AES-GCM opens under the keys of both pairings. For Bob's sake the hint, which
    fits one of them in truth, is made to fit both: what is left against her is the commitment."""

    @classmethod
    def setUpClass(cls):
        cls.f = Folder()
        for alias, to in (("mallory", "bob"), ("trent", "bob2")):
            one, other = cls.f.secret(alias)
            for status, text in cls.f.meet("mallory", "bob", one, other, as_first=alias, as_second=to):
                assert status == 0, text
        cls.good, cls.evil = (two_keys.Keys(cls.f.ring("mallory"), to) for to in ("bob", "bob2"))
        two_keys.give_hint_key(cls.f.ring("bob"), "trent", "mallory")

    @classmethod
    def tearDownClass(cls):
        cls.f.remove()

    def craft(self, committed):
        """A seal with the commitment of `committed` (None: of neither), valid under both pairings' keys; under the first it says MESSAGE."""
        form, nonce = two_keys.form, os.urandom(32)
        (good, first), (evil, second) = self.good.of_seal(nonce), self.evil.of_seal(nonce)
        commitment = {self.good: good, self.evil: evil, None: os.urandom(32)}[committed]
        header = b"\1" + nonce + form.siphash128(self.good.hint_send, nonce) + commitment
        inner = b"\1" + os.urandom(16) + int(time.time()).to_bytes(8, "big") + form.vec16(self.good.me) + form.vec16(self.good.peer) + b"\0"
        text = form.frames_of(inner + b"pay mallory " + bytes(range(65, 91)) * 4)
        iv, aad = form.iv(0, True), form.sha256(header)
        free = (2 + len(inner) + 12 + 15) // 16
        body = two_keys.ciphertext_for_two(*(two_keys.Gcm(key, iv, aad) for key in (first, second)), text, free)
        opened = [AESGCM(key).decrypt(iv, body, aad) for key in (first, second)]  # what one without commitment would take: both
        self.assertNotEqual(*opened)
        self.assertEqual(opened[0][:free * 16] + opened[0][free * 16 + 16:], text[:free * 16] + text[free * 16 + 16:])
        return header + body, form.data_of(opened[0])[len(inner):]

    def test_a_ciphertext_that_opens_under_two_keys_opens_for_the_committed_one_alone(self):
        sealed, message = self.craft(self.good)
        done = self.f.ok("unseal", "bob", stdin=sealed)
        self.assertEqual(done.stdout, message)
        self.assertIn(b" (mallory), ", done.stderr)
        refused = self.f.gage("unseal", "bob", "--from", "trent", stdin=sealed)
        self.assertEqual((refused.returncode, refused.stdout), (EXIT["originator"], b""), refused.stderr)

    def test_committed_to_one_pairing_it_does_not_open_as_what_it_says_under_the_other(self):
        sealed, _ = self.craft(self.evil)
        done = self.f.gage("unseal", "bob", stdin=sealed)
        self.assertEqual((done.returncode, done.stdout), (EXIT["auth"], b""), done.stderr)

    def test_committed_to_neither_it_opens_for_neither_and_nothing_of_it_is_decrypted(self):
        """The header is refused before any ciphertext has come."""
        sealed, _ = self.craft(None)
        done = self.f.gage("unseal", "bob", stdin=sealed)
        self.assertEqual((done.returncode, done.stdout), (EXIT["not_ours"], b""), done.stderr)
        going = subprocess.Popen([GAGE, "unseal", "--keyring", self.f.ring("bob")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=self.f.env)
        with going:
            going.stdin.write(sealed[:HEADER])
            going.stdin.flush()
            self.assertEqual(going.wait(30), EXIT["not_ours"])  # its input is open still
            self.assertEqual(going.stdout.read(), b"")


class Refusals(Stage):
    def listed(self):
        text = (ROOT / "man/gage-unseal.1").read_text()
        part = text[text.index("Each refusal has its own:"):text.index("With several seals")]
        return {int(n) for n in re.findall(r"(?m)^(\d+) ", part)}

    def test_each_refusal_has_the_code_the_manual_gives_and_a_sentence_of_its_own(self):
        seal, once = self.seal(), ("--once", "--max-age", "4h")
        for name in ("over", "ahead", "short"):
            self.copy_of_bob(name)
        self.twins()
        self.f.ok("unseal", "ahead", *once, stdin=seal, env={**FAKETIME, "FAKETIME": "+3h"})
        self.f.ok("unseal", "short", "--once", "--max-age", "10m", stdin=seal)
        self.f.ok("peers", "over", "--expire", "1s", "alice")
        self.f.ok("unseal", "bob", *once, stdin=seal)
        late = {**FAKETIME, "FAKETIME": "+11m"}
        cases = {
            "format": ("bob", (), b"not a seal", None),
            "not_ours": ("carol", (), seal, None),
            "auth": ("bob", (), seal[:-1] + bytes([seal[-1] ^ 1]), None),
            "expired": ("bob", ("--max-age", "10m"), seal, late),
            "used": ("bob", once, seal, None),
            "unsupported": ("bob", (), b"\2" + seal[1:], None),
            "clock": ("ahead", once, seal, None),
            "future": ("bob", (), seal, {**FAKETIME, "FAKETIME": "-10m"}),
            "forgotten": ("short", once, seal, {**FAKETIME, "FAKETIME": "+1h"}),
            "carrier": ("bob", ("--carrier-proof", __file__), seal, None),
            "originator": ("bob", ("--from", "mallory"), seal, None),
            "crafted": ("twins", (), seal, None),
            "pairing_over": ("over", (), seal, {**FAKETIME, "FAKETIME": "+1m"}),
        }
        sentences = set()
        (self.f.path / "bad-proof").write_bytes(b"no proof")
        for code, (who, words, bytes_, env) in cases.items():
            with self.subTest(code):
                words = [w if w != __file__ else "bad-proof" for w in words]
                sentences.add(self.refused(self.f.gage("unseal", who, *words, stdin=bytes_, env=env), code))
        self.assertEqual(len(sentences), len(cases))
        self.assertEqual({EXIT[code] for code in cases}, self.listed())


if __name__ == "__main__":
    unittest.main()
