"""gage unseal --once, killed with SIGKILL before every call that the outside could notice: the message is never half there, never lost, never
opened twice."""
import os
import pathlib
import shutil
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from people import EXIT, ROOT, Folder  # noqa: E402

KILLER = os.environ.get("GAGE_KILLER", str(ROOT / "build/obj/tests/live/transfer/killer.so"))
TEXT = b"once and no more\n" * 9000
WORDS = ("--once", "--max-age", "1h")


class Kill(unittest.TestCase):
    def setUp(self):
        self.f = Folder()
        self.addCleanup(self.f.remove)
        self.f.pair("alice", "bob")
        (self.f.path / "seal").write_bytes(self.f.ok("seal", "alice", "--to", "bob", stdin=TEXT).stdout)
        self.f.ok("unseal", "bob", stdin=self.f.ok("seal", "alice", "--to", "bob", stdin=b"warm").stdout)
        shutil.copy(self.f.ring("bob"), self.f.path / "fresh")
        shutil.copy(self.f.ring("bob") + ".hints", self.f.path / "fresh.hints")

    def fresh(self):
        for name in self.f.path.glob("bob.ring*"):
            name.unlink()
        shutil.copy(self.f.path / "fresh", self.f.ring("bob"))
        shutil.copy(self.f.path / "fresh.hints", self.f.ring("bob") + ".hints")
        for name in [*self.f.path.glob("out*"), *self.f.path.glob(".gage-*")]:
            name.unlink()

    def unseal(self, out, **env):
        return self.f.gage("unseal", "bob", *WORDS, "--output", out, "seal", env=env)

    def check_after(self, at):
        out = self.f.path / "out"
        if out.exists():
            self.assertEqual(out.read_bytes(), TEXT, f"half a message after a kill at call {at}")
        again = self.unseal("out")
        self.assertIn(again.returncode, (0, EXIT["used"], EXIT["exists"]), (at, again.stderr))
        self.assertTrue(out.exists(), f"lost after a kill at call {at}: {again.stderr}")
        self.assertEqual(out.read_bytes(), TEXT)
        self.assertEqual(self.unseal("out2").returncode, EXIT["used"], f"opened twice after a kill at call {at}")
        self.assertFalse((self.f.path / "out2").exists())

    def test_killed_at_every_point_it_opens_once_and_whole(self):
        count = self.f.path / "count"
        done = self.unseal("out", LD_PRELOAD=KILLER, GAGE_KILL_COUNT=str(count))
        self.assertEqual(done.returncode, 0, done.stderr)
        calls = count.stat().st_size
        self.assertGreater(calls, 5)
        for at in range(1, calls + 1):
            self.fresh()
            killed = self.unseal("out", LD_PRELOAD=KILLER, GAGE_KILL_AT=str(at))
            self.assertEqual(killed.returncode, -signal.SIGKILL, at)
            self.check_after(at)


if __name__ == "__main__":
    unittest.main()
