"""The ticket example with three parties, paired over the one-time credential and with a real KDC."""
import os
import pathlib
import subprocess
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[2] / "lib")]
from people import ROOT, Folder  # noqa: E402
from realm import Realm  # noqa: E402

TICKET = os.environ.get("GAGE_TICKET", str(ROOT / "build/obj/examples/ticket"))


class Ticket(unittest.TestCase):
    def run_it(self, f):
        self.addCleanup(f.remove)
        done = subprocess.run([TICKET, *map(f.ring, ("alice", "bob", "carol"))], capture_output=True, text=True, env=f.env)
        self.assertEqual((done.returncode, done.stdout),
                         (0, "bob admits the carrier: may read the archive\nthe same ticket again: E_USED\n".replace("E_USED", "GAGE_E_USED")),
                         done.stderr)
        turned = subprocess.run([TICKET, *map(f.ring, ("alice", "carol", "bob"))], capture_output=True, text=True, env=f.env)
        self.assertNotEqual(turned.returncode, 0)
        self.assertIn("not for you", turned.stderr)

    def test_over_one_time_credentials(self):
        f = Folder()
        f.pair("alice", "bob")
        f.pair("alice", "carol")
        self.run_it(f)

    def test_with_a_real_kdc(self):
        with Realm() as realm:
            f = Folder(realm.env)
            for service, who in (("gage", "bob"), ("HTTP", "carol")):
                for status, text in f.meet("alice", who, ("--target", f"{service}@localhost"), ("--allow", "alice@TEST.GAGE")):
                    self.assertEqual(status, 0, text)
            self.run_it(f)


if __name__ == "__main__":
    unittest.main()
