"""gage's seals and those of the second implementation open on either side, and both reproduce the vectors byte for byte."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
import seal as other  # noqa: E402

PEER = os.environ.get("GAGE_SEAL_PEER", ROOT / "build/obj/tests/interop/seal_peer")
VECTORS = ROOT / "doc/vectors/seal.json"
NOW = 1795000000
ALICE, BOB = b"the name of alice", b"the name of bob"
SIZES = (0, 1, 380, 600, 65400, 65534, 65535, 131072, 500001)


def gage(command, key, hint, week, me, peer, now, data, random=None):
    words = [PEER, command, key.hex(), hint.hex(), str(week), me.hex(), peer.hex(), str(now)]
    return subprocess.run(words + ([random.hex()] if random else []), input=data, capture_output=True, timeout=30)


class Seal(unittest.TestCase):
    def setUp(self):
        self.key, self.hint = os.urandom(32), os.urandom(16)
        self.week = NOW // other.WEEK

    def test_ours_open_there(self):
        for size in SIZES:
            message = os.urandom(size)
            done = gage("seal", self.key, self.hint, self.week, ALICE, BOB, NOW, message)
            self.assertEqual(done.returncode, 0, done.stderr)
            got, (_, time, kind) = other.unseal(self.key, self.week, self.hint, BOB, ALICE, NOW, done.stdout)
            self.assertEqual((got, time, kind), (message, NOW, 0))

    def test_theirs_open_here(self):
        for size in SIZES:
            message = os.urandom(size)
            sealed = other.seal(self.key, self.hint, ALICE, BOB, NOW, message)
            done = gage("open", self.key, self.hint, self.week, BOB, ALICE, NOW, sealed)
            self.assertEqual((done.returncode, done.stdout), (0, message), done.stderr)

    def test_weeks_step_alike(self):
        """Sealed two weeks after the key both sides hold, opened three weeks after."""
        then, later = NOW + 2 * other.WEEK, NOW + 3 * other.WEEK
        sealed = gage("seal", self.key, self.hint, self.week, ALICE, BOB, then, b"later").stdout
        self.assertEqual(other.unseal(self.key, self.week, self.hint, BOB, ALICE, later, sealed)[0], b"later")
        sealed = other.seal(other.step(self.key, 2), self.hint, ALICE, BOB, then, b"later")
        self.assertEqual(gage("open", self.key, self.hint, self.week, BOB, ALICE, later, sealed).stdout, b"later")

    def test_a_date_of_another_week_than_the_keys_is_refused_on_both_sides(self):
        """What a thief of this week's key could make: a seal that says it is older than the theft."""
        later = NOW + 2 * other.WEEK
        for time, good in ((NOW, False), (later - other.WEEK, False), (later, True), (later + 200, True)):
            sealed = other.seal(other.step(self.key, 2), self.hint, ALICE, BOB, time, b"dated")
            done = gage("open", self.key, self.hint, self.week, BOB, ALICE, later, sealed)
            self.assertEqual((done.stdout, b"GAGE_E_AUTH" in done.stderr), (b"dated" if good else b"", not good), done.stderr)
            if good:
                self.assertEqual(other.unseal(self.key, self.week, self.hint, BOB, ALICE, later, sealed)[0], b"dated")
                continue
            with self.assertRaises(other.Refused):
                other.unseal(self.key, self.week, self.hint, BOB, ALICE, later, sealed)

    def test_both_refuse_the_same_damage(self):
        sealed = other.seal(self.key, self.hint, ALICE, BOB, NOW, os.urandom(70000))
        for at in [*range(0, 81, 4), 100, 65600, 65633, 65634, len(sealed) - 1]:
            bad = bytearray(sealed)
            bad[at] ^= 0x40
            with self.subTest(at), self.assertRaises(other.Refused):
                self.assertNotEqual(gage("open", self.key, self.hint, self.week, BOB, ALICE, NOW, bytes(bad)).returncode, 0)
                other.unseal(self.key, self.week, self.hint, BOB, ALICE, NOW, bytes(bad))

    def test_the_vectors_come_out_on_both_sides(self):
        vectors = json.loads(VECTORS.read_text())
        self.assertGreater(len(vectors["seals"]), 3)
        raw = {k: bytes.fromhex(v) for k, v in vectors["pairing"].items() if isinstance(v, str)}
        week = vectors["pairing"]["week"]
        keys, ident, _ = other.pairing_keys(raw["prk"], raw["initiator"], raw["acceptor"], week)
        self.assertEqual((keys["i2a"][0], keys["i2a"][1], ident), (raw["seal_i2a"], raw["hint_i2a"], raw["id"]))
        for v in vectors["seals"]:
            with self.subTest(v["message_length"]):
                message = bytes(i * 7 & 255 for i in range(v["message_length"]))
                nonce, sid = bytes.fromhex(v["nonce"]), bytes.fromhex(v["id"])
                key = other.step(keys["i2a"][0], v["time"] // other.WEEK - week)
                theirs = other.seal(key, keys["i2a"][1], raw["initiator"], raw["acceptor"], v["time"], message, nonce=nonce, ident=sid)
                self.assertEqual(other.sha256(theirs).hex(), v["sha256"])
                self.assertEqual(theirs[:81].hex(), v["header"])
                ours = gage("seal", keys["i2a"][0], keys["i2a"][1], week, raw["initiator"], raw["acceptor"], v["time"], message, nonce + sid)
                self.assertEqual(ours.stdout, theirs)
        v = vectors["proof"]
        self.assertEqual(other.proof(bytes.fromhex(v["header"]), bytes.fromhex(v["key"]), bytes.fromhex(v["context"])).hex(), v["proof"])


if __name__ == "__main__":
    unittest.main()
